"""Languages that nobody speaks: nothing on any page is left in English, and everything fits."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from scripts import texts
from tests.e2e.neighbourhood import House, street
from tests.languages.english import english_in
from tests.languages.pseudo import LONG, RIGHT_TO_LEFT, spoken
from tests.tui.hall import PASSPHRASE, build
from tests.tui.screen import Seat, flat, seat

from commons_cli.build import build as build_cli
from commons_cli.main import load_verbs
from commons_cli.options import Options
from commons_cli.output import lines_of, sentence
from commons_cli.tables import isolated, table, width
from commons_cli.texts import use
from commons_tui.places import places

_NOT_TEXT = re.compile(
    r"--?[a-z][\w-]*|commons-node[\w .-]*|[A-Z][A-Z_|.\[\]=<>]*|\[[^\]]*\]|\{[^}]*\}|`[^`]*`"
    r"|eval \"\$\([^)]*\)\"|\d[\w.-]*"
)


SIZES = [(40, 20), pytest.param((80, 24), marks=pytest.mark.long)]
NAME = "סולם"


def pages() -> Iterator[tuple[str, click.Command, click.Context]]:
    """Every command with its help, groups too."""

    def walk(
        name: str, command: click.Command, context: click.Context
    ) -> Iterator[tuple[str, click.Command, click.Context]]:
        yield name, command, context
        if isinstance(command, click.Group):
            for word in command.list_commands(context):
                below = command.get_command(context, word)
                assert below is not None, word
                inner = click.Context(below, info_name=word, parent=context, terminal_width=80)
                yield from walk(f"{name} {word}", below, inner)

    root = build_cli(load_verbs())
    yield from walk("", root, click.Context(root, info_name="commons-node", obj=Options()))


def rest(page: str) -> str:
    """What of a page was not translated, without what is typed and never is."""
    known = page
    while (inner := re.sub(r"⟦[^⟦⟧]*⟧", "", known)) != known:
        known = inner
    # A summary that is cut in a list of commands has lost its end.
    return re.sub(r"⟦[^⟦⟧]*?\.\.\.$", "", known, flags=re.MULTILINE)


def test_every_page_of_help_is_translated_and_fits(pseudo: Path) -> None:
    count = 0
    with spoken(pseudo, LONG):
        for name, command, context in pages():
            text = command.get_help(context)
            left = rest(text)
            names = {word for line in left.splitlines() for word in line.split()[:1]}
            words = set(re.findall(r"[A-Za-z]{3,}", _NOT_TEXT.sub(" ", left)))
            typed = {*name.split(), *names}
            if isinstance(command, click.Group):
                typed |= {part for one in command.list_commands(context) for part in one.split("-")}
            assert words <= typed, f"{name}: {sorted(words - typed)} in\n{text}"
            wide = [line for line in text.splitlines() if "⟦" in line and width(line) > 100]
            assert not wide, f"{name}: {wide}"
            count += 1
    assert count > 100, "every verb and every noun"


@pytest.fixture(scope="module")
def hall() -> Iterator[House]:
    with street() as made:
        house = build(made, "language")
        house.do("member.unlock", member="Anna", passphrase=PASSPHRASE)
        house.do("resource.add", name="סולם של אבי", number="11", brand="العربية")
        house.do("resource.add", name="\u2067מקדחה", number="12")
        house.do("member.lock")
        yield house


async def enters(anna: Seat) -> None:
    """Unlock, whatever the words on the screen are."""
    await anna.until(lambda: anna.app.now.here, "the node answers")
    await anna.press("u")
    await anna.until(lambda: len(anna.app.screen_stack) > 1, "the dialog is open")
    await anna.types(PASSPHRASE)
    await anna.press("enter")
    await anna.until(lambda: anna.app.now.me is not None, "she is unlocked")


def of_interfaces() -> list[str]:
    """The texts of TUI and command line, as long as nobody could mean something else by them."""
    all_of_them = texts.found()
    ours = ("tui/", "cli/commons_cli/output")
    found = [
        texts._first(key)
        for key, files in all_of_them.items()
        if any(file.startswith(ours) for file in files)
    ]
    said = " | ".join(  # by the node, which speaks English here
        texts._first(key)
        for key, files in all_of_them.items()
        if not any(file.startswith(ours) for file in files)
    ).casefold()
    return [one for one in found if len(one) > 3 and "{" not in one and one.casefold() not in said]


@pytest.mark.parametrize("size", SIZES, ids=lambda size: "{}x{}".format(*size))
async def test_every_place_is_translated_and_fits(
    hall: House, pseudo: Path, size: tuple[int, int]
) -> None:
    said = [re.compile(rf"(?<!\w){re.escape(one)}(?!\w)") for one in of_interfaces()]
    with spoken(pseudo, LONG):
        async with seat(hall.home, size) as anna:
            await anna.sees("⟦")
            await enters(anna)
            for number, place in enumerate(places(), 1):
                await anna.press(str(number))
                await anna.until(lambda: "⟦" in anna.text, f"{place.id} is there")
                await anna.pilot.pause(0.3)
                lines = anna.text.splitlines()
                assert len(lines) <= size[1]
                assert all(width(line) <= size[0] for line in lines), place.id
                plain = " ".join(anna.text.split())
                english = [one.pattern for one in said if one.search(plain)]
                assert not english, f"{place.id}: {english}\n{anna.text}"
            await anna.press("question_mark")
            await anna.until(lambda: len(anna.app.screen_stack) > 1, "help is open")
            await anna.pilot.pause(0.2)
            plain = " ".join(anna.text.split())
            assert not [one.pattern for one in said if one.search(plain)], anna.text


@pytest.mark.parametrize("size", SIZES, ids=lambda size: "{}x{}".format(*size))
async def test_letters_from_right_to_left_break_no_place(
    hall: House, pseudo: Path, size: tuple[int, int]
) -> None:
    with spoken(pseudo, RIGHT_TO_LEFT):
        async with seat(hall.home, size) as anna:
            await enters(anna)
            for number, place in enumerate(places(), 1):
                await anna.press(str(number))
                await anna.pilot.pause(0.3)
                assert all(width(line) <= size[0] for line in anna.text.splitlines()), place.id
                assert re.search("[א-ת]", anna.text), f"{place.id} speaks the language"
            await anna.press("2")
            await anna.sees("סולם")
            assert "\u2067" not in anna.text, "a name turns no line round"


@pytest.mark.long
async def test_every_place_speaks_swedish_with_what_the_node_says(
    hall: House, pseudo: Path
) -> None:
    with spoken(pseudo, "sv"):
        async with seat(hall.home, (120, 36)) as anna:
            await enters(anna)
            for number, place in enumerate(places(), 1):
                await anna.press(str(number))
                await anna.pilot.pause(0.5)
                said = " ".join(flat(anna.text).split())
                assert not english_in(said), f"{place.id}: {english_in(said)}\n{anna.text}"
            await anna.press("1")
            await anna.sees("Väntar på dig", "Anna beskrev en sak")


def test_names_from_right_to_left_stay_in_their_columns(pseudo: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"name": "סולם של אבי", "state": "on_loan", "n": 11},
        {"name": "مثقاب لاسلكي طويل الاسم جدا", "state": "available", "n": 1622},
        {"name": "Drill", "state": "available", "n": 3},
    ]
    columns = (("name", "Name", "text"), ("state", "State", "text"), ("n", "Number", "number"))
    for language in ("en", "sv", RIGHT_TO_LEFT):
        with spoken(pseudo, language):
            for wide in (30, 60):
                lines = table(columns, rows, wide)
                assert all(width(line) <= wide for line in lines), lines
                for line in lines:
                    assert line.count("\u2068") == line.count("\u2069"), "each part is closed"
                    bare = re.sub("\u2068[^\u2069]*\u2069", "", line)
                    if language != RIGHT_TO_LEFT:
                        assert not re.search("[\u0590-\u08ff]", bare), "and nothing is outside"


def test_a_sentence_holds_a_name_from_right_to_left_apart() -> None:
    use("en")
    said = sentence(["{name} is with {who}."], {"name": NAME, "who": "Bo"})
    assert said == f"\u2068{NAME}\u2069 is with Bo."
    assert isolated("Stege") == "Stege", "what needs no isolation gets none"


def test_codes_in_tables_are_words_of_the_language(pseudo: Path) -> None:
    verb = {
        "says": [],
        "table": {
            "rows": "loans",
            "columns": [["name", "Thing", "text"], ["state", "State", "text"]],
            "empty": "No loans.",
        },
    }
    answer = {"loans": [{"name": "on_loan", "state": "on_loan"}]}
    assert lines_of(verb, answer)[1] == "on_loan  on_loan", "English keeps the code"
    with spoken(pseudo, "sv"):
        assert lines_of(verb, answer) == ["Sak      Läge", "on_loan  utlånad"]
        assert lines_of(verb, {"loans": []}) == ["Inga lån."]
