"""One screen in the hall for several people: unlock, act, sign for one another, lock, forget."""

from __future__ import annotations

import pytest
from tests.e2e.neighbourhood import House, Street
from tests.tui.hall import BOS, PASSPHRASE, build
from tests.tui.screen import Seat, flat, seat

from commons_tui.idle import Idle
from commons_tui.settings import Settings, load, save


@pytest.fixture(scope="module")
def hall(elm_street: Street) -> House:
    return build(elm_street)


async def unlocks_as(seat_: Seat, number: int, passphrase: str) -> None:
    """Choose one of the two members by the arrows, then the passphrase."""
    await seat_.sees("u Unlock")
    await seat_.press("u")
    await seat_.sees("Who acts?", "Anna", "Bo")
    await seat_.press("shift+tab", *["down"] * number, "enter")
    await seat_.types(passphrase)
    await seat_.press("enter")
    await seat_.sees("◆")


async def test_what_is_private_needs_a_passphrase_and_goes_when_it_locks(hall: House) -> None:
    async with seat(hall.home) as anna:
        await anna.sees("Locked", "No other node is connected")
        await anna.press("3")
        shut = await anna.sees("Locked. Press u")
        assert "Ladder" not in shut, "nobody sees who borrows what"
        await anna.press("2")
        things = await anna.sees("Ladder", "Cordless drill", "in repair")
        assert "Anna" not in things, "nor who has it"

        await anna.press("u")
        await anna.sees("Who acts?")
        await anna.types("not the passphrase")
        await anna.press("enter")
        await anna.sees("✕", "passphrase")
        assert anna.app.now.me is None, "a wrong passphrase opens nothing"
        await anna.press("escape")
        await unlocks_as(anna, 0, PASSPHRASE)
        await anna.press("3")
        await anna.sees("◆ Anna · coordinator", "Ladder 7", "Bo", "asked for")

        await anna.press("5", "i")
        await anna.sees("How many newcomers")
        await anna.press("ctrl+l")
        locked = await anna.sees("u Unlock", "Locked. Press u")
        assert "newcomers" not in locked, "the form that was open is gone"
        assert "coordinator" not in locked, "and so are the people"
        await anna.press("3")
        assert "Bo" not in flat(await anna.sees("Locked. Press u"))
        rows = anna.app.query("#list")
        assert all(not one.rows for one in rows if one.parent.parent.parent.private)  # type: ignore[attr-defined,union-attr]
        refused = hall.refused("loan.approve", loan="7")
        assert refused.code == "locked", "the node's session is locked too"


async def test_two_people_sign_at_one_screen(hall: House) -> None:
    async with seat(hall.home, (80, 24)) as both:
        await unlocks_as(both, 0, PASSPHRASE)
        await both.press("3", "slash")
        await both.types("drill")
        await both.press("enter")
        await both.sees("Cordless drill 8", "a Yes", "d No")
        await both.press("a")
        await both.sees("The loan of Cordless drill 8 is approved", "h Hand over")
        await both.press("h")
        await both.sees("It changes hands when the other one takes it", "They sign here")
        await both.press("enter")
        await both.sees("Who acts?", "Only for this one signature")
        await both.types(BOS)
        await both.press("enter")
        await both.sees("Cordless drill 8 is with you until the end of", "on loan")
        assert both.app.now.me is not None
        assert both.app.now.me["name"] == "Anna", "Anna is still the one who acts"
        assert [one["name"] for one in both.app.now.members if one["unlocked"]] == ["Anna"]
    loan = next(one for one in hall.see("loan.list")["loans"] if one["number"] == "8")
    signed = {step["step"]: step["name"] for step in loan["steps"]}
    assert (signed["handover"], signed["accept"]) == ("Anna", "Bo"), "two people, two signatures"

    async with seat(hall.home, (80, 24), stays=True) as both:
        await both.sees("◆ Anna")
        await both.press("u")  # Anna is still unlocked in this terminal: another one takes over
        await both.sees("Whoever acts now is locked then")
        await both.types(BOS)
        await both.press("enter")
        await both.sees("◆ Bo · member")
        await both.until(
            lambda: [m["name"] for m in both.app.now.members if m["unlocked"]] == ["Bo"],
            "Anna is locked, Bo acts",
        )
        await both.press("3")
        await both.sees("Cordless drill 8")
        await both.press("end")
        await both.sees("b Bring back")
        await both.press("b")
        await both.sees("A steward receives it with this code", "A steward signs here")
        await both.press("enter")
        await both.sees("Only for this one signature")
        await both.types(PASSPHRASE)
        await both.press("enter")
        await both.sees("The loan is returned")
        await both.press("ctrl+l")
        await both.sees("u Unlock")


async def test_it_locks_by_itself_when_nobody_is_there(hall: House) -> None:
    async with seat(hall.home, settings=Settings(idle_s=120)) as anna:
        now = [1_000.0]
        anna.app.idle = Idle(120, lambda: now[0])
        await unlocks_as(anna, 0, PASSPHRASE)
        now[0] += 100
        await anna.sees("Anna: locks in 20 s")
        await anna.press("right")
        await anna.sees("◆ Anna · coordinator")
        now[0] += 121
        await anna.sees("u Unlock", "Locked")


async def test_the_settings_are_kept_and_the_keymap_holds(hall: House) -> None:
    save(hall.home, Settings(keys={"place.loans": "f5", "no.such": "x", "app.unlock": "f6"}))
    async with seat(hall.home, settings=load(hall.home)) as anna:
        await anna.sees("no.such", "f6 Unlock")
        await anna.press("f5")
        await anna.sees("▸3 Loans")
        await anna.press("0")
        await anna.sees("Theme", "dark")
        await anna.press("home", "enter")
        await anna.sees("Choose", "high contrast")
        await anna.press("down", "enter")
        await anna.until(lambda: anna.app.theme == "light", "the theme has changed at once")
        await anna.until(lambda: load(hall.home).theme == "light", "and is written down")
    assert load(hall.home).keys["place.loans"] == "f5", "with the keys that were there"
    (hall.home / "tui.toml").write_text("theme = [", encoding="utf-8")
    assert load(hall.home).problem, "a broken file is said to be so"
    (hall.home / "tui.toml").unlink()


@pytest.mark.long
async def test_a_node_that_stops_and_comes_back(hall: House) -> None:
    async with seat(hall.home) as anna:
        await anna.sees("Elm Street")
        await anna.press("2")
        await anna.sees("Ladder")
        hall.stop()
        there = await anna.sees("The node has stopped. Start it: commons-node run", "node away")
        assert "Ladder" in there, "what was known stays on the screen"
        hall.again()
        await anna.until(lambda: "The node has stopped" not in anna.text, "it goes on by itself")
        await anna.sees("Ladder", "alone")


async def test_no_node_at_all(hall: House, tmp_path) -> None:  # type: ignore[no-untyped-def]
    async with seat(tmp_path, (40, 20)) as bo:
        await bo.sees("No node runs here", "commons-node run")
        await bo.press("2", "u", "slash", "escape")
        await bo.sees("No node runs here")
