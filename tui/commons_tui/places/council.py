"""Council: what is on the table, what was decided, devices that told two stories, and a split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from commons_cli.tables import shown
from commons_cli.texts import _
from commons_tui.listing import Detail, Listing
from commons_tui.place import Act, Place, bindings
from commons_tui.rows import Column, Row


@dataclass(frozen=True, slots=True)
class Found:
    """``acts`` is the answer of ``community.acts``."""

    acts: Mapping[str, Any]
    forks: Sequence[Mapping[str, Any]]


class Council(Listing):
    """A split first, then the table, then forks, then what is in force, the newest first."""

    private = True
    columns = (Column("What", least=30), Column("By", 14, 2), Column("Said", 9, 1))
    empty = "Nothing is on the table."
    BINDINGS = bindings(
        ("community.endorse", "e", "Endorse it"),
        ("community.propose", "p", "Put something to the council"),
        ("fork.resolve", "f", "Say which of two stories is told"),
        ("explain", "w", "Why it counts, or does not"),
    )

    def __init__(self) -> None:
        """See ``PlaceView``."""
        super().__init__("council")
        self.acts = (
            Act("community.endorse", "e", "Endorse", lambda row: bool(row) and bool(
                row.get("yours")), self._endorse),
            Act("fork.resolve", "f", "Resolve", self._fork, self._resolve),
            Act("explain", "w", "Why", lambda row: bool(row) and "operation" in row,
                lambda row: self.app.explain(row["operation"])),
            Act("community.propose", "p", "Propose",
                lambda _row: self.app.now.at_least("coordinator"),
                lambda _row: self.app.carry_out("community.propose", ask=True)),
        )  # fmt: skip

    def _endorse(self, row: Mapping[str, Any]) -> None:
        self.app.carry_out("community.endorse", {"operation": row["operation"]})

    def _fork(self, row: Any) -> bool:
        return bool(row) and "branches" in row and self.app.now.at_least("coordinator")

    def _resolve(self, row: Mapping[str, Any]) -> None:
        self.app.carry_out("fork.resolve", {"device": row["device"]}, ask=True)

    async def load(self) -> Found:
        """The council, and forks."""
        see = self.app.bridge.view
        return Found(await see("community.acts"), (await see("fork.list"))["forks"])

    def rows_of(self, found: Found) -> Sequence[Row]:
        """All in one list under headings."""
        acts = found.acts
        rows: list[Row] = []
        if acts["split"]:
            rows.append(Row("h-split", [f"▲ {_('The community is split')}"], heading=True))
            rows += [
                _made(one, f"≠ {one['what']}", ", ".join(one["endorsed_twice_by"]), tone="bad",
                      more={"split": acts["warning"]})
                for one in acts["split"]
            ]  # fmt: skip
        rows.append(Row("h-table", [_("On the table")], heading=True))
        rows += [
            _made(
                one,
                f"{'?' if one['yours'] else '◌'} {one['what']}",
                str(one["by"]),
                _("{said} of {needed}").format(said=one["said"], needed=one["needed"]),
                "warn" if one["yours"] else "",
            )
            for one in acts["table"]
        ] or [Row("none", [f"✓ {_(self.empty)}", "", ""], tone="quiet")]
        if found.forks:
            rows.append(Row("h-forks", [_("Devices that told two stories")], heading=True))
            rows += [
                _made(one, f"▲ {one['name']}: {_(str(one['state']))}", "", tone="warn",
                      key=one["device"])
                for one in found.forks
            ]  # fmt: skip
        rows.append(Row("h-acts", [_("In force")], heading=True))
        rows += [_made(one, f"✓ {one['what']}", "") for one in reversed(acts["acts"])]
        seats = {
            "coordinators": acts["coordinators"], "rules": acts["rules"],
            "settings": acts["settings"],
        }  # fmt: skip
        told = _("Coordinators: {names}").format(names=", ".join(acts["coordinators"]))
        rows.append(Row("seats", [f"◆ {told}", "", ""], seats))
        return rows

    async def detail(self, row: Row) -> Detail:
        """Of an act what it is and how it stands; of a fork its branches."""
        one = row.data
        if one is None:
            return Detail(_("On the table"), sentences=[_(self.empty)])
        if "coordinators" in one:
            settings = [(name.replace("_", " "), shown(value)) for name, value in
                        one["settings"].items()]  # fmt: skip
            fields = [(_("Coordinators"), shown(one["coordinators"])),
                      (_("Rules version"), str(one["rules"])), *settings]  # fmt: skip
            return Detail(_("The council"), fields)
        if "branches" in one:
            fields = [(_("Whose"), str(one["name"])), (_("State"), str(one["state"])),
                      (_("Device"), str(one["device"])[:12])]  # fmt: skip
            heads = one["branches"] if isinstance(one["branches"], list) else [one["branches"]]
            rows = [Row(str(head), [f"≠ {shown(head)}"], _operation(head)) for head in heads]
            return Detail(_("A device that told two stories"), fields, rows=rows)
        seal = one.get("seal") or {}
        fields = [
            (_("By"), str(one.get("by") or "-")),
            (_("Said"), f"{one['said']} / {one['needed']}" if "said" in one else "-"),
            (_("Chains"), str(seal.get("chains") or "-")),
            (_("Checks here"), shown(seal["checks"]) if "checks" in seal else "-"),
            (_("Id"), str(one["operation"])[:12]),
        ]
        said = [str(one.get("split") or ""), str(seal.get("why") or ""), str(one.get("next") or "")]
        why = Row(one["operation"], [_("Why it counts, or does not")], one["operation"])
        return Detail(str(one["what"]), fields, said, [why])


def _operation(head: object) -> str:
    return str(head.get("operation") if isinstance(head, dict) else head)


def _made(
    one: Mapping[str, Any], what: str, by: str, said: str = "", tone: str = "", *,
    more: Mapping[str, Any] | None = None, key: str = "",
) -> Row:  # fmt: skip
    data = {**one, **(more or {})}
    words = f"{what} {by}".casefold()
    return Row(key or str(one["operation"]), (what, by, said), data, tone, words=words)


PLACE = Place("council", "Council", 70, Council)
