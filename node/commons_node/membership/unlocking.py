"""Who may act at a terminal: unlocking and locking members whose keys this node keeps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, ClassVar, Final

from commons_crdt.errors import CommonsError
from commons_crdt.ids import MemberId
from commons_crdt.roles import Role
from commons_crdt.texts import Spoken, _
from commons_node.community import Community, device_of, find
from commons_node.keystore.sessions import acted
from commons_node.keystore.unlocked import Unlocked
from commons_node.membership.rotation import rotate_if_due
from commons_node.membership.settling import read, settle
from commons_node.notices import told_at_unlock
from commons_node.registry import Request

if TYPE_CHECKING:
    from commons_node.daemon import Daemon


class SeveralMembers(CommonsError):
    """It is not clear whose passphrase this is: not just one member lives on this node."""

    code: ClassVar[str] = "which_member"
    hint: ClassVar[str] = "say who acts with --as MEMBER"
    status = "usage"


async def unlock(
    request: Request[Daemon], selector: str | None, passphrase: str, idle_s: float
) -> Mapping[str, object]:
    """Unlock a member of this node in the caller's terminal session."""
    daemon = request.node
    member, name = await own_member(daemon, selector)
    acted.set(member.hex())
    unlocked = await daemon.keystore.unlock(member.hex(), passphrase)
    community = daemon.communities[(await daemon.store.members())[member]]
    owed = await daemon.retiring.at_unlock(community, unlocked)
    if community.realm.own_credential is None and not daemon.retiring.owes(member):
        if daemon.may_sign(community.realm.realm):
            await settle(daemon, community.realm, member, device_of(unlocked), None)
        else:
            daemon.spawn(_settle_later(daemon, community, member, unlocked))
    known = community.realm.judge.authority.members()
    owing = daemon.retiring.owes(member)
    if (
        known.get(member) is Role.COORDINATOR
        and not owing
        and daemon.may_sign(community.realm.realm)
    ):
        await rotate_if_due(daemon, community, await community.actor(unlocked))
    notices, news = await told_at_unlock(community, member, daemon.now_ms())
    session = request.session or daemon.sessions.new()
    seconds = session.unlock(unlocked, idle_s)
    daemon.look_at_seals(community)
    daemon.look_at_openings(community)
    daemon.spawn(daemon.attending.unlocked(community, unlocked))
    until = datetime.now(UTC) + timedelta(seconds=seconds)
    return {
        "member": member.hex(),
        "name": name,
        "device": device_of(unlocked).keys.id.hex(),
        "until": until.isoformat(timespec="seconds").replace("+00:00", "Z"),
        "session": session.token,
        "notices": notices,
        "news": " ".join(one for one in (_of_restored(owed), news) if one) or None,
        "restored": owed,
    }


async def _settle_later(
    daemon: Daemon, community: Community, member: MemberId, unlocked: Unlocked
) -> None:
    """Finish what a crash cut off, once own newer acts are here.

    They may have ended this very device, and whatever it wrote without them would be a fork.
    """
    await read(community.realm, device_of(unlocked))
    await daemon.signing.until(community.realm.realm)
    if not unlocked.wiped:  # else the next unlocking does it
        await settle(daemon, community.realm, member, device_of(unlocked), None)


def _of_restored(owed: Mapping[str, object] | None) -> str | None:
    """What became of a home that was made from a backup, in a sentence."""
    return _RESTORED[str(owed["state"])].format(**owed) if owed is not None else None


_RESTORED: Final = Spoken({
    "done": "This home was restored: you have a new device, and the lost machine's has ended.",
    "waiting": "This home was restored: you can read. Your new device is made, and the old one"
    " ends, as soon as another node of the community was met.",
    "seat": "This home was restored: you have a new device. The lost machine's ends when the"
    " council has moved your seat: ask the other coordinators to endorse it.",
    "failed": "This home was restored, and your new device cannot be made yet: {why}",
})  # fmt: skip


async def change_passphrase(
    request: Request[Daemon], selector: str | None, old: str, new: str
) -> Mapping[str, object]:
    """Seal a member's keys with another passphrase; the old one must be given.

    Whoever is unlocked stays so. A kill in between leaves the one or the other, never none.
    """
    member, name = await own_member(request.node, selector)
    acted.set(member.hex())
    await request.node.keystore.change_passphrase(member.hex(), old, new)
    return {"member": member.hex(), "name": name}


async def lock(request: Request[Daemon], selector: str | None) -> Mapping[str, object]:
    """Lock a member, or everybody, in the caller's terminal session."""
    session = request.session
    member = (await own_member(request.node, selector))[0].hex() if selector else None
    gone = session.lock(member) if session else ()
    return {
        "member": member,
        "device": None,
        "until": None,
        "session": session.token if session else None,
        "locked": list(gone),
    }


async def here(request: Request[Daemon], *, stay: bool) -> list[dict[str, object]]:
    """Members of this node by name, each with the seconds until they lock at this terminal.

    ``stay`` counts as use: whoever is unlocked here stays so for as long again.
    """
    daemon, session = request.node, request.session
    open_now = session.members() if session is not None else ()
    if session is not None and stay:
        for one in open_now:
            session.pick(one)
    rows: list[dict[str, object]] = []
    for member, realm in (await daemon.store.members()).items():
        community = daemon.communities.get(realm)
        known = community.realm.judge.authority.members() if community else {}
        names = await community.names() if community else {}
        role = known.get(member)
        left = session.remaining_s(member.hex()) if session is not None else 0.0
        rows.append(
            {
                "member": member.hex(),
                "name": names.get(member, member.hex()[:8]),
                "role": role.word if role is not None else None,
                "community": realm.hex(),
                "unlocked": member.hex() in open_now,
                "seconds": round(left),
            }
        )
    return sorted(rows, key=lambda row: str(row["name"]).casefold())


async def own_member(daemon: Daemon, selector: str | None) -> tuple[MemberId, str]:
    """A member whose keys are kept here, with their name; the only one if nobody is named."""
    choices: list[tuple[bytes, Sequence[str | None]]] = []
    for member, realm in (await daemon.store.members()).items():
        community = daemon.communities.get(realm)
        name = (await community.names()).get(member) if community else None
        choices.append((member, (name,)))
    if selector is None:
        if len(choices) != 1:
            raise SeveralMembers
        selector = choices[0][0].hex()
    found = find(_("member on this node"), selector, choices, "commons-node member list")
    return MemberId(found), dict(choices)[found][0] or found.hex()[:8]
