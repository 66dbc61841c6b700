"""Packages: one form only, and everything that is not it is refused with the reason."""

from __future__ import annotations

import hashlib
import io
import stat
import struct
import zipfile
from contextlib import suppress
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nacl.signing import SigningKey
from tests.unit.agents import ALICE, EVE, with_listing, zipped

from commons_node.agents import package
from commons_node.agents.package import Entry, decode, encode, pack, read, sign
from commons_node.agents.refusals import BadPackage

CODE = {"agent.py": b"def main(event, host):\n    return 1\n", "lib/words.py": b"WORDS = ()\n"}


def toml(key: SigningKey = ALICE, version: str = "1.0.0") -> bytes:
    publisher = bytes(key.verify_key).hex()
    return (
        f'[agent]\nname="tell"\nversion="{version}"\npublisher="ed25519:{publisher}"\n'
    ).encode()


def signed() -> bytes:
    return sign(pack(toml(), CODE), ALICE)


def refused(data: bytes, why: str = ".") -> None:
    with pytest.raises(BadPackage, match=why):
        read(data, signed=True)


def test_the_same_input_gives_the_same_bytes_and_any_zip_tool_reads_them() -> None:
    first, again = signed(), sign(pack(toml(), dict(reversed(CODE.items()))), ALICE)
    assert first == again
    found = read(first, signed=True)
    assert (found.manifest.name, found.signed, found.files) == ("tell", True, CODE)
    assert found.hash == hashlib.sha256(first).digest()
    with zipfile.ZipFile(io.BytesIO(first)) as file:
        assert file.testzip() is None
        assert file.namelist() == [
            "agent.toml", "code/agent.py", "code/lib/words.py", "MANIFEST", "SIGNATURE",
        ]  # fmt: skip
        assert file.read("code/agent.py") == CODE["agent.py"]


def test_one_that_nobody_has_signed_is_told_apart() -> None:
    data = pack(toml(), CODE)
    assert not read(data).signed
    refused(data, "nobody has signed")
    assert read(sign(data, ALICE)) != read(data)


def test_only_the_publisher_signs_and_nobody_signs_for_another() -> None:
    with pytest.raises(BadPackage, match="another publisher"):
        sign(pack(toml(), CODE), EVE)
    entries = [entry for entry in decode(signed()) if entry.path not in {"MANIFEST", "SIGNATURE"}]
    refused(with_listing(entries, EVE), "signature|directory")
    forged = [*decode(signed())[:-1], Entry("SIGNATURE", bytes(64))]
    refused(encode(forged), "signature")
    refused(encode([*forged[:-1], Entry("SIGNATURE", b"")]), "signature")


def test_a_signature_of_something_else_is_none() -> None:
    listing = decode(signed())[-2].data
    plain = ALICE.sign(listing).signature  # the bytes themselves, without what they are for
    refused(encode([*decode(signed())[:-1], Entry("SIGNATURE", plain)]), "signature")


def test_a_tampered_file_manifest_or_agent_toml() -> None:
    entries = decode(signed())
    for number, why in ((0, "MANIFEST"), (1, "MANIFEST"), (3, "MANIFEST"), (4, "signature")):
        changed = list(entries)
        data = bytearray(changed[number].data)
        data[-2] ^= 1
        changed[number] = Entry(changed[number].path, bytes(data))
        refused(encode(changed), why)


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("/etc/passwd", "no name"),
        ("code/../../x.py", "no name"),
        ("code/..", "no name"),
        ("code/./x.py", "no name"),
        ("code/a\\b.py", "no name"),
        ("code/.hidden", "no name"),
        ("code/a b.py", "no name"),
        ("code/\u0430.py", "no name"),
        ("code//x.py", "no name"),
        ("code/x.py\x00.txt", "no name"),
        ("code/", "no name"),
        ("C:/x", "no name"),
        ("other.txt", "no name"),
        ("code/a/b/c/d/e/f.py", "no name"),
        ("code/" + "x" * 65, "no name"),
        ("code/agent.cwasm", "compiled"),
        ("code/agent.CWASM", "compiled"),
    ],
)
def test_names_that_lead_elsewhere(path: str, why: str) -> None:
    with pytest.raises(BadPackage, match=why):
        encode([Entry(path, b"x")])
    local = struct.pack("<4s5H3I2H", b"PK\3\4", 20, 0, 0, 0, 33, 0, 1, 1, len(path.encode()), 0)
    refused(local + path.encode() + b"x" + signed(), why)


def test_two_files_of_one_name() -> None:
    head = decode(pack(toml(), CODE))[:2]
    with pytest.warns(UserWarning, match="Duplicate"):
        twice = zipped([*head, head[1]])
    refused(twice, "twice|compressed|directory")
    with pytest.raises(BadPackage, match="twice"):
        encode([*head, head[1]])
    with pytest.raises(BadPackage, match="twice"):
        pack(toml(), {**CODE, "AGENT.py": b"x"})


def test_links_bombs_and_encrypted_files() -> None:
    files = decode(signed())
    link = (stat.S_IFLNK | 0o777) << 16
    assert with_central(link, signed()) != signed()
    refused(with_central(link, signed()), "link")
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("agent.toml", bytes(50_000_000))
    assert len(out.getvalue()) < 60_000
    refused(out.getvalue(), "compressed")
    locked = bytearray(signed())
    locked[6] |= 1
    refused(bytes(locked), "encrypted")
    refused(zipped(files, comment=b"hello"))


def with_central(attributes: int, data: bytes) -> bytes:
    at = data.index(b"PK\1\2")
    return data[: at + 38] + struct.pack("<I", attributes) + data[at + 42 :]


def test_bytes_that_are_hidden_beside_the_files() -> None:
    data = signed()
    for other in (b"x" + data, data + b"x", data + signed(), data[:-1]):
        refused(other)
    at = data.index(b"PK\1\2")
    refused(data[:at] + b"hidden" + data[at:], "directory")
    for cut in range(0, len(data), 37):
        refused(data[:cut])


def test_what_is_not_listed_not_there_or_not_in_order() -> None:
    entries = decode(signed())
    refused(encode([entries[0], Entry("code/more.py", b"x"), *entries[1:]]), "MANIFEST")
    refused(encode([entries[0], *entries[2:]]), "MANIFEST")
    refused(encode([entries[1], entries[0], *entries[2:]]), "order")
    refused(encode(entries[:-2]), "MANIFEST")
    refused(encode(entries[1:]), "agent.toml")
    with pytest.raises(BadPackage, match="entry"):
        pack(toml(), {"other.py": b""})


def test_what_is_too_large_is_refused_before_it_is_looked_at() -> None:
    with pytest.raises(BadPackage, match="5 MB"):
        pack(toml(), {**CODE, "data.bin": bytes(package.MAX_UNPACKED)})
    with pytest.raises(BadPackage, match="more than"):
        pack(toml(), {f"f{n}.py": b"" for n in range(package.MAX_FILES)})
    refused(bytes(package.MAX_PACKAGE + 1), "5 MiB")
    local = struct.pack("<4s5H3I2H", b"PK\3\4", 20, 0, 0, 0, 33, 0, 2**32 - 1, 2**32 - 1, 10, 0)
    refused(local + b"agent.toml", "cut off")


PLAIN = signed()


@given(st.integers(0, len(PLAIN) - 1), st.integers(1, 255))
def test_no_byte_of_a_package_can_be_another(at: int, change: int) -> None:
    refused(PLAIN[:at] + bytes([PLAIN[at] ^ change]) + PLAIN[at + 1 :])


@given(st.binary(max_size=200))
def test_any_bytes_are_a_package_or_refused(data: bytes) -> None:
    for given_ in (data, PLAIN[: len(data)] + data, PLAIN[: PLAIN.index(b"PK\1\2")] + data):
        with suppress(BadPackage):
            assert encode(decode(given_)) == given_


def test_versions_are_compared_as_numbers() -> None:
    texts = ("0.9.9", "0.10.0", "1.0.0", "1.0.10", "1.2.0", "10.0.0")
    orders = [read(pack(toml(version=text), CODE)).manifest.order for text in texts]
    assert all(one < other for one, other in pairwise(orders))
