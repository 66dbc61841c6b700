"""``make audit``: whether a weakness is known in what hosts install, asked by pip-audit.

Needs the internet. Where the database is not reached it says so and does not fail: a build must
not depend on it; but it never calls that clean. The last line is one JSON object.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
TOOL = "pip-audit==2.10.1"
PATIENCE_S = 300


def main() -> int:
    """1 where a weakness is known."""
    found = judged(asked())
    if not found["reached"]:
        why = "the database of weaknesses was not reached; nothing is known"
        print(f"audit: {why}", file=sys.stderr)
    for one in found["weak"]:
        print(f"audit: {one}", file=sys.stderr)
    print(json.dumps({"v": 1, "name": "audit", **found}))
    return 1 if found["weak"] else 0


def asked() -> str:
    """What pip-audit says, as JSON; empty where it could not be run."""
    uv = Path(sys.executable).with_name("uv")
    words = ["--requirement", "requirements.lock", "--disable-pip", "--require-hashes", "--format",
             "json", "--progress-spinner", "off", "--timeout", "15"]  # fmt: skip
    try:
        ended = subprocess.run(
            [uv, "tool", "run", "--quiet", "--from", TOOL, "pip-audit", *words],
            cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE_S, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return ended.stdout


def judged(answer: str) -> dict[str, Any]:
    """``{"reached", "asked", "not_asked", "weak"}`` of what it said.

    What it skips was not found where it looked; if that is everything, nothing was looked at.
    """
    try:
        packages = json.loads(answer)["dependencies"]
    except (ValueError, LookupError, TypeError):
        packages = []
    seen = [one for one in packages if "skip_reason" not in one]
    weak = [
        f"{one['name']} {one['version']}: {weakness['id']}"
        + (f", mended in {weakness['fix_versions'][0]}" if weakness.get("fix_versions") else "")
        for one in seen
        for weakness in one.get("vulns", ())
    ]
    return {
        "reached": bool(seen),
        "asked": len(seen),
        "not_asked": len(packages) - len(seen),
        "weak": weak,
    }


if __name__ == "__main__":
    sys.exit(main())
