"""Second thoughts from the terminal: keep it longer, call it off; what is mistyped is not lost."""

from __future__ import annotations

import pytest
from tests.e2e.neighbourhood import PASSPHRASE, House, Street
from tests.tui.hall import BOS, build
from tests.tui.screen import Seat, seat


@pytest.fixture(scope="module")
def hall(elm_street: Street) -> House:
    """Bo has the ladder, and waits for the drill."""
    house = build(elm_street, "longer")
    for name, phrase, verb in (
        ("Anna", PASSPHRASE, "approve"), ("Anna", PASSPHRASE, "handover"), ("Bo", BOS, "accept"),
    ):  # fmt: skip
        house.session = None
        house.session = house.do("member.unlock", member=name, passphrase=phrase)["session"]
        house.do(f"loan.{verb}", loan="7")
        house.do("member.lock")
    return house


async def unlocks_as(screen: Seat, name: str, passphrase: str) -> None:
    """Who is meant is chosen with the arrows while the passphrase has the keys."""
    await screen.press("u")  # at once: the node may not have answered yet
    await screen.sees("Who acts?", "▸ Anna")
    if name == "Bo":
        await screen.press("down")
    await screen.sees(f"▸ {name}", f"Passphrase of {name}")
    await screen.types(passphrase)
    await screen.press("enter")
    await screen.sees(f"◆ {name}", "Waiting for you")


@pytest.mark.long
async def test_longer_and_called_off_by_keys(hall: House) -> None:
    async with seat(hall.home, (40, 20)) as bo:
        await unlocks_as(bo, "Bo", BOS)
        await bo.press("3")
        await bo.sees("◐ on loan", "? asked for")
        await bo.press("home", "down")
        await bo.sees("e Longer")
        await bo.press("e")
        await bo.sees("So many days longer")
        await bo.types("2020-01-01")  # the first empty field has the keys
        await bo.press("ctrl+s")
        await bo.sees("Did not work", "give days, or the due day")
        await bo.press("escape")
        await bo.sees("So many days longer", "2020-01-01")  # what was typed stands there still
        await bo.press("tab", "end", *["backspace"] * 10, "ctrl+s")
        await bo.sees("? longer?")
        await bo.press("home")
        await bo.sees("x Call off")
        await bo.press("x")
        await bo.sees("Why, in your own words")
        await bo.types("found one")
        await bo.press("ctrl+s")
        await bo.sees("✕ called off")
        await bo.press("1")
        await bo.sees("? You asked to keep Ladder 7")
        await bo.press("home")
        await bo.sees("nobody has answered yet.")  # all of it, below the list that cuts it
    async with seat(hall.home) as anna:
        await unlocks_as(anna, "Anna", PASSPHRASE)
        await anna.sees("? Bo asks to keep Ladder 7 longer")
        await anna.press("home", "enter")
        await anna.sees("▸3 Loans", "a Yes", "not answered yet")
        await anna.press("a")
        await anna.sees("Ladder 7 may be kept until the end of")
    async with seat(hall.home, (40, 20)) as bo:
        await unlocks_as(bo, "Bo", BOS)
        await bo.sees("✓ You may keep Ladder 7")
    ladder, drill = sorted(hall.see("loan.list")["loans"], key=lambda one: one["number"])
    assert [step["step"] for step in ladder["steps"]][-2:] == ["extend", "grant"]
    assert (drill["state"], [step["step"] for step in drill["steps"]]) == (
        "cancelled", ["request", "cancel"],
    )  # fmt: skip


@pytest.mark.long
async def test_a_newcomer_who_waits_for_a_role_hurts_no_place(hall: House) -> None:
    """Activity once fell over a notice that is about nobody's act."""
    async with seat(hall.home) as anna:
        await unlocks_as(anna, "Anna", PASSPHRASE)
        view = anna.app.bridge.view

        async def with_newcomer(name: str, *given: object, **more: object) -> dict[str, object]:
            answer = await view(name, *given, **more)  # type: ignore[arg-type]  # as it came
            if name == "notice.list":
                answer["notices"].append(NEWCOMER)
            return answer

        anna.app.bridge.view = with_newcomer  # type: ignore[method-assign]  # for this test
        await anna.press("7")
        await anna.sees("▸7 Activity", "Bo asked for")
        await anna.press("1", "f5", "ctrl+r")
        await anna.sees("? Enough members vouch for Lina")


NEWCOMER: dict[str, object] = {
    "about": "newcomer", "operation": "0" * 64, "what": "vouches for Lina", "member": "1" * 64,
    "author": "Lina", "now": "waits for a coordinator", "because": [], "sentence": "Enough.",
    "next": "", "rests_on": None, "found": None, "read": False,
}  # fmt: skip
