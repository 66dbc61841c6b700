"""The command line starts quickly, imports little, and knows the verbs that the node has."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from commons_cli import main as program
from commons_cli.help import ENVIRONMENT
from commons_cli.local import LOCAL, local_command
from commons_node import config
from commons_node.api.generate import verbs_json
from commons_node.api.types import API_CODES, EXIT_MEANING, ExitCode
from commons_node.domains import registry
from commons_node.registry import RESERVED_NOUNS

HEAVY = (
    "asyncio",
    "importlib.metadata",
    "libp2p",
    "msgspec",
    "nacl",
    "platformdirs",
    "segno",
    "starlette",
    "structlog",
    "textual",
    "uvicorn",
    "commons_crdt",
    "commons_node.registry",
)


def test_the_verbs_are_fresh() -> None:
    """Otherwise: ``python -m commons_node.api.generate cli/commons_cli/verbs.json``."""
    path = Path(program.__file__).with_name("verbs.json")
    assert path.read_text(encoding="utf-8") == verbs_json(registry())


def test_every_verb_has_a_command_with_help(capsys: pytest.CaptureFixture[str]) -> None:
    for verb in program.load_verbs()["verbs"]:
        assert program.run([*verb["name"].split("."), "--help"]) == 0, verb["name"]
        assert verb["summary"].rstrip(".") in capsys.readouterr().out.replace("\n  ", " ")


def test_own_commands_and_reserved_names_are_the_same() -> None:
    assert set(LOCAL) <= RESERVED_NOUNS
    assert all(local_command(name, {"verbs": []}) is not None for name in LOCAL)


def test_every_setting_is_in_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert program.run(["help", "environment"]) == 0
    out = capsys.readouterr().out
    for name in (*ENVIRONMENT, *(str(one["environment"]) for one in config.describe())):
        assert name in out


def test_every_exit_code_and_error_code_is_explained() -> None:
    assert set(EXIT_MEANING) == set(ExitCode)
    assert [int(code) for code in ExitCode] == [0, 1, 2, 3, 4, 5, 130]
    assert all(text for text in API_CODES.values())


def test_nothing_heavy_is_imported_to_call_a_verb(tmp_path: Path) -> None:
    script = (
        "import sys, json; from commons_cli.main import run;"
        f"code = run(['--home', {str(tmp_path)!r}, 'help', 'exit-codes']);"
        f"code = run(['--home', {str(tmp_path)!r}, 'status']);"
        f"json.dump([code, [m for m in {HEAVY!r} if m in sys.modules]], sys.stderr)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    code, heavy = json.loads(ended.stderr.splitlines()[-1])
    assert code == 3, "no node runs there"
    assert heavy == []


def imported(script: str) -> set[str]:
    """The modules that a fresh interpreter holds after a script."""
    script += "; import sys, json; json.dump(sorted(sys.modules), sys.stderr)"
    ended = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    return set(json.loads(ended.stderr.splitlines()[-1]))


def test_a_status_imports_few_modules_beside_those_of_click(tmp_path: Path) -> None:
    """What that is in seconds, `make bench NAME=start` measures."""
    words = ["--home", str(tmp_path), "status"]
    status = imported(f"from commons_cli.main import run; run({words!r})")
    beside = status - imported("import click")
    assert "commons_cli.calls" in beside
    assert len(beside) <= 80, sorted(beside)
