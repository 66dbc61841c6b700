"""Fork proofs: two signed headers at one place of a chain, a fact about bytes.

Source: docs/protocol/authority.md "What counts by its bytes".
"""

from __future__ import annotations

from commons_crdt.authority.book import Book, Entry
from commons_crdt.authority.cuts import Shown
from commons_crdt.authority.identity_facts import ForkProof
from commons_crdt.errors import Refused
from commons_crdt.ids import DeviceId
from commons_crdt.operation import decode_header, operation_id, verify


def shown(book: Book, entry: Entry) -> tuple[Shown, ...]:
    """The two operations that a proof shows; none if it proves nothing."""
    body = entry.body
    if not isinstance(body, ForkProof):
        return ()
    pairs = ((body.first, body.first_signature), (body.second, body.second_signature))
    try:
        headers = [decode_header(data) for data, _ in pairs]
    except Refused:
        return ()
    ids = [operation_id(data) for data, _ in pairs]
    if ids[0] == ids[1] or any(header.realm != book.realm for header in headers):
        return ()
    if len({(header.device, header.log, header.seq) for header in headers}) > 1:
        return ()
    device = DeviceId(headers[0].device)
    grants = book.among(book.grants.get(device, ()), entry.past)
    keys = next((book.given[n].keys for n in grants), None)  # the device is a hash of them
    if keys is None or not all(verify(data, by, keys.signing) for data, by in pairs):
        return ()
    return tuple(
        Shown(device, header.log, header.seq, ident, header.prev)
        for ident, header in zip(ids, headers, strict=True)
    )
