"""Loans as lists show them: a row of named fields each, and no more of them than are asked for.

What a field is made of is read only if somebody looks at it. Overdue is said of one moment.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from commons_crdt.ids import DeviceId, MemberId, OperationId
from commons_node.community import Community
from commons_node.domains.lending.changes import NONE, Change, changes_of
from commons_node.domains.lending.loans import Loan, forgiven
from commons_node.domains.lending.terms import instant
from commons_node.store.database import placeholders

NodeOf = Callable[[bytes, bytes], str | None]
"""(member, device) to the node that it belongs to, where that is known."""
Wrote = tuple[DeviceId, MemberId, int]
"""Who signed a step, and when (ms)."""

_IN: Final = 400
_PREFIX: Final = 8
_AUTHOR: Final = (
    "SELECT o.id, ch.device, o.origin, o.time_ms FROM operations o JOIN chains ch ON ch.n = o.chain"
)
_SIGNED: Final = (
    ("request", "request"),
    ("decision", "approve"),
    ("handover", "handover"),
    ("accept", "accept"),
    ("return_offer", "return"),
    ("receive", "receive"),
)
_BACK: Final = ("return", "receive")


@dataclass(frozen=True, slots=True)
class _Known:
    """What is known beside the loans themselves; empty where no field asks for it."""

    now_ms: int
    names: Mapping[MemberId, str]
    changes: Mapping[OperationId, Change]
    forgiven: Mapping[OperationId, MemberId]

    def is_overdue(self, one: Loan) -> bool:
        return one.overdue(self.now_ms) and self.forgiven.get(one.id) != one.borrower

    def is_forgiven(self, one: Loan) -> bool:
        return one.id in self.forgiven and self.forgiven[one.id] == one.borrower

    def extension(self, one: Loan) -> dict[str, object] | None:
        last = self.changes.get(one.id, NONE).last
        return last.json if last is not None else None


_Make = Callable[[Loan, _Known], object]
_MAKERS: Final[Mapping[str, _Make]] = {
    "loan": lambda one, _: one.id.hex(),
    "resource": lambda one, _: one.resource.hex(),
    "number": lambda one, _: one.number,
    "name": lambda one, _: one.name,
    "borrower": lambda one, _: _hex(one.borrower),
    "borrower_name": lambda one, known: _name(one.borrower, known.names),
    "state": lambda one, _: one.state,
    "from": lambda one, _: instant(one.row["from_ms"]),
    "due": lambda one, _: instant(one.row["until_ms"]),
    "due_day": lambda one, _: one.due_day,
    "zone": lambda one, _: one.zone,
    "meant": lambda one, _: one.meant,
    "moved": lambda one, _: one.moved,
    "overdue": lambda one, known: known.is_overdue(one),
    "forgiven": lambda one, known: known.is_forgiven(one),
    "keep": lambda one, _: one.kept[0].isoformat() if one.kept else None,
    "lapsed": lambda one, known: one.lapsed(known.now_ms),
    "extension": lambda one, known: known.extension(one),
    "provisional": lambda one, _: bool(one.row["provisional"]),
    "receiver": lambda one, _: _hex(one.row["receiver"]),
}
"""In the order in which they stand in a row; the steps come last."""
OUTLINED: Final = _MAKERS.keys() - {
    "number", "name", "due_day", "meant", "moved", "keep", "lapsed"
}  # fmt: skip
"""The fields that can be made of an outline (``loans.outlines``)."""


async def rows_of(
    community: Community,
    found: Sequence[Loan],
    now_ms: int,
    node_of: NodeOf,
    fields: frozenset[str] | None = None,
) -> list[dict[str, object]]:
    """The rows that lists show; of ``fields`` those that there are, or all."""
    makers = [(name, make) for name, make in _MAKERS.items() if fields is None or name in fields]
    steps = fields is None or "steps" in fields

    def asked(*names: str) -> bool:
        return fields is None or not fields.isdisjoint(names)

    known = _Known(
        now_ms,
        await community.names() if asked("borrower_name", "steps") else {},
        await changes_of(community, found) if asked("extension", "steps") else {},
        await forgiven(community) if asked("overdue", "forgiven") else {},
    )
    rows = [{name: make(one, known) for name, make in makers} for one in found]
    if steps:
        wrote = await _authors(community, _all_steps(found, known.changes))
        for row, one in zip(rows, found, strict=True):
            row["steps"] = [
                _step(one, label, step, wrote[step], known.names, node_of)
                for label, step in _signed(one, known.changes.get(one.id, NONE))
                if step in wrote
            ]
    return rows


def _all_steps(found: Sequence[Loan], changes: Mapping[OperationId, Change]) -> set[OperationId]:
    ids = {ident for one in found for column, _ in _SIGNED if (ident := one.operation(column))}
    return ids | {step for change in changes.values() for _label, step in change.steps}


def _signed(one: Loan, change: Change) -> list[tuple[str, OperationId]]:
    """All steps, in the order in which a loan goes."""
    found = [(label, one.operation(column)) for column, label in _SIGNED]
    way = [(label, step) for label, step in found if step is not None]
    back = [pair for pair in way if pair[0] in _BACK]
    return [*(pair for pair in way if pair[0] not in _BACK), *change.steps, *back]


def _step(
    one: Loan,
    label: str,
    ident: OperationId,
    wrote: Wrote,
    names: Mapping[MemberId, str],
    node_of: NodeOf,
) -> dict[str, object]:
    device, member, time_ms = wrote
    if label == "approve" and not one.row["approved"]:
        label = "decline"
    return {
        "step": label,
        "member": member.hex(),
        "name": _name(member, names),
        "device": device.hex(),
        "node": node_of(member, device),
        "time": instant(time_ms),
        "operation": ident.hex(),
    }


def _hex(ident: bytes | None) -> str | None:
    return ident.hex() if ident else None


def _name(member: MemberId | None, names: Mapping[MemberId, str]) -> str | None:
    return None if member is None else names.get(member, member.hex()[:_PREFIX])


async def _authors(community: Community, ids: Iterable[OperationId]) -> dict[OperationId, Wrote]:
    wanted = list(ids)
    found: dict[OperationId, Wrote] = {}
    grants = community.realm.judge.authority.grants
    for at in range(0, len(wanted), _IN):
        part = wanted[at : at + _IN]
        query = f"{_AUTHOR} WHERE o.id IN ({placeholders(len(part))})"
        for ident, device, origin, time_ms in await community.query(query, part):
            member = grants[OperationId(origin)].member
            found[OperationId(ident)] = (DeviceId(device), member, time_ms)
    return found
