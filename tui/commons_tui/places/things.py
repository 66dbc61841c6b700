"""Things: all that the community has, found by any word, and asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from commons_cli.tables import shown
from commons_cli.texts import _
from commons_tui.listing import Detail, Listing
from commons_tui.place import Act, Place, bindings
from commons_tui.rows import Column, Row
from commons_tui.words import THINGS, day, loan_look, look

_WHO = frozenset({"with", "custodian_name", "owner_name", "loan"})
_NOT_SHOWN = _WHO | {
    "resource", "name", "state", "custodian", "custodian_gone", "owed", "owner", "out",
    "provisional", "settled", "certainty", "specification", "condition",
}  # fmt: skip
_FILTERS = ("", "available", "on_loan", "maintenance", "pending", "retired")


def here(row: Any) -> bool:
    """Whether a thing can be asked for."""
    return bool(row) and row["state"] in {"available", "on_loan"}


class Things(Listing):
    """The inventory. Whoever is locked sees things, and not who has them."""

    columns = (Column("Number", 8, 2), Column("Name", 0), Column("Now", 11), Column("With", 14, 3))
    empty = "No things yet."
    BINDINGS = bindings(
        ("loan.request", "r", "Ask to borrow it"),
        ("things.state", "s", "Only those that are here, on loan, …"),
        ("resource.add", "a", "Describe a new thing"),
        ("resource.edit", "e", "Change what is said of it"),
    )

    def __init__(self) -> None:
        """See ``PlaceView``."""
        super().__init__("things")
        self._state = ""
        self.acts = (
            Act("loan.request", "r", "Borrow", here, self._request),
            Act("things.state", "s", "Filter", lambda _row: True, lambda _row: self._next()),
            Act("resource.edit", "e", "Edit", self._steward, self._edit),
            Act("resource.add", "a", "Add", self._adds, lambda _row: self._add()),
        )

    def _steward(self, row: Any) -> bool:
        return row is not None and self.app.now.at_least("steward")

    def _adds(self, _row: Any) -> bool:
        return self.app.now.at_least("steward")

    def _request(self, row: Mapping[str, Any]) -> None:
        given = {"resource": row["resource"], "days": 3}
        self.app.carry_out("loan.request", given, ask=True, about=_label(row))

    def _edit(self, row: Mapping[str, Any]) -> None:
        self.app.carry_out(
            "resource.edit", {"resource": row["resource"]}, ask=True, about=_label(row)
        )

    def _add(self) -> None:
        self.app.carry_out("resource.add", ask=True)

    def _next(self) -> None:
        """Another state, in turn."""
        self._state = _FILTERS[(_FILTERS.index(self._state) + 1) % len(_FILTERS)]
        told = str(look(THINGS, self._state)) if self._state else _("all")
        self.app.notify(_("Shown: {what}").format(what=told), timeout=2)
        self.read()

    async def load(self) -> Sequence[Mapping[str, Any]]:
        """All things, or those in one state."""
        answer = await self.app.bridge.view("resource.list", {"state": self._state or None})
        found: Sequence[Mapping[str, Any]] = answer["resources"]
        return found

    def rows_of(self, found: Sequence[Mapping[str, Any]]) -> Sequence[Row]:
        """Number, name, state, with whom."""
        known = self.app.now.me is not None
        return [_row(one, known=known) for one in found]

    async def detail(self, row: Row) -> Detail:
        """Everything about it; with whom it is, and its loans, only while somebody is unlocked."""
        see, ident = self.app.bridge.view, row.key
        answer = await see("resource.show", {"resource": ident})
        known = self.app.now.me is not None
        fields = [(_("Now"), str(look(THINGS, answer["state"])))]
        if known:
            fields.append((_("With"), str(answer.get("with") or "-")))
        fields += [
            (name.replace("_", " ").capitalize(), shown(value))
            for name, value in answer.items()
            if name in _fields(answer) and value not in {None, ""}
        ]
        loans = (await see("loan.list", {"resource": ident}))["loans"] if known else []
        today = self.app.now.today
        rows = [
            Row(
                one["loan"],
                [f"{loan_look(one)}: {one['borrower_name'] or '-'} ({day(one['due_day'], today)})"],
                ("loan", one["loan"]),
                loan_look(one).tone,
            )
            for one in loans
        ]
        if rows:
            rows.insert(0, Row("h", [_("Loans")], heading=True))
        said = [str(answer.get("owed") or "") if known else "", str(answer.get("certainty") or "")]
        return Detail(f"{answer['name']} {answer['number'] or ''}".strip(), fields, said, rows)

    def open_sub(self, row: Row) -> None:
        """A loan of this thing."""
        if row.data:
            self.app.go("loans", row.data[1])


def _row(one: Mapping[str, Any], *, known: bool) -> Row:
    state = look(THINGS, one["state"])
    who = str(one["with"] or "") if known else ""
    cells = (str(one["number"] or ""), str(one["name"]), str(state), who)
    words = f"{' '.join(cells)} {one['brand'] or ''} {one['model'] or ''}".casefold()
    tone = "" if one["state"] == "available" else "quiet"
    return Row(one["resource"], cells, one, tone, words=words)


def _label(row: Mapping[str, Any]) -> str:
    return f"{row['name']} {row['number'] or ''}".strip()


def _fields(answer: Mapping[str, Any]) -> set[str]:
    """The simple fields that are about the thing itself."""
    plain = {name for name, one in answer.items() if isinstance(one, str | int | float | bool)}
    return plain - _NOT_SHOWN - {"v", "ok", "as_of", "next"}


PLACE = Place("things", "Things", 20, Things)
