"""Writing: turns a draft into a signed operation at the end of its author's chain.

Pure: the clock's reading, the salts and the secrets are handed in. What comes out goes through
the judge like everybody else's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import msgspec

from commons_crdt.authority.facts import Genesis
from commons_crdt.authority.judge import GENESIS, Standing
from commons_crdt.device import DeviceSecrets
from commons_crdt.ids import ZERO, DocumentId, OperationId, RealmId
from commons_crdt.kinds import encode_fact
from commons_crdt.operation import (
    VERSION,
    Header,
    Operation,
    PartRef,
    body_hash,
    encode_header,
    operation_id,
    ordered,
    part_hash,
    salted,
    sign,
)


@dataclass(frozen=True, slots=True)
class Draft:
    """What a member wants to say: a kind, its content, and what it depends on.

    ``content``: the fact's or the Automerge change's bytes, without salt. ``document`` None means
    "itself". ``parts``: (class, content) pairs, without salt.
    """

    kind: str
    content: bytes
    log: int = 1
    document: DocumentId | None = None
    refs: Sequence[OperationId] = ()
    parts: Sequence[tuple[str, bytes]] = field(default=())

    @classmethod
    def fact(
        cls,
        kind: str,
        body: msgspec.Struct,
        *,
        log: int = 1,
        document: DocumentId | None = None,
        refs: Sequence[OperationId] = (),
        parts: Sequence[tuple[str, bytes]] = (),
    ) -> Draft:
        """A draft of a typed fact."""
        return cls(kind, encode_fact(body), log, document, refs, parts)


@dataclass(frozen=True, slots=True)
class Place:
    """Where the operation goes: the end of the author's chain, and what it builds on.

    ``prev`` is the chain's last operation, or its grant where the chain starts; ``past`` are the
    standings of refs; ``authority`` those of the log-0 heads outside prev's view.
    """

    realm: RealmId
    prev: Standing
    past: Sequence[Standing] = ()
    authority: Sequence[Standing] = ()


def compose(
    draft: Draft,
    place: Place,
    secrets: DeviceSecrets,
    now_ms: int,
    salt: Callable[[], bytes],
) -> Operation:
    """The signed operation; its claimed time is ``now_ms`` or prev's, whichever is later."""
    device = secrets.keys.id
    prev = place.prev
    starts = prev.device != device or prev.log != draft.log
    newest = max(s.lamport for s in (prev, *place.past, *place.authority))
    body = salted(salt(), draft.content)
    parts = tuple(salted(salt(), content) for _, content in draft.parts)
    header = Header(
        version=VERSION,
        realm=place.realm,
        device=device,
        log=0 if draft.log == 0 else 1,
        seq=1 if starts else prev.seq + 1,
        prev=prev.id,
        lamport=newest + 1,
        time_ms=max(now_ms, prev.time_ms),
        kind=draft.kind,
        document=draft.document or ZERO,
        refs=ordered([s.id for s in place.past]),
        authority=ordered([s.id for s in place.authority]),
        body_hash=body_hash(body),
        body_length=len(body),
        parts=tuple(
            PartRef(name, len(part), part_hash(part))
            for (name, _), part in zip(draft.parts, parts, strict=True)
        ),
    )
    encoded = encode_header(header)
    return Operation(encoded, sign(encoded, secrets.signing), body, parts)


def found(
    body: Genesis, secrets: DeviceSecrets, now_ms: int, salt: Callable[[], bytes]
) -> tuple[RealmId, Operation]:
    """A genesis and the realm that it makes."""
    salted_body = salted(salt(), encode_fact(body))
    header = encode_header(
        Header(
            version=VERSION,
            realm=ZERO,
            device=secrets.keys.id,
            log=0,
            seq=1,
            prev=ZERO,
            lamport=1,
            time_ms=now_ms,
            kind=GENESIS,
            document=ZERO,
            refs=(),
            authority=(),
            body_hash=body_hash(salted_body),
            body_length=len(salted_body),
            parts=(),
        )
    )
    operation = Operation(header, sign(header, secrets.signing), salted_body)
    return RealmId(operation_id(header)), operation
