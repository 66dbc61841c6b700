"""Gossip of this node: which topics it hears, what it says, what it does with what it hears."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from commons_crdt.errors import Refused
from commons_crdt.ids import OperationId, RealmId
from commons_crdt.operation import Operation, operation_id
from commons_protocol import carriage, gossip
from commons_protocol.network import NetworkError, PeerId
from commons_protocol.replica import Replica

if TYPE_CHECKING:
    from commons_node.peering.peering import Peering

_MOST_PENDING = 64
_DELAY_S = 0.05
_OWN_DIGESTS = 1024
"""How many of its own digests a node remembers: one of them, said by another, is no news."""
_MOST_FAR = 64
_FAR_MS = 600_000
"""How long a member that was heard, and is in no conversation, is thought to be out of reach."""

_log = logging.getLogger(__name__)


class Hints:
    """One subscription for each epoch of each realm, old epochs too."""

    def __init__(self, peering: Peering) -> None:
        """``subscribe`` must follow."""
        self._peering = peering
        self._channels: dict[str, tuple[gossip.Channel, RealmId]] = {}
        self._seen = gossip.Seen()
        self._had = gossip.Seen(_OWN_DIGESTS)
        self._noting: set[RealmId] = set()
        self._far: OrderedDict[PeerId, int] = OrderedDict()
        self._gate = gossip.Gate()
        self._pending = 0
        self._waiting: dict[RealmId, list[Operation]] = {}

    @property
    def topics(self) -> frozenset[str]:
        """What is heard now."""
        return frozenset(self._channels)

    def subscribe(self) -> None:
        """Hear exactly the topics of the realms and epochs that are known now."""
        network = self._peering.network
        channels = [
            (gossip.Channel.of(key), replica.realm)
            for replica in self._peering.replicas()
            for _, key in replica.epochs()
        ]
        wanted = {channel.topic: (channel, realm) for channel, realm in channels}
        for topic in self._channels.keys() - wanted.keys():
            network.unsubscribe(topic)
        for topic in wanted.keys() - self._channels.keys():
            network.subscribe(topic, lambda peer, data, t=topic: self._heard(t, peer, data))  # type: ignore[misc]  # binds the topic
        self._channels = wanted

    def remember(self, realm: RealmId, ids: Iterable[OperationId]) -> None:
        """These are stored here: their hints are no news."""
        for ident in ids:
            self._seen.add(ident)
        if realm not in self._noting:  # as seldom as it is compared: with many chains it costs
            self._noting.add(realm)
            settle = self._peering.settings.settle
            asyncio.get_running_loop().call_later(settle, self._note, realm)

    def _note(self, realm: RealmId) -> None:
        """The digest of now: who says it later says nothing new."""
        self._noting.discard(realm)
        if (replica := self._replica(realm)) is not None:
            self._had.add((realm, replica.digest()))

    def written(self, realm: RealmId, operations: Sequence[Operation]) -> None:
        """Say soon what this node has written, together with what it writes until then.

        Peers in conversation have it already: gossip is for those who are further away.
        """
        self.remember(realm, (operation_id(o.header) for o in operations))
        waiting = self._waiting.setdefault(realm, [])
        if not waiting:
            asyncio.get_running_loop().call_later(_DELAY_S, self._say, realm)
        # Beyond a handful the digest alone is said: no need to keep them.
        waiting.extend(operations[: gossip.MAX_AT_ONCE + 1 - len(waiting)])

    def _say(self, realm: RealmId) -> None:
        operations = self._waiting.pop(realm, [])
        replica = self._replica(realm)
        epochs = replica.epochs() if replica is not None else ()
        if replica is None or not epochs:
            return
        self._note(realm)
        channel = gossip.Channel.of(epochs[0][1])
        for plain in gossip.hints(operations, replica.digest(), whole=self._others(realm)):
            sealed = channel.seal(plain, secrets.token_bytes(12))
            self._peering.spawn(self._publish(channel.topic, sealed), "publish a hint")

    def _others(self, realm: RealmId) -> bool:
        """Is anybody there whom no push reaches? As far as this node can tell: a matter of speed.

        Somebody of whom a neighbour speaks and who was never reached from here, or who was heard
        by gossip alone. Whoever is overlooked hears the digest, and compares with a neighbour.
        """
        peering = self._peering
        if all(realm not in talk.session.realms for talk in peering.talks.now.values()):
            return True
        if peering.book.rumoured():
            return True
        lately = peering.clock.now() - _FAR_MS
        return any(
            heard > lately and peer not in peering.talks.now for peer, heard in self._far.items()
        )

    async def _publish(self, topic: str, sealed: bytes) -> None:
        try:
            await self._peering.network.publish(topic, sealed)
        except NetworkError as error:
            _log.debug("a hint was not sent: %s", error)

    def _replica(self, realm: RealmId) -> Replica | None:
        return next((r for r in self._peering.replicas() if r.realm == realm), None)

    def _heard(self, topic: str, peer: PeerId, data: bytes) -> None:
        found = self._channels.get(topic)
        if found is None or peer == self._peering.peer:
            return
        if peer in self._peering.network.blocked:
            return
        if not self._gate.admits(peer, self._peering.clock.now()):
            self._peering.count("gossip_flood")
            return
        channel, realm = found
        try:
            hint = channel.open(data)
        except Refused as error:
            self._peering.count(error.why)
            return
        replica = self._replica(realm)
        if replica is None:
            return
        if peer not in self._peering.talks.now:
            self._beyond(peer)
        if isinstance(hint, gossip.Heads):
            now = replica.digest()
            if hint.digest != now and (realm, hint.digest) not in self._had:
                self._point_at(realm)
            return
        fresh = [
            operation
            for operation in carriage.unpack_operations(hint.operations)
            if operation_id(operation.header) not in self._seen
        ]
        if not fresh:
            return
        full = self._pending >= _MOST_PENDING
        if full or self._peering.load.sheds("gossip", self._pending):
            self._peering.count("gossip_flood" if full else "shed_gossip")
            self._point_at(realm)
            return
        self._pending += 1
        self._peering.spawn(self._ingest(replica, fresh, peer), "take a hint")

    async def _ingest(self, replica: Replica, fresh: list[Operation], peer: PeerId) -> None:
        try:
            with self._peering.load.taking("gossip"):
                result = await replica.ingest(fresh, peer)
        finally:
            self._pending -= 1
        self._peering.learned(replica.realm, result)
        if result.missing or result.unlinked:
            self._point_at(replica.realm)

    def _beyond(self, peer: PeerId) -> None:
        """A member is heard, and not spoken with."""
        self._far[peer] = self._peering.clock.now()
        self._far.move_to_end(peer)
        while len(self._far) > _MOST_FAR:
            self._far.popitem(last=False)

    def _point_at(self, realm: RealmId) -> None:
        """Somebody holds what this node does not: whoever is connected is no longer in sync."""
        for talk in self._peering.talks.now.values():
            sync = talk.session.realms.get(realm)
            if sync is not None:
                sync.hint()
        self._peering.talks.settle(realm)
