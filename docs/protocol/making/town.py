"""A realm in the making, and the drafts that its people write."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from commons_crdt.author import Draft, Place, compose
from commons_crdt.authority.facts import Admit, Erasure, Invite, NodeGrant, RoleAct
from commons_crdt.authority.judge import ERASURE, Candidate, Judge, Missing, Standing
from commons_crdt.authority.kinds import ADMIT, INVITE, NODE, ROLE
from commons_crdt.device import DeviceSecrets, sign_claim
from commons_crdt.errors import Refused
from commons_crdt.ids import DeviceId, DocumentId, MemberId, OperationId, RealmId, digest
from commons_crdt.kinds import decode_fact
from commons_crdt.operation import Operation, check_contents, content, decode_header, operation_id
from commons_crdt.roles import Role
from making.names import NOTE, RULES, START_MS, Note, code_of, identity, secrets


@dataclass
class Town:
    """A realm in the making: every operation with its name, in the order of writing."""

    realm: RealmId
    judge: Judge
    now_ms: int = START_MS
    operations: dict[str, Operation] = field(default_factory=dict)
    standings: dict[OperationId, Standing] = field(default_factory=dict)
    places: dict[tuple[DeviceId, int], OperationId] = field(default_factory=dict)
    refused: list[tuple[str, Operation, str]] = field(default_factory=list)

    def draw(
        self, name: str, device: str, draft: Draft, after: OperationId | None = None
    ) -> Operation:
        """A signed operation at the end of the device's chain, or behind ``after``."""
        self.now_ms += 1000
        own = secrets(device).keys.id
        authority = self.judge.authority
        prev = self.standings[
            after or self.places.get((own, draft.log)) or authority.devices[own].id
        ]
        # All heads, void ones too: any choice is valid, and these bytes are frozen.
        news = sorted(i for i, bit in authority.heads.items() if not bit & prev.view)[:16]
        place = Place(
            self.realm,
            prev,
            [self.standings[OperationId(ref)] for ref in draft.refs],
            [self.standings[ident] for ident in news],
        )
        salts = iter(digest("v-salt", f"{name} {n}".encode()) for n in range(9))
        return compose(draft, place, secrets(device), self.now_ms, lambda: next(salts))

    def tell(self, name: str, operation: Operation) -> OperationId:
        """Judge and keep an operation that every node keeps."""
        standing = judged(self.judge, operation, self.standings)
        assert name not in self.operations, f"another one is called {name}"
        self.operations[name] = operation
        self.standings[standing.id] = standing
        self.places[standing.device, standing.log] = standing.id
        return standing.id

    def write(
        self, name: str, device: str, draft: Draft, after: OperationId | None = None
    ) -> OperationId:
        """Draw and tell."""
        return self.tell(name, self.draw(name, device, draft, after))

    def refuse(self, name: str, operation: Operation) -> None:
        """Note an operation that every node refuses."""
        code = code_of(lambda: judged(self.judge, operation, self.standings))
        self.refused.append((name, operation, code))


def judged(judge: Judge, operation: Operation, known: dict[OperationId, Standing]) -> Standing:
    """The standing of an operation whose antecedents are known."""
    check_contents(decode_header(operation.header), operation)
    outcome = judge.judge(candidate(operation), known.get)
    if isinstance(outcome, Missing):
        raise TypeError("a vector's past is complete")
    return outcome


def candidate(operation: Operation) -> Candidate:
    """An operation with its body parsed."""
    header = decode_header(operation.header)
    kind = RULES.kinds.get(header.kind)
    body, fault = None, ""
    if kind is not None and operation.body is not None and len(operation.body) <= kind.max_body:
        try:
            body = decode_fact(kind.body, content(operation.body))  # type: ignore[arg-type]
        except Refused as refused:
            fault = refused.why
    ident = operation_id(operation.header)
    return Candidate(ident, header, body, operation.body is not None, fault)


def note(value: int = 1, **fields: Any) -> Draft:
    """A note."""
    return Draft.fact(NOTE, Note(value), **fields)


def admission(town: Town, invite: OperationId, label: str, name: str, **wrong: bytes) -> Draft:
    """A node lets ``name`` in with the invite called ``label``."""
    who = identity(name)
    signed = (town.realm, invite, who.member)
    possession = sign_claim("possess", digest("v-invite", label.encode()), *signed)
    consent = sign_claim("consent", secrets(name).signing, *signed)
    fact = Admit(
        invite, who, wrong.get("possession", possession), wrong.get("consent", consent), ()
    )
    return Draft.fact(ADMIT, fact, log=0, document=DocumentId(who.member))


def invitation(label: str, uses: int = 1, expires_ms: int = START_MS + 10**9) -> Draft:
    """An invite called ``label``."""
    seed = digest("v-invite", label.encode())
    return Draft.fact(
        INVITE, Invite(DeviceSecrets(seed, seed).keys.signing, uses, expires_ms), log=0
    )


def role_act(member: MemberId, role: Role) -> Draft:
    """A role for a member."""
    return Draft.fact(ROLE, RoleAct(member, role), log=0, document=DocumentId(member))


def node_grant(town: Town, owner: str, node: str) -> Draft:
    """A member's node."""
    member = identity(owner).member
    consent = sign_claim("consent", secrets(node).signing, town.realm, member)
    fact = NodeGrant(secrets(node).keys, consent, ())
    return Draft.fact(NODE, fact, log=0, document=DocumentId(member))


def erasure(target: OperationId, document: DocumentId | None = None) -> Draft:
    """Erase a fact that is about itself."""
    named = DocumentId(target) if document is None else document
    return Draft.fact(ERASURE, Erasure(target), document=named, refs=[target])
