"""``commons-node service …``: the node under the system's service manager."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import click

from commons_cli.options import Options, global_options
from commons_cli.texts import _

NOUN: Final = "service"
VERBS: Final = ("install", "show", "uninstall")


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
    more: list[click.Parameter] = [
        click.Option(
            ["--user"],
            default="commons",
            metavar="NAME",
            help=_("With --system: the user to run as.  [default: commons]"),
        ),
        click.Option(
            ["--unlock"],
            multiple=True,
            metavar="MEMBER=FILE",
            help=_("Unlock a member at the start with the passphrase in a file; may be repeated."),
        ),
    ]
    start: list[click.Parameter] = [
        click.Option(["--no-start"], is_flag=True, help=_("Write the unit only."))
    ]
    given = {"install": [*system, *more, *start], "show": [*system, *more], "uninstall": system}
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
        no_start: bool = False,
    ) -> None:
        context = click.get_current_context()
        options = context.ensure_object(Options)
        options.command = context.command_path
        arguments: list[Any] = ["-m", "commons_node", NOUN, name]
        if options.home or options.environment.get("COMMONS_HOME") or not system:
            arguments += ["--home", str(options.home_folder)]
        arguments += ["--system", "--user", user] if system else []
        for one in unlock:
            arguments += ["--unlock", one]
        arguments += ["--no-start"] if no_start else []
        options.start([*arguments, *(["--json"] if options.json else [])])

    return run
