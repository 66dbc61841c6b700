"""Members without a node of their own, who sit down at somebody else's: honest ones and puppets.

An honest resident lives through all that may happen to a member, and no node is lost by it. A
puppet's keys are a liar's: it signs what the liar wants, right or wrong. Both write one chain, at
one node only.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import msgspec
from nacl.signing import SigningKey

from commons_crdt.author import Draft, Place, compose
from commons_crdt.authority.endings import NOTHING, Ending, Position
from commons_crdt.authority.facts import Admit, Identity
from commons_crdt.authority.identity_facts import (
    AddDevice,
    GuardianEndorsement,
    Guardians,
    Limit,
    NewDevice,
    Readmit,
    Recover,
    Recovery,
)
from commons_crdt.authority.judge import Standing
from commons_crdt.authority.kinds import ADMIT
from commons_crdt.authority.kinds_identity import DEVICE, GUARDIAN, READMIT, RECOVER
from commons_crdt.device import DeviceSecrets, sign_claim
from commons_crdt.errors import CommonsError
from commons_crdt.ids import DocumentId, MemberId, OperationId, RealmId, digest
from commons_crdt.operation import Operation, decode_header, operation_id
from commons_crdt.roles import Role
from commons_node.domains.identity.facts import RecoverTerms, statement
from commons_node.membership.identities import identity as identity_now
from commons_node.realm.authoring import Written
from commons_node.realm.realm import Realm
from commons_node.testing.disk import PowerLost
from commons_protocol.codes import Invitation

if TYPE_CHECKING:
    from commons_node.testing.node import Node


class Resident:
    """See the module. All keys follow from the town's seed and the name."""

    def __init__(
        self, seed: int, name: str, role: Role, guardians: Sequence[Resident] = (), needed: int = 0
    ) -> None:
        """``needed`` of the guardians can recover; so can the key on paper."""
        self.name = name
        self.role = role
        self.guardians = tuple(guardians)
        self.secrets = self.machine(seed, "first")
        self.paper = digest("sim-pap", seed.to_bytes(8, "big"), name.encode())
        """The seed of the recovery key."""
        printed = bytes(SigningKey(self.paper).verify_key)
        listed = tuple(sorted(bytes(one.member) for one in guardians))
        self.identity = Identity(self.secrets.keys, listed, needed, digest("recover", printed))
        self.member: MemberId = self.identity.member
        self.home: Node
        """Where it writes."""
        self.machines = 1
        self.spare: list[DeviceSecrets] = []
        """Further devices of its."""
        self._seed = seed

    def machine(self, seed: int, use: str) -> DeviceSecrets:
        """The keys of one of its devices."""
        parts = (seed.to_bytes(8, "big"), self.name.encode(), use.encode())
        return DeviceSecrets(digest("sim-res", *parts, b"sign"), digest("sim-res", *parts, b"seal"))

    def new_machine(self) -> DeviceSecrets:
        """The keys of a device that nobody has seen."""
        self.machines += 1
        return self.machine(self._seed, f"machine {self.machines}")

    # --- drafts ---

    def admission(self, realm: RealmId, code: Invitation) -> Draft:
        """What lets it in."""
        possess = code.possess(realm, self.member)
        claim = (realm, code.invite, self.member)
        agreed = sign_claim("consent", self.secrets.signing, *claim)
        fact = Admit(code.invite, self.identity, possess, agreed, ())
        return Draft.fact(ADMIT, fact, log=0, document=DocumentId(self.member))

    def another_device(
        self, realm: Realm, new: DeviceSecrets, limit: Sequence[Limit] = ()
    ) -> Draft:
        """It makes a further device its own."""
        base, agreed = self._base(realm), sign_claim(
            "consent", new.signing, realm.realm, self.member
        )  # fmt: skip
        body = AddDevice(base, new.keys, agreed, tuple(limit), ())
        return self._draft(DEVICE, body, [base])

    def terms(
        self, realm: Realm, new: DeviceSecrets | None, endings: Sequence[Ending]
    ) -> RecoverTerms:
        """What a recovery is to do."""
        devices = () if new is None else (
            NewDevice(new.keys, sign_claim("consent", new.signing, realm.realm, self.member)),
        )  # fmt: skip
        return RecoverTerms(self.member, self._base(realm), devices, tuple(endings))

    def by_paper(self, realm: Realm, terms: RecoverTerms) -> Draft:
        """A recovery by the key on paper."""
        key = SigningKey(self.paper)
        signed = key.sign(statement(realm.realm, terms)).signature
        return self._recovery(terms, Recovery(bytes(key.verify_key), signed), ())

    def by_guardians(self, terms: RecoverTerms, endorsed: Sequence[OperationId]) -> Draft:
        """A recovery that guardians have endorsed."""
        return self._recovery(terms, Guardians(tuple(endorsed)), endorsed)

    def endorsement(self, realm: Realm, terms: RecoverTerms) -> Draft:
        """What a guardian writes for this one."""
        body = GuardianEndorsement(self.member, statement(realm.realm, terms))
        return self._draft(GUARDIAN, body, ())

    def readmission(self, realm: RealmId, new: DeviceSecrets) -> Draft:
        """Back in, with another device."""
        old, claim = self.secrets, (realm, self.member)
        agreed = sign_claim("consent", new.signing, *claim)
        release = sign_claim("release", old.signing, *claim, new.keys.id)
        body = Readmit(self.member, old.keys.id, new.keys, agreed, release, ())
        return self._draft(READMIT, body, ())

    def _recovery(
        self, terms: RecoverTerms, warrant: Recovery | Guardians, more: Sequence[OperationId]
    ) -> Draft:
        body = Recover(self.member, terms.base, terms.device, terms.endings, warrant, ())
        named = [OperationId(e.authority.id) for e in terms.endings if e.authority != NOTHING]
        return self._draft(RECOVER, body, [*more, OperationId(terms.base), *named])

    def _draft(self, kind: str, body: msgspec.Struct, refs: Sequence[OperationId]) -> Draft:
        document = DocumentId(self.member)
        listed = tuple(dict.fromkeys(refs))
        return Draft.fact(kind, body, log=0, document=document, refs=listed)

    def _base(self, realm: Realm) -> OperationId:
        found = identity_now(realm, self.member)
        if found is None:
            raise CommonsError
        return found.base

    # --- writing ---

    def grant(self, device: DeviceSecrets | None = None) -> OperationId | None:
        """The grant of a device of its, as its home knows it."""
        known = self.home.realm.judge.authority.devices.get((device or self.secrets).keys.id)
        return known.id if known is not None else None

    async def write(self, *drafts: Draft, device: DeviceSecrets | None = None) -> Sequence[Written]:
        """Write at home, as anybody would; nothing where that is refused.

        Nothing of this is promised to last: what a resident writes while others end its chains is
        passed on by nobody.
        """
        grant = self.grant(device)
        if grant is None:
            return ()
        try:
            return await Realm.write(self.home.realm, drafts, device or self.secrets, grant)
        except (PowerLost, CommonsError):
            return ()

    async def sign(
        self,
        draft: Draft,
        *,
        after: Operation | OperationId | None = None,
        device: DeviceSecrets | None = None,
        refs: Sequence[Operation] = (),
        aware: bool = True,
    ) -> Operation:
        """Sign anything, behind anything: ``after`` the end of the chain, or where a lie wants it.

        ``aware``: it says what else of log 0 is known at home.
        """
        secrets, realm = device or self.secrets, self.home.realm
        if after is None:
            after = await self.tip(draft.log, secrets)
        prev = await self._spot(after)
        built_on: list[Operation | OperationId] = [*draft.refs, *refs]
        past = [await self._spot(one) for one in built_on]
        news: list[Standing] = []
        if aware and isinstance(prev, Standing):
            found = [await realm.standing(i) for i in realm.judge.authority.news(prev.view)]
            news = [one for one in found if one is not None]
        place = Place(realm.realm, prev, past, news)
        salt = self.home.town.rng.randbytes
        return compose(draft, place, secrets, self.home.now_ms(), lambda: salt(32))

    async def tip(self, log: int, device: DeviceSecrets | None = None) -> OperationId:
        """The last operation of a chain that its home knows, or the grant."""
        found = await self._last(log, device or self.secrets)
        grant = self.grant(device)
        if found is None and grant is None:
            raise CommonsError
        return OperationId(found[1]) if found is not None else cast("OperationId", grant)

    async def ending(self, device: DeviceSecrets | None = None) -> Ending:
        """The ends of a device's chains as its home knows them."""
        secrets = device or self.secrets
        ends = [await self._last(log, secrets) for log in (0, 1)]
        spots = [Position(*found) if found is not None else NOTHING for found in ends]
        return Ending(secrets.keys.id, *spots)

    async def _last(self, log: int, device: DeviceSecrets) -> tuple[int, bytes] | None:
        query = (
            "SELECT o.seq, o.id FROM operations o JOIN chains c ON c.n = o.chain"
            " WHERE c.device = ? AND c.log = ? ORDER BY o.seq DESC, o.id LIMIT 1"
        )
        rows = await self.home.community.query(query, (device.keys.id, log))
        return (rows[0][0], rows[0][1]) if rows else None

    async def _spot(self, one: Operation | OperationId) -> Standing:
        """As much of a standing as an author needs, of what may be stored nowhere."""
        ident = operation_id(one.header) if isinstance(one, Operation) else one
        known = await self.home.realm.standing(ident)
        if known is not None:
            return known
        if not isinstance(one, Operation):
            raise CommonsError
        h = decode_header(one.header)
        return cast(
            "Standing",
            SimpleNamespace(
                id=ident, device=h.device, log=h.log, seq=h.seq, lamport=h.lamport,
                time_ms=h.time_ms,
            ),
        )  # fmt: skip
