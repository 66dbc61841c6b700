"""The facts of identities beyond log 0: what a device is called, and what guardians are asked.

A request is the content of an act that needs guardians, before there is a warrant for it. It has
no effect whatever: it only carries the words that guardians compare before they endorse.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from commons_crdt import canonical
from commons_crdt.authority.endings import Ending
from commons_crdt.authority.identity_facts import NewDevice
from commons_crdt.ids import RealmId, digest
from commons_crdt.operation import Hash

LABEL = "identity.label.1"
REQUEST = "identity.request.1"
LABEL_PART = "name"
MAX_LABEL = 80
"""Bytes of a device's name."""
MAX_TERMS = 14_000


class Label(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """A member says what one of their devices, the document, is called; the name is a part."""


class RecoverTerms(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """An ``identity_facts.Recover`` without warrant and epochs."""

    member: Hash
    base: Hash
    device: Annotated[tuple[NewDevice, ...], msgspec.Meta(max_length=1)]
    endings: Annotated[tuple[Ending, ...], msgspec.Meta(max_length=64)]


class GuardiansTerms(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """An ``identity_facts.SetGuardians`` without its warrant."""

    member: Hash
    base: Hash
    guardians: Annotated[tuple[Hash, ...], msgspec.Meta(max_length=8)]
    threshold: Annotated[int, msgspec.Meta(ge=0, le=8)]
    recovery: Hash


class PickTerms(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """An ``identity_facts.Pick`` without its warrant."""

    member: Hash
    base: Hash
    act: Hash


class RehearsalTerms(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """Nothing at all: guardians show that they could be reached. No act has this statement."""

    member: Hash
    nonce: Hash


Terms = RecoverTerms | GuardiansTerms | PickTerms | RehearsalTerms
Act = Literal["recover", "guardians", "pick", "rehearsal"]
TERMS: dict[Act, type[Terms]] = {
    "recover": RecoverTerms,
    "guardians": GuardiansTerms,
    "pick": PickTerms,
    "rehearsal": RehearsalTerms,
}
ACT_KINDS: dict[Act, str] = {
    "recover": "identity.recover.1",
    "guardians": "identity.guardians.1",
    "pick": "identity.pick.1",
    "rehearsal": "identity.rehearsal.1",  # listed by no rules: a rehearsal can't become an act
}


class Request(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """A node asks a member's guardians: which act, and the canonical bytes of its terms."""

    act: Act
    terms: Annotated[bytes, msgspec.Meta(min_length=1, max_length=MAX_TERMS)]


def act_of(terms: Terms) -> Act:
    """Which act these are the terms of."""
    return next(act for act, kind in TERMS.items() if isinstance(terms, kind))


def statement(realm: RealmId, terms: Terms) -> bytes:
    """What a warrant for these terms is over (docs/protocol/authority.md "Bodies")."""
    plain = msgspec.to_builtins(terms, builtin_types=(bytes,))
    return digest("warrant", canonical.encode([realm, ACT_KINDS[act_of(terms)], plain]))
