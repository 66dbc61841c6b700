"""The app under test, its keys, and what a person would read on the screen.

Waiting is for something that is seen, with a bound; nothing here sleeps and hopes.
"""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from textual.events import Key, Paste
from textual.keys import _character_to_key
from textual.pilot import Pilot

from commons_node.api.paths import socket_path
from commons_tui.app import CommonsApp
from commons_tui.bridge import Bridge
from commons_tui.settings import Settings

PATIENCE_S = 30.0
SIZES = ((40, 20), (80, 24), (120, 36))


class Seat:
    """Somebody in front of the screen."""

    def __init__(self, app: CommonsApp, pilot: Pilot[None]) -> None:
        self.app = app
        self.pilot = pilot

    @property
    def text(self) -> str:
        """Every line of the terminal as it is now."""
        compositor = self.app.screen._compositor
        return "\n".join(strip.text.rstrip() for strip in compositor.render_strips())

    async def press(self, *keys: str) -> None:
        """Keys, one after the other."""
        await self.pilot.press(*keys)

    async def types(self, text: str, *then: str) -> None:
        """Words, letter by letter, and then other keys, faster than any is answered."""
        for letter in text:
            self.app.post_message(Key(_character_to_key(letter), letter))
        for key in then:
            self.app.post_message(Key(key, None))
        await self.pilot.pause()

    async def pastes(self, text: str) -> None:
        """A code, as nobody types it."""
        self.app.post_message(Paste(text))
        await self.pilot.pause()

    async def sees(self, *words: str) -> str:
        """Wait until all of this stands on the screen; the whole of it."""
        await self.until(
            lambda: all(word in flat(self.text) for word in words), f"{words} is on the screen"
        )
        return self.text

    async def until(self, true: Callable[[], Any], what: str) -> None:
        """Wait until something holds."""
        deadline = time.monotonic() + PATIENCE_S
        while not true():
            assert time.monotonic() < deadline, f"{what}; what is there:\n{self.text}"
            await self.pilot.pause(0.02)

    async def unlocks(self, passphrase: str) -> None:
        """The member unlocks with the key and the dialog."""
        await self.sees("Unlock")
        await self.press("u")
        await self.sees("Who acts?")
        await self.types(passphrase)
        await self.press("enter")
        await self.until(lambda: self.app.now.me is not None, "somebody is unlocked")
        await self.sees("◆")


def flat(text: str) -> str:
    """Without line breaks and boxes: a sentence that was wrapped reads as one."""
    return re.sub(r"[\s│╭╮╰╯─▌▁▂▃▄▅▆▇█]+", " ", text)


@asynccontextmanager
async def seat(
    home: Path,
    size: tuple[int, int] = (80, 24),
    settings: Settings | None = None,
    verbs: dict[str, Any] | None = None,
    *,
    stays: bool = False,
) -> AsyncIterator[Seat]:
    """The app on a node's home, in a terminal of this size; ``stays``: where the last one was."""
    for token in [] if stays else list((home / "run" / "sessions").glob("*")):
        token.unlink()
    bridge = Bridge(home, socket_path(home, os.environ))
    app = CommonsApp(bridge, settings or Settings(), verbs=verbs)
    async with app.run_test(size=size, notifications=True) as pilot:
        made = Seat(app, pilot)
        try:
            yield made
        except BaseException:  # of another one's fault, too: pytest shows it
            sys.stdout.write(f"{home.name}'s screen at the end:\n{made.text}\n")
            raise
