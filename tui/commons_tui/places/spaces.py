"""Spaces: what is open, how many are there, checking in; and who may see where I was.

A check-in is known to the member alone. While nobody is unlocked only the spaces are shown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from commons_cli.tables import shown
from commons_cli.texts import _
from commons_tui.bridge import ApiError
from commons_tui.dialogs.door import Door
from commons_tui.listing import Detail, Listing
from commons_tui.place import Act, Place, bindings
from commons_tui.rows import Column, Row
from commons_tui.words import CHECKINS, SPACES, look

Found = tuple[Sequence[Mapping[str, Any]], Sequence[Mapping[str, Any]], Sequence[Mapping[str, Any]]]


class Spaces(Listing):
    """The spaces, then my own check-ins, then where others say that they are."""

    columns = (Column("Space", 0, least=10), Column("Now", 10, 2), Column("There", 12, 1))
    empty = "No spaces yet."
    BINDINGS = bindings(
        ("checkin.create", "i", "Check in with the code at the door"),
        ("space.code", "c", "Show the code for the door"),
        ("checkin.end", "x", "Leave"),
        ("checkin.publish", "p", "Let somebody see where you are"),
        ("checkin.unpublish", "n", "Let nobody see it any more"),
        ("space.create", "a", "Describe a new space"),
        ("space.edit", "e", "Change what is said of it"),
    )

    def __init__(self) -> None:
        """See ``PlaceView``."""
        super().__init__("spaces")
        self.acts = (
            Act("checkin.create", "i", "Check in", self._open_space, self._check_in),
            Act("space.code", "c", "Code", self._codes, self._code),
            Act("checkin.end", "x", "Leave", self._lasts, self._about("checkin.end")),
            Act("checkin.publish", "p", "Show to", self._lasts,
                self._about("checkin.publish", ask=True)),
            Act("checkin.unpublish", "n", "Hide", self._shown, self._about("checkin.unpublish")),
            Act("space.edit", "e", "Edit", self._host_of, self._edit),
            Act("space.create", "a", "Add", lambda _row: self.app.now.at_least("host"),
                lambda _row: self.app.carry_out("space.create", ask=True)),
        )  # fmt: skip

    # -- what fits -------------------------------------------------------------------------------

    def _open_space(self, row: Any) -> bool:
        return bool(row) and "people" in row and not row["closed"]

    def _codes(self, row: Any) -> bool:
        return self._open_space(row) and bool(row["codes_here"])

    def _host_of(self, row: Any) -> bool:
        return bool(row) and "people" in row and self.app.now.at_least("host")

    def _lasts(self, row: Any) -> bool:
        return bool(row) and row.get("state") == "here"

    def _shown(self, row: Any) -> bool:
        return bool(row) and bool(row.get("audience"))

    # -- what is shown ---------------------------------------------------------------------------

    async def load(self) -> Found:
        """The spaces; and, while somebody is unlocked, their check-ins."""
        see = self.app.bridge.view
        spaces = (await see("space.list"))["spaces"]
        if self.app.now.me is None:
            return spaces, (), ()
        try:
            mine = await see("checkin.list")
        except ApiError as error:
            if error.code != "locked":
                raise
            return spaces, (), ()  # locked meanwhile: the next reading says so
        return spaces, mine["checkins"], mine["others"]

    def rows_of(self, found: Found) -> Sequence[Row]:
        """One row each, with headings."""
        spaces, mine, others = found
        rows = [_space(one) for one in spaces]
        if mine:
            rows.append(Row("h-mine", [_("My check-ins"), "", _("Seen by")], heading=True))
            rows += [_mine(one) for one in mine]
        if others:
            rows.append(Row("h-others", [_("Others, who let you see it"), "", ""], heading=True))
            rows += [_other(one) for one in others]
        return rows

    async def detail(self, row: Row) -> Detail:
        """Of a space what is known of it; of a check-in since when, and who may see it."""
        one = row.data
        if "people" not in one:
            return _of_checkin(one)
        answer = await self.app.bridge.view("space.show", {"space": one["space"]})
        fields = [(_("Now"), str(look(SPACES, answer["now"])))]
        if answer["open_until"]:
            fields.append((_("Until"), shown(answer["open_until"], "time")))
        fields.append((_("There"), _count(answer)))
        if answer["quiet_now"]:
            fields.append((_("Quiet"), _("now")))
        fields += [
            (str(each["field"]).capitalize(), shown(each["value"])) for each in answer["about"]
        ]
        rooms = [Row(each["space"], [each["name"]]) for each in answer["rooms"]]
        head = [Row("h", [_("Rooms")], heading=True)] if rooms else []
        said = _("Who checks in is known to nobody but themselves; from five on they are counted.")
        return Detail(str(answer["name"]), fields, [said], [*head, *rooms])

    # -- what is done ----------------------------------------------------------------------------

    def _check_in(self, row: Mapping[str, Any]) -> None:
        self.app.carry_out("checkin.create", {"space": row["space"]}, about=str(row["name"]))

    def _edit(self, row: Mapping[str, Any]) -> None:
        self.app.carry_out("space.edit", {"space": row["space"]}, ask=True, about=str(row["name"]))

    def _about(self, verb: str, *, ask: bool = False) -> Any:
        return lambda row: self.app.carry_out(
            verb, {"checkin": row["checkin"]}, ask=ask, about=str(row["space_name"] or "")
        )

    def _code(self, row: Mapping[str, Any]) -> None:
        self.app.run_flow(partial(self._door, row))

    async def _door(self, row: Mapping[str, Any]) -> None:
        """The code on the screen, for as long as it is left there."""
        app = self.app

        async def renew() -> Mapping[str, Any]:
            return await app.bridge.command("space.code", {"space": row["space"]})

        try:
            first = await renew()
        except ApiError as error:
            await app.deeds.failed(app.deeds.verbs["space.code"], error)
            return
        await app.push_screen_wait(Door(first, renew))


def _count(one: Mapping[str, Any]) -> str:
    if one["count"] is None:
        return _("fewer than {number}").format(number=one["fewer_than"])
    return str(one["count"])


def _space(one: Mapping[str, Any]) -> Row:
    state = look(SPACES, one["now"])
    name = f"  {one['name']}" if one["inside"] else str(one["name"])
    cells = (name, str(state), _count(one))
    return Row(one["space"], cells, one, state.tone, words=" ".join(cells).casefold())


def _mine(one: Mapping[str, Any]) -> Row:
    state = look(CHECKINS, one["state"])
    cells = (str(one["space_name"] or "-"), str(state), str(one["who"]))
    return Row(one["checkin"], cells, one, state.tone, words=" ".join(cells).casefold())


def _other(one: Mapping[str, Any]) -> Row:
    cells = (str(one["member_name"] or "-"), "", str(one["space_name"] or "-"))
    key = f"{one['member']}-{one['since']}"
    return Row(key, cells, one, words=" ".join(cells).casefold())


def _of_checkin(one: Mapping[str, Any]) -> Detail:
    if "member" in one:
        fields = [
            (_("Where"), str(one["space_name"] or "-")),
            (_("Since"), shown(one["since"], "time")),
            (_("Until"), shown(one["until"], "time")),
        ]
        return Detail(str(one["member_name"] or "-"), fields)
    fields = [
        (_("Now"), str(look(CHECKINS, one["state"]))),
        (_("Since"), shown(one["since"], "time")),
        (_("Until"), shown(one["expires"], "time")),
        (_("Seen by"), str(one["who"])),
        (_("Counted"), _("yes") if one["counted"] else _("not yet")),
    ]
    said = _("It is kept on your own machines, and erased after two weeks.")
    return Detail(str(one["space_name"] or "-"), fields, [said])


PLACE = Place("spaces", "Spaces", 35, Spaces)
