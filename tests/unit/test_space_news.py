"""News of spaces: everybody but the author is told once, and not while a space has quiet hours."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.unit.street import VERBS, Home, homes, member
from tests.unit.town import DAY_MS

from commons_node.community import Community
from commons_node.notices import told_at_unlock
from commons_node.registry import Command, Request
from commons_node.verifier.pool import VerifierPool

HOUR_MS = 3_600_000


class _Session:
    def __init__(self, who: str) -> None:
        self._who = member(who).hex()

    def members(self) -> tuple[str, ...]:
        return (self._who,)


async def told(home: Home, who: str) -> tuple[list[str], list[str]]:
    """What ``notice list`` says of spaces to somebody: now, and held back."""
    home.realm.notices.residents.add(member(who))
    verb = VERBS.view("notice.list")
    assert verb is not None
    reading = await verb.read(Request(home, session=_Session(who)), verb.args())  # type: ignore[arg-type]
    value: Any = reading.value
    now = [one["sentence"] for one in value["notices"] if one["about"] == "space"]
    return now, [one["sentence"] for one in value["held"]]


async def note(home: Home, who: str) -> int:
    verb = VERBS.command("notice.read")
    assert isinstance(verb, Command)
    done = await verb.run(Request(home, session=_Session(who)), verb.args())  # type: ignore[arg-type]
    return int(str(done["read"]))


async def test_news_of_a_space_waits_for_the_end_of_its_quiet_hours(
    tmp_path: Path, pool: VerifierPool
) -> None:
    async with homes(tmp_path, pool, "north south") as (north, south):
        await north.do("alice", "community.propose", what="rules", version=3)
        await north.do("alice", "space.create", name="Café", host="no", hours="Mo-Su 08:00-20:00",
                       quiet_hours="22:00-07:00")  # fmt: skip
        await north.do("alice", "space.create", name="Kitchen", host="no", inside="Café")
        await north.tell(south)
        for home in (north, south):
            home.now = _at(home.now, 23)
        assert await told(north, "alice") == ([], []), "who said it is told nothing"
        now, held = await told(south, "bob")
        assert now == [], "it is night at the café, and in its kitchen"
        assert held == [
            "News of Café waits until its quiet hours are over, at 07:00.",
            "News of Kitchen waits until its quiet hours are over, at 07:00.",
        ]
        assert await told_at_unlock(Community(south.realm), member("bob"), south.now) == (0, None)
        assert await note(south, "bob") == 0, "what waits has not been seen, so it is not noted"
        await north.do("alice", "space.edit", space="Café", hours="Mo-Su 09:00-20:00")
        await north.do("alice", "space.edit", space="Café", hours="Mo-Su 10:00-20:00",
                       notice="the door sticks")  # fmt: skip
        await north.do("alice", "space.close", space="Kitchen")
        await north.tell(south)
        south.now = _at(south.now, 31)
        now, held = await told(south, "bob")
        assert held == []
        cafe, kitchen = now
        assert cafe.startswith("Café is a space now. It is open Mo-Su 10:00-20:00."), "as it is now"
        assert cafe.endswith("A visitor should know: the door sticks")
        assert kitchen == "Kitchen was given up.", "what was said in between is no news"
        count, news = await told_at_unlock(Community(south.realm), member("bob"), south.now)
        assert count == 0, "nothing that bob did"
        assert str(news).startswith("There is news of 2 spaces.")
        assert await note(south, "bob") == 2
        assert await told(south, "bob") == ([], [])
        assert (await told(south, "cia"))[0], "each notes for themselves"
        await north.do("alice", "space.edit", space="Café", capacity=30)
        await north.tell(south)
        (line,), _held = await told(south, "bob")
        assert line.startswith("alice changed what is said of Café."), "news again"
        south.now += 15 * DAY_MS
        assert await told(south, "bob") == ([], []), "after two weeks it is none"


def _at(now_ms: int, hour: int) -> int:
    """That hour of the day of ``now_ms``, in Stockholm in summer."""
    day = (now_ms + 2 * HOUR_MS) // DAY_MS * DAY_MS
    return day + (hour - 2) * HOUR_MS
