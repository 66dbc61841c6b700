"""What a member has written that is theirs: texts and photos, each of which an erasure can take.

Descriptions of things and the community's own name are the community's: they stay until somebody
erases them by themselves. Loans, votes and other bodies hold no text of a person.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from commons_crdt.author import Draft
from commons_crdt.authority.facts import Erasure
from commons_crdt.authority.judge import ERASURE
from commons_crdt.errors import CommonsError
from commons_crdt.ids import DocumentId, MemberId, OperationId
from commons_crdt.texts import N_
from commons_node.community import Actor, Community, Unknown, find
from commons_node.domains.membership.facts import COMMUNITY, PROFILE
from commons_node.domains.profiles.facts import FIELD, FIELDS
from commons_node.domains.profiles.reading import field_of
from commons_node.realm.authoring import Written
from commons_node.store.database import placeholders

COMMUNAL: Final = frozenset({COMMUNITY})
"""Kinds whose texts are not their author's own."""
FIELD_NAMES: Final = ("name", *FIELDS)
_BATCH: Final = 16
_LIST: Final = "commons-node member texts"


@dataclass(frozen=True, slots=True)
class Text:
    """A fact of a member with a text or a photo in its parts. ``field``: of a profile, or ""."""

    id: OperationId
    kind: str
    document: DocumentId
    time_ms: int
    parts: tuple[str, ...]
    field: str


async def texts_of(community: Community, member: MemberId) -> list[Text]:
    """What is not erased yet, the oldest first; also what nobody accepted."""
    own = community.grants_of(member)
    rows = await community.query(
        "SELECT o.id, o.kind, o.document, o.time_ms, group_concat(p.name) FROM operations o"  # noqa: S608 - own clause
        " JOIN parts p ON p.operation = o.n"
        f" WHERE o.origin IN ({placeholders(len(own))}) GROUP BY o.n ORDER BY o.n",
        own,
    )
    kinds, erased = community.realm.rules.kinds, community.realm.judge.erased
    found = []
    for ident, name, document, time_ms, parts in rows:
        kind = kinds.get(name)
        if kind is None or kind.schema is not None or name in COMMUNAL or ident in erased:
            continue
        field = "name" if name == PROFILE else ""
        if name == FIELD:
            field = await field_of(community, ident) or ""
        found.append(
            Text(
                OperationId(ident), name, DocumentId(document), time_ms,
                tuple(sorted(set(parts.split(",")))), field,
            )
        )  # fmt: skip
    return found


def chosen(found: Sequence[Text], what: str | None) -> list[Text]:
    """Those that ``what`` means: a field of the profile, an id or its beginning; None: all.

    Raises ``Unknown`` where that is nothing.
    """
    if what is None:
        return list(found)
    field = what.strip().lower()
    if field in FIELD_NAMES:
        of_field = [one for one in found if one.field == field]
        if not of_field:
            raise Unknown(what="text", name=what, list=_LIST)
        return of_field
    ident = find(N_("text"), what, [(one.id, ()) for one in found], _LIST)
    return [one for one in found if one.id == ident]


async def erase(
    community: Community, actor: Actor, texts: Iterable[Text]
) -> tuple[list[Written], CommonsError | None]:
    """Erase them, some at a time; what was written, and why it went no further, if so."""
    drafts = [
        Draft.fact(ERASURE, Erasure(one.id), document=one.document, refs=[one.id]) for one in texts
    ]
    written: list[Written] = []
    for at in range(0, len(drafts), _BATCH):
        try:
            written += await community.write(actor, *drafts[at : at + _BATCH])
        except CommonsError as error:
            if not written:
                raise
            return written, error
    return written, None


def row_of(one: Text, moment: str | None) -> Mapping[str, object]:
    """As lists show it."""
    return {
        "operation": one.id.hex(),
        "kind": one.kind,
        "what": one.field or ", ".join(one.parts),
        "time": moment,
    }
