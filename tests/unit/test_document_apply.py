"""Applying foreign changes: who may write what, at which place of a history, in which bounds."""

import pickle

import pytest
from tests.unit.test_document_bytes import (
    ALICE,
    BOB,
    DELETE,
    EVE,
    FLOAT,
    INTEGER,
    MAKE_LIST,
    MAKE_TEXT,
    NULL,
    TEXT,
    THING,
    TRUE,
    Craft,
    Write,
    altered,
    contended,
    contended_and_settled,
    history_of,
    sleb,
)

from commons_crdt.document import rules
from commons_crdt.document.apply import apply
from commons_crdt.document.change import parse_change
from commons_crdt.document.schema import DocumentSchema, Field
from commons_crdt.document.values import Applied, Candidate, Refused, Result, Value
from commons_crdt.document.view import view
from commons_crdt.document.write import DocumentFull, create, edit


def drill() -> list[bytes]:
    return history_of((ALICE, {"name": "drill", "count": 1}), (BOB, {"count": 2}))


def changed(history: list[bytes], actor: bytes, **fields: Value) -> bytes:
    change, _ = edit(history, actor, fields, THING)
    assert change is not None, "the edit changes something"
    return change


def apply_one(
    history: list[bytes], change: bytes, device: bytes, may: frozenset[str] | None = None
) -> Result:
    before = view(history)
    result = apply(history, [Candidate(change, device, may)], THING)
    (outcome,) = result.results
    if isinstance(outcome, Refused):
        assert (result.heads, result.fields) == (before.heads, before.fields), "as it was"
    else:
        assert outcome.hash in result.heads, "an applied change stands at the top"
    return outcome


def reason(result: Result) -> str:
    assert isinstance(result, Refused), "the change is refused"
    return result.reason


def test_a_cold_start_applies_a_whole_document() -> None:
    changes = contended()
    devices = [ALICE, ALICE, BOB, EVE, ALICE]
    result = apply([], list(map(Candidate, changes, devices)), THING)
    assert result.results == tuple(Applied(parse_change(change).hash) for change in changes)
    assert result.fields == {"count": 2, "name": "drill 2", "note": None, "open": False}
    assert result.heads == (parse_change(changes[-1]).hash,)
    assert result.conflicts == {}
    assert view(changes).fields == result.fields, "rebuild(log) is what was applied"


def test_an_empty_document_shows_nothing() -> None:
    result = apply([], [], THING)
    assert (result.results, result.heads, result.fields) == ((), (), {})


def test_what_two_people_wrote_at_once_is_shown_as_contended() -> None:
    history = contended()[:-1]
    shown = view(history)
    assert shown.fields["name"] == "driller", "Eve's device id is the larger one"
    assert shown.conflicts == {"name": ("driller", "hammer drill")}, "the displayed one first"
    assert view(contended_and_settled()).conflicts == {}, "keeping one settles it"
    assert view(contended_and_settled()).fields["name"] == "driller"


def test_only_the_signing_device_can_be_the_actor() -> None:
    history = drill()
    change = changed(history, BOB, note="Bob's")
    assert reason(apply_one(history, change, EVE)) == "author"


def test_a_permitted_field_may_be_written_and_no_other() -> None:
    history = drill()
    both = changed(history, EVE, note="mine", name="EVE'S DRILL")
    assert reason(apply_one(history, both, EVE, frozenset({"note"}))) == "permission"
    note = changed(history, EVE, note="mine")
    assert isinstance(apply_one(history, note, EVE, frozenset({"note"})), Applied)
    assert reason(apply_one(history, note, EVE, frozenset())) == "permission"


def test_a_forbidden_write_is_caught_even_when_it_is_invisible() -> None:
    history = drill()
    by_bob = changed(history, ALICE, name="drill, one speed")
    seen = parse_change(history[-1])
    hidden = changed(history, bytes(32), name="mine")
    result = apply([*history, by_bob], [Candidate(hidden, bytes(32), frozenset())], THING)
    assert reason(result.results[0]) == "permission", "it loses the tie, but it was a write"
    same = Craft(
        EVE, 1, seen.start_op + 1, (seen.hash,), (Write("name", TEXT, b"drill", ((2, ALICE),)),)
    )
    first_op = altered(same.pack(), writes=(Write("name", TEXT, b"drill", ((1, ALICE),)),))
    assert reason(apply_one(history, first_op, EVE, frozenset())) == "permission", "so is this"


def test_settling_a_contended_field_needs_the_permission_for_it() -> None:
    *history, settled = contended_and_settled()
    assert isinstance(apply_one(history, settled, ALICE), Applied)
    assert isinstance(apply_one(history, settled, ALICE, frozenset({"name"})), Applied)
    assert reason(apply_one(history, settled, ALICE, frozenset({"note"}))) == "permission"
    (write,) = Craft.of(settled).writes
    unknown = Write("owner", NULL, b"", write.predecessors, DELETE)
    refused = apply_one(history, altered(settled, writes=(unknown,)), ALICE)
    assert reason(refused) == "predecessor", "nothing stands there"


def test_nothing_is_deleted() -> None:
    history = drill()
    change = changed(history, EVE, count=3)
    (write,) = Craft.of(change).writes
    gone = Write("count", NULL, b"", write.predecessors, DELETE)
    assert reason(apply_one(history, altered(change, writes=(gone,)), EVE)) == "predecessor"
    untouched = Write("note", NULL, b"", (), DELETE)
    assert reason(apply_one(history, altered(change, writes=(untouched,)), EVE)) == "predecessor"


@pytest.mark.parametrize(
    ("field", "kind", "raw", "action"),
    [
        ("colour", TEXT, b"red", 1),
        ("note", INTEGER, sleb(1), 1),
        ("note", FLOAT, bytes(8), 1),
        ("note", TEXT, b"x" * 201, 1),
        ("note", NULL, b"", MAKE_LIST),
        ("note", NULL, b"", MAKE_TEXT),
        ("open", INTEGER, sleb(1), 1),
        ("open", TEXT, b"yes", 1),
        ("note", TRUE, b"", 1),
    ],
)
def test_values_that_do_not_fit_the_schema(field: str, kind: int, raw: bytes, action: int) -> None:
    history = drill()
    change = altered(changed(history, EVE, note="x"), writes=(Write(field, kind, raw, (), action),))
    assert reason(apply_one(history, change, EVE)) == "field"


@pytest.mark.parametrize(
    ("kind", "raw"),
    [(TRUE, b""), (INTEGER, sleb(1001)), (INTEGER, sleb(-1)), (INTEGER, sleb(2**53))],
)
def test_an_integer_is_no_boolean_and_has_bounds(kind: int, raw: bytes) -> None:
    history = drill()
    honest = changed(history, EVE, count=5)
    (write,) = Craft.of(honest).writes
    change = altered(honest, writes=(Write("count", kind, raw, write.predecessors),))
    assert reason(apply_one(history, change, EVE)) == "field"


def test_a_required_field_is_there_from_the_creation_on() -> None:
    nameless = Craft(ALICE, writes=(Write("note", TEXT, b"red"),)).pack()
    assert apply_one([], nameless, ALICE) == Refused("field", "name is missing")
    empty = Craft(ALICE, writes=(Write("name", NULL),)).pack()
    assert apply_one([], empty, ALICE) == Refused("field", "name may not be empty")
    history = drill()
    honest = changed(history, EVE, name="x")
    (write,) = Craft.of(honest).writes
    emptied = altered(honest, writes=(Write("name", NULL, b"", write.predecessors),))
    assert apply_one(history, emptied, EVE) == Refused("field", "name may not be empty")


def test_the_place_in_the_history_must_be_exact() -> None:
    history = drill()
    change = changed(history, EVE, note="mine")
    second = changed([*history, change], EVE, note="still mine")
    assert reason(apply_one(history, altered(change, seq=2), EVE)) == "sequence", "a gap"
    again = altered(second, seq=1)
    assert reason(apply_one([*history, change], again, EVE)) == "sequence", "a step back"
    assert reason(apply_one(history, altered(change, start_op=9), EVE)) == "counter"
    assert reason(apply_one(history, altered(change, deps=(bytes(32),)), EVE)) == "dependency"
    assert reason(apply_one([*history, change], change, EVE)) == "duplicate"
    other = create(BOB, {"name": "saw"}, THING)
    assert reason(apply_one(history, other, BOB)) == "root", "a document has one creation"
    assert reason(apply_one([], altered(other, seq=2), BOB)) == "sequence"
    assert reason(apply_one([], altered(other, start_op=2), BOB)) == "counter"
    forgetful = altered(second, deps=(parse_change(history[-1]).hash,), start_op=4)
    assert reason(apply_one([*history, change], forgetful, EVE)) == "sequence", "her own is missing"


def test_a_clock_time_or_a_message_is_not_written_by_a_commons_node() -> None:
    history = drill()
    change = changed(history, EVE, note="mine")
    assert reason(apply_one(history, altered(change, time=1_700_000_000), EVE)) == "form"
    assert reason(apply_one(history, altered(change, message=b"hello"), EVE)) == "form"


def test_what_depends_on_a_refused_change_is_refused_too() -> None:
    history = drill()
    bad = changed(history, EVE, name="EVE'S")
    on_top = changed([*history, bad], ALICE, note="Alice saw it")
    beside = changed(history, BOB, note="Bob did not")
    result = apply(
        history,
        [
            Candidate(bad, EVE, frozenset({"note"})),
            Candidate(on_top, ALICE),
            Candidate(beside, BOB),
        ],
        THING,
    )
    assert [r.reason if isinstance(r, Refused) else "" for r in result.results] == [
        "permission",
        "dependency",
        "",
    ], "the branch is pruned, the rest stays"
    assert result.fields == {"name": "drill", "count": 2, "note": "Bob did not"}


def test_the_change_after_the_thousandth_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    history = [create(ALICE, {"name": "drill"}, THING)]
    header = parse_change(history[0])
    for n in range(1000):
        previous = ((n, ALICE),) if n else ()
        write = Write("count", INTEGER, sleb(n % 1000), ((n + 1, ALICE),) if previous else ())
        change = Craft(ALICE, n + 2, n + 2, (header.hash,), (write,)).pack()
        header = parse_change(change)
        history.append(change)
    result = apply([], [Candidate(change, ALICE) for change in history], THING)
    assert [type(r) for r in result.results] == [Applied] * 1000 + [Refused]
    assert result.results[-1] == Refused("full")
    with pytest.raises(DocumentFull):
        edit(history[:1000], BOB, {"note": "late"}, THING)
    monkeypatch.setattr(rules, "BRANCHES_LIMIT", 2)
    assert reason(apply_one(drill(), changed(drill(), EVE, note="x"), EVE)) == "limit"


def test_one_branch_never_fills_the_document_for_another() -> None:
    """`full` counts the causal past: whatever else arrived before, the answer is the same."""
    history = drill()
    branch = list(history)
    for n in range(30):
        branch.append(changed(branch, EVE, note=f"{n}"))
    late = changed(history, BOB, note="Bob was offline")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rules, "CHANGES_LIMIT", 32)
        assert isinstance(apply_one(branch, late, BOB), Applied)
        assert reason(apply_one(branch, changed(branch, BOB, note="x"), BOB)) == "full"


def test_everything_that_crosses_to_a_worker_can_be_pickled() -> None:
    candidate = Candidate(drill()[0], ALICE, frozenset({"name"}))
    result = apply([], [candidate, Candidate(b"", BOB)], THING)
    for value in (candidate, THING, result, view(drill()), DocumentFull()):
        copy = pickle.loads(pickle.dumps(value))  # noqa: S301 - our own bytes
        assert str(copy) == str(value), "it arrives as it was sent"


def test_a_schema_keeps_its_own_bounds() -> None:
    for wrong in (
        lambda: Field("number"),  # type: ignore[arg-type]
        lambda: Field.text(0),
        lambda: Field.integer(5, 4),
        lambda: Field.integer(0, 2**53),
        lambda: DocumentSchema("empty", {}),
        lambda: DocumentSchema("long", {"x" * 65: Field.boolean()}),
    ):
        with pytest.raises(ValueError):
            wrong()
