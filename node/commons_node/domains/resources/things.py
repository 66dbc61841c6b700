"""Things as verbs see them: what they are, whose they are, who has them now.

Reads the views of resources and of lending together, and finds a thing by number, name or id.
Writes nothing; a state that can be computed is computed here, every time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from commons_crdt.ids import ZERO, DeviceId, DocumentId, MemberId, OperationId
from commons_node.certainty import provisional_rows, provisional_things
from commons_node.community import Ambiguous, Community, Unknown
from commons_node.domains.resources.facts import ITEM_SCHEMA, SPECIFICATION_SCHEMA
from commons_node.store.database import placeholders

_ITEM = tuple(ITEM_SCHEMA.fields)
_SPECIFICATION = tuple(SPECIFICATION_SCHEMA.fields)
_PREFIX = 8
_LIST = "commons-node resource list"
_ERASED = "(erased)"
_IN = 400
SEARCHED = ("name", "other_names", "brand", "model", "categories")
"""What of a kind of things is looked through for words."""

_OUT = (  # an acceptance whose hand-over is not here could be anybody's word
    "FROM v_loans l WHERE l.resource = i.key AND l.provisional = 0"
    " AND l.state IN ('on_loan', 'returning')"
)
_SELECT = (
    f"SELECT i.key, ch.device, {', '.join('i.' + name for name in _ITEM)},"  # noqa: S608 - our names
    f" {', '.join('s.' + name for name in _SPECIFICATION)},"
    " c.holder, c.loan, c.move, c.provisional, c.conflicts,"
    f" (SELECT count(*) {_OUT}), (SELECT min(l.key) {_OUT})"
    " FROM v_items i LEFT JOIN v_specifications s ON s.key = i.specification"
    " LEFT JOIN v_custody c ON c.key = i.key"
    " JOIN operations o ON o.id = i.key JOIN chains ch ON ch.n = o.chain"
)

Value = str | int | bytes | None
Place = tuple[int, str, str, bytes]
"""Orders things by number, then by name."""


@dataclass(frozen=True, slots=True)
class Thing:
    """One thing. ``item`` and ``kind`` are the fields of its document and its specification's.

    ``owner`` is the steward whose device created it; ``holder`` and ``move`` come from lending's
    custody and are None while it never moved; ``out`` counts the copies on loan.
    """

    id: DocumentId
    item: Mapping[str, Value]
    kind: Mapping[str, Value]
    owner: MemberId | None
    holder: MemberId | None
    loan: OperationId | None
    move: bytes
    provisional: bool
    conflicts: tuple[bytes, ...]
    out: int

    @property
    def number(self) -> str:
        """Its number, "" if it has none."""
        return str(self.item["number"] or "")

    @property
    def name(self) -> str:
        """What it is called, by its specification."""
        return str(self.kind["name"] or _ERASED)

    @property
    def place(self) -> Place:
        """Where it stands in lists."""
        return place_of(self.number, str(self.kind["name"] or ""), self.id)

    @property
    def label(self) -> str:
        """Name and number, for sentences."""
        return f"{self.name} {self.number}".strip()

    @property
    def specification(self) -> DocumentId:
        """The document of its kind."""
        found = self.item["specification"]
        return DocumentId(found if isinstance(found, bytes) else b"")

    @property
    def quantity(self) -> int | None:
        """How many of it there are; None if nobody counts."""
        return None if self.item["uncounted"] else int(self.item["quantity"] or 0)

    @property
    def single(self) -> bool:
        """True if there is one, so that its custody is a line of moves."""
        return self.quantity is not None and self.quantity <= 1

    @property
    def state(self) -> str:
        """``on_loan`` while it is out, else what its steward says; ``available`` for active."""
        away = self.loan is not None if self.single else False
        counted = self.quantity is not None and self.out > 0 and self.out >= self.quantity
        if away or counted:
            return "on_loan"
        return "available" if self.stated == "active" else self.stated

    @property
    def stated(self) -> str:
        """What its steward says: ``active``, ``maintenance``, ``pending`` or ``retired``."""
        return str(self.item["state"])

    @property
    def custodian(self) -> MemberId | None:
        """Who has it: the last taker, or its owner."""
        return self.holder or self.owner


async def things(
    community: Community, where: str = "1", arguments: Sequence[object] = ()
) -> list[Thing]:
    """Things by number; ``where`` may use the columns of items (i) and specifications (s)."""
    rows = await community.query(f"{_SELECT} WHERE {where}", arguments)
    return sorted((_thing(community, row) for row in rows), key=_place)


async def things_of(community: Community, keys: Sequence[DocumentId]) -> list[Thing]:
    """Those with these ids, by number."""
    found = []
    for at in range(0, len(keys), _IN):
        part = keys[at : at + _IN]
        found += await things(community, f"i.key IN ({placeholders(len(part))})", part)
    return sorted(found, key=_place)


def _place(thing: Thing) -> Place:
    return thing.place


def place_of(number: str | None, name: str | None, ident: bytes) -> Place:
    """Where a thing stands in lists: by number, then by name."""
    digits = number or ""
    first = int(digits) if digits.isdecimal() else 1 << 62
    return first, digits, (name or _ERASED).casefold(), ident


def _thing(community: Community, row: Sequence[Any]) -> Thing:
    key, device = row[:2]
    middle = 2 + len(_ITEM)
    end = middle + len(_SPECIFICATION)
    holder, loan, move, provisional, conflicts, out, first = row[end:]
    granted = community.realm.judge.authority.devices.get(DeviceId(device))
    item = dict(zip(_ITEM, row[2:middle], strict=True))
    conflicts = conflicts or b""
    single = not item["uncounted"] and (item["quantity"] or 0) <= 1
    return Thing(
        DocumentId(key),
        item,
        dict(zip(_SPECIFICATION, row[middle:end], strict=True)),
        granted.member if granted is not None else None,
        MemberId(holder) if holder is not None and single else None,
        (loan or first) if single else first,
        move or ZERO,
        bool(provisional),
        tuple(conflicts[at : at + 32] for at in range(0, len(conflicts), 32)),
        out,
    )


async def thing(community: Community, ident: bytes) -> Thing | None:
    """The thing with this id."""
    found = await things(community, "i.key = ?", (ident,))
    return found[0] if found else None


async def find_thing(community: Community, selector: str) -> Thing:
    """A thing by number, by id or 8 digits of it, or by name. Raises Unknown or Ambiguous."""
    wanted = selector.strip()
    found = await things(community, "i.number = ?", (wanted,))
    if not found and len(wanted) >= _PREFIX and _is_hex(wanted):
        lowest = bytes.fromhex((wanted + "0" * 64)[:64])
        highest = bytes.fromhex((wanted + "f" * 64)[:64])
        found = await things(community, "i.key BETWEEN ? AND ?", (lowest, highest))
    if not found:
        rows = await community.query("SELECT key, name FROM v_specifications")
        kinds = [key for key, name in rows if name.casefold() == wanted.casefold()]
        for kind in kinds:
            found += await things(community, "i.specification = ?", (kind,))
    if not found:
        raise Unknown(what="thing", name=selector, list=_LIST)
    if len(found) > 1:
        several = "; ".join(
            " ".join(str(part) for part in (one.number or one.id.hex()[:12], one.name,
                                            one.kind["brand"], one.kind["model"]) if part)
            for one in sorted(found, key=_place)[:10]
        )  # fmt: skip
        raise Ambiguous(name=selector, found=several)
    return found[0]


def _is_hex(text: str) -> bool:
    return all(letter in "0123456789abcdef" for letter in text.lower())


def row_of(thing: Thing, names: Mapping[MemberId, str]) -> dict[str, object]:
    """The row that lists show; ids in hex, people also by name."""
    custodian = thing.custodian
    return {
        "resource": thing.id.hex(),
        "number": thing.number or None,
        "name": thing.name,
        "state": thing.state,
        "custodian": custodian.hex() if custodian else None,
        "custodian_name": _name(custodian, names),
        "loan": thing.loan.hex() if thing.loan else None,
        "brand": thing.kind["brand"],
        "model": thing.kind["model"],
        "categories": thing.kind["categories"],
        "quantity": thing.quantity,
        "out": thing.out,
        "provisional": thing.provisional,
    }


def details_of(thing: Thing, names: Mapping[MemberId, str]) -> dict[str, object]:
    """Everything that is known of one thing."""
    hidden = {"state", "specification", "uncounted"}
    fields = {**thing.kind, **thing.item}
    kind = {name: value for name, value in fields.items() if name not in hidden}
    for flag in ("needs_approval", "consumable"):
        kind[flag] = None if kind[flag] is None else bool(kind[flag])
    return {
        **kind,
        **row_of(thing, names),
        "uncounted": bool(thing.item["uncounted"]),
        "condition": thing.item["state"],
        "specification": thing.specification.hex(),
        "owner": thing.owner.hex() if thing.owner else None,
        "owner_name": _name(thing.owner, names),
    }


def _name(member: MemberId | None, names: Mapping[MemberId, str]) -> str | None:
    return None if member is None else names.get(member, member.hex()[:_PREFIX])


async def settled_things(community: Community, found: Sequence[Thing]) -> list[bool]:
    """Of each whether all that its row is made of is settled: documents, custody, loan."""
    documents = await provisional_things(community)
    custody = await provisional_rows(community, "custody")
    lent = await provisional_rows(community, "loans")
    return [
        not (
            thing.id in documents
            or thing.specification in documents
            or thing.id in custody
            or (thing.loan is not None and thing.loan in lent)
        )
        for thing in found
    ]
