"""Every decoder, given what is nearly right: it takes it or refuses it, and does nothing else.

The targets say what must hold of what was taken. Here their good inputs are changed a little, so
that most of them get far into the decoder, and none of it may cost much.
"""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Iterator
from itertools import cycle, islice
from random import Random
from types import FrameType

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.fuzz.mutations import MOST, OF, mutate
from tests.fuzz.table import TARGETS
from tests.fuzz.target import Broken, Target, hold
from tests.fuzz.watch import counting, repeat, turn, watched

A_WHILE = 60.0
"""Seconds after which something hangs: thousands of times as long as any input takes."""
SEALED = frozenset(
    {"change", "gossip", "key-file", "note", "sealed-key", "beacon", "agent-package"}
)
"""Targets of which one changed bit is noticed: what is changed is never, or hardly ever, taken."""
LARGE = 1 << 16
AT_ONCE = 16
"""Inputs for each seed that hypothesis draws."""

_BYTES = (b"\x81", b"\x80", b"\xa0", b"\x9b", b"\x00", b"\x01" * 7, b"\x7f", b"\xff", b"[")
_LETTERS = (
    b"[", b"[]", b'{"a":', b"[[],", b'"', b'""', b"%", b"&a=", b"=", b",", b"\n", b" ",
    b"9", b"a", b"A", b"/x", b"a.", b"-", b"\xff", b"\xf0\x9f\x98\x80",
)  # fmt: skip
"""What there can be too much of."""

every = pytest.mark.parametrize("target", TARGETS.values(), ids=lambda target: target.name)


class Alarm:
    """Within its block, interrupts an input that hangs, and says which it was."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.tried = 0
        self._data = b""

    def __enter__(self) -> Alarm:
        turn()  # before the clock runs
        self._before = signal.signal(signal.SIGALRM, self._ring)
        return self

    def __exit__(self, *_error: object) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, self._before)

    def watched(self, data: bytes) -> bool:
        self._data = data
        self.tried += 1
        signal.setitimer(signal.ITIMER_REAL, A_WHILE)
        return watched(self.target, data)

    def _ring(self, _signal: int, _frame: FrameType | None) -> None:
        raise Broken(f"it hangs\n{repeat(self.target, self._data)}")


@every
def test_good_inputs_are_taken_and_bad_ones_are_refused(target: Target) -> None:
    outcomes = Counter(not name.startswith("bad ") for name in target.seeds())
    assert outcomes[True] > 0, "there are good inputs to begin with"
    assert outcomes[False] > 0, "and bad ones"
    for name, data in target.seeds().items():
        assert watched(target, data) is not name.startswith("bad "), f"{name} is as its name says"


@every
def test_what_is_nearly_right_is_taken_or_refused_and_nothing_else(target: Target) -> None:
    seeds = list(target.seeds().values())
    for data in seeds:
        watched(target, data)  # what is made once is not counted below
    outcomes: Counter[bool] = Counter()
    alarm = Alarm(target)

    @settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
    @given(rng=st.randoms(use_true_random=True))
    def change(rng: Random) -> None:
        for _ in range(AT_ONCE):
            data = mutate(target, rng.choice(seeds), seeds, rng)
            outcomes[alarm.watched(data)] += data not in seeds

    def look_for_both() -> None:
        """What few inputs show is looked for in many, and always in the same ones."""
        for n in range(20_000):
            if outcomes[False] and (outcomes[True] or target.name in SEALED):
                return
            data = mutate(target, seeds[n % len(seeds)], seeds, Random(n))
            outcomes[alarm.watched(data)] += data not in seeds

    with alarm, counting():
        change()
        look_for_both()
    assert outcomes[False] > 0, "some of what was changed is refused"
    assert outcomes[True] > 0 or target.name in SEALED, "some of it is taken"


@every
def test_large_inputs_cost_little(target: Target) -> None:
    for seed in target.seeds().values():
        watched(target, seed)
    with Alarm(target) as alarm:
        for data in large(target):
            alarm.watched(data)
        with counting():  # of some only: it makes what makes many small things very slow
            for data in islice(large(target), 0, None, 5):
                alarm.watched(data)
    assert alarm.tried > 10, "there were some"


def large(target: Target) -> Iterator[bytes]:
    """64 KiB each: nothing but beginnings, a good input again and again, one digit or letter."""
    seeds = [divided(target, seed) for seed in islice(target.seeds().values(), 5)]
    for piece in _BYTES if target.grammar in {"binary", "cbor"} else _LETTERS:
        yield seeds[0][0] + bytes(islice(cycle(piece), LARGE))
    for head, rest in seeds:
        yield head + bytes(islice(cycle(rest or b"\x00"), LARGE))
        yield head + rest + b"9" * (LARGE - len(rest))


def divided(target: Target, seed: bytes) -> tuple[bytes, bytes]:
    """The line that chooses what the rest is given to, and the rest."""
    head, found, rest = seed.partition(b"\n")
    return (head + found, rest) if target.head else (b"", seed)


def test_a_decoder_that_lets_another_error_out_is_found() -> None:
    def run(data: bytes) -> bool:
        return bool(data[40])

    target = Target("broken", run, lambda: {"good": b"x" * 50})
    with pytest.raises(Broken, match="IndexError"):
        watched(target, b"short")


def test_a_decoder_that_hangs_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(data: bytes) -> bool:
        while data:
            pass
        return False

    monkeypatch.setattr(f"{__name__}.A_WHILE", 0.05)
    with Alarm(Target("endless", run, dict)) as alarm, pytest.raises(Broken, match="hangs"):
        alarm.watched(b"x")


def test_a_decoder_that_takes_too_much_memory_is_found() -> None:
    def run(data: bytes) -> bool:
        return len(bytes(int.from_bytes(data[:4], "big"))) > 0

    target = Target("greedy", run, dict)
    with counting():
        assert watched(target, b"\x00\x00\x01\x00")
        with pytest.raises(Broken, match="bytes"):
            watched(target, b"\x04\x00\x00\x00")


def test_a_promise_that_is_broken_is_found_by_changing_good_inputs() -> None:
    def run(data: bytes) -> bool:
        hold(data.count(b"\x81") < 5, "it is not nested deep")
        return True

    target = Target("shallow", run, lambda: {"good": b"\x81\x00"}, "cbor")
    rng = Random(1)

    def search() -> None:
        for _ in range(1000):
            watched(target, mutate(target, b"\x81\x00", [], rng))

    with pytest.raises(Broken, match="nested deep"):
        search()


@pytest.mark.parametrize("grammar", OF)
def test_every_mutation_changes_something_and_repeats(grammar: str) -> None:
    data = {"cbor": b"\x83\x01\x42ab\x61c", "json": b'{"a": [1, "b"]}'}.get(grammar, b"name = 1\n")
    for change in set(OF[grammar]):  # type: ignore[index]  # the literals of Grammar
        made = {change(data, b"another one\n", Random(n)) for n in range(40)}
        again = {change(data, b"another one\n", Random(n)) for n in range(40)}
        assert made == again, f"{change.__name__} depends on its seed alone"
        assert made - {data}, f"{change.__name__} changes something"
        assert max(map(len, made)) < 2 * MOST
