"""This node's own standing in its realms: its device, its credential, the epochs it can open.

The node's device is unattended: its secrets lie unsealed in ``node.key``. It writes admissions and
nothing else, and never in a member's name.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from nacl.signing import SigningKey

from commons_crdt.authority.facts import Admit, Epoch, NodeGrant, SealedKey
from commons_crdt.authority.identity_facts import AddDevice, Readmit, Recover
from commons_crdt.authority.judge import Standing
from commons_crdt.authority.kinds import ADMIT, EPOCH, NODE
from commons_crdt.authority.kinds_identity import DEVICE, READMIT, RECOVER
from commons_crdt.device import DeviceSecrets, seal, sign_claim, unseal
from commons_crdt.errors import Refused
from commons_crdt.ids import MemberId, OperationId, RealmId, digest
from commons_crdt.kinds import decode_fact
from commons_crdt.operation import Operation, content, decode_header, operation_id
from commons_crdt.verdict import Verdict
from commons_node.keystore.node_key import NodeKey
from commons_node.realm.realm import Realm
from commons_protocol.replica import Credential

_NETWORK = "network"
_MOST_EPOCHS = 64
"""Sealed keys that an admission or a node's grant may carry."""
Carrier = Epoch | Admit | NodeGrant | AddDevice | Recover | Readmit
_CARRIERS: dict[str, type[Carrier]] = {
    EPOCH: Epoch,
    ADMIT: Admit,
    NODE: NodeGrant,
    DEVICE: AddDevice,
    RECOVER: Recover,
    READMIT: Readmit,
}
"""The kinds that carry sealed epoch keys."""
_KINDS = tuple(_CARRIERS)
_CARRYING = f"c.log = 0 AND o.kind IN ({', '.join('?' * len(_KINDS))})"


class NodeStanding:
    """The node's secrets, and what they make of it in each realm."""

    def __init__(self, key: NodeKey) -> None:
        """Reads ``node.key``; makes the transport key at the first start."""
        self._key = key
        self._opened: dict[RealmId, Opened] = {}
        self._secrets = key.load()
        if _NETWORK not in self._secrets:
            self._add({_NETWORK: os.urandom(32)})
        self.keep: Callable[[RealmId, Sequence[Operation]], Awaitable[None]] = _nowhere
        """Told what proves the node's standing in a realm: kept elsewhere than in its file."""

    def _add(self, secrets: dict[str, bytes]) -> None:
        self._key.add(secrets)
        self._secrets.update(secrets)

    @property
    def network_seed(self) -> bytes:
        """The 32-byte seed of the transport key, by which other nodes know this one."""
        return self._secrets[_NETWORK]

    def device(self, realm: RealmId) -> DeviceSecrets | None:
        """The node's device in a realm, if it has one."""
        name = realm.hex()
        if f"{name}.signing" not in self._secrets:
            return None
        return DeviceSecrets(self._secrets[f"{name}.signing"], self._secrets[f"{name}.sealing"])

    def make_device(self, realm: RealmId) -> DeviceSecrets:
        """The node's device in a realm; made, and on disk, before it is used."""
        found = self.device(realm)
        if found is None:
            found = DeviceSecrets(os.urandom(32), os.urandom(32))
            name = realm.hex()
            self._add({f"{name}.signing": found.signing, f"{name}.sealing": found.sealing})
        return found

    def fresh_device(self, realm: RealmId, held: Realm | None) -> DeviceSecrets:
        """A device that no grant names yet: where the node's old one was cut, another.

        A chain has one grant; who comes back writes a new one.
        """
        found = self.make_device(realm)
        if held is not None and found.keys.id in held.judge.authority.devices:
            found = DeviceSecrets(os.urandom(32), os.urandom(32))
            name = realm.hex()
            self._add({f"{name}.signing": found.signing, f"{name}.sealing": found.sealing})
        return found

    def grant_body(self, realm: Realm, member: MemberId) -> NodeGrant:
        """What a member signs to make this node theirs: its device, its consent, the epochs."""
        secrets = self.fresh_device(realm.realm, realm)
        return NodeGrant(
            secrets.keys,
            sign_claim("consent", secrets.signing, realm.realm, member),
            share(realm, secrets.keys.sealing),
        )

    async def refresh(self, realm: Realm) -> None:
        """After log 0 grew: open the epochs, and find the grant that stands."""
        secrets = self.device(realm.realm)
        if secrets is None:
            return
        keys = secrets.keys
        opened = self._opened.get(realm.realm)
        if opened is None or opened.secrets != secrets:
            opened = self._opened[realm.realm] = Opened(secrets)
        realm.epoch_keys.update(opened.by(await realm.store.everything(_CARRYING, _KINDS)))
        authority = realm.judge.authority
        grant = authority.devices.get(keys.id)  # of several, one that stands
        if grant is None or not authority.stands(keys.id, grant):
            realm.own_credential = None
        elif realm.own_credential is None or realm.own_credential.grant != grant.id:
            stored = [operation for _, operation in await realm.store.everything("c.log = 0")]
            path = path_to(grant.id, stored)  # what a grant builds on never changes
            realm.own_credential = Credential(keys.id, grant.id, signer(secrets), path)
            await self.keep(realm.realm, path)


async def _nowhere(_realm: RealmId, _path: Sequence[Operation]) -> None: ...


def signer(secrets: DeviceSecrets) -> Callable[[bytes], bytes]:
    """Signs digests with the device's key."""
    key = SigningKey(secrets.signing)
    return lambda data: key.sign(data).signature


def share(realm: Realm, sealing_key: bytes) -> tuple[SealedKey, ...]:
    """The newest epoch keys that are known here, as many as an act may carry, sealed."""
    epochs = sorted(realm.epochs()[:_MOST_EPOCHS])
    return tuple(SealedKey(epoch, seal(key, sealing_key)) for epoch, key in epochs)


class _Carried(NamedTuple):
    """What of one operation matters to one device."""

    commitment: bytes | None
    """If it is an epoch: what its key hashes to."""
    sealed: Sequence[tuple[OperationId, bytes]]
    """Epochs, with their keys as they are sealed to the device."""


@dataclass(slots=True)
class Opened:
    """The epoch keys that log-0 operations seal to a device; no operation is read twice.

    Only by those that stand, and only the key that the epoch commits to: anybody may seal
    anything to a device whose keys are known.
    """

    secrets: DeviceSecrets
    _carried: dict[OperationId, _Carried] = field(default_factory=dict)
    _keys: dict[OperationId, bytes] = field(default_factory=dict)

    def by(self, known: Iterable[tuple[Standing, Operation]]) -> Mapping[OperationId, bytes]:
        """The keys by operations that are known now, the ones of before included."""
        device = self.secrets.keys.id
        standing = [o for s, o in known if s.judgement.verdict is Verdict.ACCEPTED]
        carried = {ident: self._read(ident, one, device) for ident, one in _named(standing)}
        committed = {ident: one.commitment for ident, one in carried.items() if one.commitment}
        for one in carried.values():
            for epoch, sealed in one.sealed:
                if epoch in self._keys or epoch not in committed:
                    continue
                key = unseal(sealed, self.secrets.sealing)
                if key is not None and digest("epoch", key) == committed[epoch]:
                    self._keys[epoch] = key
        return self._keys

    def _read(self, ident: OperationId, operation: Operation, device: bytes) -> _Carried:
        known = self._carried.get(ident)
        if known is None:
            body = _carrier(operation)
            commitment = body.commitment if isinstance(body, Epoch) else None
            sealed = _sealed(ident, body, device) if body is not None else ()
            known = self._carried[ident] = _Carried(commitment, sealed)
        return known


def open_epochs(
    known: Iterable[tuple[Standing, Operation]], secrets: DeviceSecrets
) -> Mapping[OperationId, bytes]:
    """See ``Opened``."""
    return Opened(secrets).by(known)


def _named(operations: Iterable[Operation]) -> Iterator[tuple[OperationId, Operation]]:
    return ((operation_id(one.header), one) for one in operations)


def _carrier(operation: Operation) -> Carrier | None:
    kind = decode_header(operation.header).kind
    if kind not in _CARRIERS or operation.body is None:
        return None
    try:
        return decode_fact(_CARRIERS[kind], content(operation.body))
    except Refused:
        return None


def _sealed(ident: OperationId, body: Carrier, device: bytes) -> list[tuple[OperationId, bytes]]:
    match body:
        case Epoch():
            return [(ident, s.key) for s in body.shares if s.device == device]
        case Admit() if body.identity.device.id == device:
            return [(OperationId(s.epoch), s.key) for s in body.epochs]
        case NodeGrant() | AddDevice() | Readmit() if body.device.id == device:
            return [(OperationId(s.epoch), s.key) for s in body.epochs]
        case Recover() if any(new.keys.id == device for new in body.device):
            return [(OperationId(s.epoch), s.key) for s in body.epochs]
    return []


def path_to(grant: OperationId, log_zero: list[Operation]) -> tuple[Operation, ...]:
    """The log-0 operations that a grant builds on and itself, in a causal order."""
    headers = {operation_id(o.header): decode_header(o.header) for o in log_zero}
    wanted: set[bytes] = set()
    queue: list[bytes] = [grant]
    while queue:
        ident = queue.pop()
        if ident not in wanted and OperationId(ident) in headers:
            wanted.add(ident)
            queue.extend(headers[OperationId(ident)].antecedents)
    return tuple(o for o in log_zero if operation_id(o.header) in wanted)
