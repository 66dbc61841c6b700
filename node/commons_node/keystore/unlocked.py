"""A member's secrets while they are in use, in memory only.

Wiping is best effort: Python and libsodium's bindings copy bytes as they like, so a wiped key may
still stand somewhere in the process's memory until that is reused.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class Unlocked:
    """One member's named secrets, and the key that seals them in the key file.

    ``member`` is the member's id in hex. Names are the domain's, such as ``REALM/signing``.
    """

    __slots__ = ("_data_key", "_secrets", "_wiped", "member", "public")

    def __init__(self, member: str, data_key: bytes, secrets: Mapping[str, bytes]) -> None:
        """Copies everything into memory that ``wipe`` can overwrite."""
        self.member = member
        self._data_key = bytearray(data_key)
        self._secrets = {name: bytearray(secret) for name, secret in secrets.items()}
        self._wiped = False
        self.public: dict[str, Any] = {}
        """What was computed from the secrets and is none; empty when there is another secret."""

    def __repr__(self) -> str:
        """Names the member and nothing else: a secret never gets into a log by accident."""
        return f"Unlocked({self.member[:12]}…)"

    def names(self) -> tuple[str, ...]:
        """The names of all secrets, sorted."""
        return tuple(sorted(self._secrets))

    def get(self, name: str) -> bytes:
        """The secret of this name. Raises KeyError."""
        return bytes(self._secrets[name])

    def find(self, name: str) -> bytes | None:
        """The secret of this name, or None."""
        found = self._secrets.get(name)
        return None if found is None else bytes(found)

    def data_key(self) -> bytes:
        """The 32 bytes that seal this member's file; zeros once wiped, which open nothing."""
        return bytes(self._data_key)

    def remember(self, name: str, secret: bytes) -> None:
        """Hold one secret more. For ``Keystore.add``, which writes it to the file first."""
        self._secrets[name] = bytearray(secret)
        self.public.clear()

    @property
    def wiped(self) -> bool:
        """Whether it was locked since."""
        return self._wiped

    def wipe(self) -> None:
        """Overwrite all secrets; afterwards it holds none."""
        for secret in (self._data_key, *self._secrets.values()):
            secret[:] = bytes(len(secret))
        self._secrets.clear()
        self.public.clear()
        self._wiped = True
