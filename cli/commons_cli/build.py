"""The command line, made from a description of the node's verbs.

Nouns become groups, verbs become commands, and only those that are asked for are made. A new verb
of the node needs no line here.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import click

from commons_cli.calls import Call, Verbs
from commons_cli.options import Options, global_options
from commons_cli.tables import wrap
from commons_cli.texts import _
from commons_cli.values import show_duration, type_of

_LOCAL_BELOW: dict[str, tuple[str, ...]] = {
    "backup": ("rehearse", "restore", "verify"),
    "community": ("verify",),
}
"""The program's own commands below a noun: they need no node."""
_SETTINGS: dict[str, Any] = {"help_option_names": ["--help"], "max_content_width": 100}
_ABOUT = 84
"""Columns beside an argument's name, of those 100."""


def build(verbs: Verbs) -> click.Group:
    """The whole program for these verbs."""
    return _Root(verbs)


class _Noun(click.Group):
    """``commons-node loan``, ``commons-node member device``: the verbs below one or two words."""

    def __init__(self, verbs: Verbs, noun: str) -> None:
        super().__init__(
            noun.rpartition(".")[2],
            params=global_options(hidden=True),
            help=_capital(_(verbs["nouns"].get(noun, ""))),
            context_settings=_SETTINGS,
        )
        self._verbs = verbs
        self._noun = noun
        below = {
            verb["name"].removeprefix(f"{noun}."): verb
            for verb in verbs["verbs"]
            if verb["name"].startswith(f"{noun}.")
        }
        self._own = {name: verb for name, verb in below.items() if "." not in name}
        self._nouns = {name.partition(".")[0] for name in below if "." in name}

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Its verbs, and the nouns below it."""
        del ctx
        return sorted({*self._own, *self._nouns, *_LOCAL_BELOW.get(self._noun, ())})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """One of them, made now."""
        del ctx
        if cmd_name in self._nouns:
            return _Noun(self._verbs, f"{self._noun}.{cmd_name}")
        if cmd_name in _LOCAL_BELOW.get(self._noun, ()):
            from commons_cli.local import local_command

            return local_command(f"{self._noun}.{cmd_name}", self._verbs)
        verb = self._own.get(cmd_name)
        return None if verb is None else _command(self._verbs, verb, cmd_name)


class _Root(click.Group):
    """``commons-node``: nouns, verbs without a noun, and the program's own commands."""

    def __init__(self, verbs: Verbs) -> None:
        super().__init__(
            "commons-node",
            params=global_options(hidden=False),
            help=_(
                "Share things, spaces and decisions with your neighbours.\n\n"
                "The options below may be given before or after any command."
            ),
            context_settings=_SETTINGS,
        )
        self._verbs = verbs
        self._plain = {verb["name"]: verb for verb in verbs["verbs"] if "." not in verb["name"]}
        self._nouns = {verb["name"].partition(".")[0] for verb in verbs["verbs"]}
        self._nouns -= set(self._plain)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Everything that may come first."""
        del ctx
        from commons_cli.local import LOCAL

        return sorted({*LOCAL, *self._plain, *self._nouns})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """One of them, made now."""
        del ctx
        if cmd_name in self._plain:
            return _command(self._verbs, self._plain[cmd_name], cmd_name)
        if cmd_name in self._nouns:
            return _Noun(self._verbs, cmd_name)
        from commons_cli.local import local_command

        return local_command(cmd_name, self._verbs)


def _command(verbs: Verbs, verb: dict[str, Any], name: str) -> click.Command:
    positional = [one for one in verb["args"] if one.get("positional")]
    params: list[click.Parameter] = [_argument(one) for one in positional]
    params += [
        _option(one)
        for one in verb["args"]
        if not one.get("positional")
        and one["name"] != "timeout"
        and one["kind"] not in {"passphrase", "new-passphrase", "secret"}
    ]
    params += [
        option for one in verb["args"] if one["kind"] == "secret" for option in _secret_options(one)
    ]
    if {"passphrase", "new-passphrase"} <= {one["kind"] for one in verb["args"]}:
        about = _("The new passphrase, from a file; - is standard input.")
        params.append(
            click.Option(
                ["--new-passphrase-file", "value_new_passphrase_file"], metavar="F", help=about
            )
        )
    if verb.get("watch"):
        about = _("Show it again whenever something happens, until Ctrl-C.")
        params.append(click.Option(["--watch", "value_watch"], is_flag=True, help=about))
    text = _(verb["summary"])
    if positional:
        lines = [line for one in positional for line in _described(one)]
        text += "\n\n\b\n" + "\n".join(lines)
    return click.Command(
        name,
        params=[*params, *global_options(hidden=True)],
        help=text,
        short_help=_(verb["summary"]),
        epilog=_("Options for all commands: commons-node --help"),
        callback=_runner(verbs, verb),
        context_settings=_SETTINGS,
    )


def _runner(verbs: Verbs, verb: dict[str, Any]) -> Callable[..., None]:
    def run(**values: Any) -> None:
        context = click.get_current_context()
        options = context.ensure_object(Options)
        options.command = context.command_path
        given = {name.removeprefix("value_"): value for name, value in values.items()}
        call = Call(verbs, verb, options)
        if given.pop("watch", False):
            from commons_cli.watching import watch

            watch(call, given)
        else:
            call.run(given)

    return run


def _described(argument: dict[str, Any]) -> list[str]:
    """A positional argument in the help of its command, which click does not wrap."""
    first, *rest = wrap(_(argument["help"]), _ABOUT)
    return [f"{_metavar(argument):<12}  {first}", *(f"{'':<12}  {line}" for line in rest)]


def _metavar(argument: dict[str, Any]) -> str:
    return str(argument.get("metavar") or argument["name"].upper())


def _argument(argument: dict[str, Any]) -> click.Argument:
    repeat = bool(argument.get("repeat"))
    return click.Argument(
        [f"value_{argument['name']}"],
        type=type_of(argument),
        required=bool(argument.get("required")),
        nargs=-1 if repeat else 1,
        metavar=_metavar(argument) + ("..." if repeat else ""),
        shell_complete=_completer(argument),
    )


def _option(argument: dict[str, Any]) -> click.Option:
    help_text = _(argument["help"])
    if "default" in argument:
        default = argument["default"]
        shown = show_duration(default) if argument["kind"] == "duration" else default
        help_text += f"  [{_('default')}: {shown}]"
    flag = argument["kind"] == "flag"
    return click.Option(
        [f"--{argument['name'].replace('_', '-')}", f"value_{argument['name']}"],
        type=None if flag else type_of(argument),
        is_flag=flag or None,  # False would make the value optional
        multiple=bool(argument.get("repeat")),
        required=bool(argument.get("required")),
        metavar=None if flag or argument["kind"] == "choice" else _option_metavar(argument),
        help=help_text,
        shell_complete=_completer(argument),
    )


def _secret_options(argument: dict[str, Any]) -> list[click.Option]:
    """``--recovery-file F``, and ``--recovery`` to be asked where it may be left out."""
    name, help_text = argument["name"], _(argument["help"])
    words = f"--{name.replace('_', '-')}"
    file_help = _("{about}, from a file; - is standard input").format(about=help_text)
    options = [
        click.Option([f"{words}-file", f"value_{name}_file"], metavar="F", help=file_help),
    ]
    if not argument.get("required"):
        asked = _("{about}: ask for it").format(about=help_text)
        options.append(click.Option([words, f"value_{name}"], is_flag=True, help=asked))
    return options


def _option_metavar(argument: dict[str, Any]) -> str:
    words = {
        "integer": "N",
        "number": "N",
        "duration": "DURATION",
        "time": "TIME",
        "file-in": "FILE",
        "file-out": "FILE",
        "file-or-text": "FILE|CODE",
    }
    return str(argument.get("metavar") or words.get(argument["kind"], argument["name"].upper()))


def _completer(argument: dict[str, Any]) -> Callable[..., Any] | None:
    """Values from the running node, for arguments that name something there."""
    described = argument.get("complete")
    if described is None:
        return None

    def complete(context: click.Context, _parameter: click.Parameter, begun: str) -> list[str]:
        from commons_cli.completion import values

        bash = os.environ.get("_COMMONS_NODE_COMPLETE", "").startswith("bash")
        return values(context.find_object(Options) or Options(), described, begun, quoted=bash)

    return complete


def _capital(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}." if text and not text.endswith(".") else text
