"""Bo says more about himself, takes everything along, erases it, sees the receipts, and leaves."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
from tests.e2e.neighbourhood import House, Street, until
from tests.tui.hall import BOS, build
from tests.tui.screen import Seat, flat, seat


@pytest.fixture(scope="module")
def hall(elm_street: Street) -> House:
    return build(elm_street)


async def unlocks_as(bo: Seat, number: int, passphrase: str) -> None:
    """Choose one of the two members by the arrows, then the passphrase."""
    await bo.sees("u Unlock")
    await bo.press("u")
    await bo.sees("Who acts?", "Anna")
    await bo.press("shift+tab", *["down"] * number, "enter")
    await bo.types(passphrase)
    await bo.press("enter")
    await bo.sees("◆")


async def goes_to_himself(bo: Seat) -> None:
    """People, and down to his own row."""
    await unlocks_as(bo, 1, BOS)
    await goes_to_the_last(bo, "Bo")


async def goes_to_the_last(bo: Seat, name: str) -> None:
    """There is no way to the end of a list that has not come yet."""
    await bo.press("5")
    await bo.sees("▸ Anna")
    await bo.press("end")
    await bo.sees(f"▸ ◆ {name}")


@pytest.mark.long
async def test_a_member_leaves_by_keys_alone(hall: House, tmp_path: Path) -> None:
    out = tmp_path / "bo.zip"
    async with seat(hall.home, (120, 36)) as bo:
        await goes_to_himself(bo)
        await bo.sees("p Profile")
        await bo.press("p")
        await bo.sees("Which languages you speak")
        await bo.press("enter")
        await bo.types("sv, en")
        await bo.press("ctrl+s")
        await bo.sees("Changed in your profile: languages")
        await bo.press("w")
        await bo.sees("Where the zip goes")
        await bo.types(str(out))
        await bo.press("ctrl+s")
        await bo.until(out.exists, "the zip is written")
        assert "me.json" in zipfile.ZipFile(out).namelist()
        await bo.press("escape")

    async with seat(hall.home, (40, 20)) as bo:  # a phone's screen is enough
        await goes_to_himself(bo)
        await bo.press("z")
        await bo.sees("Only say what would be erased")
        await bo.press("ctrl+s")
        await bo.sees("cannot be undone", "type: Bo")
        await bo.types("yes")
        await bo.press("enter")
        assert hall.see("member.profile.list")["profiles"], "the wrong word does nothing"
        await bo.sees("type: Bo")
        await bo.types("bo")
        await bo.press("enter")
        await bo.sees("are erased")
        await bo.press("escape")

    who = next(r["member"] for r in hall.see("member.list")["members"] if r["name"] != "Anna")
    until(
        lambda: hall.see("member.erasure.show", who=who)["waiting"] is None, "the node confirms", 60
    )
    async with seat(hall.home) as bo:
        nameless = sorted(["anna", who[:8]]).index(who[:8])  # he is the start of an id now
        await unlocks_as(bo, nameless, BOS)
        await goes_to_the_last(bo, who[:8])
        await bo.press("t")
        shown = await bo.sees("hold nothing more of what", "confirmed")
        assert "sv, en" not in flat(shown)
        await bo.press("escape")
        await bo.press("l")
        await bo.sees("What ends it")
        await bo.press("escape")
        await bo.sees("Keep the key file")
        await bo.press("ctrl+s")
        await bo.sees("Leave for good?", f"type: {who[:8]}")
        await bo.types(who[:8])
        await bo.press("enter")
        await bo.sees("has left")
    rows = {row["member"]: row["standing"] for row in hall.see("member.list")["members"]}
    assert rows[who] == "left"
