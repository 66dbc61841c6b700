"""``commons-node demo``: tells the story to a person, or to a program."""

from __future__ import annotations

import json
import signal
import sys
from typing import NoReturn

from commons_crdt.texts import _
from commons_node.api.client import ApiError
from commons_node.demo.story import run


def play(*, as_json: bool) -> int:
    """Play the demo; the story on stderr with ``as_json``. Exit code 0, or 1 with the reason."""
    story = sys.stderr if as_json else sys.stdout

    def tell(line: str) -> None:
        story.write(line + "\n")
        story.flush()

    # However it is ended, the story closes its nodes and takes its folder away.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _ended)
    try:
        result = run(tell)
    except KeyboardInterrupt:
        return 130
    except (ApiError, RuntimeError, OSError) as error:
        hint = _("run it again; if it fails again, tell the maintainers")
        failure = {"code": "demo", "message": str(error), "hint": hint}
        sys.stderr.write(json.dumps({"v": 1, "ok": False, "error": failure}) + "\n")
        return 1
    if as_json:
        sys.stdout.write(json.dumps(result) + "\n")
    else:
        tell("")
        told = _(
            "{items} things, {operations} signed operations, {refused_dials} dials refused "
            "while cut off."
        )
        tell(told.format_map(result))
        for name, state in zip(("Anna", "Bo", "Cia"), result["state_hashes"], strict=True):
            tell(_("  {name:<5} state {state}").format(name=name, state=state))
        tell(
            _("All three hold the same truth, {seconds} seconds after the start.").format(
                seconds=result["seconds"]
            )
        )
    return 0


def _ended(_number: int, _frame: object) -> NoReturn:
    """End once: a second signal must not cut the tidying short."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt
