"""Two real daemons: what they say of each other, their figures, and a disk that runs full."""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families  # libp2p brings it
from tests.e2e.neighbourhood import House, agree, cli, street, until
from tests.unit.test_health_docs import families

from commons_protocol.reasons import CATALOGUE

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def neighbours() -> Iterator[list[House]]:
    with street() as elm_street:
        yield elm_street.community("alice", "bob")


def figures(text: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Read with the reference parser: (name, labels) to value."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


class _Unix(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost")
        self._path = str(path)

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self._path)


def scraped(house: House) -> tuple[str, str]:
    """What Prometheus gets from the socket: content type and text."""
    connection = _Unix(house._socket)
    connection.request("GET", "/v1/metrics")
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    assert answer.status == 200
    return str(answer.getheader("content-type")), text


def test_the_figures_are_in_prometheus_words_and_all_of_them_are_documented(
    neighbours: list[House],
) -> None:
    alice, bob = neighbours
    agree(alice, bob)
    kind, text = scraped(alice)
    assert kind.startswith("text/plain; version=0.0.4")
    found = figures(text)
    documented = families()
    here = {name for name, _ in found}
    without = {name for name in here if name.endswith("_created")}
    assert here - without <= documented.keys(), "each stands on the page of figures"
    always = {
        "commons_sync_state", "commons_operations", "commons_peers", "commons_disk_free_bytes",
        "commons_ingest_batches_total", "commons_verifier_deaths_total", "commons_store_bytes",
        "process_resident_memory_bytes", "commons_sync_compared_timestamp_seconds",
    }  # fmt: skip
    assert always <= here
    community = alice.see("status")["communities"][0]
    labels = {"community": community["community"][:12]}
    key = ("commons_sync_state", frozenset({**labels, "state": "synced"}.items()))
    assert found[key] == 1
    accepted = frozenset({**labels, "verdict": "accepted"}.items())
    assert found["commons_operations", accepted] == community["operations"]["accepted"]
    said = cli(alice.home, "metrics")
    assert said.code == 0
    assert {name for name, _ in figures(said.out)} >= always, "and the command line prints the same"


def test_each_row_says_how_it_stands_and_by_which_way(neighbours: list[House]) -> None:
    alice, bob = neighbours
    agree(alice, bob)
    (row,) = alice.see("sync.status")["peers"]
    assert (row["state"], row["code"], row["node"]) == ("synced", "synced", bob.node)
    assert row["have"] == sum(alice.operations().values())
    assert (row["missing"], row["refused"], row["held"], row["reason"]) == (0, {}, {}, "")
    assert row["compared"]
    assert row["way"] == "lan"
    assert not alice.see("sync.why")["causes"]
    said = cli(alice.home, "sync", "why", "nobody-of-this-name", "--json")
    assert said.code != 0
    assert said.error["code"] == "unknown"


def health(house: House) -> dict[str, str]:
    """Each part with its word, as whoever reaches the socket is told."""
    connection = _Unix(house._socket)
    connection.request("GET", "/v1/health")
    answer = connection.getresponse()
    told = json.loads(answer.read())
    connection.close()
    assert (answer.status, told["healthy"]) == (200, True), told
    return {one["part"]: one["state"] for one in told["parts"]}


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 MiB of its own."""
    folder = tmp_path / "small"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(folder)]
    made = os.geteuid() == 0 and subprocess.run(command, check=False, capture_output=True)
    if not made or made.returncode:
        assert not os.environ.get("CI"), "with CI=true this must run"
        pytest.skip("may not mount a file system here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_disk_that_runs_full_is_said_by_all_and_mended_by_making_room(small_disk: Path) -> None:
    from tests.e2e.neighbourhood import QUICK, Street

    with Street(small_disk) as elm_street:
        config = {"alice": QUICK + "disk_reserve = 0\n", "bob": QUICK + "disk_reserve = 24\n"}
        alice, bob = elm_street.community("alice", "bob", config=lambda name: config[name])
        agree(alice, bob)
        free = os.statvfs(small_disk)
        ballast = small_disk / "ballast"
        ballast.write_bytes(b"x" * (free.f_bavail * free.f_frsize - (20 << 20)))
        until(lambda: bob.see("status")["limits"]["disk_short"], "the disk is short")
        assert health(bob)["disk"] == "short", "it works, and will not for long"
        assert health(alice)["disk"] == "ok", "who asks for no reserve is not told"
        alice.do("resource.add", name="A drill", number="77")
        until(
            lambda: {"disk", "held_disk"} <= {c["code"] for c in bob.see("sync.why")["causes"]},
            "bob says why",
        )
        until(
            lambda: "untaken" in {row["code"] for row in alice.see("sync.status")["peers"]},
            "alice says who has not taken what",
        )
        assert all(c["code"] in CATALOGUE for c in bob.see("sync.why")["causes"])
        assert not [t for t in bob.see("resource.list")["resources"] if t["number"] == "77"]
        ballast.unlink()
        until(
            lambda: [t for t in bob.see("resource.list")["resources"] if t["number"] == "77"],
            "it comes by itself when there is room",
        )
        until(lambda: health(bob)["disk"] == "ok", "and health says so")
        agree(alice, bob)
