"""The traps of the pinned Automerge, each twice: the library still has it, and we don't fall in.

Where a trap kills the process, a process of its own falls in. When one of the first kind of tests
fails, the library was mended: look whether the rule that guards it may go.
"""

import subprocess
import sys
from collections.abc import Callable
from importlib import metadata
from unittest.mock import patch

import msgspec
import pytest
from automerge import core
from tests.unit.test_document_bytes import (
    ALICE,
    BOB,
    COUNTER,
    EVE,
    INTEGER,
    TEXT,
    THING,
    TIMESTAMP,
    Craft,
    Write,
    altered,
    history_of,
    sleb,
)

from commons_crdt.document.apply import apply
from commons_crdt.document.change import parse_change
from commons_crdt.document.engine import EngineFault, settle
from commons_crdt.document.leb import uleb
from commons_crdt.document.operations import Operation
from commons_crdt.document.rules import Change
from commons_crdt.document.values import Applied, Candidate, Reason, Refused
from commons_crdt.document.view import view
from commons_crdt.document.write import create, edit

REPLAY = """
import sys
from automerge import core
from commons_crdt.document.leb import uleb

def replay(chunks):
    message = b"\\x42\\0\\0\\0" + uleb(len(chunks)) + b"".join(uleb(len(c)) + c for c in chunks)
    document = core.Document(bytes(32))
    document.receive_sync_message(core.SyncState(), core.Message.decode(message))
    return document

chunks = [bytes.fromhex(chunk) for chunk in sys.argv[1:]]
"""


def raw_replay(chunks: list[bytes]) -> core.Document:
    """What the library makes of these chunks, without any of our rules."""
    message = b"\x42\0\0\0" + uleb(len(chunks)) + b"".join(uleb(len(c)) + c for c in chunks)
    document = core.Document(bytes(32))
    document.receive_sync_message(core.SyncState(), core.Message.decode(message))
    return document


def raw_process(script: str, *chunks: bytes) -> int:
    """Runs a script on the bare library in a process of its own; returns how it ended."""
    arguments = [sys.executable, "-c", REPLAY + script, *(chunk.hex() for chunk in chunks)]
    return subprocess.run(
        arguments, capture_output=True, check=False, timeout=60, env={"RUST_BACKTRACE": "0"}
    ).returncode


def drill() -> list[bytes]:
    return history_of((ALICE, {"name": "drill", "count": 1}), (BOB, {"count": 2}))


def by_eve(history: list[bytes], **parts: object) -> bytes:
    """Eve's next change, altered."""
    change, _ = edit(history, EVE, {"note": "mine"}, THING)
    assert change is not None
    return altered(change, **parts)


def assert_refused(history: list[bytes], change: bytes, reason: Reason) -> None:
    """Eve's change is refused, the document is as it was, and it can still be written."""
    before = view(history)
    result = apply(history, [Candidate(change, EVE)], THING)
    (refused,) = result.results
    assert isinstance(refused, Refused), "the change is refused"
    assert refused.reason == reason, refused
    assert (result.heads, result.fields) == (before.heads, before.fields), "nothing changed"
    mine, _ = edit(history, ALICE, {"note": "still works"}, THING)
    assert mine is not None
    after = apply(history, [Candidate(change, EVE), Candidate(mine, ALICE)], THING)
    assert isinstance(after.results[1], Applied), "a local write works after the refusal"
    assert after.fields["note"] == "still works"


def test_the_pinned_version_is_the_one_that_was_examined() -> None:
    assert metadata.version("automerge") == "0.2.0.dev4", "its traps were measured, others' not"


def test_a_start_op_at_the_end_of_the_counter_kills_the_library_at_the_next_write() -> None:
    history = drill()
    last = parse_change(history[-1]).hash
    evil = Craft(EVE, 1, 2**32 - 1, (last,), (Write("note", TEXT, b"boom"),)).pack()
    script = """
document = replay(chunks)
with document.transaction() as transaction:
    transaction.put(core.ROOT, "note", core.ScalarType.Str, "mine")
"""
    assert raw_process(script, *history) == 0, "an honest document can be written"
    assert raw_process(script, *history, evil) < 0, "the library kills its process"
    assert_refused(history, evil, "malformed")


def test_a_start_op_that_is_too_low_saves_what_never_loads_again() -> None:
    history = drill()
    evil = by_eve(history, start_op=1)
    document = raw_replay([*history, evil])
    assert parse_change(evil).hash in document.get_heads(), "the library applies it"
    saved = document.save()
    with pytest.raises(Exception, match=r"mismatching heads|max_op is lower"):
        core.Document.load(saved)
    assert_refused(history, evil, "counter")


def test_a_start_op_that_is_too_high_is_refused() -> None:
    history = drill()
    assert_refused(history, by_eve(history, start_op=2**30), "counter")


def test_a_malformed_chunk_is_skipped_without_a_word() -> None:
    history = drill()
    broken = by_eve(history)[:-1] + b"\xff"
    document = raw_replay([*history, broken])
    assert document.get_heads() == [], "no exception, and all that came with it is gone too"
    assert_refused(history, broken, "malformed")
    with pytest.raises(EngineFault):
        settle([*history, broken], (parse_change(by_eve(history)).hash,))


def test_an_author_who_says_two_things_at_once() -> None:
    history = drill()
    one, _ = edit(history, EVE, {"note": "yes"}, THING)
    two, _ = edit(history, EVE, {"note": "no"}, THING)
    assert one is not None
    assert two is not None
    with pytest.raises(Exception, match="duplicate seq"):
        raw_replay([*history, one, two])
    assert_refused([*history, one], two, "equivocation")
    assert_refused([*history, two], one, "equivocation")


def test_one_bad_change_does_not_spoil_the_others_of_its_batch() -> None:
    history = drill()
    one, _ = edit(history, EVE, {"note": "yes"}, THING)
    two, _ = edit(history, EVE, {"note": "no"}, THING)
    good, _ = edit(history, BOB, {"open": True}, THING)
    assert one is not None
    assert two is not None
    assert good is not None
    batch = [Candidate(one, EVE), Candidate(two, EVE), Candidate(good, BOB)]
    result = apply(history, batch, THING)
    assert [type(r) for r in result.results] == [Applied, Refused, Applied]
    assert result.fields == {"name": "drill", "count": 2, "note": "yes", "open": True}


def test_a_counter_panics_when_it_is_read() -> None:
    history = drill()
    evil = by_eve(history, writes=(Write("note", COUNTER, sleb(1)),))
    document = raw_replay([*history, evil])
    with pytest.raises(BaseException) as caught:
        document.get(core.ROOT, "note")
    assert not isinstance(caught.value, Exception), "`except Exception` would not catch it"
    assert_refused(history, evil, "field")


def test_a_time_beyond_the_year_9999_panics_when_it_is_read() -> None:
    history = drill()
    evil = by_eve(history, writes=(Write("note", TIMESTAMP, sleb(2**60)),))
    document = raw_replay([*history, evil])
    with pytest.raises(BaseException) as caught:
        document.get(core.ROOT, "note")
    assert not isinstance(caught.value, Exception), "`except Exception` would not catch it"
    assert_refused(history, evil, "field")


def test_writing_a_counter_kills_the_process() -> None:
    script = """
document = core.Document(bytes(32))
try:
    with document.transaction() as transaction:
        transaction.put(core.ROOT, "count", core.ScalarType.Counter, 1)
except BaseException:
    pass
del transaction, document
"""
    assert raw_process(script) < 0, "the library kills its process: there are no counters here"


def test_an_open_transaction_kills_the_process() -> None:
    script = """
document = core.Document(bytes(32))
transaction = document.transaction()
transaction.put(core.ROOT, "count", core.ScalarType.Int, 1)
del document
del transaction
"""
    assert raw_process(script) < 0, "the library kills its process: `with` only"
    wrong = {"name": "drill", "note": "\ud800"}
    with pytest.raises(Exception, match="note"):
        create(ALICE, wrong, THING)
    assert view([create(ALICE, {"name": "drill"}, THING)]).fields == {"name": "drill"}


def test_a_change_that_waits_for_another_is_not_applied_behind_our_back() -> None:
    history = drill()
    first, _ = edit(history, EVE, {"note": "one"}, THING)
    assert first is not None
    second, _ = edit([*history, first], EVE, {"note": "two"}, THING)
    assert second is not None
    assert raw_replay([*history, second]).get(core.ROOT, "note") is None
    assert_refused(history, second, "dependency")


def test_a_change_that_overwrites_what_its_author_never_saw() -> None:
    """Eve may write `note` only. She names Bob's write of `count`, which she does not depend on."""
    history = drill()
    by_bob, _ = edit(history, BOB, {"count": 3}, THING)
    assert by_bob is not None
    unseen = (parse_change(by_bob).start_op, BOB)
    for field in ("note", "count"):
        evil = Craft(
            EVE,
            1,
            parse_change(by_bob).start_op,
            parse_change(by_bob).deps,
            (Write(field, TEXT, b"x", (unseen,)),),
        ).pack()
        assert_refused([*history, by_bob], evil, "predecessor")


def test_a_change_that_overwrites_less_than_its_author_saw() -> None:
    history = drill()
    evil = by_eve(history, writes=(Write("count", INTEGER, sleb(9)),))
    assert_refused(history, evil, "predecessor")


@pytest.mark.parametrize("fault", ["counter", "unloadable", "gap"])
def test_a_hole_in_our_rules_costs_one_change_and_no_document(fault: str) -> None:
    """With rules that let everything through, the fence behind them still holds."""
    history = drill()
    last = parse_change(history[-1])
    good, _ = edit(history, BOB, {"open": True}, THING)
    assert good is not None
    evil = {
        "counter": by_eve(history, writes=(Write("note", COUNTER, sleb(1)),)),
        "unloadable": by_eve(history, start_op=1),
        "gap": Craft(EVE, 1, 9, (bytes(32),), (Write("note", TEXT, b"x"),)).pack(),
    }[fault]

    def careless(real: Callable[..., object]) -> Callable[..., object]:
        def judge(known: object, candidate: Candidate, schema: object) -> object:
            if candidate.change != evil:
                return real(known, candidate, schema)
            header = msgspec.structs.replace(parse_change(evil), deps=(last.hash,))
            return Change(header, (Operation("note", "x", (), False),))

        return judge

    real = sys.modules["commons_crdt.document.apply"].__dict__["judge"]
    batch = [Candidate(good, BOB), Candidate(evil, EVE)]
    with patch("commons_crdt.document.apply.judge", careless(real)):
        result = apply(history, batch, THING)
    assert isinstance(result.results[0], Applied), "the good change of the batch is applied"
    assert isinstance(result.results[1], Refused)
    assert result.results[1].reason == "unreadable", "the bad one is found out by the library"
    assert result.fields["open"] is True
    other = history_of((ALICE, {"name": "saw"}))
    assert view(other).fields == {"name": "saw"}, "the next document is fine"


def test_a_fault_of_the_library_in_our_own_log_is_not_blamed_on_a_candidate() -> None:
    history = drill()
    with (
        patch("commons_crdt.document.engine.core.Document.load", side_effect=SystemError("boom")),
        pytest.raises(EngineFault, match="boom"),
    ):
        apply(history, [Candidate(by_eve(history), EVE)], THING)


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit, MemoryError])
def test_being_stopped_is_not_a_fault_of_the_library(stop: type[BaseException]) -> None:
    with (
        patch("commons_crdt.document.engine.core.Message.decode", side_effect=stop),
        pytest.raises(stop),
    ):
        view(drill())


def test_a_library_that_shows_something_else_is_not_believed() -> None:
    history = drill()
    with (
        patch("commons_crdt.document.apply.settle", return_value={"name": "drill", "count": True}),
        pytest.raises(EngineFault, match="fields"),
    ):
        apply(history, [], THING)
