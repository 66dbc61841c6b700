"""``python -m commons_tui``: what ``commons-node tui`` becomes."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from commons_cli.texts import _, use


def main(arguments: list[str]) -> int:
    """Open the interface on the node of a home; the exit code."""
    parser = argparse.ArgumentParser(prog="commons-node tui", add_help=False)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--community")
    parser.add_argument("--as", dest="acting")
    parser.add_argument("--no-animation", action="store_true")
    given = parser.parse_args(arguments)
    if given.no_animation:
        os.environ["TEXTUAL_ANIMATIONS"] = "none"  # read when textual is imported
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        sys.stderr.write(_("The terminal interface needs a terminal.") + "\n")
        return 2
    from commons_node.api.paths import NotYoursError, socket_path
    from commons_tui.settings import load

    settings = load(given.home)
    use(settings.language)
    from commons_tui.app import CommonsApp
    from commons_tui.bridge import Bridge

    try:
        socket = socket_path(given.home, os.environ)
    except NotYoursError as error:
        sys.stderr.write(f"{error}\n{error.hint}\n")
        return 4
    bridge = Bridge(given.home, socket, given.community)
    CommonsApp(bridge, settings, acting=given.acting).run()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
