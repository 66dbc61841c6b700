"""A year on a street, day by day: what people do there, each act through the real commands.

What happens follows from the seed alone; keys and ids are new every time, so nothing here goes by
them. To let the street do more, write ``async def act(year)`` and add it to ``ACTS``: every act
has its turn on every day, in this order, and uses ``year.do`` so that the clock goes on.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from typing import Final

from commons_node.example.company import introduce, meet, open_up, speak, vouch
from commons_node.example.memory import DAY_MS, Lent, Year
from commons_node.example.past import Past
from commons_node.example.people import (
    FAVOURITE,
    FOUNDER,
    NEIGHBOURS,
    PASSPHRASE,
    STREET,
    ZONE,
    inventories,
)
from commons_node.registry import File

DAYS: Final = 365
_LENGTHS: Final = (1, 2, 2, 3, 3, 5, 7, 7, 10, 14)
_PATIENCE: Final = 6
"""Days after which a request that finds no room is declined."""
_LAST: Final = 3
_REASONS: Final = ("It is promised to the school that week.", "It goes to the repair café first.",
                   "Please ask again in spring.")  # fmt: skip
_DAMAGE: Final = ("The cable is torn near the plug.", "The blade is blunt.",
                  "The battery does not hold.", "A screw of the handle is missing.")  # fmt: skip
_SUSPENDED, _FORGIVEN, _SUSPENDED_FOR_S = 251, 268, 30 * 24 * 3600


# -- the acts of a day -----------------------------------------------------------------------------


async def arrive(year: Year) -> None:
    """Neighbours join with an invite of Anna's, and become more than newcomers."""
    for one in NEIGHBOURS:
        if one.joins == year.day:
            code = (await year.do(FOUNDER, "invite.create"))["code"]
            await year.do(None, "join", code=code, member=one.name, passphrase=PASSPHRASE)
        if one.since == year.day and one.role != "newcomer":
            await year.do(FOUNDER, "member.role", who=one.name, role=one.role)


async def deliver(year: Year) -> None:
    """Stewards bring in what stands in their sheds."""
    for day, who, numbers, data in year.deliveries:
        if day == year.day:
            await year.do(who, "resource.import", file=File("shed.csv", data))
            year.things |= dict.fromkeys(numbers, who)


async def ask(year: Year) -> None:
    """More at weekends and in the light half of the year."""
    people = year.here()
    if not people or not year.things:
        return
    summer = 60 < year.day % 365 < 300
    chance = 0.6 + 0.3 * summer + 0.4 * (year.day % 7 in {5, 6})
    times = int(chance) + (year.rng.random() < chance % 1)
    if year.day == year.days - 1:
        times += _LAST  # so that whoever looks round finds somebody to answer
    for _ in range(times):
        who = year.rng.choices(people, [one.eager for one in people])[0]
        numbers = list(year.things)
        share = [
            40 if number == FAVOURITE else 60 // (n + 3) + 1 for n, number in enumerate(numbers)
        ]
        number = year.rng.choices(numbers, share)[0]
        mine = [one for one in year.lent if one.number == number and one.borrower == who.name]
        if any(one.state not in {"over", "declined"} for one in mine):
            continue
        days = year.rng.choice(_LENGTHS)
        done = await year.tries(who.name, "loan.request", resource=number, days=days)
        if done is None:
            continue
        year.loans += 1
        steward = year.things[number] if year.things[number] != who.name else FOUNDER
        year.lent.append(Lent(done["loan"], number, who.name, steward, year.day, days))


async def decide(year: Year) -> None:
    """The next day a steward answers; what finds no room waits, and is declined in the end."""
    for one in year.in_state("requested"):
        if one.asked == year.day or year.day == year.days - 1:
            continue
        if year.rng.random() < 0.05:
            await _decline(year, one, year.rng.choice(_REASONS))
        elif await year.tries(one.steward, "loan.approve", loan=one.loan):
            one.state, one.due = "approved", year.day + year.rng.choice((0, 0, 0, 1, 2))
        elif year.day - one.asked > _PATIENCE:
            await _decline(year, one, "Somebody else has it all the time.")


async def _decline(year: Year, one: Lent, reason: str) -> None:
    await year.do(one.steward, "loan.decline", loan=one.loan, reason=reason)
    one.state = "declined"


async def hand_over(year: Year) -> None:
    """Two people meet at a shed; if the thing is not back yet, they meet again tomorrow."""
    for one in year.in_state("approved"):
        if one.due > year.day or one.borrower in year.away:
            continue
        end = one.asked + one.days
        if end < year.day:
            await _decline(year, one, "It did not come back in time.")
            continue
        offered = await year.tries(one.steward, "loan.handover", loan=one.loan)
        if offered is None:
            continue
        await year.do(one.borrower, "loan.accept", loan=one.loan, offer=offered["offer"])
        late = next(who.late for who in NEIGHBOURS if who.name == one.borrower)
        behind = year.rng.randrange(1, 11) if year.rng.randrange(100) < late else 0
        one.state, one.due = "out", end + behind


async def bring_back(year: Year) -> None:
    """On the last day, or late; now and then something is broken. One is forgotten at the end."""
    for one in year.in_state("out"):
        if one.due > year.day:
            continue
        if year.day >= year.days - 9 and not any(o.state == "forgotten" for o in year.lent):
            one.state = "forgotten"
            continue
        offer = (await year.do(one.borrower, "loan.return", loan=one.loan))["offer"]
        broken = year.rng.random() < 0.04
        more = {"condition": "ticket", "note": year.rng.choice(_DAMAGE)} if broken else {}
        await year.do(one.steward, "loan.receive", loan=one.loan, offer=offer, **more)
        one.state, one.over = "over", year.day
        one.punctual, one.damaged = year.day <= one.asked + one.days, broken
        if broken:
            await year.do(one.steward, "resource.edit", resource=one.number, state="maintenance")
            year.broken[one.number] = year.day + year.rng.randrange(4, 13)


async def mend(year: Year) -> None:
    """What was broken is lent again when it is repaired."""
    for number in [number for number, until in year.broken.items() if until <= year.day]:
        await year.do(year.things[number], "resource.edit", resource=number, state="active")
        del year.broken[number]


async def quarrel(year: Year) -> None:
    """Kalle keeps things too long: he is suspended, they talk, and the council lifts it."""
    if year.day >= _SUSPENDED and "Kalle" not in year.away and year.day < _FORGIVEN:
        if any(one.borrower == "Kalle" for one in year.in_state("out", "approved")):
            return
        note = "The saw was three weeks late, for the third time."
        done = await year.do(FOUNDER, "member.suspend", who="Kalle", days=_SUSPENDED_FOR_S,
                             reason="conduct", note=note)  # fmt: skip
        year.away["Kalle"] = done["operation"]
    if year.day == _FORGIVEN and "Kalle" in year.away:
        cut = year.away.pop("Kalle")
        await year.do(FOUNDER, "community.propose", what="lift", cut=cut)


Act = Callable[[Year], Awaitable[None]]
ACTS: Final[tuple[Act, ...]] = (
    arrive, introduce, open_up, deliver, mend, bring_back, speak, decide, hand_over, ask, quarrel,
    vouch, meet,
)  # fmt: skip
"""What happens on every day, in this order; ``meet`` is last: it moves the clock to the evening."""


async def live(past: Past, seed: int, days: int, tell: Callable[[int], None]) -> Year:
    """So many days that end where the clock of ``past`` will be now. ``tell`` gets each day."""
    rng = random.Random(seed)  # noqa: S311 - a story, no secret
    year = Year(past, rng, days, inventories(rng))
    start = past.at_ms
    await past.do(None, "community.init", name=STREET, member=FOUNDER, timezone=ZONE,
                  passphrase=PASSPHRASE)  # fmt: skip
    for day in range(days):
        year.day = day
        past.at_ms = max(past.at_ms, start + day * DAY_MS)
        for act in ACTS:
            await act(year)
        tell(day)
    return year
