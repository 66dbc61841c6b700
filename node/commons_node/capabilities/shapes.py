"""Structs in words: what a call, a message, a setting may be, as the reference has it."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Iterator
from typing import Any

import msgspec

_NAMES = {
    "string": "text", "integer": "a whole number", "object": "an object", "array": "a list",
    "null": "null", "number": "a number", "boolean": "true or false",
}  # fmt: skip
_BOUNDS = {
    "maxLength": "of at most {} letters", "maximum": "up to {}", "maxItems": "of at most {}",
    "maxProperties": "of at most {} fields",
}  # fmt: skip


def said(shape: type[msgspec.Struct]) -> str:
    """What its docstring says, as one paragraph."""
    return " ".join(inspect.cleandoc(shape.__doc__ or "").split()).replace("``", "`")


def fields(shape: type[msgspec.Struct], without: Collection[str] = ()) -> Iterator[str]:
    """A row of a table for each field: its name, what it may be, what it is if nothing is said."""
    described = msgspec.json.schema(shape)["$defs"][shape.__name__]
    required = set(described.get("required", ()))
    for name, schema in described["properties"].items():
        if name in without:
            continue
        value = msgspec.json.encode(schema.get("default")).decode()
        default = "needed" if name in required else f"`{value}`"
        yield f"| `{name}` | {kind(schema)} | {default} |"


def kind(schema: dict[str, Any]) -> str:
    """A JSON schema in words."""
    if "anyOf" in schema:
        return " or ".join(kind(one) for one in schema["anyOf"])
    if "enum" in schema:
        return " or ".join(f"`{one}`" for one in schema["enum"])
    if "$ref" in schema:
        return _NAMES["object"]
    found = _NAMES.get(str(schema.get("type")), "anything")
    most = [text.format(schema[name]) for name, text in _BOUNDS.items() if name in schema]
    return " ".join([found, *most])


def shape_of(shape: type[msgspec.Struct]) -> str:
    """``{name, codes: [{format, text}]}``: the fields of an answer, with those of lists of them."""
    schemas = msgspec.json.schema(shape)["$defs"]

    def inner(name: str) -> str:
        told = []
        for field, schema in schemas[name]["properties"].items():
            within = schema.get("items", {}).get("$ref", "").rpartition("/")[2]
            told.append(f"{field}: [{inner(within)}]" if within else field)
        return "{" + ", ".join(told) + "}"

    return inner(shape.__name__)
