"""A notice on the host's own desktop: notify-send on Linux, terminal-notifier on macOS."""

from __future__ import annotations

import asyncio
import shutil
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from commons_crdt.texts import N_, _
from commons_node.drivers.driver import Around, By, Kind, Silent, Undelivered

_PROGRAMS: Final = ("notify-send", "terminal-notifier")
_TIMEOUT_S: Final = 10.0


class Notice(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``text``: what is told. ``to``: an address, for mail; a desktop does not look at it."""

    text: Annotated[str, Meta(min_length=1, max_length=2_000)]
    title: Annotated[str, Meta(max_length=200)] = ""
    to: str = ""
    by: By | None = None


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Nothing to set."""


def _program() -> str | None:
    return next((found for one in _PROGRAMS if (found := shutil.which(one))), None)


def _lacking(_settings: Settings) -> tuple[str, str] | None:
    if _program() is None:
        return _("there is no program that shows notices"), _("install libnotify-bin, or another")
    return None


class Desktop(Silent):
    """Shows it; of two with one key the second stands beside the first."""

    async def send(self, key: str, message: Notice) -> None:
        """One notice. Raises ``Undelivered``."""
        del key
        program = _program()
        if program is None:
            raise Undelivered(why="there is no program that shows notices")
        whose = message.by.agent if message.by is not None else "commons-node"
        title = message.title or whose
        arguments = (
            ["-title", title, "-message", message.text]
            if program.endswith("terminal-notifier")
            else ["--app-name=commons-node", "--", title, message.text]
        )
        await run(program, *arguments)


async def run(program: str, *arguments: str, data: bytes = b"") -> bytes:
    """What a program says. Raises ``Undelivered`` where it fails or takes too long."""
    process = await asyncio.create_subprocess_exec(
        program, *arguments, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            said, fault = await process.communicate(data)
    except TimeoutError:
        process.kill()
        await process.wait()
        raise Undelivered(why=f"{program} took longer than {_TIMEOUT_S:g} s") from None
    if process.returncode:
        why = fault.decode("utf-8", "replace").strip()[:300]
        raise Undelivered(why=f"{program} ended with {process.returncode}: {why}")
    return said


def _make(_settings: Settings, _around: Around) -> Desktop:
    return Desktop()


KIND: Final = Kind(
    "desktop", N_("shows a notice on this machine's desktop"), Settings, _make, Notice,
    lacking=_lacking,
)  # fmt: skip
