"""Finds decoders in the source by what they are called and by what they call.

A function counts as one when its name says so and it takes bytes or text, or when it calls one of
the functions that turn bytes or text into something else. Reads the source, imports nothing.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

NAMED = re.compile(r"_?(decode|parse|read|unpack|unseal|unbox|open|from)(_.*)?")
TAKES = re.compile(r"\b(bytes|str|bytearray|memoryview)\b")
CALLS = frozenset({
    "convert", "decode", "loads", "from_bytes", "fromhex", "b64decode", "b32decode", "unpack",
    "unpack_from", "fromisoformat", "strptime", "ip_address", "IPv4Address", "IPv6Address",
    "Multiaddr", "reader", "DictReader", "from_base58", "decrypt", "crypto_sign_open", "unquote",
    "CBORDecoder", "raw_decode", "literal_eval", "ZoneInfo", "ParseFromString", "ElementTree",
})  # fmt: skip
"""What decodes, by the last part of its name."""


@dataclass(frozen=True, slots=True)
class Decoder:
    """A function that decodes. ``public``: its name says so, and it is not private."""

    path: str
    name: str
    public: bool

    def __str__(self) -> str:
        """As exceptions name it."""
        return f"{self.path}:{self.name}"


def decoders(root: Path, folders: tuple[str, ...]) -> Iterator[Decoder]:
    """Every decoder below these folders of ``root``; paths are relative to ``root``."""
    for folder in folders:
        for path in sorted((root / folder).rglob("*.py")):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            yield from _within(tree, str(path.relative_to(root)), "")


def _within(node: ast.AST, path: str, prefix: str) -> Iterator[Decoder]:
    for child in ast.iter_child_nodes(node):
        match child:
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                name = f"{prefix}{child.name}"
                named = _is_named(child)
                if named or _calls(child):
                    private = child.name.startswith("_") or prefix.startswith("_")
                    yield Decoder(path, name, named and not private)
                yield from _within(child, path, f"{name}.<locals>.")
            case ast.ClassDef():
                yield from _within(child, path, f"{prefix}{child.name}.")
            case _:
                yield from _within(child, path, prefix)


def _is_named(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    arguments = function.args
    given = (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)
    takes = (ast.unparse(one.annotation) for one in given if one.annotation is not None)
    return bool(NAMED.fullmatch(function.name)) and any(map(TAKES.search, takes))


def _calls(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Whether it calls something that decodes, itself and not in a function within it."""
    waiting = list(ast.iter_child_nodes(function))
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in CALLS:
            return True
        waiting.extend(ast.iter_child_nodes(node))
    return False
