"""Packages for tests: alice and eve publish, with keys that a test can name."""

from __future__ import annotations

import hashlib
import io
import zipfile

from nacl.signing import SigningKey

from commons_node.agents.package import Entry, Package, pack, read, sign, statement

ALICE, EVE = SigningKey(b"a" * 32), SigningKey(b"e" * 32)
CODE = {"agent.py": b"def main(event, host):\n    return 1\n"}


def key_of(key: SigningKey) -> str:
    """The publisher's key in hex."""
    return bytes(key.verify_key).hex()


def made(
    version: str = "1.0.0", more: str = "", key: SigningKey = ALICE, name: str = "tell"
) -> bytes:
    """A signed package; ``more``: further lines of agent.toml."""
    toml = (
        f'[agent]\nname="{name}"\nversion="{version}"\npublisher="ed25519:{key_of(key)}"\n'
        f'[[trigger]]\nevery="1h"\n{more}'
    )
    return sign(pack(toml.encode(), CODE), key)


def opened(data: bytes) -> Package:
    """What is in it."""
    return read(data, signed=True)


def with_listing(entries: list[Entry], key: SigningKey = ALICE) -> bytes:
    """Eve's own packer: any files, listed and signed as it should be."""
    lines = "".join(
        f"{path} {len(data)} {hashlib.sha256(data).hexdigest()}\n" for path, data in sorted(entries)
    ).encode()
    signature = key.sign(statement(lines)).signature
    return zipped([*entries, Entry("MANIFEST", lines), Entry("SIGNATURE", signature)])


def zipped(entries: list[Entry], **how: object) -> bytes:
    """A zip as anybody writes it. ``how``: fields of each entry.

    Not what ``encode`` would have written.
    """
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        for path, data in entries:
            info = zipfile.ZipInfo(path)
            for name, value in how.items():
                setattr(info, name, value)
            file.writestr(info, data)
    return out.getvalue()
