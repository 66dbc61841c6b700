"""*Explain*: why an act counts or does not, in the words of the node, and what decided it.

Enter on what decided explains that in turn; esc goes back one step at a time.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from commons_cli.tables import shown
from commons_cli.texts import _
from commons_tui.bridge import ApiError
from commons_tui.dialogs.dialog import Say
from commons_tui.rows import Column, Row
from commons_tui.words import VERDICTS, look

if TYPE_CHECKING:
    from commons_tui.app import CommonsApp

COLUMNS = (Column("Because", 0), Column("Id", 12, 1))


async def explained(app: CommonsApp, operation: str) -> None:
    """Show one act explained, and go on to what decided it."""
    trail = [operation]
    while trail:
        try:
            answer = await app.bridge.view("explain", {"operation": trail[-1]})
        except ApiError as error:
            await app.push_screen_wait(Say(_("It cannot be explained"), error.message, error.hint))
            trail.pop()
            continue
        equal = f"commons-node explain {trail[-1][:12]}"
        key = await app.push_screen_wait(
            Say(_("Why"), *paragraphs(answer), columns=COLUMNS, rows=because(answer), equal=equal)
        )
        if key:
            trail.append(key)
        else:
            trail.pop()


def paragraphs(answer: Mapping[str, Any]) -> list[str]:
    """Who did what and when, the verdict with its sentence, and how certain that is."""
    what = f"{answer.get('what') or answer['kind']} · {answer['author']}"
    time = shown(answer.get("time"), "time")
    verdict = look(VERDICTS, answer["verdict"])
    return [
        f"{what} · {time}",
        f"{verdict}. {answer['sentence']}",
        str(answer.get("certainty") or ""),
    ]


def because(answer: Mapping[str, Any]) -> list[Row]:
    """What decided it, the nearest first."""
    return [
        Row(str(one["operation"]), [str(one.get("sentence") or ""), str(one["operation"])[:12]],
            one["operation"])
        for one in answer.get("because") or []
    ]  # fmt: skip
