"""Telling the service manager how the daemon is: ready, still alive, stopping.

One datagram each to the socket that it names; without one (a terminal, a container) nothing.

Source: sd_notify(3), sd_watchdog_enabled(3).
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Mapping


class Manager:
    """The service manager, if there is one."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        """Reads where it listens, and how often it wants to hear of us."""
        self._address = environment.get("NOTIFY_SOCKET", "")
        meant = environment.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        micros = environment.get("WATCHDOG_USEC", "")
        self.every_s = (
            int(micros) / 2_000_000 if meant and micros.isdigit() and int(micros) else None
        )
        """Seconds between two signs of life; None if none are wanted."""

    def ready(self, words: str) -> None:
        """It answers now; ``words`` are shown by ``systemctl status``."""
        self._tell(f"READY=1\nSTATUS={words}", wait_s=1.0)

    def alive(self) -> None:
        """The event loop still turns. A manager that hears nobody must not be what stops it."""
        self._tell("WATCHDOG=1", wait_s=0.0)

    async def live(self) -> None:
        """Give signs of life as often as they are wanted, until cancelled."""
        while self.every_s is not None:
            self.alive()
            await asyncio.sleep(self.every_s)

    def stopping(self) -> None:
        """It was asked to stop, and does."""
        self._tell("STOPPING=1", wait_s=1.0)

    def _tell(self, what: str, wait_s: float) -> None:
        if not self._address.startswith(("/", "@")):
            return
        address = self._address.replace("@", "\0", 1)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out:
            out.settimeout(wait_s)  # its queue may be full of what it did not read
            try:
                out.sendto(what.encode(), address)
            except OSError:  # a manager that is gone must not end the node
                return
