"""``commons-node service …``: the node under the system's service manager."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import click

from commons_cli.options import Options, global_options
from commons_cli.texts import _

NOUN: Final = "service"
VERBS: Final = ("hand-over", "install", "show", "take-over", "uninstall")


def service_group() -> click.Group:
    """The noun with its verbs."""
    return click.Group(
        NOUN,
        commands=[_command(name) for name in VERBS],
        params=global_options(hidden=True),
        help=_("This node as a service of the system."),
        context_settings={"help_option_names": ["--help"], "max_content_width": 100},
    )


def _command(name: str) -> click.Command:
    """One of ``VERBS``."""
    texts = {
        "hand-over": _("Put this node into a file for another host; here it runs no more."),
        "take-over": _("Make a node of such a file, in an empty home; install it afterwards."),
        "install": _("Start the node with this machine or at login, and whenever it failed."),
        "show": _("Print the unit that install would write."),
        "uninstall": _("Stop the service and remove it; the node's folder stays."),
    }
    system: list[click.Parameter] = [
        click.Option(
            ["--system"],
            is_flag=True,
            help=_("For the whole machine, as a user of its own; needs root."),
        )
    ]
    user: list[click.Parameter] = [
        click.Option(
            ["--user"],
            default="commons",
            metavar="NAME",
            help=_("With --system: the user to run as.  [default: commons]"),
        ),
    ]
    more: list[click.Parameter] = [
        *user,
        click.Option(
            ["--unlock"],
            multiple=True,
            metavar="MEMBER=FILE",
            help=_("Unlock a member at the start with the passphrase in a file; may be repeated."),
        ),
        click.Option(
            ["--also"],
            multiple=True,
            metavar="FOLDER",
            type=click.Path(file_okay=False, resolve_path=False),
            help=_("Another folder that the node may write in; may be repeated."),
        ),
    ]
    start: list[click.Parameter] = [
        click.Option(["--no-start"], is_flag=True, help=_("Write the unit only."))
    ]
    file: list[click.Parameter] = [
        click.Argument(["file"], type=click.Path(dir_okay=False), required=False)
    ]
    back: list[click.Parameter] = [
        click.Option(
            ["--undo"],
            is_flag=True,
            help=_("Let it run here again; only if the file was never started elsewhere."),
        )
    ]
    alone: list[click.Parameter] = [
        click.Option(
            ["--alone"],
            is_flag=True,
            help=_(
                "There is no other node to meet, and it is started here only. Without FILE: said of"
                " a home that is here already."
            ),
        )
    ]
    given = {
        "hand-over": [*file, *system, *back],
        "install": [*system, *more, *start],
        "show": [*system, *more],
        "take-over": [*file, *system, *user, *alone],
        "uninstall": system,
    }
    return click.Command(
        name,
        params=[*given[name], *global_options(hidden=True)],
        help=texts[name],
        callback=_runner(name),
        context_settings={"help_option_names": ["--help"], "max_content_width": 100},
    )


def _runner(name: str) -> Callable[..., None]:
    def run(
        *,
        system: bool,
        user: str = "",
        unlock: tuple[str, ...] = (),
        also: tuple[str, ...] = (),
        no_start: bool = False,
        file: str | None = None,
        undo: bool = False,
        alone: bool = False,
    ) -> None:
        context = click.get_current_context()
        options = context.ensure_object(Options)
        options.command = context.command_path
        arguments: list[Any] = ["-m", "commons_node", NOUN, name, *([file] if file else [])]
        if options.home or options.environment.get("COMMONS_HOME") or not system:
            arguments += ["--home", str(options.home_folder)]
        arguments += ["--system", "--user", user] if system else []
        for one in unlock:
            arguments += ["--unlock", one]
        for one in also:
            arguments += ["--also", one]
        arguments += ["--no-start"] if no_start else []
        arguments += ["--undo"] if undo else []
        arguments += ["--alone"] if alone else []
        options.start([*arguments, *(["--json"] if options.json else [])])

    return run
