"""Writing: one change per call, the same bytes for the same arguments, accepted by others."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.test_document_bytes import (
    ALICE,
    BOB,
    EVE,
    THING,
    contended,
    contended_and_settled,
    history_of,
)

from commons_crdt.document.apply import apply
from commons_crdt.document.change import DEPENDENCIES_LIMIT, parse_change
from commons_crdt.document.schema import TEXT_LIMIT, DocumentSchema, Field, FieldError
from commons_crdt.document.values import Applied, Candidate, Value
from commons_crdt.document.view import view
from commons_crdt.document.write import create, create_many, edit

things = st.fixed_dictionaries(
    {"name": st.text(max_size=80)},
    optional={
        "note": st.none() | st.text(max_size=200),
        "count": st.none() | st.integers(0, 1000),
        "open": st.none() | st.booleans(),
    },
)


@settings(deadline=None)
@given(things, things)
def test_what_is_written_is_applied_and_shown(
    first: dict[str, Value], second: dict[str, Value]
) -> None:
    creation = create(ALICE, first, THING)
    change, deps = edit([creation], BOB, second, THING)
    assert deps == (parse_change(creation).hash,)
    shown: dict[str, Value] = {n: value for n, value in first.items() if value is not None}
    batch = [Candidate(creation, ALICE)]
    if change is not None:
        batch.append(Candidate(change, BOB))
        shown |= {n: v for n, v in second.items() if v is not None or n in shown}
    result = apply([], batch, THING)
    assert all(isinstance(answer, Applied) for answer in result.results)
    assert {n: (type(v), v) for n, v in result.fields.items()} == {
        n: (type(v), v) for n, v in shown.items()
    }


def test_the_same_arguments_give_the_same_bytes() -> None:
    one = create(ALICE, {"name": "drill", "note": "red", "open": True}, THING)
    two = create(ALICE, {"open": True, "note": "red", "name": "drill"}, THING)
    assert one == two, "in whatever order the fields are given"
    for _ in range(3):
        assert edit([one], BOB, {"count": 3}, THING) == edit([two], BOB, {"count": 3}, THING)
    assert parse_change(one).time == 0, "no clock"


def test_many_creations_at_once_are_the_same_as_one_by_one() -> None:
    rows: list[dict[str, Value]] = [{"name": f"thing {n}", "count": n} for n in range(50)]
    assert create_many(ALICE, rows, THING) == tuple(create(ALICE, row, THING) for row in rows)


def test_an_edit_that_changes_nothing_is_no_change() -> None:
    history = history_of((ALICE, {"name": "drill", "count": 1}))
    head = (parse_change(history[0]).hash,)
    assert edit(history, BOB, {"name": "drill", "count": 1}, THING) == (None, head)
    assert edit(history, BOB, {}, THING) == (None, head)
    assert edit(history, BOB, {"note": None}, THING) == (None, head), "it was empty before"


def test_emptying_a_field_leaves_it_empty() -> None:
    history = history_of((ALICE, {"name": "drill", "note": "red"}), (BOB, {"note": None}))
    assert view(history).fields == {"name": "drill", "note": None}


def test_keeping_the_displayed_value_settles_a_conflict() -> None:
    assert view(contended()[:-1]).conflicts.keys() == {"name"}
    settled = view(contended_and_settled())
    assert settled.conflicts == {}
    assert settled.fields["name"] == "driller"


def test_an_author_returns_to_a_document_that_others_went_on_with() -> None:
    history = history_of(
        (ALICE, {"name": "drill"}),
        (BOB, {"note": "one"}),
        (EVE, {"note": "two"}),
    )
    change, deps = edit(history, BOB, {"note": "three"}, THING)
    assert change is not None
    assert deps == parse_change(change).deps, "what must be named in refs"
    assert len(deps) == 2, "the head and, as Automerge wants it, Bob's own last change"
    (answer,) = apply(history, [Candidate(change, BOB)], THING).results
    assert isinstance(answer, Applied)


@pytest.mark.parametrize("author", [0, 7, 39, 40])
def test_more_branches_than_a_change_can_name_are_merged_step_by_step(author: int) -> None:
    start = history_of((ALICE, {"name": "drill"}))
    people = [bytes([n]) * 32 for n in range(41)]
    log = list(start)
    for n, person in enumerate(people[:40]):
        change, _ = edit(start, person, {"count": n}, THING)
        assert change is not None
        log.append(change)
    assert len(view(log).heads) == 40
    for step in range(4):
        change, deps = edit(log, people[author], {"note": f"merge {step}"}, THING)
        assert change is not None
        assert len(deps) <= DEPENDENCIES_LIMIT, "others refuse a change with more"
        (answer,) = apply(log, [Candidate(change, people[author])], THING).results
        assert isinstance(answer, Applied), "the merge is accepted"
        log.append(change)
    assert len(view(log).heads) == 1, "after some edits all branches are one"
    assert view(log).conflicts.keys() <= {"count"}


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"name": "drill", "colour": "red"}, "The field colour is not a field of this document."),
        ({"note": "red"}, "The field name is missing."),
        ({}, "The field name is missing."),
        ({"name": None}, "The field name is missing."),
        ({"name": "x" * 81}, "The field name must be at most 80 characters."),
        ({"name": 7}, "The field name must be a text."),
        ({"name": "x", "count": True}, "The field count must be an integer."),
        ({"name": "x", "count": 1001}, "The field count must be 0 to 1000."),
        ({"name": "x", "open": 1}, "The field open must be true or false."),
        ({"name": "\ud800"}, "The field name must be valid Unicode."),
    ],
)
def test_what_does_not_fit_is_said_in_a_sentence(fields: dict[str, Value], sentence: str) -> None:
    with pytest.raises(FieldError) as caught:
        create(ALICE, fields, THING)
    assert str(caught.value) == sentence


def test_an_edit_has_the_same_bounds() -> None:
    history = history_of((ALICE, {"name": "drill"}))
    for fields in ({"name": None}, {"colour": "red"}, {"count": -1}):
        with pytest.raises(FieldError):
            edit(history, BOB, dict[str, Value](fields), THING)
    with pytest.raises(ValueError, match="32 bytes"):
        edit(history, b"bob", {"note": "x"}, THING)


def test_a_change_too_long_for_an_operation_is_refused_before_it_is_signed() -> None:
    book = DocumentSchema("book", {n: Field.text(TEXT_LIMIT) for n in ("title", "one", "two")})
    long = "€" * 12_000
    assert len(create(ALICE, {"title": "t", "one": long}, book)) > len(long.encode())
    with pytest.raises(FieldError, match="longer than"):
        create(ALICE, {"title": "t", "one": long, "two": long}, book)
    optional = DocumentSchema("empty", {"note": Field.text(9)})
    with pytest.raises(FieldError):
        create(ALICE, {"note": None}, optional)


@pytest.mark.parametrize("count", [1, 2, 63, 64])
def test_a_document_may_have_as_many_fields_as_its_schema(count: int) -> None:
    wide = DocumentSchema("wide", {f"field{n}": Field.integer(0, 99) for n in range(count)})
    fields: dict[str, Value] = {f"field{n}": n for n in range(count)}
    creation = create(ALICE, fields, wide)
    change, _ = edit([creation], BOB, dict.fromkeys(fields, 99), wide)
    assert change is not None
    result = apply([], [Candidate(creation, ALICE), Candidate(change, BOB)], wide)
    assert all(isinstance(answer, Applied) for answer in result.results)
    assert result.fields == dict.fromkeys(fields, 99)
