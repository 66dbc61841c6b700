"""A sensor at a serial line that tells a reading a line: JSON, a number, or a name and a number."""

from __future__ import annotations

import asyncio
import json
import os
import time
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from commons_crdt.texts import N_, _
from commons_node.drivers.driver import Around, Kind, Silent, Undelivered

_LINE: Final = 4_096
Baud = Literal[1200, 2400, 4800, 9600, 19200, 38400, 57600, 115200]


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``device``: such as /dev/ttyUSB0. ``ask``: what makes it tell a reading, if it must be asked.

    ``timeout_s``: how long one waits for a whole line.
    """

    device: Annotated[str, Meta(pattern=r"^/dev/[A-Za-z0-9._/-]{1,100}\Z")]
    baud: Baud = 9600
    ask: Annotated[str, Meta(max_length=200)] = ""
    timeout_s: Annotated[float, Meta(gt=0, le=15)] = 5.0


class Ask(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Nothing to say: the host has said what the sensor is asked."""


class Answer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``line``: as the sensor told it. ``value``: what that means: JSON, a number, or an object of
    a name and a number; null where it is none of these.
    """

    line: str
    value: Any


def _lacking(settings: Settings) -> tuple[str, str] | None:
    if not Path(settings.device).exists():
        return _("there is no {device}").format(device=settings.device), _("plug it in")
    if not os.access(settings.device, os.R_OK | os.W_OK):
        why = _("this user may not use {device}").format(device=settings.device)
        return why, _("let this user into the group of the device (often dialout), start again")
    return None


class SerialSensor(Silent):
    """Opens the line for each question, and takes the first whole line."""

    def __init__(self, settings: Settings) -> None:
        """Opens nothing."""
        self._settings = settings
        self._one = asyncio.Lock()

    async def read(self, ask: Ask) -> object:
        """One reading: ``{line, value}``. Raises ``Undelivered``."""
        del ask
        async with self._one:
            try:
                line = await asyncio.to_thread(self._line)
            except OSError as error:
                raise Undelivered(why=f"{self._settings.device}: {error}") from None
        return {"line": line, "value": value_of(line)}

    def _line(self) -> str:
        import select  # noqa: PLC0415 - systems without serial lines import this file, too
        import termios  # noqa: PLC0415 - likewise

        device = os.open(self._settings.device, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        try:
            _raw(device, getattr(termios, f"B{self._settings.baud}"))
            termios.tcflush(device, termios.TCIFLUSH)
            if self._settings.ask:
                os.write(device, self._settings.ask.encode())
            until = time.monotonic() + self._settings.timeout_s
            data, begun = b"", bool(self._settings.ask)
            while (left := until - time.monotonic()) > 0 and len(data) < _LINE:
                if not select.select([device], [], [], left)[0]:
                    break
                data += os.read(device, 256)
                while b"\n" in data:
                    line, _, data = data.partition(b"\n")
                    if begun and line.strip():
                        return line.decode("utf-8", "replace").strip()
                    begun = True  # the line under way when we came may be half of one
            raise Undelivered(why=f"no whole line within {self._settings.timeout_s:g} s")
        finally:
            os.close(device)


def _raw(device: int, speed: int) -> None:
    """Eight bits, no parity, nothing translated (termios(3), cfmakeraw)."""
    import termios  # noqa: PLC0415 - as above

    incoming, outgoing, control, local, _in, _out, characters = termios.tcgetattr(device)
    incoming &= ~(termios.BRKINT | termios.ICRNL | termios.INPCK | termios.ISTRIP | termios.IXON)
    outgoing &= ~termios.OPOST
    control = (control & ~(termios.CSIZE | termios.PARENB)) | termios.CS8 | termios.CREAD
    control |= termios.CLOCAL
    local &= ~(termios.ECHO | termios.ICANON | termios.IEXTEN | termios.ISIG)
    termios.tcsetattr(
        device, termios.TCSANOW, [incoming, outgoing, control, local, speed, speed, characters]
    )


def value_of(line: str) -> object:
    """JSON as it is, a number, ``name: number`` as an object; null where it is none of these."""
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        name, sign, number = line.replace("=", ":", 1).partition(":")
        try:
            return {name.strip(): float(number)} if sign else None
        except ValueError:
            return None


def _make(settings: Settings, _around: Around) -> SerialSensor:
    return SerialSensor(settings)


KIND: Final = Kind(
    "serial-sensor", N_("reads a sensor at a serial line"), Settings, _make, question=Ask,
    answer=Answer, lacking=_lacking, seen={"line": "21.5", "value": 21.5},
)  # fmt: skip
