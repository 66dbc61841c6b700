"""Small numbers for what the rows of operations repeat: chains, and views as masks of log 0.

Both tables are small and stay in memory. Knows no verdicts.
"""

from __future__ import annotations

from commons_crdt.authority.state import View
from commons_crdt.ids import DeviceId
from commons_node.store.connection import Connection
from commons_node.store.database import fetch


class Numbers:
    """The tables ``chains`` and ``masks``; ``load`` must follow."""

    def __init__(self) -> None:
        """Empty."""
        self.chains: dict[tuple[bytes, int], int] = {}
        self.masks: dict[int, View] = {}
        self._of_mask: dict[View, int] = {}

    async def load(self, connection: Connection) -> None:
        """Read both tables afresh; whoever reads rows meanwhile keeps the old ones."""
        chains = await fetch(connection, "SELECT device, log, n FROM chains")
        masks = await fetch(connection, "SELECT n, mask FROM masks")
        self.chains = {(device, log): n for device, log, n in chains}
        self.masks = {n: int.from_bytes(mask, "big") for n, mask in masks}
        self._of_mask = {mask: n for n, mask in self.masks.items()}

    async def chain(self, connection: Connection, device: DeviceId, log: int) -> int:
        """The number of a chain; a new one is written."""
        n = self.chains.get((device, log))
        if n is None:
            n = len(self.chains) + 1
            await connection.execute("INSERT INTO chains VALUES (?,?,?)", (n, device, log))
            self.chains[device, log] = n
        return n

    async def mask(self, connection: Connection, view: View) -> int:
        """The number of a view; a new one is written."""
        n = self._of_mask.get(view)
        if n is None:
            n = len(self.masks) + 1
            blob = view.to_bytes((view.bit_length() + 7) // 8, "big")
            await connection.execute("INSERT INTO masks VALUES (?,?)", (n, blob))
            self.masks[n] = view
            self._of_mask[view] = n
        return n
