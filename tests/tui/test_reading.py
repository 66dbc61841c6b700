"""History, reasons, the palette, the mouse, no colour, a split: what is read, and by what means."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest
from tests.e2e.neighbourhood import House, Street
from tests.tui.hall import BOS, PASSPHRASE, build
from tests.tui.screen import PATIENCE_S, Seat, seat
from textual.css.query import NoMatches
from textual.geometry import Offset
from textual.widgets import Static
from textual.worker import Worker, WorkerFailed

from commons_tui.bridge import Bridge
from commons_tui.dialogs.dialog import Say
from commons_tui.frame import Line
from commons_tui.place import PlaceView
from commons_tui.places.activity import Activity
from commons_tui.rows import Rows
from commons_tui.standing import Now, ask_now


@pytest.fixture(scope="module")
def hall(elm_street: Street) -> House:
    return build(elm_street)


def test_the_history_comes_in_pages_the_newest_first(hall: House) -> None:
    whole = hall.see("activity.list", limit=500)
    lines = whole["activity"]
    assert whole["next"] is None
    times = [one["time"] for one in lines]
    assert times == sorted(times, reverse=True)
    assert lines[0]["sentence"] == "Bo asked for Cordless drill 8."
    assert any(one["sentence"] == "Anna's node let Bo in." for one in lines)
    paged, before = [], ""
    while True:
        page = hall.see("activity.list", limit=5, **({"before": before} if before else {}))
        paged += page["activity"]
        before = page["next"]
        if not before:
            break
    assert paged == lines, "pages put together are the whole"
    bos = hall.see("activity.list", who="Bo", limit=500)["activity"]
    assert bos == [one for one in lines if one["author"] == "Bo"]
    with_nodes = hall.see("activity.list", nodes=True, limit=500)["activity"]
    assert {one["operation"] for one in lines} <= {one["operation"] for one in with_nodes}
    assert hall.cli("activity", "list", "--before", "00" * 32).error["code"] == "unknown"


def test_who_is_here_and_an_offer_that_says_its_loan_by_itself(hall: House) -> None:
    here = {one["name"]: one for one in hall.see("member.here")["members"]}
    assert {name: one["unlocked"] for name, one in here.items()} == {"Anna": False, "Bo": False}
    hall.do("member.unlock", member="Anna", passphrase=PASSPHRASE, **{"for": 100})
    anna, _bo = hall._client().view("member.here", {}, 10)["members"]
    assert anna["unlocked"] is True
    assert 0 < anna["seconds"] <= 100
    hall.do("loan.approve", loan="7")
    offer = hall.do("loan.handover", loan="7")["offer"]
    assert hall.refused("loan.accept").code == "missing_argument", "nothing says which loan"
    hall.do("member.lock")
    hall.session = None
    hall.do("member.unlock", member="Bo", passphrase=BOS)
    assert hall.do("loan.accept", offer=offer)["state"] == "on_loan", "the code is enough"
    hall.do("member.lock")
    hall.session = None


async def test_every_line_is_explained_and_every_cause_in_turn(hall: House) -> None:
    async with seat(hall.home) as anna:
        await anna.unlocks(PASSPHRASE)
        await anna.press("7")
        await anna.sees("Bo asked for Cordless drill 8.", "✓ counts", "Because")
        await anna.press("slash")
        await anna.types("bo asked cordless")
        await anna.press("enter")
        await anna.sees("a request for a loan")
        said = hall.see("explain", operation=anna.app.view.subject()["operation"])  # type: ignore[union-attr]
        await anna.sees(said["sentence"][:30])
        await anna.press("e")
        await anna.sees("Why", "commons-node explain", "Anna's node let the device in")
        first = anna.text
        await anna.press("enter")
        await anna.until(lambda: anna.text != first, "what decided it is explained, too")
        await anna.sees("an admission")
        await anna.press("escape")
        await anna.sees("a request for a loan")
        await anna.press("escape")
        await anna.sees("e Why")


class Slow(Static):
    """A part of a place that takes as long as the test wants to go."""

    def __init__(self) -> None:
        super().__init__()
        self.may_go = asyncio.Event()

    async def on_unmount(self) -> None:
        await self.may_go.wait()


async def test_an_answer_that_comes_while_a_place_is_taken_down_shows_nothing(
    hall: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer, shown = asyncio.Event(), list[object]()

    async def late(view: Activity) -> dict[str, list[object]]:
        await answer.wait()
        return {"activity": []}

    async with seat(hall.home) as anna:
        await anna.unlocks(PASSPHRASE)
        await anna.press("7")
        await anna.sees("Bo asked for Cordless drill 8.")
        view = anna.app.view
        assert isinstance(view, Activity)
        await anna.until(lambda: not _reads(view), "what it read has come")
        slow = Slow()
        await view.mount(slow)
        monkeypatch.setattr(Activity, "load", late)
        await anna.until(lambda: not _reads(view), "nor has it begun to read again")
        monkeypatch.setattr(Activity, "show", lambda _view, found: shown.append(found))
        view.read()
        gone = view.remove()
        try:
            await _until(lambda: not view.query("#list"))
            assert view.is_attached, "its list has gone, the place itself has not"
            (reading,) = _reads(view)
            answer.set()
            await _until(lambda: reading.is_finished)
            assert reading.error is None
            assert shown == [], "there is nothing to show it in"
        finally:
            slow.may_go.set()
            await gone


async def test_a_place_that_lost_its_list_is_a_fault_and_no_silence(hall: House) -> None:
    with pytest.raises((NoMatches, WorkerFailed), match="#list"):
        await _loses_its_list(hall)


async def _loses_its_list(hall: House) -> None:
    async with seat(hall.home) as anna:
        await anna.unlocks(PASSPHRASE)
        await anna.press("7")
        await anna.sees("Bo asked for Cordless drill 8.")
        view = anna.app.view
        assert isinstance(view, Activity)
        await view.list.remove()
        view.read()
        await anna.until(lambda: anna.app._exception is not None, "it fails loudly")


async def _until(true: Callable[[], bool]) -> None:
    """Wait without the pilot, who would wait for the part that stays, too."""
    async with asyncio.timeout(PATIENCE_S):
        while not true():  # noqa: ASYNC110 - Textual tells nobody of it
            await asyncio.sleep(0.01)


def _reads(view: PlaceView) -> list[Worker[object]]:
    mine = [one for one in view.workers if one.node is view and one.group == "default"]
    return [one for one in mine if not one.is_finished]


async def describes(anna: Seat) -> None:
    """The form for a new thing, by the list of all commands."""
    await anna.unlocks(PASSPHRASE)
    await anna.press("colon")
    await anna.sees("Search for commands")
    await anna.types("Describe a thing")
    await anna.sees("commons-node resource add")
    await anna.press("enter")
    await anna.sees("What it is")


async def test_the_palette_does_a_verb_and_shows_its_command(hall: House) -> None:
    async with seat(hall.home) as anna:
        await describes(anna)
        await anna.types("Söder's spade")
        await anna.sees("$ commons-node resource add", "\"'\"'s spade")
        await anna.press("ctrl+s")
        await anna.sees("Söder's spade is here now")
    names = [one["name"] for one in hall.see("resource.list")["resources"]]
    assert "Söder's spade" in names


async def test_what_comes_in_one_piece_over_a_slow_line_finds_its_fields(hall: House) -> None:
    """Letters behind a tab are for the next field, and none is lost before the form is sent."""
    async with seat(hall.home) as anna:
        await describes(anna)
        await anna.types("Rake\t\t\tWolf of the long garden street in the north", "ctrl+s")
        await anna.sees("Rake is here now")
        await anna.press("2", "slash")
        await anna.types("no such thing")
        await anna.sees("Nothing here fits")
    (rake,) = hall.see("resource.list", query="Rake")["resources"]
    assert (rake["name"], rake["brand"]) == ("Rake", "Wolf of the long garden street in the north")


async def test_the_buttons_of_a_form_stay_in_sight_on_a_small_screen(hall: House) -> None:
    async with seat(hall.home, (40, 20)) as anna:
        await anna.unlocks(PASSPHRASE)
        await anna.press("8", "p")
        await anna.sees("What the council is to decide about", "Do it ^s")
        await anna.press("ctrl+s")
        await anna.sees("This must be said", "Do it ^s")
        await anna.press("enter")
        await anna.sees("coordinators", "members")  # its first field has the keys


async def test_what_is_too_long_for_a_small_screen_is_read_page_by_page(hall: House) -> None:
    async with seat(hall.home, (40, 20)) as anna:
        anna.app.push_screen(Say("Long", *(f"line {n}" for n in range(30)), equal="commons-node x"))
        await anna.sees("line 0", "line 11", "$ commons-node x", "Close")
        assert "line 29" not in anna.text
        await anna.press("pagedown", "pagedown")
        await anna.sees("line 29", "$ commons-node x", "Close")
        await anna.press("pageup", "pageup")
        await anna.sees("line 0")
        await anna.press("enter")
        await anna.until(lambda: "Long" not in anna.text, "it is put away")


async def test_the_mouse_does_all_of_it(hall: House) -> None:
    async with seat(hall.home) as anna:
        await anna.unlocks(PASSPHRASE)
        nav = anna.app.query_one("#nav", Line)
        await anna.pilot.click(nav, offset=Offset(nav.render_line(0).text.index("Things") + 2, 0))
        await anna.sees("▸2 Things", "Spirit level")
        rows = anna.app.view.query_one("#list", Rows)  # type: ignore[union-attr]
        number = next(n for n, row in enumerate(rows.rows) if row.cells[1] == "Spirit level")
        await anna.pilot.click(rows, offset=(5, number + 1))
        await anna.sees("Spirit level 9")
        keys = anna.app.query_one("#keys", Line)
        await anna.pilot.click(keys, offset=(keys.render_line(0).text.index("Borrow") + 1, 0))
        await anna.sees("Ask to borrow", "Cancel")
        await anna.pilot.click("#cancel")
        await anna.until(lambda: len(anna.app.screen_stack) == 1, "the form is away")


async def test_without_colour_nothing_is_lost(hall: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    async with seat(hall.home) as anna:
        await anna.sees("Elm Street")
        await anna.press("2")
        await anna.sees("✚ in repair", "● here", "◐ on loan")
        await anna.pilot.pause()
        filters, (_base, ground) = anna.app._filters, anna.app.screen.background_colors
        assert filters, "textual takes the colour out"
        strips = anna.app.screen._compositor.render_strips()
        drawn = [segment for strip in strips for segment in strip.apply_filter(filters[-1], ground)]
        colours = [segment.style.color for segment in drawn if segment.style is not None]
        grey = [one.triplet for one in colours if one is not None and one.triplet is not None]
        assert grey
        assert all(len({one.red, one.green, one.blue}) == 1 for one in grey), "greys alone"


async def test_a_split_is_said_above_every_place(
    hall: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = "The community is split: the key of Anna endorsed two decisions."

    async def split(bridge: Bridge, acting: str | None) -> Now:
        now = await ask_now(bridge, acting)
        assert now.community is not None
        return replace(now, community={**now.community, "split": told})

    monkeypatch.setattr("commons_tui.app.ask_now", split)
    async with seat(hall.home, (40, 20)) as anna:
        await anna.sees("Elm Street")
        for key in "258":
            await anna.press(key)
            await anna.sees("▲ The community is split")
