"""The benchmarks' arithmetic and their one line of JSON; no daemon runs here."""

import json
import os
import socket
import sys
from pathlib import Path

import pytest
from bench import __main__ as program
from bench import authority, domain, floor, processes, start
from bench.floor import Signed
from bench.latency import percentile
from bench.size import Size
from bench.things import edit, kinds
from bench.town import Town
from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey

from commons_crdt.operation import sign, verify
from commons_node.domains.resources.facts import ITEM_SCHEMA, SPECIFICATION_SCHEMA


@pytest.mark.parametrize(
    ("percent", "expected"), [(50, 100.0), (99, 198.0), (100, 200.0), (1, 2.0), (0, 1.0)]
)
def test_a_percentile_is_the_nearest_rank_in_milliseconds(percent: int, expected: float) -> None:
    seconds = [n / 1000 for n in range(200, 0, -1)]
    assert percentile(seconds, percent) == expected


def test_a_percentile_of_one_value_is_that_value() -> None:
    assert percentile([0.0123], 99) == 12.3


def test_ten_thousand_things_with_four_edits_are_fifty_thousand_operations() -> None:
    assert Size().operations == 50_000
    assert Size(things=3, edits=0).operations == 3


def test_an_edit_of_a_thing_always_changes_it() -> None:
    for number in range(20):
        fields = [edit(number, time) for time in range(4)]
        assert len({str(one) for one in fields}) == 4, "no two edits in a row are the same"
        assert not any(ITEM_SCHEMA.problem(name, one[name]) for one in fields for name in one)


def test_the_kinds_of_things_fit_their_schema() -> None:
    for fields in kinds(3):
        assert all(not SPECIFICATION_SCHEMA.problem(name, value) for name, value in fields.items())


# --- floors -------------------------------------------------------------------------------------


def _signed(count: int) -> list[Signed]:
    seed = bytes(range(32))
    key = bytes(SigningKey(seed).verify_key)
    headers = [n.to_bytes(4) * 50 for n in range(count)]
    return [Signed(header, sign(header, seed), key, 264) for header in headers]


def test_the_floor_verifies_what_an_operation_is_signed_with(tmp_path: Path) -> None:
    rows = _signed(5)
    assert all(verify(row.header, row.signature, row.key) for row in rows)
    assert floor.verify_and_store(rows, tmp_path) > 0
    assert list(tmp_path.iterdir()) == [], "the floor leaves nothing behind"


def test_the_floor_does_not_skip_a_bad_signature(tmp_path: Path) -> None:
    good, bad = _signed(2)
    with pytest.raises(BadSignatureError):
        floor.verify_and_store([good, bad._replace(signature=good.signature)], tmp_path)


def test_two_commits_take_some_time(tmp_path: Path) -> None:
    assert 0 < floor.two_commits(tmp_path, 3) < 10_000
    assert list(tmp_path.iterdir()) == []


# --- what the system counts ---------------------------------------------------------------------


def test_the_shared_part_of_memory_is_read_in_bytes() -> None:
    assert processes.pss("00400000-7ff ---p [rollup]\nRss:  10 kB\nPss:    255 kB\n") == 255 * 1024
    assert processes.pss("") == 0


linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc and netlink")


@linux
def test_a_peak_keeps_the_highest_of_each_figure() -> None:
    figures = iter([3, 9, 1])
    with processes.Peak(lambda: next(figures, 0), lambda: 7) as peak:
        pass
    assert peak.highest[0] >= 3
    assert peak.highest[1] == 7


@linux
def test_memory_and_cpu_of_a_process_tree_are_counted() -> None:
    assert os.getpid() in processes.tree(os.getpid())
    assert processes.memory(os.getpid()) > 1_000_000
    assert sum(processes.cpu(os.getpid()).values()) > 0


@linux
def test_bytes_over_tcp_are_the_kernel_s_own_count() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as one, server.accept()[0] as other:
            one.sendall(b"x" * 5000)
            other.sendall(b"y" * 700)
            assert len(one.recv(700, socket.MSG_WAITALL)) == 700
            assert len(other.recv(5000, socket.MSG_WAITALL)) == 5000
            found = processes.tcp_bytes({port})
            ours = found[one.getsockname()[1], port]
    assert 5700 <= ours <= 5702, "both directions, and nothing of TCP's own"


def test_commands_take_turns() -> None:
    times = start.alternating(2, [sys.executable, "-c", ""], [sys.executable, "-c", "pass"])
    assert [len(one) for one in times] == [2, 2]
    assert all(second > 0 for one in times for second in one)


# --- the line -----------------------------------------------------------------------------------


def test_each_figure_is_one_json_object_a_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def count(town: Town) -> dict[str, object]:
        return {"operations": town.size.operations}

    monkeypatch.setattr(program, "BENCHES", {"sync": count, "heal": count})
    assert program.main(["--things", "7", "--edits", "2"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        {"v": 1, "name": "sync", "operations": 21},
        {"v": 1, "name": "heal", "operations": 21},
    ]


def test_one_name_measures_one_figure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(program, "BENCHES", {"sync": lambda _: {}, "heal": lambda _: {}})
    assert program.main(["heal"]) == 0
    assert json.loads(capsys.readouterr().out) == {"v": 1, "name": "heal"}


# --- authority ----------------------------------------------------------------------------------


def test_the_judge_is_measured_on_a_small_quarter(tmp_path: Path) -> None:
    size = Size(judged=1_300, devices=12, writes=3)
    said = authority.measure(Town(tmp_path, size))
    assert said["operations"] == 1_300
    flipped = said["flipped"]
    assert isinstance(flipped, int)
    assert flipped >= 1_000, "the removal reaches back, and another judge said the same before"


# --- a whole community ----------------------------------------------------------------------------


@pytest.mark.long
def test_the_domain_is_measured_in_a_community_of_any_size(tmp_path: Path) -> None:
    size = Size(things=40, members=40, loans=60)
    with Town(tmp_path, size) as town:
        found = domain.measure(town)
    assert (found["members"], found["things"], found["loans"]) == (40, 40, 60)
    assert found["edges"] == 60 or 0 < int(str(found["edges"])) < 60, "each pair is one edge"
    for name in ("search_p95_ms", "trust_ms", "fold_median_ms", "refold_seconds"):
        assert float(str(found[name])) > 0, name
