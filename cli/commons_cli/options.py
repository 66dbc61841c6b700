"""The options that every command takes, before and after the verb and at any level.

Each group and command carries the same options; wherever one is given, it lands in the one
``Options`` of this run. The later of two wins.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import click

from commons_cli.texts import _
from commons_node.api.paths import home_path, socket_path, typed


def _become(arguments: list[str]) -> NoReturn:
    """Be the daemon from now on: signals and exit code are then its own."""
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(sys.executable, [sys.executable, *arguments])  # noqa: S606 -- our own program


@dataclass(slots=True)
class Options:
    """What was given on the command line for all commands, and the world that they run in."""

    home: str | None = None
    community: str | None = None
    member: str | None = None
    passphrase_file: str | None = None
    keyring: bool = False
    token_file: str | None = None
    socket_file: str | None = None
    timeout: float | None = None
    yes: bool = False
    json: bool = False
    quiet: bool = False
    verbose: bool = False
    command: str = ""
    """The command that runs, as typed; for the first line of an error."""
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ)
    start: Callable[[list[str]], object] = _become

    @property
    def home_folder(self) -> Path:
        """The home of the node that is meant."""
        return home_path(self.home, self.environment)

    @property
    def socket(self) -> Path:
        """Its socket. Raises NotYoursError."""
        if self.socket_file:
            return Path(self.socket_file)
        return socket_path(self.home_folder, self.environment)

    @property
    def run_line(self) -> str:
        """What starts the node that is meant; of a socket elsewhere nobody knows the home."""
        if self.socket_file:
            return "commons-node run"
        return typed("run", self.home_folder, self.environment)

    def token(self) -> str | None:
        """What goes with calls: from ``--token-file``, or this terminal's own. Raises ApiError."""
        from commons_cli.private import read_private
        from commons_cli.terminal import load_token

        return read_private(self.token_file) if self.token_file else load_token(self.home_folder)

    @property
    def acting(self) -> str | None:
        """Who acts, from ``--as`` or ``COMMONS_AS``."""
        return self.member or self.environment.get("COMMONS_AS") or None

    @property
    def place(self) -> str | None:
        """Which community, from ``--community`` or ``COMMONS_COMMUNITY``."""
        return self.community or self.environment.get("COMMONS_COMMUNITY") or None


# Name in Options, how it is written, what it is, keyword arguments for click.
_ALL: tuple[tuple[str, tuple[str, ...], str, dict[str, Any]], ...] = (
    ("home", ("--home",), "The node's folder.", {"metavar": "DIR"}),
    ("community", ("--community",), "Which community, by id or name.", {"metavar": "ID"}),
    ("member", ("--as",), "Who acts, by id or name.", {"metavar": "MEMBER"}),
    (
        "passphrase_file",
        ("--passphrase-file",),
        "Unlock for this call with the passphrase in a file; - is standard input.",
        {"metavar": "F"},
    ),
    (
        "keyring",
        ("--keyring",),
        "Unlock for this call with the passphrase in the system's keyring.",
        {"is_flag": True},
    ),
    (
        "token_file",
        ("--token-file",),
        "Ask with the token in a file; - is standard input.",
        {"metavar": "F"},
    ),
    ("socket_file", ("--socket",), "Ask at this socket, such as the guests'.", {"metavar": "F"}),
    ("yes", ("--yes",), "Do not ask before something that cannot be undone.", {"is_flag": True}),
    (
        "timeout",
        ("--timeout",),
        "Give up after so many seconds.",
        {"metavar": "S", "type": click.FloatRange(min=0, min_open=True, max=3600)},
    ),
    ("json", ("--json",), "Print one JSON object.", {"is_flag": True}),
    ("quiet", ("-q", "--quiet"), "Print data and errors only.", {"is_flag": True}),
    ("verbose", ("-v", "--verbose"), "Show where a fault comes from.", {"is_flag": True}),
)


def global_options(*, hidden: bool) -> list[click.Parameter]:
    """Fresh options for one group or command; ``hidden`` where help would only repeat them."""
    return [
        click.Option(
            [*written, f"global_{name}"],
            help=_(text),
            hidden=hidden,
            expose_value=False,
            callback=_keep(name),
            **keywords,
        )
        for name, written, text, keywords in _ALL
    ]


def _keep(name: str) -> Callable[[click.Context, click.Parameter, Any], None]:
    def keep(context: click.Context, _parameter: click.Parameter, value: Any) -> None:
        options = context.find_root().ensure_object(Options)
        if value not in {None, False}:
            setattr(options, name, value)

    return keep
