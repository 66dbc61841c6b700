"""All texts for people: found in the source, compared with each language, compiled.

    python scripts/texts.py update     take what is new into every catalogue, drop what is gone
    python scripts/texts.py check      say what is missing or broken; exit code 1 if anything is
    python scripts/texts.py compile    make the catalogues that the programs read
    python scripts/texts.py new fi     begin a language

Texts are found by what they are, not by their place: calls of ``_``, ``N_`` and ``ngettext``,
tables of ``Spoken``, errors' docstrings and hints, reasons, looks, and everything that the verbs
say. ``docs/languages.md`` tells how each gets to its reader.
"""

from __future__ import annotations

import ast
import json
import os
import re
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from string import Formatter

from babel.messages.catalog import Catalog, Message
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

ROOT = Path(__file__).resolve().parents[1]
LOCALES = ROOT / "node/commons_node/locale"
VERBS = ROOT / "cli/commons_cli/verbs.json"
PACKAGES = (
    "crdt/commons_crdt",
    "protocol/commons_protocol",
    "node/commons_node",
    "cli/commons_cli",
    "tui/commons_tui",
)
NOT_FOR_MEMBERS = ("node/commons_node/testing/",)
"""The simulator speaks to developers, in English."""
TABLES = {
    "EXIT_MEANING", "ENVIRONMENT", "_ALL", "_STANDING", "_CHOICES", "STEPS", "_LOOKS", "_ABOUT",
    "_OF_ENVIRONMENT", "_FORMATTING",
}  # fmt: skip
"""Tables of plain texts that are translated where they are shown."""
POSITIONS = {"Reason": (2, 3), "Look": (1,)}
POSITIONS_OF_TUI = {"Column": (0,), "Act": (2,), "Binding": (2,), "Place": (1,)}
"""Values of which some arguments are texts."""
OF_CLICK = (
    "Usage:", "Options", "Commands", "Show this message and exit.", "Error: {message}",
    "Missing argument", "Missing option", "Missing parameter", "Missing command.", "Aborted!",
    "No such command {name!r}.", "No such option {name!r}.", "Invalid value: {message}",
    "Invalid value for {param_hint}: {message}", "Error: The two entered values do not match.",
    "Error: invalid input", "Option {name!r} does not take a value.",
    "{value!r} is not a valid {number_type}.", "{value} is not in the range {range}.",
    "{name} {filename!r} does not exist.", "{name} {filename!r} is a directory.",
    "{name} {filename!r} is a file.", "{name} {filename!r} is not readable.",
    "{name} {filename!r} is not writable.", "File", "file", "directory", "path",
    "Could not open file {filename!r}: {message}", "unknown error", "default: {default}",
)  # fmt: skip
"""What click itself says to those who use our commands; it looks them up in our catalogue."""
OF_CLICK_PLURAL = (
    ("Got unexpected extra argument ({args})", "Got unexpected extra arguments ({args})"),
    ("Option {name!r} requires an argument.", "Option {name!r} requires {nargs} arguments."),
    ("Did you mean {possibility}?", "(Did you mean one of: {possibilities}?)"),
    ("{value!r} is not {choice}.", "{value!r} is not one of {choices}."),
)

Key = str | tuple[str, str]
"""A text, or its forms for one and for several."""

_PROGRAM = r"(commons-node|chmod|useradd|loginctl|python -m)"
_WORD = r"([a-z_][a-z_-]*|--[a-z-]+|[A-Z=]+|[0-9]+|\{\w*\}|…)"
_COMMAND_ONLY = re.compile(rf"`?({_PROGRAM}( {_WORD})*|--[a-z-]+ [A-Z=]+)`?\.?")
_LETTERS = re.compile(r"[^\W\d_]")


def is_text(text: str) -> bool:
    """Whether there is anything in it to translate."""
    bare = re.sub(r"\{[^{}]*\}", "", text)
    return bool(_LETTERS.search(bare)) and not _COMMAND_ONLY.fullmatch(text)


@cache
def found() -> dict[Key, set[str]]:
    """Every text of the source, and the files it stands in."""
    texts: dict[Key, set[str]] = {}
    for file in sorted(one for package in PACKAGES for one in (ROOT / package).rglob("*.py")):
        name = file.relative_to(ROOT).as_posix()
        if not name.startswith(NOT_FOR_MEMBERS):
            tree = ast.parse(file.read_text(encoding="utf-8"))
            positions = POSITIONS | (POSITIONS_OF_TUI if name.startswith("tui/") else {})
            for key in [*_calls(tree, positions), *_errors(tree), *_tables(tree)]:
                texts.setdefault(key, set()).add(name)
    for text in of_verbs(json.loads(VERBS.read_text(encoding="utf-8"))):
        texts.setdefault(text, set()).add(VERBS.relative_to(ROOT).as_posix())
    for key in (*OF_CLICK, *OF_CLICK_PLURAL):
        texts.setdefault(key, set()).add("click")
    return {key: places for key, places in texts.items() if is_text(_first(key))}


def of_verbs(verbs: dict[str, object]) -> Iterator[str]:
    """What the description of the verbs says to people."""
    yield from verbs["nouns"].values()  # type: ignore[attr-defined]
    yield from (one["help"] for one in verbs.get("settings", []))  # type: ignore[attr-defined]
    for verb in verbs["verbs"]:  # type: ignore[attr-defined]
        yield verb["summary"]
        yield from verb.get("says", ())
        yield from (one["help"] for one in verb["args"])
        table = verb.get("table", {})
        yield from (title for _field, title, _kind in table.get("columns", ()))
        yield from (text for text in (verb.get("asks"), table.get("empty")) if text)


def _first(key: Key) -> str:
    return key if isinstance(key, str) else key[0]


def _constants(node: ast.AST) -> Iterator[str]:
    """The texts that an argument may be: itself, or either side of a choice."""
    match node:
        case ast.Constant(value=str(text)):
            yield text
        case ast.IfExp(body=body, orelse=orelse):
            yield from _constants(body)
            yield from _constants(orelse)


def _calls(tree: ast.AST, positions: dict[str, tuple[int, ...]]) -> Iterator[Key]:
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = getattr(node.func, "id", getattr(node.func, "attr", ""))
        if name in {"_", "N_"} and node.args:
            yield from _constants(node.args[0])
        elif name == "ngettext" and len(node.args) == 3:
            forms = [one for arg in node.args[:2] for one in _constants(arg)]
            if len(forms) == 2:
                yield forms[0], forms[1]
        elif name == "bindings":
            for one in node.args:
                if isinstance(one, ast.Tuple) and len(one.elts) == 3:
                    yield from _constants(one.elts[2])
        elif name == "Spoken" and node.args:
            yield from _values(node.args[0])
        for position in positions.get(name, ()):
            if position < len(node.args):
                yield from _constants(node.args[position])
        yield from (
            text
            for keyword in node.keywords
            if keyword.arg == "what"
            for text in _constants(keyword.value)
        )


def _values(node: ast.AST) -> Iterator[str]:
    """The texts in a table, however it is made of literals."""
    match node:
        case ast.Constant() | ast.IfExp():
            yield from _constants(node)
        case ast.Dict(values=values):
            for value in values:
                yield from _values(value)
        case ast.Call(args=args):
            for arg in args:
                yield from _values(arg)
        case ast.Tuple(elts=elements) | ast.List(elts=elements):
            for element in elements:
                yield from (text for text in _values(element) if " " in text or text.istitle())


def _errors(tree: ast.Module) -> Iterator[str]:
    """Docstrings and hints of errors: ours, and others with a ``code`` or a hint of their own."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.ClassDef):
            continue
        own = {_target(one): _value(one) for one in node.body}
        bases = {getattr(base, "id", "") for base in node.bases}
        other = any(name.endswith(("Error", "Exception")) for name in bases)
        if (
            node.name == "CommonsError"
            or bases & _ERRORS
            or (other and {"code", "hint"} & own.keys())
        ):
            yield " ".join((ast.get_docstring(node) or "").split())
            yield from _constants(own.get("hint") or ast.Constant(""))


_ERRORS = frozenset(
    {"CommonsError", "Refused", "Unknown", "WrongState", "Unreachable", "BadBundle"}
)


def _is_query(node: ast.AST) -> bool:
    """The store has tables of its own, and says nothing to people."""
    return isinstance(node, ast.Constant) and ".id" in str(node.value)


def _target(node: ast.stmt) -> str:
    match node:
        case ast.AnnAssign(target=ast.Name(id=name)) | ast.Assign(targets=[ast.Name(id=name)]):
            return name
    return ""


def _value(node: ast.stmt) -> ast.AST | None:
    return node.value if isinstance(node, ast.AnnAssign | ast.Assign) else None


def _tables(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            for one in node.body:
                if _target(one) == "empty":
                    yield from _constants(_value(one) or ast.Constant(""))
    for node in tree.body:
        value = _value(node)
        if _target(node) in TABLES and value is not None and not _is_query(value):
            yield from _values(value)


# --- catalogues ---------------------------------------------------------------------------------


def files() -> list[Path]:
    """The source of every language."""
    return sorted(LOCALES.glob("*/LC_MESSAGES/commons-node.po"))


def read(file: Path) -> Catalog:
    """One language."""
    with file.open("rb") as opened:
        return read_po(opened, locale=file.parents[1].name)


def update(file: Path) -> None:
    """Take new texts in, empty; drop those that are gone. Never guesses a translation."""
    old, texts = read(file), found()
    made = Catalog(
        locale=old.locale, domain="commons-node", project="commons-node", fuzzy=False,
        header_comment=old.header_comment, last_translator=None, language_team=None,
        creation_date=old.creation_date, revision_date=old.revision_date,
    )  # fmt: skip
    for key, places in texts.items():
        known = old.get(_first(key))
        string = known.string if known is not None else None
        if known is not None and isinstance(key, tuple) != isinstance(known.id, list | tuple):
            string = None
        places_ = [(place, None) for place in sorted(places)]
        comments = known.user_comments if known is not None else ()
        made.add(key, string, locations=places_, user_comments=comments)  # type: ignore[arg-type]
    with file.open("wb") as opened:
        write_po(opened, made, width=96, sort_output=True, include_lineno=False)


def begin(language: str) -> Path:
    """The first file of a language, with nothing translated."""
    file = LOCALES / language / "LC_MESSAGES" / "commons-node.po"
    file.parent.mkdir(parents=True, exist_ok=True)
    if not file.exists():
        with file.open("wb") as opened:
            write_po(opened, Catalog(locale=language, domain="commons-node", fuzzy=False))
    update(file)
    return file


def compiled(file: Path) -> Path:
    """The catalogue that the programs read, made from its source if that is newer."""
    out = file.with_suffix(".mo")
    if not out.exists() or out.stat().st_mtime_ns < file.stat().st_mtime_ns:
        beside = out.with_suffix(f".{os.getpid()}")  # tests run side by side
        with beside.open("wb") as opened:
            write_mo(opened, read(file))
        beside.replace(out)
    return out


# --- what is wrong ------------------------------------------------------------------------------


def problems(file: Path, texts: dict[Key, set[str]]) -> list[str]:
    """One line for each text that is missing, doubtful or broken in a language."""
    catalog, told = read(file), list[str]()
    for key, places in sorted(texts.items(), key=lambda one: _first(one[0])):
        message = catalog.get(_first(key))
        for fault in _faults(key, message):
            told.append(f"{', '.join(sorted(places))}: {_first(key)!r}: {fault}")
    known = {_first(key) for key in texts}
    for message in catalog:
        name = message.id if isinstance(message.id, str) else message.id[0]
        if name and name not in known:
            told.append(f"{file.relative_to(ROOT)}: {name!r}: stands nowhere in the source")
    return told


def _faults(key: Key, message: Message | None) -> Iterator[str]:
    if message is None:
        yield "is not in the catalogue"
        return
    given = message.string or ""
    strings = [given] if isinstance(given, str) else list(given)
    if isinstance(key, tuple) != (not isinstance(message.id, str)) or not all(strings):
        yield "is not translated"
        return
    if message.fuzzy:
        yield "is marked as doubtful (fuzzy)"
    wanted = [key] if isinstance(key, str) else list(key)
    for at, string in enumerate(strings):
        source = wanted[min(at, len(wanted) - 1)]
        if _gaps(string) != _gaps(source):
            yield f"has the gaps {sorted(_gaps(string))}, not {sorted(_gaps(source))}"
        if typed(string) != typed(source):
            yield f"names {sorted(typed(string))}, not {sorted(typed(source))}"
        if string.startswith("\n") != source.startswith("\n") or (
            string.endswith(("\n", " ")) != source.endswith(("\n", " "))
        ):
            yield "begins or ends with other white space"


def _gaps(text: str) -> set[str]:
    try:
        parsed = list(Formatter().parse(text))
    except ValueError as error:
        return {f"({error})"}
    return {
        name + (f"!{conversion}" if conversion else "") + (f":{spec}" if spec else "")
        for _text, name, spec, conversion in parsed
        if name is not None
    }


def typed(text: str) -> set[str]:
    """What a person would type: options, and commands as far as the program knows them."""
    words = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", text))
    for said in re.findall(r"commons-node((?: [a-z][a-z-]*)+)", text):
        words.add(_longest(said.split()))
    return words


def _longest(words: list[str]) -> str:
    known = _verbs()
    while words and tuple(words) not in known:
        words = words[:-1]
    return " ".join(["commons-node", *words])


@cache
def _verbs() -> frozenset[tuple[str, ...]]:
    verbs = json.loads(VERBS.read_text(encoding="utf-8"))
    names = {tuple(verb["name"].split(".")) for verb in verbs["verbs"]}
    local = ("run", "demo", "doctor", "completion", "version", "paths", "help", "events", "tui")
    return frozenset(names | {(one,) for one in local})


def main(arguments: list[str]) -> int:
    """Do one of the things above; the exit code."""
    match arguments:
        case ["update"]:
            for file in files():
                update(file)
            return main(["check"])
        case ["check"]:
            texts, wrong = found(), 0
            for file in files():
                for line in problems(file, texts):
                    print(f"{file.parents[1].name}: {line}", file=sys.stderr)
                    wrong += 1
            print(f"{len(texts)} texts, {len(files())} languages besides English, {wrong} to mend")
            return int(wrong > 0)
        case ["compile"]:
            for file in files():
                compiled(file)
            return 0
        case ["new", language]:
            print(begin(language).relative_to(ROOT))
            return 0
    print(__doc__, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
