"""The simulator as a developer meets it: one seed told and drawn, many seeds summed up."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from commons_node.testing.__main__ import main
from commons_node.testing.batch import Ran, Sum, one
from commons_node.testing.plan import SMALL, Plan
from commons_node.testing.storm import run
from commons_node.testing.telling import story


def test_one_seed_is_told_line_by_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--small", "--seed", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any("the town falls apart: " in line for line in lines)
    assert any("loses its power" in line for line in lines)
    assert any(line.startswith("seed 1 holds: ") for line in lines), "how it ended"
    times = [float(line.split(" s ")[0]) for line in lines if " s  " in line]
    assert times == sorted(times), "time only moves forwards"


def test_the_story_of_one_operation_names_every_node() -> None:
    _, town = run(1, SMALL)
    ident = next(iter(town.acks))
    lines = list(story(town, ident.hex()[:16]))
    assert lines[0].startswith(ident.hex())
    assert any("writes it" in line for line in lines), "who wrote it"
    for node in town.nodes:
        assert any(line.startswith(f"at {node.name}: ") for line in lines), "and what came of it"
    assert list(story(town, "zz")) == ["0 operations begin with zz"]


def test_a_run_is_drawn(tmp_path: Path) -> None:
    file = tmp_path / "one.svg"
    assert main(["--small", "--seed", "1", "--quiet", "--timeline", str(file)]) == 0
    drawn = ET.fromstring(file.read_text(encoding="utf-8"))  # noqa: S314 - our own
    text = "".join(drawn.itertext())
    assert "alice" in text
    assert "islands" in text, "the partition is seen"
    assert "without power" in text, "and who was down"


def test_a_batch_ends_in_one_line_of_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--small", "--seeds", "2", "--first", "5", "--workers", "1"]) == 0
    last = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert last["v"] == 1
    assert last["name"] == "simulate"
    assert (last["seeds"], last["first"], last["failed"]) == (2, 5, 0)
    assert last["faults"]["crashes"] > 0
    assert last["operations"] > 0


def test_a_failing_seed_says_how_to_see_it_again(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_seed: int, _plan: Plan) -> Ran:
        return Ran(7, None, "it fell over", 0.1)

    monkeypatch.setattr("commons_node.testing.batch.one", broken)
    assert main(["--seeds", "1", "--first", "7", "--workers", "1"]) == 1, "the shell knows"
    out = capsys.readouterr().out
    assert "seed 7 fails: python -m commons_node.testing --seed 7" in out
    assert json.loads(out.splitlines()[-1])["failing"] == [7]


def test_a_large_batch_in_which_a_fault_never_struck_is_no_success() -> None:
    still = Plan(nodes=4, joining=0, leaving=0, liars=0, crashes=0, jumps=0, one_way=0, writes=5)
    ran = one(1, still)
    total = Sum(1, [ran] * 20)
    assert "crashes" in total.idle(), "nobody lost power: that is said"
    assert not Sum(1, [ran]).idle(), "a few seeds need not have everything"
