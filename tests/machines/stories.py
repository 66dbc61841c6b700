"""Stories that lead every machine through what a storm does not do: refusals, blocks, dead ends."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import replace

import pytest
from tests.machines.drawings import OUTSIDE
from tests.machines.recorder import Recorder
from tests.machines.watched_protocol import serve
from tests.simulation.meeting import Meeting, Thief, home, neighbourhood
from tests.simulation.test_sync_rounds import notes
from tests.unit import test_parts_protocol as two
from tests.unit import town as small
from tests.unit.test_lending_folds import Street, member

from commons_crdt.author import Draft
from commons_crdt.folds import Fact
from commons_crdt.ids import OperationId, digest
from commons_crdt.operation import decode_header, operation_id
from commons_crdt.roles import Role
from commons_node.domains.membership.facts import PROFILE
from commons_node.peering import book
from commons_node.testing import acts
from commons_node.testing.liars import behind, craft, keep, renaming, resigned, say, tip
from commons_node.testing.node import Node
from commons_node.testing.town import Town
from commons_protocol import pull
from commons_protocol.codes import Invitation, invite_key
from commons_protocol.joining import TurnedAwayError
from commons_protocol.parts import IDLE_MS, PATIENCE_MS

INVITE = "invite#An invite, as a node of the community sees it"
ALICE = small.person("alice")


def meetings() -> None:
    """Two nodes and one stream: strangers, a thief, silence, a narrow window."""
    alice, bob = neighbourhood("bob")
    notes(alice, ALICE, 500, 500)
    with pytest.MonkeyPatch.context() as narrow:
        narrow.setattr(pull, "WINDOW", 1)
        cut = Meeting([alice], [bob])
        while not _waits(cut):
            cut.step()
        cut.wait(61_000)
        Meeting([alice], [bob]).run()
    elsewhere = home(small.town(salt=lambda: digest("t-salt", b"else")), ALICE)
    elsewhere.keys = [(elsewhere.keys[0][0], digest("t-key", b"else"))]
    Meeting([alice], [elsewhere]).run()
    thief = Thief(alice.copy.island("thief"), small.secrets("thief's node"))
    for meeting in (Meeting([thief], [bob]), Meeting([bob], [thief])):
        meeting.run()
    newcomer = small.person("dan")
    alice.copy.admit(small.secrets("alice's node"), alice.copy.invite(ALICE, "dan"), newcomer)
    Meeting([home(alice.copy, newcomer)], [bob]).run()  # bob has not heard of dan's node
    for silent in range(1, 12):
        meeting = Meeting([alice], [bob], seed=silent)
        for _ in range(silent):
            meeting.step()
        for _ in range(80):
            meeting.wait(1000)


def parts() -> None:
    """Two nodes and one stream of parts: what comes, what does not, who is shown out and when."""
    data = two.BYTES
    two.pair(drill=data).want(data).run()
    two.pair().want(data).run()
    asked = two.pair(drill=data)
    asked.fetcher(asked.fetch.ask(asked.alice.realm, two.part_of(data), len(data), asked.now))
    asked.run()
    erased = two.pair(drill=data).want(data)
    while not erased.kept:
        erased.step()
    erased.held.clear()
    erased.run()
    for steps in range(9):
        both = two.pair(drill=data).want(data)
        for _ in range(steps):
            both.step()
        both.fetcher(both.fetch.tick(both.now + PATIENCE_MS + 1))
        both.giver(both.give.tick(both.now + IDLE_MS + 1))
    for steps in range(9):
        both = two.pair(drill=data).want(data)
        for _ in range(steps):
            both.step()
        both.bob.forgets = True
        both.run()
    two.test_two_questions_at_once_and_credit_without_end_are_refused()
    two.test_who_never_proves_anything_is_shown_out()
    silent = two.pair(drill=data)
    silent.giver(silent.give.tick(silent.now + IDLE_MS + 1))
    silent.fetcher(silent.fetch.on_frame(b"", silent.now))


def _waits(meeting: Meeting) -> bool:
    served = [s._serve for end in (meeting.d, meeting.l) for s in end.session.realms.values()]
    return any(serve(one) == "waiting" for one in served)


async def oddities(town: Town) -> None:
    """Eve writes what waits for long, what no rules list, and what comes without its contents."""
    await town.found([Role.MEMBER])
    alice, eve = town.nodes
    eve.liar = True
    alice.knows(eve)
    eve.knows(alice)
    for node in town.nodes:
        await node.start()
    await asyncio.sleep(10)
    near = [str(alice.peer)]
    dream = await craft(eve, Draft("town.dream.1", b"from a newer version"), await tip(eve))
    more = behind(eve, dream)
    last = behind(eve, more)
    for said in (dream, last, more):  # the last one waits for the one before
        say(eve, [said], near)
        await asyncio.sleep(1)
    await keep(eve, [dream, more, last])
    bad = await craft(eve, Draft(PROFILE, b"no profile"), await tip(eve))
    say(eve, [replace(bad, body=None)], near)
    await asyncio.sleep(1)
    say(eve, [bad], near)
    await keep(eve, [bad])
    good = await craft(eve, renaming(eve, town.rng), await tip(eve))
    soon = resigned(eve, good, time_ms=decode_header(good.header).time_ms + 3_600_000)
    say(eve, [soon, behind(eve, behind(eve, soon))], near)  # and not the one between
    await asyncio.sleep(2 * 3600)


def loans() -> list[list[Fact]]:
    """What stewards and borrowers say past all verbs, each about what is there."""
    rng = random.Random(1)
    return [_second_offer(), *(_loan_history(rng) for _ in range(300))]


def _second_offer() -> list[Fact]:
    """Bob offers it back, and accepts another offer after all: by chance that is rare."""
    street = Street()
    loan, accept = street.lend("alice", "bob")
    street.give_back("bob", accept)
    street.accept("bob", street.hand_over("cia", loan, "bob"))
    return street.facts


def _loan_history(rng: random.Random) -> list[Fact]:
    street = Street()
    loans = [street.request(rng.choice(("bob", "dan"))) for _ in range(rng.randrange(1, 3))]
    offers: list[Fact] = []
    taken: list[Fact] = []
    back: list[Fact] = []
    wishes: list[Fact] = []
    for _ in range(rng.randrange(2, 10)):
        loan, steward = rng.choice(loans), rng.choice(("alice", "cia"))
        borrower = "bob" if loan.member == member("bob") else "dan"
        match rng.randrange(9):
            case 0 | 1:
                street.decide(steward, loan, approve=rng.random() < 0.6)
            case 2:
                offers.append(street.hand_over(steward, loan, borrower))
            case 3 if offers:
                offer = rng.choice(offers)
                who = "bob" if offer.body.taker == member("bob") else "dan"
                taken.append(street.accept(who, offer))
            case 4 if taken:
                accept = rng.choice(taken)
                who = "bob" if accept.member == member("bob") else "dan"
                back.append(street.give_back(who, accept))
            case 5 if taken:
                accept = rng.choice(taken)
                mine = [one for one in back if one.body.accept == accept.id]
                street.receive(steward, accept, rng.choice(mine) if mine else None)
            case 6 if rng.random() < 0.3:
                street.cancel(borrower, loan)
            case 7:
                wishes.append(street.extend(borrower, loan, rng.randrange(10, 20)))
            case 8 if wishes:
                street.answer(steward, rng.choice(wishes), approve=rng.random() < 0.6)
            case _:
                pass
    return street.facts


async def blocks(town: Town) -> None:
    """Alice blocks bob and lets him in again; a node without a community calls; others go."""
    await town.found([Role.MEMBER, Role.MEMBER])
    alice, bob, carol = town.nodes
    for node in town.nodes:
        for other in town.nodes:
            if other is not node:
                node.knows(other)
        await node.start()
    await asyncio.sleep(10)
    await alice.run(alice.peering.block(bob.node))
    await asyncio.sleep(5)
    await alice.run(alice.peering.unblock(bob.node))
    stranger = town.newcomer(Role.NEWCOMER)
    await stranger.start()
    await alice.run(alice.peering.connect(stranger.host.address))
    await asyncio.sleep(30)
    alice.peering.acquaintance.found(stranger.peer, (stranger.host.address,))
    await alice.run(alice.peering.book.forget(stranger.node))
    await carol.run(carol.peering.block(stranger.node))


async def invites(town: Town, recorder: Recorder) -> None:
    """An invite is used up, one expires, one is torn by a fork; wrong ones are refused."""
    await town.found([Role.MEMBER])
    alice, bob = town.nodes
    bob.liar = True
    for node in town.nodes:
        node.knows(town.nodes[0] if node is bob else bob)
        await node.start()
    await asyncio.sleep(10)
    once = await _invite(town, alice, "once")
    twice = await _invite(town, alice, "twice")
    _look(recorder, alice, [once.invite, twice.invite])
    for n, code in enumerate((once, once, _wrong_pin(twice), _unknown(twice))):
        came_in = await town.join(town.newcomer(Role.NEWCOMER), code, alice, tries=1)
        assert came_in == (n == 0), "one use, one newcomer"
        _look(recorder, alice, [once.invite, twice.invite])
    await _fork(recorder, town, alice, bob)
    assert alice.life is not None
    alice.life.skew_ms = 8 * acts.DAY_MS
    assert alice.life.context.run(_state, alice, twice.invite) == "expired"
    recorder.move(INVITE, twice.invite, "expired")
    assert not await town.join(town.newcomer(Role.NEWCOMER), twice, alice, tries=1)


async def _invite(town: Town, node: Node, label: str) -> Invitation:
    made = await node.run(town.invite(node, label))
    assert made is not None
    return made


def _wrong_pin(code: Invitation) -> Invitation:
    return replace(code, pin=bytes(16))


def _unknown(code: Invitation) -> Invitation:
    return replace(code, invite=OperationId(digest("t-op", b"no such invite")))


async def _fork(recorder: Recorder, town: Town, alice: Node, bob: Node) -> None:
    """Bob signs two invites at one place; the first, which alice knew, stands no more."""
    end = await tip(bob, 0)
    drafts = [acts.invitation(invite_key(bytes([n]) * 16), 1, town.nodes[0].now_ms() + 10**9)
              for n in (1, 2)]  # fmt: skip
    one, two = [await craft(bob, draft, end) for draft in drafts]
    ident = OperationId(operation_id(one.header))
    say(bob, [one], [str(alice.peer)])
    await asyncio.sleep(2)
    _look(recorder, alice, [ident])
    say(bob, [two, behind(bob, two)], [str(alice.peer)])
    await asyncio.sleep(2)
    _look(recorder, alice, [ident])


def _state(node: Node, ident: OperationId) -> str:
    if node.admissions.find(ident) is None:
        return OUTSIDE
    try:
        node.admissions._check(node.community.realm, ident)
    except TurnedAwayError as error:
        return error.code
    return "open"


def _look(recorder: Recorder, node: Node, ids: Sequence[OperationId]) -> None:
    assert node.life is not None
    for ident in ids:
        state = node.life.context.run(_state, node, ident)
        if state == OUTSIDE:
            recorder.end(INVITE, ident)
        else:
            recorder.move(INVITE, ident, state)


async def forgets(town: Town, patch: pytest.MonkeyPatch) -> None:
    """A book with room for one peer."""
    patch.setattr(book, "MOST_KNOWN", 1)
    await town.found([Role.MEMBER, Role.MEMBER, Role.MEMBER])
    alice, *others = town.nodes
    await alice.start()
    for node in others:
        node.knows(alice)
        await node.start()
        await asyncio.sleep(20)
        await node.stop()
        await asyncio.sleep(20)
