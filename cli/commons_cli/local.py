"""Commands that are no verbs of the node: start it, listen to it, and help with this program."""

from __future__ import annotations

import json
from typing import Any, Final

import click

from commons_cli.calls import Verbs
from commons_cli.help import TOPICS, topic
from commons_cli.options import Options, global_options
from commons_cli.output import print_json
from commons_cli.service import NOUN, service_group
from commons_cli.tables import details
from commons_cli.texts import _, language
from commons_node.api.client import ApiError, Client
from commons_node.api.types import ExitCode

_DAEMON: Final = ["-m", "commons_node"]
_SHELLS: Final = ("bash", "zsh", "fish")


def _options() -> Options:
    context = click.get_current_context()
    options = context.ensure_object(Options)
    options.command = context.command_path
    return options


def _run(listen: tuple[str, ...], ready_file: str | None, *, no_lan: bool) -> None:
    options = _options()
    arguments = [*_DAEMON, "run", "--home", str(options.home_folder)]
    for address in listen:
        arguments += ["--listen", address]
    if no_lan:
        arguments.append("--no-lan")
    if ready_file:
        arguments += ["--ready-file", ready_file]
    if options.json:
        arguments.append("--json")
    options.start(arguments)


def _tui(*, no_animation: bool) -> None:
    options = _options()
    arguments = ["-m", "commons_tui", "--home", str(options.home_folder)]
    if options.place:
        arguments += ["--community", options.place]
    if options.acting:
        arguments += ["--as", options.acting]
    if no_animation:
        arguments.append("--no-animation")
    options.start(arguments)


def _demo() -> None:
    options = _options()
    options.start([*_DAEMON, "demo", *(["--json"] if options.json else [])])


def _verify(file: str) -> None:
    options = _options()
    arguments = [*_DAEMON, "verify", file]
    options.start([*arguments, *(["--json"] if options.json else [])])


def _backup(what: str, place: str, *, alone: bool = False) -> None:
    """A process of its own asks for the passphrase, if no file was named."""
    options = _options()
    if alone and not options.yes:
        click.confirm(_("Did the lost machine write nothing after this backup?"), abort=True)
    arguments = [*_DAEMON, "backup", what, place, "--home", str(options.home_folder)]
    if options.passphrase_file:
        arguments += ["--passphrase-file", options.passphrase_file]
    if alone:
        arguments.append("--alone")
    options.start([*arguments, *(["--json"] if options.json else [])])


def _doctor(report: str | None, *, quick: bool) -> None:
    options = _options()
    arguments = [*_DAEMON, "doctor", "--home", str(options.home_folder)]
    if report:
        arguments += ["--report", report]
    if quick:
        arguments.append("--quick")
    options.start([*arguments, *(["--json"] if options.json else [])])


def _events(count: int | None) -> None:
    options = _options()
    client = Client(options.socket, session=options.token(), language=language())
    for number, event in enumerate(client.events(options.timeout), 1):
        click.echo(json.dumps(event))
        if number == count:
            return
    message = _("The node stopped.")
    raise ApiError("stopped", message, "commons-node run", ExitCode.NOT_RUNNING)


def _version() -> None:
    from importlib.metadata import version

    found = version("commons-node")
    if _options().json:
        print_json({"version": found})
    else:
        click.echo(f"commons-node {found}")


def _paths() -> None:
    options = _options()
    home = options.home_folder
    found = {
        "home": str(home),
        "config": str(home / "config.toml"),
        "socket": str(options.socket),
        "keys": str(home / "keys"),
        "node_key": str(home / "node.key"),
    }
    if options.json:
        print_json(found)
        return
    for line in details(found, 1_000):  # never wrapped: a path is copied whole
        click.echo(line)


def _completion(shell: str) -> None:
    from click.shell_completion import get_completion_class

    root = click.get_current_context().find_root().command
    kind = get_completion_class(shell)
    assert kind is not None
    source = kind(root, {}, "commons-node", "_COMMONS_NODE_COMPLETE").source()
    if _options().json:
        print_json({"shell": shell, "script": source})
    else:
        click.echo(source)


def _help(verbs: Verbs, words: tuple[str, ...]) -> None:
    context = click.get_current_context()
    root = context.find_root()
    if len(words) == 1 and words[0] in TOPICS:
        text = topic(words[0], verbs)
    else:
        command: click.Command = root.command
        inner = root
        for word in words:
            found = command.get_command(inner, word) if isinstance(command, click.Group) else None
            if found is None:
                raise click.UsageError(_("There is no command {word!r}.").format(word=word))
            command, inner = found, click.Context(found, info_name=word, parent=inner)
        text = command.get_help(inner)
    if _options().json:
        print_json({"text": text})
    else:
        click.echo(text)


def _complete_help(
    verbs: Verbs, _context: click.Context, _parameter: click.Parameter, begun: str
) -> list[str]:
    first = {verb["name"].partition(".")[0] for verb in verbs["verbs"]}
    return sorted(word for word in {*TOPICS, *first} if word.startswith(begun))


def _a_backup() -> click.Argument:
    """A folder of backups, or one backup in it."""
    return click.Argument(["place"], type=click.Path(exists=True), metavar="FILE")


LOCAL: Final = (
    "completion",
    "demo",
    "doctor",
    "events",
    "help",
    "keyring",
    "paths",
    "run",
    "service",
    "tui",
    "version",
)
"""Names of these commands; the registry of verbs refuses them."""


def local_command(name: str, verbs: Verbs) -> click.Command | None:
    """One of these commands, or None."""
    made: dict[str, tuple[Any, str, list[click.Parameter]]] = {
        "run": (
            _run,
            _("Run the node in the foreground, until Ctrl-C."),
            [
                click.Option(
                    ["--listen"],
                    multiple=True,
                    metavar="MULTIADDR",
                    help=_("Listen here; may be repeated."),
                ),
                click.Option(["--no-lan"], is_flag=True, help=_("Do not use the local network.")),
                click.Option(
                    ["--ready-file"],
                    type=click.Path(dir_okay=False),
                    metavar="F",
                    help=_("Write the ready line to this file too."),
                ),
            ],
        ),
        "demo": (_demo, _("Show three nodes that share a tool library, on this computer."), []),
        "tui": (
            _tui,
            _("Open the terminal interface; the node goes on when it is closed."),
            [click.Option(["--no-animation"], is_flag=True, help=_("Let nothing move."))],
        ),
        "community.verify": (
            _verify,
            _("Check an archive of a community: no node is needed, and no network."),
            [click.Argument(["file"], type=click.Path(exists=True, dir_okay=False))],
        ),
        "backup.verify": (
            lambda place: _backup("verify", place),
            _("Read a backup whole, and judge all of it again; no node is needed."),
            [_a_backup()],
        ),
        "backup.rehearse": (
            lambda place: _backup("rehearse", place),
            _("Restore a backup where nobody sees it, compare, and leave nothing behind."),
            [_a_backup()],
        ),
        "backup.restore": (
            lambda place, alone: _backup("restore", place, alone=alone),
            _("Make a new node of a backup, in an empty home; the old one must be gone."),
            [
                _a_backup(),
                click.Option(
                    ["--alone"],
                    is_flag=True,
                    help=_("There is no other node to ask what the lost machine wrote last."),
                ),
            ],
        ),
        "doctor": (
            _doctor,
            _("Examine this node and its machine; each fault with what to do about it."),
            [
                click.Option(
                    ["--report"],
                    type=click.Path(dir_okay=False),
                    metavar="FILE",
                    help=_("Write figures without names, keys or places to this file."),
                ),
                click.Option(
                    ["--quick"],
                    is_flag=True,
                    help=_("Do not check and judge every operation again."),
                ),
            ],
        ),
        "events": (
            _events,
            _("Print what happens, one JSON object a line, until Ctrl-C."),
            [
                click.Option(
                    ["--count"], type=click.IntRange(1), metavar="N", help=_("Stop after N.")
                )
            ],
        ),
        "version": (_version, _("Print the version."), []),
        "paths": (_paths, _("Print where this node keeps what."), []),
        "completion": (
            _completion,
            _("Print the completion script for a shell.")
            + '\n\n\b\neval "$(commons-node completion bash)"',
            [click.Argument(["shell"], type=click.Choice(_SHELLS))],
        ),
        "help": (
            lambda words: _help(verbs, words),
            _("Explain a command or a topic: {topics}.").format(topics=", ".join(TOPICS)),
            [
                click.Argument(
                    ["words"],
                    nargs=-1,
                    metavar="[TOPIC|COMMAND...]",
                    shell_complete=lambda *given: _complete_help(verbs, *given),
                )
            ],
        ),
    }
    if name == NOUN:
        return service_group()
    if name == "keyring":
        from commons_cli.keyring import keyring_group

        return keyring_group()
    if name not in made:
        return None
    callback, text, params = made[name]
    return click.Command(
        name.rpartition(".")[2],
        params=[*params, *global_options(hidden=True)],
        help=text,
        callback=callback,
        context_settings={"help_option_names": ["--help"], "max_content_width": 100},
    )
