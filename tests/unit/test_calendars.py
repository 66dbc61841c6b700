"""Loans in a calendar program: parsed again by the library, and looked at as bytes."""

from __future__ import annotations

import base64
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from icalendar import Calendar
from tests.unit.street import Home, homes
from tests.unit.test_lending_nodes import drill, lent

from commons_crdt.errors import CommonsError
from commons_node.verifier.pool import VerifierPool

STOCKHOLM = ZoneInfo("Europe/Stockholm")
LONG = "Slagborrmaskin med många tillbehör, låda, borrar 3-13 mm; och en ölkagge"


def local(text: str) -> datetime:
    """A time as somebody types it, without a zone."""
    return datetime.fromisoformat(text)


async def exported(home: Home, who: str | None = None, **arguments: object) -> bytes:
    seen = await home.see("calendar.export", who=who, out="loans.ics", **arguments)
    return base64.b64decode(seen.value["calendar"])


async def test_a_things_calendar_says_when_and_not_to_whom(
    tmp_path: Path, pool: VerifierPool
) -> None:
    async with homes(tmp_path, pool, "north") as (north,):
        await drill(north)
        await north.do("alice", "resource.edit", resource="1622", name=LONG)
        first = await lent(north)
        span = {"begin": local("2025-10-25T12:00"), "end": local("2025-10-27T09:00")}
        asked = await north.do("dan", "loan.request", resource="1622", **span)
        await north.do("alice", "loan.approve", loan=asked["loan"])
        await north.do("cia", "loan.request", resource="1622", days=30)
        data = await exported(north, resource="1622")
        calendar = Calendar.from_ical(data)
        events: dict[str, Any] = {str(one["uid"]): one for one in calendar.walk("VEVENT")}
        community = north.realm.realm.hex()
        assert set(events) == {f"{first}@{community}", f"{asked['loan']}@{community}"}, (
            "what is only asked for takes nobody's time"
        )
        shown = (await north.see("loan.show", loan=first)).value
        event = events[f"{first}@{community}"]
        assert event["dtend"].dt == datetime.fromisoformat(shown["due"]), "the same moment"
        assert event["dtend"].dt.utcoffset() == STOCKHOLM.utcoffset(local("2025-06-20"))
        over = events[f"{asked['loan']}@{community}"]
        hours = over["dtend"].dt.timestamp() - over["dtstart"].dt.timestamp()
        assert hours == 46 * 3600, "45 hours on the wall, and the one that comes twice"
        assert over["dtstart"].params["TZID"] == "Europe/Stockholm"
        assert [str(one["tzid"]) for one in calendar.walk("VTIMEZONE")] == ["Europe/Stockholm"]
        assert LONG in str(event["summary"])
        for name in (b"bob", b"dan"):
            assert name not in data.lower(), "a file that leaves the community names nobody"


async def test_the_bytes_are_as_the_standard_wants_them(tmp_path: Path, pool: VerifierPool) -> None:
    async with homes(tmp_path, pool, "north") as (north,):
        await drill(north)
        await north.do("alice", "resource.edit", resource="1622", name=LONG)
        await lent(north)
        data = await exported(north, resource="1622")
        assert data.endswith(b"\r\n")
        assert data.count(b"\n") == data.count(b"\r\n"), "every line ends with CR LF"
        lines = data.split(b"\r\n")
        assert max(map(len, lines)) <= 75, "octets, not letters"
        assert any(line.startswith(b" ") for line in lines), "the long name is folded"
        for line in lines:
            line.decode("utf-8")  # no letter is cut in two
        text = data.replace(b"\r\n ", b"").decode()
        assert "låda\\, borrar 3-13 mm\\; och en" in text, "commas and semicolons are escaped"
        again = await exported(north, resource="1622")
        stamps = [line for line in again.split(b"\r\n") if not line.startswith(b"DTSTAMP")]
        assert stamps == [line for line in lines if not line.startswith(b"DTSTAMP")], "stable"


async def test_a_persons_calendar_is_that_persons(tmp_path: Path, pool: VerifierPool) -> None:
    async with homes(tmp_path, pool, "north") as (north,):
        await drill(north)
        await drill(north, "7")
        await lent(north)
        await lent(north, taker="dan", number="7")
        mine = Calendar.from_ical(await exported(north, who="bob", member="bob"))
        (event,) = mine.walk("VEVENT")
        assert str(event["summary"]) == "Cordless Drill 1622: borrowed by you"
        for arguments, code in (
            ({"member": "dan"}, "not_permitted"),
            ({}, "missing_argument"),
            ({"member": "bob", "resource": "7"}, "missing_argument"),
        ):
            with pytest.raises(CommonsError) as caught:
                await exported(north, who="bob", **arguments)
            assert caught.value.code == code
