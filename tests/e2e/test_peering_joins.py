"""Joining over real libp2p: let in once however often, turned away with a reason, no flood."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pytest
from tests.e2e.test_peering import ALICE, BOB, QUICK, network, port_of, running, until, written
from tests.simulation.meeting import Home, neighbourhood
from tests.unit import town

from commons_crdt.author import Draft
from commons_crdt.authority.facts import Admit, Identity, Invite
from commons_crdt.authority.judge import Standing
from commons_crdt.authority.kinds import ADMIT, INVITE
from commons_crdt.device import sign_claim
from commons_crdt.ids import DocumentId, OperationId, RealmId, digest
from commons_crdt.operation import Operation
from commons_crdt.roles import Role
from commons_node.peering import (
    MemoryBook,
    NotJoined,
    Peering,
)
from commons_node.peering.entrance import Ask
from commons_node.peering.types import Joined
from commons_protocol import codes
from commons_protocol.joining import TurnedAwayError
from commons_protocol.network import (
    Address,
)


@dataclass
class Admitting:
    """Alice's node lets newcomers in."""

    home: Home
    invite: OperationId
    key: bytes
    turned: str = ""
    admitted: dict[bytes, Standing] = field(default_factory=dict)

    def find(self, invite: OperationId) -> tuple[RealmId, bytes] | None:
        return (self.home.realm, self.key) if invite == self.invite else None

    async def admit(
        self,
        realm: RealmId,
        invite: OperationId,
        identity: Identity,
        possession: bytes,
        consent: bytes,
    ) -> Sequence[Operation]:
        if self.turned:
            raise TurnedAwayError(self.turned)
        copy = self.home.copy
        if identity.member not in self.admitted:
            fact = Admit(invite, identity, possession, consent, ())
            document = DocumentId(identity.member)
            draft = Draft.fact(ADMIT, fact, log=0, document=document)
            self.admitted[identity.member] = copy.write(self.home.device, draft)
        return [copy.operations[i] for i, s in copy.standings.items() if s.log == 0]


SEED = b"sixteen bytes se"


def inviting() -> tuple[Home, Admitting]:
    a = neighbourhood()[0]
    fact = Invite(codes.invite_key(SEED), 1, a.copy.now_ms + town.DAY_MS)
    standing = a.copy.write(ALICE.device, Draft.fact(INVITE, fact, log=0))
    return a, Admitting(a, standing.id, codes.invite_key(SEED))


async def test_a_newcomer_joins_by_a_code_and_then_syncs_as_everybody() -> None:
    a, admissions = inviting()
    written(a, ALICE, 5)
    identity = town.identity(BOB.device)
    homes: list[Home] = []
    refusals: Counter[str] = Counter()
    bob = Peering(
        network("bob", refusals), lambda: homes, MemoryBook(), refusals=refusals, settings=QUICK
    )
    async with running(a, admissions=admissions) as alice:
        text = codes.encode_invite(admissions.invite, SEED, a.realm, alice.addresses[0])
        invitation = codes.decode_invite(codes.grouped(text))
        await bob.start()
        try:

            def consent(realm: RealmId) -> bytes:
                signed = (realm, admissions.invite, identity.member)
                return sign_claim("consent", BOB.device.signing, *signed)

            joined = await bob.join(invitation, identity, consent)
            again = await bob.join(invitation, identity, consent)
            assert joined == again, "the same admission, however often"
            assert joined.node == alice.node
            copy = town.replica(joined.realm, "bob", joined.operations)
            assert copy.role(BOB) is Role.NEWCOMER
            copy.now_ms = a.copy.now_ms
            node = town.secrets("bob's node")
            copy.grant_node(BOB, node)
            homes.append(Home(copy, node))
            bob.refresh()
            assert (await bob.wait_converged(timeout=40)).converged
            assert homes[0].digest() == a.digest()
        finally:
            await bob.stop()


@pytest.mark.parametrize("code", ["expired", "spent"])
async def test_a_newcomer_hears_why_the_invite_does_not_help(code: str) -> None:
    a, admissions = inviting()
    admissions.turned = code
    async with (
        running(a, admissions=admissions) as alice,
        running(neighbourhood()[0], name="bob") as bob,
    ):
        text = codes.encode_invite(admissions.invite, SEED, a.realm, alice.addresses[0])
        with pytest.raises(NotJoined) as caught:
            await bob.join(codes.decode_invite(text), town.identity(BOB.device), consenting(a))
        assert caught.value.turned == code
        assert alice.refusals[f"join_{code}"] == 1


def consenting(home: Home) -> Callable[[RealmId], bytes]:
    member = town.identity(BOB.device).member
    invite = list(home.copy.operations)[-1]
    return lambda realm: sign_claim("consent", BOB.device.signing, realm, invite, member)


async def test_another_node_at_the_address_of_the_code_learns_nothing() -> None:
    a, admissions = inviting()
    async with (
        running(a, admissions=admissions, name="eve") as eve,
        running(neighbourhood()[0], name="bob") as bob,
    ):
        elsewhere = Address(f"/ip4/127.0.0.1/tcp/{port_of(eve)}/p2p/{bob.peer}")
        text = codes.encode_invite(admissions.invite, SEED, a.realm, elsewhere)
        with pytest.raises(NotJoined, match="another node answers"):
            await bob.join(codes.decode_invite(text), town.identity(BOB.device), consenting(a))


async def test_who_tries_invites_by_the_dozen_is_stopped() -> None:
    a, admissions = inviting()
    async with (
        running(a, admissions=admissions) as alice,
        running(neighbourhood()[0], name="eve") as eve,
    ):
        alice._entrance._now = lambda: 0  # however long it takes, no minute passes
        wrong = codes.Invitation(OperationId(digest("t-none")), SEED, a.realm[:16], alice.addresses)
        for _ in range(14):
            with pytest.raises(NotJoined):
                await eve.join(wrong, town.identity(BOB.device), consenting(a))
        assert alice.refusals["join_stranger"] == QUICK.joins_per_minute
        assert alice.refusals["join_flood"] == 4


async def test_who_is_let_in_as_the_line_breaks_is_in_and_finds_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nobody is called a second time to be told that it was heard."""
    a, admissions = inviting()
    anywhere, cut = Ask.anywhere, list[Address]()
    async with (
        running(a, admissions=admissions) as alice,
        running(neighbourhood()[0], name="bob") as bob,
    ):

        async def breaking(
            ask: Ask, addresses: Sequence[Address], seconds: float
        ) -> tuple[Joined, Address]:
            joined, address = await anywhere(ask, addresses, seconds)
            await alice.network.block(bob.peer)
            await until(lambda: alice.peer not in bob.network.peers())
            cut.append(address)
            return joined, address

        monkeypatch.setattr(Ask, "anywhere", breaking)
        text = codes.encode_invite(admissions.invite, SEED, a.realm, alice.addresses[0])
        joined = await bob.join(codes.decode_invite(text), town.identity(BOB.device), consenting(a))
        assert cut, "the line was gone when they were let in"
        assert (joined.node, joined.realm) == (alice.node, a.realm)
        await alice.network.unblock(bob.peer)
        await until(lambda: alice.peer in bob.network.peers(), 30)
