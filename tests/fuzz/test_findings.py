"""What fuzzing found, where the answer matters besides that there is one.

The bytes of every finding lie in `tests/fuzz/corpus` as `found-…`; `test_complete` runs them all.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from commons_node.config import BadConfig, Config, load
from commons_node.domains.resources.csv_import import BadMap, read_map, read_rows
from commons_node.domains.resources.views import _document
from commons_node.store import node_store, waiting
from commons_node.store.upgrading import Unusable
from commons_protocol.libp2p_host import addresses, identity
from commons_protocol.network import Address, Unreachable


@pytest.mark.parametrize("text", ["x = " + "[" * 5_000, "x = " + "9" * 5_000])
def test_a_configuration_without_end_is_a_mistake_in_the_file(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.toml").write_text(text)
    with pytest.raises(BadConfig, match="nested too deep, or holds a number without end") as found:
        load(tmp_path, {})
    assert "config.toml" in found.value.way_out


def test_a_setting_that_is_no_text_is_named_in_letters_that_can_be_shown(tmp_path: Path) -> None:
    with pytest.raises(BadConfig, match="The setting log_level in the environment") as found:
        load(tmp_path, {"COMMONS_LOG_LEVEL": "\udcff"})
    assert found.value.way_out == "set 'COMMONS_LOG_LEVEL' to text in UTF-8"
    with pytest.raises(BadConfig, match=r"The setting la\\udcc1n in the environment"):
        load(tmp_path, {"COMMONS_LA\udcc1N": "true"})
    assert load(tmp_path, {"LS_COLORS": "\udcff"}) == Config(), "what is not ours is passed over"


def test_a_row_that_is_too_long_in_a_file_without_numbers_is_a_bad_row() -> None:
    (row,) = read_rows(b"name,size\nAxe,1,2\n")
    assert row.fault == "it has 3 cells, the header has 2; the file has no column 'number'"


def test_a_map_with_a_number_without_end_is_no_map() -> None:
    with pytest.raises(BadMap, match="not a TOML or JSON table"):
        read_map("map.toml", b"name = " + b"9" * 5_000)


@pytest.mark.parametrize(
    "address",
    [
        "/ip6/::1/tcp/0/p2p/12D3KooWGzJN",  # libp2p takes half a peer id for one
        "/ip4/192.0.2.7/tcp/1/p2p/QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N",  # of an RSA key
        "/ip4/192.0.2.7/tcp/1/p2p/" + "1" * 100_000,
        "/dns/" + "a" * 600 + "/tcp/1",
    ],
)
def test_an_address_that_names_no_node_is_none(address: str) -> None:
    with pytest.raises(Unreachable):
        addresses.parse(Address(address))


def test_a_peer_id_has_a_bound_before_it_is_read() -> None:
    with pytest.raises(Unreachable, match="too long"):
        identity.id_of("1" * 100_000)


def test_a_document_is_named_by_64_digits_and_no_blanks() -> None:
    assert _document("0f" * 32) == b"\x0f" * 32
    assert _document("0f0f0f 0f " + "0f" * 27) == b"", "fromhex passes over blanks"


def test_a_row_that_the_disk_gives_back_damaged_says_so() -> None:
    with pytest.raises(Unusable, match="of waiting operations cannot be used"):
        waiting._unpack(b"\x84\x41h\x41s\xf6\x81\x01")
    with pytest.raises(Unusable, match="of known peers cannot be used"):
        node_store.addresses_of("[1]")
