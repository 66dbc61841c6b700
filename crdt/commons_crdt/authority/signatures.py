"""Signatures inside bodies: facts of bytes, so that each is verified once and remembered.

Source: docs/protocol/authority.md "Bodies".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from commons_crdt.authority.facts import Admit, NodeGrant
from commons_crdt.authority.identity_facts import AddDevice, Readmit, Recover
from commons_crdt.device import DeviceKeys, verify_claim
from commons_crdt.ids import DeviceId, MemberId, RealmId

if TYPE_CHECKING:
    from commons_crdt.authority.book import Book, Entry


@dataclass(slots=True)
class Signatures:
    """What was verified, by the operation's number."""

    _genuine: dict[int, str] = field(default_factory=dict)
    _consents: dict[int, str] = field(default_factory=dict)
    _usable: dict[int, bool] = field(default_factory=dict)
    _warrants: dict[int, bool] = field(default_factory=dict)

    def genuine(self, book: Book, entry: Entry) -> str:
        """Why the signatures of an admission or readmission do not hold; "" if they do."""
        known = self._genuine.get(entry.n)
        if known is None:
            match entry.body:
                case Admit() as body:
                    known = _admitted(book, entry, body)
                case Readmit() as body:
                    known = _readmitted(book, entry, body)
                case _:
                    known = "malformed"
            self._genuine[entry.n] = known
        return known

    def usable(self, entry: Entry) -> bool:
        """True if something can be sealed to the device that an admission grants."""
        known = self._usable.get(entry.n)
        if known is None:
            body = entry.body
            keys = body.identity.device if isinstance(body, Admit) else None
            keys = body.device if isinstance(body, Readmit) else keys
            known = self._usable[entry.n] = keys is not None and keys.usable
        return known

    def consents(self, book: Book, entry: Entry) -> str:
        """Why the device that a member's act grants is not one: "consent", "keys", or ""."""
        known = self._consents.get(entry.n)
        if known is None:
            known = ""
            match entry.body:
                case (
                    AddDevice(device=keys, consent=consent)
                    | NodeGrant(device=keys, consent=consent)
                ):
                    known = _consent(book.realm, entry.member, keys, consent)
                case Recover(member=member, device=devices):
                    for new in devices:
                        known = known or _consent(
                            book.realm, MemberId(member), new.keys, new.consent
                        )
                case _:
                    pass
            self._consents[entry.n] = known
        return known

    def warrant(self, n: int, verify: Callable[[], bool]) -> bool:
        """Whether the recovery key of an act signed it, verified at most once."""
        known = self._warrants.get(n)
        if known is None:
            known = self._warrants[n] = verify()
        return known


def _admitted(book: Book, entry: Entry, body: Admit) -> str:
    invite = book.invites.get(book.number(body.invite, entry.past))
    if invite is None:
        return "invite"
    claim = (book.realm, body.invite, body.identity.member)
    if not verify_claim("possess", invite.key, body.possession, *claim):
        return "possession"
    if not verify_claim("consent", body.identity.device.signing, body.consent, *claim):
        return "consent"
    return ""


def _readmitted(book: Book, entry: Entry, body: Readmit) -> str:
    if not verify_claim("consent", body.device.signing, body.consent, book.realm, body.member):
        return "consent"
    claim = (book.realm, body.member, body.device.id)
    for n in book.among(book.grants.get(DeviceId(body.old), ()), entry.past):
        old = book.given[n]
        if old.member == body.member and not old.unattended:
            # a device's id is a hash of its keys: another grant of it has the same
            signed = verify_claim("release", old.keys.signing, body.release, *claim)
            return "" if signed else "release"
    return "release"


def _consent(realm: RealmId, member: MemberId | None, keys: DeviceKeys, consent: bytes) -> str:
    if member is None or not verify_claim("consent", keys.signing, consent, realm, member):
        return "consent"
    return "" if keys.usable else "keys"
