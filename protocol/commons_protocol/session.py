"""One stream of `/commons/sync/1`: the proof first, then every realm that was proven on it.

Whoever drives it hands in frames, answers and the time, and carries out the effects in order.
After `Close` it does nothing more. A realm is served only while the peer's node stands in it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from commons_crdt.errors import Refused
from commons_crdt.ids import DeviceId, RealmId
from commons_crdt.operation import Operation
from commons_protocol import carriage, wire
from commons_protocol.allowances import Allowance, Allowances
from commons_protocol.effects import Close, Count, Effect, Ingest, Met, Proven, Purpose, Send
from commons_protocol.ends import Vector
from commons_protocol.limits import Bucket
from commons_protocol.network import PeerId, ProtocolName
from commons_protocol.proof import Prover, Random
from commons_protocol.replica import Ingested, Replica
from commons_protocol.status import SyncStatus
from commons_protocol.sync import RealmSync
from commons_protocol.transcript import Side
from commons_protocol.wants import Memory

SYNC = ProtocolName("/commons/sync/1")

MAX_PUSH = 1024
"""Bytes of an operation that may be pushed."""

_PUSHES_AT_ONCE = 32


class Session:
    """What two nodes say to each other on one stream."""

    def __init__(
        self,
        side: Side,
        own: PeerId,
        peer: PeerId,
        replicas: Sequence[Replica],
        memory: Callable[[RealmId], Memory],
        random: Random,
        now: int,
        *,
        allowances: Allowances | None = None,
        proof_timeout: int = 15_000,
        round_timeout: int = 60_000,
        may_pull: Callable[[RealmId, int], bool] = lambda _realm, _size: True,
        turn: int = 0,
        met: Collection[RealmId] = (),
    ) -> None:
        """Times in milliseconds; ``memory`` gives what is remembered of this peer in a realm.

        ``may_pull`` is asked before that many operations of a realm are fetched. ``allowances``
        of the whole node: what this peer and its members have left; None: of this stream alone.
        ``turn`` and ``met`` are for a dialler that has more communities than tags, see ``Prover``.
        """
        self.peer = peer
        self.realms: dict[RealmId, RealmSync] = {}
        self.devices: dict[RealmId, DeviceId] = {}
        self.members: dict[RealmId, bytes] = {}
        """Whose devices these are."""
        self.closed = ""
        """The code of ``Close``, or "" while the session lives."""
        self._prover = Prover(side, own, peer, replicas, random, turn=turn, met=met)
        self._leads = side == "dialler"
        self._memory = memory
        self._slots: dict[int, RealmSync] = {}
        self._allowances = allowances or Allowances()
        self._allowed: dict[RealmId, Allowance] = {}
        self._pushed: dict[RealmId, int] = {}
        self._dropped: set[RealmId] = set()
        self._catching_up = Bucket(burst=2, per_second=0.5)
        self._began = now
        self._proof_timeout = proof_timeout
        self._round_timeout = round_timeout
        self._may_pull = may_pull

    def begin(self) -> list[Effect]:
        """The first frame of this side."""
        return self._prover.begin()

    @property
    def proven(self) -> bool:
        """True once a realm is shared for sure."""
        return bool(self.realms)

    @property
    def settled(self) -> bool:
        """True once it is clear which realms are shared."""
        return self._prover.settled

    @property
    def matched(self) -> bool:
        """True once the tags of both sides were compared."""
        return self._prover.matched

    @property
    def left_out(self) -> bool:
        """True if this side had no room to show all of its realms on this stream."""
        return self._prover.left_out

    @property
    def denied(self) -> frozenset[RealmId]:
        """Realms in which the peer did not accept our device; of a stream that it has ended."""
        return self._prover.denied if self.closed == "gone" else frozenset()

    @property
    def lacks(self) -> bool:
        """True if a realm that both seem to have was not proven; on this stream it never will."""
        return self._prover.lacks

    # --- what comes in ---

    def on_frame(self, frame: bytes, now: int) -> list[Effect]:
        """A frame from the peer."""
        if self.closed:
            return []
        try:
            message = wire.unpack_sync(frame)
        except Refused as error:
            return self._closing([Close(error.why)])
        match message:
            case wire.Hello() | wire.Tags() | wire.Proof() | wire.AskPath() | wire.Path():
                return self._closing(self._after_proof(self._prover.on_message(message), now))
            case _:
                pass
        sync = self._slots.get(message.slot)
        if sync is None:
            return self._closing([Close("order")])
        self._prover.heard(message.slot)
        match message:
            case wire.Members():
                realm = sync.replica.realm
                heard = self._allowed[realm].introductions.take(now)
                return [Met(realm, message.nodes) if heard else Count("flood")]
            case wire.Push():
                return self._closing(self._on_push(sync, message, now))
            case wire.Digest() | wire.Want() if not self._stands(sync.replica):
                return self._closing([Close("revoked")])
            case _:
                return self._closing(sync.on_message(message, now))

    def _on_push(self, sync: RealmSync, message: wire.Push, now: int) -> list[Effect]:
        realm = sync.replica.realm
        waiting = self._pushed.get(realm, 0)
        pushes = self._allowed[realm].pushes
        if waiting > _PUSHES_AT_ONCE or not pushes.take(now, len(message.operations)):
            sync.hint()
            self._dropped.add(realm)
            return [Count("push_flood"), *self._catch_up(now)]
        self._pushed[realm] = waiting + 1
        return [Ingest(realm, carriage.unpack_operations(message.operations), "push")]

    def _catch_up(self, now: int) -> list[Effect]:
        """Compare where pushes were dropped, not more often than is worth it."""
        if not self._dropped or not self._catching_up.take(now):
            return []
        effects = [e for realm in sorted(self._dropped) for e in self.realms[realm].poke()]
        self._dropped.clear()
        return effects

    def _stands(self, replica: Replica) -> bool:
        return replica.node_keys(self.devices[replica.realm]) is not None

    def _after_proof(self, effects: list[Effect], now: int) -> list[Effect]:
        result: list[Effect] = []
        for effect in effects:
            result.append(effect)
            if isinstance(effect, Proven):
                result += self._open(effect, now)
        return result

    def _open(self, proven: Proven, now: int) -> list[Effect]:
        slot = next(s for s in self._prover.slots.values() if s.replica.realm == proven.realm)
        member = slot.replica.whose(proven.device)
        allowed = self._allowances.of(self.peer, proven.realm, member)
        sync = RealmSync(
            slot.replica,
            slot.number,
            self._memory(proven.realm),
            now,
            allowed=allowed,
            range_key=self._prover.range_key(proven.realm),
            leads=self._leads,
            round_timeout=self._round_timeout,
            may_pull=lambda size: self._may_pull(proven.realm, size),
        )
        self.devices[proven.realm] = proven.device
        self.members[proven.realm] = member
        self._allowed[proven.realm] = allowed
        self.realms[proven.realm] = self._slots[slot.number] = sync
        return sync.poke() if self._leads else []

    # --- answers to effects ---

    def on_vector(self, realm: RealmId, vector: Vector, now: int) -> list[Effect]:
        """The answer to ``NeedVector``."""
        if self.closed or realm not in self.realms:
            return []
        return self._closing(self.realms[realm].on_vector(vector, now))

    def on_read(
        self, realm: RealmId, operations: Sequence[Operation], after: int | None, now: int
    ) -> list[Effect]:
        """The answer to ``Read``."""
        if self.closed or realm not in self.realms:
            return []
        return self._closing(self.realms[realm].on_read(operations, after, now))

    def on_ingested(
        self, realm: RealmId, purpose: Purpose, result: Ingested, now: int
    ) -> list[Effect]:
        """The answer to ``Ingest``."""
        if self.closed:
            return []
        if purpose == "path":
            return self._closing(self._after_proof(self._prover.on_path_ingested(realm), now))
        if purpose == "push":
            self._pushed[realm] = max(0, self._pushed.get(realm, 0) - 1)
            return self._closing(self.realms[realm].on_pushed(result))
        return self._closing(self.realms[realm].on_ingested(result, now))

    # --- what this side wants ---

    def poke(self, realm: RealmId | None = None) -> list[Effect]:
        """Begin a round in one realm or in all."""
        if self.closed:
            return []
        effects: list[Effect] = []
        for key, sync in self.realms.items():
            if realm is None or key == realm:
                effects += sync.poke()
        return self._closing(effects)

    def push(self, realm: RealmId, operations: Sequence[Operation]) -> list[Effect]:
        """Send new small operations at once, if the peer stands in the realm."""
        sync = self.realms.get(realm)
        if self.closed or sync is None or not sync.speaks or not self._stands(sync.replica):
            return []
        small = [o for o in operations if carriage.operation_size(o) <= MAX_PUSH]
        if not small or len(small) > _PUSHES_AT_ONCE:
            return []
        slot = next(number for number, s in self._slots.items() if s is sync)
        return [Send(carriage.pack_push(slot, small))]

    def introduce(
        self, realm: RealmId, nodes: Sequence[tuple[bytes, Sequence[str]]]
    ) -> list[Effect]:
        """Tell where nodes of the realm may be reached, this one first."""
        sync = self.realms.get(realm)
        if self.closed or sync is None or not sync.speaks:
            return []
        slot = next(number for number, s in self._slots.items() if s is sync)
        listed = tuple((key, tuple(a[:8])) for key, a in nodes[:32])
        return [Send(wire.pack(wire.Members(slot, listed)))]

    def tick(self, now: int) -> list[Effect]:
        """Time passed; call about once a second."""
        if self.closed:
            return []
        self._began = min(self._began, now)  # the clock may have been set back
        if not self.realms and now - self._began > self._proof_timeout:
            return self._closing([Close("proof_timeout")])
        if now - self._began > self._proof_timeout:
            self._prover.give_up()
        effects = [e for sync in self.realms.values() for e in sync.tick(now)]
        return self._closing([*effects, *self._catch_up(now)])

    def status(self, realm: RealmId) -> SyncStatus | None:
        """The state of one realm on this stream, or None if it is not shared."""
        sync = self.realms.get(realm)
        return sync.status() if sync is not None else None

    def _closing(self, effects: list[Effect]) -> list[Effect]:
        """Cut off what follows a ``Close``, and remember it."""
        for n, effect in enumerate(effects):
            if isinstance(effect, Close):
                self.closed = effect.code
                return effects[: n + 1]
        return effects
