"""Coverage-guided fuzzing of every target: what `make fuzz` runs, in its own environment.

The code under test is instrumented and imported once; each target then gets a process of its own,
a fork, in which libFuzzer changes inputs as long as that leads to new places of the code. It begins
with a bug that is there on purpose: who does not find that finds nothing.

A finding is kept as a file below `build/fuzz`, and printed with the command that repeats it without
atheris. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import signal
import sys
import time
import traceback
from contextlib import redirect_stderr, suppress
from dataclasses import replace
from hashlib import sha256
from io import StringIO
from itertools import count
from pathlib import Path
from random import Random
from typing import NoReturn

import atheris  # type: ignore[import-untyped,import-not-found,unused-ignore]  # in .venv-fuzz only

PACKAGES = [
    "commons_cli",
    "commons_crdt",
    "commons_node",
    "commons_protocol",
    "multiaddr",
    "tomllib",
]
"""What is led by coverage: all of ours, and what is written in Python of the parsers we use."""

with redirect_stderr(StringIO()), atheris.instrument_imports(include=PACKAGES):  # it says each name
    from tests.fuzz import corpus
    from tests.fuzz.mutations import mutate
    from tests.fuzz.planted import PLANTED, Planted
    from tests.fuzz.report import CRASHED, FINDING, KEPT, Outcome, line, outcome, summary
    from tests.fuzz.table import TARGETS
    from tests.fuzz.target import Target

WORK = Path("build") / "fuzz"
MOST_BYTES = 16_384
HANG_S = 20
"""Seconds that one input may take."""
MEMORY = 4 << 30
"""Bytes of address space; an allocation beyond it is a `MemoryError`, and so a finding."""
GRACE_S = 120
NEVER_BEGAN = 70
PLANTED_S = 120
"""At most; it takes some seconds."""


def fuzz(target: Target, seconds: int) -> Outcome:
    """Fuzz one target in a process of its own."""
    folder = WORK / target.name
    living, log = folder / "corpus", folder / "log"
    living.mkdir(parents=True, exist_ok=True)
    for name, data in corpus.committed(target).items():
        (living / name).write_bytes(data)
    began = time.monotonic()
    sys.stdout.flush()
    child = os.fork()
    if not child:
        _child(target, seconds, living, folder, log)
    code = _wait(child, seconds + GRACE_S)
    text = log.read_text(encoding="utf-8", errors="replace")
    return outcome(target.name, text, code, time.monotonic() - began, folder)


def _child(target: Target, seconds: int, living: Path, folder: Path, log: Path) -> NoReturn:
    """Fuzzes until the time is over or something was found, and ends the process."""
    os.setsid()
    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    for stream in (1, 2):
        os.dup2(out, stream)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    seeds = list(target.seeds().values())
    tried = count(1)

    def one(data: bytes) -> None:
        number = next(tried)
        try:
            target.run(data)
        except BaseException:
            # Not left to libFuzzer: as the interpreter is taken down, its own alarm may strike.
            file = folder / f"crash-{sha256(data).hexdigest()[:40]}"
            file.write_bytes(data)
            said = (FINDING, traceback.format_exc(), f"{KEPT} {file}", f"#{number}\tDONE\n")
            sys.stderr.write("\n".join(said))
            sys.stderr.flush()
            os._exit(CRASHED)

    def change(data: bytes, most: int, seed: int) -> bytes:
        if seed & 1 or target.name == PLANTED.name:
            return bytes(atheris.Mutate(data, most))
        return mutate(target, data, seeds, Random(seed))[:most]

    options = [
        f"-max_total_time={seconds}", f"-max_len={MOST_BYTES}", f"-timeout={HANG_S}",
        f"-artifact_prefix={folder}/", "-print_final_stats=1", "-rss_limit_mb=2048",
    ]  # fmt: skip
    atheris.Setup(["fuzz", *options, str(living)], one, custom_mutator=change)
    atheris.Fuzz()
    os._exit(NEVER_BEGAN)  # libFuzzer ends the process itself when its time is over


def _wait(child: int, seconds: float) -> int:
    """The child's exit code; negative: the signal that ended it. A child that hangs is killed."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.05)
    os.killpg(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _planted() -> bool:
    """Whether the bug on purpose was found, kept as a file, and is there when that is repeated."""
    shutil.rmtree(WORK / PLANTED.name, ignore_errors=True)
    found = fuzz(replace(PLANTED, run=atheris.instrument_func(PLANTED.run)), PLANTED_S)
    for file in found.findings:
        with suppress(Planted):
            PLANTED.run(Path(file).read_bytes())
            continue
        sys.stdout.write(f"the planted bug was found after {found.inputs} inputs\n")
        return True
    sys.stdout.write("the planted bug was not found: what follows would mean nothing\n")
    sys.stdout.write(found.tail + "\n")
    return False


def main(arguments: list[str]) -> int:
    """0: nothing was found. 1: something was, or the planted bug was not. 2: no such target."""
    parser = argparse.ArgumentParser(prog="make fuzz")
    parser.add_argument("--seconds", type=int, default=60, help="in all, shared by the targets")
    parser.add_argument("--target", nargs="+", choices=sorted(TARGETS), help="these only")
    given = parser.parse_args(arguments)
    names = given.target or list(TARGETS)
    each = max(1, given.seconds // len(names))
    if not _planted():
        sys.stdout.write(summary([], planted=False) + "\n")
        return 1
    sys.stdout.write(f"{len(names)} targets, {each} s each\n")
    outcomes: list[Outcome] = []
    for name in names:
        found = fuzz(TARGETS[name], each)
        outcomes.append(found)
        sys.stdout.write(line(found) + "\n")
        sys.stdout.flush()
    sys.stdout.write(summary(outcomes, planted=True) + "\n")
    return int(any(one.failed for one in outcomes))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
