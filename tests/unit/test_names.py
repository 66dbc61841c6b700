"""A node's two names say the same, and nothing else passes for one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commons_protocol.names import NodeId, node_id, peer_id, peer_key, peer_of_key
from commons_protocol.network import PeerId


@given(key=st.binary(min_size=32, max_size=32))
def test_each_name_follows_from_the_other(key: bytes) -> None:
    peer = peer_of_key(key)
    assert peer_key(peer) == key
    assert node_id(peer) == key.hex()
    assert peer_id(node_id(peer)) == peer


def test_the_peer_id_is_the_one_of_libp2p() -> None:
    from nacl.signing import SigningKey

    from commons_protocol.libp2p_host import peer_id_of

    seed = bytes(range(32))
    assert peer_of_key(bytes(SigningKey(seed).verify_key)) == peer_id_of(seed)


@pytest.mark.parametrize(
    "text", ["", "0", "l", "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N", "1" * 60]
)
def test_what_is_no_peer_id_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        node_id(PeerId(text))


@pytest.mark.parametrize("text", ["", "ab", "G" * 64, "A" * 64, "a" * 63, "a" * 64 + "\n"])
def test_what_is_no_node_id_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        peer_id(NodeId(text))
