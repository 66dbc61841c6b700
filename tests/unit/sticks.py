"""Bundles as tests carry them: a stick in memory that can be torn, bent, and pulled out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.unit.rooms import Room
from tests.unit.town import DAY_MS, Replica, secrets

from commons_crdt.device import DeviceSecrets
from commons_node.bundles.exporting import Exported, Wish, export_bundle
from commons_node.bundles.importing import Import, Report, header_of
from commons_node.parts.keeper import PartsKeeper
from commons_node.peering.peering import Peering
from commons_node.standing import signer
from commons_protocol.bundles.chunks import CHUNK
from commons_protocol.bundles.contents import Kind, Manifest
from commons_protocol.bundles.reader import Reader, unlock
from commons_protocol.bundles.slots import SLOT
from commons_protocol.bundles.writer import HEAD, Writer
from commons_protocol.replica import Credential

NODE = b"n" * 32


@dataclass(slots=True)
class Stick:
    """A file's bytes; from ``pulled_at`` on it cannot be read."""

    data: bytearray = field(default_factory=bytearray)
    pulled_at: int | None = None
    reads: list[tuple[int, int]] = field(default_factory=list)

    @property
    def size(self) -> int:
        return len(self.data)

    async def put(self, data: bytes) -> None:
        self.data += data

    async def read(self, at: int, count: int) -> bytes:
        self.reads.append((at, count))
        if self.pulled_at is not None and at + count > self.pulled_at:
            raise OSError(5, "Input/output error")
        return bytes(self.data[at : at + count])

    @property
    def slots(self) -> list[bytes]:
        count = int.from_bytes(self.data[HEAD - 2 : HEAD])
        return [bytes(self.data[HEAD + n * SLOT :][:SLOT]) for n in range(count)]

    @property
    def chunks(self) -> int:
        return (self.size - HEAD - len(self.slots) * SLOT) // CHUNK

    def at_chunk(self, number: int) -> int:
        """Where a chunk begins."""
        return HEAD + len(self.slots) * SLOT + number * CHUNK


def gives_node(home: Replica, room: Room, name: str = "alice's node") -> DeviceSecrets:
    """The room speaks with a node's device, which stands."""
    node = secrets(name)
    grant = room.realm.judge.authority.devices[node.keys.id]
    room.realm.own_credential = Credential(node.keys.id, grant.id, signer(node), ())
    return node


async def exported(room: Room, **wish: Any) -> tuple[Stick, Exported]:
    stick = Stick()
    done = await export_bundle(room.realm, NODE, Wish(room.now, **wish), stick.put)
    return stick, done


def space(**bounds: Any) -> PartsKeeper:
    """Room for photos at a node that nobody is connected with."""

    def alone() -> Peering:
        raise AssertionError("nobody is asked")

    return PartsKeeper(alone, list, **bounds)


async def imported(
    room: Room, stick: Stick, by: str, bounds: PartsKeeper | None = None, **how: Any
) -> Report:
    unlocked = unlock(await header_of(stick), [secrets(by).sealing])
    return await Import(room.realm, stick, unlocked, room.now, bounds or space(), **how).run()


def forged(
    home: Replica,
    maker: str,
    to: str,
    fill: Callable[[Writer, Callable[[bytes], None]], None],
    **changes: Any,
) -> Stick:
    """A bundle as a member writes it who keeps no rule: ``fill`` says what is in it."""
    node = secrets(maker)
    said: dict[str, Any] = {
        "realm": home.realm, "pin": bytes(home.realm), "signer": node.keys, "node": NODE,
        "created_ms": home.now_ms, "expires_ms": home.now_ms + DAY_MS, "since_ms": 0,
        "made_for": (),
    }  # fmt: skip
    stick = Stick()
    chance = iter(range(1 << 30))
    writer = Writer(
        Manifest(**{**said, **changes}),
        [secrets(to).keys.sealing],
        signer(node),
        lambda n: next(chance).to_bytes(n),
    )
    stick.data += writer.header
    fill(writer, stick.data.extend)
    for data in writer.end():
        stick.data += data
    return stick


def frames(stick: Stick, by: str) -> list[tuple[Kind | None, Any]]:
    """Everything that stands in a bundle."""
    reader = Reader(unlock(bytes(stick.data[: stick.at_chunk(0)]), [secrets(by).sealing]))
    found: list[tuple[Kind | None, Any]] = []
    while not reader.done:
        data = bytes(stick.data[reader.position : reader.position + CHUNK])
        found.extend((getattr(one, "kind", None), one) for one in reader.chunk(data))
    return found
