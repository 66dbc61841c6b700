"""Carrying out one verb: ask what must be asked, unlock if need be, call the node, print.

Asks only people: without a terminal it never waits for an answer, it says what to give instead.
Passphrases go from the prompt or a file into the request's body, and nowhere else.
"""

from __future__ import annotations

import math
import time
from base64 import b64decode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import click

from commons_cli import passphrases, progress
from commons_cli.options import Options
from commons_cli.output import lines_of, print_qr, print_result, sentence
from commons_cli.private import read_private
from commons_cli.terminal import on_terminal, store_token, usage
from commons_cli.texts import _, language
from commons_node.api.client import ApiError, Client, timed_out
from commons_node.api.types import MAX_TIMEOUT_S, ExitCode

Verbs = Mapping[str, Any]
"""``verbs.json``: the registry as the node describes it."""

_PASSPHRASES: Final = frozenset({"passphrase", "new-passphrase"})
_SLACK_S: Final = 5.0
"""How much longer than a verb that waits by itself the whole call may take."""


class Call:
    """One verb with its values, from the command line to the printed answer."""

    def __init__(self, verbs: Verbs, verb: Mapping[str, Any], options: Options) -> None:
        """Does nothing yet."""
        self._verbs = verbs
        self._verb = verb
        self._options = options
        self._arguments = {one["name"]: one for one in verb["args"]}

    def run(self, values: Mapping[str, Any]) -> None:
        """Carry it out. Raises ApiError, click.UsageError, click.Abort."""
        options = self._options
        given = {name: value for name, value in values.items() if not _absent(value)}
        outs = self._files_out(given)
        self._confirm(given)
        asks_passphrase = any(one["kind"] in _PASSPHRASES for one in self._verb["args"])
        if asks_passphrase and on_terminal():
            self._client(None).reach()  # before somebody thinks of words for it
        secrets = self._passphrases(given) | self._secrets(given)
        body = {**given, **{name: Path(path).name for name, path in outs.items()}, **secrets}
        timeout = self._timeout(body)
        deadline = time.monotonic() + timeout
        unlock_first = bool(
            (options.passphrase_file or options.keyring)
            and (self._verb.get("member") or options.acting)
            and not asks_passphrase
        )
        try:
            if unlock_first:
                with self._unlocked_for_call(deadline) as client:
                    result = self._send(client, body, deadline)
            else:
                client = self._client(options.token())
                result = self._send_or_unlock(client, body, deadline)
        except ApiError as error:
            if error.report is not None and not options.json:
                for line in lines_of(self._verb, error.report):
                    click.echo(line)
            raise
        token = result.get("session")
        opens = self._verb.get("opens_session") and options.token_file is None
        if opens and isinstance(token, str):
            store_token(options.home_folder, token)
        self._write(outs, result)
        print_result(self._verb, result, options)
        if "qr" in self._verb and not options.json and not options.quiet:
            text = result.get(self._verb["qr"])
            if isinstance(text, str):
                print_qr(text)
        if result.get("goes_on") is not False:
            self._go_on()

    def ask(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The answer of a view, not printed. Raises ApiError."""
        given = {name: value for name, value in values.items() if not _absent(value)}
        deadline = time.monotonic() + self._timeout(given)
        return self._send_or_unlock(self._client(self._options.token()), given, deadline)

    def show(self, result: dict[str, Any]) -> None:
        """Print an answer."""
        print_result(self._verb, result, self._options)

    def _go_on(self) -> None:
        """Ask a person at a terminal for what the next verb needs, and carry it out."""
        following = _verb(self._verbs, str(self._verb.get("then", "")))
        if following is None or self._options.json or self._options.quiet or not on_terminal():
            return
        values = {
            one["name"]: click.prompt(_(one["help"]).capitalize(), err=True)
            for one in following["args"]
            if one.get("positional")
        }
        Call(self._verbs, following, self._options).run(values)

    # -- before the call -------------------------------------------------------------------------

    def _timeout(self, body: dict[str, Any]) -> float:
        """Seconds for the whole call; a verb that waits by itself is told how long."""
        given = self._options.timeout
        own = self._arguments.get("timeout")
        if own is not None:
            if given is not None:
                body["timeout"] = given if own["kind"] == "number" else math.ceil(given)
            return min(float(body.get("timeout", own.get("default", 30))) + _SLACK_S, MAX_TIMEOUT_S)
        if given is not None:
            return given
        wait = float(body.get("wait", 0)) if "wait" in self._arguments else 0.0
        return min(max(float(self._verb["timeout_s"]), wait + _SLACK_S), MAX_TIMEOUT_S)

    def _confirm(self, given: Mapping[str, Any]) -> None:
        asks = self._verb.get("asks")
        if not asks or self._options.yes or given.get("dry_run"):
            return
        question = sentence([asks], given) or _(asks)
        if not on_terminal():
            raise usage(question, _("add --yes to do it without being asked"))
        if not agreed(question):
            raise ApiError("declined", _("Nothing was changed."), "", ExitCode.FAILED)

    def _passphrases(self, given: dict[str, Any]) -> dict[str, str]:
        """The passphrase arguments of this verb, from where the person says, or from them."""
        options, found = self._options, {}
        kinds = {one["kind"] for one in self._verb["args"]} & _PASSPHRASES
        other = given.pop("new_passphrase_file", None)
        member = given.get("member") or options.acting
        for argument in self._verb["args"]:
            about, name = argument["help"], argument["name"]
            if argument["kind"] == "passphrase":
                found[name] = passphrases.held(options, about, member)
            elif argument["kind"] == "new-passphrase":
                file = other if kinds == _PASSPHRASES else options.passphrase_file
                found[name] = passphrases.new(file, about)
        return found

    def _secrets(self, given: dict[str, Any]) -> dict[str, str]:
        """Secrets on paper, from their file or from a person; never from the command line."""
        found: dict[str, str] = {}
        for argument in self._verb["args"]:
            if argument["kind"] != "secret":
                continue
            name, about = argument["name"], _(argument["help"])
            file, asked = given.pop(f"{name}_file", None), given.pop(name, False)
            if file is not None:
                found[name] = read_private(file)
            elif (asked or argument.get("required")) and on_terminal():
                found[name] = str(click.prompt(about.capitalize(), err=True))
            elif asked or argument.get("required"):
                hint = _("give it with --{name}-file F, or run this on a terminal")
                message = _("This needs {about}, and nobody can be asked here.")
                raise usage(message.format(about=about), hint.format(name=name.replace("_", "-")))
        return found

    def _files_out(self, given: dict[str, Any]) -> dict[str, str]:
        """Files to write, checked before anything happens."""
        outs: dict[str, str] = {}
        for name, argument in self._arguments.items():
            if argument["kind"] in {"file-out", "path-out"} and name in given:
                path = Path(given[name])
                if not path.absolute().parent.is_dir():
                    folder = path.absolute().parent
                    raise usage(_("There is no folder {folder}.").format(folder=folder), "")
                if path.exists() and not self._options.yes:
                    there = _("{path} is there already.").format(path=path)
                    raise usage(there, _("choose another name, or add --yes to replace it"))
                if argument["kind"] == "file-out":
                    outs[name] = str(path)
        return outs

    # -- the call --------------------------------------------------------------------------------

    def _client(self, session: str | None) -> Client:
        options = self._options
        return Client(
            options.socket,
            session=session,
            community=options.place,
            member=options.acting,
            language=language(),
        )

    def _send(self, client: Client, body: Mapping[str, Any], deadline: float) -> dict[str, Any]:
        """Call; what wants to be agreed to is shown, and with a yes called once more."""
        try:
            return self._call(client, body, deadline)
        except ApiError as error:
            if error.code != "not_agreed" or error.report is None or not self._may_agree():
                raise
            report = error.report
        if not self._options.json and not self._options.quiet:
            for line in lines_of(self._verb, report):
                click.echo(line)
        if not self._options.yes:
            asked = time.monotonic()
            if not agreed(_("Agree to that?")):
                raise ApiError("declined", _("Nothing was changed."), "", ExitCode.FAILED)
            deadline += time.monotonic() - asked
        return self._call(client, {**body, "agree": report["agree"]}, deadline)

    def _may_agree(self) -> bool:
        """Whether somebody says yes: in advance, or who can be asked."""
        return self._options.yes or (not self._options.json and on_terminal())

    def _call(self, client: Client, body: Mapping[str, Any], deadline: float) -> dict[str, Any]:
        call = client.command if self._verb["kind"] == "command" else client.view
        with progress.shown(str(self._verb.get("progress", "")), self._options):
            return call(self._verb["name"], body, _left(deadline))

    def _send_or_unlock(
        self, client: Client, body: Mapping[str, Any], deadline: float
    ) -> dict[str, Any]:
        """Call; when the member is locked and somebody can be asked, unlock and call once more."""
        try:
            return self._send(client, body, deadline)
        except ApiError as error:
            unlock = _verb(self._verbs, "member.unlock")
            if error.code != "locked" or unlock is None or not on_terminal():
                raise
        click.echo(_("No member is unlocked in this terminal."), err=True)
        asked = time.monotonic()
        member = self._options.acting or str(click.prompt(_("Who acts"), err=True))
        prompt = _("Passphrase of {member}").format(member=member)
        passphrase = click.prompt(prompt, hide_input=True, err=True)
        deadline += time.monotonic() - asked  # a person may take time
        arguments = {"member": member, "passphrase": passphrase}
        unlocked = client.command("member.unlock", arguments, _left(deadline))
        token = unlocked.get("session")
        if isinstance(token, str) and self._options.token_file is None:
            store_token(self._options.home_folder, token)
            client.session = token
        return self._send(client, body, deadline)

    @contextmanager
    def _unlocked_for_call(self, deadline: float) -> Iterator[Client]:
        """A session of its own for this call; the terminal's stays as it is."""
        options = self._options
        unlock = _verb(self._verbs, "member.unlock")
        client = self._client(None)
        passphrase = passphrases.held(options, "the member's passphrase", options.acting)
        arguments: dict[str, Any] = {"passphrase": passphrase}
        if options.acting is not None:
            arguments["member"] = options.acting
        if unlock is not None and any(one["name"] == "for" for one in unlock["args"]):
            # Ends by itself soon, should this program be killed before it locks again.
            arguments["for"] = math.ceil(_left(deadline)) + 30
        client.session = client.command("member.unlock", arguments, _left(deadline))["session"]
        try:
            yield client
        finally:
            with suppress(ApiError):
                client.command("member.lock", {}, 5.0)

    # -- after the call --------------------------------------------------------------------------

    def _write(self, outs: Mapping[str, str], result: dict[str, Any]) -> None:
        """Store what the answer holds for files, and take it out of what is printed."""
        for name, argument in self._arguments.items():
            if argument["kind"] != "file-out":
                continue
            data = result.pop(argument["result"], None)
            if name in outs and data is None:
                message = _("The node sent nothing to write to {path}.").format(path=outs[name])
                hint = _("the node's log says more")
                raise ApiError("internal", message, hint, ExitCode.FAILED)
            if name in outs:
                write_file(Path(outs[name]), b64decode(str(data)))


def _verb(verbs: Verbs, name: str) -> Mapping[str, Any] | None:
    return next((verb for verb in verbs["verbs"] if verb["name"] == name), None)


def _absent(value: object) -> bool:
    return value is None or value is False or value == ()


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise timed_out()
    return left


def agreed(question: str) -> bool:
    """Ask a person, who answers in English or in their own language; Enter is no."""
    while True:
        text = f"{question} {_('[y/N]')}"
        given = str(click.prompt(text, default="", show_default=False, err=True))
        said = given.strip().casefold()
        if said in {"y", "yes", _("y"), _("yes")}:
            return True
        if said in {"", "n", "no", _("n"), _("no")}:
            return False
        click.echo(_("Error: invalid input"), err=True)


def write_file(path: Path, data: bytes) -> None:
    """Replace ``path``, whole or not at all, readable by this user only. Raises OSError."""
    import os

    beside = path.with_name(f".{path.name}.{os.getpid()}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    try:
        with os.fdopen(os.open(beside, flags, 0o600), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        beside.rename(path)
    except BaseException:
        with suppress(OSError):
            beside.unlink()
        raise
