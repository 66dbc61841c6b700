"""What somebody said to the council, as a line of the history: by whom, and about what."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from commons_crdt.authority.book import Entry
from commons_crdt.authority.council_facts import Ballot, CouncilAct, Endorse
from commons_crdt.ids import OperationId
from commons_crdt.texts import Spoken, _
from commons_node.community import Community
from commons_node.domains.council.acts import describe, ledger
from commons_node.explaining import catalogue

_SAID: Final = Spoken({
    "act": "{author} proposed to the council: {what}.",
    "ballot": "{author} put to the vote what {by} proposed: {what}.",
    "own_ballot": "{author} put the own proposal to the vote: {what}.",
    "endorse": "{author} endorsed what {by} proposed: {what}.",
    "own_endorse": "{author} endorsed the own proposal: {what}.",
})  # fmt: skip
_Find = Callable[[bytes], Entry | None]
KINDS: Final = frozenset({"council.act.1", "council.ballot.1", "council.endorse.1"})
"""What members say to a council."""


async def said_to_council(
    community: Community, ids: Mapping[OperationId, str]
) -> dict[OperationId, str]:
    """A sentence for each of these operations (id: kind) that names a proposal that is here."""
    wanted = [ident for ident, kind in ids.items() if kind in KINDS]
    if not wanted or community.realm.judge.authority.polity is None:
        return {}
    council, _base = ledger(community)
    names = await community.names()

    def entry(ident: bytes) -> Entry | None:
        number = council.book.numbers.get(OperationId(ident))
        return None if number is None else council.book.entries[number]

    def called(one: Entry) -> str:
        if one.member is None:
            return _(catalogue.SOMEBODY)
        return names.get(one.member, one.member.hex()[:8])

    found: dict[OperationId, str] = {}
    for ident in wanted:
        said = entry(ident)
        act = _proposal(said, entry) if said is not None else None
        if said is None or act is None or not isinstance(act.body, CouncilAct):
            continue
        base = council.book.numbers.get(OperationId(act.body.base))
        before = council.states.get(base) if base is not None else None
        if before is None:
            continue
        how = said.kind.split(".")[1]
        own = "own_" if how != "act" and said.member == act.member else ""
        found[ident] = catalogue.sentence(
            _SAID[own + how],
            author=called(said),
            by=called(act),
            what=describe(before, act.body.act, names),
        )
    return found


def _proposal(said: Entry, entry: _Find) -> Entry | None:
    """The proposal that an entry is, repeats or endorses."""
    at: Entry | None = said
    if at is not None and isinstance(at.body, Endorse):
        at = entry(at.body.ballot)
    if at is not None and isinstance(at.body, Ballot):
        at = entry(at.body.act)
    return at
