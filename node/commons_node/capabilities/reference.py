"""The reference of what an agent may ask (docs/capabilities.md), made from what is declared.

python -m commons_node.capabilities.reference docs/capabilities.md
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from commons_node.capabilities.capability import Capability
from commons_node.capabilities.catalogue import CAPABILITIES
from commons_node.capabilities.collections import COLLECTIONS, Collection
from commons_node.capabilities.proposing import proposable
from commons_node.domains import registry
from commons_node.jobs.metering import TARIFF
from commons_node.registry import Registry

_HEAD = """\
# What an agent may ask

*This page is made from the program: `make capabilities`. How to write an agent:
[agents](agents.md).*

`host.call(method, …)` in an agent is one call to the node. The broker checks each: whether the
method is granted now, what the run may still cost, the parameters, the rate; then collection,
filter, fields and rows; then the size of the answer (900 KiB at most). What is refused raises
`HostError` with a code:

| code | |
|---|---|
| `not_granted` | the host has not granted it, or not so far |
| `rate` | it may be called so often only; the sentence says when there is more |
| `too_much` | more rows, bytes or effects than may be |
| `budget` | the run has used the credits that it may cost |
| `bad_parameters` | the call was made wrongly |
| `no_method` | there is no such method |
| `not_set_up` | a driver, a model or the web is not set up on this node |
| `dry` | a dry run asks nobody outside |
| `fault` | it did not work |

`job logs` and `job why` tell the host what was refused.

A call that is an **effect** is kept with the end of the run, or not at all. `key` says what it is
about: an effect with a key happens once for ever of its job, one without once for each run. What
leaves the node leaves at least once, each time with the same key.

A **grant** may narrow a method by what its line says, and any by `rate` (`"50/day"`: minute, hour
or day). A rate goes by the node's clock since it was started, so that no change of the time gives
more.

Costs are in thousandths of a credit (tariff {version}): {cpu} for a million fuel, {memory} for a
MiB and second, and for each call what is said below.
"""

_PAGE = """\
{head}{methods}

## Collections

Of `docs.query` and `docs.get`; of no other list, and no other field, is anything ever in reach.

| collection | | `docs.get` by | fields |
|---|---|---|---|
{lists}

## Acts that may be proposed

Of `docs.propose`, with the arguments of the [command](reference.md#commands). A member signs them
by `proposal sign`, or nobody does.

| command | |
|---|---|
{commands}
"""


def page(registry: Registry) -> str:
    """The whole page."""
    head = _HEAD.format(version=TARIFF.version, cpu=TARIFF.cpu, memory=TARIFF.memory)
    methods = "\n".join("\n".join(_method(one)) for one in CAPABILITIES.values())
    acts = sorted(proposable(registry).items())
    return _PAGE.format(
        head=head,
        methods=methods,
        lists="\n".join(_collection(one) for one in COLLECTIONS.values()),
        commands="\n".join(f"| `{name}` | {command.summary} |" for name, command in acts),
    )


def _collection(one: Collection) -> str:
    fields = ", ".join(f"`{name}`" for name in one.fields)
    return f"| `{one.name}` | {one.summary} | `{one.key}` | {fields} |"


def _method(one: Capability) -> Iterator[str]:
    yield f"\n## `{one.name}`\n"
    yield f"{one.summary}\n"
    yield "| parameter | | default |\n|---|---|---|"
    rows = list(_parameters(one.params))
    yield from rows or ["| none | | |"]
    said = " ".join(inspect.cleandoc(one.params.__doc__ or "").split()).replace("``", "`")
    if rows and said:
        yield f"\n{said}"
    told = [f"Answers {one.answers}.", f"Costs {one.cost}."]
    if one.free:
        told.append("Needs no grant.")
    if one.effect:
        told.append("An effect.")
    if one.narrows:
        told.append(f"A grant may say {', '.join(f'`{name}`' for name in one.narrows)}.")
    if one.needs:
        told.append(f"Without {', '.join(f'`{name}`' for name in one.needs)} it reaches nothing.")
    yield f"\n{' '.join(told)}"


def _parameters(params: type[msgspec.Struct]) -> Iterator[str]:
    described = msgspec.json.schema(params)["$defs"][params.__name__]
    required = set(described.get("required", ()))
    for name, schema in described["properties"].items():
        value = msgspec.json.encode(schema.get("default")).decode()
        default = "needed" if name in required else f"`{value}`"
        yield f"| `{name}` | {_kind(schema)} | {default} |"


def _kind(schema: dict[str, Any]) -> str:
    if "anyOf" in schema:
        return " or ".join(_kind(one) for one in schema["anyOf"])
    if "enum" in schema:
        return " or ".join(f"`{one}`" for one in schema["enum"])
    names = {
        "string": "text", "integer": "a whole number", "object": "an object", "array": "a list",
        "null": "null", "number": "a number", "boolean": "true or false",
    }  # fmt: skip
    found = names.get(str(schema.get("type")), "anything")
    bounds = {"maxLength": "of at most {} letters", "maximum": "up to {}",
              "maxItems": "of at most {}", "maxProperties": "of at most {} fields"}  # fmt: skip
    most = [text.format(schema[name]) for name, text in bounds.items() if name in schema]
    return " ".join([found, *most])


def main() -> None:
    """Write it."""
    Path(sys.argv[1]).write_text(page(registry()), encoding="utf-8")


if __name__ == "__main__":
    main()
