"""Everything between the nodes: who reaches whom, how late, and what goes wrong on the way.

Knows hosts and bytes, never what they mean.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from commons_node.testing.streams import SimStream
from commons_node.testing.trace import Trace
from commons_node.testing.weather import CUT, Faults, Weather
from commons_protocol.network import Address, PeerId

if TYPE_CHECKING:
    from commons_node.testing.host import Host

_FANOUT = 6
"""To how many of its peers a node forwards a message, as in GossipSub's mesh."""
_LATE_S = 0.5
_GONE_S = 30.0
"""Longer than any gossip is on its way."""


class Wire:
    """A connection between two hosts, with its streams."""

    def __init__(self, air: Air, one: Host, two: Host) -> None:
        """Both hosts are told by ``Air.dial``."""
        self.air = air
        self.ends = (one, two)
        self.up = True
        self.patience = air.rng.uniform(*air.weather.patience)
        self._streams: list[SimStream] = []

    def far(self, host: Host) -> Host:
        """The other end."""
        return self.ends[1] if host is self.ends[0] else self.ends[0]

    def stream(self, opener: Host) -> tuple[SimStream, SimStream]:
        """A new stream: the opener's end and the other."""
        near, far = (
            SimStream(self, opener, self.far(opener)),
            SimStream(self, self.far(opener), opener),
        )
        near.join(far)
        far.join(near)
        self._streams += (near, far)
        return near, far

    def cut(self, why: str) -> None:
        """The connection is gone: both ends find out."""
        if not self.up:
            return
        self.up = False
        self.air.unplug(self, why)
        for stream in self._streams:
            stream.wake()
        for host in self.ends:
            knew = self.far(host).peer_id in host.peers()
            host.lost(self.far(host).peer_id)
            if why == CUT:
                self.air.faults["cut_off"] += knew and self.far(host).peer_id not in host.peers()


class Air:
    """The network as nobody sees it: all of it at once."""

    def __init__(self, rng: random.Random, weather: Weather, faults: Faults, trace: Trace) -> None:
        """Nobody is there yet."""
        self.rng = rng
        self.weather = weather
        self.faults = faults
        self.trace = trace
        self.hosts: dict[PeerId, Host] = {}
        """Who listens now."""
        self.mute: set[tuple[PeerId, PeerId]] = set()
        """Links that carry nothing, in this direction only."""
        self._wires: dict[tuple[PeerId, PeerId], Wire] = {}
        self._near: dict[PeerId, list[Host]] = {}
        """The far ends of a host's connections by name, until these change."""
        self._latency: dict[tuple[PeerId, PeerId], float] = {}
        self._island: dict[PeerId, int] = {}
        self._apart: dict[PeerId, int] = {}
        """The islands of before the heal, until they have met."""
        self._letters = 0
        self._aloft: dict[int, float] = {}
        """When the gossip was sent that has not come yet."""

    # --- who reaches whom ---

    def split(self, islands: Sequence[Iterable[PeerId]]) -> None:
        """From now on only those of one island reach each other."""
        self._island = {peer: n for n, island in enumerate(islands) for peer in island}
        self._apart = {}
        self.faults["partitions"] += len(set(self._island.values())) > 1

    def heal(self) -> None:
        """Everybody reaches everybody again."""
        self._apart, self._island = self._island, {}
        self.mute.clear()
        self.faults["heals"] += 1

    def passes(self, source: Host, target: Host) -> bool:
        """True if what ``source`` sends now comes to ``target``."""
        a, b = source.peer_id, target.peer_id
        if self._island.get(a) != self._island.get(b):
            self.faults["kept_apart"] += 1
            return False
        if (a, b) in self.mute:
            self.faults["unheard"] += 1
            return False
        return self.hosts.get(a) is source and self.hosts.get(b) is target

    def delay(self, source: Host, target: Host) -> float:
        """How long the next message takes."""
        pair = (source.peer_id, target.peer_id)
        if pair not in self._latency:
            self._latency[pair] = self.rng.uniform(*self.weather.latency)
        return self._latency[pair] + self.rng.random() * self.weather.jitter

    def strikes(self, fault: str, chance: float) -> bool:
        """True if a fault strikes, by its chance; it is counted then."""
        if not chance or self.rng.random() >= chance:
            return False
        self.faults[fault] += 1
        return True

    # --- connections ---

    def wire(self, one: PeerId, two: PeerId) -> Wire | None:
        """The connection between two hosts, if it stands."""
        return self._wires.get((min(one, two), max(one, two)))

    def wires_of(self, host: Host) -> list[Wire]:
        """The connections of a host, oldest first."""
        return [wire for wire in self._wires.values() if host in wire.ends]

    async def dial(self, host: Host, peer: PeerId, address: Address, seconds: float) -> bool:
        """Try to connect; False if nobody answers in time."""
        target = self.hosts.get(peer)
        if target is None:
            await asyncio.sleep(min(seconds, 0.05))
            return False
        there, back = self.delay(host, target), self.delay(target, host)
        await asyncio.sleep(there)
        if not self.passes(host, target) or not self.passes(target, host):
            self.faults["unreachable"] += 1
            await asyncio.sleep(seconds)
            return False
        await asyncio.sleep(back)
        if not self.passes(target, host) or target.refuses(host.peer_id):
            return False
        key = (min(host.peer_id, peer), max(host.peer_id, peer))
        if key not in self._wires:
            self._wires[key] = Wire(self, host, target)
            self._near.clear()
            islands = self._apart.get(host.peer_id), self._apart.get(peer)
            self.faults["reunited"] += None not in islands and islands[0] != islands[1]
            self.trace.note(asyncio.get_running_loop().time(), "met", host.name, target.name)
            host.gained(peer, address, "out")
            target.gained(host.peer_id, host.address, "in")
        return True

    def unplug(self, wire: Wire, why: str) -> None:
        """A connection is gone."""
        one, two = wire.ends
        key = (min(one.peer_id, two.peer_id), max(one.peer_id, two.peer_id))
        if self._wires.get(key) is wire:
            del self._wires[key]
            self._near.clear()
        self.trace.note(asyncio.get_running_loop().time(), "parted", one.name, two.name, why)

    # --- gossip ---

    def forward(
        self, host: Host, topic: str, origin: PeerId, data: bytes, source: PeerId | None
    ) -> None:
        """Pass a message on to some of those who are connected and hear the topic."""
        known = self._near.get(host.peer_id)
        if known is None:
            far = [wire.far(host) for wire in self.wires_of(host)]
            known = self._near[host.peer_id] = sorted(far, key=lambda other: other.peer_id)
        near = [h for h in known if h.hears(topic) and h.peer_id not in {origin, source}]
        for other in self.rng.sample(near, min(_FANOUT, len(near))):
            self._carry(host, other, topic, origin, data)

    def _carry(self, host: Host, other: Host, topic: str, origin: PeerId, data: bytes) -> None:
        weather, loop = self.weather, asyncio.get_running_loop()
        host.sent(len(data), 0)
        if not self.passes(host, other):
            return
        self._letters += 1
        number, began = self._letters, loop.time()
        self._aloft[number] = began
        if self.strikes("lost", weather.lost):
            return
        delay = self.delay(host, other)
        if self.strikes("late", weather.late):
            delay += self.rng.uniform(*weather.lateness)
        again = self.strikes("twice", weather.twice)

        def come(once_more: bool) -> None:
            self._aloft.pop(number, None)
            self.faults["came_late"] += not once_more and loop.time() - began >= _LATE_S
            other.heard(topic, origin, data, host, once_more)

        loop.call_later(delay, come, False, context=other.context)
        if again:
            delay += self.rng.uniform(*weather.lateness)
            loop.call_later(delay, come, True, context=other.context)

    def settle(self) -> None:
        """Count the gossip that never came; what may still be on its way is no loss."""
        ago = asyncio.get_running_loop().time() - _GONE_S
        gone = [number for number, began in self._aloft.items() if began < ago]
        for number in gone:
            del self._aloft[number]
        self.faults["missed"] += len(gone)
