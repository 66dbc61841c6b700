"""A node that does not do its work says so to whatever watches it: 503, and which part is down."""

from __future__ import annotations

import http.client
import json
import random
import socket
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path

import pytest
from tests.disks import Disk, disk
from tests.e2e.neighbourhood import QUICK, House, Street, cli, street, until
from tests.e2e.test_damaged_pages import file_of, forget_standing, put, schema_pages
from tests.ports import own_port

pytestmark = pytest.mark.long


class _Unix(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost")
        self._path = str(path)

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self._path)


def health(house: House, port: int | None = None) -> tuple[int, set[str]]:
    """The HTTP status, and what is down: on the socket, or on the port for watchers."""
    connection = (
        _Unix(house._socket) if port is None else http.client.HTTPConnection("127.0.0.1", port)
    )
    connection.request("GET", "/health" if port else "/v1/health")
    answer = connection.getresponse()
    told = json.loads(answer.read())
    connection.close()
    if port is not None:
        parts = told["parts"]
    else:
        rows = told.get("parts") or told["error"]["report"]["parts"]
        parts = {one["part"]: one["state"] for one in rows}
    assert set(parts) == {"node", "network", "store", "disk", "communities", "jobs"}
    return answer.status, {name for name, word in parts.items() if word == "down"}


@pytest.fixture(scope="module")
def spare() -> Iterator[Disk]:
    with tempfile.TemporaryDirectory(prefix="disk-") as folder, disk(Path(folder), "64m") as made:
        yield made


@pytest.fixture(scope="module")
def port() -> int:
    return own_port()


@pytest.fixture(scope="module")
def alice(spare: Disk, port: int) -> Iterator[House]:
    """A node on a small disk of its own, that keeps no reserve."""
    settings = QUICK + f'disk_reserve = 0\nmetrics_listen = "127.0.0.1:{port}"\n'
    with street() as elm_street:
        house = House("alice", spare.path / "alice", config=settings)
        elm_street.houses.append(house)
        house.ready()
        house.found()
        yield house


@contextmanager
def full(_house: House, spare: Disk) -> Iterator[None]:
    spare.fill()
    try:
        yield
    finally:
        spare.empty()


@contextmanager
def locked(file: Path) -> Iterator[None]:
    """Somebody else's program keeps the file to itself."""
    with closing(sqlite3.connect(file, timeout=30, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")


@contextmanager
def busy(house: House, _spare: Disk) -> Iterator[None]:
    with locked(house.home / "node.db"), locked(house.home / "jobs.db"):
        yield


@pytest.mark.parametrize(
    ("strikes", "parts"), [(full, {"disk"}), (busy, {"store", "jobs"})], ids=["full", "locked"]
)
def test_what_cannot_be_written_is_said_and_mended_by_itself(
    alice: House,
    spare: Disk,
    port: int,
    strikes: Callable[[House, Disk], AbstractContextManager[None]],
    parts: set[str],
) -> None:
    until(lambda: health(alice) == (200, set()), "all is well before", 60)
    with strikes(alice, spare):
        until(lambda: parts <= health(alice)[1], f"{parts} are down", 60)
        status, down = health(alice, port)
        assert (status, parts <= down) == (503, True), "and on the port for watchers"
        said = cli(alice.home, "health", "--json")
        assert (said.code, said.error["code"]) == (1, "unhealthy")
        assert all(part in said.error["message"] for part in parts)
        told = alice.see("status")
        assert {told["health"][part] for part in parts} == {"down"}, "status says it"
        assert "cannot write to its disk" in told["warning"]
    until(lambda: health(alice) == (200, set()), "and it goes on by itself", 60)
    assert alice.see("status")["warning"] is None


@pytest.fixture
def elm_street() -> Iterator[Street]:
    with street() as made:
        yield made


def test_a_community_that_stands_aside(elm_street: Street) -> None:
    """Its file is beyond repair, and nobody knows who stands in it: nothing of it is shown, so the
    node does not do its work.
    """
    (bob,) = elm_street.build("bob")
    bob.found()
    until(lambda: health(bob) == (200, set()), "all is well before")
    file, rng = file_of(bob, "realm"), random.Random(5)
    with closing(sqlite3.connect(file, timeout=10)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    forget_standing(bob)
    for page in schema_pages(file):
        put(file, page, rng.randbytes(4096))
    bob.do("job.run", job="integrity", wait=120)
    until(lambda: health(bob) == (503, {"communities"}), "it is said", 60)
    assert bob.see("status")["health"]["communities"] == "down"
