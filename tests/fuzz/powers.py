"""Good bodies of councils, identities and of acts that take something away."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from commons_crdt.authority import council_facts as council
from commons_crdt.authority import identity_facts as identity
from commons_crdt.authority.endings import NOTHING, Ending, Position
from commons_crdt.authority.facts import Branch, Demotion, Removal, Revocation, SealedKey
from commons_crdt.authority.kinds import BRANCH, DEMOTION, REMOVAL, REVOCATION
from commons_crdt.authority.kinds_council import ACT, BALLOT, ENDORSE, PROMISE
from commons_crdt.authority.kinds_identity import (
    CLOSE,
    DEVICE,
    GUARDIAN,
    GUARDIANS,
    PICK,
    PROOF,
    READMIT,
    RECOVER,
)
from commons_crdt.device import DeviceKeys
from commons_crdt.ids import ZERO
from commons_node.domains.identity.facts import LABEL, REQUEST, Label, Request
from commons_node.domains.sanctions.facts import NOTE, Note

BASE, MEMBER = b"b" * 32, b"m" * 32


def facts(keys: DeviceKeys) -> Mapping[str, msgspec.Struct]:
    """One of each kind; ``keys``: of a device that is let in."""
    sealed = (SealedKey(b"e" * 32, b"k" * 80),)
    ending = Ending(b"d" * 32, Position(3, b"i" * 32), NOTHING)
    dismissal = council.Dismissal(MEMBER, 2, (ending,))
    new = identity.NewDevice(keys, b"c" * 64)
    by_key = identity.Recovery(b"r" * 32, b"s" * 64)
    limit = identity.Limit(("lending.accept.1", "lending.request.1"), 100, 1_800_000_000_000)
    seats = council.Coordinators(((MEMBER, b"d" * 32),), (dismissal,))
    return {
        ACT: council.CouncilAct(BASE, 1, seats),
        PROMISE: council.Promise(BASE, 2, 1),
        BALLOT: council.Ballot(BASE, 2, b"a" * 32),
        ENDORSE: council.Endorse(BASE, b"a" * 32),
        DEVICE: identity.AddDevice(BASE, keys, b"c" * 64, (limit,), sealed),
        RECOVER: identity.Recover(MEMBER, BASE, (new,), (ending,), by_key, sealed),
        GUARDIANS: identity.SetGuardians(MEMBER, BASE, (b"g" * 32,), 1, ZERO, identity.Own()),
        PICK: identity.Pick(MEMBER, BASE, b"a" * 32, identity.Guardians((b"e" * 32,))),
        GUARDIAN: identity.GuardianEndorsement(MEMBER, b"s" * 32),
        CLOSE: identity.Close(Position(7, b"i" * 32)),
        READMIT: identity.Readmit(MEMBER, b"o" * 32, keys, b"c" * 64, b"r" * 64, sealed),
        PROOF: identity.ForkProof(b"one", b"s" * 64, b"other", b"t" * 64),
        BRANCH: Branch(MEMBER, ending),
        DEMOTION: Demotion(MEMBER, 1, (ending,), "conduct"),
        REMOVAL: Removal(MEMBER, 1_800_000_000_000, (ending,), "security"),
        REVOCATION: Revocation(b"t" * 32, (ending,), "lost"),
        LABEL: Label(),
        REQUEST: Request("recover", b"\x80"),
        NOTE: Note(b"a" * 32),
    }


def acts() -> Mapping[str, council.CouncilAct]:
    """A council act of every sort."""
    tip = council.Tip(b"d" * 32, 1, 9, b"i" * 32)
    sorts: tuple[council.CouncilContent, ...] = (
        council.Members((council.Dismissal(MEMBER, 0, ()),)),
        council.Settings((("epoch.days", 30), ("timezone", "Europe/Berlin"))),
        council.RulesVersion(2),
        council.Lift(b"c" * 32),
        council.Seal((tip,), b"h" * 32),
    )
    return {type(one).__name__: council.CouncilAct(BASE, 0, one) for one in sorts}
