"""`make runner`: build the runner of agents again, and compare it with the one that is released.

Its builds differ byte by byte (a frozen heap, addresses, times), so equal hashes are not to be had.
What can be compared is what both do: every agent below must end alike in both, with the same fuel
to one part in a hundred. `make runner WRITE=1` puts the new one in place of the old.

Runs in the project's own environment; the build tools have one of their own, which it makes.
"""

from __future__ import annotations

import hashlib
import json
import lzma
import re
import shutil
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any

from wasmtime.component import Component

from commons_node.sandbox import runner
from commons_node.sandbox.engine import engine
from commons_node.sandbox.guest import Bounds, Guest, Ticker

ROOT = Path(__file__).resolve().parents[1]
SANDBOX = ROOT / "node/commons_node/sandbox"
INSIDE = SANDBOX / "inside"
BUILD = ROOT / "build/runner"
TOOLS = ROOT / "scripts/runner-requirements.txt"
AGENTS = {
    "nothing": "def main(event, host): return None",
    "library": (
        "import csv, datetime, decimal, io, json, math, re, statistics, uuid, zoneinfo\n"
        "def main(event, host):\n"
        "    day = datetime.datetime(2026, 7, 1, tzinfo=zoneinfo.ZoneInfo('Europe/Stockholm'))\n"
        "    rows = list(csv.DictReader(io.StringIO('a,b\\n1,2\\n')))\n"
        "    return [day, rows, decimal.Decimal('0.10'), statistics.median([3, 1, 2]),\n"
        "            uuid.uuid4(), re.findall('[a-z]+', 'ab1c'), math.pi]"
    ),
    "calls": "def main(event, host): return [host.call('echo', n=n) for n in range(11)]",
    "fails": "def main(event, host):\n    return 1 / 0",
    "reaches": "def main(event, host): return open('/etc/passwd').read()",
}
BOUNDS = Bounds(10**10, 128 << 20, 1 << 20, 60.0)


def tools() -> Path:
    """The environment of the build, made when it is missing; its bin folder."""
    folder = BUILD / "venv"
    stamp = folder / TOOLS.name
    if not stamp.exists() or stamp.read_bytes() != TOOLS.read_bytes():
        shutil.rmtree(folder, ignore_errors=True)
        venv.create(folder, with_pip=True)
        install: list[str | Path] = [
            folder / "bin/python",
            "-m",
            "pip",
            "install",
            "--quiet",
            "--only-binary=:all:",
        ]
        subprocess.run([*install, "--requirement", TOOLS], check=True)  # noqa: S603 - pinned
        shutil.copy(TOOLS, stamp)
    return folder / "bin"


def build() -> bytes:
    """A new component."""
    found = tools()
    made = BUILD / "runner.wasm"
    (library,) = (found.parent / "lib").glob("python*/site-packages")
    subprocess.run(  # noqa: S603 - what tools() has installed
        [
            found / "componentize-py", "--quiet", "-d", INSIDE / "agent.wit", "-w", "agent",
            "componentize", "app", "-p", INSIDE, "-p", library, "-o", made,
        ],
        check=True,
    )  # fmt: skip
    return made.read_bytes()


def behaviour(component: bytes) -> dict[str, tuple[bool, Any, int]]:
    """What each agent gives, and its fuel."""
    made = engine(parallel=True)
    guest = Guest(made, Component(made, component), Ticker(made))
    event = json.dumps({"seed": "22" * 32})

    def answer(_method: str, params: str) -> tuple[bool, str]:
        return True, params

    found = {}
    for name, text in AGENTS.items():
        given = (json.dumps({"agent.py": text}), "agent.py:main", event)
        good, said = guest.run(BOUNDS, bytes(32), answer, given)
        found[name] = (good, json.loads(said), guest.fuel)
    return found


def alike(released: dict[str, tuple[bool, Any, int]], built: dict[str, Any]) -> bool:
    """Say what differs."""
    same = True
    for name, (good, said, fuel) in released.items():
        differs = (good, said) != built[name][:2] or abs(fuel - built[name][2]) * 100 > fuel
        same = same and not differs
        print(f"{name:8} {'DIFFERS' if differs else 'alike'}  fuel {fuel}, built {built[name][2]}")
        if differs:
            print(f"  released {good} {said}\n  built    {built[name][0]} {built[name][1]}")
    return same


def write(component: bytes) -> None:
    """In place of the released one."""
    packed = lzma.compress(component, preset=9 | lzma.PRESET_EXTREME)
    (SANDBOX / runner.NAME).write_bytes(packed)
    source = SANDBOX / "runner.py"
    text = source.read_text(encoding="utf-8")
    pinned = f'SHA256: Final = "{hashlib.sha256(component).hexdigest()}"'
    source.write_text(re.sub(r'SHA256: Final = "\w+"', pinned, text), encoding="utf-8")
    print(f"{runner.NAME}: {len(packed)} bytes; commit it with runner.py")


def main() -> int:
    """0 when both do the same, or when the new one was put in place."""
    BUILD.mkdir(parents=True, exist_ok=True)
    component = build()
    print(f"built    {hashlib.sha256(component).hexdigest()} {len(component)} bytes")
    print(f"released {runner.SHA256}")
    same = alike(behaviour(runner.component()), behaviour(component))
    if "--write" in sys.argv:
        write(component)
        return 0
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
