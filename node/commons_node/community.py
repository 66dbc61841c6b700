"""A community as verbs see it: who acts, what they are called, and writing in their name.

Wraps a ``Realm`` with names, selectors (id, prefix or name) and the acting member's keys. Knows no
domain: things and loans are found by their own domains with ``find``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from commons_crdt.author import Draft
from commons_crdt.device import DeviceSecrets
from commons_crdt.errors import CommonsError
from commons_crdt.ids import DeviceId, MemberId, OperationId
from commons_crdt.operation import content
from commons_crdt.roles import Role
from commons_crdt.texts import Spoken, _
from commons_node.explaining.gone import all_gone, gone_in_words
from commons_node.explaining.words import role_word
from commons_node.keystore.unlocked import Unlocked
from commons_node.realm.authoring import Written
from commons_node.realm.realm import Realm
from commons_node.registry import Reading
from commons_node.store.database import fetch

SIGNING, SEALING = "signing", "sealing"
"""Names of a device's two secrets in a key file."""
_PREFIX = 8
_BACK = Spoken({
    "removed": "only the council can undo it: ask a coordinator; what and why: "
    "commons-node notice list",
    "suspended": "when it is over: commons-node member readmit",
})  # fmt: skip


class Unknown(CommonsError):
    """No {what} is called {name!r} here."""

    texts = ("what",)
    code = "unknown"
    hint = "{list}"
    status = "not_found"


class Ambiguous(CommonsError):
    """Several fit {name!r}: {found}."""

    code = "ambiguous"
    hint = "give more of its id, or its number"
    status = "usage"


class NotAllowed(CommonsError):
    """A {role} may not do this: it takes a {needed}."""

    code = "not_permitted"
    hint = "{ask}"
    status = "locked"


class Retired(CommonsError):
    """This device of yours has ended: it was {how}, and nothing that it writes counts."""

    code = "retired"
    hint = "with a new device: commons-node member device join CODE, or member recover key"
    status = "locked"


class Gone(CommonsError):
    """{why}"""

    code = "removed"
    hint = "{next}"
    status = "locked"


class WrongState(CommonsError):
    """{why}"""

    code = "state"
    hint = "{next}"


def device_of(unlocked: Unlocked) -> DeviceSecrets:
    """The device whose secrets an unlocked member holds; its public half is computed once."""
    secrets = DeviceSecrets(unlocked.get(SIGNING), unlocked.get(SEALING))
    if (known := unlocked.public.get("device")) is None:
        known = unlocked.public["device"] = secrets.keys
    return secrets.with_keys(known)


class Names(dict[MemberId, str]):
    """Of members; whoever was let in since they were read is called by the start of the id."""

    def __missing__(self, member: MemberId) -> str:
        """The first 8 digits."""
        return member.hex()[:_PREFIX]


@dataclass(frozen=True, slots=True)
class Actor:
    """An unlocked member: device keys, the operation that granted them, and the role now."""

    member: MemberId
    role: Role
    secrets: DeviceSecrets
    grant: OperationId

    @property
    def device(self) -> DeviceId:
        """The device that signs."""
        return self.secrets.keys.id

    def needs(self, role: Role) -> None:
        """Raise ``NotAllowed`` below ``role``: the judge would reject the act anyway."""
        if self.role < role:
            ask = _("ask a coordinator: commons-node member role MEMBER {word}").format(
                word=role.word  # as it is typed
            )
            if role is Role.COORDINATOR:
                ask = _("ask a coordinator to do it")
            raise NotAllowed(role=role_word(self.role), needed=role_word(role), ask=ask)


class Community:
    """One community on this node."""

    def __init__(self, realm: Realm) -> None:
        """``realm`` is open."""
        self.realm = realm

    @property
    def id(self) -> str:
        """64 hex digits."""
        return self.realm.realm.hex()

    @property
    def timezone(self) -> ZoneInfo:
        """Where the community's days end."""
        return ZoneInfo(self.realm.judge.authority.constitution.timezone)

    # -- names ---------------------------------------------------------------------------------

    async def part(self, operation: bytes, name: str) -> str | None:
        """A text part of a stored operation; None where it is absent or erased."""
        rows = await self.query(
            "SELECT p.bytes FROM parts p JOIN operations o ON o.n = p.operation"
            " WHERE o.id = ? AND p.name = ?",
            (operation, name),
        )
        if not rows or rows[0][0] is None:
            return None
        return content(rows[0][0]).decode("utf-8", "replace")

    async def names(self) -> dict[MemberId, str]:
        """What members call themselves; the first 8 digits of the id where nothing is known."""
        members = self.realm.judge.authority.members()
        names = Names({member: member.hex()[:_PREFIX] for member in members})
        for member, part in await self.query(
            "SELECT v.key, p.bytes FROM v_profiles v JOIN operations o ON o.id = v.operation"
            " JOIN parts p ON p.operation = o.n AND p.name = 'name'"
        ):
            if part is not None:
                names[MemberId(member)] = content(part).decode("utf-8", "replace")
        return names

    async def name(self) -> str:
        """What the community is called."""
        rows = await self.query(
            "SELECT operation FROM v_communities WHERE key = ?", (self.realm.realm,)
        )
        found = await self.part(rows[0][0], "name") if rows else None
        return found or self.id[:_PREFIX]

    async def member(self, selector: str) -> MemberId:
        """A member by id, prefix or name."""
        names = await self.names()
        choices = [(member, (name,)) for member, name in names.items()]
        return MemberId(find("member", selector, choices, "commons-node member list"))

    def grants_of(self, member: MemberId) -> list[OperationId]:
        """What lets this member's devices and nodes write, those that ended too."""
        grants = self.realm.judge.authority.grants
        return [ident for ident, grant in grants.items() if grant.member == member]

    # -- acting --------------------------------------------------------------------------------

    async def actor(self, unlocked: Unlocked) -> Actor:
        """The unlocked member as an author in this community."""
        member = MemberId(bytes.fromhex(unlocked.member))
        authority = self.realm.judge.authority
        role = authority.role_now(member)
        secrets = device_of(unlocked)
        granted = authority.devices.get(secrets.keys.id)
        if role is None and (found := all_gone(self).get(member)) is not None:
            raise Gone(why=await gone_in_words(self, member, found), next=_BACK[found.way])
        if role is None or granted is None:
            raise Unknown(
                what="member", name=unlocked.member[:_PREFIX], list="commons-node join CODE"
            )
        if not authority.stands(secrets.keys.id, granted):
            why = self.realm.judge.end(secrets.keys.id, 0).why
            raise Retired(how=why if why == "closed" else "retired")
        return Actor(member, role, secrets, granted.id)

    async def actor_of(self, member: MemberId, secrets: DeviceSecrets, grant: OperationId) -> Actor:
        """A member with one certain device, whatever stands in the key file."""
        role = self.realm.judge.authority.members()[member]
        return Actor(member, role, secrets, grant)

    async def write(self, actor: Actor, *drafts: Draft) -> list[Written]:
        """Sign and store in the actor's name; durable when it returns."""
        return await self.realm.write(drafts, actor.secrets, actor.grant)

    # -- reading -------------------------------------------------------------------------------

    async def query(self, sql: str, arguments: Sequence[object] = ()) -> list[Any]:
        """Rows of a reading query over the stored operations and the views ``v_…``."""
        await self.realm.settled()
        return await fetch(self.realm.store.database.read, sql, arguments)

    async def reading(
        self,
        value: Mapping[str, object],
        *,
        missing: Sequence[object] = (),
        conflicts: Sequence[object] = (),
    ) -> Reading:
        """A value with how far it can be trusted: the digest it was read at, and what waits."""
        waiting = await self.realm.store.waiting_count()
        absent = [*missing, *({"waiting": why, "operations": n} for why, n in waiting.items())]
        return Reading(value, self.as_of(), absent, conflicts)

    def as_of(self) -> str:
        """Up to which state of it a value is read that is read now."""
        return self.realm.digest().hex()


def written(result: Written) -> dict[str, object]:
    """The fields that every writing command answers with."""
    return {
        "operation": result.id.hex(),
        "verdict": result.judgement.verdict.name.lower(),
        "reason": result.judgement.reason,
    }


def find(
    what: str,
    selector: str,
    choices: Iterable[tuple[bytes, Sequence[str | None]]],
    listing: str = "",
) -> bytes:
    """The id that ``selector`` means: whole or a prefix of 8 digits or more, or a name.

    ``choices``: (id, names and numbers). Names are compared without case. A whole id means nothing
    else, and a name that is a prefix of another's id means neither: people choose their own names.
    Raises ``Unknown`` or ``Ambiguous``.
    """
    wanted = selector.strip().casefold()
    rows = list(choices)
    digits = len(wanted) >= _PREFIX and all(c in "0123456789abcdef" for c in wanted)
    found = {i for i, _ in rows if i.hex().startswith(wanted)} if digits else set()
    if wanted not in {i.hex() for i in found}:
        found |= {i for i, names in rows if any(n and n.casefold() == wanted for n in names)}
    if not found:
        raise Unknown(what=what, name=selector, list=listing)
    if len(found) > 1:
        raise Ambiguous(name=selector, found=", ".join(sorted(i.hex()[:12] for i in found)))
    return found.pop()
