"""What ARCHITECTURE §7 promises of a stream, each looked at from outside: by its frames."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.simulation.meeting import Home, Meeting, neighbourhood
from tests.simulation.test_sync_rounds import ALICE, BOB, CAROL, notes
from tests.unit.rooms import Rooms, bytes_of, note, village

from commons_crdt.ids import ZERO
from commons_crdt.operation import decode_header, operation_id
from commons_crdt.roles import Role
from commons_node.store.connection import Connection
from commons_node.store.database import Database
from commons_protocol import pull, serve, wire
from commons_protocol.effects import Ingest
from commons_protocol.network import MAX_FRAME

_LENGTH = 4
"""Bytes before each frame."""


def cut_after(meeting: Meeting, octets: int) -> int:
    """Run until the stream to the listener breaks behind this byte; how many operations it held."""
    left = octets
    for _ in range(100_000):
        for act, end in meeting.choices():
            if act == meeting.deliver and end is meeting.l:
                left -= _LENGTH + len(end.inbox[0])
                if left < 0:
                    return len(end.home.copy.operations)
            act(end)
            break
        else:
            return len(meeting.l.home.copy.operations)
    raise AssertionError("the two never come to rest")


def closed(home: Home) -> bool:
    """True if everything that is held rests on what is held."""
    held = home.copy.operations
    return all(
        ident in held
        for operation in held.values()
        for ident in decode_header(operation.header).antecedents
        if ident != ZERO
    )


@settings(max_examples=10, deadline=None)
@given(cuts=st.lists(st.integers(0, 60_000), min_size=1, max_size=5))
def test_a_stream_may_break_at_any_byte_and_what_is_held_is_closed(cuts: list[int]) -> None:
    alice, bob = neighbourhood("bob")
    notes(alice, ALICE, 40, size=500)
    notes(bob, BOB, 40, size=500)
    alice.copy.give_role(ALICE, BOB, Role.STEWARD)
    for cut in cuts:
        held = set(bob.copy.operations)
        meeting = Meeting([alice], [bob])
        assert cut_after(meeting, cut) >= len(held), "nothing that was stored is lost"
        assert closed(bob)
        again = {
            operation_id(operation.header)
            for ingest in meeting.of("listener", Ingest)
            if isinstance(ingest, Ingest) and ingest.purpose == "pull"
            for operation in ingest.operations
        }
        assert not again & held, "nor sent once more"
    assert Meeting([alice], [bob]).run().converged
    assert alice.digest() == bob.digest()


def test_log_one_is_not_compared_before_log_zero_is_fetched() -> None:
    alice, bob = neighbourhood("bob")
    notes(alice, ALICE, 30)
    alice.copy.give_role(ALICE, BOB, Role.STEWARD)
    meeting = Meeting([alice], [bob])
    seen = 0
    while meeting.step():
        ones = [m for side in ("dialler", "listener") for m in meeting.sent(side)
                if isinstance(m, wire.Ranges) and m.log == 1]  # fmt: skip
        if ones and not seen:
            assert bob.copy.role(BOB) is Role.STEWARD, "the act of log 0 has come, and counts"
        seen = len(ones)
    assert seen
    assert meeting.converged


def test_a_late_act_of_log_zero_comes_within_the_first_frames() -> None:
    alice, bob, _ = neighbourhood("bob", "carol")
    notes(alice, ALICE, 50, size=5_000)
    notes(alice, CAROL, 50, size=5_000)
    last = alice.copy.give_role(ALICE, BOB, Role.STEWARD)
    meeting = Meeting([alice], [bob])
    while last.id not in bob.copy.operations:
        assert meeting.step()
    sent = sum(_LENGTH + len(frame) for side, frame in meeting.frames if side == "dialler")
    assert sent <= MAX_FRAME, "half a megabyte waits behind it"


def test_a_disk_that_stands_still_stops_the_peer_and_fills_no_memory() -> None:
    alice, bob = neighbourhood("bob")
    notes(alice, ALICE, 300, size=12_000)
    meeting = Meeting([alice], [bob])
    while moves := [
        (act, end)
        for act, end in meeting.choices()
        if not (end is meeting.l and act == meeting.answer and isinstance(end.todo[0], Ingest))
    ]:
        act, end = moves[0]
        act(end)
    frames = [m for m in meeting.sent("dialler") if isinstance(m, wire.Operations)]
    assert len(frames) == pull.WINDOW, "as many as there was credit for"
    kept = sum(len(frame) for frame, _ in _served(meeting))
    assert kept <= 3 * serve.READ_BYTES, "who gives has read no further either"
    meeting.run()
    assert meeting.converged, "and goes on when the disk does"


def _served(meeting: Meeting) -> list[tuple[bytes, int]]:
    (sync,) = meeting.d.session.realms.values()
    return list(sync._serve._frames)


# --- a real store -------------------------------------------------------------------------------


async def test_a_batch_is_one_transaction(rooms: Rooms, monkeypatch: pytest.MonkeyPatch) -> None:
    home, people = village()
    room = await rooms.open("bob", home, *bytes_of(home))
    before = set(home.operations)
    for n in range(150):
        note(home, people.bob, n)
    begun = []
    plain = Database.transaction

    @asynccontextmanager
    async def counted(database: Database) -> AsyncIterator[Connection]:
        begun.append(database.path)
        async with plain(database) as connection:
            yield connection

    monkeypatch.setattr(Database, "transaction", counted)
    result = await room.realm.ingest(
        [one for ident, one in home.operations.items() if ident not in before], "carol"
    )
    assert result.new == 150
    assert len(begun) == 1, "durable all at once, or not at all"
