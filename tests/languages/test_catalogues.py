"""Every text is there in every language, with its gaps and the commands that it names."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog
from babel.messages.pofile import write_po
from scripts import texts

from commons_cli import texts as ours
from commons_cli.calls import agreed
from commons_crdt.errors import CommonsError
from commons_crdt.texts import N_, Spoken, _, either, listed, ngettext, reading
from commons_node.api import language
from commons_node.explaining import catalogue
from commons_protocol.network import NotAtRelay, Unreachable
from commons_tui import words

MEND = "make texts, translate what stands empty in the .po, and make texts again"


@pytest.fixture
def swedish() -> object:
    found = language.catalogue("sv")
    assert found is not None, "the tests compile it"
    token = reading.set(found)
    yield found
    reading.reset(token)


@pytest.fixture(scope="module")
def source() -> dict[texts.Key, set[str]]:
    return texts.found()


def test_the_source_has_texts_of_every_package(source: dict[texts.Key, set[str]]) -> None:
    places = {place.split("/")[0] for found in source.values() for place in found}
    assert places == {"cli", "click", "crdt", "node", "protocol", "tui"}
    assert len(source) > 1_800


@pytest.mark.parametrize("file", texts.files(), ids=lambda file: file.parents[1].name)
def test_nothing_is_missing(file: Path, source: dict[texts.Key, set[str]]) -> None:
    wrong = texts.problems(file, source)
    assert not wrong, f"{len(wrong)} texts; {MEND}:\n" + "\n".join(wrong)


def _blank(catalog: Catalog) -> None:
    catalog["Nothing was changed."].string = ""


def _doubtful(catalog: Catalog) -> None:
    catalog["Nothing was changed."].flags.add("fuzzy")


def _without_a_gap(catalog: Catalog) -> None:
    catalog.add("{name} is on loan.", "{name} är utlånad.")
    catalog["{label} is on loan."].string = "Den är utlånad."


def _another_command(catalog: Catalog) -> None:
    key = "look with commons-node status, or give more time with --timeout S"
    catalog[key].string = "titta med commons-node loan list, eller ge mer tid med --tid S"


def _without_a_plural(catalog: Catalog) -> None:
    found = catalog["{days} day ago"]
    found.string = ("för {days} dag sedan", "")


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (_blank, "'Nothing was changed.': is not translated"),
        (_doubtful, "'Nothing was changed.': is marked as doubtful (fuzzy)"),
        (_without_a_gap, "has the gaps [], not ['label']"),
        (_without_a_gap, "'{name} is on loan.': stands nowhere in the source"),
        (_another_command, "names ['--tid', 'commons-node loan list'], not"),
        (_without_a_plural, "'{days} day ago': is not translated"),
    ],
)
def test_each_fault_is_told_with_its_place(
    fault: Callable[[Catalog], None],
    said: str,
    tmp_path: Path,
    source: dict[texts.Key, set[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    catalog = texts.read(texts.LOCALES / "sv/LC_MESSAGES/commons-node.po")
    fault(catalog)
    file = tmp_path / "sv/LC_MESSAGES/commons-node.po"
    file.parent.mkdir(parents=True)
    monkeypatch.setattr(texts, "ROOT", tmp_path)
    with file.open("wb") as opened:
        write_po(opened, catalog)
    told = texts.problems(file, source)
    assert [one for one in told if said in one], told


def test_a_new_text_stands_empty_and_an_old_one_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "sv/LC_MESSAGES/commons-node.po"
    file.parent.mkdir(parents=True)
    file.write_bytes((texts.LOCALES / "sv/LC_MESSAGES/commons-node.po").read_bytes())
    one = {"Nothing was changed.": {"a.py"}, "Nobody has written this yet.": {"b.py"}}
    monkeypatch.setattr(texts, "found", lambda: one)
    texts.update(file)
    made = {message.id: message.string for message in texts.read(file) if message.id}
    assert made == {"Nothing was changed.": "Inget ändrades.", "Nobody has written this yet.": ""}


# --- how sentences are made -----------------------------------------------------------------------


def test_a_number_chooses_its_form(swedish: object) -> None:
    forms = [ngettext("{days} day ago", "{days} days ago", n).format(days=n) for n in (0, 1, 2)]
    assert forms == ["0 dagar sedan", "1 dag sedan", "2 dagar sedan"]


def test_days_and_lists_are_said_as_the_language_says_them(swedish: object) -> None:
    moment = datetime(2026, 5, 1, 9, 5, tzinfo=UTC)
    assert catalogue.day(moment) == "den 1 maj 2026"
    assert catalogue.until(moment) == "1 maj 2026 kl. 09:05"
    assert listed(["Anna", "Bo", "Cia"]) == "Anna, Bo och Cia"
    assert either(["ja", "nej"]) == "ja eller nej"
    assert catalogue.sentence("{author} took {about}.", author="Bo", about="Stege") == (
        "Bo tog emot Stege."
    )


def test_near_days_in_both_languages() -> None:
    today = date(2026, 5, 1)
    days = ("2026-05-01", "2026-05-02", "2026-04-30", "2026-05-04", "2026-04-28", "2027-01-01")
    assert [words.day(one, today) for one in days] == [
        "today", "tomorrow", "yesterday", "in 3 days", "3 days ago", "2027-01-01",
    ]  # fmt: skip
    ours.use("sv")
    try:
        assert [words.day(one, today) for one in days] == [
            "i dag", "i morgon", "i går", "om 3 dagar", "3 dagar sedan", "2027-01-01",
        ]  # fmt: skip
    finally:
        ours.use("")
    assert ours.language() == "en", "and the environment is as it was"


class NoSuchShed(CommonsError):
    """The act was not written: {why}"""

    hint = "try again"
    texts = ("why",)


def test_an_error_is_said_in_the_language_of_who_reads_it() -> None:
    error = NoSuchShed(why="no time given: {odd}")
    assert str(error) == "The act was not written: no time given: {odd}"
    token = reading.set(language.catalogue("sv"))
    try:
        assert str(error) == "Handlingen skrevs inte: no time given: {odd}"
        assert error.way_out == "försök igen"
    finally:
        reading.reset(token)
    assert str(error).startswith("The act"), "and a log that comes later is English"


def test_what_was_tried_in_the_background_is_told_in_the_language_too() -> None:
    refused = Unreachable(N_("no answer within {seconds} s"), seconds=5)
    error = NotAtRelay(
        causes=(("/ip4/10.0.0.7/tcp/4001", refused), ("", Unreachable(N_("not connected"))))
    )
    assert error.reason == "/ip4/10.0.0.7/tcp/4001: no answer within 5 s; not connected"
    token = reading.set(language.catalogue("sv"))
    try:
        assert error.reason == "/ip4/10.0.0.7/tcp/4001: inget svar inom 5 s; inte ansluten"
        assert str(error).startswith("Den här grannoden finns inte vid sitt relä nu. (")
    finally:
        reading.reset(token)


def test_a_table_is_read_in_the_language_and_keeps_its_keys(swedish: object) -> None:
    table = Spoken({"a": "yes", "b": "no"})
    assert dict(table) == {"a": "ja", "b": "nej"}
    assert _("") == "", "the head of a catalogue is no translation"


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, "en"),
        ({"LANG": "sv_SE.UTF-8"}, "sv"),
        ({"LANG": "en_GB.UTF-8", "LANGUAGE": "sv:en"}, "sv"),
        ({"LANG": "sv_SE.UTF-8", "LANGUAGE": "xx:en:sv"}, "en"),
        ({"LANG": "sv_SE.UTF-8", "LC_ALL": "C.UTF-8"}, "en"),
        ({"LANG": "C", "LANGUAGE": "sv"}, "en"),
        ({"LANG": "C.UTF-8", "LANGUAGE": "sv"}, "sv"),
        ({"LANG": "sv_SE.UTF-8", "LC_MESSAGES": "en_US"}, "en"),
        ({"LANG": "../../etc"}, "en"),
    ],
)
def test_the_environment_says_the_language(environment: dict[str, str], expected: str) -> None:
    assert language.of_environment(environment) == expected


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, "en"), ("", "en"), ("sv", "sv"), ("sv-SE,en;q=0.5", "sv"),
        ("en;q=0.9,sv;q=0.3", "en"),
        ("fi,sv;q=0.8", "sv"), ("*", "en"), ("sv;q=0", "en"), ("sv;q=x", "en"), ("../sv", "en"),
        ("x" * 9_000, "en"),
    ],
)  # fmt: skip
def test_a_header_says_the_language(header: str | None, expected: str) -> None:
    assert language.of_header(header) == expected


@pytest.mark.parametrize(
    ("name", "typed", "expected"),
    [("sv", "j", True), ("sv", "JA", True), ("sv", "y", True), ("sv", "nej", False),
     ("sv", "", False), ("en", "yes", True), ("en", "n", False)],
)  # fmt: skip
def test_a_question_takes_yes_in_both_languages(
    name: str, typed: str, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("commons_cli.calls.click.prompt", lambda *_args, **_more: typed)
    ours.use(name)
    try:
        assert agreed("?") is expected
    finally:
        ours.use("")
