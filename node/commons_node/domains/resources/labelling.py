"""The verb that prints labels for things."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Annotated

import msgspec

from commons_crdt.texts import _
from commons_node.community import Unknown
from commons_node.domains.resources.searching import search
from commons_node.domains.resources.things import things, things_of
from commons_node.printing.labels import labels
from commons_node.registry import Reading, Registry, Request, View, file_out, option

if TYPE_CHECKING:
    from commons_node.daemon import Daemon


class Labels(msgspec.Struct):
    """Arguments of ``resource labels``."""

    out: Annotated[str, file_out("the HTML file to print", result="sheet")]
    query: Annotated[
        str | None, option("only things with these words in number, names, brand or categories")
    ] = None


async def print_labels(request: Request[Daemon], args: Labels) -> Reading:
    """A sheet of labels with codes; retired things have none."""
    community = await request.node.community(request)
    if args.query is None:
        found = await things(community)
    else:
        found = await things_of(
            community, [key for _at, key in await search(community, args.query)]
        )
    found = [one for one in found if one.stated != "retired"]
    if not found:
        name = args.query if args.query is not None else _("anything")
        raise Unknown(what="thing", name=name, list="commons-node resource list")
    sheet = labels(found, await community.name())
    value = {"labels": len(found), "sheet": base64.b64encode(sheet).decode("ascii")}
    return await community.reading(value)


VERBS = Registry(
    views=(
        View("resource.labels", "Print labels with codes for things.", Labels, print_labels,
             says="{labels} labels: open the file in a browser and print it.", timeout_s=120.0),
    ),
    nouns={"resource": "the things that the community shares"},
)  # fmt: skip
