"""The verbs of spaces: create, edit, close, list, show, and the code that is shown at the door."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import msgspec

from commons_crdt.document.values import Value
from commons_crdt.errors import CommonsError
from commons_crdt.ids import DocumentId
from commons_crdt.roles import Role
from commons_crdt.texts import N_, Spoken, _
from commons_node.community import Actor, Community, WrongState, written
from commons_node.domains.closing import needs_open
from commons_node.domains.needed import needs_rules
from commons_node.domains.resources.drafts import changes, creations
from commons_node.domains.spaces.cells import parse_cell
from commons_node.domains.spaces.facts import (
    ACCESS,
    MAX_STAY_MINUTES,
    SINCE,
    SPACE,
    STAY_MINUTES,
    Type,
    Wheelchair,
)
from commons_node.domains.spaces.finding import Space, count_now, find_space, local, spaces
from commons_node.domains.spaces.hours import parse_hours
from commons_node.explaining.words import word
from commons_node.moments import moment
from commons_node.registry import (
    Column,
    Command,
    Complete,
    Reading,
    Registry,
    Request,
    Table,
    View,
    argument,
    option,
)
from commons_protocol.attendance import MIN_RING
from commons_protocol.codes import grouped
from commons_protocol.venue import make_code, slot_of, starts_ms

if TYPE_CHECKING:
    from commons_node.daemon import Daemon

SPACES = Complete("space.list", "spaces", "name")
YesNo = Literal["yes", "no"]


_FIELDS = Spoken({
    "hours": "hours",
    "quiet_hours": "quiet hours",
    "stay_minutes": "stay minutes",
    "cell": "cell",
    "notice": "notice",
    "wheelchair": "wheelchair",
    "toilets_wheelchair": "toilets wheelchair",
    "hearing_loop": "hearing loop",
    "tactile_paving": "tactile paving",
    "step_count": "step count",
    "type": "type",
    "capacity": "capacity",
    "inside": "room of",
})  # fmt: skip
"""What ``space show`` calls what is known."""
_CODED = frozenset({"type", "wheelchair", "toilets_wheelchair"})


class NotTheVenue(CommonsError):
    """This node makes no codes for {name}: {why}."""

    code: ClassVar[str] = "not_the_venue"
    hint: ClassVar[str] = "{next}"


def new_enough(community: Community) -> None:
    """Raise ``OlderRules`` where the rules do not list spaces yet."""
    needs_rules(community, SINCE, N_("spaces"))


class Described(msgspec.Struct, kw_only=True):
    """What can be said of a space when it is new, and later."""

    type: Annotated[Type | None, option("who it is for")] = None
    inside: Annotated[str | None, option("the space that it is a room of", complete=SPACES)] = None
    hours: Annotated[str | None, option('when it is open, as in OSM: "Mo-Fr 08:00-18:00"')] = None
    quiet_hours: Annotated[str | None, option("when it is to be quiet, alike")] = None
    capacity: Annotated[
        Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] | None, option("how many fit in")
    ] = None
    stay_minutes: Annotated[
        Annotated[int, msgspec.Meta(ge=1, le=MAX_STAY_MINUTES)] | None,
        option("after how long a visitor is checked out"),
    ] = None
    place: Annotated[
        str | None, option("where it is, made coarse at once: 59.33,18.06 or a geohash cell")
    ] = None
    notice: Annotated[str | None, option("what a visitor should know")] = None
    wheelchair: Annotated[Wheelchair | None, option("whether a wheelchair gets in")] = None
    toilets_wheelchair: Annotated[Wheelchair | None, option("whether one gets to a toilet")] = None
    hearing_loop: Annotated[YesNo | None, option("whether there is an induction loop")] = None
    tactile_paving: Annotated[YesNo | None, option("whether the way in can be felt")] = None
    step_count: Annotated[
        Annotated[int, msgspec.Meta(ge=0, le=1000)] | None, option("how many steps lead in")
    ] = None


class Create(Described, kw_only=True):
    """Arguments of ``space create``."""

    name: Annotated[str, argument("what people call it")]
    host: Annotated[YesNo, option("whether this node makes its codes")] = "yes"


class Edit(Described, kw_only=True):
    """Arguments of ``space edit``."""

    space: Annotated[str, argument("the space, by name or id", complete=SPACES)]
    name: Annotated[str | None, option("another name")] = None
    host: Annotated[YesNo | None, option("whether this node makes its codes from now on")] = None


class One(msgspec.Struct):
    """Arguments of verbs about one space."""

    space: Annotated[str, argument("the space, by name or id", complete=SPACES)]


async def _fields(community: Community, args: Described, own: Space | None) -> dict[str, Value]:
    """The fields that are said, checked; an empty text takes a field away."""
    fields: dict[str, Value] = {}
    for name in Described.__struct_fields__:
        value = getattr(args, name)
        if value is None:
            continue
        if name in {"hours", "quiet_hours"} and value.strip():
            parse_hours(value)
        if name == "inside" and value.strip():
            outer = await find_space(community, value)
            if outer.inside is not None or (own is not None and outer.id == own.id):
                raise WrongState(
                    why=_("{name} has no rooms: it is a room itself.").format(name=outer.name),
                    next="commons-node space list",
                )
            value = outer.id.hex()
        if name == "place":
            value = parse_cell(value) if value.strip() else ""
        if name in {"hearing_loop", "tactile_paving"}:
            value = value == "yes"
        if isinstance(value, str):
            value = value.strip() or None
        fields["cell" if name == "place" else name] = value
    return fields


def _host(daemon: Daemon, community: Community) -> str:
    device = daemon.standing.device(community.realm.realm)
    if device is None or community.realm.node_keys(device.keys.id) is None:
        raise WrongState(
            why=_("This node has no standing in the community, so it can make no codes."),
            next=_("commons-node member unlock, or create the space with --host no"),
        )
    return device.keys.id.hex()


async def create(request: Request[Daemon], args: Create) -> Mapping[str, object]:
    """Describe a space that is new here."""
    community, actor = await _steward(request)
    await needs_open(community)
    fields = await _fields(community, args, None)
    fields["name"] = args.name.strip()
    if args.host == "yes":
        fields["node"] = _host(request.node, community)
    drafts = await creations(community, actor, SPACE, [fields])
    (result,) = await community.write(actor, *drafts)
    return {**written(result), "space": result.id.hex(), "name": fields["name"]}


async def _steward(request: Request[Daemon]) -> tuple[Community, Actor]:
    community = await request.node.community(request)
    actor = await request.node.actor(request, community)
    actor.needs(Role.HOST)
    new_enough(community)
    return community, actor


async def edit(request: Request[Daemon], args: Edit) -> Mapping[str, object]:
    """Change what is said of a space."""
    community, actor = await _steward(request)
    space = await find_space(community, args.space)
    fields = await _fields(community, args, space)
    if args.name is not None:
        fields["name"] = args.name.strip()
    if args.host is not None:
        fields["node"] = _host(request.node, community) if args.host == "yes" else None
    return await _change(community, actor, space, fields)


async def close(request: Request[Daemon], args: One) -> Mapping[str, object]:
    """Close a space for good."""
    community, actor = await _steward(request)
    space = await find_space(community, args.space)
    return await _change(community, actor, space, {"closed": True})


async def _change(
    community: Community, actor: Actor, space: Space, fields: Mapping[str, Value]
) -> Mapping[str, object]:
    drafts = await changes(community, actor, SPACE, {DocumentId(space.id): fields})
    if not drafts:
        raise WrongState(why=_("It is like that already."), next="commons-node space show SPACE")
    (result,) = await community.write(actor, *drafts)
    return {**written(result), "space": space.id.hex(), "name": fields.get("name") or space.name}


async def code(request: Request[Daemon], args: One) -> Mapping[str, object]:
    """The code of this slot, for the door: shown by the space's node, whoever is unlocked."""
    daemon = request.node
    community = await daemon.community(request)
    space = await find_space(community, args.space)
    device = daemon.standing.device(community.realm.realm)
    if space.closed:
        raise WrongState(
            why=_("{name} is closed for good.").format(name=space.name),
            next="commons-node space list",
        )
    if device is None or space.node != device.keys.id:
        raise NotTheVenue(
            name=space.name, why=_("another node does, or none"),
            next=_("run it there, or take it over: commons-node space edit SPACE --host yes"),
        )  # fmt: skip
    if community.realm.node_keys(device.keys.id) is None:
        raise NotTheVenue(
            name=space.name, why=_("it was taken out of the community"),
            next=_(
                "take the space over on another node: commons-node space edit SPACE --host yes"
            ),
        )  # fmt: skip
    slot = slot_of(daemon.now_ms())
    told = make_code(community.realm.realm, space.id, slot, device.signing)
    return {
        "space": space.id.hex(),
        "name": space.name,
        "code": told,
        "grouped": grouped(told),
        "valid_until": moment(starts_ms(slot + 1)),
    }


async def row_of(daemon: Daemon, community: Community, space: Space) -> dict[str, object]:
    """What lists and ``space show`` say of a space."""
    now, zone = daemon.now_ms(), community.timezone
    until = space.open_until(now, zone)
    quiet = space.quiet
    device = daemon.standing.device(community.realm.realm)
    is_open = False if space.closed else (None if space.hours is None else until is not None)
    return {
        "space": space.id.hex(),
        "name": space.name,
        "type": space.fields["type"],
        "inside": space.inside.hex() if space.inside else None,
        "open": is_open,
        "now": "closed" if is_open is False else "open" if is_open else "unknown",
        "open_until": moment(int(until.timestamp() * 1000)) if until else None,
        "quiet_now": quiet.covers(local(now, zone)) if quiet is not None else False,
        "count": await count_now(community, space, now),
        "fewer_than": MIN_RING,
        "capacity": space.fields["capacity"],
        "closed": space.closed,
        "codes_here": device is not None and space.node == device.keys.id,
    }


async def list_spaces(request: Request[Daemon], _args: msgspec.Struct) -> Reading:
    """The spaces of the community."""
    community = await request.node.community(request)
    rows = [await row_of(request.node, community, one) for one in await spaces(community)]
    told = [{**row, "people": _people(row)} for row in rows]
    return await community.reading({"spaces": told})


def _people(row: Mapping[str, object]) -> object:
    return row["count"] if row["count"] is not None else f"< {MIN_RING}"


async def show(request: Request[Daemon], args: One) -> Reading:
    """Everything that is known of one space."""
    daemon = request.node
    community = await daemon.community(request)
    space = await find_space(community, args.space)
    every = await spaces(community)
    outer = next((one.name for one in every if one.id == space.inside), None)
    row = await row_of(daemon, community, space)
    access: dict[str, object] = {
        name: bool(value) if name in {"hearing_loop", "tactile_paving"} else value
        for name in ACCESS
        if (value := space.fields[name]) is not None
    }
    details: dict[str, object] = {
        "hours": space.fields["hours"],
        "quiet_hours": space.fields["quiet_hours"],
        "stay_minutes": space.fields["stay_minutes"] or STAY_MINUTES,
        "cell": space.fields["cell"],
        "notice": space.fields["notice"],
    }
    shown = {
        **details,
        **access,
        "type": row["type"],
        "capacity": row["capacity"],
        "inside": outer,
    }
    about = [
        {"field": _FIELDS[name], "value": word(str(value)) if name in _CODED else value}
        for name, value in shown.items()
        if value is not None
    ]
    rooms = [{"space": one.id.hex(), "name": one.name} for one in every if one.inside == space.id]
    node = space.node.hex() if space.node is not None else None
    answer = {**row, **details, "access": access, "rooms": rooms, "node": node, "about": about,
             "people": _people(row)}  # fmt: skip
    return await community.reading(answer)


class Nothing(msgspec.Struct):
    """No arguments."""


VERBS = Registry(
    commands=(
        Command("space.create", "Describe a space that is new here.", Create, create,
                says="{name} is a space now. Its code for the door:"
                " commons-node space code {space:id}", member=True),
        Command("space.edit", "Change what is said of a space.", Edit, edit,
                says="{name} is changed.", member=True),
        Command("space.close", "Close a space for good.", One, close, says="{name} is closed.",
                member=True, asks="Close {space} for good?"),
        Command("space.code", "Show the code of the next minutes, for the door.", One, code,
                says="{name}, until {valid_until:time}:\n{grouped}", qr="code"),
    ),
    views=(
        View("space.list", "The spaces of the community.", Nothing, list_spaces,
             table=Table("spaces", (Column("name", "Space"), Column("type", "Type"),
                                    Column("now", "Now"), Column("people", "There"),
                                    Column("space", "Id", "id")), "No spaces yet.")),
        View("space.show", "Everything that is known of one space.", One, show,
             says="{name}: {now}, {people} there",
             table=Table("about", (Column("field", "About it"), Column("value", "")))),
    ),
    nouns={"space": "places of the community where people meet"},
)  # fmt: skip
