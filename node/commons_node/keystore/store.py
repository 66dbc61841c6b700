"""The key files of the members of this node: ``keys/<member>.key``, one each.

Knows files and passphrases, no terminal session and no realm: what the secrets are called is the
domains' business. Stretching a passphrase runs in a thread, at most two at a time.
"""

from __future__ import annotations

import asyncio
import os
import re
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Final

from commons_crdt.errors import CommonsError
from commons_node.keystore import sealing
from commons_node.keystore.disk import (
    create_private,
    private_folder,
    sync_folder,
    write_private,
)
from commons_node.keystore.unlocked import Unlocked

_MEMBER: Final = re.compile(r"[0-9a-f]{8,128}")


class NoKey(CommonsError):
    """This node holds no key of {member}."""

    code: ClassVar[str] = "no_key"
    hint: ClassVar[str] = "commons-node member list"
    status = "not_found"


class KeyExists(CommonsError):
    """This node already holds a key of {member}."""

    code: ClassVar[str] = "key_exists"
    hint: ClassVar[str] = "commons-node member unlock {member}"
    status = "failed"


class Keystore:
    """Members' keys in one folder. Safe to use from several tasks and threads."""

    def __init__(self, folder: Path, rng: sealing.Random = os.urandom) -> None:
        """``folder`` is made with mode 0700 when the first key is."""
        self._folder = folder
        self._rng = rng
        self._writing = threading.Lock()
        self._stretching = threading.BoundedSemaphore(2)  # 64 MiB each

    def members(self) -> tuple[str, ...]:
        """Ids of the members whose keys are here, sorted."""
        found = (path.stem for path in self._folder.glob("*.key"))
        return tuple(sorted(stem for stem in found if _MEMBER.fullmatch(stem)))

    def damaged(self) -> tuple[str, ...]:
        """Members whose key files are not as they were written; none of them is opened."""
        found = []
        for member in self.members():
            try:
                sealing.check_whole(self._read(member), member)
            except sealing.DamagedKey:
                found.append(member)
        return tuple(found)

    async def create(self, member: str, secrets: Mapping[str, bytes], passphrase: str) -> Unlocked:
        """Seal a new member's secrets; durable when it returns.

        ``member`` is an id in lower-case hex. Raises WeakPassphrase, KeyExists.
        """
        return await asyncio.to_thread(self._create, member, dict(secrets), passphrase)

    async def unlock(self, member: str, passphrase: str) -> Unlocked:
        """Open a member's secrets. Raises NoKey, WrongPassphrase, DamagedKey."""
        return await asyncio.to_thread(self._unlock, member, passphrase)

    async def add(self, member: str, name: str, secret: bytes, unlocked: Unlocked) -> None:
        """Store one more secret, or replace it; durable when it returns, then in ``unlocked`` too.

        Raises NoKey, DamagedKey, WrongPassphrase when ``unlocked`` was locked meanwhile.
        """
        await self.add_all(member, {name: secret}, unlocked)

    async def add_all(self, member: str, secrets: Mapping[str, bytes], unlocked: Unlocked) -> None:
        """As ``add``, several secrets in one write."""
        added = dict(secrets)
        await asyncio.to_thread(self._add, member, added, unlocked)
        for name, secret in added.items():
            unlocked.remember(name, secret)

    async def change_passphrase(self, member: str, old: str, new: str) -> None:
        """Seal the same secrets with another passphrase; who is unlocked stays so.

        Copies of the file made before still open with the old one. Raises WeakPassphrase, NoKey,
        WrongPassphrase, DamagedKey.
        """
        await asyncio.to_thread(self._change, member, old, new)

    async def set_aside(self, member: str) -> None:
        """Take a key file out of use, whole: its device was retired, or nobody can open it.

        It stays beside the others as ``<member>.<number>.old``, sealed as it was.
        """
        await asyncio.to_thread(self._set_aside, member)

    async def remove(self, member: str) -> None:
        """Delete a member's key file. For keys that are nobody's, as those of an example are."""
        await asyncio.to_thread(lambda: self._path(member).unlink(missing_ok=True))

    def _set_aside(self, member: str) -> None:
        with self._writing:
            path = self._path(member)
            number = sum(1 for _ in self._folder.glob(f"{member}.*.old")) + 1
            try:
                path.rename(self._folder / f"{member}.{number}.old")
            except FileNotFoundError:
                raise NoKey(member=member[:12]) from None
            sync_folder(self._folder)

    async def destroy(self, member: str) -> None:
        """Delete a key file for good: its device has ended, and nobody shall open it again.

        It is overwritten first; what the disk itself keeps of it is sealed with the passphrase.
        """
        await asyncio.to_thread(self._destroy, member)

    def _destroy(self, member: str) -> None:
        with self._writing:
            path = self._path(member)
            try:
                with path.open("r+b") as file:
                    file.write(bytes(path.stat().st_size))
                    file.flush()
                    os.fsync(file.fileno())
                path.unlink()
            except FileNotFoundError:
                raise NoKey(member=member[:12]) from None
            sync_folder(self._folder)

    def _create(self, member: str, secrets: dict[str, bytes], passphrase: str) -> Unlocked:
        sealing.check_passphrase(passphrase)
        path = self._path(member)
        if path.exists():
            raise KeyExists(member=member[:12])
        data_key = self._rng(32)
        with self._stretching:
            file = sealing.seal(member, data_key, secrets, passphrase, self._rng)
        private_folder(self._folder)
        try:
            create_private(path, file)
        except FileExistsError:
            raise KeyExists(member=member[:12]) from None
        return Unlocked(member, data_key, secrets)

    def _unlock(self, member: str, passphrase: str) -> Unlocked:
        file = self._read(member)
        with self._stretching:
            return sealing.unseal(file, member, passphrase)

    def _add(self, member: str, added: dict[str, bytes], unlocked: Unlocked) -> None:
        with self._writing:
            file = self._read(member)
            secrets = sealing.open_secrets(file, member, unlocked.data_key()) | added
            write_private(self._path(member), sealing.reseal(file, unlocked, secrets, self._rng))

    def _change(self, member: str, old: str, new: str) -> None:
        sealing.check_passphrase(new)
        with self._writing:
            unlocked = self._unlock(member, old)
            secrets = {name: unlocked.get(name) for name in unlocked.names()}
            with self._stretching:
                file = sealing.seal(member, unlocked.data_key(), secrets, new, self._rng)
            write_private(self._path(member), file)
            unlocked.wipe()

    def _path(self, member: str) -> Path:
        if not _MEMBER.fullmatch(member):
            raise NoKey(member=member[:12])
        return self._folder / f"{member}.key"

    def _read(self, member: str) -> bytes:
        try:
            with self._path(member).open("rb") as file:
                return file.read(sealing.MAX_FILE)
        except FileNotFoundError:
            raise NoKey(member=member[:12]) from None
