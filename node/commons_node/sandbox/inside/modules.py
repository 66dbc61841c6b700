"""The standard library of an agent: what is imported while the runner is built is frozen into it.

Nothing else can be imported later: there are no files. No module here reaches outside; those that
would (sockets, processes, files) are left out.
"""

import importlib
import io
import sys
import zoneinfo
from datetime import UTC, datetime
from importlib import resources
from typing import NoReturn

NAMES = [
    "abc",
    "array",
    "ast",
    "base64",
    "binascii",
    "bisect",
    "calendar",
    "cmath",
    "codecs",
    "collections",
    "collections.abc",
    "colorsys",
    "contextlib",
    "contextvars",
    "copy",
    "copyreg",
    "csv",
    "dataclasses",
    "datetime",
    "decimal",
    "difflib",
    "encodings.ascii",
    "encodings.cp1252",
    "encodings.idna",
    "encodings.latin_1",
    "encodings.utf_16",
    "encodings.utf_8",
    "encodings.utf_8_sig",
    "enum",
    "fractions",
    "functools",
    "graphlib",
    "hashlib",
    "heapq",
    "hmac",
    "html",
    "html.parser",
    "inspect",
    "io",
    "itertools",
    "json",
    "keyword",
    "linecache",
    "locale",
    "logging",
    "math",
    "numbers",
    "operator",
    "pprint",
    "queue",
    "random",
    "re",
    "reprlib",
    "secrets",
    "statistics",
    "string",
    "struct",
    "sys",
    "textwrap",
    "threading",
    "time",
    "timeit",
    "token",
    "tokenize",
    "tomllib",
    "traceback",
    "types",
    "typing",
    "unicodedata",
    "urllib.parse",
    "uuid",
    "warnings",
    "weakref",
    "xml.etree.ElementTree",
    "zlib",
    "zoneinfo",
]
"""docs/agents.md lists them."""

_TREE = resources.files("tzdata")
ZONES = {
    name: (_TREE / "zoneinfo" / name).read_bytes()
    for name in (_TREE / "zones").read_text(encoding="utf-8").split()
}
"""All time zones, by IANA name."""


def zone(key: str) -> io.BytesIO:
    """The data of a zone, where zoneinfo looks when it finds no file."""
    if key not in ZONES:
        raise zoneinfo.ZoneInfoNotFoundError(f"No time zone found with key {key}")
    return io.BytesIO(ZONES[key])


def no_sleep(_seconds: float) -> NoReturn:
    """A run that waits holds a worker: another trigger, or a later attempt, is the way to wait."""
    raise OSError("an agent cannot sleep; give it a trigger for later")


def freeze() -> None:
    """Import it all, and use what imports or computes more at its first use."""
    for name in NAMES:
        importlib.import_module(name)
    zoneinfo.reset_tzpath(to=[])
    zoneinfo._common.load_tzdata = zone  # type: ignore[assignment]  # the C code asks it, too
    datetime(2026, 1, 31, tzinfo=zoneinfo.ZoneInfo("Europe/Stockholm")).isoformat()
    zoneinfo.ZoneInfo.clear_cache()
    datetime.strptime("2026-01-31", "%Y-%m-%d").replace(tzinfo=UTC)
    library = sys.modules
    setattr(library["time"], "sleep", no_sleep)  # noqa: B010 - a module has any names
    library["decimal"].Decimal("1.5").quantize(library["decimal"].Decimal("0.1"))
    library["statistics"].quantiles([1, 2, 3, 4])
    library["hashlib"].sha256(b"").hexdigest()
    list(library["csv"].DictReader(io.StringIO("a,b\n1,2\n")))
    library["xml.etree.ElementTree"].fromstring("<a/>")
    library["json"].loads(library["json"].dumps({"a": [1, None, "x"]}))
    library["re"].compile(r"(\w+)\s*").match("a ")
    library["unicodedata"].normalize("NFC", "é".encode("cp1252").decode("latin-1"))
    library["uuid"].uuid5(library["uuid"].NAMESPACE_DNS, "straße".encode("idna").decode())
    library["traceback"].format_exception_only(ValueError("x"))
