"""The port of a node: a free one at the first start, then the same for as long as it is free."""

from __future__ import annotations

import socket
from collections.abc import Sequence

from commons_node.store.node_store import NodeStore
from commons_protocol.network import Address


async def where_to_listen(store: NodeStore, listen: Sequence[str]) -> list[Address]:
    """The configured addresses, with the port that was taken once where any would do."""
    port = await store.setting("port")
    wanted = [Address(one) for one in listen]
    kept = [Address(one.replace("/tcp/0", f"/tcp/{port}")) for one in wanted]
    if port is None or not all(a == b or is_free(b) for a, b in zip(wanted, kept, strict=True)):
        return wanted
    return kept


async def keep_port(store: NodeStore, bound: Sequence[Address]) -> None:
    """Remember the port of the first address."""
    for one in bound:
        parts = one.split("/")
        if "tcp" in parts:
            await store.set("port", parts[parts.index("tcp") + 1])
            return


def is_free(address: str) -> bool:
    """Whether a TCP address, as a multiaddr, can be listened on now."""
    _, family, host, _, port, *_ = address.split("/")
    with socket.socket(socket.AF_INET6 if family == "ip6" else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, int(port)))
        except OSError:
            return False
    return True
