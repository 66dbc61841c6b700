"""The drill: a home is made of a backup where nobody sees it, looked at, and taken away again."""

from __future__ import annotations

import tempfile
from pathlib import Path

from commons_crdt.texts import N_
from commons_node.backup.folder import Folder
from commons_node.backup.manifest import Manifest
from commons_node.backup.restored import Restored
from commons_node.backup.restoring import Made, unpack
from commons_node.backup.sealed_file import BadBackup
from commons_node.databases import files
from commons_node.doctor.data import opened, sound
from commons_node.home import Home
from commons_node.keystore.node_key import NodeKey
from commons_node.keystore.store import Keystore
from commons_node.own.lost import LOST
from commons_node.said import said
from commons_node.verifier.pool import VerifierPool


async def rehearse(
    folder: Folder, path: Path, manifest: Manifest, pool: VerifierPool, now_ms: int
) -> Made:
    """Restore into a folder that is gone afterwards; what was made. Raises ``BadBackup``.

    Its realms are opened once more as a daemon would, and must show the same state as before.
    Nothing is dialled, and nothing is signed.
    """
    with tempfile.TemporaryDirectory(prefix="commons-rehearse-") as temporary:
        home = Home(Path(temporary) / "home")
        made = await unpack(folder, path, manifest, home.path, pool, alone=False)
        for file, schema in files(home):
            check = sound(file, schema, file.stem[:8])
            if check.state == "fail":
                raise BadBackup("rehearsal", said("{why}", why=check.detail))
        for folder_of, realms in (("realms", manifest.realms), (LOST, manifest.own)):
            for realm in realms:
                file = home.path / folder_of / f"{realm.realm.hex()}.db"
                async with opened(file, pool, now_ms) as again:
                    _, state = await again.hashes()
                if state.hex() != (made.states | made.own)[realm.realm.hex()]:
                    raise BadBackup("state", N_("opened again, a community shows another state"))
        if Keystore(home.keys).damaged():
            raise BadBackup("key", N_("a member's key file in it is damaged"))
        NodeKey(home.node_key).load()
        owed = Restored(home.path).owed
        if owed is None and manifest.realms:
            raise BadBackup("rehearsal", N_("the new home does not know what it owes"))
        return made
