"""The verbs of the example street: load it, and take it away."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import msgspec

from commons_node.registry import Command, Registry, Request, option

if TYPE_CHECKING:
    from commons_node.daemon import Daemon


class Load(msgspec.Struct):
    """Arguments of ``example load``."""

    seed: Annotated[int, option("what happens in the year follows from it")] = 1
    days: Annotated[int, msgspec.Meta(ge=30, le=365), option("how many days it has behind it")] = (
        365
    )


class Nothing(msgspec.Struct):
    """No arguments."""


async def load(request: Request[Daemon], args: Load) -> Mapping[str, object]:
    """Add a made-up street with a year behind it, as a community of its own."""
    from commons_node.example import loading  # noqa: PLC0415 - it knows the registry, which knows this

    return await loading.load(request, args.seed, args.days)


async def remove(request: Request[Daemon], _args: Nothing) -> Mapping[str, object]:
    """Take the example street away, with its keys."""
    from commons_node.example import loading  # noqa: PLC0415 - as above

    return await loading.remove(request.node)


REGISTRY = Registry(
    commands=(
        Command("example.load", "Add a made-up street with a year behind it.", Load, load,
                says="{name} is here: {members} members, {things} things, {loans} loans,"
                " {operations} signed operations.\nYou look at it as {member_name}."
                " Everybody's passphrase there is: {passphrase}\n"
                "commons-node loan list --community '{name}'\n"
                "commons-node example remove",
                opens_session=True, timeout_s=600.0, progress="example"),
        Command("example.remove", "Take the example street away.", Nothing, remove,
                says="{name} is gone from this node.",
                asks="Remove the example street, with all that was done in it?"),
    ),
    nouns={"example": "a made-up street to look round in"},
)  # fmt: skip
