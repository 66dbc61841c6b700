"""Real daemons, a real relay between them: everything at once, and nothing is lost."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.e2e.neighbourhood import alive, children_of, until
from tests.soak.plan import PER_MINUTE

ROOT = Path(__file__).parents[2]


def soak(*words: str, folder: Path) -> subprocess.Popen[str]:
    """`make soak`, without make; its homes are made under ``folder``."""
    return subprocess.Popen(
        [sys.executable, "-m", "tests.soak", *words],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def _story(folder: Path) -> str:
    return "".join(file.read_text() for file in folder.glob("soak-*/story.jsonl"))


def _ready(folder: Path) -> list[Path]:
    return list(folder.glob("soak-*/*/ready.json"))


@pytest.mark.long
def test_five_minutes_of_everything_at_once_lose_nothing(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("s")
    seed = os.environ.get("SEED", str(time.time_ns() % 2**32))
    process = soak("--minutes", "5", "--seed", seed, folder=folder)
    try:
        out, told = process.communicate(timeout=1200)
    finally:
        process.kill()
    print(told, out)  # noqa: T201 - the seed, and the figures
    found = json.loads(out.splitlines()[-1])
    assert process.returncode == 0, f"SEED={seed}: {found['violations']}\n{told}"
    assert (found["v"], found["name"], found["seed"]) == (1, "soak", int(seed))
    assert found["lost"] == 0, "what a node acknowledged is at every node"
    assert found["divergent"] == 0, "at every calm moment all nodes are the same"
    assert found["false_converged"] == 0, "nobody says so who is not"
    assert len(found["seconds_to_heal"]) == 5
    assert found["kills"] > 0
    assert found["partitions"] > 0
    assert found["dropped_links"] > 0
    assert found["writes"] > 100, f"there was something to lose: {found['deeds']}"
    idle = [kind for kind in PER_MINUTE if not found["faults"].get(kind)]
    assert not idle, f"every kind of fault struck, but {idle}"
    felt = ("connections", "cut", "refused", "held", "delayed", "snapped")
    unfelt = [name for name in felt if not found["relay"].get(name)]
    assert not unfelt, f"and was felt on the wire, but {unfelt}: {found['relay']}"
    assert not found["relay"].get("unknown"), "no connection passed beside the relay's knowledge"
    assert all(found["claims"].get(said) for said in ("wait", "peer", "status"))
    assert found["refused_writes"], "people tried what could not be done"
    assert any(verb.endswith("by cli") for verb in found["deeds"])
    assert set(found["peak_pss_bytes"]) == {"alice", "bob", "cleo", "dora", "erin"}
    assert found["wire_bytes"] > 100_000
    assert not list(folder.iterdir()), "and leaves nothing behind"


@pytest.mark.long
def test_ctrl_c_leaves_nothing_behind(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("s")
    process = soak("--minutes", "0.2", "--nodes", "3", "--seed", "1", folder=folder)
    try:
        until(lambda: "calm" in _story(folder), "a round of the storm is over", 90)
        daemons = children_of(process.pid)
        assert len(daemons) == 3, "its daemons are its children"
        process.send_signal(signal.SIGINT)
        out, told = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130, told
    assert "interrupted" in told
    assert not out, "no figures of half a run"
    assert not any(alive(pid) for pid in daemons)
    assert not list(folder.iterdir()), "no homes"


@pytest.mark.long
def test_a_soak_that_is_killed_takes_its_daemons_with_it(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("s")
    process = soak("--minutes", "1", "--nodes", "3", "--seed", "2", folder=folder)
    try:
        until(lambda: len(_ready(folder)) == 3, "three daemons answer", 60)
        daemons = [json.loads(one.read_text())["pid"] for one in _ready(folder)]
    finally:
        process.kill()
        process.communicate()
    until(lambda: not any(alive(pid) for pid in daemons), "they end with what started them", 30)
