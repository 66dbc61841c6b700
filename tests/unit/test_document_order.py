"""However changes arrive, cut into whatever batches, the same ones are applied and shown."""

from collections.abc import Sequence
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.test_document_bytes import (
    ALICE,
    BOB,
    EVE,
    INTEGER,
    THING,
    Write,
    altered,
    body_of,
    chunk,
    contended,
    contended_and_settled,
    sleb,
)
from tests.unit.test_document_change import mutants

from commons_crdt.document.apply import apply
from commons_crdt.document.change import parse_change
from commons_crdt.document.values import (
    Applied,
    Candidate,
    DocumentView,
    Refused,
    Result,
    Value,
)
from commons_crdt.document.view import view
from commons_crdt.document.write import create, edit

CAROL = bytes(range(96, 128))
DEVICES = (ALICE, BOB, CAROL, EVE)
CHOICES: dict[str, tuple[Value, ...]] = {
    "name": ("drill", "saw"),
    "note": ("red", "", None),
    "count": (0, 1, 70),
    "open": (True, False),
}
OTHER_SOFTWARE: tuple[dict[str, object], ...] = (
    {"start_op": 1},
    {"seq": 40},
    {"time": 1},
    {"deps": (bytes(32),)},
    {"writes": (Write("count", INTEGER, sleb(5000)),)},
)


@st.composite
def stories(draw: st.DrawFn) -> list[Candidate]:
    """Four people edit one thing, each on a copy of its own, and sometimes hear of each other.

    Some changes write what their author may not, and some of Eve's are made by other software.
    """
    first = Candidate(create(ALICE, {"name": "drill"}, THING), ALICE)
    copies = [[first] for _ in DEVICES]
    everything = [first]
    for _ in range(draw(st.integers(1, 14))):
        who = draw(st.integers(0, len(DEVICES) - 1))
        if draw(st.booleans()):
            heard = copies[draw(st.integers(0, len(DEVICES) - 1))]
            copies[who] += [candidate for candidate in heard if candidate not in copies[who]]
        names = draw(st.sets(st.sampled_from(sorted(CHOICES)), min_size=1))
        fields = {name: draw(st.sampled_from(CHOICES[name])) for name in sorted(names)}
        device = DEVICES[who]
        change, _ = edit([known.change for known in copies[who]], device, fields, THING)
        if change is None:
            continue
        if device == EVE and draw(st.booleans()):
            forged = altered(change, **draw(st.sampled_from(OTHER_SOFTWARE)))
            everything.append(Candidate(forged, device))
        may = draw(st.sampled_from((None, None, None, frozenset({"note", "count"}))))
        candidate = Candidate(change, device, may)
        everything.append(candidate)
        copies[who].append(candidate)
    return everything


def another_order(candidates: Sequence[Candidate], random: Random) -> list[int]:
    """The numbers of the candidates in another causal order."""
    headers = [parse_change(candidate.change) for candidate in candidates]
    hashes = {header.hash for header in headers}
    waiting = list(range(len(candidates)))
    order: list[int] = []
    seen: set[bytes] = set()
    while waiting:
        ready = [n for n in waiting if all(d in seen or d not in hashes for d in headers[n].deps)]
        chosen = random.choice(ready)
        waiting.remove(chosen)
        order.append(chosen)
        seen.add(headers[chosen].hash)
    return order


def in_batches(
    candidates: Sequence[Candidate], sizes: Sequence[int]
) -> tuple[list[Result], DocumentView]:
    """Applies batch after batch, each on the log of what was applied before."""
    log: list[bytes] = []
    results: list[Result] = []
    rebuilt = view(log)
    rest = list(candidates)
    for size in [*sizes, len(rest)]:
        batch, rest = rest[:size], rest[size:]
        outcome = apply(log, batch, THING)
        results += outcome.results
        log += [
            candidate.change
            for candidate, result in zip(batch, outcome.results, strict=True)
            if isinstance(result, Applied)
        ]
        rebuilt = view(log)
        assert rebuilt.heads == outcome.heads, "rebuild(log) is what was applied"
        assert rebuilt.fields == outcome.fields, "rebuild(log) is what was applied"
        assert rebuilt.conflicts == outcome.conflicts, "rebuild(log) is what was applied"
    return results, rebuilt


@settings(deadline=None, max_examples=150)
@given(stories(), st.lists(st.integers(0, 6), max_size=8))
def test_batches_do_not_matter(candidates: list[Candidate], sizes: list[int]) -> None:
    whole = apply([], candidates, THING)
    for cut in (sizes, [1] * len(candidates)):
        results, shown = in_batches(candidates, cut)
        assert tuple(results) == whole.results, "each change gets the same answer in any batch"
        assert shown.heads == whole.heads
        assert shown.fields == whole.fields
        assert shown.conflicts == whole.conflicts


@settings(deadline=None, max_examples=150)
@given(stories(), st.randoms(use_true_random=False))
def test_the_order_of_arrival_does_not_matter(candidates: list[Candidate], random: Random) -> None:
    whole = apply([], candidates, THING)
    order = another_order(candidates, random)
    shuffled = apply([], [candidates[n] for n in order], THING)
    for n, result in zip(order, shuffled.results, strict=True):
        assert result == whole.results[n], "each change gets the same answer in any order"
    assert shuffled.heads == whole.heads
    assert shuffled.fields == whole.fields
    assert shuffled.conflicts == whole.conflicts


@settings(deadline=None, max_examples=150)
@given(stories())
def test_what_our_own_software_writes_is_applied_where_it_is_permitted(
    candidates: list[Candidate],
) -> None:
    honest = [Candidate(candidate.change, candidate.device) for candidate in candidates]
    result = apply([], honest, THING)
    forged = {"sequence", "counter", "form", "dependency", "field", "predecessor"}
    for candidate, answer in zip(honest, result.results, strict=True):
        if isinstance(answer, Refused):
            assert candidate.device == EVE, "only Eve runs other software"
            assert answer.reason in forged


@settings(deadline=None, max_examples=300)
@given(st.data())
def test_no_mutant_escapes(data: st.DataObject) -> None:
    """A right checksum around anything: refused by a rule, or applied and then still writable."""
    *history, change = data.draw(st.sampled_from((contended(), contended_and_settled())))
    mutant = chunk(data.draw(mutants(body_of(change))))
    result = apply(history, [Candidate(mutant, ALICE)], THING)
    (answer,) = result.results
    if isinstance(answer, Refused):
        assert answer.reason != "unreadable", "the rules find it before Automerge does"
        return
    log = [*history, mutant]
    mine, _ = edit(log, BOB, {"note": "after the mutant"}, THING)
    assert mine is not None
    assert apply(log, [Candidate(mine, BOB)], THING).fields["note"] == "after the mutant"
