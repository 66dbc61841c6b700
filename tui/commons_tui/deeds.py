"""Carrying out a verb for a person: ask what must be asked, unlock, call, show what came of it.

The same for a key, a button and the palette. A failure is shown with its reason and what to do
next; a passphrase goes into the request and nowhere else.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from commons_cli.calls import write_file
from commons_cli.main import load_verbs
from commons_cli.output import doubts, sentence
from commons_cli.tables import details, shown
from commons_cli.texts import _
from commons_node.api.types import ExitCode
from commons_tui.bridge import ApiError, off_loop
from commons_tui.dialogs.code import Code
from commons_tui.dialogs.dialog import Ask, Say
from commons_tui.dialogs.form import SECRET, Form, checked, command_of, needs_form
from commons_tui.dialogs.permissions import Permissions
from commons_tui.dialogs.typed import Typed
from commons_tui.rows import Column, Row

if TYPE_CHECKING:
    from commons_tui.app import CommonsApp

SLACK_S: Final = 5.0
_CODES: Final = frozenset({"code", "code_old", "unknown", "ambiguous"})
_INSTALL, _GRANT = "agent.install", "agent.grant"
_HIDDEN: Final = frozenset(
    {"v", "ok", "as_of", "missing", "conflicts", "operation", "verdict", "reason", "session"}
)
_GRAVE: Final = frozenset({"member.erase", "member.leave"})
"""What can never be undone: their own name is typed by who does it."""


class Deeds:
    """All verbs of the registry, as things that a person can do here."""

    def __init__(self, app: CommonsApp, verbs: Mapping[str, Any] | None = None) -> None:
        """``verbs`` as in ``verbs.json``."""
        self._app = app
        self.verbs: dict[str, Mapping[str, Any]] = {
            verb["name"]: verb for verb in (verbs or load_verbs())["verbs"]
        }

    async def do(
        self,
        name: str,
        given: Mapping[str, Any] | None = None,
        *,
        ask: bool = False,
        about: str = "",
    ) -> dict[str, Any] | None:
        """Carry a verb out; its answer, or None when it was given up or failed.

        ``given``: arguments that are known; ``ask``: show the form even if nothing must be said.
        ``about``: what they name, in words; then the answer is told in one line, too.
        """
        verb = self.verbs[name]
        values = dict(given or {})
        if verb.get("member") and not await self._app.somebody():
            return None
        form = ask or needs_form(verb, values)
        while True:
            if form:
                filled = await self._app.push_screen_wait(Form(verb, values, about))
                if filled is None:
                    return None
                values = dict(filled)
            if verb.get("asks") and not values.get("dry_run"):
                question = sentence([verb["asks"]], values) or _(verb["asks"])
                if not await self._sure(verb, question):
                    return None
            try:
                answer = await self._call(verb, values)
            except ApiError as error:
                await self.failed(verb, error, command_of(verb, values))
                if form and mistyped(error):  # what was typed stands there still
                    values = without_secrets(verb, values)
                    continue
                return None
            if answer is not None:
                await self._tell(verb, values, answer, brief=bool(about))
                if answer.get("waits") and name == _INSTALL:  # a new version that asks for more
                    await self.do(_GRANT, {"agent": answer["agent"]})
            return answer

    async def _call(self, verb: Mapping[str, Any], values: dict[str, Any]) -> dict[str, Any] | None:
        """The answer; None where a file of it could not be written. Raises ApiError."""
        outs = files_out(verb, values)
        body = {**values, **{name: Path(path).name for name, path in outs.items()}}
        try:
            await off_loop(lambda: free(outs))
            answer = await self._agreed(verb, body)
            if answer is None:
                return None
            for one in verb["args"]:
                data = answer.pop(one["result"], None) if one["kind"] == "file-out" else None
                if data is not None and one["name"] in outs:
                    path, content = Path(outs[one["name"]]), b64decode(str(data))
                    await off_loop(lambda path=path, content=content: write_file(path, content))  # type: ignore[misc]  # defaults bind the loop's values
                    self._app.notify(_("Written: {path}").format(path=path))
        except OSError as error:
            told = _("{file} cannot be written: {why}.")
            await self._app.push_screen_wait(
                Say(_("It did not work"), told.format(file=error.filename, why=error.strerror))
            )
            return None
        token = answer.get("session")
        if verb.get("opens_session") and isinstance(token, str):
            await self._app.bridge.adopt(token)
            self._app.chosen(answer.get("member"))
        self._app.look_again()
        return answer

    async def _agreed(self, verb: Mapping[str, Any], body: dict[str, Any]) -> dict[str, Any] | None:
        """Call; what wants to be agreed to is shown, and with a yes called once more."""
        try:
            return await self._send(verb, body)
        except ApiError as error:
            report = error.report
            if error.code != "not_agreed" or report is None:
                raise
        asked = Permissions(_(verb["summary"]).rstrip("."), report)
        if not await self._app.push_screen_wait(asked):
            return None
        return await self._send(verb, {**body, "agree": report["agree"]})

    async def _sure(self, verb: Mapping[str, Any], question: str) -> bool:
        """Whether it shall be done; what can never be undone has to be typed."""
        heading = _(verb["summary"]).rstrip(".")
        me = self._app.now.me
        if verb["name"] in _GRAVE and me is not None:
            asked: Any = Typed(heading, question, str(me["name"]))
        else:
            asked = Ask(heading, question, _("Do it"))
        return bool(await self._app.push_screen_wait(asked))

    async def _send(self, verb: Mapping[str, Any], body: dict[str, Any]) -> dict[str, Any]:
        """Call; when the member is locked after all, unlock and call once more."""
        bridge, app = self._app.bridge, self._app
        wait = float(body.get("wait", 0) or 0)
        timeout = max(float(verb["timeout_s"]), wait + SLACK_S)
        with app.busy(_(verb["summary"])):
            if verb["kind"] == "view":
                return await bridge.view(verb["name"], body, timeout)
            me = app.now.me
            member = str(me["member"]) if verb.get("member") and me else None
            try:
                return await bridge.command(verb["name"], body, timeout, member=member)
            except ApiError as error:
                if error.code != "locked":
                    raise
                if not await app.unlock(_("The terminal has locked meanwhile.")):
                    raise
            me = app.now.me
            member = str(me["member"]) if me else None
            return await bridge.command(verb["name"], body, timeout, member=member)

    # -- telling ---------------------------------------------------------------------------------

    async def failed(self, verb: Mapping[str, Any], error: ApiError, equal: str = "") -> None:
        """Say what did not work, why, and what to do."""
        what = _("Did not work: {verb}").format(verb=_(verb["summary"]).rstrip("."))
        hint = f"{_('Try')}: {error.hint}" if error.hint else ""
        report = rows_of(verb, error.report) if error.report else []
        await self._app.push_screen_wait(
            Say(what, error.message, hint, columns=columns_of(verb), rows=report, equal=equal)
        )

    async def _tell(
        self,
        verb: Mapping[str, Any],
        values: Mapping[str, Any],
        answer: Mapping[str, Any],
        *,
        brief: bool,
    ) -> None:
        said = sentence(verb.get("says", []), answer) or ""
        doubt = " ".join(doubts(answer))
        equal = command_of(verb, values)
        code = answer.get(verb["qr"]) if "qr" in verb else None
        heading = _(verb["summary"]).rstrip(".")
        if isinstance(code, str):
            before = "\n".join(line for line in said.split("\n") if code not in line)
            await self._app.push_screen_wait(Code(heading, before, code, equal=equal))
        elif verb["kind"] == "view" or verb.get("table") or (not said and not doubt):
            rows = rows_of(verb, answer)
            empty = _(verb["table"]["empty"]) if verb.get("table") and not rows else ""
            rest = "" if said or verb.get("table") else "\n".join(plain_fields(answer))
            key = await self._app.push_screen_wait(
                Say(heading, said, empty, rest, doubt,
                    columns=columns_of(verb), rows=rows, equal=equal)
            )  # fmt: skip
            if key and key in {str(row.data) for row in rows}:
                self._app.explain(key)
        elif brief and not doubt:
            self._app.notify(said.partition("\n")[0].replace("[", "\\["))
        elif "\n" in said or doubt:
            await self._app.push_screen_wait(Say(heading, said, doubt, equal=equal))
        else:
            self._app.notify(said.replace("[", "\\["))
        following = verb.get("then")
        if following in self.verbs and answer.get("goes_on") is not False:
            await self.do(following, {})


def mistyped(error: ApiError) -> bool:
    """Whether other words in the form might help."""
    return error.exit == ExitCode.USAGE or error.code in _CODES


def without_secrets(verb: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """What a form may show again: no passphrases."""
    secret = {one["name"] for one in verb["args"] if one["kind"] in SECRET}
    return {name: value for name, value in values.items() if name not in secret}


def files_out(verb: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, str]:
    """The files that this program writes, by argument."""
    kinds = {one["name"]: one["kind"] for one in verb["args"]}
    return {name: str(one) for name, one in values.items() if kinds.get(name) == "file-out"}


def free(outs: Mapping[str, str]) -> None:
    """Raise ApiError for a file that is there already, or whose folder is not."""
    from commons_cli.terminal import usage

    for path in map(Path, outs.values()):
        if path.exists():
            raise usage(_("{path} is there already.").format(path=path), _("choose another name"))
        if not path.absolute().parent.is_dir():
            raise usage(_("There is no folder {folder}.").format(folder=path.absolute().parent), "")


def columns_of(verb: Mapping[str, Any]) -> list[Column]:
    """The columns of a verb's table; ids come last and give way first."""
    table = verb.get("table")
    if not table:
        return []
    sizes = {"id": 12, "time": 16, "yes": 8, "number": 8}
    return [
        Column(title, sizes.get(kind, 0), drop=2 if kind == "id" else n // 2)
        for n, (_field, title, kind) in enumerate(table["columns"])
    ]


def rows_of(verb: Mapping[str, Any], answer: Mapping[str, Any] | None) -> list[Row]:
    """The rows of a verb's table; the key is the operation's id where there is one."""
    table = verb.get("table") or {"rows": "", "columns": []}
    found = (answer or {}).get(table["rows"]) or []
    rows = []
    for n, one in enumerate(row for row in found if isinstance(row, dict)):
        cells = [shown(one.get(field), kind) for field, _title, kind in table["columns"]]
        operation = one.get("operation") or one.get("loan")
        rows.append(Row(str(operation or n), cells, operation))
    return rows


def plain_fields(answer: Mapping[str, Any]) -> list[str]:
    """All fields of an answer that has neither sentence nor table."""
    return details({key: one for key, one in answer.items() if key not in _HIDDEN}, 68)


__all__ = ["Deeds", "checked", "command_of"]
