"""The reference of what an agent may ask (docs/capabilities.md), made from what is declared.

python -m commons_node.capabilities.reference docs/capabilities.md
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from commons_node.capabilities.capability import Capability
from commons_node.capabilities.catalogue import CAPABILITIES
from commons_node.capabilities.collections import COLLECTIONS, Collection
from commons_node.capabilities.proposing import proposable, trustable
from commons_node.capabilities.shapes import fields, said, shape_of
from commons_node.domains import registry
from commons_node.drivers.catalogue import KINDS
from commons_node.drivers.driver import SAID_BY_THE_NODE, Kind
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
about: an effect with a key happens once of its job, one without once for each run. A key is
remembered for 400 days, and of a job the newest 10,000 are; then the same key is a new one. What
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

## Drivers

What stands about in a house, by `kind` in `config.toml` ([drivers](host/drivers.md)). A message and
a question are checked when an agent sends or asks, and again when they leave; so is what a driver
answers. What does not fit is refused. A fake (`fake = true`) takes and answers just that.
{drivers}

## Acts that may be proposed

Of `docs.propose`, with the arguments of the [command](reference.md#commands). A member signs them
by `proposal sign`, or has said [beforehand](agents.md#signed-beforehand) that it be signed, where
that can be said; or nobody does.

| command | | beforehand |
|---|---|---|
{commands}
"""


def page(registry: Registry) -> str:
    """The whole page."""
    head = _HEAD.format(version=TARIFF.version, cpu=TARIFF.cpu, memory=TARIFF.memory)
    methods = "\n".join("\n".join(_method(one)) for one in CAPABILITIES.values())
    acts = proposable(registry)
    trusted = trustable(acts)
    return _PAGE.format(
        head=head,
        methods=methods,
        lists="\n".join(_collection(one) for one in COLLECTIONS.values()),
        drivers="\n".join("\n".join(_driver(one)) for one in KINDS.values()),
        commands="\n".join(
            f"| `{name}` | {command.summary} | {'yes' if name in trusted else ''} |"
            for name, command in sorted(acts.items())
        ),
    )


def _collection(one: Collection) -> str:
    fields = ", ".join(f"`{name}`" for name in one.fields)
    return f"| `{one.name}` | {one.summary} | `{one.key}` | {fields} |"


def _method(one: Capability) -> Iterator[str]:
    yield f"\n## `{one.name}`\n"
    yield f"{one.summary}\n"
    yield "| parameter | | default |\n|---|---|---|"
    rows = list(fields(one.params))
    yield from rows or ["| none | | |"]
    if rows and (text := said(one.params)):
        yield f"\n{text}"
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


def _driver(one: Kind) -> Iterator[str]:
    yield f"\n### `{one.name}`\n"
    yield f"It {one.summary}."
    for title, shape in (
        ("setting", one.settings), ("field of a message", one.message),
        ("field of a question", one.question),
    ):  # fmt: skip
        if shape is None:
            continue
        rows = list(fields(shape, SAID_BY_THE_NODE))
        if rows:
            yield f"\n| {title} | | default |\n|---|---|---|"
            yield from rows
        yield f"\n{said(shape)}"
    if one.answer is not None:
        yield f"\nAnswers `{shape_of(one.answer)}`. {said(one.answer)}"


def main() -> None:
    """Write it."""
    Path(sys.argv[1]).write_text(page(registry()), encoding="utf-8")


if __name__ == "__main__":
    main()
