"""What of `make fuzz` can be tested without atheris: the bug on purpose, the report, the refusal.

That it finds the bug, `make fuzz` says itself at every start, or ends with 1.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.fuzz import repeat
from tests.fuzz.planted import PLANTED, Planted
from tests.fuzz.report import line, outcome, summary

ROOT = Path(__file__).parents[2]

CLEAN = """\
INFO: seed corpus: files: 8 min: 1b max: 1389b total: 4568b rss: 110Mb
#9	INITED cov: 33 ft: 33 corp: 8/4568b exec/s: 0 rss: 110Mb
#40	NEW    cov: 35 ft: 36 corp: 9/4600b lim: 1389 exec/s: 0 rss: 110Mb L: 32/1389 MS: 1 Custom-
#69750	DONE   cov: 39 ft: 60 corp: 30/20Kb lim: 16384 exec/s: 11625 rss: 112Mb
Done 69750 runs in 6 second(s)
stat::number_of_executed_units: 69750
"""
CRASH = """\
#9	INITED cov: 33 ft: 33 corp: 8/4568b exec/s: 0 rss: 110Mb

 === Uncaught Python exception: ===
KeyError: 'number'
Traceback (most recent call last):
  File "csv_import.py", line 211, in _read
KeyError: 'number'

Test unit written to build/fuzz/csv/crash-da2b80
#1234	DONE
"""


def test_a_run_without_findings_is_one_line() -> None:
    found = outcome("header", CLEAN, 0, 6.0, Path("build"))
    assert (found.inputs, found.before, found.after, found.corpus) == (69_750, 33, 39, 30)
    assert not found.failed
    assert "11,625/s" in line(found)
    assert "\n" not in line(found)


def test_a_finding_is_shown_with_its_file_and_the_command_that_repeats_it() -> None:
    found = outcome("csv", CRASH, 77, 2.0, Path("build"))
    assert found.failed
    shown = line(found)
    assert "KeyError: 'number'" in shown
    assert ".venv/bin/python -m tests.fuzz.repeat csv build/fuzz/csv/crash-da2b80" in shown
    last = json.loads(
        summary([found, outcome("header", CLEAN, 0, 6.0, Path("build"))], planted=True)
    )
    assert (last["v"], last["name"], last["targets"]) == (1, "fuzz", 2)
    assert (last["inputs"], last["crashes"]) == (70_984, 1)
    assert last["findings"] == ["build/fuzz/csv/crash-da2b80"]


@pytest.mark.parametrize("code", [-9, -11, 70, 1])
def test_a_process_that_ends_without_a_word_counts_as_a_finding(code: int) -> None:
    found = outcome("csv", CRASH.partition("\n\n")[0], code, 2.0, Path("build/fuzz/csv"))
    assert found.findings == ("build/fuzz/csv/log",), "its log is all there is"
    assert json.loads(summary([found], planted=True))["crashes"] == 1


def test_a_run_that_tries_nothing_is_a_failure() -> None:
    assert outcome("csv", "", 0, 1.0, Path("build")).failed


def test_the_planted_bug_is_there_and_hidden() -> None:
    with pytest.raises(Planted):
        PLANTED.run(b"\x84\x70\x6c\xff\x52")
    assert PLANTED.run(b"\x84\x70\x6c\xff\x51")
    assert not any(PLANTED.run(bytes([first]) * 6) for first in range(256))


def test_the_command_that_repeats_runs_files_and_hex(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "crash"
    file.write_bytes(b"\x00\x00")
    assert repeat.main(["canonical", str(file), "8101"]) == 0
    assert capsys.readouterr().out == "refused: 2 bytes\ntaken: 2 bytes\n"
    assert repeat.main(["nothing", "00"]) == 2


def test_without_a_python_that_atheris_has_a_wheel_for_it_says_what_to_install(
    tmp_path: Path,
) -> None:
    shell = shutil.which("sh")
    assert shell is not None
    (tmp_path / "bin").mkdir()
    (tmp_path / "tests").mkdir()
    shutil.copytree(ROOT / "tests" / "fuzz", tmp_path / "tests" / "fuzz", ignore=_all_but_setup)
    environment = {"PATH": str(tmp_path / "bin"), "HOME": str(tmp_path)}
    done = subprocess.run(
        [shell, "tests/fuzz/setup.sh"],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "needs Python 3.12 or 3.13 on Linux, x86_64" in done.stderr
    assert "PYTHON=/path/to/python3.12" in done.stderr
    assert not (tmp_path / ".venv-fuzz").exists()


def _all_but_setup(_folder: str, names: list[str]) -> list[str]:
    return [name for name in names if name not in {"setup.sh", "requirements.txt"}]
