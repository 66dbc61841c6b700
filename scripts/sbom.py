"""``make sbom``: a CycloneDX 1.5 bill of what a host installs, made by uv from the lock.

Holds it against requirements.lock, so that nothing is installed that it does not list. What is in
no lock is added: the runner of agents, one file with a Python of its own inside. The last line is
one JSON object.
"""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
from importlib import resources
from pathlib import Path
from typing import Any

from commons_node.sandbox import runner

ROOT = Path(__file__).resolve().parents[1]
FILE = ROOT / "dist" / "sbom.cdx.json"
_PINNED = re.compile(r"^([A-Za-z0-9_.-]+)==([^\s;\\]+)", re.MULTILINE)
_PYTHON = re.compile(rb"(3\.\d+\.\d+[a-z0-9+]*) \([a-z]+, [A-Z][a-z]{2} [ \d]\d \d{4}, ")
"""As Python says of itself: sys.version begins so."""


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
    bill["components"].append(runner_of_agents())
    listed = {(one["name"], one["version"]) for one in bill["components"]}
    locked = set(locked_packages())
    FILE.parent.mkdir(exist_ok=True)
    FILE.write_text(json.dumps(bill, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    missing = sorted(f"{name} {version}" for name, version in locked - listed)
    found = {"components": len(listed), "locked": len(locked), "missing": missing}
    where = str(FILE.relative_to(ROOT))
    print(json.dumps({"v": 1, "name": "sbom", "file": where, **found}))
    return 1 if missing else 0


def runner_of_agents() -> dict[str, Any]:
    """The component of the file that is part of this program, with what it was built of.

    ``hashes`` are of the file as it is installed; of what it unpacks to in a property. Raises
    ``BadRunner`` where the file is not the one that is released, and LookupError where it does not
    say which Python it is.
    """
    packed = resources.files("commons_node.sandbox").joinpath(runner.NAME).read_bytes()
    python = _PYTHON.findall(runner.component())
    if not python:
        raise LookupError("the runner does not say which Python it is")
    version = python[0].decode()
    tools = _PINNED.findall((ROOT / "scripts/runner-requirements.txt").read_text(encoding="utf-8"))
    inside = [("cpython", version, f"pkg:generic/cpython@{version}")]
    inside += [(name, of, f"pkg:pypi/{name}@{of}") for name, of in tools]
    return {
        "type": "file",
        "bom-ref": f"runner@{runner.SHA256[:16]}",
        "name": runner.NAME,
        "version": runner.SHA256[:16],
        "description": "the runner of agents: Python as a WebAssembly component",
        "hashes": [{"alg": "SHA-256", "content": hashlib.sha256(packed).hexdigest()}],
        "properties": [{"name": "commons-node:unpacked:sha-256", "value": runner.SHA256}],
        "components": [
            {
                "type": "library",
                "bom-ref": f"runner/{purl}",
                "name": name,
                "version": of,
                "purl": purl,
            }
            for name, of, purl in inside
        ],
    }


def locked_packages() -> list[tuple[str, str]]:
    """(name, version) of every line of requirements.lock."""
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    return _PINNED.findall(text)


if __name__ == "__main__":
    sys.exit(main())
