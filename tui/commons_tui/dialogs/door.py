"""The code of a space for its door: as a picture and in letters, another one every five minutes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from textual import work

from commons_cli.tables import shown
from commons_cli.texts import _
from commons_tui.bridge import ApiError
from commons_tui.dialogs.code import Code

LOOK_S: Final = 1.0


class Door(Code):
    """Stays on the screen of a kiosk, and renews itself."""

    private = False

    def __init__(
        self, first: Mapping[str, Any], renew: Callable[[], Awaitable[Mapping[str, Any]]]
    ) -> None:
        """``first`` and what ``renew`` gives are answers of ``space code``."""
        equal = f"commons-node space code {first['space'][:12]}"
        super().__init__(
            str(first["name"]), _words(first), str(first["code"]), equal=equal,
            letters=_letters(first),
        )  # fmt: skip
        self._renew = renew
        self._until = datetime.fromisoformat(str(first["valid_until"]))

    def on_mount(self) -> None:
        """Look at the time from now on."""
        super().on_mount()
        self.set_interval(LOOK_S, self._look)

    def _look(self) -> None:
        if datetime.now(UTC) >= self._until:
            self._next()

    @work(exclusive=True, group="door")
    async def _next(self) -> None:
        try:
            answer = await self._renew()
        except ApiError as error:
            self.app.notify(error.message.replace("[", "\\["), severity="error")
            self.dismiss(None)
            return
        self._until = datetime.fromisoformat(str(answer["valid_until"]))
        self.change(_words(answer), str(answer["code"]), _letters(answer))


def _words(answer: Mapping[str, Any]) -> str:
    until = shown(answer["valid_until"], "time")
    return _("Good until {until}. Whoever reads it can check in: i, in Spaces.").format(until=until)


def _letters(answer: Mapping[str, Any]) -> str:
    """In groups that a line break does not cut."""
    return str(answer["grouped"]).replace("-", " ")
