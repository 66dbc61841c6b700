"""The simulator can fail: break a rule of the product on purpose, and it says so.

A suite that stays green over a broken product proves nothing; here each breach has its complaint.
The simulator's own faults and lies are stilled in `test_simulator_faults`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from tests.simulation.test_simulator_faults import EVERYTHING, LIAR

from commons_crdt import folds
from commons_crdt.authority.judge import Judge
from commons_crdt.folds import Fact
from commons_crdt.ids import DeviceId, OperationId
from commons_crdt.operation import Operation
from commons_node.domains import VIEWS
from commons_node.domains.lending import custody
from commons_node.domains.lending import views as lending_views
from commons_node.domains.membership import views
from commons_node.domains.resources import views as resource_views
from commons_node.peering import book, waiting
from commons_node.peering.book import Book
from commons_node.peering.hints import Hints
from commons_node.realm import intake
from commons_node.realm.documents import Documents, Edit, Outcome
from commons_node.realm.ends import Ends
from commons_node.store.waiting import Aside, Waiting
from commons_node.testing import bounds, oracle, paths, storm
from commons_node.testing import node as town_node
from commons_node.testing.bounds import BOUNDS, Bound
from commons_node.testing.disk import Disk
from commons_node.testing.node import Node
from commons_node.testing.plan import SMALL, Plan
from commons_node.testing.storm import run
from commons_node.testing.weather import CALM
from commons_node.verifier import work
from commons_protocol import wants
from commons_protocol.replica import Range
from commons_protocol.sync import RealmSync

pytestmark = pytest.mark.long

SEEDS = range(1, 11)
CONTROLS = range(1, 4)

Fold = Callable[[folds.Subject], Sequence[folds.Value] | None]


def complaints(seeds: Iterable[int] = SEEDS, plan: Plan = SMALL) -> str:
    """What the first seed that fails complains of; "" if none does."""
    for seed in seeds:
        outcome, _ = run(seed, plan)
        if outcome.wrong:
            return "\n".join(outcome.wrong)
    return ""


@pytest.fixture(scope="module")
def running() -> Sequence[Node]:
    """Honest nodes as they were at the end of a story."""
    return run(1, LIAR)[1].honest


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever never agrees need not be waited for that long."""
    monkeypatch.setattr(storm, "_LONGEST_REST_S", 300.0)


# --- what is judged, stored and folded ---


def test_a_judge_who_overlooks_forks(monkeypatch: pytest.MonkeyPatch) -> None:
    def blind(_judge: Judge, _device: DeviceId, _log: int, _seq: int) -> bool:
        return False

    monkeypatch.setattr(Judge, "forked", blind)
    found = complaints()
    assert "different" in found or "to the end" in found, "two branches stand, one at each node"


def test_a_judge_who_takes_any_lamport(monkeypatch: pytest.MonkeyPatch) -> None:
    import commons_crdt.authority.envelope as module

    class Any(int):
        def __eq__(self, other: object) -> bool:
            return isinstance(other, int)

        def __ne__(self, other: object) -> bool:
            return not isinstance(other, int)

        __hash__ = int.__hash__

        def __radd__(self, other: int) -> int:
            return Any(other)

    def loosely(*values: object, **more: object) -> object:
        return Any(max(*values, **more))  # type: ignore[call-overload]  # as the caller has it

    monkeypatch.setattr(module, "max", loosely, raising=False)
    assert "breaks a rule" in complaints(), "a wrong lamport is stored"


def test_a_disk_that_acknowledges_what_it_has_not_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lose_power = Disk.lose_power

    def forgetful(one: Disk) -> None:
        lose_power(one)
        ((last,),) = one.rows("SELECT max(n) FROM operations")
        for table, column in (
            ("operations", "n"),
            ("parts", "operation"),
            ("subjects", "operation"),
        ):
            one.rows(f"DELETE FROM {table} WHERE {column} > ?", (last - 3,))  # noqa: S608

    monkeypatch.setattr(Disk, "lose_power", forgetful)
    found = complaints()
    assert "did not survive a crash" in found, f"what was promised is gone: {found}"


def test_a_judge_who_takes_any_signature(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work, "verify", lambda *_arguments: True)
    found = complaints(plan=replace(LIAR, lies=("forge",)))
    assert "breaks a rule" in found, "a forged operation is stored"


def test_a_node_that_believes_any_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake, "CLOCK_MS", 1 << 40)
    found = complaints(plan=replace(LIAR, lies=("from_tomorrow",)))
    assert "breaks a rule" in found, "tomorrow is here today"


def test_a_document_that_takes_any_change(monkeypatch: pytest.MonkeyPatch) -> None:
    apply = Documents.apply

    async def willing(documents: Documents, edits: Mapping[Any, Sequence[Edit]]) -> Outcome:
        outcome = await apply(documents, edits)
        outcome.applied.update(dict.fromkeys(outcome.applied, ""))
        return outcome

    monkeypatch.setattr(Documents, "apply", willing)
    found = complaints(plan=replace(LIAR, lies=("second_root", "crafted_change"), writes=20))
    assert "break a rule by" in found, "what breaks a rule does not count"


def test_a_store_that_forgets_what_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neighbours help, whatever is forgotten; what is told only once is gone."""

    async def nothing(_waiting: Waiting, _stored: Sequence[bytes]) -> dict[OperationId, Operation]:
        return {}

    async def never(_waiting: Waiting, _now_ms: int) -> dict[OperationId, Operation]:
        return {}

    monkeypatch.setattr(Waiting, "released", nothing)
    monkeypatch.setattr(Waiting, "due", never)
    assert complaints(range(1, 9)), "in no order at all"


def test_a_store_that_forgets_erasures_when_it_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Judge, "restore_erasure", lambda _judge, *_erased: None)
    found = complaints((52, 36, 41, 53))  # one seed in twelve erases, starts again and reads on
    assert "read again give another state_hash" in found or "different" in found, "for ever"


def test_a_fold_that_looks_at_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    def latest(facts: Sequence[Fact]) -> Fact | None:
        now = time.time_ns() // 1_000_000
        return min(facts, key=lambda f: abs(now - f.time_ms) % 97, default=None)

    monkeypatch.setattr(folds, "prevailing", latest)
    monkeypatch.setattr(views, "prevailing", latest)
    assert "state" in complaints(), "a view that depends on the time of looking is no view"


def _views(monkeypatch: pytest.MonkeyPatch, name: str, fold: Fold) -> None:
    """Everybody folds one view another way, those who check it too."""
    other = tuple(replace(view, fold=fold) if view.name == name else view for view in VIEWS)
    assert other != VIEWS
    for module in (town_node, oracle, paths):
        monkeypatch.setattr(module, "VIEWS", other)


LIBRARY = replace(
    EVERYTHING, nodes=5, joining=0, leaving=0, crashes=0, jumps=0, one_way=0, islands=2, writes=160,
    weather=CALM, apart_s=30, settle_s=30,
)  # fmt: skip
"""Hardly anything goes wrong, and much is lent."""


def test_a_thing_that_is_lost_on_the_way_to_its_view(monkeypatch: pytest.MonkeyPatch) -> None:
    def careless(subject: folds.Subject) -> Sequence[folds.Value] | None:
        return None if subject.key[0] < 64 else resource_views.item_row(subject)

    _views(monkeypatch, "items", careless)
    assert "things, of" in complaints(plan=LIBRARY), "what was made and not erased is there"


def test_a_loan_that_keeps_its_thing_after_the_return(monkeypatch: pytest.MonkeyPatch) -> None:
    walk = custody._walk
    monkeypatch.setattr(custody, "_walk", lambda after, _closed, start: walk(after, {}, start))
    found = complaints(plan=LIBRARY)
    assert "is returned, and has the thing all the same" in found, "as it once was"


def test_a_custody_that_forgets_who_else_claims_it(monkeypatch: pytest.MonkeyPatch) -> None:
    custody_view = next(view for view in VIEWS if view.name == "custody")

    def silent(subject: folds.Subject) -> Sequence[folds.Value] | None:
        row = custody.custody(subject)
        return None if row is None else (*row[:-1], b"")

    _views(monkeypatch, custody_view.name, silent)
    found = complaints(plan=LIBRARY)
    assert "its thing is elsewhere, and that is no conflict" in found, "two have it, one is shown"


def test_a_loan_that_is_shown_to_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    def secretive(subject: folds.Subject) -> Sequence[folds.Value] | None:
        row = lending_views.loan(subject)
        return None if row is None or row[0] == "requested" else row

    _views(monkeypatch, "loans", secretive)
    assert "shows nothing of the request" in complaints(plan=LIBRARY)


# --- what is said of the others ---


def test_a_digest_that_sees_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Ends, "digest", lambda _ends: bytes(32))
    found = complaints()
    assert "one digest and different" in found, "equal digests are equal sets"


def test_a_node_that_always_claims_to_be_in_sync(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RealmSync, "still_equal", property(lambda _sync: True))
    found = complaints()
    assert "and never was" in found or "cannot reach" in found, "nobody says so when it is not"


def test_a_node_that_claims_for_ever_what_was_true_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RealmSync, "tick", lambda _sync, _now: [])
    patient = replace(CALM, patience=(1e6, 1e6))
    cut = replace(
        LIBRARY, writes=12, measures=0, schemes=0, islands=5, weather=patient, apart_s=300
    )
    found = complaints(plan=cut)
    assert "long after it was" in found or "cannot reach" in found, "it may be anywhere by now"


def test_a_wait_that_does_not_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting._Wait, "done", property(lambda _wait: True))
    assert "never were equal" in complaints(), "a yes is a full round that ended equal"


def test_a_wait_that_never_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting._Wait, "nudge", lambda _wait, _at: None)
    assert "waits in vain" in complaints(), "who is here and equal is found to be"


def test_a_node_that_never_compares(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RealmSync, "poke", lambda _sync: [])
    found = complaints()
    assert "to the end" in found, "gossip alone is not enough, and nobody pretends that it is"


def test_a_node_that_compares_log_zero_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = wants.Memory.plan

    def plan(memory: wants.Memory, log: int, pairs: Iterable[wants.Pair], now: int) -> list[Range]:
        return [] if log else plain(memory, log, pairs, now)

    monkeypatch.setattr(wants.Memory, "plan", plan)
    assert "to the end" in complaints(), "what people write is in log 1"


def test_a_node_that_hears_no_gossip(monkeypatch: pytest.MonkeyPatch) -> None:
    """No breach: gossip is a hint. But then something must be there to repair what is missed."""
    monkeypatch.setattr(Hints, "_heard", lambda _hints, *_arguments: None)
    assert not complaints(CONTROLS), "without gossip everything still arrives"


def test_a_task_that_fails_in_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(_hints: Hints, *_arguments: object) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr(Hints, "_publish", broken)
    assert "a node logged an error" in complaints(), "somebody reads the logs"


# --- what is kept ---


def _limit(monkeypatch: pytest.MonkeyPatch, module: Any, name: str, most: int, what: str) -> None:
    """Lower a limit of the product, and what is looked for with it."""
    monkeypatch.setattr(module, name, most)
    lowered = tuple(one._replace(most=most) if one.what == what else one for one in BOUNDS)
    assert lowered != BOUNDS
    monkeypatch.setattr(bounds, "BOUNDS", lowered)


def test_a_book_of_peers_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    masks = replace(LIAR, lies=("many_faces",))
    _limit(monkeypatch, book, "MOST_KNOWN", 6, "known peers")
    assert not complaints(CONTROLS, masks), "those not seen for longest are forgotten"
    monkeypatch.setattr(Book, "surplus", lambda _book: [])
    assert "known peers, more than 6" in complaints(CONTROLS, masks)


def test_a_waiting_room_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    from commons_node.store import waiting as store

    late = replace(LIAR, lies=("withhold", "from_tomorrow"), liars=2)
    _limit(monkeypatch, store, "MAX_COUNT", 1, "operations kept aside")
    assert not complaints(CONTROLS, late), "there is no room for more"
    keep = Waiting.keep

    async def roomy(self: Waiting, asides: Sequence[Aside], whose: Callable[[bytes], bytes]) -> int:
        store.MAX_COUNT = 1000  # put back by the patch
        return await keep(self, asides, whose)

    monkeypatch.setattr(Waiting, "keep", roomy)
    assert "operations kept aside, more than 1" in complaints(CONTROLS, late)


@pytest.mark.parametrize("bound", BOUNDS, ids=lambda bound: bound.what)
def test_every_bound_is_looked_at(bound: Bound, running: Sequence[Node]) -> None:
    for node in running:
        found = bound.count(node)
        assert 0 <= found <= bound.most, "in peace there is little of it"


def test_too_much_of_anything_is_said(
    running: Sequence[Node], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "BOUNDS", tuple(one._replace(most=-1) for one in BOUNDS))
    said = list(bounds.exceeded(running[0]))
    assert len(said) == len(BOUNDS)
    assert all(bound.what in sentence for bound, sentence in zip(BOUNDS, said, strict=True))
