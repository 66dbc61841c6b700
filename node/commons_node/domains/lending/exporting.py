"""The verb that writes calendars. What has one is listed in ``SOURCES``: a space joins there."""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, ClassVar, Final

import msgspec

from commons_crdt.errors import CommonsError
from commons_node.community import Community
from commons_node.domains.lending.calendars import calendar_of
from commons_node.domains.lending.loans import Loan, loans
from commons_node.domains.resources.things import find_thing
from commons_node.registry import (
    Complete,
    Reading,
    Registry,
    Request,
    View,
    file_out,
    option,
)

if TYPE_CHECKING:
    from commons_node.daemon import Daemon

_THINGS = Complete("resource.list", "resources", "number")


class NotYours(CommonsError):
    """A person's calendar is for that person alone."""

    code: ClassVar[str] = "not_permitted"
    hint: ClassVar[str] = "commons-node --as YOU calendar export --member YOU --out FILE"
    status = "locked"


class WhichCalendar(CommonsError):
    """It is not said whose calendar is meant, or two are named."""

    code: ClassVar[str] = "missing_argument"
    hint: ClassVar[str] = "give one of {sources}"
    status = "usage"


class Export(msgspec.Struct):
    """Arguments of ``calendar export``."""

    out: Annotated[str, file_out("the iCalendar file", result="calendar")]
    resource: Annotated[str | None, option("of this thing", complete=_THINGS)] = None
    member: Annotated[str | None, option("of yourself, by name or id")] = None


Source = Callable[[Request["Daemon"], Community, str], Awaitable[tuple[str, list[Loan], bool]]]
"""From what was typed to a title, the loans, and whether they are the reader's own."""


async def _of_thing(
    _request: Request[Daemon], community: Community, selector: str
) -> tuple[str, list[Loan], bool]:
    item = await find_thing(community, selector)
    return item.label, await loans(community, "l.resource = ?", (item.id,)), False


async def _of_member(
    request: Request[Daemon], community: Community, selector: str
) -> tuple[str, list[Loan], bool]:
    member = await community.member(selector)
    if (await request.node.actor(request, community)).member != member:
        raise NotYours
    name = (await community.names())[member]
    return name, await loans(community, "l.borrower = ?", (member,)), True


SOURCES: Final[dict[str, Source]] = {"resource": _of_thing, "member": _of_member}


async def export(request: Request[Daemon], args: Export) -> Reading:
    """Loans and promises as a file for a calendar program."""
    community = await request.node.community(request)
    given = [(name, value) for name in SOURCES if (value := getattr(args, name)) is not None]
    if len(given) != 1:
        raise WhichCalendar(sources=", ".join(f"--{name}" for name in SOURCES))
    ((source, selector),) = given
    title, found, own = await SOURCES[source](request, community, selector)
    now, zone = request.node.now_ms(), community.timezone
    data = calendar_of(found, title, community.id, zone, own=own, now_ms=now)
    events = data.count(b"BEGIN:VEVENT")
    value = {"name": title, "events": events, "calendar": base64.b64encode(data).decode("ascii")}
    return await community.reading(value)


VERBS = Registry(
    views=(
        View("calendar.export", "Write loans as a file for a calendar program.", Export, export,
             says="{name}: {events} entries."),
    ),
    nouns={"calendar": "loans in your calendar program"},
)  # fmt: skip
