"""What a constitution may set, with defaults: budgets, time zone, rhythms of epochs and seals.

Every number is an integer; text settings are short names. Unknown settings are ignored, so that
a later rules version can read more of an old genesis than its own version did.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from commons_crdt.budget import Rate
from commons_crdt.roles import Role

_DEFAULT_RATES: dict[Role, Rate] = {
    Role.NEWCOMER: Rate(1_000, 200),
    Role.MEMBER: Rate(5_000, 1_000),
    Role.STEWARD: Rate(200_000, 10_000),
    Role.HOST: Rate(200_000, 10_000),
    Role.COORDINATOR: Rate(400_000, 20_000),
}
_NODE_RATE = Rate(5_000, 1_000)
_EPOCH_DAYS = 90
_SEAL_DAYS = 7
_SEAL_OPERATIONS = 5_000
_SEAL_MARGIN_HOURS = 24
_CLOSED = "closed."
_VOUCHES = 2
_VOUCH_BUDGET = 3
_VOUCH_PERIOD_DAYS = 30
_VOUCH_DAYS = 365
_VOUCH_COOLDOWN_DAYS = 1
_VOUCH_AGE_DAYS = 90
_VOUCH_PAUSE_DAYS = 90
_LOAN_PICKUP_DAYS = 7
_LOAN_HOLDS = 10
_LOAN_OUT = 20
_LOAN_EXTENSIONS = 2


@dataclass(frozen=True, slots=True)
class Constitution:
    """The settings in force: rates per role and for nodes, and an IANA time zone.

    ``epoch_days``: how long an epoch key is used. A seal is due ``seal_days`` after the last one,
    or when ``seal_operations`` are not settled; it leaves out what is younger than
    ``seal_margin_hours``, so that what is still travelling is not sealed over.
    ``open_days`` such as ``Mo-Fr``, "" for every day; ``closed`` are days ``2026-06-19``, or
    ``12-24`` of every year. No rule reads these two: they are for who computes a due day.

    ``vouches``: how many a newcomer needs to be shown to coordinators. A member of at least
    ``vouch_age_days`` gives ``vouch_budget`` of them in ``vouch_period_days``, one in
    ``vouch_cooldown_days``; each lasts ``vouch_days``. They rest for ``vouch_pause_days`` after
    somebody was removed whom the member had vouched for.

    ``loan_pickup_days``: how long a promised thing is kept. A member may have ``loan_holds`` things
    asked for or promised, ``loan_out`` promised or at home, and keep one longer ``loan_extensions``
    times. No rule reads these either: verbs do, and whoever looks.
    """

    rates: dict[Role, Rate]
    node_rate: Rate
    timezone: str
    epoch_days: int
    seal_days: int
    seal_operations: int
    seal_margin_hours: int
    vouches: int
    vouch_budget: int
    vouch_period_days: int
    vouch_days: int
    vouch_cooldown_days: int
    vouch_age_days: int
    vouch_pause_days: int
    loan_pickup_days: int = _LOAN_PICKUP_DAYS
    loan_holds: int = _LOAN_HOLDS
    loan_out: int = _LOAN_OUT
    loan_extensions: int = _LOAN_EXTENSIONS
    open_days: str = ""
    closed: frozenset[str] = frozenset()

    @classmethod
    def of(cls, settings: Iterable[tuple[str, int | str]]) -> Constitution:
        """Read settings such as ``budget.member.capacity``; what is absent has its default."""
        table = dict(settings)

        def rate(name: str, default: Rate) -> Rate:
            capacity = table.get(f"budget.{name}.capacity")
            hourly = table.get(f"budget.{name}.hour")
            return Rate(
                capacity if isinstance(capacity, int) and capacity > 0 else default.capacity,
                hourly if isinstance(hourly, int) and hourly > 0 else default.per_hour,
            )

        def number(name: str, default: int, least: int = 1) -> int:
            found = table.get(name)
            return found if isinstance(found, int) and found >= least else default

        zone, days = table.get("timezone"), table.get("open_days")
        closed = {
            name[len(_CLOSED) :]
            for name, value in table.items()
            if name.startswith(_CLOSED) and value
        }
        return cls(
            {role: rate(role.word, default) for role, default in _DEFAULT_RATES.items()},
            rate("node", _NODE_RATE),
            zone if isinstance(zone, str) else "UTC",
            number("epoch.days", _EPOCH_DAYS),
            number("seal.days", _SEAL_DAYS),
            number("seal.operations", _SEAL_OPERATIONS),
            number("seal.margin.hours", _SEAL_MARGIN_HOURS, least=0),
            number("vouch.needed", _VOUCHES),
            number("vouch.budget", _VOUCH_BUDGET),
            number("vouch.period.days", _VOUCH_PERIOD_DAYS),
            number("vouch.days", _VOUCH_DAYS),
            number("vouch.cooldown.days", _VOUCH_COOLDOWN_DAYS, least=0),
            number("vouch.age.days", _VOUCH_AGE_DAYS, least=0),
            number("vouch.pause.days", _VOUCH_PAUSE_DAYS, least=0),
            number("loan.pickup.days", _LOAN_PICKUP_DAYS),
            number("loan.holds", _LOAN_HOLDS),
            number("loan.out", _LOAN_OUT),
            number("loan.extensions", _LOAN_EXTENSIONS, least=0),
            days if isinstance(days, str) else "",
            frozenset(closed),
        )
