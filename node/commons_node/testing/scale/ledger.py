"""What is counted while a crowd runs: who got what when, over which way, and how many bytes.

Only looks: nothing here reaches a node.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from commons_crdt.errors import Refused
from commons_crdt.ids import OperationId
from commons_crdt.operation import operation_id
from commons_node.testing.scale.packets import FRAME_HEADERS, HEADERS, Message, Packet
from commons_protocol import gossip
from commons_protocol.frame import decode

Way = Literal["gossip", "push", "pull"]
_FRAMES: dict[int, Way] = {13: "pull", 18: "push"}
"""Numbers of the wire messages that carry operations, `wire.Operations` and `wire.Push`."""
_DIGEST = 10
_PLAIN = ("digest", "vector", "want", "operations", "piece", "credit", "served", "done", "push")


@dataclass(slots=True)
class Reached:
    """One operation at one node: when (s) it came first, over how many nodes, by which way."""

    at: float
    hops: int
    way: Way | Literal["own"]
    copies: int = 0
    """Bodies that came, over any way."""
    stored: float | None = None


@dataclass(slots=True)
class Ledger:
    """One run. Nodes are named by their number."""

    now: Callable[[], float]
    operations: dict[OperationId, dict[int, Reached]] = field(default_factory=dict)
    came: Counter[str] = field(default_factory=Counter)
    """Bytes that came to nodes, by message: TCP's payload, so with the headers inside."""
    count: Counter[str] = field(default_factory=Counter)
    incoming: Counter[int] = field(default_factory=Counter)
    """Bytes by node."""
    rounds: Counter[int] = field(default_factory=Counter)
    """Digests by node: one for each comparison in which it takes part."""
    members: dict[str, set[int]] = field(default_factory=dict)
    """Nodes of every community, by topic."""
    owners: dict[OperationId, str] = field(default_factory=dict)
    """The topic of each operation's community."""
    trespasses: int = 0
    """Messages and bodies that came to a node outside their community."""
    channels: dict[str, gossip.Channel] = field(default_factory=dict)
    """Of every community, by topic: what is counted must be opened."""
    _opened: dict[bytes, tuple[OperationId, ...]] = field(default_factory=dict)

    def begin(self) -> None:
        """Count from here."""
        for counter in (self.came, self.count, self.incoming, self.rounds):
            counter.clear()

    def wrote(self, ident: OperationId, node: int, topic: str) -> None:
        """A node has written an operation in the community of this topic."""
        now = self.now()
        self.owners[ident] = topic
        self.operations[ident] = {node: Reached(now, 0, "own", stored=now)}

    def stored(self, ids: Sequence[OperationId], node: int) -> None:
        """A node holds these now."""
        for ident in ids:
            reached = self.operations[ident]
            if node in reached and reached[node].stored is None:
                reached[node].stored = self.now()

    def packet(self, node: int, source: int, packet: Packet) -> None:
        """A gossip packet came."""
        size = packet.size() + HEADERS
        self._add(node, f"gossip {packet.kind}", size)
        for message in packet.publish:
            self.trespasses += node not in self.members[message.topic]
            for ident in self._inside(message):
                self._came(ident, node, source, "gossip")

    def frame(self, node: int, source: int, frame: bytes) -> None:
        """A frame of `/commons/sync/1` came."""
        number = frame[1] if len(frame) > 1 and frame[1] < 24 else 0
        self._add(node, f"sync {number}", len(frame) + FRAME_HEADERS)
        self.rounds[node] += number == _DIGEST
        way = _FRAMES.get(number)
        if way is not None:
            for header, *_ in decode(frame)[2]:
                self._came(operation_id(header), node, source, way)

    def _add(self, node: int, what: str, size: int) -> None:
        self.came[what] += size
        self.count[what] += 1
        self.incoming[node] += size

    def _inside(self, message: Message) -> tuple[OperationId, ...]:
        """The operations in a sealed message: the same bytes come to everybody."""
        if message.data not in self._opened:
            try:
                hint = self.channels[message.topic].open(message.data)
            except Refused:
                hint = None
            self._opened[message.data] = (
                tuple(operation_id(one[0]) for one in hint.operations)
                if isinstance(hint, gossip.Said)
                else ()
            )
        return self._opened[message.data]

    def _came(self, ident: OperationId, node: int, source: int, way: Way) -> None:
        reached = self.operations.get(ident)
        if reached is None:
            return  # from before the first write
        self.trespasses += node not in self.members[self.owners[ident]]
        found = reached.get(node)
        if found is None:
            hops = reached[source].hops + 1 if source in reached else 1
            found = reached[node] = Reached(self.now(), hops, way)
        if found.way != "own":
            found.copies += 1
            self.count[f"bodies by {way}"] += 1


def by_message(counted: Counter[str]) -> dict[str, int]:
    """Counts with the names of wire messages instead of their numbers."""
    names = {10 + n: name for n, name in enumerate(_PLAIN)}
    found: Counter[str] = Counter()
    for what, n in counted.items():
        head, _, number = what.partition(" ")
        if head == "sync":
            known = names.get(int(number), "proof" if int(number) < 6 else "members")
            found[f"sync {known}"] += n
        else:
            found[what] += n
    return dict(sorted(found.items()))
