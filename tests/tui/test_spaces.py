"""Spaces at the terminal: a code for the door, checking in with it, and who may see where I was."""

from __future__ import annotations

import re

import pytest
from tests.e2e.neighbourhood import House, Street
from tests.tui.hall import PASSPHRASE, build
from tests.tui.screen import Seat, flat, seat

from commons_tui.place import PlaceView


@pytest.fixture(scope="module")
def hall(elm_street: Street) -> House:
    house = build(elm_street, "cafe")
    house.unlock()
    house.do("space.create", name="Café", hours="24/7", wheelchair="limited")
    house.do("space.create", name="Kitchen", inside="Café")
    house.do("member.lock")
    return house


@pytest.mark.parametrize("size", [(40, 20), (80, 24)], ids=["40x20", "80x24"])
async def test_anna_shows_a_code_checks_in_with_it_and_leaves(
    hall: House, size: tuple[int, int]
) -> None:
    async with seat(hall.home, size) as anna:
        await anna.sees("u Unlock")
        await anna.press("4")
        seen = await anna.sees("▸4 Spaces", "Café", "● open")
        assert "My check-ins" not in seen, "nobody is unlocked"
        await anna.unlocks(PASSPHRASE)
        await ready(anna, "space.code")
        await anna.press("c")
        await anna.sees("Good until")
        code = await code_on(anna)
        await anna.press("escape")
        await ready(anna, "checkin.create")
        await anna.press("i")
        await anna.sees("shown at the door", "Do it")
        await anna.pastes(code)
        await anna.press("ctrl+s")
        await anna.sees("My check-ins", "● here")
        await anna.press("home", "down", "down")
        await ready(anna, "checkin.end")
        await anna.press("x")
        await anna.sees("← left")
        assert max(map(len, anna.text.splitlines())) <= size[0], "nothing runs out of the terminal"
        if size[0] >= 76:
            await anna.press("home")
            await anna.sees("Wheelchair", "limited", "fewer than 5")


async def ready(someone: Seat, act: str) -> None:
    """The list has the keys, and what is under the cursor fits."""

    def fits() -> bool:
        app = someone.app
        found = app.screen.query("#place-spaces")
        return bool(found) and act in [one.id for one in found.first(PlaceView).possible()]

    await someone.until(fits, f"{act} can be done")


async def code_on(someone: Seat) -> str:
    """The letters that stand on the screen, as somebody would copy them."""
    text = flat(someone.text)
    found = re.search(r"(?:[0-9A-Z]{6} ){20}", text)
    assert found, f"the code can be read: {text}"
    return found[0]


async def test_the_code_renews_itself(hall: House) -> None:
    from datetime import UTC, datetime

    from commons_tui.dialogs.door import Door

    async with seat(hall.home, (120, 50)) as anna:
        await anna.sees("u Unlock")
        await anna.press("4")
        await ready(anna, "space.code")
        await anna.press("c")
        await anna.sees("Good until", "▀")
        door = anna.app.screen
        assert isinstance(door, Door)
        asked: list[int] = []
        renew = door._renew

        async def counted() -> object:
            asked.append(1)
            return await renew()

        door._renew = counted  # type: ignore[assignment]  # the same, counted
        door._until = datetime(2020, 1, 1, tzinfo=UTC)
        await anna.until(lambda: asked, "it asks for the next code when this one is over")
        await anna.until(lambda: door._until > datetime.now(UTC), "and shows it")
