"""Loans: who asked for what, where it is, and the signature that comes next.

A thing changes hands by two signatures. The first makes a code, shown for another machine; where
both people stand at this terminal the second one signs here, with their own passphrase, and is
locked again at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from functools import partial
from typing import Any

from commons_cli.output import sentence
from commons_cli.tables import is_elsewhere, shown
from commons_cli.texts import _
from commons_tui.bridge import ApiError
from commons_tui.dialogs.code import Code
from commons_tui.dialogs.unlock import Unlock
from commons_tui.listing import Detail, Listing
from commons_tui.place import Act, Place, bindings
from commons_tui.rows import Column, Row
from commons_tui.words import STEPS, asks_longer, day, loan_look

_TOO_LARGE = "offer"
_ENDED = frozenset({"declined", "cancelled", "returned"})
_ORDER = ("offered", "returning", "requested", "approved", "on_loan", "declined", "cancelled",
          "returned")  # fmt: skip


class Loans(Listing):
    """All loans: mine first, then those that wait, then the rest."""

    private = True
    columns = (
        Column("", 2), Column("Thing", 0), Column("Now", 13), Column("Who", 12, 2),
        Column("Until", 11, 3),
    )  # fmt: skip
    empty = "No loans."
    BINDINGS = bindings(
        ("loan.approve", "a", "Say yes"),
        ("loan.decline", "d", "Say no"),
        ("loan.handover", "h", "Hand it over"),
        ("loan.accept", "t", "Take it"),
        ("loan.return", "b", "Bring it back"),
        ("loan.receive", "r", "Receive it back"),
        ("loan.extend", "e", "Ask to keep it longer"),
        ("loan.cancel", "x", "Call off what you asked for"),
        ("reputation.attest", "s", "Say how it went, once it is back"),
        ("loans.code", "c", "Sign with a code or a file from another machine"),
        ("loans.mine", "m", "Only mine, or all"),
    )

    def __init__(self) -> None:
        """See ``PlaceView``."""
        super().__init__("loans")
        self._mine = False
        self.acts = (
            Act("loan.approve", "a", "Yes", self._answerable(), self._approve),
            Act("loan.decline", "d", "No", self._answerable("approved", "offered"),
                self._decline),
            Act("loan.handover", "h", "Hand over", self._if("approved", "offered",
                by="steward"), self._hand_over),
            Act("loan.accept", "t", "Take", self._if("offered", by="borrower"), self._accept),
            Act("loan.return", "b", "Bring back", self._if("on_loan", "returning",
                by="borrower"), self._give_back),
            Act("loan.receive", "r", "Receive", self._if("returning", "on_loan",
                by="steward"), self._receive),
            Act("loan.extend", "e", "Longer", self._if("on_loan", by="borrower"), self._extend),
            Act("loan.cancel", "x", "Call off", self._if("requested", "approved", "offered",
                by="borrower"), self._cancel),
            Act("reputation.attest", "s", "Say", self._spoken_of, self._attest),
            Act("loans.code", "c", "Code", lambda _row: True, lambda _row: self._code()),
            Act("loans.mine", "m", "Mine", lambda _row: True, lambda _row: self._swap()),
        )  # fmt: skip

    def _if(self, *states: str, by: str) -> Any:
        """Whether a loan is in one of these states, and whoever acts may do something about it."""

        def fits(row: Any) -> bool:
            if not row or row["state"] not in states:
                return False
            mine = self.app.now.is_me(row["borrower"])
            return mine if by == "borrower" else not mine and self.app.now.at_least("steward")

        return fits

    def _answerable(self, *more: str) -> Any:
        """Whether a steward can say yes or no: to a request, or to a longer loan."""
        asked = self._if("requested", *more, by="steward")
        out = self._if("on_loan", by="steward")
        return lambda row: asked(row) or (out(row) and asks_longer(row))

    def _spoken_of(self, row: Any) -> bool:
        """Whether a loan is over by two signatures, and whoever acts is one of its two."""
        if not row or row["state"] != "returned" or row["provisional"]:
            return False
        mine, theirs = (self.app.now.is_me(row[name]) for name in ("borrower", "receiver"))
        return bool(mine != theirs)

    # -- what is shown ---------------------------------------------------------------------------

    async def load(self) -> Sequence[Mapping[str, Any]]:
        """All loans. Reading does not count as use: the terminal locks all the same."""
        found: Sequence[Mapping[str, Any]] = (await self.app.bridge.view("loan.list"))["loans"]
        return found

    def rows_of(self, found: Sequence[Mapping[str, Any]]) -> Sequence[Row]:
        """Mine, then others'; what is over comes last."""
        now = self.app.now
        mine = [one for one in found if now.is_me(one["borrower"])]
        rest = [one for one in found if not now.is_me(one["borrower"])]
        rows = [_row(one, now.today, mine=True) for one in sorted(mine, key=_place_of)]
        if not self._mine:
            rows += [_row(one, now.today, mine=False) for one in sorted(rest, key=_place_of)]
        return rows

    async def detail(self, row: Row) -> Detail:
        """The steps with who signed them; Enter on one explains it."""
        answer = await self.app.bridge.view("loan.show", {"loan": row.key})
        until = day(answer["due_day"], self.app.now.today)
        elsewhere = is_elsewhere(answer.get("zone"), answer["due"])
        steps = [
            Row(
                one["operation"],
                [f"✓ {one['name']} {_(STEPS.get(one['step'], one['step']))}",
                 shown(one["time"], "time")],
                one["operation"],
            )
            for one in answer["steps"]
        ]  # fmt: skip
        fields = [
            (_("Now"), str(loan_look(answer))),
            (_("Who"), str(answer["borrower_name"] or "-")),
            (_("Until"), f"{answer['due_day'] or '-'}, {until}"),
            *([(_("Zone"), answer["zone"])] if elsewhere else []),
            (_("Kept until"), str(answer.get("keep") or "-")),
            (_("Longer"), _longer(answer)),
            (_("Loan"), row.key[:12]),
            (_("Why"), str(answer.get("reason_given") or "-")),
            (_("Note"), str(answer.get("note") or "-")),
        ]
        said = [_("A signature that belongs here has not come yet.")] if answer["missing"] else []
        if answer.get("moved"):
            said.append(str(answer["moved"]))
        if waits := answer.get("waiting"):
            said.append(str(waits["why"]))
            said += [str(one["sentence"]) for one in waits["alternatives"]]
        if answer["conflicts"]:
            said.append(_("Somebody says otherwise: explain the steps to see who."))
        head = Row("h", [_("Signed by"), ""], heading=True)
        name = _label(answer)
        return Detail(
            name, fields, [*said, str(answer.get("certainty") or "")], [head, *steps],
            (Column("", 0), Column("", 16, 1)),
        )  # fmt: skip

    # -- what is done ----------------------------------------------------------------------------

    def _approve(self, row: Mapping[str, Any]) -> None:
        self.app.carry_out("loan.approve", {"loan": row["loan"]}, about=_label(row))

    def _decline(self, row: Mapping[str, Any]) -> None:
        self.app.carry_out("loan.decline", {"loan": row["loan"]}, ask=True, about=_label(row))

    def _accept(self, row: Mapping[str, Any]) -> None:
        self.app.carry_out("loan.accept", {"loan": row["loan"]}, about=_label(row))

    def _receive(self, row: Mapping[str, Any]) -> None:
        given = {"loan": row["loan"], "condition": "ok"}
        self.app.carry_out("loan.receive", given, ask=True, about=_label(row))

    def _extend(self, row: Mapping[str, Any]) -> None:
        given = {"loan": row["loan"], "days": "3"}
        self.app.carry_out("loan.extend", given, ask=True, about=_label(row))

    def _cancel(self, row: Mapping[str, Any]) -> None:
        self.app.carry_out("loan.cancel", {"loan": row["loan"]}, ask=True, about=_label(row))

    def _attest(self, row: Mapping[str, Any]) -> None:
        given = {"loan": row["loan"], "on_time": "yes", "condition": "3", "communication": "3"}
        self.app.carry_out("reputation.attest", given, ask=True, about=_label(row))

    def _hand_over(self, row: Mapping[str, Any]) -> None:
        self.app.run_flow(partial(self._offer, "loan.handover", row))

    def _give_back(self, row: Mapping[str, Any]) -> None:
        self.app.run_flow(partial(self._offer, "loan.return", row))

    def _code(self) -> None:
        """Take or receive what a code or a file from another machine offers."""
        steward = self.app.now.at_least("steward")
        row = self.subject()
        mine = row is not None and self.app.now.is_me(row["borrower"])
        verb = "loan.receive" if steward and not mine else "loan.accept"
        self.app.carry_out(verb, ask=True)

    def _swap(self) -> None:
        self._mine = not self._mine
        told = _("Shown: mine") if self._mine else _("Shown: all")
        self.app.notify(told, timeout=2)
        self.read()

    async def _offer(self, verb: str, row: Mapping[str, Any]) -> None:
        """The first signature: the code for the other one, who may sign here, too."""
        app = self.app
        if not await app.somebody():
            return
        me = app.now.me
        assert me is not None
        described = app.deeds.verbs[verb]
        given = {"loan": row["loan"]}
        try:
            with app.busy(_(described["summary"])):
                who = str(me["member"])
                try:
                    asked = {**given, "out": "offer"}
                    answer = await app.bridge.command(verb, asked, member=who)
                except ApiError as error:
                    if error.code != _TOO_LARGE:
                        raise
                    answer = await app.bridge.command(verb, given, member=who)
        except ApiError as error:
            await app.deeds.failed(described, error)
            return
        app.look_again()
        back = verb == "loan.return"
        name = str(answer["name"])
        says = _("{name} is offered back. A steward receives it with this code.")
        if not back:
            says = _("{name} is offered. It changes hands when the other one takes it.")
        equal = f"commons-node loan {'receive' if back else 'accept'} --offer …"
        others = self._others(back=back, borrower=row["borrower"])
        label = (_("A steward signs here") if back else _("They sign here")) if others else ""
        code = Code(_(described["summary"]).rstrip("."), says.format(name=name),
                    str(answer["offer"]), other=label, equal=equal,
                    file=answer.get("file"))  # fmt: skip
        if await app.push_screen_wait(code) == "here":
            await self._second(answer, others, back=back)

    def _others(self, *, back: bool, borrower: object) -> list[Mapping[str, Any]]:
        """Members of this node who can give the second signature here."""
        stewards = {"steward", "host", "coordinator"}
        return [
            one
            for one in self.app.now.members
            if not self.app.now.is_me(one["member"])
            and (one["role"] in stewards if back else one["member"] == borrower)
        ]

    async def _second(
        self, offer: Mapping[str, Any], others: Sequence[Mapping[str, Any]], *, back: bool
    ) -> None:
        """The other person's signature, in a session of its own."""
        app = self.app
        verb = app.deeds.verbs["loan.receive" if back else "loan.accept"]
        why = _("Only for this one signature; nobody stays unlocked by it.")
        who = await app.push_screen_wait(Unlock(others, why=why, beside=True))
        if who is None:
            return
        try:
            with app.busy(_(verb["summary"])):
                answer = await app.bridge.beside(
                    {**who, "for": 60}, verb["name"],
                    {"loan": offer["loan"], "offer": offer["offer"]},
                )  # fmt: skip
        except ApiError as error:
            await app.deeds.failed(verb, error)
            return
        app.notify((sentence(verb["says"], answer) or "").replace("[", "\\["))
        app.look_again()


def _label(one: Mapping[str, Any]) -> str:
    return f"{one['name']} {one['number'] or ''}".strip()


def _longer(one: Mapping[str, Any]) -> str:
    """The last wish to keep it longer, and what became of it."""
    wish = one.get("extension")
    if not wish:
        return "-"
    said = {"asked": _("{day}: not answered yet"), "granted": _("{day}: granted"),
            "refused": _("{day}: refused")}  # fmt: skip
    return said[wish["state"]].format(day=wish["due_day"])


def _place_of(one: Mapping[str, Any]) -> tuple[bool, int, str]:
    state = one["state"]
    order = _ORDER.index(state) if state in _ORDER else len(_ORDER)
    if one["overdue"]:
        order = -1
    return state in _ENDED, order, str(one["due"] or "")


def _row(one: Mapping[str, Any], today: date, *, mine: bool) -> Row:
    state = loan_look(one)
    name = _label(one)
    who = str(one["borrower_name"] or "-")
    until = day(one["due_day"], today)
    words = f"{name} {who} {state}".casefold()
    sign = "◆" if mine else ""
    return Row(one["loan"], (sign, name, str(state), who, until), one, state.tone, words=words)


PLACE = Place("loans", "Loans", 30, Loans)
