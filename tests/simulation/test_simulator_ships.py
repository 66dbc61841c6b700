"""The simulator is part of the product's wheel, and of no running daemon."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import commons_node
from commons_node import testing

ROOT = Path(commons_node.__file__).parents[2]
PACKAGES = ("crdt", "protocol", "node", "cli", "tui")


def test_it_ships_with_the_node() -> None:
    assert Path(testing.__file__).is_relative_to(Path(commons_node.__file__).parent)


def test_nothing_of_the_product_imports_it() -> None:
    for package in PACKAGES:
        for file in (ROOT / package).rglob("*.py"):
            if "testing" in file.parts:
                continue
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
                if isinstance(node, ast.Import):
                    names = [alias.name for alias in node.names]
                for name in names:
                    assert not name.startswith("commons_node.testing"), f"{file.name} imports it"


def test_a_daemon_runs_without_it() -> None:
    program = (
        "import sys; import commons_node.daemon;"
        " print([name for name in sys.modules if name.startswith('commons_node.testing')])"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert ran.stdout.strip() == "[]", "whoever runs a node loads no simulator"
