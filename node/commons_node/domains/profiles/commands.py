"""The verbs of profiles: say what you are called and more, look at somebody's, list all."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, ClassVar

import msgspec

from commons_crdt.author import Draft
from commons_crdt.device import DeviceKeys, DeviceSecrets
from commons_crdt.errors import CommonsError
from commons_crdt.ids import DocumentId, MemberId
from commons_crdt.operation import content
from commons_crdt.texts import N_, listed
from commons_node.community import Actor, Community, Unknown, written
from commons_node.domains.identity.whose import own_member
from commons_node.domains.membership.facts import MAX_NAME, NAME, PROFILE, Profile
from commons_node.domains.needed import needs_rules
from commons_node.domains.profiles.facts import (
    FIELD,
    FIELDS,
    MAX_TEXT,
    PICTURE,
    SEALED,
    SINCE,
    TEXT,
    Field,
    Form,
    Name,
)
from commons_node.domains.profiles.reading import Word, heads_of, words_of
from commons_node.domains.profiles.sealing import MAX_TEXT as MAX_SECRET
from commons_node.domains.profiles.sealing import to_devices, to_epoch
from commons_node.domains.resources.photos import MEDIA_TYPES, strip
from commons_node.explaining.words import word
from commons_node.moments import moment
from commons_node.registry import (
    Column,
    Command,
    Complete,
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

if TYPE_CHECKING:
    from commons_node.daemon import Daemon

MEMBERS = Complete("member.list", "members", "name")
COMMUNITY = "community"


class NothingSaid(CommonsError):
    """It is not said what shall change."""

    code: ClassVar[str] = "missing_argument"
    hint: ClassVar[str] = "commons-node member profile edit --help names the fields"
    status = "usage"


class LongField(CommonsError):
    """The field {field} has {found} bytes; it can have {most}."""

    code: ClassVar[str] = "too_long"
    hint: ClassVar[str] = "say it in fewer words"
    status = "usage"


class NoEpoch(CommonsError):
    """This node holds no key of the community to seal it with."""

    code: ClassVar[str] = "no_epoch"
    hint: ClassVar[str] = "commons-node sync wait, then once more"


class Edit(msgspec.Struct):
    """Arguments of ``member profile edit``."""

    name: Annotated[str | None, option("what you are called")] = None
    languages: Annotated[str | None, option("which languages you speak")] = None
    about: Annotated[str | None, option("about you, in your own words")] = None
    contact: Annotated[str | None, option("how to reach you; only its readers can open it")] = None
    readers: Annotated[
        list[str],
        option("who may read the contact: community, or members by name; may be repeated",
               complete=MEMBERS),
    ] = msgspec.field(default_factory=list)  # fmt: skip
    photo: Annotated[File | None, option("your photo: JPEG, PNG or WebP, at most 5 MiB")] = None
    clear: Annotated[
        list[Name], option("take a field back, so that it is shown no more; may be repeated")
    ] = msgspec.field(default_factory=list)


async def edit(request: Request[Daemon], args: Edit) -> Mapping[str, object]:
    """Say what you are called, which languages you speak, how to reach you."""
    community = await request.node.community(request)
    actor = await request.node.actor(request, community)
    drafts: list[Draft] = []
    changed: list[str] = []
    if args.name is not None:
        drafts.append(_named(actor, args.name))
        changed.append("name")
    said = [(name, getattr(args, name)) for name in FIELDS if getattr(args, name) is not None]
    if said or args.clear:
        needs_rules(community, SINCE, N_("a profile of more than a name"))
    for name, value in said:
        if isinstance(value, File):
            photo = strip(value.name, value.data)
            form: Form = photo.media
            parts = [(PICTURE, photo.data)]
        elif name == "contact":
            form, part = await _sealed(community, actor, _text(name, value), args.readers)
            parts = [(SEALED, part)]
        else:
            form, parts = "text", [(TEXT, _text(name, value))]
        drafts.append(await _field(community, actor, name, form, parts))
        changed.append(name)
    for name in args.clear:
        form = "jpeg" if name == "photo" else "text"
        drafts.append(await _field(community, actor, name, form, []))
        changed.append(name)
    if not drafts:
        raise NothingSaid
    results = await community.write(actor, *drafts)
    name = (await community.names())[actor.member]
    return {
        **written(results[-1]),
        "operations": [one.id.hex() for one in results],
        "member": actor.member.hex(),
        "name": name,
        "changed": changed,
        "fields": listed([word(one) for one in changed]),
    }


def _named(actor: Actor, name: str) -> Draft:
    data = name.strip().encode("utf-8", "replace")
    if not 1 <= len(data) <= MAX_NAME:
        raise LongField(field="name", found=len(data), most=MAX_NAME)
    return Draft.fact(PROFILE, Profile(), document=DocumentId(actor.member), parts=[(NAME, data)])


def _text(name: str, value: str) -> bytes:
    data = value.strip().encode("utf-8", "replace")
    most = MAX_SECRET if name == "contact" else MAX_TEXT
    if len(data) > most:
        raise LongField(field=name, found=len(data), most=most)
    return data


async def _field(
    community: Community, actor: Actor, name: str, form: Form, parts: Sequence[tuple[str, bytes]]
) -> Draft:
    replaced = list(await heads_of(community, actor.member, name))[:16]
    body = Field(name, form, tuple(replaced))  # type: ignore[arg-type]  # one of FIELDS
    return Draft.fact(FIELD, body, document=DocumentId(actor.member), refs=replaced, parts=parts)


async def _sealed(
    community: Community, actor: Actor, text: bytes, readers: Sequence[str]
) -> tuple[Form, bytes]:
    """The contact for its readers, and always for all devices of its author."""
    if not readers or [one.casefold() for one in readers] == [COMMUNITY]:
        epochs = community.realm.epochs()
        if not epochs:
            raise NoEpoch
        return "community", to_epoch(text, *epochs[0])
    who = {actor.member, *[await community.member(one) for one in readers]}
    return "members", to_devices(text, _devices(community, who))


def _devices(community: Community, members: set[MemberId]) -> list[DeviceKeys]:
    standing = community.realm.judge.authority.standing_devices().values()
    return [one.keys for one in standing if one.member in members and not one.unattended]


class Show(msgspec.Struct):
    """Arguments of ``member profile show``."""

    who: Annotated[str | None, argument("the member, by name or id", complete=MEMBERS)] = None
    out: Annotated[
        str | None,
        file_out("write the photo to a file; it is fetched if it is not here", result="picture"),
    ] = None


async def show(request: Request[Daemon], args: Show) -> Reading:
    """What a member says of themselves, as far as you may read it."""
    community = await request.node.community(request)
    member = await own_member(request, community, args.who)
    device = await _reader(request, community)
    words = await words_of(community, member, device)
    names = await community.names()
    rows = [_row(one) for one in words]
    several = sorted({one.field for one in words if _several(one, words)})
    value: dict[str, object] = {
        "member": member.hex(),
        "name": names.get(member, member.hex()[:8]),
        "fields": rows,
        "several": listed([word(one) for one in several]) or None,
    }
    if args.out is not None:
        value |= await _picture(request, community, words, args.out)
    return await community.reading(value, conflicts=[{"field": one} for one in several])


def _several(one: Word, words: Sequence[Word]) -> bool:
    return sum(other.field == one.field for other in words) > 1


async def _reader(request: Request[Daemon], community: Community) -> DeviceSecrets | None:
    """The device of whoever is unlocked here; nobody need be."""
    if request.session is None and request.member is None:
        return None
    try:
        return (await request.node.actor(request, community)).secrets
    except CommonsError:
        return None


async def _picture(
    request: Request[Daemon], community: Community, words: Sequence[Word], out: str
) -> Mapping[str, object]:
    found = next((one for one in words if one.part is not None), None)
    if found is None or found.part is None:
        raise Unknown(what="photo", name="profile", list="commons-node member profile list")
    data = await request.node.parts.look(community.realm, found.part)
    picture = base64.b64encode(content(data)).decode("ascii")
    return {"picture": picture, "media_type": MEDIA_TYPES.get(found.form), "out": out}


def _row(one: Word) -> dict[str, object]:
    return {
        "field": one.field,
        "text": one.text,
        "shown": one.text if one.text is not None else word(one.state),
        "readers": "members" if one.form == "members" else "community",
        "state": one.state,
        "here": one.part is None or one.part.whole,
        "time": moment(one.standing.time_ms),
        "device": one.standing.device.hex(),
        "operation": one.operation.hex(),
    }


class Nothing(msgspec.Struct):
    """No arguments."""


async def list_profiles(request: Request[Daemon], _args: Nothing) -> Reading:
    """Everybody's profile, a line each."""
    community = await request.node.community(request)
    device = await _reader(request, community)
    names = await community.names()
    rows = []
    for member, name in sorted(names.items(), key=lambda one: (one[1].casefold(), one[0])):
        words = await words_of(community, member, device)
        texts = {
            name: " / ".join(one.text for one in words if one.field == name and one.text)
            for name in FIELDS
        }
        rows.append(
            {
                "member": member.hex(),
                "name": name,
                **{field: text or None for field, text in texts.items() if field != "photo"},
                "photo": any(one.field == "photo" for one in words),
            }
        )
    return await community.reading({"profiles": rows})


VERBS = Registry(
    commands=(
        Command("member.profile.edit", "Say what you are called, and more about you.", Edit, edit,
                says="Changed in your profile: {fields}.", member=True, timeout_s=120.0),
    ),
    views=(
        View("member.profile.show", "What a member says of themselves.", Show, show,
             says=("The photo of {name} is in {out}.",
                   "{name}. Two machines said different things on: {several}. Say it once more.",
                   "{name}"), timeout_s=120.0,
             table=Table("fields", (Column("field", "Field", "word"), Column("shown", "Says"),
                                    Column("readers", "For", "word"),
                                    Column("time", "Since", "time"),
                                    Column("operation", "Id", "id")), "Nothing but a name.")),
        View("member.profile.list", "Everybody's profile, a line each.", Nothing, list_profiles,
             table=Table("profiles", (Column("name", "Name"), Column("languages", "Languages"),
                                      Column("about", "About"), Column("contact", "Contact"),
                                      Column("photo", "Photo", "yes"),
                                      Column("member", "Id", "id")), "Nobody yet.")),
    ),
    nouns={"member": "members, roles, and who acts at this terminal",
           "member.profile": "what members say of themselves"},
)  # fmt: skip
