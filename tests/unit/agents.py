"""Packages for tests: alice and eve publish, with keys that a test can name."""

from __future__ import annotations

from nacl.signing import SigningKey

from commons_node.agents.package import Package, pack, read, sign

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
