"""Two machines of the parts protocol talk: any length, any resume, any pace; and those who lie."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.simulation.meeting import Home, neighbourhood

from commons_crdt.device import DeviceKeys
from commons_crdt.ids import DeviceId, OperationId, digest
from commons_crdt.operation import MAX_LARGE_PART, part_hash
from commons_protocol import part_messages as messages
from commons_protocol import wire
from commons_protocol.effects import Close, Ingest, Proven, Send
from commons_protocol.frame import encode
from commons_protocol.part_messages import CHUNK, MAX_CREDIT
from commons_protocol.parts import (
    IDLE_MS,
    PATIENCE_MS,
    PROOF_MS,
    Answered,
    Fetch,
    Give,
    Keep,
    Look,
    PartEffect,
    PartId,
    ReadPart,
)

BYTES = random.Random(7).randbytes(40 * CHUNK)
START = 1_000_000


class Forgetful(Home):
    """A node for which nobody's grant stands, as long as it ``forgets``."""

    forgets = False

    def node_keys(self, device: DeviceId) -> DeviceKeys | None:
        return None if self.forgets else Home.node_keys(self, device)


def part_of(data: bytes) -> PartId:
    return PartId(OperationId(digest("t-op")), part_hash(data))


@dataclass(slots=True)
class Pair:
    """Alice asks, bob gives; both are driven as the node drives them, a frame at a time."""

    fetch: Fetch
    give: Give
    alice: Home
    bob: Forgetful
    held: dict[PartId, bytes] = field(default_factory=dict)
    kept: bytearray = field(default_factory=bytearray)
    answers: list[bool] = field(default_factory=list)
    codes: dict[str, str] = field(default_factory=dict)
    to_give: deque[bytes] = field(default_factory=deque)
    to_fetch: deque[bytes] = field(default_factory=deque)
    sent: list[bytes] = field(default_factory=list)
    """What bob sent."""
    flush: int = MAX_CREDIT // 2
    unflushed: int = 0
    now: int = START

    def fetcher(self, effects: Sequence[PartEffect]) -> None:
        for effect in effects:
            match effect:
                case Send(frame):
                    self.to_give.append(frame)
                case Keep(_, _, offset, data):
                    assert offset == self.offset + len(self.kept), "no gap, nothing twice"
                    self.kept += data
                    self.unflushed += 1
                case Answered(_, _, held):
                    self.answers.append(held)
                case Close(code):
                    self.codes["fetch"] = code
        while self.unflushed >= self.flush:
            self.unflushed -= self.flush
            self.fetcher(self.fetch.on_kept(self.flush))

    offset: int = 0

    def giver(self, effects: Sequence[PartEffect]) -> None:
        for effect in effects:
            match effect:
                case Send(frame):
                    self.sent.append(frame)
                    self.to_fetch.append(frame)
                case Look(_, part):
                    data = self.held.get(part)
                    self.giver(self.give.on_found(None if data is None else len(data)))
                case ReadPart(_, part, offset, length):
                    data = self.held.get(part, b"")[offset : offset + length]
                    self.giver(self.give.on_read(data))
                case Close(code):
                    self.codes["give"] = code

    def step(self) -> bool:
        """One frame arrives somewhere; False if none is on its way."""
        if self.to_give:
            self.giver(self.give.on_frame(self.to_give.popleft(), self.now))
        elif self.to_fetch:
            self.fetcher(self.fetch.on_frame(self.to_fetch.popleft(), self.now))
        else:
            return False
        return True

    def run(self) -> Pair:
        while self.step():
            pass
        return self

    def want(self, data: bytes, offset: int = 0) -> Pair:
        self.offset = offset
        self.fetcher(self.fetch.want(self.alice.realm, part_of(data), len(data), offset, self.now))
        return self


def street() -> tuple[Home, Forgetful]:
    alice, bob = neighbourhood("bob")
    return alice, Forgetful(bob.copy, bob.device)


def pair(**given: bytes) -> Pair:
    alice, bob = street()
    made = Pair(
        Fetch(alice.peer, bob.peer, [alice], random.Random(1).randbytes, START),
        Give(bob.peer, alice.peer, [bob], random.Random(2).randbytes, START),
        alice,
        bob,
        {part_of(data): data for data in given.values()},
    )
    made.fetcher(made.fetch.begin())
    made.giver(made.give.begin())
    made.run()
    assert made.fetch.state == "ready"
    assert made.give.state == "resting"
    return made


@settings(max_examples=40, deadline=None)
@given(
    length=st.integers(1, 40 * CHUNK) | st.sampled_from([CHUNK, CHUNK - 1, CHUNK + 1, 16 * CHUNK]),
    start=st.floats(0, 0.999),
    flush=st.integers(1, MAX_CREDIT),
)
def test_any_part_is_gone_on_with_at_any_byte(length: int, start: float, flush: int) -> None:
    data = BYTES[:length]
    offset = int(length * start)
    both = pair(drill=data)
    both.flush = flush
    both.want(data, offset).run()
    assert bytes(both.kept) == data[offset:]
    assert both.codes == {}
    assert both.fetch.state == "ready"
    assert both.give.state == "resting"


@settings(max_examples=25, deadline=None)
@given(cuts=st.lists(st.integers(1, 30), max_size=6), length=st.integers(1, 40 * CHUNK))
def test_a_stream_that_is_cut_again_and_again_ends_with_the_same_bytes(
    cuts: list[int], length: int
) -> None:
    data, have = BYTES[:length], bytearray()
    for steps in [*cuts, 10_000]:
        if len(have) == length:
            break
        both = pair(drill=data).want(data, len(have))
        for _ in range(steps):
            if not both.step():
                break
        have += both.kept
    assert bytes(have) == data


def test_who_has_it_not_says_so_and_is_asked_the_next_question() -> None:
    both = pair(lamp=b"lamp" * 1000)
    both.want(b"drill" * 1000).run()
    assert both.answers == [False]
    both.want(b"lamp" * 1000).run()
    assert both.answers == [False, True]
    assert bytes(both.kept) == b"lamp" * 1000


def test_a_question_without_credit_brings_an_answer_and_no_bytes() -> None:
    data = b"drill" * 10_000
    both = pair(drill=data)
    both.fetcher(both.fetch.ask(both.alice.realm, part_of(data), len(data), START))
    both.run()
    assert both.answers == [True]
    assert not both.kept
    assert both.give.state == "resting"


def test_no_more_than_the_credit_is_ever_on_its_way() -> None:
    both = pair(drill=BYTES)
    both.flush = 10_000  # alice's disk never comes back
    both.want(BYTES).run()
    assert len(both.kept) == MAX_CREDIT * CHUNK, "and then bob waits"
    assert both.give.state == "giving"
    most = max(map(len, both.sent))
    assert most <= CHUNK + 64, "a chunk is far below a frame"
    both.now += IDLE_MS + 1
    both.giver(both.give.tick(both.now))
    assert both.codes == {"give": "idle"}, "who takes nothing is let go of"


def test_who_stands_no_more_is_given_nothing_from_one_chunk_to_the_next() -> None:
    both = pair(drill=BYTES).want(BYTES)
    for _ in range(6):
        both.step()
    assert both.give.state == "giving"
    given_before = len(both.kept) + len(both.to_fetch)
    assert given_before, "it had begun"
    both.bob.forgets = True
    both.run()
    assert both.codes["give"] == "revoked"
    assert len(both.kept) <= MAX_CREDIT * CHUNK
    again = pair(drill=BYTES)
    again.bob.forgets = True
    again.want(BYTES).run()
    assert again.codes == {"give": "revoked"}
    assert not again.kept


def test_strangers_get_nothing_and_learn_nothing() -> None:
    alice, bob = street()
    (eve, _) = neighbourhood("mallory")
    eve.keys = [(OperationId(digest("t-e")), digest("t-other"))]
    fetch = Fetch(eve.peer, bob.peer, [eve], random.Random(1).randbytes, START)
    give = Give(bob.peer, eve.peer, [bob], random.Random(2).randbytes, START)
    both = Pair(fetch, give, alice, bob, {part_of(BYTES): BYTES})
    both.fetcher(fetch.begin())
    both.giver(give.begin())
    both.run()
    assert "stranger" in both.codes.values()
    assert give.on_frame(ask(BYTES), START) == [], "after the end nothing is heard"


def ask(data: bytes, offset: int = 0, credit: int = MAX_CREDIT, slot: int = 0) -> bytes:
    return messages.pack(messages.AskPart(slot, *part_of(data), offset, credit))


def test_nothing_is_asked_before_the_proof() -> None:
    alice, bob = street()
    give = Give(bob.peer, alice.peer, [bob], random.Random(2).randbytes, START)
    give.begin()
    assert give.on_frame(ask(BYTES), START) == [Close("order")]


def slot_of(both: Pair) -> int:
    return next(iter(both.give._replicas))


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (lambda slot: messages.Chunk(slot, b"x"), "order"),
        (messages.Lacking, "order"),
        (lambda slot: messages.AskPart(slot, *part_of(BYTES), len(BYTES), 1), "order"),
        (lambda slot: messages.AskPart((slot + 1) % 16, *part_of(BYTES), 0, 1), "order"),
        (lambda slot: wire.Digest(slot, False, b"d" * 32, b"z" * 16), "message"),
    ],
)
def test_who_asks_wrongly_is_shown_out(frame: object, code: str) -> None:
    both = pair(drill=BYTES)
    message = frame(slot_of(both))  # type: ignore[operator]  # one of the functions above
    packed = wire.pack(message) if isinstance(message, wire.Digest) else messages.pack(message)
    both.to_give.append(packed)
    both.run()
    assert both.codes["give"] == code


def test_two_questions_at_once_and_credit_without_end_are_refused() -> None:
    both = pair(drill=BYTES)
    slot = slot_of(both)
    assert isinstance(both.give.on_frame(ask(BYTES, slot=slot), START)[0], Look)
    assert both.give.on_frame(ask(BYTES, slot=slot), START) == [Close("order")]
    both = pair(drill=BYTES)
    both.give.on_frame(ask(BYTES, slot=slot), START)
    holding, reading = both.give.on_found(len(BYTES))
    assert isinstance(holding, Send)
    assert isinstance(reading, ReadPart)
    more = messages.pack(messages.More(slot, 1))
    assert both.give.on_frame(more, START) == [Close("credit")], "nothing of it is spent yet"


def test_a_flood_of_questions_ends() -> None:
    both = pair(drill=BYTES)
    slot = slot_of(both)
    frame = encode([40, slot, *part_of(b"none"), 0, 1])
    for _ in range(1000):
        both.giver(both.give.on_frame(frame, START))
    assert both.codes == {"give": "flood"}
    assert len(both.sent) < 200, "and cost little until then"


@pytest.mark.parametrize(
    "lie",
    [
        lambda slot, _n: messages.Chunk(slot, b"x"),
        lambda slot, _n: messages.Holding(slot, len(BYTES)),
        lambda slot, _n: messages.Chunk(slot, b"x" * (CHUNK - 1)),
        lambda slot, _n: messages.More(slot, 1),
        lambda slot, _n: messages.AskPart(slot, *part_of(BYTES), 0, 1),
    ],
)
def test_who_gives_against_the_rules_is_left(lie: object) -> None:
    both = pair(drill=BYTES).want(BYTES)
    while not both.kept:
        assert both.step()
    both.to_fetch.clear()
    both.to_fetch.append(messages.pack(lie(slot_of(both), 0)))  # type: ignore[operator]  # above
    kept = len(both.kept)
    both.run()
    assert both.codes["fetch"] in {"part", "order"}
    assert len(both.kept) == kept


def test_who_says_another_length_or_gives_without_end_is_left() -> None:
    both = pair(drill=BYTES)
    both.want(BYTES[: 4 * CHUNK])
    slot = slot_of(both)
    both.to_give.clear()
    both.to_fetch.append(messages.pack(messages.Holding(slot, MAX_LARGE_PART)))
    both.run()
    assert both.codes == {"fetch": "part"}

    both = pair(drill=BYTES).want(BYTES[: 4 * CHUNK])
    both.to_give.clear()
    both.to_fetch.append(messages.pack(messages.Holding(slot, 4 * CHUNK)))
    chunk = messages.pack(messages.Chunk(slot, b"x" * CHUNK))
    both.to_fetch.extend([chunk] * 100)
    both.run()
    assert len(both.kept) == 4 * CHUNK, "not a byte more than the header says"
    assert both.codes == {"fetch": "order"}


def test_who_is_slow_is_waited_for_as_long_as_a_full_chunk_may_take() -> None:
    both = pair(drill=BYTES).want(BYTES)
    while not both.kept:
        both.step()
    both.fetcher(both.fetch.tick(both.now + PATIENCE_MS))
    assert both.codes == {}
    both.fetcher(both.fetch.tick(both.now + PATIENCE_MS + 1))
    assert both.codes == {"fetch": "slow"}
    assert both.kept, "what came is not lost"


def test_a_clock_that_was_set_back_ends_nothing() -> None:
    both = pair(drill=BYTES).want(BYTES)
    both.step()
    both.fetcher(both.fetch.tick(0))
    both.giver(both.give.tick(0))
    assert both.codes == {}


def test_who_never_proves_anything_is_shown_out() -> None:
    alice, bob = street()
    for machine in (
        Fetch(alice.peer, bob.peer, [alice], random.Random(1).randbytes, START),
        Give(bob.peer, alice.peer, [bob], random.Random(2).randbytes, START),
    ):
        machine.begin()
        assert machine.tick(START + PROOF_MS) == []
        assert machine.tick(START + PROOF_MS + 1) == [Close("proof_timeout")]


def test_what_is_erased_in_the_middle_is_given_no_further() -> None:
    both = pair(drill=BYTES).want(BYTES)
    while len(both.kept) < 4 * CHUNK:
        both.step()
    both.held.clear()
    both.run()
    assert both.answers == [True, False]
    assert both.fetch.state == "ready"
    assert len(both.kept) < len(BYTES)


def test_a_peer_whose_grant_is_unknown_shows_the_way_to_it() -> None:
    alice, bob = street()
    bob.forgets = True
    fetch = Fetch(alice.peer, bob.peer, [alice], random.Random(1).randbytes, START)
    give = Give(bob.peer, alice.peer, [bob], random.Random(2).randbytes, START)
    both = Pair(fetch, give, alice, bob, {part_of(BYTES): BYTES})
    both.fetcher(fetch.begin())
    both.giver(give.begin())
    ingested = []
    while both.to_give or both.to_fetch:
        if both.to_fetch:
            both.fetcher(fetch.on_frame(both.to_fetch.popleft(), START))
            continue
        for effect in give.on_frame(both.to_give.popleft(), START):
            if isinstance(effect, Ingest):
                ingested += list(effect.operations)
                bob.forgets = False
                effects = give.on_path_ingested(effect.realm)
                assert any(isinstance(one, Proven) for one in effects)
                both.giver(effects)
            else:
                both.giver([effect])
    assert ingested, "alice showed it"
    both.want(BYTES).run()
    assert bytes(both.kept) == BYTES
