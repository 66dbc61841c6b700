"""The verbs about relays: which this node uses, and what it carries for others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import msgspec

from commons_crdt.texts import Spoken, _
from commons_node.moments import moment
from commons_node.registry import (
    Column,
    Command,
    Complete,
    Reading,
    Registry,
    Request,
    Table,
    View,
    argument,
)
from commons_protocol.network import Address

if TYPE_CHECKING:
    from commons_node.daemon import Daemon
    from commons_node.peering.relays import RelayState

_RELAYS = Complete("peer.relay.list", "relays", "address")
_FIRST_ANSWER_S = 12.0
_ANSWERS = Spoken({
    "reserved": "Others reach this node there now",
    "renewing": "Others reach this node there now",
    "asking": "It has not answered yet",
    "unreachable": "It could not be reached",
    "refused": "It does not take this node",
})  # fmt: skip


class Nothing(msgspec.Struct):
    """No arguments."""


class AtAddress(msgspec.Struct):
    """Arguments of ``peer relay add``."""

    address: Annotated[str, argument("where the relay is, as a multiaddr")]


class OneRelay(msgspec.Struct):
    """Arguments of ``peer relay drop``."""

    address: Annotated[
        str, argument("its address, or 8 or more characters of it", complete=_RELAYS)
    ]


def _row(relay: RelayState) -> dict[str, object]:
    return {
        "address": relay.address,
        "state": relay.phase,
        "reason": _(relay.reason),
        "next_action": relay.next_action,
        "until": moment(relay.until_ms),
        "circuit_bytes": relay.circuit_bytes,
        "circuit_seconds": relay.circuit_s,
    }


async def add(request: Request[Daemon], args: AtAddress) -> Mapping[str, object]:
    """Use a relay from now on."""
    relays = request.node.peering.relays
    state = await relays.add(Address(args.address.strip()), _FIRST_ANSWER_S)
    template = _("{answer} ({why}). {next}") if state.reason else _("{answer}. {next}")
    said = template.format(
        answer=_ANSWERS[state.phase], why=_(state.reason), next=state.next_action
    ).strip()
    return {**_row(state), "said": said}


async def drop(request: Request[Daemon], args: OneRelay) -> Mapping[str, object]:
    """Use a relay no more."""
    return {"address": await request.node.peering.relays.drop(args.address.strip())}


async def listed(request: Request[Daemon], _args: Nothing) -> Reading:
    """The relays that this node uses, and what it carries for others."""
    use = request.node.peering.network.relay_use
    serves = None
    if use is not None:
        serves = {
            "reservations": use.reservations,
            "circuits": use.circuits,
            "bytes": use.carried,
        }
    rows = [_row(relay) for relay in request.node.peering.relays.all()]
    return Reading({"relays": rows, "serves": serves})


REGISTRY = Registry(
    commands=(
        Command("peer.relay.add", "Be reached through a relay from now on.", AtAddress, add,
                says="{address}: {said}"),
        Command("peer.relay.drop", "Be reached through a relay no more.", OneRelay, drop,
                says="{address} is used no more."),
    ),
    views=(
        View("peer.relay.list", "The relays that this node uses.", Nothing, listed,
             table=Table("relays", (Column("address", "Relay"), Column("state", "State"),
                                    Column("until", "Until", "time"), Column("reason", "Why"),
                                    Column("next_action", "Next")), "No relay is used.")),
    ),
    nouns={"peer": "other nodes"},
)  # fmt: skip
