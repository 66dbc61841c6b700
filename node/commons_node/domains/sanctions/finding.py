"""Finding an operation by its id or the first digits of it."""

from __future__ import annotations

from commons_crdt.ids import OperationId
from commons_node.community import Ambiguous, Community, Unknown

_FEWEST = 8
_DIGITS = 64


async def find_operation(community: Community, selector: str) -> OperationId:
    """The stored operation that is meant. Raises ``Unknown`` or ``Ambiguous``."""
    wanted = selector.strip().lower()
    digits = _FEWEST <= len(wanted) <= _DIGITS and all(c in "0123456789abcdef" for c in wanted)
    rows = []
    if digits:
        bounds = (bytes.fromhex(wanted.ljust(_DIGITS, fill)) for fill in "0f")
        query = "SELECT id FROM operations WHERE id BETWEEN ? AND ? LIMIT 3"
        rows = await community.query(query, tuple(bounds))
    if not rows:
        raise Unknown(what="operation", name=selector, list="commons-node community acts")
    if len(rows) > 1:
        raise Ambiguous(name=selector, found=", ".join(row[0].hex()[:16] for row in rows))
    return OperationId(rows[0][0])
