"""The pages for hosts say what the program says: reasons, figures, limits."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

from commons_node.health import metrics
from commons_protocol.reasons import CATALOGUE, Cause
from commons_protocol.status import ORDER

ROOT = Path(__file__).parents[2]
HOST = ROOT / "docs" / "host"
WORD = {"node": "NODE", "count": "N", "detail": "…"}


def test_every_reason_stands_on_the_hosts_page_as_the_program_says_it() -> None:
    page = (HOST / "not-in-sync.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| (.+) \| (.+) \|$", page, re.MULTILINE)
    expected = [
        (one.code, one.sentence.format_map(WORD), one.action.format_map(WORD))
        for one in CATALOGUE.values()
        if one.code != "synced"
    ]
    assert rows == expected, "in the order in which to look at them"


def test_every_reason_has_something_to_do_and_names_only_commands_that_exist() -> None:
    verbs = json.loads((ROOT / "cli" / "commons_cli" / "verbs.json").read_text(encoding="utf-8"))
    known = {verb["name"].replace(".", " ") for verb in verbs["verbs"]} | {"paths", "version"}
    for one in CATALOGUE.values():
        cause = Cause(one.code, 1, "detail", "f" * 64)
        assert one.code == "synced" or cause.action, one.code
        for command in re.findall(r"`commons-node ([^`]+)`", cause.action):
            fits = [name for name in known if f"{command} ".startswith(f"{name} ")]
            assert fits, f"{one.code}: there is no command {command!r}"
        assert "{" not in cause.sentence + cause.action, one.code
    assert {one.state for one in CATALOGUE.values()} == {*ORDER, ""}, "every word has a reason"


def families() -> dict[str, str]:
    """Every family in the source, with its kind: a counter ends in ``_total``."""
    found = {}
    tree = ast.parse(Path(metrics.__file__).read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not node.args or len(node.args) < 2:
            continue
        called, first = ast.unparse(node.func), node.args[0]
        if not isinstance(first, ast.Constant):
            continue
        name = str(first.value)
        match called:
            case "_gauge":
                found[f"commons_{name}"] = "gauge"
            case "_counter":
                found[f"commons_{name}_total"] = "counter"
            case "GaugeMetricFamily":
                found[name] = "gauge"
            case "CounterMetricFamily":
                found[f"{name}_total"] = "counter"
    return found


def test_every_figure_stands_on_the_page_of_figures() -> None:
    page = (HOST / "metrics.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `(\w+)` \| (gauge|counter) \|", page, re.MULTILINE))
    assert len(families()) > 25
    assert rows == families()


def test_names_of_figures_follow_the_conventions() -> None:
    for name, kind in families().items():
        assert re.fullmatch(r"(commons|process)(_[a-z0-9]+)+", name), name
        assert name.endswith("_total") == (kind == "counter"), name


def test_every_limit_names_a_file_and_a_test_that_exist() -> None:
    page = (HOST / "limits.md").read_text(encoding="utf-8")
    rows = [row for row in page.splitlines() if row.startswith("| ") and "`tests/" in row]
    assert len(rows) > 20
    named = re.findall(r"`((?:node|protocol|crdt|tests)/[\w/.-]+\.py)`", "\n".join(rows))
    for name in named:
        assert (ROOT / name).is_file(), name
