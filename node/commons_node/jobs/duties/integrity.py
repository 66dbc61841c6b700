"""Whether every database of this home is as it should be: its pages, and what communities show.

The doctor's questions, asked by the node itself. What is damaged is a notice, and is made anew; so
is a community that shows something else than its operations give. Photos are compared with what
was signed, and those that are others are fetched again.
"""

from __future__ import annotations

from pathlib import Path

from commons_crdt.texts import N_
from commons_node.databases import files
from commons_node.doctor.data import NotCompared, fault_of, shown_otherwise
from commons_node.home import Home
from commons_node.jobs.catalogue import notice
from commons_node.jobs.handler import Host
from commons_node.said import Said, said
from commons_node.store.realm_schema import REALM_SCHEMA
from commons_node.store.salvage import changed_parts

_PHOTOS = N_("photos in it that are not those that were signed: {count}")
_MENDS = N_("nothing now: the node makes it anew of what reads; look after the disk")


def run(host: Host) -> dict[str, int]:
    """Look at each file, and judge a copy of each community's operations from nothing."""
    found = files(Home(Path(str(host.given["home"]))))
    damaged = 0
    for path, schema in found:
        looked_at = path.stat().st_ino
        why, fix, facts = fault_of(path, schema)
        parts = False
        if why is None and schema is REALM_SCHEMA:
            why, facts = _shown_otherwise(host, path), {"sound": False}
        if why is None and schema is REALM_SCHEMA and (count := len(changed_parts(path))):
            why, parts = said(_PHOTOS, count=count), True
        # A newer version's file is no damaged one.
        if why is not None and not facts["sound"]:
            fix = said(_MENDS)
            letter = {"file": path.stem, "why": str(why), "inode": looked_at, "parts": parts}
            host.effect("outbox", f"{host.run}/{path.name}/repair", to="repair", body=letter)
        stands = "ok" if why is None else f"fail. {why}"
        host.log(f"database {path.stem[:8]}: {stands}")
        if why is None:
            continue
        damaged += 1
        told = notice("damaged", file=path.name, why=why, fix=fix)
        host.effect("notice", f"{host.run}/{path.name}", **told)
    return {"files": len(found), "damaged": damaged}


def _shown_otherwise(host: Host, path: Path) -> Said | None:
    try:
        return shown_otherwise(path)
    except NotCompared as error:  # no evidence of anything; tomorrow again
        host.log(str(error))
        return None
