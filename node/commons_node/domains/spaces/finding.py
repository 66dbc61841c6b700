"""Spaces as verbs see them: found by name or id, with what their hours say now, and the count."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from commons_crdt.ids import DeviceId, DocumentId
from commons_crdt.texts import N_
from commons_node.community import Community, find
from commons_node.domains.spaces.facts import SPACE_SCHEMA, STAY_MINUTES
from commons_node.domains.spaces.hours import BadHours, Hours, parse_hours
from commons_protocol.attendance import MIN_RING
from commons_protocol.venue import DAY_SLOTS, SKEW_SLOTS, SLOT_MS

_COLUMNS = ", ".join(SPACE_SCHEMA.fields)
_QUERY = f"SELECT key, {_COLUMNS} FROM v_spaces"  # noqa: S608 - own names


@dataclass(frozen=True, slots=True)
class Space:
    """One space; ``fields`` as in ``SPACE_SCHEMA``, None where nothing is said."""

    id: DocumentId
    fields: Mapping[str, str | int | None]

    @property
    def name(self) -> str:
        """What it is called."""
        return str(self.fields["name"])

    @property
    def closed(self) -> bool:
        """Closed for good."""
        return bool(self.fields["closed"])

    @property
    def node(self) -> DeviceId | None:
        """The device of the node that makes its codes; None where none is named."""
        return _id(self.fields["node"])

    @property
    def inside(self) -> DocumentId | None:
        """The space that it is a room of."""
        found = _id(self.fields["inside"])
        return None if found is None else DocumentId(found)

    @property
    def stay_ms(self) -> int:
        """How long somebody counts as there who says nothing more."""
        return int(self.fields["stay_minutes"] or STAY_MINUTES) * 60_000

    @property
    def hours(self) -> Hours | None:
        """Its opening hours; None where there are none, or none that this version reads."""
        return _hours(self.fields["hours"])

    @property
    def quiet(self) -> Hours | None:
        """Its quiet hours, alike."""
        return _hours(self.fields["quiet_hours"])

    def open_until(self, now_ms: int, zone: ZoneInfo) -> datetime | None:
        """When it closes, if it is open; a space without hours says nothing."""
        hours = None if self.closed else self.hours
        return None if hours is None else hours.until(local(now_ms, zone))

    def leaves_ms(self, at_ms: int, zone: ZoneInfo) -> int:
        """When somebody who came at ``at_ms`` is checked out: after a stay, or when it closes."""
        closing = self.open_until(at_ms, zone)
        stay = at_ms + self.stay_ms
        if closing is None:
            return stay
        return min(stay, int(closing.astimezone(UTC).timestamp() * 1000))


def local(time_ms: int, zone: ZoneInfo) -> datetime:
    """A moment on the clock of a zone."""
    return (datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=time_ms)).astimezone(zone)


def _id(text: object) -> DeviceId | None:
    try:
        found = bytes.fromhex(text) if isinstance(text, str) and len(text) == 64 else b""
    except ValueError:
        return None
    return DeviceId(found) if len(found) == 32 else None


def _hours(text: object) -> Hours | None:
    try:
        return parse_hours(str(text)) if text else None
    except BadHours:
        return None


def _spaces(rows: Iterable[tuple[object, ...]]) -> list[Space]:
    return [
        Space(DocumentId(row[0]), dict(zip(SPACE_SCHEMA.fields, row[1:], strict=True)))  # type: ignore[arg-type]  # columns as declared
        for row in rows
    ]


async def spaces(community: Community) -> list[Space]:
    """All spaces by name, a room behind the space that it is in."""
    every = _spaces(await community.query(f"{_QUERY} ORDER BY name, key"))
    outer = [one for one in every if _outside(one, every)]
    found = []
    for one in outer:
        found += [one, *(room for room in every if room.inside == one.id and room not in outer)]
    return found


def _outside(one: Space, every: list[Space]) -> bool:
    """Not a room of a space that is here and is no room itself: rooms go one deep."""
    return all(other.id != one.inside or other.inside is not None for other in every)


async def any_space(community: Community) -> bool:
    """Whether the community has a space at all."""
    return bool(await community.query("SELECT 1 FROM v_spaces LIMIT 1"))


async def space_of(community: Community, ident: bytes) -> Space | None:
    """A space by its whole id."""
    found = _spaces(await community.query(f"{_QUERY} WHERE key = ?", (ident,)))
    return found[0] if found else None


async def find_space(community: Community, selector: str) -> Space:
    """A space by name, prefix or id. Raises ``Unknown``, ``Ambiguous``."""
    every = await spaces(community)
    choices = [(one.id, (one.name,)) for one in every]
    ident = find(N_("space"), selector, choices, "commons-node space list")
    return next(one for one in every if one.id == ident)


async def count_now(community: Community, space: Space, now_ms: int) -> int | None:
    """How many are there who came with a code; None if fewer than five, however many.

    Only what the space's own node has written counts, and a tag only once.
    """
    if space.node is None:
        return None
    latest = now_ms // SLOT_MS + SKEW_SLOTS
    rows = await community.query(
        "SELECT tag, MAX(slot) FROM v_attendance WHERE space = ? AND device = ? AND slot <= ?"
        " AND slot >= ? GROUP BY tag",
        (space.id, space.node, latest, (now_ms - space.stay_ms) // SLOT_MS),
    )
    zone = community.timezone
    here = sum(space.leaves_ms(slot * SLOT_MS, zone) > now_ms for _, slot in rows)
    return here if here >= MIN_RING else None


async def written_tags(community: Community, space: DocumentId, day: int) -> dict[bytes, int]:
    """The tags that stand of a space and day, with their newest slots."""
    rows = await community.query(
        "SELECT tag, MAX(slot) FROM v_attendance WHERE space = ? AND slot BETWEEN ? AND ?"
        " GROUP BY tag",
        (space, day * DAY_SLOTS, (day + 1) * DAY_SLOTS - 1),
    )
    return {bytes(tag): slot for tag, slot in rows}
