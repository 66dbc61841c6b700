"""The rules of kinds that are about signatures and shapes alone."""

from __future__ import annotations

from functools import lru_cache

from tests.authority.oracle.archive import Archive, Id

from commons_crdt import device, operation
from commons_crdt.authority.facts import Admit, NodeGrant
from commons_crdt.authority.identity_facts import (
    AddDevice,
    ForkProof,
    Readmit,
    Recover,
)
from commons_crdt.device import DeviceKeys
from commons_crdt.errors import Refused
from commons_crdt.ids import MemberId
from commons_crdt.operation import Header, decode_header, operation_id

# What is asked again in every set: a signature is good or not by its bytes alone.
verify_claim = lru_cache(1 << 14)(device.verify_claim)
verify = lru_cache(1 << 10)(operation.verify)


@lru_cache(1 << 10)
def usable(keys: DeviceKeys) -> bool:
    """Something can be sealed to the device."""
    return keys.usable


def consents(archive: Archive, member: MemberId | None, keys: DeviceKeys, consent: bytes) -> str:
    """The new device signed for its grant, and something can be sealed to it."""
    if member is None or not verify_claim("consent", keys.signing, consent, archive.realm, member):
        return "consent"
    return "" if usable(keys) else "keys"


def own_device(archive: Archive, x: Id) -> str:
    """The shape of a device act or a node grant."""
    body = archive.body(x)
    assert isinstance(body, AddDevice | NodeGrant)
    fault = consents(archive, archive.member(x), body.device, body.consent)
    return fault or named(archive, x, archive.member(x))


def recovered_device(archive: Archive, x: Id) -> str:
    """The shape of a recovery."""
    body = archive.body(x)
    assert isinstance(body, Recover)
    for new in body.device:
        fault = consents(archive, MemberId(body.member), new.keys, new.consent)
        if fault:
            return fault
    return named(archive, x, body.member)


def named(archive: Archive, x: Id, member: bytes | None) -> str:
    """The document of an operation about a member is the member."""
    return "" if archive.ops[x].header.document == member else "document"


def genuine(archive: Archive, admit: Id) -> bool:
    """Both signatures of an admission hold, by an invite in its past."""
    return admission_signatures(archive, admit) == ""


def admission_signatures(archive: Archive, admit: Id) -> str:
    body = archive.body(admit)
    assert isinstance(body, Admit)
    invite = archive.body(Id(body.invite))
    signed = (archive.realm, body.invite, body.identity.member)
    if not verify_claim("possess", invite.key, body.possession, *signed):
        return "possession"
    if not verify_claim("consent", body.identity.device.signing, body.consent, *signed):
        return "consent"
    return ""


def readmission_signatures(archive: Archive, x: Id) -> str:
    """The new device and an old one of the member, known by its grant in the view, signed."""
    body = archive.body(x)
    assert isinstance(body, Readmit)
    fault = consents(archive, MemberId(body.member), body.device, body.consent)
    if fault == "consent":
        return fault
    olds = {
        keys.signing
        for g in archive.view(x)
        if (keys := archive.granted(g)) is not None
        and keys.id == body.old
        and (root := archive.root_of(g)) is not None
        and archive.member_of(root) == body.member
    }
    signed = (archive.realm, body.member, body.device.id)
    if not any(verify_claim("release", key, body.release, *signed) for key in olds):
        return "release"
    return fault


def doubled(archive: Archive, proof: Id) -> tuple[tuple[Id, Header], ...]:
    """The two headers that a proof proves, nothing if it proves nothing."""
    body = archive.body(proof)
    assert isinstance(body, ForkProof)
    pairs = (
        (body.first, body.first_signature),
        (body.second, body.second_signature),
    )
    try:
        first, second = (decode_header(data) for data, _ in pairs)
    except Refused:
        return ()
    ids = [Id(operation_id(data)) for data, _ in pairs]
    places = [(h.realm, h.device, h.log, h.seq) for h in (first, second)]
    if ids[0] == ids[1] or places[0] != places[1] or first.realm != archive.realm:
        return ()
    keys = {
        k.signing
        for g in archive.view(proof)
        if (k := archive.granted(g)) is not None and k.id == first.device
    }
    if not any(all(verify(data, sig, key) for data, sig in pairs) for key in keys):
        return ()
    return (ids[0], first), (ids[1], second)
