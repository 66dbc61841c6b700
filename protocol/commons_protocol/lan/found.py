"""What others announce on the LAN, taken in with bounds, and the short memory of it.

Anybody on the network can announce anything: nothing here is believed, only passed on.
"""

import ipaddress
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

MOST_PEERS = 256
MOST_ADDRESSES = 8
MOST_KEYS = 16
MOST_TXT_BYTES = 1024
"""Bytes of all keys and values together; one string of a TXT record holds 255 (RFC 6763 §6.1)."""


@dataclass(frozen=True, slots=True)
class FoundPeer:
    """Somebody's announcement. `addresses` are IP addresses as text; `txt` is unproven."""

    addresses: tuple[str, ...]
    port: int
    txt: Mapping[str, bytes]


def parse(
    addresses: Sequence[str], port: int | None, txt: Mapping[bytes, bytes | None]
) -> FoundPeer | None:
    """An announcement within the bounds, or None."""
    if port is None or not 0 < port < 65536 or len(txt) > MOST_KEYS:
        return None
    if sum(len(key) + len(value or b"") for key, value in txt.items()) > MOST_TXT_BYTES:
        return None
    try:
        values = {key.decode("ascii"): value or b"" for key, value in txt.items()}
        ips = [str(ipaddress.ip_address(address)) for address in addresses[:MOST_ADDRESSES]]
    except ValueError:
        return None
    return FoundPeer(tuple(dict.fromkeys(ips)), port, values) if ips else None


def check_own(txt: Mapping[str, bytes]) -> dict[str | bytes, str | bytes | None]:
    """Our own TXT record, held to the same bounds. Raises `ValueError`."""
    encoded = {key.encode("ascii"): value for key, value in txt.items()}
    if parse(["127.0.0.1"], 1, encoded) is None or any(
        len(key) + 1 + len(value) > 255 for key, value in encoded.items()
    ):
        raise ValueError(f"a TXT record has at most {MOST_KEYS} keys and {MOST_TXT_BYTES} bytes")
    return {key: value for key, value in encoded.items()}  # noqa: C416 - widens the types


class Memory:
    """Who was heard under which name, the latest `MOST_PEERS` of them."""

    def __init__(self) -> None:
        self._peers: OrderedDict[str, FoundPeer] = OrderedDict()

    def learn(self, name: str, peer: FoundPeer) -> bool:
        """Remember; true when this is news."""
        news = self._peers.get(name) != peer
        self._peers[name] = peer
        self._peers.move_to_end(name)
        while len(self._peers) > MOST_PEERS:
            self._peers.popitem(last=False)
        return news

    def forget(self, name: str) -> None:
        self._peers.pop(name, None)

    def clear(self) -> None:
        self._peers.clear()

    def peers(self) -> tuple[FoundPeer, ...]:
        return tuple(self._peers.values())
