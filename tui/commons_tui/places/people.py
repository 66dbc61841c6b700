"""People: members with their role and standing, their devices, invites, and who was let go."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from commons_cli.tables import shown, word
from commons_cli.texts import _
from commons_tui.listing import Detail, Listing
from commons_tui.place import Act, Place, bindings
from commons_tui.rows import Column, Row

_STANDING = {"good": "✓ good", "left": "- left", "flagged": "▲ told two stories"}


class People(Listing):
    """Members by role, then those who were removed or are suspended."""

    private = True
    events = frozenset({"operations", "flip", "device"})
    columns = (Column("Name", 0), Column("Role", 12, 1), Column("Standing", 18, 2))
    empty = "Nobody yet."
    BINDINGS = bindings(
        ("invite.create", "i", "Invite somebody: a code and a QR code"),
        ("member.vouch", "v", "Vouch for somebody"),
        ("reputation.reply", "y", "Answer what was said about you"),
        ("member.role", "r", "Give another role"),
        ("member.suspend", "s", "Suspend for a time"),
        ("member.remove", "x", "Remove"),
        ("member.device.add", "a", "Add a device of yours"),
        ("member.device.confirm", "c", "Let the machine in that shows six digits"),
        ("member.profile.edit", "p", "Say more about you"),
        ("member.export", "w", "Write everything about you to a file"),
        ("member.erase", "z", "Erase your texts and photos"),
        ("member.erasure.show", "t", "Which nodes have erased what was theirs"),
        ("member.leave", "l", "Leave the community"),
    )

    def __init__(self) -> None:
        """See ``PlaceView``."""
        super().__init__("people")
        self.acts = (
            Act("invite.create", "i", "Invite", self._may("member"),
                lambda _row: self.app.carry_out("invite.create", ask=True)),
            Act("member.device.add", "a", "Add device", self._mine,
                lambda _row: self.app.carry_out("member.device.add", ask=True)),
            Act("member.device.confirm", "c", "Confirm", self._mine,
                lambda _row: self.app.carry_out("member.device.confirm")),
            Act("member.profile.edit", "p", "Profile", self._mine,
                lambda _row: self.app.carry_out("member.profile.edit", ask=True)),
            Act("member.export", "w", "Export", self._mine,
                lambda _row: self.app.carry_out("member.export", ask=True)),
            Act("member.erase", "z", "Erase", self._mine,
                lambda _row: self.app.carry_out("member.erase", ask=True)),
            Act("member.leave", "l", "Leave", self._mine,
                lambda _row: self.app.run_flow(self._leave)),
            Act("member.erasure.show", "t", "Receipts", self._somebody,
                self._receipts),
            Act("member.vouch", "v", "Vouch", self._neighbour, self._vouch),
            Act("reputation.reply", "y", "Answer", self._mine,
                lambda _row: self.app.carry_out("reputation.reply", ask=True)),
            Act("member.role", "r", "Role", self._other, self._about("member.role")),
            Act("member.suspend", "s", "Suspend", self._other, self._about("member.suspend")),
            Act("member.remove", "x", "Remove", self._other, self._about("member.remove")),
        )  # fmt: skip

    def _may(self, role: str) -> Any:
        return lambda _row: self.app.now.at_least(role)

    def _mine(self, row: Any) -> bool:
        return row is not None and self.app.now.is_me(row["member"])

    def _somebody(self, row: Any) -> bool:
        return row is not None and "way" not in row

    def _receipts(self, row: Any) -> None:
        self.app.carry_out("member.erasure.show", {"who": row["member"]})

    async def _leave(self) -> None:
        """What is still open first; then the question, with the name to be typed."""
        left = await self.app.deeds.do("member.leave", {"dry_run": True})
        if left is not None and not left["open"]:
            await self.app.deeds.do("member.leave", {}, ask=True)

    def _other(self, row: Any) -> bool:
        if row is None or "way" in row or self._mine(row):
            return False
        return self.app.now.at_least("coordinator")

    def _neighbour(self, row: Any) -> bool:
        here = row is not None and "way" not in row and not self._mine(row)
        return bool(here and self.app.now.at_least("member"))

    def _vouch(self, row: Any) -> None:
        self.app.carry_out("member.vouch", {"who": row["member"]}, about=row["name"])

    def _about(self, verb: str) -> Any:
        return lambda row: self.app.carry_out(
            verb, {"who": row["member"]}, ask=True, about=row["name"]
        )

    async def load(self) -> tuple[Sequence[Mapping[str, Any]], Sequence[Mapping[str, Any]]]:
        """Who is in, and who is gone."""
        see = self.app.bridge.view
        return (await see("member.list"))["members"], (await see("member.gone"))["gone"]

    def rows_of(
        self, found: tuple[Sequence[Mapping[str, Any]], Sequence[Mapping[str, Any]]]
    ) -> Sequence[Row]:
        """One row each; a heading before those who are gone."""
        members, gone = found
        rows = [self._row(one) for one in members]
        if gone:
            rows.append(Row("h-gone", [_("Removed or suspended")], heading=True))
        for one in gone:
            cells = (str(one["name"]), "-", f"✕ {_(str(one['way']))}")
            rows.append(
                Row(f"gone-{one['member']}", cells, one, "quiet", words=" ".join(cells).casefold())
            )
        return rows

    def _row(self, one: Mapping[str, Any]) -> Row:
        standing = str(one["standing"])
        name = f"◆ {one['name']}" if self.app.now.is_me(one["member"]) else f"  {one['name']}"
        cells = (name, _(str(one["role"])), _(_STANDING.get(standing, standing)))
        tone = "warn" if standing == "flagged" else ""
        return Row(one["member"], cells, one, tone, words=" ".join(cells).casefold())

    async def detail(self, row: Row) -> Detail:
        """Role, standing, devices; of who is gone the act and what they owe."""
        one = row.data
        if "way" in one:
            fields = [
                (_("Was"), _(str(one["way"]))),
                (_("By"), str(one["by"])),
                (_("Until"), shown(one["until"], "time")),
                (_("Owes"), shown(one["owes"])),
            ]
            why = Row(one["operation"], [_("By this act: why?")], one["operation"])
            return Detail(str(one["name"]), fields, rows=[why])
        answer = await self.app.bridge.view("member.device.list", {"who": row.key})
        profile = await self.app.bridge.view("member.profile.show", {"who": row.key})
        known = await self.app.bridge.view("reputation.show", {"who": row.key})
        words = [
            Row(one["operation"], [_who(one), shown(one["returned"], "time")], one["operation"])
            for one in known["words"]
        ]
        devices = [
            Row(
                device["device"],
                [
                    " ".join(
                        part
                        for part in (
                            "●" if device["standing"] == "good" else "✕",
                            str(device["name"] or device["device"][:12]),
                            f"({word(device['standing'])})",
                            _("this one") if device["this"] else "",
                            _("limited") if device["limited"] else "",
                        )
                        if part
                    ),
                    shown(device["since"], "time"),
                ],
            )
            for device in answer["devices"]
        ]
        standing = str(one["standing"])
        fields = [
            (_("Role"), _(str(one["role"]))),
            (_("Standing"), _(_STANDING.get(standing, standing))),
            (_("Devices"), str(one["devices"])),
            (_("Id"), row.key[:12]),
        ]
        fields += [
            (_(str(word["field"]).capitalize()), str(word["shown"])) for word in profile["fields"]
        ]
        said = [_said(word) for word in known["words"]]
        heads = [Row("h-words", [_("Said of loans"), ""], heading=True)] if words else []
        head = Row("h", [_("Devices"), ""], heading=True)
        return Detail(
            str(one["name"]), fields, [known["trust_says"], known["says"], *said],
            [*heads, *words, head, *devices],
            columns=(Column("", 0), Column("", 16, 1)),
        )  # fmt: skip


def _who(word: Mapping[str, Any]) -> str:
    """By whom, and whether it is open."""
    sign = "●" if word["state"] == "sealed" else "✓"
    return f"{sign} {word['author_name']}"


def _said(word: Mapping[str, Any]) -> str:
    """What somebody says of a loan, with the note and the answer."""
    name = str(word["author_name"])
    if word["state"] == "sealed":
        return _("● {name}: sealed still").format(name=name)
    line = _("✓ {name}: late; condition {condition} of 3, dealing {communication} of 3")
    if word["on_time"]:
        line = _("✓ {name}: on time; condition {condition} of 3, dealing {communication} of 3")
    said = [
        line.format(**{**word, "name": name}),
        word["note"] and f"“{word['note']}”",
        word["reply"] and f"↳ {word['reply']}",
    ]
    return "  ".join(str(one) for one in said if one)


PLACE = Place("people", "People", 40, People)
