"""Somebody takes the host's machine away and tries to find out who was at the café.

They hold every byte of its disk, know every member's id, device and name, and may run our own code
on what they hold. They have no passphrase.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from tests.e2e.venue import Cafe, full

from commons_crdt.ids import DocumentId, RealmId, digest
from commons_crdt.kinds import decode_fact
from commons_crdt.operation import content
from commons_crdt.ring import tag_of
from commons_node.domains.spaces.facts import ATTENDANCE, Attendance
from commons_node.keystore.node_key import NodeKey
from commons_protocol.attendance import scope_of


@dataclass
class Seized:
    """What was found. ``handles``: by member, all that stands for them in the open."""

    files: dict[Path, bytes]
    tokens: list[tuple[bytes, Attendance, bytes]]
    handles: dict[str, list[bytes]]
    seeds: list[bytes]
    realm: RealmId
    space: DocumentId
    own_bodies: list[bytes]

    @classmethod
    def of(cls, cafe: Cafe) -> Seized:
        """Read everything: databases with their journals, logs, keys, settings."""
        home = cafe.alice.home
        files = {path: path.read_bytes() for path in home.rglob("*") if path.is_file()}
        rows = cafe.alice.query(
            "SELECT header, body, signature FROM operations WHERE kind = ? AND verdict = 1",
            ATTENDANCE,
        )
        tokens = [
            (header + body + signature, decode_fact(Attendance, content(body)), body)
            for header, body, signature in rows
        ]
        (realm,) = (home / "realms").glob("*.db")
        secrets = NodeKey(home / "node.key").load()
        return cls(
            files, tokens, _handles(cafe), [s for s in secrets.values() if len(s) == 32],
            RealmId(bytes.fromhex(realm.stem)), DocumentId(bytes.fromhex(cafe.space)),
            _own_bodies(home),
        )  # fmt: skip

    def plant(self, told: bytes) -> None:
        """As if a token had carried this."""
        raw, body, stored = self.tokens[0]
        self.tokens[0] = raw + told, body, stored

    def tells(self) -> list[str]:
        """Everything by which some token, or some private entry, leads to some member."""
        return [*self._in_tokens(), *self._by_keys(), *self._by_rings(), *self._in_own_realms()]

    def _in_tokens(self) -> Iterator[str]:
        """A member's id, device, key or name in a token, plain, in hex, or hashed with anything."""
        for raw, body, _ in self.tokens:
            ring = set(body.ring)
            # keys of the ring stand there for everybody alike; they are looked at in `_by_rings`
            rest = raw
            for key in ring:
                rest = rest.replace(key, b"")
            salts = [b"", self.realm, self.space, body.slot.to_bytes(4, "big"),
                     scope_of(self.realm, self.space, body.slot)]  # fmt: skip
            for name, handles in self.handles.items():
                for handle in handles:
                    for told in _traces(handle, salts):
                        if told in rest:
                            yield f"a token holds {told.hex()[:16]} of {name}"

    def _by_keys(self) -> Iterator[str]:
        """A tag that some key on the disk makes: members' keys are sealed, the node's are not."""
        for _, body, _ in self.tokens:
            scope = scope_of(self.realm, self.space, body.slot)
            for seed in self.seeds:
                if tag_of(seed, scope) == body.signature.tag:
                    yield "a key that lies open makes a tag"

    def _by_rings(self) -> Iterator[str]:
        """A ring that is smaller than all who might have come, or one ring unlike another."""
        rings = {body.ring for _, body, _ in self.tokens}
        if len(rings) > 1:
            yield "the rings differ"
        for ring in rings:
            if len(ring) < len(self.handles):
                yield "somebody who might have come is in no ring"

    def _in_own_realms(self) -> Iterator[str]:
        """A private entry that shows what is in it, by words, by its length, or by its time."""
        lengths = {len(body) for body in self.own_bodies}
        if len(lengths) > 1:
            yield f"entries have several lengths: {lengths}"
        for path, data in self.files.items():
            if path.parent.name == "own":
                for name, handles in self.handles.items():
                    if any(handle in data or handle.hex().encode() in data for handle in handles):
                        yield f"{path.name} names {name}"
                if bytes(self.space) in data or self.space.hex().encode() in data:
                    yield f"{path.name} names the space"
            if path.name == "log" and self.space.hex()[:8].encode() in data:
                yield "the log speaks of the space"

    @staticmethod
    def ways_to_tell(cafe: Cafe, member: str) -> list[bytes]:
        """What a careless token might carry."""
        ident = bytes.fromhex(member)
        space = bytes.fromhex(cafe.space)
        device = next(iter(_handles(cafe)["cia"][1:2]))
        return [ident, member.encode(), full("cia").encode(), device, digest("member", ident),
                hashlib.sha256(space + ident).digest()]  # fmt: skip


def _handles(cafe: Cafe) -> dict[str, list[bytes]]:
    """Ids, devices and keys of every member, as the community's file has them, and their names."""
    found = {name: [bytes.fromhex(member)] for name, member in cafe.members.items()}
    for name, handles in found.items():
        listed = cafe.alice.see("member.device.list", who=cafe.members[name])["devices"]
        handles += [bytes.fromhex(one["device"]) for one in listed]
        if name in cafe.lodgers:  # "bob" is three bytes, and stands in many places by chance
            handles.append(full(name).encode())
    return found


def _traces(handle: bytes, salts: list[bytes]) -> Iterator[bytes]:
    yield handle
    if len(handle) < 32:
        return  # a name is too short to be looked for in hashes: it is in plain
    yield handle.hex().encode()
    for salt, order in product(salts, (0, 1)):
        data = handle + salt if order else salt + handle
        yield hashlib.sha256(data).digest()
        yield hashlib.blake2b(data, digest_size=32).digest()
        for purpose in ("member", "attend", "attday", "attrow", "device", "claim"):
            yield digest(purpose, data)


def _own_bodies(home: Path) -> list[bytes]:
    found = []
    for path in (home / "own").glob("*.db"):
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)) as connection:
            found += connection.execute(
                "SELECT body FROM operations WHERE kind = 'own.entry.1'"
            ).fetchall()
    return [body for (body,) in found if body is not None]
