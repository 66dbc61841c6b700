"""Activity: everything that anybody signed, the newest first, each explained. Nothing is hidden."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from commons_cli.texts import _
from commons_tui.dialogs.explained import because, paragraphs
from commons_tui.listing import Detail, Listing
from commons_tui.place import Act, Place, bindings
from commons_tui.rows import Column, Row
from commons_tui.words import VERDICTS, ago, look

PAGE = 200


class Activity(Listing):
    """History and notices. Notices that were not read stand at the top."""

    private = True
    columns = (Column("What", least=32), Column("Verdict", 16, 2), Column("When", 14, 1))
    empty = "Nothing yet."
    BINDINGS = bindings(
        ("explain", "e", "Why it counts, or does not"),
        ("activity.older", "o", "Read further back"),
        ("activity.nodes", "m", "Also what nodes do by themselves"),
        ("notice.read", "n", "Take note of all notices"),
    )

    def __init__(self) -> None:
        """See ``PlaceView``."""
        super().__init__("activity")
        self._pages = 1
        self._machines = False
        self._more = False
        self._unread = False
        self.acts = (
            Act("explain", "e", "Why", lambda row: row is not None, self._why),
            Act("notice.read", "n", "Noted", lambda _row: self._unread,
                lambda _row: self.app.carry_out("notice.read")),
            Act("activity.older", "o", "Older", lambda _row: self._more,
                lambda _row: self._older()),
            Act("activity.nodes", "m", "Machines", lambda _row: True, lambda _row: self._swap()),
        )  # fmt: skip

    def _why(self, row: Mapping[str, Any]) -> None:
        self.app.explain(row["operation"])

    def _older(self) -> None:
        self._pages += 1
        self.read()

    def _swap(self) -> None:
        self._machines = not self._machines
        self.read()

    async def load(self) -> tuple[Sequence[Mapping[str, Any]], Sequence[Mapping[str, Any]]]:
        """Notices, and so many pages of the history."""
        see = self.app.bridge.view
        told = (await see("notice.list", {"all": True}))["notices"]
        notices = [one for one in told if one["about"] in {"act", "seal"}]
        asked = {"limit": PAGE * self._pages, "nodes": self._machines}
        answer = await see("activity.list", asked)
        self._more = answer["next"] is not None
        return notices, answer["activity"]

    def rows_of(
        self, found: tuple[Sequence[Mapping[str, Any]], Sequence[Mapping[str, Any]]]
    ) -> Sequence[Row]:
        """Unread notices first, then everything; what has a notice that was read says so."""
        notices, lines = found
        unread = [one for one in notices if not one["read"]]
        self._unread = bool(unread)
        read = {one["operation"] for one in notices if one["read"]}
        rows: list[Row] = []
        if unread:
            rows.append(Row("h-notices", [_("Counts otherwise than before")], heading=True))
            rows += [_notice(one) for one in unread]
            rows.append(Row("h-lines", [_("Everything")], heading=True))
        return [*rows, *(_line(one, noted=one["operation"] in read) for one in lines)]

    async def detail(self, row: Row) -> Detail:
        """What ``explain`` says: the verdict in a sentence, and what decided it."""
        answer = await self.app.bridge.view("explain", {"operation": row.data["operation"]})
        what, *rest = paragraphs(answer)
        causes = because(answer)
        if causes:
            causes.insert(0, Row("h", [_("Because"), ""], heading=True))
        fields = [(_("Id"), str(answer["operation"])[:12])]
        return Detail(what, fields, rest, causes, (Column("", 0), Column("", 12, 1)))


def _notice(one: Mapping[str, Any]) -> Row:
    text = f"! {one['what']} {one['now']}. {one['sentence']}"
    verdict = look(VERDICTS, one["verdict"])
    cells = (text, str(verdict), ago(one["found"]))
    return Row(f"notice-{one['operation']}", cells, one, "warn", words=text.casefold())


def _line(one: Mapping[str, Any], *, noted: bool) -> Row:
    verdict = look(VERDICTS, one["verdict"])
    text = f"{one['sentence']}" + (f" ({_('noted')})" if noted else "")
    words = f"{text} {verdict} {one['operation']}".casefold()
    tone = "" if one["verdict"] == "accepted" else verdict.tone
    return Row(one["operation"], (text, str(verdict), ago(one["time"])), one, tone, words=words)


PLACE = Place("activity", "Activity", 60, Activity)
