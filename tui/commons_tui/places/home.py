"""Home: what waits for whoever acts, what happened lately, how the node stands. In that order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from textual import on
from textual.app import ComposeResult
from textual.widgets import Static

from commons_cli.texts import _
from commons_tui.bidi import safe
from commons_tui.bridge import ApiError
from commons_tui.place import Act, Place, PlaceView, bindings
from commons_tui.rows import Column, Row, Rows
from commons_tui.standing import Now
from commons_tui.words import NEWS, VERDICTS, ago, asks_longer, day, look

LATELY = 8
_COLUMNS = (Column("", least=40), Column("", 14, 1))
_NOTABLE = frozenset({"notice", "spaces"})


@dataclass(frozen=True, slots=True)
class Found:
    """What Home is made of."""

    loans: Sequence[Mapping[str, Any]] = ()
    notices: Sequence[Mapping[str, Any]] = ()
    held: Sequence[Mapping[str, Any]] = ()
    table: Sequence[Mapping[str, Any]] = ()
    activity: Sequence[Mapping[str, Any]] = ()


class Home(PlaceView):
    """One list; Enter goes to where something can be done about a row."""

    events = frozenset({"operations", "flip", "sync", "peer", "network"})
    BINDINGS = bindings(("notice.read", "n", "Take note of all notices"))

    def __init__(self) -> None:
        """See ``PlaceView``."""
        super().__init__("home")
        self.acts = (
            Act("notice.read", "n", "Noted", lambda row: bool(row) and row[0] in _NOTABLE,
                lambda _row: self.app.carry_out("notice.read")),
        )  # fmt: skip

    def compose(self) -> ComposeResult:
        """The list."""
        yield Static(classes="note")
        yield Rows(_COLUMNS, titles=False, ident="home")
        yield Static(classes="whole", markup=False)

    async def load(self) -> Found:
        """Loans, notices and the council's table for who acts; nothing while nobody does."""
        if self.app.now.me is None:
            return Found()
        see = self.app.bridge.view
        try:
            told = await see("notice.list")
        except ApiError as error:
            if error.code != "locked":
                raise
            return Found()  # locked between two calls: the next reading says so
        return Found(
            (await see("loan.list"))["loans"],
            told["notices"],
            told["held"],
            (await see("community.acts"))["table"],
            (await see("activity.list", {"limit": LATELY}))["activity"],
        )

    def show(self, found: Found) -> None:
        """Due, lately, the node."""
        now = self.app.now
        rows: list[Row] = []
        if now.me is None:
            unlock = (self.app.key_of("app.unlock"), _("Unlock to see what waits for you"))
            rows += [
                Row("h-due", [_("Locked")], heading=True),
                Row("unlock", ["{}  {}".format(*unlock), ""], ("unlock", "")),
            ]
        else:
            due = due_rows(now, found)
            rows.append(Row("h-due", [_("Waiting for you")], heading=True))
            rows += due or [Row("nothing", [f"✓ {_('Nothing is due.')}", ""], tone="quiet")]
            if news := news_rows(found):
                rows.append(Row("gap-0", [""], heading=True))
                rows.append(Row("h-news", [_("News")], heading=True))
                rows += news
            if found.activity:
                rows.append(Row("gap-1", [""], heading=True))
                rows.append(Row("h-lately", [_("Lately")], heading=True))
                rows += [_line(one) for one in found.activity]
        rows.append(Row("gap-2", [""], heading=True))
        rows.append(Row("h-node", [_("This node")], heading=True))
        rows.append(
            Row("node", [f"{now.sync.sign} {now.sentence()}", ""], ("peers", ""), now.sync.tone)
        )
        self.query_one(Rows).show(rows)

    def wipe(self) -> None:
        """Only what anybody may see."""
        if self.ready:
            self.show(Found())

    def subject(self) -> Any:
        """What the row under the cursor is about: ``(what, key)``."""
        row = self.query_one(Rows).row if self.ready else None
        return row.data if row is not None else None

    def arrive(self) -> None:
        """The list takes the keys."""
        self.query_one(Rows).focus()

    @on(Rows.Moved)
    def _moved(self) -> None:
        self.app.keys_changed()
        self._whole()

    def on_resize(self) -> None:
        """Another width cuts other rows."""
        self._whole()

    def _whole(self) -> None:
        """Below the list the whole sentence under the cursor, where the terminal cuts it."""
        rows, line = self.query_one(Rows), self.query_one(".whole", Static)
        row = rows.row
        cut = row is not None and rows.cuts(row)
        line.set_class(cut, "-shown")
        line.update(safe(row.cells[0]) if row is not None and cut else "")

    @on(Rows.Chosen)
    def _chosen(self) -> None:
        what, key = self.subject() or ("", "")
        match what:
            case "unlock":
                self.app.action_unlock()
            case "explain" | "notice":
                self.app.explain(key)
            case "loans" | "peers" | "people" | "council" | "spaces":
                self.app.go(what, key or None)


def due_rows(now: Now, found: Found) -> list[Row]:
    """What waits for whoever acts: notices, then loans by their day, then the council."""
    rows = [
        Row(
            one["operation"],
            [f"! {one['what']} {one['now']}. {one['sentence']}", ago(one["found"])],
            ("notice", one["operation"]),
            "warn",
        )
        for one in found.notices
        if one["about"] in {"act", "seal"}
    ]
    rows += [
        Row(one["operation"], [_newcomer(one), ""], ("people", one["member"]), "warn")
        for one in found.notices
        if one["about"] == "newcomer"
    ]
    news = {one["operation"]: one for one in found.notices if one["about"] == "loan"}
    loans = []
    for one in found.loans:
        told = news.get(one["loan"])
        sign, tone = NEWS.get(told["kind"], ("·", "")) if told is not None else ("", "")
        text = f"{sign} {told['sentence']}" if told is not None else waiting(now, one)
        tone = "bad" if one["overdue"] else tone
        if text:
            loans.append((text, one, tone))
    loans.sort(key=lambda found: str(found[1].get("due") or ""))
    for text, one, tone in loans:
        when = day(one["due_day"], now.today)
        rows.append(Row(one["loan"], [text, when], ("loans", one["loan"]), tone))
    rows += [
        Row(
            one["operation"],
            [f"? {_('The council asks you')}: {one['what']}", ""],
            ("council", one["operation"]),
            "warn",
        )
        for one in found.table
        if one["yours"]
    ]
    return rows


def _newcomer(one: Mapping[str, Any]) -> str:
    """For coordinators: the role is theirs to give."""
    return _("? Enough members vouch for {name}: a member from now on?").format(name=one["author"])


def news_rows(found: Found) -> list[Row]:
    """What is new without anything to be done; what waits for the end of quiet hours comes last."""
    rows = [
        Row(one["operation"], [f"· {one['sentence']}", ago(one["found"])], ("spaces", one["space"]))
        for one in found.notices
        if one["about"] == "space"
    ]
    rows += [
        Row(f"held-{one['space']}", [f"◌ {one['sentence']}", ""], ("", ""), "quiet")
        for one in found.held
    ]
    return rows


def waiting(now: Now, one: Mapping[str, Any]) -> str:
    """What whoever acts should do about a loan, in a sentence; empty if nothing."""
    name = f"{one['name']} {one['number'] or ''}".strip()
    who = str(one["borrower_name"] or _("somebody"))
    if now.is_me(one["borrower"]):
        templates = {
            "offered": _("→ {name} is offered to you: take it"),
            "on_loan": _("▲ {name} is overdue: bring it back")
            if one["overdue"]
            else _("◐ Bring back {name}"),
            "returning": _("← {name}: wait until a steward receives it"),
            "requested": _("? You asked for {name}; nobody has answered yet"),
            "approved": _("✓ {name} is promised to you"),
        }
    elif now.at_least("steward"):
        templates = {
            "requested": _("? {who} asks for {name}"),
            "approved": _("→ Hand {name} over to {who}")
            if not one["lapsed"]
            else _("◌ {who} has not fetched {name}: say no, or hand it over"),
            "returning": _("← {who} brings back {name}: receive it"),
        }
        if asks_longer(one):
            templates["on_loan"] = _("? {who} asks to keep {name} longer")
        if one["overdue"]:
            templates["on_loan"] = _("▲ {name} is overdue with {who}")
    else:
        return ""
    return templates.get(str(one["state"]), "").format(name=name, who=who)


def _line(one: Mapping[str, Any]) -> Row:
    verdict = look(VERDICTS, one["verdict"])
    doubt = "" if one["verdict"] == "accepted" else f" ({verdict})"
    tone = "quiet" if one["verdict"] == "accepted" else verdict.tone
    return Row(
        one["operation"],
        [f"{verdict.sign} {one['sentence']}{doubt}", ago(one["time"])],
        ("explain", one["operation"]),
        tone,
    )


PLACE = Place("home", "Home", 10, Home)
