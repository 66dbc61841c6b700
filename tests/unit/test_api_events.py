"""Who listens at the API: everybody hears, nobody holds up the node, and a stop ends it all."""

from __future__ import annotations

import asyncio
import json
import socket
from pathlib import Path
from typing import Any

import pytest
from tests.unit.doors import Answer, Door, opened, request

from commons_node.api import server as server_module
from commons_node.api.events import MAX_LISTENERS, QUEUE, Events

pytestmark = pytest.mark.usefixtures("light")


async def heard_by(door: Door, listeners: int) -> None:
    """Wait until so many listen."""
    for _ in range(1000):
        if len(door.shed.events) == listeners:
            return
        await asyncio.sleep(0.005)
    raise AssertionError(f"{len(door.shed.events)} listen, not {listeners}")


async def asleep(door: Door, seconds: float) -> asyncio.Task[Answer]:
    """A request that takes so long, and has begun."""
    asked = asyncio.create_task(door.post("thing.nap", {"seconds": seconds}))
    async with asyncio.timeout(20):
        while not door.shed.calls:  # noqa: ASYNC110 - the server says nothing
            await asyncio.sleep(0.005)
    return asked


class Ear:
    """One who listens to events."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def at(cls, door: Door) -> Ear:
        reader, writer = await asyncio.open_unix_connection(str(door.path), limit=1 << 24)
        writer.write(request("GET", "/v1/events", {}, b""))
        head = await reader.readuntil(b"\r\n\r\n")
        assert b" 200 " in head.splitlines()[0]
        assert b"text/event-stream" in head
        await reader.readuntil(b": here\n\n")
        return cls(reader, writer)

    async def event(self) -> dict[str, Any]:
        while True:
            line = await asyncio.wait_for(self.reader.readline(), 10)
            assert line, "the stream goes on"
            if line.startswith(b"data: "):
                found: dict[str, Any] = json.loads(line[6:])
                return found


async def test_everybody_who_listens_hears(tmp_path: Path) -> None:
    async with opened(tmp_path) as door:
        alice, bob = await Ear.at(door), await Ear.at(door)
        token = await door.unlock("alice")
        await door.post("thing.lend", {"thing": "drill"}, commons_session=token)
        for ear in (alice, bob):
            assert await ear.event() == {"v": 1, "event": "lent", "thing": "drill"}
        alice.writer.close()
        await heard_by(door, 1)  # who hangs up is forgotten
        door.shed.events.publish("again")
        assert (await bob.event())["event"] == "again"
        bob.writer.close()


async def test_a_slow_listener_is_dropped_and_holds_up_nobody(tmp_path: Path) -> None:
    async with opened(tmp_path) as door:
        slow_socket = socket.socket(socket.AF_UNIX)
        slow_socket.connect(str(door.path))
        slow_socket.sendall(request("GET", "/v1/events", {}, b""))
        await heard_by(door, 1)
        quick = await Ear.at(door)
        for number in range(QUEUE * 8):
            door.shed.events.publish("tick", {"n": number, "fill": "x" * 4000})
            assert (await quick.event())["n"] == number, "the quick one hears all, in order"
            if door.shed.events.dropped:
                break
        assert door.shed.events.dropped == 1, "the slow one is dropped"
        door.shed.events.publish("after")
        assert (await quick.event())["event"] == "after"
        assert (await door.get("/v1/views/status")).status == 200
        assert await asyncio.to_thread(hung_up, slow_socket), "its connection is closed"
        slow_socket.close()
        quick.writer.close()


def hung_up(connection: socket.socket) -> bool:
    """Read what is left; whether the other side has then hung up."""
    connection.settimeout(5)
    try:
        while connection.recv(1 << 20):
            pass
    except ConnectionResetError:
        return True
    return True


async def test_there_is_an_end_to_the_number_of_listeners() -> None:
    events = Events()
    for _ in range(MAX_LISTENERS):
        assert events.listen() is not None
    assert events.listen() is None
    events.close()
    assert len(events) == 0
    assert events.listen() is None, "nobody begins to listen to a node that stops"


async def test_a_stop_ends_streams_and_lets_a_request_finish(tmp_path: Path) -> None:
    async with opened(tmp_path) as door:
        ears = [await Ear.at(door) for _ in range(5)]
        napping = await asleep(door, 0.5)
        async with asyncio.timeout(15):
            await door.server.stop()
        assert (await napping).json["slept"] == 0.5, "what had begun is finished"
        for ear in ears:
            await asyncio.wait_for(ear.reader.read(), 5)
            assert ear.reader.at_eof()
            ear.writer.close()
        assert not door.path.exists()


async def test_what_a_stop_cuts_off_is_no_fault_of_the_node(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A passphrase that took long on a busy machine was logged with a traceback."""
    monkeypatch.setattr(server_module, "GRACE_S", 0.2)
    async with opened(tmp_path) as door:
        napping = await asleep(door, 19)
        await door.server.stop()
        (ended,) = await asyncio.gather(napping, return_exceptions=True)
        assert isinstance(ended, Exception), "there was no answer, and the line is dead at once"
    assert "Traceback" not in caplog.text


async def test_a_stop_does_not_wait_for_what_never_ends(tmp_path: Path) -> None:
    async with opened(tmp_path) as door:
        stuck = socket.socket(socket.AF_UNIX)
        stuck.connect(str(door.path))
        stuck.sendall(request("GET", "/v1/events", {}, b""))
        await heard_by(door, 1)
        for _ in range(QUEUE - 1):
            door.shed.events.publish("fill", {"fill": "x" * 4000})
        await asyncio.sleep(0.1)  # the server stands before the one who does not read
        napping = await asleep(door, 19)
        async with asyncio.timeout(15):
            await door.server.stop()
        napping.cancel()
        await asyncio.gather(napping, return_exceptions=True)
        stuck.close()
