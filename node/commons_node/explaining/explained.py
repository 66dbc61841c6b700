"""An operation explained: its verdict in a sentence, and what decided it, with names and days.

The same for the command line, the API's events and notices. JSON keeps the ids beside the words.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from commons_crdt.authority.causes import Cause, Part
from commons_crdt.authority.council_facts import Coordinators, CouncilAct, Members
from commons_crdt.authority.facts import Demotion, Removal, RoleAct
from commons_crdt.authority.identity_facts import Readmit, Recover, SetGuardians
from commons_crdt.authority.judge import Standing
from commons_crdt.ids import DeviceId, MemberId, OperationId
from commons_crdt.operation import Operation, decode_header
from commons_crdt.roles import Role
from commons_crdt.texts import _
from commons_crdt.verdict import Verdict
from commons_node.explaining import catalogue
from commons_node.explaining.words import role_word

if TYPE_CHECKING:
    from commons_node.community import Community

_SHORT = 8
_LAST = 253_000_000_000
"""A second in the last years that have a date, 1970 being 0."""


@dataclass(frozen=True, slots=True)
class Explained:
    """``name`` is the author's; ``because`` the JSON of each cause, the nearest first."""

    standing: Standing
    author: MemberId | None
    name: str
    unattended: bool
    sentence: str
    because: Sequence[Mapping[str, object]]

    @property
    def json(self) -> dict[str, object]:
        """As the contract has it."""
        standing, judgement = self.standing, self.standing.judgement
        return {
            "operation": standing.id.hex(),
            "kind": standing.kind,
            "what": catalogue.act(standing.kind),
            "author": self.name,
            "unattended": self.unattended,
            "time": moment(standing.time_ms),
            "verdict": judgement.verdict.name.lower(),
            "reason": judgement.reason,
            "sentence": self.sentence,
            "because": list(self.because),
        }


class Explaining:
    """Explains operations of one community; reads the names once."""

    def __init__(self, community: Community, names: Mapping[MemberId, str]) -> None:
        """``names`` as ``Community.names`` gives them."""
        self._community = community
        self._names = names
        self._judge = community.realm.judge

    @classmethod
    async def of(cls, community: Community) -> Explaining:
        """With the names that are known now."""
        return cls(community, await community.names())

    async def explain(self, ident: OperationId) -> Explained:
        """One stored operation. Raises ``KeyError`` if it is not stored."""
        rows = await self._community.realm.store.everything("o.id = ?", (ident,))
        if not rows:
            raise KeyError(ident.hex())
        standing, operation = rows[0]
        causes = await self._causes(standing, operation)
        here = await self._community.realm.store.standings([one.operation for one in causes])
        author, unattended = self._author(standing)
        because = [self._cause(one, here.get(one.operation), standing) for one in causes]
        return Explained(
            standing,
            author,
            self.who(standing),
            unattended,
            self._sentence(standing, causes, here),
            because,
        )

    async def held(self, ident: OperationId) -> dict[str, object] | None:
        """What is kept aside and has no verdict here yet, as JSON; None if it is not kept so."""
        found = await self._community.realm.store.waiting.get(ident)
        if found is None:
            return None
        header = decode_header(found.operation.header)
        named = [Cause("missing", OperationId(found.missing))] if found.missing else []
        grant = self._judge.authority.devices.get(DeviceId(header.device))
        return {
            "operation": ident.hex(),
            "kind": header.kind,
            "what": catalogue.act(header.kind),
            "author": self.name(grant.member if grant else None),
            "unattended": bool(grant and grant.unattended),
            "time": moment(header.time_ms),
            "verdict": Verdict.PENDING.name.lower(),
            "reason": found.why,
            "sentence": catalogue.HELD[found.why],
            "because": [_absent(cause) for cause in named],
        }

    async def _causes(self, standing: Standing, operation: Operation) -> list[Cause]:
        """What the judge names, and of a fork of log 1 what is kept of it."""
        realm = self._community.realm
        past = await realm.store.standings(decode_header(operation.header).antecedents)
        candidate = realm.memory.candidate(standing, operation)
        causes = list(self._judge.causes(candidate, standing, past.get))
        fork = self._judge.forks.get((standing.device, 1))
        sealed = any(one.part == "seal" for one in causes)
        if standing.log == 1 and standing.judgement.reason == "fork" and fork and not sealed:
            kept = await realm.store.inside.at(standing.device, 1, fork)
            causes = [*(Cause("sibling", ident) for ident in kept), *causes]
        return list(dict.fromkeys(causes))

    # --- words -----------------------------------------------------------------------------------

    def name(self, member: bytes | None) -> str:
        """What somebody is called here."""
        if member is None:
            return _(catalogue.SOMEBODY)
        return self._names.get(MemberId(member), member.hex()[:_SHORT])

    def who(self, standing: Standing) -> str:
        """Who wrote an operation: a member, a member's node, or the council."""
        if isinstance(self._judge.authority.body(standing.id), CouncilAct):
            return _(catalogue.COUNCIL)
        return self.author(standing)

    def author(self, standing: Standing) -> str:
        """Whose device wrote it: a member, or a member's node."""
        author, unattended = self._author(standing)
        name = self.name(author)
        return _(catalogue.NODE).format(name=name) if unattended and author else name

    def _author(self, standing: Standing) -> tuple[MemberId | None, bool]:
        grant = self._judge.authority.grants.get(standing.grant)
        return (grant.member, grant.unattended) if grant else (None, False)

    def day(self, ms: int) -> str:
        """A day, where the community is."""
        return catalogue.day(self._local(ms))

    def until(self, ms: int) -> str:
        """A moment, where the community is."""
        return catalogue.until(self._local(ms))

    def _local(self, ms: int) -> datetime:
        seconds = min(ms // 1000, _LAST)  # a suspension may end in any year
        return datetime.fromtimestamp(seconds, UTC).astimezone(self._community.timezone)

    def _sentence(
        self, standing: Standing, causes: Sequence[Cause], here: Mapping[OperationId, Standing]
    ) -> str:
        judgement = standing.judgement
        table = catalogue.PENDING if judgement.verdict is Verdict.PENDING else catalogue.NAMED
        for cause in causes:
            template = table.get((judgement.reason, cause.part))
            if template is not None and cause.operation in here:
                return catalogue.sentence(
                    template, **self._gaps(cause.part, here[cause.operation], standing)
                )
        return judgement.sentence

    def _gaps(self, part: Part, cause: Standing, of: Standing) -> dict[str, str]:
        """Every gap of every sentence; those of the council's acts name the council."""
        body = self._judge.authority.body(cause.id)
        author, _unattended = self._author(of)
        kind = self._community.realm.rules.kinds.get(of.kind)
        until = body.until_ms if isinstance(body, Removal) else 0
        role = role_word(Role(body.role)) if isinstance(body, RoleAct | Demotion) else ""
        return {
            "author": self.name(author),
            "who": self.who(cause),
            "whom": self.name(self._whom(part, cause, body) or author),
            "day": self.day(cause.time_ms),
            "until": self.until(until),
            "after": catalogue.AFTER[self._after(cause, of)],
            "role": role or role_word(Role.NEWCOMER),
            "needed": role_word(kind.role if kind else Role.MEMBER),
        }

    def _whom(self, part: Part, cause: Standing, body: object) -> MemberId | None:
        """To whom a cause was done."""
        match body:
            case Removal() | Demotion() | RoleAct() | Readmit() | Recover() | SetGuardians():
                return MemberId(body.member)
            case CouncilAct(act=Members() | Coordinators() as act):
                gone = [MemberId(one.member) for one in act.dismissals]
                return gone[0] if len(gone) == 1 and part == "dismissal" else None
        granted = self._judge.authority.grants.get(cause.id)
        return granted.member if granted and part in {"root", "grant"} else None

    def _after(self, cause: Standing, of: Standing) -> str:
        """How an operation lies to an act that ended its chain."""
        if cause.log == 0 and of.view & self._judge.authority.bit(cause.id):
            return "known"
        return "dated" if of.time_ms > cause.time_ms else "beyond"

    def _cause(self, cause: Cause, here: Standing | None, of: Standing) -> Mapping[str, object]:
        if here is None:
            return _absent(cause)
        gaps = self._gaps(cause.part, here, of)
        return _absent(cause) | {
            "kind": here.kind,
            "author": self.who(here),
            "time": moment(here.time_ms),
            "verdict": here.judgement.verdict.name.lower(),
            "sentence": catalogue.sentence(catalogue.CAUSES[cause.part], **gaps),
        }


def _absent(cause: Cause) -> dict[str, object]:
    """A cause that is not here."""
    own = cause.part in {"missing", "pin"}
    return {
        "part": cause.part,
        "operation": cause.operation.hex(),
        "kind": None,
        "author": None,
        "time": None,
        "verdict": None,
        "sentence": catalogue.CAUSES[cause.part] if own else _(catalogue.ABSENT),
    }


def moment(ms: int) -> str:
    """A time as JSON says it: RFC 3339, UTC, whole seconds."""
    instant = datetime.fromtimestamp(ms // 1000, UTC)
    return instant.isoformat(timespec="seconds").replace("+00:00", "Z")
