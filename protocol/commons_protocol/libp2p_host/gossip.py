"""GossipSub v1.1 as a hint: signed, bounded, shed first; and the mailbox to the asyncio side.

Settings as measured: libp2p's own spam protection would drop honest messages at
10 a second, its adaptive mode slows the heartbeat, and versions beyond 1.1 cost twice the work.
Topics are not held to those we know when they are announced: a neighbour that joins a topic
before we do would stay unheard for ever. They are bounded in number and length instead; messages
are taken for our own topics only. Delivery is never promised.
"""

import threading
from collections import Counter, deque
from collections.abc import Callable

from libp2p.abc import IHost
from libp2p.custom_types import TProtocol
from libp2p.peer.id import ID
from libp2p.pubsub.gossipsub import GossipSub
from libp2p.pubsub.pb import rpc_pb2
from libp2p.pubsub.pubsub import Pubsub

from commons_protocol.libp2p_host.gate import Gate, Limits, Tally
from commons_protocol.network import MAX_GOSSIP, MAX_TOPIC, PeerId

TOPICS_PER_PEER = 64
MAX_RPC = 256 * 1024
"""Bytes of one gossip packet: some dozens of the largest messages."""

Deliver = Callable[[str, PeerId, bytes], None]
"""(topic, author, bytes) of a message that we take; called in the trio thread."""


class GatedPubsub(Pubsub):
    """libp2p's pubsub, bounded, and deaf to what would end it."""

    def __init__(self, host: IHost, gate: Gate, deliver: Deliver) -> None:
        router = GossipSub(
            protocols=[TProtocol("/meshsub/1.1.0"), TProtocol("/meshsub/1.0.0")],
            degree=6,
            degree_low=4,
            degree_high=12,
            heartbeat_interval=1,
            spam_protection_enabled=False,
            adaptive_gossip_enabled=False,
            max_pending_messages_per_peer=10_000,
        )
        super().__init__(
            host,
            router,
            strict_signing=True,
            max_subscriptions_per_peer=TOPICS_PER_PEER,
            max_subscriptions_per_rpc=4 * TOPICS_PER_PEER,
            max_inbound_rpc_size=MAX_RPC,
        )
        self.gossip_router = router
        self._gate = gate
        self._deliver = deliver
        self._pending: Counter[ID] = Counter()
        self.block(gate.blocked)

    def block(self, peers: frozenset[PeerId]) -> None:
        """Take nothing that exactly these peers sign or forward."""
        self.blacklisted_peers = {ID.from_base58(peer) for peer in peers}

    def handle_subscription(self, origin_id: ID, sub_message: rpc_pb2.RPC.SubOpts) -> None:
        if len(sub_message.topicid) > MAX_TOPIC:
            self._gate.refuse("gossip_topic")
            return
        super().handle_subscription(origin_id, sub_message)

    def _is_subscribed_to_msg(self, msg: rpc_pb2.Message) -> bool:
        """Asked before a task is made for a message, so here is where a flood is shed."""
        if len(msg.topicIDs) != 1 or msg.topicIDs[0] not in self.topic_ids:
            return False
        if len(msg.data) > MAX_GOSSIP:
            self._gate.refuse("gossip_too_large")
            return False
        if self._pending.total() >= self._gate.limits.gossip_pending:
            self._gate.refuse("gossip_dropped")
            return False
        return True

    async def push_msg(self, msg_forwarder: ID, msg: rpc_pb2.Message) -> None:
        if self._pending[msg_forwarder] >= self._gate.limits.gossip_pending_per_peer:
            self._gate.refuse("gossip_dropped")
            return
        self._pending[msg_forwarder] += 1
        try:
            await super().push_msg(msg_forwarder, msg)
        except Exception:
            # A key that does not parse raises in libp2p's own check and would end its service.
            self._gate.refuse("gossip_invalid")
        finally:
            self._pending -= Counter({msg_forwarder: 1})

    def notify_subscriptions(self, publish_message: rpc_pb2.Message) -> None:
        author = ID(publish_message.from_id)
        if author == self.my_id or author in self.blacklisted_peers:
            return
        for topic in publish_message.topicIDs:
            if topic in self.topic_ids:
                self._deliver(topic, PeerId(author.to_base58()), publish_message.data)


class Mailbox:
    """Messages from the trio thread to the asyncio loop: bounded, dropping, never blocking."""

    def __init__(
        self,
        limits: Limits,
        refuse: Tally,
        wake: Callable[[], None],
    ) -> None:
        self._letters: deque[tuple[str, PeerId, bytes]] = deque()
        self._size = limits.gossip_inbox
        self._refuse = refuse
        self._wake = wake
        self._awake = False
        self._lock = threading.Lock()

    def put(self, topic: str, author: PeerId, data: bytes) -> None:
        """Called in the trio thread."""
        with self._lock:
            full = len(self._letters) >= self._size
            if not full:
                self._letters.append((topic, author, data))
            wake, self._awake = not self._awake, True
        if full:
            self._refuse("gossip_dropped")
        if wake:
            self._wake()

    def take(self, most: int) -> list[tuple[str, PeerId, bytes]]:
        """Called in the loop after `wake`, until it gives less than `most`."""
        with self._lock:
            letters = [self._letters.popleft() for _ in range(min(most, len(self._letters)))]
            self._awake = len(letters) == most
        return letters
