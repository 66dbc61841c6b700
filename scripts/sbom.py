"""``make sbom``: a CycloneDX 1.5 bill of what a host installs, made by uv from the lock.

Holds it against requirements.lock, so that nothing is installed that it does not list. The last
line is one JSON object.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FILE = ROOT / "dist" / "sbom.cdx.json"


def main() -> int:
    """Write it; 1 where it does not hold what is locked."""
    uv = Path(sys.executable).with_name("uv")
    words = ["export", "--locked", "--quiet", "--no-dev", "--no-emit-project"]
    made = subprocess.run(
        [uv, *words, "--format", "cyclonedx1.5"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    bill = json.loads(made.stdout)
    listed = {(one["name"], one["version"]) for one in bill["components"]}
    locked = set(locked_packages())
    FILE.parent.mkdir(exist_ok=True)
    FILE.write_text(json.dumps(bill, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    missing = sorted(f"{name} {version}" for name, version in locked - listed)
    found = {"components": len(listed), "locked": len(locked), "missing": missing}
    where = str(FILE.relative_to(ROOT))
    print(json.dumps({"v": 1, "name": "sbom", "file": where, **found}))
    return 1 if missing else 0


def locked_packages() -> list[tuple[str, str]]:
    """(name, version) of every line of requirements.lock."""
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    return re.findall(r"^([A-Za-z0-9_.-]+)==([^\s;\\]+)", text, re.MULTILINE)


if __name__ == "__main__":
    sys.exit(main())
