"""The pages for hosts say what the program says: reasons, figures, limits."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

from commons_cli import service
from commons_node import disk
from commons_node.config import Config
from commons_node.health import metrics
from commons_node.peering import (
    book,
    conversation,
    load,
    penalties,
    places,
    tokens,
    visits,
)
from commons_node.peering.types import Settings
from commons_node.realm import intake
from commons_node.store import waiting
from commons_protocol import allowances, network, pull, session
from commons_protocol.libp2p_host import gate
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
    known |= {f"{service.NOUN} {verb}" for verb in service.VERBS}
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


def limits() -> dict[str, str]:
    """Each row of the page of limits whose figure this program knows, as it knows it."""
    net, wait = gate.Limits(), Settings()
    kib, minutes = 1 << 10, 60_000
    often = f"{allowances.COMPARISONS_PER_SECOND:g} a second"
    compared = f"{allowances.COMPARISONS:g}, then {often}"
    assert allowances.STREAMS_PER_SECOND == 1, "in words on the page"
    return {
        "connections; inbound; of one peer":
            f"{net.connections}; {net.inbound_connections}; {net.connections_per_peer}",
        "of these, peers that stay; who dialled in":
            f"{wait.connections - places.SPARE}; {wait.inbound_connections - places.SPARE}",
        "handshakes at once; of one address; each":
            f"{net.handshakes}; {net.handshakes_per_host}; {net.handshake_s:g} s",
        "streams of one peer; on one connection":
            f"{net.streams_per_peer}; {net.streams_per_connection}",
        "frame": f"{network.MAX_FRAME // kib} KiB",
        "frames that wait for their reader":
            f"{net.inbox_frames}, {net.inbox_bytes // disk.MIB} MiB",
        "bytes that wait for a slow peer": f"{conversation.MOST_QUEUED // disk.MIB} MiB",
        "one fetch in flight": f"{pull.WINDOW} frames",
        "of a fetch, stored at once; in one transaction":
            f"{pull.BATCHES_AT_ONCE} batches; {pull.BATCH_OPERATIONS:,} operations or"
            f" {pull.BATCH_BYTES // kib} KiB",
        "streams of one peer: comparing":
            f"{allowances.STREAMS:g}, then one a second",
        "the same: photos and texts; at once":
            f"{visits._OPENED:g}, then one in {1 / visits._OPENED_PER_SECOND:g} s;"
            f" {visits._OF_ONE_PEER}",
        "the same: attendance tokens":
            f"{tokens._BURST:g}, then one in {1 / tokens._PER_SECOND:g} s",
        "pushes of one peer, and of all nodes of one member; waiting":
            f"{allowances.PUSHES:g}, then {allowances.PUSHES_PER_SECOND:g} a second;"
            f" {session._PUSHES_AT_ONCE}",
        "comparisons of one peer": compared,
        "comparisons that all nodes of one member begin": compared,
        "introductions of one peer, and of all nodes of one member":
            f"{allowances.INTRODUCTIONS:g}, then"
            f" {2 * allowances.INTRODUCTIONS_PER_SECOND:g} in 2 s",
        "gossip of one peer waiting; in all":
            f"{net.gossip_pending_per_peer}; {net.gossip_pending}",
        "batches waiting for the disk: gossip is shed": f"{load.GOSSIP_AT}",
        "the same: pushes are shed, too": f"{load.PUSHES_AT}",
        "joining: of one peer": f"{wait.joins_per_minute} a minute",
        "nodes that are known; by hearsay": f"{book.MOST_KNOWN:,}; {book.MOST_RUMOURS}",
        "operations that wait for others, in one community":
            f"{waiting.MAX_COUNT:,}, {waiting.MAX_BYTES // disk.MIB} MiB",
        "clock ahead": f"{intake.CLOCK_MS // minutes} minutes",
        "disk: others' photos":
            f"the setting `disk_reserve` ({Config().disk_reserve} MiB) and"
            f" {disk.FOR_ACTS // disk.MIB} MiB",
        "disk: own acts below the reserve": f"{disk.SMALL // kib} KiB at once",
        "broken rules of one node, or of all nodes of one member":
            f"{penalties.PATIENCE} within {penalties.WINDOW_MS // minutes} minutes",
    }  # fmt: skip


_IN_WORDS = {
    "disk: others' acts",
    "comparing and fetching", "what one device may write (its budget)",
    "the share of one member in that, when it is full", "disk: others' log 0 (removals, roles)",
}  # fmt: skip
"""Rows without a figure of their own."""


def test_every_figure_of_the_limits_is_the_constant_that_it_tells_of() -> None:
    page = (HOST / "limits.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| ([^|]+) \| ([^|]+) \|.*`tests/", page, re.MULTILINE))
    assert {limit: figure for limit, figure in rows.items() if limit not in _IN_WORDS} == limits()
    assert rows.keys() >= _IN_WORDS
    longest, first = penalties.LONGEST_MS // 86_400_000, penalties.FIRST_MS // 60_000
    assert f"for {first}, 2, 4 … minutes, at most a day" in page
    assert longest == 1


def test_the_protocol_tells_the_same_bounds_of_a_fetch() -> None:
    page = " ".join((ROOT / "docs" / "protocol" / "sync.md").read_text("utf-8").split())
    assert pull.BATCHES_AT_ONCE == 3, "in words on the page"
    assert f"opens {pull.WINDOW} frames, and has three batches at most at its disk" in page
    assert f"{pull.BATCH_OPERATIONS:,} operations or {pull.BATCH_BYTES // 1024} KiB" in page


def test_every_limit_names_a_file_and_a_test_that_exist() -> None:
    page = (HOST / "limits.md").read_text(encoding="utf-8")
    rows = [row for row in page.splitlines() if row.startswith("| ") and "`tests/" in row]
    assert len(rows) > 20
    named = re.findall(r"`((?:node|protocol|crdt|tests)/[\w/.-]+\.py)`", "\n".join(rows))
    for name in named:
        assert (ROOT / name).is_file(), name
