"""What a street does beside lending: profiles, words about loans, vouches, evenings at a café."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from commons_node.domains.spaces.hours import DAYS as WEEKDAYS
from commons_node.example.memory import Lent, Year
from commons_node.example.people import FOUNDER, ZONE

CAFE: Final = "Repair café"
SHED: Final = "Tool shed"
_OPENS, _EVENING = 13, (18, 30)
"""On which day the spaces open, and when the evening begins, that day and each seventh after."""
_FEWEST: Final = 5
_SLOT_MS: Final = 10 * 60_000
_BLIND_DAYS: Final = 8
_PROFILES: Final = (
    (2, FOUNDER, {"about": "I keep the list, and the spare keys.", "languages": "sv, en"}),
    (2, FOUNDER, {"contact": "070-174 06 05"}),
    (11, "Bo", {"about": "I mend bicycles. Ask me on Sundays.", "languages": "sv"}),
    (24, "Farid", {"about": "New on the street since spring.", "languages": "sv, ar, en"}),
)
_THANKS: Final = ("Thank you, it did its work.", "All in order.", "Always a pleasure.")
_VOUCHES: Final = ((126, "Elin", "Maj-Britt"), (127, "Bo", "Maj-Britt"), (340, "Cia", "Lina"),
                   (344, "Gun", "Lina"))  # fmt: skip


async def introduce(year: Year) -> None:
    """Some say a little about themselves."""
    for day, who, words in _PROFILES:
        if day == year.day:
            await year.do(who, "member.profile.edit", **words)


async def open_up(year: Year) -> None:
    """The shed is open by day, the café on one evening of the week."""
    if year.day != _OPENS:
        return
    name = WEEKDAYS[_local(year).weekday()]
    for space, hours, more in (
        (CAFE, f"{name} 18:00-21:30", {"capacity": 25, "wheelchair": "yes"}),
        (SHED, "Mo-Fr 08:00-18:00; Sa 10:00-14:00", {"type": "private", "step_count": 2}),
    ):
        made = await year.do(
            FOUNDER, "space.create", name=space, hours=hours, place="59.3346,18.0632", **more
        )
        year.spaces[space] = made["space"]


async def speak(year: Year) -> None:
    """The day after a loan the two of it may say how it went; some only one, some neither."""
    for one in year.in_state("over"):
        if one.over == year.day - 1:
            await _speak(year, one)
    for day, who in tuple(year.sealed):
        if day <= year.day and who not in year.away:
            year.sealed.remove((day, who))
            await year.do(who, "reputation.open")


async def _speak(year: Year, one: Lent) -> None:
    whole = "2" if one.damaged else "3"
    of_lender = {"on_time": "yes", "condition": "3", "communication": "3"}
    of_borrower = {"on_time": "yes" if one.punctual else "no", "condition": whole,
                   "communication": "3" if one.punctual else "2"}  # fmt: skip
    thanks = {"note": year.rng.choice(_THANKS)} if year.rng.random() < 0.3 else {}
    first = year.rng.random() < 0.6 and one.borrower not in year.away
    second = year.rng.random() < 0.7
    if first:
        await year.do(one.borrower, "reputation.attest", loan=one.loan, **of_lender, **thanks)
    if second:
        await year.do(one.steward, "reputation.attest", loan=one.loan, **of_borrower)
    if first and second:
        await year.do(one.borrower, "reputation.open")
    elif first or second:
        year.sealed.append((year.day + _BLIND_DAYS, one.borrower if first else one.steward))
    if first and second and not one.punctual:
        text = "I was ill, and wrote as soon as I could."
        await year.do(one.borrower, "reputation.reply", attestation=one.loan, text=text)


async def vouch(year: Year) -> None:
    """Who has been here for long vouches for who is new."""
    for day, who, newcomer in _VOUCHES:
        if day == year.day:
            await year.do(who, "member.vouch", who=newcomer)


async def meet(year: Year) -> None:
    """An evening at the café: each checks in by the code at the door; nobody learns who came."""
    last = year.day >= year.days - 1  # its evening may not be over when the story ends
    if CAFE not in year.spaces or (year.day - _OPENS) % 7 or last:
        return
    people = [FOUNDER, *(one.name for one in year.here())]
    there = year.rng.sample(people, min(len(people), year.rng.randrange(_FEWEST, 10)))
    year.later(_evening(year))
    for nth, who in enumerate(there):
        code = (await year.do(None, "space.code", space=year.spaces[CAFE]))["code"]
        await year.past.do(who, "checkin.create", space=year.spaces[CAFE], code=code)
        year.checkins += 1
        if nth == 0:
            await year.do(who, "checkin.publish", to=["community"])
        elif nth == 1:
            await year.do(who, "checkin.end")
    year.later(year.past.at_ms + _SLOT_MS)
    await year.past.attending.tick()  # those that came after the first five


def _local(year: Year) -> datetime:
    return datetime.fromtimestamp(_evening(year) / 1000, UTC).astimezone(ZoneInfo(ZONE))


def _evening(year: Year) -> int:
    """When the next evening begins, ms."""
    zone = ZoneInfo(ZONE)
    now = datetime.fromtimestamp(year.past.at_ms / 1000, UTC).astimezone(zone)
    hour, minute = _EVENING
    evening = now.replace(hour=hour, minute=minute, second=0, microsecond=0)
    if evening < now:
        evening += timedelta(days=1)
    return int(evening.timestamp() * 1000)
