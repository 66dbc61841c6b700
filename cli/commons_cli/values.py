"""What is typed on a command line, as the values that the API takes.

One small click type for each kind of argument in ``verbs.json``. They check form only; whether a
thing or a member exists is for the node to say.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from commons_cli.texts import _
from commons_node.api.types import MAX_FILE_BODY

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

_MAX_FILE: Final = MAX_FILE_BODY * 3 // 4 - 4096
_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_DURATION: Final = re.compile(r"(?:[0-9]{1,9}[smhdw])+|[0-9]{1,9}")
_PART: Final = re.compile(r"([0-9]+)([smhdw])")


class Duration(click.ParamType[int]):
    """``90s``, ``15m``, ``1h30m``, ``7d``, ``2w``, or plain seconds; gives seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Seconds, or a usage error."""
        text = str(value).strip()
        if not _DURATION.fullmatch(text):
            wrong = _("{value!r} is no duration such as 15m or 7d.").format(value=text)
            self.fail(wrong, param, ctx)
        if text.isdecimal():
            return int(text)
        return sum(int(count) * _UNITS[unit] for count, unit in _PART.findall(text))


class Moment(click.ParamType[str]):
    """An RFC 3339 time, or a date or time of here; gives RFC 3339 in UTC."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The same moment in UTC, or a usage error."""
        from datetime import UTC, datetime

        try:
            moment = datetime.fromisoformat(str(value).strip()).astimezone(UTC)
        except (ValueError, OverflowError, OSError):
            example = _("{value!r} is no time such as 2026-05-01 or 2026-05-01T18:00:00Z.")
            self.fail(example.format(value=str(value)), param, ctx)
        return moment.isoformat().replace("+00:00", "Z")


class FileIn(click.ParamType[Any]):
    """A file to read, or ``-``; gives its name and its bytes in base64."""

    name = "file"

    def __init__(self, *, or_text: bool = False) -> None:
        """``or_text``: what is no file is handed on as text."""
        self._or_text = or_text

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """``{"name", "data"}``, the text itself, or a usage error."""
        from base64 import b64encode

        path = Path(value)
        if self._or_text and value != "-" and not is_file(path) and not _looks_like_a_path(value):
            return value
        try:
            if value == "-":
                data = sys.stdin.buffer.read(_MAX_FILE + 1)
            else:
                with path.open("rb") as file:
                    data = file.read(_MAX_FILE + 1)
        except OSError as error:
            why = error.strerror or str(error)
            self.fail(_("{path} cannot be read: {why}.").format(path=path, why=why), param, ctx)
        if len(data) > _MAX_FILE:
            self.fail(_("{path} is larger than 71 MiB.").format(path=path), param, ctx)
        return {"name": path.name, "data": b64encode(data).decode("ascii")}

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Let the shell complete file names."""
        del ctx, param
        from click.shell_completion import CompletionItem

        return [CompletionItem(incomplete, type="file")]


def _looks_like_a_path(value: str) -> bool:
    """Whether ``value`` can be no code: codes have neither separators nor endings."""
    return any(sign in value for sign in ("/", "."))


def is_file(path: Path) -> bool:
    """Whether ``path`` is a file; a code too long for a file name is none."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


class Choice(click.ParamType[Any]):
    """One of a few words or numbers; gives it in its own type."""

    name = "choice"

    def __init__(self, choices: list[Any]) -> None:
        """``choices`` as the API takes them."""
        self._choices = {str(choice): choice for choice in choices}

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        """All choices, as help shows them."""
        del param, ctx
        return f"[{'|'.join(self._choices)}]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The choice, or a usage error that names all."""
        if str(value) not in self._choices:
            known = ", ".join(self._choices)
            text = _("{value!r} is none of {known}.").format(value=str(value), known=known)
            self.fail(text, param, ctx)
        return self._choices[str(value)]

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """All that begin so."""
        del ctx, param
        from click.shell_completion import CompletionItem

        return [CompletionItem(word) for word in self._choices if word.startswith(incomplete)]


def type_of(argument: dict[str, Any]) -> click.ParamType[Any]:
    """The click type for one described argument."""
    match argument["kind"]:
        case "integer":
            whole = click.IntRange(argument.get("min"), argument.get("max"))
            whole.name = _("whole number")  # as a refusal calls it
            return whole
        case "number":
            return click.FloatRange(argument.get("min"), argument.get("max"))
        case "duration":
            return Duration()
        case "time":
            return Moment()
        case "choice":
            return Choice(argument["choices"])
        case "file-in":
            return FileIn()
        case "file-or-text":
            return FileIn(or_text=True)
        case "file-out":
            return click.Path(dir_okay=False)
        case "path-in" | "path-out":
            return click.Path(dir_okay=False, resolve_path=True)
        case "folder":
            return click.Path(file_okay=False, resolve_path=True)
        case _:
            return click.STRING


def show_duration(seconds: float) -> str:
    """Seconds as one would type them."""
    left = int(seconds)
    for unit in ("w", "d", "h", "m"):
        if left and left % _UNITS[unit] == 0:
            return f"{left // _UNITS[unit]}{unit}"
    return f"{left}s"
