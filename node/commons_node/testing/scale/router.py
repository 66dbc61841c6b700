"""GossipSub v1.1 as py-libp2p 0.8.1 does it with our settings, without I/O, clock or chance.

A model, checked against real hosts by `bench/mesh.py`. Where py-libp2p and the specification
differ, py-libp2p is followed:

- All scores are 0 (no weight is set), so "opportunistic grafting" takes two more peers into the
  mesh with every heartbeat (`Settings.opportunistic`), until it is above `high` and cut back to
  `degree`: with up to `high` neighbours all of them are mesh peers, with more the mesh swings
  between `degree` and `high` + 2.
- Who prunes in a heartbeat notes no back-off, grafts again at once and is pruned for it.
- Whoever is grafted in a heartbeat is also sent what those before it in the list were sent.
- There is no flood publishing, no quota of outbound mesh peers and no peer exchange.
- A message that arrives is sent on to every mesh peer but the one it came from and its author.

Left out: validation time, and messages queued for peers whose topics are not known yet.

Source: libp2p specs, gossipsub-v1.0.md "Router state", "Message propagation", "Control messages",
"Heartbeat procedure", "Message cache"; gossipsub-v1.1.md "PRUNE backoff and peer exchange",
"Adaptive gossip dissemination", "Opportunistic grafting"; py-libp2p `pubsub/gossipsub.py`.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from commons_node.testing.scale.packets import Message, MessageId, Packet
from commons_protocol.network import PeerId

Out = list[tuple[PeerId, Packet]]
"""Packets to send, in order."""

_Announced = tuple[str, tuple[MessageId, ...]]


@dataclass(frozen=True, slots=True)
class Settings:
    """GossipSub's numbers; times in seconds. A test compares them with the daemon's host."""

    degree: int = 6
    low: int = 4
    high: int = 12
    lazy: int = 6
    """IHAVE goes to at least so many outside the mesh, or to a `factor` of them."""
    factor: float = 0.25
    window: int = 3
    """Heartbeats in which a message is announced by IHAVE ..."""
    history: int = 5
    """... and in which IWANT still gets it."""
    heartbeat_s: float = 1.0
    first_heartbeat_s: float = 0.1
    backoff_s: int = 60
    leave_backoff_s: int = 10
    flood_s: float = 10.0
    seen_s: float = 120.0
    opportunistic: int = 2
    """Peers that a heartbeat takes in beyond need; by the specification none when all is well."""
    topics_per_peer: int = 64
    topics_per_packet: int = 256


@dataclass(slots=True)
class _Neighbour:
    topics: dict[str, None] = field(default_factory=dict)
    replayed: set[str] = field(default_factory=set)
    pruned_us: dict[str, float] = field(default_factory=dict)
    """When it last sent PRUNE: a GRAFT soon after it is a flood."""


class Router:
    """One node's router. Peers are kept in the order in which they came, never in a hash's."""

    def __init__(
        self,
        own: PeerId,
        rng: random.Random,
        settings: Settings | None = None,
        order: Callable[[PeerId], int] | None = None,
    ) -> None:
        """``order``: in which py-libp2p walks over a set of peers; its own in every process."""
        self.own = own
        self.settings = settings or Settings()
        self.mesh: dict[str, dict[PeerId, None]] = {}
        self._rng = rng
        salt = rng.getrandbits(64)
        self._order = order or (lambda peer: hash_of(salt, peer))
        self._neighbours: dict[PeerId, _Neighbour] = {}
        self._backoff: dict[tuple[str, PeerId], int] = {}
        self._history: deque[list[Message]] = deque([[] for _ in range(self.settings.history)])
        self._messages: dict[MessageId, Message] = {}
        self._seen: dict[MessageId, float] = {}
        self.published = 0
        """Own messages so far; also the number of the last one."""
        self.refused_topics = 0
        """Announcements beyond what one neighbour may have."""

    # --- who is there ---

    def connected(self, peer: PeerId) -> Out:
        """A stream to a peer stands: say which topics are heard here."""
        self._neighbours.setdefault(peer, _Neighbour())
        hello = Packet(subscriptions=tuple((topic, True) for topic in self.mesh))
        return [(peer, hello)]

    def gone(self, peer: PeerId) -> None:
        """The connection is gone."""
        self._neighbours.pop(peer, None)
        for mesh in self.mesh.values():
            mesh.pop(peer, None)

    def hearers(self, topic: str) -> list[PeerId]:
        """Neighbours that have announced the topic."""
        return [peer for peer, one in self._neighbours.items() if topic in one.topics]

    def topics_of(self, peer: PeerId) -> frozenset[str]:
        """What a neighbour has announced, as far as it was taken."""
        found = self._neighbours.get(peer)
        return frozenset(found.topics) if found is not None else frozenset()

    # --- what the node asks for ---

    def subscribe(self, topic: str, now: float) -> Out:
        """Hear a topic: announce it, then graft as many as the mesh should have."""
        if topic in self.mesh:
            return []
        said = Packet(subscriptions=((topic, True),))
        out: Out = [(peer, said) for peer in self._neighbours]
        mesh = self.mesh[topic] = {}
        for peer in self._choose(self.settings.degree, self._graftable(topic, now)):
            mesh[peer] = None
            out.append((peer, Packet(graft=(topic,))))
        return out

    def unsubscribe(self, topic: str, now: float) -> Out:
        """Hear a topic no more."""
        if topic not in self.mesh:
            return []
        said = Packet(subscriptions=((topic, False),))
        out: Out = [(peer, said) for peer in self._neighbours]
        for peer in self.mesh.pop(topic):
            self._back_off(topic, peer, now, self.settings.leave_backoff_s)
            out.append((peer, Packet(prune=((topic, self.settings.leave_backoff_s),))))
        return out

    def publish(self, topic: str, data: bytes, now: float) -> Out:
        """Send an own message to the mesh."""
        self.published += 1
        message = Message(self.own, self.published, topic, data)
        self._seen[message.id] = now + self.settings.seen_s
        return self._forward(message, self.own)

    def _forward(self, message: Message, source: PeerId) -> Out:
        self._messages[message.id] = message
        self._history[0].append(message)
        packet = Packet(publish=(message,))
        mesh = self.mesh.get(message.topic, ())
        return [(peer, packet) for peer in mesh if peer not in {source, message.origin}]

    # --- what comes in ---

    def on_packet(self, peer: PeerId, packet: Packet, now: float) -> tuple[Out, list[Message]]:
        """What to send for a packet, and the messages in it that are new here."""
        neighbour = self._neighbours.get(peer)
        if neighbour is None:
            return [], []
        out: Out = []
        fresh: list[Message] = []
        for message in packet.publish:
            if message.topic not in self.mesh or self._has_seen(message.id, now):
                continue
            self._seen[message.id] = now + self.settings.seen_s
            if message.origin != self.own:
                fresh.append(message)
                out += self._forward(message, peer)
        if len(packet.subscriptions) <= self.settings.topics_per_packet:
            for topic, on in packet.subscriptions:
                out += self._on_subscription(peer, neighbour, topic, on, now)
        else:
            self.refused_topics += len(packet.subscriptions)
        for topic, ids in packet.ihave:
            wanted = tuple(ident for ident in ids if not self._has_seen(ident, now))
            if wanted and topic in self.mesh:
                out.append((peer, Packet(iwant=wanted)))
        found = tuple(self._messages[i] for i in packet.iwant if i in self._messages)
        if found:
            out.append((peer, Packet(publish=found)))
        for topic in packet.graft:
            out += self._on_graft(peer, neighbour, topic, now)
        for topic, seconds in packet.prune:
            self._back_off(topic, peer, now, seconds or self.settings.backoff_s)
            self.mesh.get(topic, {}).pop(peer, None)
            neighbour.pruned_us[topic] = now
        return out, fresh

    def _on_subscription(
        self, peer: PeerId, neighbour: _Neighbour, topic: str, on: bool, now: float
    ) -> Out:
        if not on:
            neighbour.topics.pop(topic, None)
            neighbour.replayed.discard(topic)
            return []
        if topic in neighbour.topics:
            return []
        if len(neighbour.topics) >= self.settings.topics_per_peer:
            self.refused_topics += 1
            return []
        neighbour.topics[topic] = None
        out: Out = []
        if topic not in neighbour.replayed:
            neighbour.replayed.add(topic)
            out += [(peer, Packet(publish=(message,))) for message in self._window(topic)]
        mesh = self.mesh.get(topic)
        if mesh is None or peer in mesh or len(mesh) >= self.settings.low:
            return out
        if not self._backs_off(topic, peer, now):
            mesh[peer] = None
            out.append((peer, Packet(graft=(topic,))))
        return out

    def _on_graft(self, peer: PeerId, neighbour: _Neighbour, topic: str, now: float) -> Out:
        no: Out = [(peer, Packet(prune=((topic, self.settings.backoff_s),)))]
        if now - neighbour.pruned_us.get(topic, -1e9) < self.settings.flood_s:
            return no
        mesh = self.mesh.get(topic)
        if mesh is None:
            return no
        if self._backs_off(topic, peer, now):
            self._back_off(topic, peer, now, self.settings.backoff_s)
            return no
        mesh[peer] = None
        return []

    # --- once a second ---

    def heartbeat(self, now: float) -> Out:
        """Keep the meshes within their bounds, announce what was heard lately, forget the old."""
        grafts: dict[PeerId, list[str]] = {}
        prunes: dict[PeerId, list[str]] = {}
        for topic, mesh in self.mesh.items():
            for peer in self._keep(topic, mesh, now, prunes):
                grafts.setdefault(peer, []).append(topic)
        gossip: dict[PeerId, list[_Announced]] = {}
        for topic, mesh in self.mesh.items():
            ids = tuple(message.id for message in self._window(topic))
            if ids:
                for peer in self._announced_to(topic, mesh, now):
                    gossip.setdefault(peer, []).append((topic, ids))
        self._shift(now)
        return _control(grafts, prunes, gossip)

    def _keep(
        self,
        topic: str,
        mesh: dict[PeerId, None],
        now: float,
        prunes: dict[PeerId, list[str]],
    ) -> list[PeerId]:
        """Whom to graft; who is pruned is added to ``prunes``."""
        size, settings = len(mesh), self.settings
        outside = [peer for peer in self._graftable(topic, now) if peer not in mesh]
        if size < settings.low:
            grafted = self._choose(settings.degree - size, outside)
        else:
            grafted = sorted(outside, key=self._order)[: self.settings.opportunistic]
        for peer in grafted:
            mesh[peer] = None
        if size > settings.high:
            for peer in sorted(mesh, key=self._order)[: size - settings.degree]:
                del mesh[peer]
                prunes.setdefault(peer, []).append(topic)
        return grafted

    def _announced_to(self, topic: str, mesh: Iterable[PeerId], now: float) -> list[PeerId]:
        members = set(mesh)
        hearers = self.hearers(topic)
        outside = [
            peer
            for peer in hearers
            if peer not in members and not self._backs_off(topic, peer, now)
        ]
        count = max(self.settings.lazy, int((len(hearers) - len(members)) * self.settings.factor))
        return self._choose(count, outside)

    def _shift(self, now: float) -> None:
        for message in self._history.pop():
            self._messages.pop(message.id, None)
        self._history.appendleft([])
        while self._seen:
            ident = next(iter(self._seen))
            if self._seen[ident] > now:
                break
            del self._seen[ident]

    # --- small things ---

    def _window(self, topic: str) -> list[Message]:
        return [
            message
            for n, beat in enumerate(self._history)
            if n < self.settings.window
            for message in beat
            if message.topic == topic
        ]

    def _has_seen(self, ident: MessageId, now: float) -> bool:
        if self._seen.get(ident, now) <= now:
            return False
        del self._seen[ident]  # it is remembered anew, at the end
        self._seen[ident] = now + self.settings.seen_s
        return True

    def _graftable(self, topic: str, now: float) -> list[PeerId]:
        return [peer for peer in self.hearers(topic) if not self._backs_off(topic, peer, now)]

    def _choose(self, count: int, peers: Sequence[PeerId]) -> list[PeerId]:
        if count <= 0:
            return []
        return list(peers) if count >= len(peers) else self._rng.sample(peers, count)

    def _back_off(self, topic: str, peer: PeerId, now: float, seconds: int) -> None:
        until = int(now) + seconds
        self._backoff[topic, peer] = max(until, self._backoff.get((topic, peer), 0))

    def _backs_off(self, topic: str, peer: PeerId, now: float) -> bool:
        until = self._backoff.get((topic, peer))
        if until is None:
            return False
        if until > int(now):
            return True
        del self._backoff[topic, peer]
        return False


def _control(
    grafts: dict[PeerId, list[str]],
    prunes: dict[PeerId, list[str]],
    gossip: dict[PeerId, list[_Announced]],
) -> Out:
    """One packet a peer. As in py-libp2p, one who is grafted also gets what those before it got."""
    out: Out = []
    grafted: list[str] = []
    pruned: list[tuple[str, int]] = []
    announced: list[_Announced] = []
    for peer, topics in grafts.items():
        grafted += topics
        pruned += [(topic, 0) for topic in prunes.pop(peer, ())]
        announced += gossip.pop(peer, ())
        packet = Packet(graft=tuple(grafted), prune=tuple(pruned), ihave=tuple(announced))
        out.append((peer, packet))
    for peer, topics in prunes.items():
        prune = tuple((topic, 0) for topic in topics)
        out.append((peer, Packet(prune=prune, ihave=tuple(gossip.pop(peer, ())))))
    return out + [(peer, Packet(ihave=tuple(ids))) for peer, ids in gossip.items()]


@lru_cache(1 << 17)
def hash_of(salt: int, peer: PeerId) -> int:
    """A number for a peer that looks like chance, the same in every run."""
    return random.Random(f"{salt} {peer}").getrandbits(32)  # noqa: S311 - a seeded run is the point
