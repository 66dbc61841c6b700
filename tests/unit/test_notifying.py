"""What is told to a service manager, and to one that does not listen."""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from commons_node.service.notifying import Manager

MANY = 1_000
"""More than any queue of datagrams holds."""


@pytest.fixture
def listening(tmp_path: Path) -> Iterator[socket.socket]:
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as made:
        made.bind(str(tmp_path / "notify"))
        made.settimeout(0)
        yield made


def test_a_manager_that_hears_nobody_freezes_no_node(
    tmp_path: Path, listening: socket.socket
) -> None:
    told = Manager({"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "400000"})
    signal.alarm(60)  # an end with a crash instead of none
    try:
        told.ready("it answers")
        for _ in range(MANY):
            told.alive()
        told.stopping()
    finally:
        signal.alarm(0)
    said: list[bytes] = []
    with suppress(BlockingIOError):
        while True:
            said.append(listening.recv(4096))
    assert said[0] == b"READY=1\nSTATUS=it answers"
    assert 1 < len(said) < MANY, "its queue was full"
    assert set(said[1:]) == {b"WATCHDOG=1"}
    told.stopping()
    assert listening.recv(4096) == b"STOPPING=1", "who listens again hears the rest"


def test_a_manager_that_is_gone_ends_no_node(tmp_path: Path) -> None:
    told = Manager({"NOTIFY_SOCKET": str(tmp_path / "nobody")})
    told.ready("it answers")
    told.stopping()
    assert told.every_s is None, "nobody wants signs of life"
