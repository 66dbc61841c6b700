"""The verbs of photos: add one to a thing, look at those it has, take one away again."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import msgspec

from commons_crdt.author import Draft
from commons_crdt.authority.facts import Erasure
from commons_crdt.authority.judge import ERASURE
from commons_crdt.ids import DocumentId, MemberId, OperationId
from commons_crdt.operation import SALT_BYTES, content
from commons_crdt.roles import Role
from commons_crdt.texts import N_
from commons_node.community import Actor, Community, Unknown, written
from commons_node.domains.needed import needs_rules
from commons_node.domains.resources.facts import PHOTO, PICTURE, Photo
from commons_node.domains.resources.photos import MEDIA_TYPES, strip
from commons_node.domains.resources.things import Thing, find_thing
from commons_node.registry import (
    Column,
    Command,
    Complete,
    Count,
    File,
    Reading,
    Registry,
    Request,
    Table,
    View,
    argument,
    file_out,
    option,
)
from commons_node.store.large_parts import LargePart

if TYPE_CHECKING:
    from commons_node.daemon import Daemon

_THINGS = Complete("resource.list", "resources", "number")
_SINCE = 2
"""The rules version that lists photos."""


class Add(msgspec.Struct):
    """Arguments of ``resource photo add``."""

    resource: Annotated[str, argument("the thing, by number, name or id", complete=_THINGS)]
    file: Annotated[File, argument("the photo: JPEG, PNG or WebP, at most 5 MiB")]


class Show(msgspec.Struct):
    """Arguments of ``resource photo show``."""

    resource: Annotated[str, argument("the thing, by number, name or id", complete=_THINGS)]
    photo: Annotated[Count | None, option("which of its photos, counted from 1")] = None
    out: Annotated[
        str | None,
        file_out("write the photo to a file; it is fetched if it is not here", result="picture"),
    ] = None


class Remove(msgspec.Struct):
    """Arguments of ``resource photo remove``."""

    resource: Annotated[str, argument("the thing, by number, name or id", complete=_THINGS)]
    photo: Annotated[Count, argument("which of its photos, counted from 1")]


@dataclass(frozen=True, slots=True)
class Picture:
    """A photo of a thing, and how much of it is here (None: nothing is known of its bytes)."""

    id: OperationId
    media: str
    member: MemberId
    time_ms: int
    part: LargePart | None


async def pictures(community: Community, thing: DocumentId) -> list[Picture]:
    """The photos of a thing, the oldest first as their authors say."""
    rows = await community.query(
        "SELECT v.key, v.media, v.member, o.time_ms FROM v_photos v JOIN operations o"
        " ON o.id = v.key WHERE v.resource = ? ORDER BY o.lamport, v.key",
        (thing,),
    )
    found = []
    for key, media, member, time_ms in rows:
        parts = await community.realm.parts.of(key)
        part = next((one for one in parts if one.name == PICTURE), None)
        found.append(Picture(OperationId(key), media, MemberId(member), time_ms, part))
    return found


async def add(request: Request[Daemon], args: Add) -> Mapping[str, object]:
    """Add a photo to a thing, without place, time and camera."""
    community = await request.node.community(request)
    actor = await request.node.actor(request, community)
    actor.needs(Role.STEWARD)
    needs_rules(community, _SINCE, N_("photos"))
    thing = await find_thing(community, args.resource)
    photo = strip(args.file.name, args.file.data)
    creation = OperationId(thing.id)
    draft = Draft.fact(
        PHOTO,
        Photo(photo.media),
        document=thing.id,
        refs=[creation],
        parts=[(PICTURE, photo.data)],
    )
    (result,) = await community.write(actor, draft)
    return {
        **written(result),
        "photo": result.id.hex(),
        "resource": thing.id.hex(),
        "name": thing.name,
        "media_type": MEDIA_TYPES[photo.media],
        "bytes": len(photo.data),
        "removed": len(args.file.data) - len(photo.data),
    }


def _row(number: int, one: Picture, names: Mapping[MemberId, str]) -> dict[str, object]:
    part = one.part
    length = part.length - SALT_BYTES if part is not None else None
    here = 0 if part is None else 100 * part.have // part.length
    return {
        "number": number,
        "photo": one.id.hex(),
        "media_type": MEDIA_TYPES.get(one.media, one.media),
        "bytes": length,
        "here": part is not None and part.whole,
        "percent": here,
        "member": one.member.hex(),
        "member_name": names.get(one.member),
    }


async def show(request: Request[Daemon], args: Show) -> Reading:
    """The photos of a thing, and one of them as a file."""
    community = await request.node.community(request)
    thing = await find_thing(community, args.resource)
    found = await pictures(community, thing.id)
    value: dict[str, object] = {"resource": thing.id.hex(), "name": thing.name}
    if args.photo is not None or args.out is not None:
        one = _chosen(thing, found, args.photo or 1)
        if one.part is None:
            raise Unknown(what="photo", name=str(args.photo or 1), list="commons-node sync wait")
        data = await request.node.parts.look(community.realm, one.part)
        value |= {
            "picture": base64.b64encode(content(data)).decode("ascii"),
            "media_type": MEDIA_TYPES.get(one.media),
            "out": args.out,
        }
        found = await pictures(community, thing.id)
    names = await community.names()
    value["photos"] = [_row(n, one, names) for n, one in enumerate(found, 1)]
    missing = [
        {"part": one.id.hex(), "have": one.part.have, "length": one.part.length}
        for one in found
        if one.part is not None and not one.part.whole
    ]
    return await community.reading(value, missing=missing)


async def remove(request: Request[Daemon], args: Remove) -> Mapping[str, object]:
    """Erase a photo, on every node."""
    community = await request.node.community(request)
    actor = await request.node.actor(request, community)
    thing = await find_thing(community, args.resource)
    one = _chosen(thing, await pictures(community, thing.id), args.photo)
    if one.member != actor.member:
        actor.needs(Role.COORDINATOR)
    (result,) = await community.write(actor, erasing(thing.id, one.id))
    return {
        **written(result),
        "photo": one.id.hex(),
        "resource": thing.id.hex(),
        "name": thing.name,
        "number": args.photo,
    }


def erasing(thing: DocumentId, photo: OperationId) -> Draft:
    """The erasure of one photo."""
    return Draft.fact(ERASURE, Erasure(photo), document=thing, refs=[photo])


def erasable(found: Sequence[Picture], actor: Actor) -> list[Picture]:
    """Those that the actor may erase: the own ones, a coordinator all."""
    return [one for one in found if one.member == actor.member or actor.role >= Role.COORDINATOR]


def _chosen(thing: Thing, found: Sequence[Picture], number: int) -> Picture:
    if not 1 <= number <= len(found):
        again = f"commons-node resource photo show {thing.number or thing.id.hex()[:12]}"
        raise Unknown(what="photo", name=str(number), list=again)
    return found[number - 1]


VERBS = Registry(
    commands=(
        Command("resource.photo.add", "Add a photo to a thing, without place, time and camera.",
                Add, add, says="{name} has a photo more, {bytes} bytes; {removed} bytes that were"
                " no picture are left out.", member=True, timeout_s=120.0),
        Command("resource.photo.remove", "Erase a photo, on every node.", Remove, remove,
                says="Photo {number} of {name} is erased.", member=True,
                asks="Erase photo {photo} of {resource} on every node? This cannot be undone."),
    ),
    views=(
        View("resource.photo.show", "The photos of a thing, and one of them as a file.", Show,
             show, says=("The photo is in {out}.", "Photos of {name}."), timeout_s=120.0,
             table=Table("photos", (Column("number", "Photo", "number"),
                                    Column("media_type", "Kind"),
                                    Column("bytes", "Bytes", "number"),
                                    Column("here", "Here", "yes"), Column("member_name", "By")),
                         "It has no photo yet.")),
    ),
    nouns={"resource.photo": "photos of the things that the community shares"},
)  # fmt: skip
