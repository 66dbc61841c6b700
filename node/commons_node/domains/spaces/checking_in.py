"""The verbs of check-ins: come, leave, look at the own ones, and show one to others.

A check-in is written in the member's own realm, whether or not any other node can be reached; what
the community hears of it is a token that says that somebody came (``commons_node.attendance``).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, ClassVar

import msgspec

from commons_crdt.author import Draft
from commons_crdt.authority.facts import Erasure
from commons_crdt.authority.judge import ERASURE
from commons_crdt.device import DeviceSecrets
from commons_crdt.errors import CommonsError
from commons_crdt.ids import DocumentId, MemberId, OperationId
from commons_crdt.operation import content
from commons_crdt.ring import tag_of
from commons_crdt.texts import _, listed
from commons_node.community import Community, WrongState, device_of, written
from commons_node.domains.own.entries import CheckedIn, Left, Shown
from commons_node.domains.spaces.commands import SPACES, Nothing, new_enough
from commons_node.domains.spaces.facts import PRESENCE, SAID, Presence
from commons_node.domains.spaces.finding import Space, find_space, spaces, written_tags
from commons_node.domains.spaces.mine import Mine, chosen, me, mine, reader
from commons_node.domains.spaces.publishing import (
    Said,
    decode_said,
    encode_open,
    encode_sealed,
    sealing_keys,
)
from commons_node.keystore.unlocked import Unlocked
from commons_node.moments import moment
from commons_node.realm.authoring import Written
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
from commons_protocol.attendance import scope_of
from commons_protocol.venue import DAY_SLOTS, SKEW_SLOTS, decode_venue_code, slot_of, starts_ms

if TYPE_CHECKING:
    from commons_node.daemon import Daemon

_MINE = Complete("checkin.list", "checkins", "checkin")
_EVERYBODY = "community"
_MOST_NAMED = 16


class OldCode(CommonsError):
    """This code was of {when}: codes are good for five minutes."""

    code: ClassVar[str] = "code_old"
    hint: ClassVar[str] = "read the one that is shown at the door now"


class EarlyCode(CommonsError):
    """This code is of {when}, and this machine's clock says {now}."""

    code: ClassVar[str] = "clock"
    hint: ClassVar[str] = "set the clock right, then try again"


class WrongCode(CommonsError):
    """This is no code of {name}: {why}."""

    code: ClassVar[str] = "code"
    hint: ClassVar[str] = "{next}"


class Create(msgspec.Struct):
    """Arguments of ``checkin create``."""

    space: Annotated[str, argument("where you are, by name or id", complete=SPACES)]
    code: Annotated[str, option("the code that is shown at the door")]


class Which(msgspec.Struct):
    """Arguments of ``checkin end`` and ``checkin unpublish``."""

    checkin: Annotated[
        str | None, argument("which one; the one that lasts if left out", complete=_MINE)
    ] = None


class Publish(msgspec.Struct):
    """Arguments of ``checkin publish``."""

    to: Annotated[list[str], option("who may see it: members, or: community", metavar="WHO")]
    checkin: Annotated[
        str | None, argument("which one; the one that lasts if left out", complete=_MINE)
    ] = None


def check_code(community: Community, space: Space, text: str, now_ms: int) -> tuple[int, bytes]:
    """The slot and the signature of a code that is good for a space now, with no network at all.

    Raises ``BadCode``, ``WrongCode``, ``OldCode``, ``EarlyCode``.
    """
    code = decode_venue_code(text)
    keys = community.realm.node_keys(space.node) if space.node is not None else None
    if keys is None:
        raise WrongCode(
            name=space.name, why=_("no node stands that makes codes for it"),
            next=_("ask the host to take it over: commons-node space edit SPACE --host yes"),
        )  # fmt: skip
    if not code.fits(community.realm.realm, space.id, keys.signing):
        elsewhere = code.hint != space.id[:4]
        why = _("it is for another space") if elsewhere else _("its node did not sign it")
        raise WrongCode(name=space.name, why=why, next="commons-node space list")
    here = slot_of(now_ms)
    if code.slot < here - SKEW_SLOTS:
        raise OldCode(when=moment(starts_ms(code.slot)))
    if code.slot > here + SKEW_SLOTS:
        raise EarlyCode(when=moment(starts_ms(code.slot)), now=moment(now_ms))
    return code.slot, code.signature


async def create(request: Request[Daemon], args: Create) -> Mapping[str, object]:
    """Check in: only your own machines know; a second time at the same space changes nothing."""
    daemon = request.node
    community = await daemon.community(request)
    who = await me(request, community)
    new_enough(community)
    space = await find_space(community, args.space)
    if space.closed:
        raise WrongState(
            why=_("{name} is closed for good.").format(name=space.name),
            next="commons-node space list",
        )
    now = daemon.now_ms()
    slot, signature = check_code(community, space, args.code, now)
    own = await daemon.own.make(who.unlocked)
    known = await mine(own, community.realm.realm)
    lasting = next(
        (one for one in known if one.entry.space == space.id and one.state(now) == "here"), None
    )
    if lasting is not None:
        return {**_answer(lasting.entry, space), "operation": lasting.operation.hex(),
                "verdict": "accepted", "reason": "", "again": True}  # fmt: skip
    entry = CheckedIn(
        os.urandom(32), community.realm.realm, space.id, slot, signature, now,
        space.leaves_ms(now, community.timezone),
    )  # fmt: skip
    (result,) = await own.write(entry)
    daemon.spawn(daemon.attending.unlocked(community, who.unlocked))
    return {**written(result), **_answer(entry, space)}


def _answer(entry: CheckedIn, space: Space) -> dict[str, object]:
    return {
        "checkin": entry.id.hex(),
        "space": space.id.hex(),
        "name": space.name,
        "state": "here",
        "expires": moment(entry.until_ms),
    }


async def end(request: Request[Daemon], args: Which) -> Mapping[str, object]:
    """Leave: the check-in ends now, and nobody sees it any more."""
    daemon = request.node
    community = await daemon.community(request)
    who = await me(request, community)
    own = await daemon.own.make(who.unlocked)
    one = chosen(await mine(own, community.realm.realm), args.checkin, daemon.now_ms())
    if one.state(daemon.now_ms()) != "here":
        raise WrongState(why=_("It has ended already."), next="commons-node checkin list")
    (result,) = await own.write(Left(one.entry.id, daemon.now_ms()))
    await _take_back(request, community, one)
    return {**written(result), "checkin": one.entry.id.hex(), "state": "left",
            "space": one.entry.space.hex()}  # fmt: skip


async def publish(request: Request[Daemon], args: Publish) -> Mapping[str, object]:
    """Let others see a check-in while it lasts: members by name, or all of the community."""
    daemon = request.node
    community = await daemon.community(request)
    who = await me(request, community)
    own = await daemon.own.make(who.unlocked)
    one = chosen(await mine(own, community.realm.realm), args.checkin, daemon.now_ms())
    if one.state(daemon.now_ms()) != "here":
        raise WrongState(why=_("It has ended already."), next="commons-node checkin list")
    named = [] if args.to == [_EVERYBODY] else [await community.member(one) for one in args.to]
    if len(named) > _MOST_NAMED or (not named and args.to != [_EVERYBODY]):
        raise WrongState(
            why=_("Name 1 to {most} members, or: community.").format(most=_MOST_NAMED),
            next="commons-node member list",
        )
    said = Said(one.entry.space, one.entry.at_ms, one.entry.until_ms)
    readers = sealing_keys(community, {*named, who.actor.member})
    part = encode_sealed(said, readers) if named else encode_open(said)
    body = Presence("circle" if named else "community", one.entry.until_ms)
    await _take_back(request, community, one)
    (result,) = await community.write(who.actor, Draft.fact(PRESENCE, body, parts=[(SAID, part)]))
    told = Shown(one.entry.id, result.id, daemon.now_ms(), tuple(sorted(set(named))))
    await own.write(told)
    names = await community.names()
    seen = [names.get(MemberId(member), member.hex()[:8]) for member in told.members]
    return {**written(result), "checkin": one.entry.id.hex(), "to": seen or [_EVERYBODY],
            "until": moment(one.entry.until_ms),
            "who": listed(seen) or _("everybody in the community")}  # fmt: skip


async def unpublish(request: Request[Daemon], args: Which) -> Mapping[str, object]:
    """Take back what was shown of a check-in; nodes that heard of it erase it."""
    daemon = request.node
    community = await daemon.community(request)
    who = await me(request, community)
    own = await daemon.own.make(who.unlocked)
    one = chosen(await mine(own, community.realm.realm), args.checkin, daemon.now_ms())
    taken = await _take_back(request, community, one)
    if not taken:
        raise WrongState(why=_("Nobody sees it but you."), next="commons-node checkin list")
    return {**written(taken[0]), "checkin": one.entry.id.hex()}


async def _standing(community: Community, one: Mine) -> list[Shown]:
    """What still stands of what was shown."""
    keys = [shown.operation for shown in one.shown]
    marks = ", ".join("?" * len(keys))
    rows = await community.query(f"SELECT key FROM v_presences WHERE key IN ({marks})", keys)  # noqa: S608 - marks only
    stands = {bytes(key) for (key,) in rows}
    return [shown for shown in one.shown if shown.operation in stands]


async def _take_back(request: Request[Daemon], community: Community, one: Mine) -> list[Written]:
    actor = await request.node.actor(request, community)
    drafts = [
        Draft.fact(
            ERASURE,
            Erasure(shown.operation),
            document=DocumentId(shown.operation),
            refs=[OperationId(shown.operation)],
        )
        for shown in await _standing(community, one)
    ]
    return await community.write(actor, *drafts) if drafts else []


async def list_checkins(request: Request[Daemon], _args: Nothing) -> Reading:
    """Where you were and who may see it; and what others let you see now."""
    daemon = request.node
    community = await daemon.community(request)
    who = await reader(request, community)
    own = await daemon.own.of(who.unlocked)
    named = {one.id: one.name for one in await spaces(community)}
    names = await community.names()
    found = await mine(own, community.realm.realm) if own is not None else []
    rows = [await _row(daemon, community, who.unlocked, one, named, names) for one in found]
    others = await _shown_to(community, device_of(who.unlocked), who.actor.member, daemon.now_ms())
    seen = [
        {
            "member": member.hex(),
            "member_name": names.get(member),
            "space": said.space.hex(),
            "space_name": named.get(DocumentId(said.space)),
            "since": moment(said.at_ms),
            "until": moment(said.until_ms),
        }
        for member, said in others
    ]
    return await community.reading({"checkins": rows, "others": seen})


async def _row(
    daemon: Daemon,
    community: Community,
    unlocked: Unlocked,
    one: Mine,
    named: Mapping[DocumentId, str],
    names: Mapping[MemberId, str],
) -> dict[str, object]:
    entry, realm = one.entry, community.realm.realm
    space = DocumentId(entry.space)
    shown = await _standing(community, one)
    members = sorted({member for each in shown for member in each.members})
    everybody = any(not each.members for each in shown)
    tag = tag_of(device_of(unlocked).signing, scope_of(realm, space, entry.slot))
    known = await written_tags(community, space, entry.slot // DAY_SLOTS)
    seen = [names.get(MemberId(member), member.hex()[:8]) for member in members]
    return {
        "checkin": entry.id.hex(),
        "space": space.hex(),
        "space_name": named.get(space),
        "state": one.state(daemon.now_ms()),
        "since": moment(entry.at_ms),
        "expires": moment(one.ends_ms),
        "counted": known.get(tag, -1) >= entry.slot,
        "audience": [_EVERYBODY] if everybody else [member.hex() for member in members],
        "who": _("everybody") if everybody else listed(seen) or _("only you"),
    }


async def _shown_to(
    community: Community, secrets: DeviceSecrets, member: MemberId, now_ms: int
) -> list[tuple[MemberId, Said]]:
    """Whom the member may see now, and where."""
    rows = await community.query(
        "SELECT v.member, p.bytes FROM v_presences v JOIN operations o ON o.id = v.key"
        " JOIN parts p ON p.operation = o.n AND p.name = ?"
        " WHERE v.until_ms > ? AND v.member != ? AND p.bytes IS NOT NULL ORDER BY o.n",
        (SAID, now_ms, member),
    )
    found = []
    for author, part in rows:
        said = decode_said(content(part), secrets)
        if said is not None and said.until_ms > now_ms:
            found.append((MemberId(author), said))
    return found


VERBS = Registry(
    commands=(
        Command("checkin.create", "Check in where you are; only you will know.", Create, create,
                says="You are checked in at {name} until {expires:time}. Only you know; the space"
                " counts somebody.", member=True),
        Command("checkin.end", "Leave: end a check-in.", Which, end,
                says="You are checked out.", member=True),
        Command("checkin.publish", "Let others see where you are.", Publish, publish,
                says="Until {until:time} this is seen by: {who}", member=True),
        Command("checkin.unpublish", "Let nobody see a check-in any more.", Which, unpublish,
                says="Nobody sees it any more but you.", member=True),
    ),
    views=(
        View("checkin.list", "Where you were, and who may see it.", Nothing, list_checkins,
             table=Table("checkins", (Column("space_name", "Space"), Column("state", "State"),
                                      Column("since", "Since", "time"),
                                      Column("expires", "Until", "time"),
                                      Column("counted", "Counted", "yes"), Column("who", "Seen by"),
                                      Column("checkin", "Id", "id")),
                         "You have checked in nowhere."), member=True),
    ),
    nouns={"checkin": "where you are, known to you alone"},
)  # fmt: skip
