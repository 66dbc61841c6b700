"""Tales of the small town in which everything happens to operations that can happen to them.

Each is a `Replica` that lived through it; rooms must come to the same end from its operations.
"""

from __future__ import annotations

from functools import cache

from tests.unit.rooms import Village, ident, note, page, retitle, schema, village
from tests.unit.town import (
    LOAN,
    METER,
    NOTE,
    NOTICE,
    PAGE,
    Number,
    Person,
    Replica,
    Ticket,
    erasure,
    invitation,
    person,
    secrets,
    ticket_seed,
)

from commons_crdt.author import Draft
from commons_crdt.authority.council_facts import CouncilAct, CouncilContent, Lift, Seal, Tip
from commons_crdt.authority.endings import NOTHING, Ending, Position
from commons_crdt.authority.facts import Branch, Demotion, Removal
from commons_crdt.authority.judge import Standing
from commons_crdt.authority.kinds import BRANCH, DEMOTION, REMOVAL
from commons_crdt.document.write import create
from commons_crdt.ids import DocumentId, OperationId, digest
from commons_crdt.operation import content
from commons_crdt.roles import Role

COUNCIL_ACT = "council.act.1"


def _facts(home: Replica, town: Village) -> None:
    first = note(home, town.bob, 1, "the shed is open")
    home.write(town.bob.device, Draft.fact(LOAN, Number(0)))
    home.write(town.eve.device, Draft.fact(LOAN, Number(2), refs=[first.id]))
    home.write(town.bob.device, Draft.fact(LOAN, Number(-1)))  # terms
    home.write(town.bob.device, Draft.fact(NOTICE, Number(3)))  # role
    home.write(town.cia.device, Draft(NOTICE, b"\x81\x00" + b"x" * 64))  # oversize
    home.write(town.cia.device, Draft(NOTICE, b"no cbor"))  # malformed
    home.write(town.bob.device, Draft("town.dream.1", b"from a newer version"))  # unknown
    home.write(secrets("alice's node"), Draft.fact(METER, Number(7)))
    note(home, town.alice, 5, "all tools are sharp")


def _pages(home: Replica, town: Village) -> None:
    """Two people edit one page while apart; eve tries what documents refuse."""
    tools = page(home, town.alice, "Tools")
    retitle(home, town.bob, tools, "Tools to borrow")
    island = home.island("island")
    retitle(home, town.bob, tools, "Our tools")
    retitle(island, town.alice, tools, "All tools")
    home.meet(island)
    retitle(home, town.alice, tools, "Every tool")
    # a second beginning that has not seen the first: whoever gets it first must refuse it, too
    mine = create(town.eve.device.keys.id, {"title": "Mine"}, schema())
    home.write(town.eve.device, Draft(PAGE, mine, document=DocumentId(tools.id)), aware=False)
    home.write(town.eve.device, Draft(PAGE, b"bad", document=DocumentId(tools.id)))
    # one change in two operations: the second is refused, and nothing is built on it
    own = page(home, town.eve, "Eve's")
    once = retitle(home, town.eve, own, "Eve's own")
    change = content(home.operations[once.id].body or b"")
    draft = Draft(PAGE, change, document=DocumentId(own.id), refs=[own.id])
    twice = home.write(town.eve.device, draft)
    aside = home.island("aside")
    behind = retitle(aside, town.eve, own, "Eve's alone")
    built = content(aside.operations[behind.id].body or b"")
    for base in (twice, once):
        draft = Draft(PAGE, built, document=DocumentId(own.id), refs=[base.id])
        home.write(town.eve.device, draft)


@cache
def plain() -> tuple[Replica, Village]:
    """All that can become of an operation, without erasures and forks."""
    home, town = village()
    _facts(home, town)
    _pages(home, town)
    return home, town


@cache
def erased() -> tuple[Replica, Village]:
    """The same, and bob's note and the page about tools are erased."""
    home, town = plain()
    home = home.island("erased")
    for standing in list(home.standings.values()):
        if standing.kind == NOTE and standing.device == town.bob.device.keys.id:
            home.write(town.bob.device, erasure(standing))
    first = next(s for s in home.standings.values() if s.kind == PAGE)
    home.write(town.alice.device, erasure(first))
    retitle(home, town.bob, first, "Tools once more")
    return home, town


@cache
def forked() -> tuple[Replica, Village]:
    """The same, and eve signs two acts at one place, in both logs, and goes on behind each.

    In log 0 it is her very first act, an invite by which dan was let in.
    """
    home, town = erased()
    home = home.island("forked")
    garden = page(home, town.bob, "The garden")
    dan = person("dan")
    terms = invitation("dan", 1, home.now_ms + 10**9)
    ticket = Ticket(home.write(town.eve.device, terms).id, ticket_seed("dan"))
    home.admit(secrets("alice's node"), ticket, dan)
    note(home, dan, 16)
    grant = home.judge.authority.devices[town.eve.device.keys.id].id
    left = home.draw(town.eve.device, invitation("left", 1, home.now_ms + 10**9), after=grant)
    tip = note(home, town.eve, 10)
    one = home.draw(town.eve.device, Draft.fact(NOTE, Number(11)), after=tip.id)
    two = home.draw(town.eve.device, Draft.fact(NOTE, Number(12)), after=tip.id)
    home.receive(one)
    retitle(home, town.eve, garden, "Eve's garden")
    home.receive(two)
    home.receive(home.draw(town.eve.device, Draft.fact(NOTE, Number(14)), after=ident(two)))
    note(home, town.bob, 15)
    home.receive(left)
    return home, town


@cache
def split() -> tuple[Replica, Village]:
    """Eve forks her log 1 only: on one branch she erases, on both she edits bob's page."""
    home, town = plain()
    home = home.island("split")
    garden = page(home, town.bob, "The garden")
    mine = note(home, town.eve, 20, "eve's own words")
    other = home.island("other")
    home.erase(town.eve, mine)
    retitle(home, town.eve, garden, "Eve's garden")
    note(home, town.eve, 21)
    retitle(home, town.bob, garden, "Bob's and eve's garden")
    retitle(other, town.eve, garden, "A garden of eve's")
    retitle(other, town.alice, garden, "A garden")
    note(other, town.eve, 22)
    home.meet(other)
    note(home, town.cia, 23)
    return home, town


def position(home: Replica, who: Person, log: int, last: Standing | None = None) -> Position:
    """Where a chain ends here, or at ``last``."""
    if last is None:
        chain = home.chain(who.device.keys.id, log)
        last = chain[-1] if chain else None
    return Position(last.seq, last.id) if last else NOTHING


def removal(home: Replica, who: Person, record: Position | None = None, until_ms: int = 0) -> Draft:
    """What a coordinator writes to end somebody's chains here, or log 1 at ``record``."""
    log_0 = position(home, who, 0)
    ending = Ending(who.device.keys.id, log_0, record or position(home, who, 1))
    body = Removal(who.member, until_ms, (ending,), "conduct")
    refs = [OperationId(log_0.id)] if log_0 != NOTHING else []
    return Draft.fact(REMOVAL, body, log=0, document=DocumentId(who.member), refs=refs)


def lift(home: Replica, cut: Standing) -> Draft:
    """What a founder alone writes to take a cut back."""
    return Draft.fact(COUNCIL_ACT, CouncilAct(home.realm, 0, Lift(cut.id)), log=0, refs=[cut.id])


def council(
    home: Replica, who: Person, act: CouncilContent, base: OperationId | None = None
) -> Standing:
    """A founder alone is the council: what is proposed is in force."""
    newest = base or home.judge.authority.council.base
    return home.write(who.device, Draft.fact(COUNCIL_ACT, CouncilAct(newest, 0, act), log=0))


def seal(home: Replica, who: Person, *tips: Standing) -> Standing:
    """A seal of these, and of what its author has written in log 0."""
    own = home.chain(who.device.keys.id, 0)[-1]
    listed = sorted(Tip(s.device, s.log, s.seq, s.id) for s in (*tips, own))
    return council(home, who, Seal(tuple(listed), digest("state", b"town")))


@cache
def removed() -> tuple[Replica, Village]:
    """Eve is removed as of a while ago; till the others hear of it she and they go on."""
    home, town = plain()
    home = home.island("removed")
    garden = page(home, town.bob, "The garden")
    kept = note(home, town.eve, 30, "eve's words")
    last = note(home, town.eve, 31)
    island = home.island("unheard")
    home.write(town.alice.device, removal(home, town.eve, position(home, town.eve, 1, last)))
    note(home, town.cia, 32)
    island.erase(town.eve, kept)
    retitle(island, town.eve, garden, "Eve's garden")
    retitle(island, town.bob, garden, "Bob's and eve's garden")
    asked = note(island, town.eve, 33)
    island.write(town.eve.device, Draft.fact(LOAN, Number(34), refs=[asked.id]))
    island.write(town.bob.device, Draft.fact(LOAN, Number(35), refs=[asked.id]))
    island.invite(town.eve, "eve's friend")
    own = page(island, town.eve, "Eve's page")
    retitle(island, town.bob, own, "Bob was here")
    home.meet(island)
    note(home, town.cia, 36)
    return home, town


@cache
def lifted() -> tuple[Replica, Village]:
    """The same, and the founder takes the removal back: everything stands again."""
    home, town = removed()
    home = home.island("lifted")
    cut = next(s for s in home.standings.values() if s.kind == REMOVAL)
    home.write(town.alice.device, lift(home, cut))
    note(home, town.bob, 40)
    return home, town


@cache
def demoted() -> tuple[Replica, Village]:
    """Cia was a steward up to a while ago: what takes one falls, the rest is a newcomer's."""
    home, town = plain()
    home = home.island("demoted")
    last = note(home, town.cia, 50)
    island = home.island("unheard")
    ending = Ending(
        town.cia.device.keys.id, position(home, town.cia, 0), position(home, town.cia, 1, last)
    )
    body = Demotion(town.cia.member, Role.NEWCOMER, (ending,), "request")
    document = DocumentId(town.cia.member)
    home.write(town.alice.device, Draft.fact(DEMOTION, body, log=0, document=document))
    island.write(town.cia.device, Draft.fact(NOTICE, Number(51)))
    note(island, town.cia, 52)
    page(island, town.cia, "Cia's page")
    home.meet(island)
    return home, town


@cache
def branched() -> tuple[Replica, Village]:
    """As in ``split``, and alice names one of eve's branches: that one stands, to its end."""
    home, town = split()
    home = home.island("branched")
    ones = [s for s in home.chain(town.eve.device.keys.id, 1) if s.kind == PAGE]
    named = position(home, town.eve, 1, ones[-1])
    ending = Ending(town.eve.device.keys.id, position(home, town.eve, 0), named)
    body = Branch(town.eve.member, ending)
    document = DocumentId(town.eve.member)
    home.write(town.alice.device, Draft.fact(BRANCH, body, log=0, document=document))
    note(home, town.bob, 60)
    return home, town


TALES = (plain, erased, forked, split, removed, lifted, demoted, branched)
