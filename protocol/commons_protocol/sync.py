"""Anti-entropy: two nodes compare one realm and fetch from each other until nothing differs.

    idle ──poke or Digest──▶ comparing ──equal──▶ idle, in sync
                                 │ differ
                                 ▼
                             narrowing   which chains differ (`ranges`): of log 0 if it does, then
                                 │       of log 1
                                 │ both know
                                 ▼
                             exchanging  fetch what is lacked (`pull`), give what the other lacks
                                 │       (`serve`); each says Done when its wants are on its disk
                    ┌────────────┴────────────┐
           log 0: narrowing log 1        log 1: idle ──something moved──▶ comparing again

Both sides run the same machine: a `Digest` is answered by a `Digest`, so rounds that start at the
same time are one round. Who answers goes on at once: it opens the ranges of the log that differs
without being asked; of two digests that cross, the dialler does. Only equal digests are "in sync".
Log 1 is not even compared before log 0 is fetched, or is known to be equal: who was removed shows
first, and what a removal cuts off is not asked for. Nothing is verified here, and nothing is
remembered over a restart: the next round goes on from what is stored.

Source: ARCHITECTURE §7.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Literal

from commons_crdt.errors import Refused
from commons_crdt.operation import Operation
from commons_protocol import wire
from commons_protocol.allowances import Allowance
from commons_protocol.effects import Changed, Close, Compared, Effect, NeedVector, Send
from commons_protocol.ends import Vector
from commons_protocol.pull import Pull
from commons_protocol.ranges import Comparison
from commons_protocol.reasons import of_held, of_refusals
from commons_protocol.replica import Ingested, Range, Replica
from commons_protocol.serve import Serve
from commons_protocol.status import SyncStatus
from commons_protocol.wants import Memory, Pair, lacking, size

_DIGESTS = 40.0
_DIGESTS_PER_SECOND = 5.0
MOST_ROUNDS = 10
"""Rounds that follow each other by themselves."""
_ANSWER_MS = 20_000
"""Without an answer to a digest for so long, the session ends: nothing has to be read to give it.
Where a digest was lost, each side would else take the other's next one for its answer, for ever."""
_LATE_MS = 5_000
"""Without an answer for so long, what was equal is not called so any more."""

Phase = Literal["idle", "comparing", "narrowing", "exchanging"]


class RealmSync:
    """One realm with one peer that has proven its standing. Times are milliseconds."""

    def __init__(
        self,
        replica: Replica,
        slot: int,
        memory: Memory,
        now: int,
        *,
        allowed: Allowance,
        range_key: bytes,
        leads: bool,
        round_timeout: int = 60_000,
        may_pull: Callable[[int], bool] = lambda _size: True,
    ) -> None:
        """``leads``: this side may speak first; the other waits for the peer's first digest.

        ``allowed``: how much of it all the peer may ask for, and its member's other nodes with it.
        ``range_key``: 32 bytes that both sides have from the stream's nonces. ``may_pull`` is
        asked before that many operations are fetched: a node with several peers fetches much
        from one of them at a time.
        """
        self.replica = replica
        self.memory = memory
        self.rounds = 0
        """Rounds begun in this session."""
        self._slot = slot
        self._range_key = range_key
        self._dialled = self._speaks = self._opens = leads
        self._round_timeout = round_timeout
        self._may_pull = may_pull
        self._postponed = False
        self._pull = Pull(replica.realm, slot)
        self._serve = Serve(replica.realm, slot)
        self._allowed = allowed
        self._put_off: tuple[int, wire.Digest] | None = None
        """A round that the peer has begun and this side goes into later, and when."""
        self._phase: Phase = "idle"
        self._again = False
        self._row = 0
        self._sent_digest = self._sent_zero = b""
        self._zero_of: tuple[bytes, bytes] | None = None
        # one log of a round
        self._log = 0
        self._mine: Vector | None = None
        self._mine_at = b""
        self._comparison: Comparison | None = None
        self._opened: wire.Ranges | None = None
        self._renewing = self._renewed = self._planned = False
        self._pairs: list[Pair] = []
        self._asked: list[Range] = []
        self._done_sent = self._done_heard = False
        # a round
        self._served_before = 0
        self._new = 0
        self._refused: Counter[str] = Counter()
        self._held: Counter[str] = Counter()
        self._wanted = False
        # what is known of the other
        self._equal: bytes | None = None
        self._hinted = self._late = False
        self._met = False
        self._missing = [0, 0]
        self._lacking = [0, 0]
        self._ended: bytes | None = None
        self._since = now
        self._heard = now

    @property
    def speaks(self) -> bool:
        """True once the peer is known to listen in this realm."""
        return self._speaks

    @property
    def phase(self) -> Phase:
        """Where the machine is."""
        return self._phase

    # --- rounds ---

    def poke(self) -> list[Effect]:
        """Begin a round, or another one after the present one."""
        if self._phase != "idle" or not self._speaks or self._put_off is not None:
            self._again = True
            return []
        return self._send_digest(answers=False)

    def hint(self) -> None:
        """The peer, or somebody, is said to hold what this node does not."""
        self._hinted = True

    def _send_digest(self, *, answers: bool) -> list[Effect]:
        self.rounds += 1
        self._again = self._late = False
        self._phase = "comparing"
        self._opens = answers or self._dialled  # if it answers none: two may cross
        self._sent_digest = self.replica.digest()
        self._sent_zero = self._log_zero(self._sent_digest)
        said = wire.Digest(self._slot, answers, self._sent_digest, self._sent_zero)
        return [Send(wire.pack(said)), Changed(self.replica.realm)]

    def _log_zero(self, digest: bytes) -> bytes:
        """The fingerprint of log 0, taken anew when something has moved."""
        if self._zero_of is None or self._zero_of[0] != digest:
            self._zero_of = digest, self.replica.log_zero(self._range_key)
        return self._zero_of[1]

    def on_message(self, message: wire.SyncMessage, now: int) -> list[Effect]:
        """A message for this realm."""
        self._heard = now
        self._late = False
        match message:
            case wire.Digest():
                return self._on_digest(message, now)
            case wire.Ranges() if self._phase == "narrowing" and message.log == self._log:
                return self._on_ranges(message, now)
            case wire.Want() if self._phase == "exchanging" and not self._done_heard:
                return self._serve.on_want(message)
            case wire.Credit():
                return self._serve.on_credit(message)
            case wire.Operations():
                return self._pull.on_operations(message)
            case wire.Piece():
                return self._pull.on_piece(message)
            case wire.Served():
                return self._after_pull(self._pull.on_served(), now)
            case wire.Done() if self._phase == "exchanging" and not self._done_heard:
                if self._serve.busy:
                    return [Close("order")]
                self._done_heard = True
                return self._maybe_end(now)
            case _:
                return [Close("order")]

    def _on_digest(self, message: wire.Digest, now: int) -> list[Effect]:
        if not self._allowed.comparisons.peer.take(now):
            return [Close("flood")]
        if self._put_off is not None:
            return [Close("order")]
        if self._phase != "idle" or message.answers:
            return self._compare(message, now)
        later = self._allowed.put_off(now)
        if later is None:
            return [Close("crowded")]
        if later:
            self._put_off = now + later, message
            return []
        return self._compare(message, now)

    def _compare(self, message: wire.Digest, now: int) -> list[Effect]:
        effects: list[Effect] = []
        if self._phase == "idle" and not message.answers:
            self._speaks = True
            effects += self._send_digest(answers=True)
        elif self._phase != "comparing":
            return [Close("order")]
        elif message.answers:
            self._opens = False
        if message.digest == self._sent_digest:
            self._phase = "idle"
            self._equal, self._hinted = self._sent_digest, False
            self._missing, self._lacking, self._since, self._row = [0, 0], [0, 0], now, 0
            self.memory.forget()
            self._met = True
            effects += [self._compared(True), Changed(self.replica.realm)]
            return effects + self._go_on(progress=False)
        self._served_before = self._serve.sent
        self._equal = None
        self._new, self._wanted, self._postponed = 0, False, False
        self._refused.clear()
        self._held.clear()
        if message.log_zero != self._sent_zero:
            return effects + self._begin(0)
        self._missing[0] = self._lacking[0] = 0
        return effects + self._begin(1)

    def _compared(self, equal: bool) -> Compared:
        return Compared(self.replica.realm, equal, self.rounds)

    # --- one log: where it differs ---

    def _begin(self, log: int) -> list[Effect]:
        self._phase, self._log = "narrowing", log
        self._mine = self._comparison = self._opened = None
        self._renewing = self._renewed = self._planned = False
        self._done_sent = self._done_heard = False
        return [self._look()]

    def _look(self) -> NeedVector:
        self._mine_at = self.replica.digest()
        return NeedVector(self.replica.realm)

    def on_vector(self, vector: Vector, now: int) -> list[Effect]:
        """This node's vector, as ``NeedVector`` asked for."""
        self._met = True
        if self._renewing:
            self._renewing, self._renewed, self._mine = False, True, vector
            return self._plan(now)
        if self._phase != "narrowing" or self._mine is not None:
            return []
        self._mine = vector
        self._comparison = Comparison(vector, self._log, self._range_key, self._slot)
        if self._opens:
            return [*map(Send, self._comparison.opening()), *self._narrowed(now)]
        return self._on_ranges(self._opened, now) if self._opened is not None else []

    def _on_ranges(self, message: wire.Ranges, now: int) -> list[Effect]:
        if self._comparison is None:
            if self._opens or self._opened is not None or not message.last:
                return [Close("order")]
            self._opened = message  # one frame, until this node has looked at what it holds
            return []
        try:
            frames = self._comparison.on_frame(message)
        except Refused as error:
            return [Close(error.why)]
        return [*map(Send, frames), *self._narrowed(now)]

    def _narrowed(self, now: int) -> list[Effect]:
        assert self._comparison is not None
        if not self._comparison.finished:
            return []
        self._phase = "exchanging"
        return self._plan(now)

    def _plan(self, now: int) -> list[Effect]:
        assert self._mine is not None
        assert self._comparison is not None
        if not self._renewed and self._mine_at != self.replica.digest():
            # Since this node looked, others have brought something: it is not fetched once more.
            self._renewing = True
            return [self._look()]
        self._planned = True
        held = ((self._mine.get(end.device, end.log), end) for end in self._comparison.theirs)
        self._pairs = [(own, end) for own, end in held if own != end]
        self._asked = self.memory.plan(self._log, self._pairs, now)
        self._missing[self._log] = size(self._asked)
        self._lacking[self._log] = lacking(self._pairs, self._comparison.absent)
        # Who does not fetch log 0 now has nothing of log 1 to judge.
        if self._asked and not self._postponed:
            self._postponed = not self._may_pull(self._missing[self._log])
        if self._postponed:
            self._asked = []
        effects = self._pull.begin(self._asked)
        return [*effects, Changed(self.replica.realm), *self._after_pull([], now)]

    # --- what was fetched ---

    def on_read(self, operations: Sequence[Operation], after: int | None, now: int) -> list[Effect]:
        """What a ``Read`` gave."""
        self._heard = now
        return self._serve.on_read(operations, after)

    def on_ingested(self, result: Ingested, now: int) -> list[Effect]:
        """A batch of wanted operations is on the disk."""
        self._heard = now
        self._missing[self._log] = max(0, self._missing[self._log] - result.new - result.known)
        return self._after_pull(self._pull.on_ingested(result), now)

    def on_pushed(self, result: Ingested) -> list[Effect]:
        """A pushed operation was ingested."""
        effects: list[Effect] = [Changed(self.replica.realm)]
        if result.missing or result.unlinked:
            self.hint()
            effects += self.poke()
        elif result.held:
            self.hint()  # the peer holds it, and compares soon by itself
        return effects

    def _after_pull(self, effects: list[Effect], now: int) -> list[Effect]:
        if not self._planned or self._pull.active or self._done_sent:
            return effects
        if any(isinstance(effect, Close) for effect in effects):
            return effects
        self.memory.served(self._asked, self._pairs, now)
        self._new += self._pull.new
        self._refused.update(self._pull.refused)
        self._held.update(self._pull.held)
        self._wanted = self._wanted or bool(self._asked)
        self._done_sent = True
        effects.append(Send(wire.pack(wire.Done(self._slot))))
        return effects + self._maybe_end(now)

    def _maybe_end(self, now: int) -> list[Effect]:
        if not (self._done_sent and self._done_heard):
            return []
        if self._log == 0:
            return self._begin(1)
        self._phase = "idle"
        self._mine = self._comparison = None
        self._pairs = []
        self._since = now
        self._ended = self.replica.digest()
        served = self._serve.sent - self._served_before
        self._lacking = [0, max(0, sum(self._lacking) - served)]  # whether it was taken shows later
        moved = self._new > 0 or served > 0
        if self._wanted:
            # Once more: the next plan tells what was refused from what is still to come.
            moved = self.memory.outcome(self._refused, self._held) or moved
        effects: list[Effect] = [self._compared(False), Changed(self.replica.realm)]
        return effects + self._go_on(progress=moved)

    def _go_on(self, progress: bool) -> list[Effect]:
        if self._again:
            self._row = 0
            return self.poke()
        if progress and self._row < MOST_ROUNDS:
            self._row += 1
            return self.poke()
        self._row = 0
        return []

    # --- truth ---

    def tick(self, now: int) -> list[Effect]:
        """Give up on a peer that is silent in the middle of a round."""
        if self._put_off is not None and not 0 < self._put_off[0] - now < _ANSWER_MS:
            message, self._put_off = self._put_off[1], None
            return self._compare(message, now)
        patience = self._round_timeout
        if self._phase == "comparing":
            patience = min(patience, _ANSWER_MS)
        if self._phase != "idle" and now - self._heard > patience:
            return [Close("silent")]
        if self._phase == "idle" or now < self._heard:  # or the clock was set back
            self._heard = now
        self._late = self._late or now - self._heard > _LATE_MS
        return []

    @property
    def equal_now(self) -> bool:
        """As `still_equal`, and no comparison is under way."""
        return self._phase == "idle" and self.still_equal

    @property
    def still_equal(self) -> bool:
        """The last round ended equal, and nothing is known to have changed since."""
        equal = self._rests and not self._hinted and self._equal is not None
        return equal and self._equal == self.replica.digest()

    @property
    def _rests(self) -> bool:
        """A comparison that is under way does not make the last one untrue by itself."""
        return self._phase == "idle" or (self._phase == "comparing" and not self._late)

    def status(self) -> SyncStatus:
        """The state as far as it is known now."""
        memory, unmoved = self.memory, self._rests and self._ended == self.replica.digest()
        have = self.replica.size() if self._met else None
        if self.still_equal:
            return SyncStatus("synced", have, compared=self._since)
        known = sum(self._missing)
        said = SyncStatus(
            "changed", have, known, memory.refused, self._since, memory.codes, memory.held,
            self._since if self._ended is not None or self._equal is not None else None,
        )  # fmt: skip
        if self._phase in {"narrowing", "exchanging"}:
            return replace(said, code="transfer")
        if said.compared is None:
            return replace(said, code="uncompared")
        held = of_held(memory.held)
        if said.refused and (memory.codes or not held):
            return replace(said, code=of_refusals(memory.codes, said.refused)[0].code)
        if held and unmoved:
            missing = max(said.missing, said.refused)
            return replace(said, code=held[0].code, missing=missing, refused=0)
        lacked = sum(self._lacking)
        if lacked and not said.missing and not self._hinted and unmoved:
            return replace(said, code="untaken", missing=0, count=lacked)
        said = replace(said, refused=0, refusals={}, held={})
        if self._late:
            return replace(said, code="silent")
        return replace(said, code="turn" if self._postponed else "changed")
