"""Whether the pages and indices of every database of this home are as they should be.

The doctor's question (`doctor --quick`), asked by the node itself; what is damaged is a notice.
"""

from __future__ import annotations

from pathlib import Path

from commons_node.doctor.data import fault_of, files
from commons_node.home import Home
from commons_node.jobs.catalogue import notice
from commons_node.jobs.handler import Host


def run(host: Host) -> dict[str, int]:
    """Look at each file; only reads."""
    found = files(Home(Path(str(host.given["home"]))))
    damaged = 0
    for path, schema in found:
        why, fix, _ = fault_of(path, schema)
        stands = "ok" if why is None else f"fail. {why}"
        host.log(f"database {path.stem[:8]}: {stands}")
        if why is None:
            continue
        damaged += 1
        told = notice("damaged", file=path.name, why=why, fix=fix)
        host.effect("notice", f"{host.run}/{path.name}", **told)
    return {"files": len(found), "damaged": damaged}
