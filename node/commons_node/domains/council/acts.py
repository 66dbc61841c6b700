"""What the council has decided, what is on its table, and what whoever asks can do about it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from itertools import pairwise

from commons_crdt.authority.ballots import Open, open_at
from commons_crdt.authority.council import Council as Ledger
from commons_crdt.authority.council import State, dismissals_of
from commons_crdt.authority.council_facts import (
    Coordinators,
    CouncilAct,
    CouncilContent,
    Dismissal,
    Lift,
    Members,
    RulesVersion,
    Seal,
    Settings,
)
from commons_crdt.ids import DeviceId, MemberId, OperationId
from commons_crdt.roles import Role
from commons_crdt.texts import _
from commons_node.certainty import standing_of_seals
from commons_node.community import Community
from commons_node.explaining.splitting import split_in_words
from commons_node.explaining.words import role_word
from commons_node.realm.realm import Realm
from commons_node.sealing.checking import Checked, seal_of

_SHORT = 12
_BRANCH = 5


Check = Callable[[Realm, OperationId], Awaitable[Checked]]
"""Whether a seal checks at this node."""


async def council_rows(
    community: Community, device: DeviceId | None, check: Check
) -> dict[str, object]:
    """The council as JSON; ``device``: whose next steps are named."""
    now = community.realm.judge.authority.council
    council, base = ledger(community)
    state = council.states[base]
    names = await community.names()
    on_table = open_at(council, base, device)
    seals = {one.act for one in on_table if one.act and seal_of(community.realm, one.act)}
    checked = {act: await check(community.realm, act) for act in sorted(seals)}
    table = [
        {
            "operation": one.operation.hex(),
            "act": one.act.hex() if one.act else None,
            "what": _what(state, one.act, community, names),
            "by": _name(state, one.by, names),
            "said": len(one.said),
            "needed": one.needed,
            "yours": one.answerable,
            "next": _next(one, checked),
            **_seal(community, one.act, checked),
        }
        for one in on_table
    ]
    acts = [
        {
            "operation": act.hex(),
            "what": describe(
                council.states[council.book.numbers[before]], content_of(community, act), names
            ),
            **_seal(community, act, {}),
        }
        for before, act in pairwise(now.chain)
    ]
    return {
        "base": now.base.hex(),
        "coordinators": [names.get(m, m.hex()[:8]) for m, _ in state.seats],
        "rules": state.rules,
        "settings": dict(state.settings),
        "split": _split(community, names),
        "warning": await _warning(community, names),
        "acts": acts,
        "table": table,
        **await standing_of_seals(community),
    }


def _next(one: Open, checked: Mapping[OperationId, Checked]) -> str:
    """What whoever asks can do about something on the table, or why a seal is not endorsed."""
    found = checked.get(one.act) if one.act else None
    if found is not None and not found.good:
        return found.why
    if not one.answerable:
        return ""
    return f"commons-node community endorse {one.operation.hex()[:_SHORT]}"


def _seal(
    community: Community, act: OperationId | None, checked: Mapping[OperationId, Checked]
) -> dict[str, object]:
    """The fields that only seals have: chains, state hash, and whether it checks here."""
    content = seal_of(community.realm, act) if act else None
    if act is None or content is None:
        return {}
    found: dict[str, object] = {"chains": len(content.tips), "state_hash": content.state.hex()}
    if act in checked:
        found |= {"checks": checked[act].good, "why": checked[act].why}
    return {"seal": found}


def ledger(community: Community) -> tuple[Ledger, int]:
    """The messages of all councils of a community, and the number of the act in force last."""
    polity = community.realm.judge.authority.polity
    if polity is None:
        raise LookupError(community.id)
    return polity.council, polity.acts[-1]


def content_of(community: Community, act: OperationId) -> CouncilContent:
    """The content of a council act that is in the book."""
    book = ledger(community)[0].book
    body = book.entries[book.numbers[act]].body
    if not isinstance(body, CouncilAct):
        raise TypeError(act)
    return body.act


def _split(community: Community, names: Mapping[MemberId, str]) -> list[dict[str, object]]:
    """The acts that are in force side by side, and whose keys endorsed both; usually nothing."""
    now = community.realm.judge.authority.council
    council, base = ledger(community)
    state = council.states[base]
    return [
        {
            "operation": act.hex(),
            "what": describe(state, content_of(community, act), names),
            "endorsed_twice_by": [_name(state, key, names) for key in sorted(now.forked)],
        }
        for act in sorted(now.split)
    ]


async def _warning(community: Community, names: Mapping[MemberId, str]) -> str | None:
    """The split in words, with what the acts that exclude each other are."""
    said = await split_in_words(community)
    if said is None:
        return None
    acts = (f"{str(one['operation'])[:_SHORT]}: {one['what']}" for one in _split(community, names))
    return " ".join([said, *(f"{one}." for one in acts)])


def _what(
    state: State, act: OperationId | None, community: Community, names: Mapping[MemberId, str]
) -> str:
    if act is None:
        return _("asks for your promise to lead a ballot")
    return describe(state, content_of(community, act), names)


def _name(state: State, device: DeviceId, names: Mapping[MemberId, str]) -> str:
    member = next((m for m, d in state.seats if d == device), None)
    return names.get(member, member.hex()[:8]) if member else device.hex()[:8]


def describe(before: State, content: CouncilContent, names: Mapping[MemberId, str]) -> str:
    """An act in a sentence."""

    def name(member: bytes) -> str:
        return names.get(MemberId(member), member.hex()[:8])

    match content:
        case Coordinators(seats=seats):
            old, new = dict(before.seats), dict(seats)
            come = [
                _("{name} becomes coordinator").format(name=name(m))
                for m in new
                if MemberId(m) not in old
            ]
            fate = [_fate(d, name(d.member)) for d in dismissals_of(before, content)]
            return "; ".join([*come, *fate]) or _("the coordinators stay, in another order")
        case Members(dismissals=dismissals):
            return "; ".join(_fate(d, name(d.member)) for d in dismissals)
        case Settings(settings=settings):
            return "; ".join(f"{key} = {value}" for key, value in settings)
        case RulesVersion(version=version):
            return _("rules version {version}").format(version=version)
        case Lift(cut=cut):
            return _("lifts {cut}").format(cut=cut.hex()[:_SHORT])
        case Seal(tips=tips, state=state):
            return _("seals {count} chains, state {state}").format(
                count=len(tips), state=state.hex()[:_SHORT]
            )


def _fate(dismissal: Dismissal, name: str) -> str:
    if dismissal.role == _BRANCH:
        return _("one branch of {name}'s forked device is told").format(name=name)
    if dismissal.role:
        return _("{name} is a {word} from now on").format(
            name=name, word=role_word(Role(dismissal.role))
        )
    return _("{name} is removed").format(name=name)
