"""The two names of a node: hex for people and the API, a peer id for the network.

Both are the node's Ed25519 transport key: `NodeId` is the 32 bytes in hex, libp2p's peer id the
same bytes behind a fixed prefix in base58, so each follows from the other. This key is no
device key and no member: it says which machine is called, not who may do what.

Source: libp2p peer ids specification, "Ed25519 keys" (identity multihash of the protobuf key).
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NewType

from commons_protocol.network import PeerId

NodeId = NewType("NodeId", str)
"""A node's transport key as 64 lower-case hex digits."""

_PREFIX = bytes.fromhex("002408011220")
_ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_VALUES = {letter: value for value, letter in enumerate(_ALPHABET)}
_HEX = re.compile(r"[0-9a-f]{64}\Z")
_LONGEST = 64


def node_id(peer: PeerId) -> NodeId:
    """The node id of a peer; ``ValueError`` if the peer has no Ed25519 key."""
    return NodeId(peer_key(peer).hex())


def peer_id(node: NodeId) -> PeerId:
    """The peer id of a node; ``ValueError`` if ``node`` is not 64 lower-case hex digits."""
    if not _HEX.match(node):
        raise ValueError("a node id has 64 lower-case hex digits")
    return peer_of_key(bytes.fromhex(node))


@lru_cache(4096)
def peer_key(peer: PeerId) -> bytes:
    """The 32-byte transport key in a peer id; ``ValueError`` if it holds none."""
    if not peer or len(peer) > _LONGEST:
        raise ValueError("not a peer id")
    number = 0
    for letter in peer:
        if letter not in _VALUES:
            raise ValueError("not a peer id")
        number = number * 58 + _VALUES[letter]
    zeros = len(peer) - len(peer.lstrip(_ALPHABET[0]))
    data = bytes(zeros) + number.to_bytes((number.bit_length() + 7) // 8, "big")
    if len(data) != len(_PREFIX) + 32 or not data.startswith(_PREFIX):
        raise ValueError("not the peer id of an Ed25519 key")
    return data[len(_PREFIX) :]


@lru_cache(4096)
def peer_of_key(key: bytes) -> PeerId:
    """The peer id of a 32-byte transport key."""
    if len(key) != 32:
        raise ValueError("a transport key has 32 bytes")
    number = int.from_bytes(_PREFIX + key, "big")
    letters = []
    while number:
        number, value = divmod(number, 58)
        letters.append(_ALPHABET[value])
    return PeerId(_ALPHABET[0] + "".join(reversed(letters)))
