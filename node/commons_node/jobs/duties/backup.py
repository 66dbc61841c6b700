"""A backup of this node, and whether it can be read back: every byte, every operation judged again.

The node writes it, as only the node has its communities open; a process that knows nothing but the
folder and the passphrase reads it. A dry run makes none, and reads the newest one back.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Final

from commons_crdt.errors import CommonsError
from commons_node.backup.folder import chosen
from commons_node.backup.reading import verify
from commons_node.backup.schedule import MAKE, NOTE, passphrase_of
from commons_node.jobs.handler import HandlerFailed, Host
from commons_node.verifier.pool import VerifierPool

_KIND: Final = 10


def run(host: Host) -> dict[str, int]:
    """One more backup, read back whole."""
    os.nice(_KIND)
    if host.dry:
        return _verified(Path(str(host.given["to"])), str(host.given["passphrase_file"]))
    made = host.call("act", name=MAKE)
    host.log(f"{made['file']}: {made['operations']} operations, {made['bytes']} bytes are new")
    try:
        found = _verified(Path(made["file"]), made["passphrase_file"])
    except (CommonsError, OSError) as error:
        host.call("act", name=NOTE, why=str(error))
        raise HandlerFailed("backup", str(error)) from None
    host.call("act", name=NOTE)
    host.log("it was read back whole")
    return {**found, "bytes": int(made["bytes"])}


def _verified(place: Path, passphrase_file: str) -> dict[str, int]:
    async def whole() -> dict[str, int]:
        folder, _, manifest = chosen(place, passphrase_of(passphrase_file))
        pool = VerifierPool(1)
        try:
            return {"operations": (await verify(folder, manifest, pool)).operations}
        finally:
            await pool.stop()

    return asyncio.run(whole())
