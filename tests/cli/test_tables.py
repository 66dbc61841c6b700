"""Plain text that fits the terminal, whatever the names are."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from commons_cli.output import sentence
from commons_cli.tables import clean, details, shown, table, width, wrap
from commons_cli.values import show_duration
from commons_cli.watching import fitting

COLUMNS = (("name", "Name", "text"), ("due", "Due", "text"), ("n", "No.", "number"))


def test_columns_are_aligned_and_numbers_stand_right() -> None:
    rows: list[dict[str, Any]] = [
        {"name": "drill", "due": "Friday", "n": 7},
        {"name": "ladder", "due": None, "n": 1622},
    ]
    assert table(COLUMNS, rows, 80) == [
        "Name    Due      No.",
        "drill   Friday     7",
        "ladder  -       1622",
    ]


def test_a_narrow_terminal_wraps_within_the_column() -> None:
    rows = [{"name": "a cordless drill with two batteries", "due": "Friday", "n": 1}]
    lines = table(COLUMNS, rows, 30)
    assert all(width(line) <= 30 for line in lines)
    assert lines[1].startswith("a cordless drill")
    assert lines[2].startswith("with two")
    assert "Friday" in lines[1]


def test_a_terminal_too_narrow_for_its_words_shows_one_row_after_the_other() -> None:
    rows: list[dict[str, Any]] = [
        {"name": "ladder", "due": "2026-11-22", "n": 7},
        {"name": "a drill with two batteries", "due": None, "n": 1622},
    ]
    assert table(COLUMNS, rows, 20) == [
        "Name  ladder",
        "Due   2026-11-22",
        "No.   7",
        "",
        "Name  a drill with",
        "      two batteries",
        "Due   -",
        "No.   1622",
    ]
    assert table(COLUMNS, [], 20), "titles alone stay in one line"


def test_what_is_watched_begins_at_the_top_and_ends_with_the_screen() -> None:
    lines = ["a long first line", "two", "three"]
    assert fitting(lines, 80, 3) == lines
    assert fitting(lines, 80, 2) == ["a long first line", "…"]
    assert fitting(lines, 10, 4) == lines, "a long line takes two"
    assert fitting(lines, 10, 3) == ["a long first line", "…"]
    assert fitting(lines, 5, 3) == ["…"]


def test_wide_and_joined_characters_take_their_room() -> None:
    assert width("drill") == 5
    assert width("電動ドリル") == 10
    assert width("e\u0301") == 1
    rows = [{"name": "電動", "due": "x", "n": 1}, {"name": "abcd", "due": "x", "n": 1}]
    lines = table(COLUMNS, rows, 80)
    assert width(lines[1]) == width(lines[2]), "columns stay aligned"


@given(st.text(max_size=60), st.integers(1, 20))
def test_wrapping_loses_nothing_and_never_exceeds(text: str, wide: int) -> None:
    lines = wrap(clean(text), wide)
    assert "".join(lines).replace(" ", "") == clean(text).replace(" ", "")
    assert all(width(line) <= max(wide, 2) for line in lines)


@given(st.text())
def test_nothing_in_a_name_drives_the_terminal(name: str) -> None:
    out = shown(name)
    assert "\n" not in out
    for one in "\x1b\x07\x08\r\x00\x9b\u202e\u2066\u200f\u2028":
        assert one not in out


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
        ),
        max_leaves=12,
    )
)
def test_any_answer_can_be_shown(value: object) -> None:
    assert all(isinstance(one, str) for one in details({"value": value}, 40))


def test_the_first_sentence_whose_fields_are_there() -> None:
    templates = ["{thing} until {until}.", "{thing}."]
    assert sentence(templates, {"thing": "drill", "until": "Friday"}) == "drill until Friday."
    assert sentence(templates, {"thing": "drill", "until": None}) == "drill."
    assert sentence(templates, {}) is None
    assert sentence(["{thing}"], {"thing": "{0.__class__} {x!r}"}) == "{0.__class__} {x!r}", (
        "braces in data are only braces"
    )


def test_a_duration_is_shown_as_it_is_typed() -> None:
    assert [show_duration(one) for one in (0, 45, 90, 900, 7200, 86_400, 604_800)] == [
        "0s",
        "45s",
        "90s",
        "15m",
        "2h",
        "1d",
        "1w",
    ]
