"""An offer that people carry: as a short code, or as a file with everything that it builds on.

A code proves nothing and names only ids; a file's operations go through the same verifier as a
peer's. Decides nothing about loans.
"""

from __future__ import annotations

from collections.abc import Sequence

from commons_crdt.ids import OperationId
from commons_crdt.operation import decode_header
from commons_crdt.texts import _
from commons_crdt.verdict import Verdict
from commons_node.community import Community
from commons_node.registry import File
from commons_protocol.codes import OfferCode, decode_offer, encode_offer
from commons_protocol.offers import (
    MAX_BYTES,
    BadOffer,
    LargeOffer,
    decode_offer_file,
    encode_offer_file,
)
from commons_protocol.replica import Range


def code_of(offer: bytes, loan: bytes, resource: bytes) -> str:
    """The short code of an offer."""
    return encode_offer(OfferCode(OperationId(offer), OperationId(loan), resource))


async def file_of(community: Community, offer: OperationId) -> bytes:
    """The file form: the offer with every operation that it builds on. Raises ``LargeOffer``."""
    realm = community.realm
    ends = [end for end in await realm.vector() if end.log == 0]
    log_zero, more = await realm.read(
        [Range(end.device, 0, 1, end.seq) for end in ends], None, MAX_BYTES
    )
    chains, rest = await realm.read(await _closure(community, offer), None, MAX_BYTES)
    if more is not None or rest is not None:
        raise LargeOffer
    return encode_offer_file(realm.realm, offer, log_zero, chains)


async def _closure(community: Community, start: OperationId) -> Sequence[Range]:
    """The beginnings of log-1 chains that hold ``start`` and all that is in its past."""
    needed: dict[bytes, int] = {}
    done: dict[bytes, int] = {}
    wanted: set[bytes] = {start}
    while wanted:
        for standing in (await community.realm.store.standings(wanted)).values():
            if standing.log:
                needed[standing.device] = max(needed.get(standing.device, 0), standing.seq)
        wanted = set()
        for device, last in needed.items():
            first = done.get(device, 0) + 1
            if first > last:
                continue
            rows = await community.query(
                "SELECT o.header FROM operations o JOIN chains c ON c.n = o.chain"
                " WHERE c.device = ? AND c.log = 1 AND o.seq BETWEEN ? AND ?",
                (device, first, last),
            )
            done[device] = last
            wanted.update(ref for (header,) in rows for ref in decode_header(header).refs)
    return [Range(device, 1, 1, last) for device, last in needed.items()]  # type: ignore[arg-type]  # keys are device ids


async def take(community: Community, given: File | str) -> OfferCode:
    """Read a code, or a file, whose operations are then stored. Raises BadCode, BadOffer."""
    if isinstance(given, str):
        return decode_offer(given)
    found = decode_offer_file(given.data)
    if found.realm != community.realm.realm:
        raise BadOffer(why=_("it belongs to another community"))
    await community.realm.ingest(found.operations, "offer")
    standing = await community.realm.standing(found.offer)
    if standing is None:
        raise BadOffer(why=_("something that it builds on is missing, or it is not genuine"))
    if standing.judgement.verdict is not Verdict.ACCEPTED:
        raise BadOffer(
            why=_("it does not stand. {sentence}").format(sentence=standing.judgement.sentence)
        )
    return OfferCode(found.offer, OperationId(standing.document), b"")
