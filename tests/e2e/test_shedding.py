"""More comes to a real node than it can check: gossip is shed first, pushes next, and all comes."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest
from tests.e2e.eve import Eve, gone_bad
from tests.e2e.neighbourhood import QUICK, House, agree, cli, street, until

from commons_crdt.author import Draft
from commons_crdt.ids import DocumentId
from commons_crdt.operation import Operation, operation_id
from commons_node.domains.membership.facts import NAME, PROFILE, Profile
from commons_node.peering.load import GOSSIP_AT
from commons_protocol import carriage, gossip
from commons_protocol.network import NetworkError

pytestmark = pytest.mark.long
FIRST = 40
"""Operations of the first push: more than are checked without a worker."""
OTHERS = 30
"""Pushes behind it: with the first less than `PUSHES_AT`, and than may wait of one peer."""
TURNS = 40


@contextmanager
def nobody_checks(house: House) -> Iterator[None]:
    """Its verifier processes stand still."""
    stopped = house.workers()
    assert stopped, "it has some"
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)


def batches(house: House, name: str) -> dict[str, int]:
    """A figure by kind, those at zero left out. `status` would wait for the checkers."""
    said = cli(house.home, "metrics")
    assert said.code == 0, said
    found = re.findall(rf'^commons_{name}{{kind="(\w+)"}} (\S+)$', said.out, re.MULTILINE)
    assert len(found) == 4, said.out
    return {kind: n for kind, value in found if (n := int(float(value)))}


def waiting(house: House) -> int:
    return batches(house, "ingest_batches_waiting").get("push", 0)


def shed(house: House) -> dict[str, int]:
    return batches(house, "shed_batches_total")


def names(eve: Eve, count: int) -> list[Operation]:
    """So many small operations of hers, one after the other."""
    member = DocumentId(bytes.fromhex(eve.house.member))
    return eve.draw(
        *(
            Draft.fact(PROFILE, Profile(), document=member, parts=[(NAME, f"Eve {n}".encode())])
            for n in range(count)
        )
    )


def gossips(eve: Eve, operation: Operation) -> None:
    """On the community's own topic, as any member may."""
    channel = gossip.Channel.of(eve.realm.epochs()[0][1])
    eve.listen_to({channel.topic})
    for plain in gossip.hints([operation], bytes(32), whole=True):
        with suppress(NetworkError):
            eve.shout(channel.topic, channel.seal(plain, os.urandom(12)))


def test_gossip_goes_first_and_pushes_next_and_everything_comes() -> None:
    with street() as made:
        alice, bob, house = made.community("alice", "bob", "eve", config=QUICK)
        alice.do("resource.add", name="Drill", number="1")
        agree(alice, bob, house)
        with gone_bad(house) as eve:
            talk = eve.talk(alice)
            mine = names(eve, FIRST + OTHERS + 1)
            eve.keep(*mine)  # so that whatever is not taken now can be fetched later
            with nobody_checks(alice):
                talk.say(carriage.pack_push(talk.slot, mine[:FIRST]))
                for one in mine[FIRST:-1]:
                    talk.push(one)
                until(
                    lambda: waiting(alice) >= GOSSIP_AT,
                    "what eve says waits for the checkers",
                )

                def gossip_is_shed() -> bool:
                    gossips(eve, mine[-1])
                    return "gossip" in shed(alice)

                until(gossip_is_shed, "gossip is shed", 30)
                assert set(shed(alice)) == {"gossip"}, "and nothing else yet"
                for _ in range(TURNS):  # each is pushed by a node that knows nothing of it
                    loan = bob.do("loan.request", resource="1", days=1)["loan"]
                    bob.do("loan.cancel", loan=loan)
                    if "push" in shed(alice):
                        break
                else:
                    raise AssertionError(f"no push is shed, {waiting(alice)} wait")
                assert waiting(alice) >= GOSSIP_AT
            assert alice.refusal("shed_gossip") > 0
            assert alice.refusal("shed_push") > 0
            agree(alice, bob)
            wanted = {operation_id(one.header).hex() for one in mine}
            until(lambda: wanted <= alice.verdicts().keys(), "all that eve has said comes", 60)
            assert set(shed(alice)) == {"gossip", "push"}, "what is fetched never is"
            assert not alice.refusal("penalty"), "and nobody is kept out for having much to say"
