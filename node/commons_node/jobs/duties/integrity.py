"""Whether the pages and indices of every database of this home are as they should be.

The doctor's question (`doctor --quick`), asked by the node itself; what is damaged is a notice.
"""

from __future__ import annotations

from pathlib import Path

from commons_node.doctor.data import files, sound
from commons_node.home import Home
from commons_node.jobs.catalogue import notice
from commons_node.jobs.handler import Host


def run(host: Host) -> dict[str, int]:
    """Look at each file; only reads."""
    found = files(Home(Path(str(host.given["home"]))))
    damaged = 0
    for path, schema in found:
        check = sound(path, schema, path.stem[:8])
        host.log(f"{check.check}: {check.state}{f'. {check.detail}' if check.fix else ''}")
        if check.state == "ok":
            continue
        damaged += 1
        fields = {"file": path.name, "why": check.detail, "fix": check.fix}
        told = notice("damaged", **fields)
        host.effect("notice", f"{host.run}/{path.name}", **told)
    return {"files": len(found), "damaged": damaged}
