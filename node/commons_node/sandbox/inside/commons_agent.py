"""What an agent sees of its node: ``Host``, given to its entry, and ``HostError``."""

from __future__ import annotations

import json
from datetime import date, time
from decimal import Decimal
from fractions import Fraction
from typing import Any
from uuid import UUID

from wit_world.imports import host as outside  # type: ignore[import-not-found]  # the build makes it

_LINE = 2_000


class HostError(Exception):
    """The node refused a call, or could not answer: ``code`` is a short word."""

    def __init__(self, code: str, text: str) -> None:
        """``text`` is a sentence."""
        super().__init__(text)
        self.code = code


def plain(value: object) -> object:
    """What JSON has not: times in ISO 8601, exact numbers as they are written, bytes in hex."""
    match value:
        case date() | time():
            return value.isoformat()
        case Decimal() | Fraction() | UUID():
            return str(value)
        case bytes() | bytearray():
            return value.hex()
        case set() | frozenset():
            return sorted(value)
    raise TypeError(f"{type(value).__name__} has no form in JSON")


def dump(value: object) -> str:
    """JSON. Raises TypeError, ValueError, RecursionError for what has no form in it."""
    return json.dumps(value, default=plain, allow_nan=False, ensure_ascii=False)


class Methods:
    """``host.docs.query(…)`` is ``host.call("docs.query", …)``."""

    def __init__(self, host: Host, name: str) -> None:
        """Made by ``Host``."""
        self._host = host
        self._name = name

    def __getattr__(self, name: str) -> Any:
        """The method of this name."""
        if name.startswith("_"):
            raise AttributeError(name)
        return lambda **params: self._host.call(f"{self._name}.{name}", **params)


class Host:
    """The way to the node. What may be asked, and how much, is what its host granted."""

    def call(self, method: str, /, **params: object) -> Any:
        """The node's answer. Raises ``HostError``."""
        try:
            return json.loads(outside.call(method, dump(params)))
        except Exception as error:
            told = getattr(error, "value", None)  # an Err of the component, not known by type here
            if not isinstance(told, str):
                raise
            found = json.loads(told)
            raise HostError(found.get("code", "failed"), found.get("error", "")) from None

    def log(self, text: object) -> None:
        """A line, or several, for `job logs`; ``print`` does the same."""
        for line in str(text).splitlines():
            outside.call("log", dump({"text": line[:_LINE]}))

    def now(self) -> Any:
        """The node's time, as its ``now`` answers."""
        return self.call("now")

    def query(self, collection: str, /, **params: object) -> Any:
        """``docs.query`` of one collection."""
        return self.call("docs.query", collection=collection, **params)

    def __getattr__(self, name: str) -> Methods:
        """``docs``, ``kv``, ``notify`` … See ``Methods``."""
        if name.startswith("_"):
            raise AttributeError(name)
        return Methods(self, name)


class Printed:
    """Standard output and error: whole lines go to the log."""

    encoding = "utf-8"

    def __init__(self, host: Host) -> None:
        """One for both."""
        self._host = host
        self._rest = ""

    def write(self, text: str) -> int:
        """As a text file does."""
        *lines, rest = (self._rest + text).split("\n")
        for line in lines:
            self._host.log(line)
        if len(rest) > _LINE:
            self._host.log(rest)
            rest = ""
        self._rest = rest
        return len(text)

    def flush(self) -> None:
        """Nothing waits but half a line."""

    def isatty(self) -> bool:
        """Nobody looks."""
        return False

    def end(self) -> None:
        """The half line that is left."""
        if self._rest:
            self._host.log(self._rest)
            self._rest = ""
