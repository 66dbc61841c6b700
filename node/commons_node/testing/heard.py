"""A realm that somebody listens to: what it was offered by whom, what it acknowledged, what it was.

Adds nothing to the realm and takes nothing away; whoever checks the simulation looks here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from commons_crdt.author import Draft
from commons_crdt.device import DeviceSecrets
from commons_crdt.ids import OperationId
from commons_crdt.operation import Operation, operation_id
from commons_node.realm.authoring import Written
from commons_node.realm.realm import Realm
from commons_protocol.replica import Ingested


@dataclass(slots=True)
class Ears:
    """What is remembered of a node's realm over all lives of the node. Times are seconds."""

    clock: Callable[[], float]
    wrote: Callable[[Sequence[Written]], None]
    """Told of what was acknowledged to the member."""
    digests: dict[bytes, float] = field(default_factory=dict)
    """Every digest that the realm has had, and when it was last seen to have it."""
    offered: Counter[tuple[str, OperationId]] = field(default_factory=Counter)
    """(source, id): how often a source offered an operation."""
    refused: Counter[tuple[str, str]] = field(default_factory=Counter)
    """(source, code): what was refused of what a source offered."""

    def had(self, digest: bytes, since: float) -> bool:
        """True if the realm had this digest at ``since`` or later."""
        return self.digests.get(digest, -1.0) >= since


class HeardRealm(Realm):
    """See the module."""

    def __init__(self, *arguments: Any, ears: Ears) -> None:
        """``ears`` outlive it."""
        super().__init__(*arguments)
        self._ears = ears

    def digest(self) -> bytes:
        """See ``Realm``."""
        found = super().digest()
        self._ears.digests[found] = self._ears.clock()
        return found

    async def ingest(self, operations: Sequence[Operation], source: str) -> Ingested:
        """See ``Realm``."""
        result = await super().ingest(operations, source)
        ears = self._ears
        for one in operations:
            ears.offered[source, operation_id(one.header)] += 1
        for code, n in result.refused.items():
            ears.refused[source, code] += n
        return result

    async def write(
        self, drafts: Sequence[Draft], author: DeviceSecrets, grant: OperationId
    ) -> list[Written]:
        """See ``Realm``."""
        written = await super().write(drafts, author, grant)
        self._ears.wrote(written)
        return written
