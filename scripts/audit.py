"""``make audit``: whether a weakness is known in what hosts install, and in what builds it.

Asked by pip-audit, over the internet. Where the database is not reached it says so and does not
fail: a build must not depend on it; but it never calls that clean, and with ``--strict``
(``make audit STRICT=1``, for a release) it fails. Python itself, in the runner of agents, is in no
such database: the bill of materials names it. The last line is one JSON object.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
TOOL = ("--frozen", "--isolated", "--only-group", "audit", "pip-audit")
"""pip-audit of uv.lock, each package of it by its hash, in an environment that goes again."""
PATIENCE_S = 300
LISTS: dict[str, tuple[str, ...]] = {
    "requirements.lock": ("--require-hashes",),
    "packaging/build.lock": ("--require-hashes",),
    "scripts/runner-requirements.txt": ("--no-deps",),
}
"""What is asked about: what hosts install, what builds it, what the runner of agents is made of."""


def main(words: Sequence[str]) -> int:
    """1 where a weakness is known; with ``--strict`` also where nothing is."""
    found = together({name: judged(asked(name)) for name in LISTS})
    if found["not_reached"]:
        names = ", ".join(found["not_reached"])
        why = f"the database of weaknesses was not reached; nothing is known of {names}"
        print(f"audit: {why}", file=sys.stderr)
    for one in found["weak"]:
        print(f"audit: {one}", file=sys.stderr)
    print(json.dumps({"v": 1, "name": "audit", **found}))
    return 1 if found["weak"] or ("--strict" in words and found["not_reached"]) else 0


def asked(name: str) -> str:
    """What pip-audit says of one list, as JSON; empty where it could not be run."""
    uv = Path(sys.executable).with_name("uv")
    words = ["--requirement", name, "--disable-pip", *LISTS[name], "--format",
             "json", "--progress-spinner", "off", "--timeout", "15"]  # fmt: skip
    try:
        ended = subprocess.run(
            [uv, "run", "--quiet", *TOOL, *words],
            cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE_S, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return ended.stdout


def together(answers: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """All lists as one; it was reached if it was for each."""
    missed = [name for name, one in answers.items() if not one["reached"]]
    return {
        "reached": not missed,
        "not_reached": missed,
        "asked": sum(one["asked"] for one in answers.values()),
        "not_asked": sum(one["not_asked"] for one in answers.values()),
        "weak": sorted({weak for one in answers.values() for weak in one["weak"]}),
    }


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
    sys.exit(main(sys.argv[1:]))
