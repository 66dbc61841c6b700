"""The transport identity of a node: its key and its peer id. It signs for nobody."""

from libp2p.crypto.ed25519 import create_new_key_pair
from libp2p.crypto.keys import KeyPair
from libp2p.peer.id import ID

from commons_crdt.texts import N_
from commons_protocol.network import PeerId, Unreachable

_LONGEST = 64
"""Characters; reading base58 takes quadratic time."""


def keys_of(seed: bytes) -> KeyPair:
    """The transport keys that a 32-byte Ed25519 seed gives."""
    if len(seed) != 32:
        raise ValueError("a transport key is a seed of 32 bytes")
    return create_new_key_pair(seed)


def peer_id_of(seed: bytes) -> PeerId:
    """The peer id of the node with this 32-byte Ed25519 seed."""
    return PeerId(ID.from_pubkey(keys_of(seed).public_key).to_base58())


def id_of(peer: str) -> ID:
    """libp2p's form of a peer id. Raises `Unreachable` for what is none."""
    if len(peer) > _LONGEST:
        raise Unreachable(N_("this is too long for a peer id"))
    try:
        return ID.from_base58(peer)
    except ValueError as error:
        raise Unreachable(N_("{peer!r} is no peer id"), peer=peer) from error
