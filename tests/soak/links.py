"""The wires between daemons: a relay on loopback that drops, stalls, slows and cuts them.

Each node announces the relay's address for it and no other, so whatever two nodes say to each other
passes here, sealed: the relay sees bytes. Who dials is told by who owns the socket. A fault is
counted when it strikes (a connection cut, a byte held back), not when it is asked for.

Runs in a thread of its own; ``Relay`` is called from any other.
"""

from __future__ import annotations

import asyncio
import random
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from tests.soak.sockets import dialler, listening

Result = TypeVar("Result")
Trouble = Literal["cut", "stall", "one_way", "slow"]
TROUBLES: tuple[Trouble, ...] = ("cut", "stall", "one_way", "slow")

_CHUNK = 16_384
_CALL_S = 10.0
_LATENCY_S = (0.05, 0.4)
_RESET = struct.pack("ii", 1, 0)


@dataclass(slots=True)
class _Wire:
    """One connection: from who dialled to who listens."""

    ends: tuple[str, str]
    writers: list[asyncio.StreamWriter]
    pumps: list[asyncio.Task[bool]] = field(default_factory=list)

    async def close(self) -> None:
        """Both ends have said all: let it arrive."""
        for writer in self.writers:
            writer.close()
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(_CALL_S):
                for writer in self.writers:
                    await writer.wait_closed()

    def reset(self) -> None:
        """Break it off as a dead router would: no word of farewell."""
        for writer in self.writers:
            _reset(writer)
        for pump in self.pumps:
            pump.cancel()


@dataclass(slots=True)
class _Link:
    """What lies between two nodes: troubles that last, by the one who made them."""

    wires: list[_Wire] = field(default_factory=list)
    troubles: dict[object, tuple[Trouble, str]] = field(default_factory=dict)
    fuse: int | None = None
    """After so many more bytes the connection that carries them breaks in the middle of it."""
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def has(self, trouble: Trouble) -> bool:
        """Whether this ails it now."""
        return any(kind == trouble for kind, _ in self.troubles.values())

    def holds_back(self, sender: str) -> bool:
        """Whether nothing of what ``sender`` says comes through."""
        return any(
            kind == "stall" or (kind == "one_way" and who == sender)
            for kind, who in self.troubles.values()
        )

    def burn(self, size: int) -> int:
        """How many of so many bytes still come through."""
        if self.fuse is None:
            return size
        self.fuse -= size
        if self.fuse >= 0:
            return size
        left, self.fuse = size + self.fuse, None
        return left


class Relay:
    """A front for each node. ``close`` must be called."""

    def __init__(self, pids: Callable[[], Mapping[str, int]], seed: int = 0) -> None:
        """Starts its thread. ``pids``: the process that is each node's daemon now."""
        self.counts: Counter[str] = Counter()
        """What struck: connections, cut, refused, held, delayed, snapped; and bytes carried."""
        self._pids = pids
        self._behind: dict[str, tuple[int, int]] = {}
        self._links: dict[frozenset[str], _Link] = {}
        self._servers: list[asyncio.Server] = []
        self._rng = random.Random(seed)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="relay", daemon=True)
        self._thread.start()

    # -- what the driver asks for --------------------------------------------------------------

    def front(self, name: str) -> str:
        """Open a node's front, for as long as the relay lives; its address."""
        port = self._ask(self._open(name))
        return f"/ip4/127.0.0.1/tcp/{port}"

    def trouble(self, one: str, other: str, what: Trouble, token: object, sender: str = "") -> None:
        """Something ails the link between two nodes until ``mend`` with the same token.

        ``sender``: whose bytes are held back, for ``one_way``.
        """
        self._ask(self._ail(one, other, what, token, sender or one))

    def snap(self, one: str, other: str, after: int) -> None:
        """Break the connection that carries the byte after this many more, in the middle."""
        self._ask(self._fuse(one, other, after))

    def mend(self, token: object | None = None) -> None:
        """End one trouble, or all."""
        self._ask(self._mend(token))

    def close(self) -> None:
        """Cut everything and end the thread."""
        self._ask(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_CALL_S)
        self._loop.close()

    def _ask(self, work: Coroutine[Any, Any, Result]) -> Result:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(_CALL_S)

    # -- in the relay's thread -----------------------------------------------------------------

    def _link(self, one: str, other: str) -> _Link:
        return self._links.setdefault(frozenset({one, other}), _Link())

    async def _open(self, name: str) -> int:
        server = await asyncio.start_server(
            lambda reader, writer: self._carry(name, reader, writer), "127.0.0.1", 0, limit=_CHUNK
        )
        self._servers.append(server)
        port: int = server.sockets[0].getsockname()[1]
        return port

    async def _ail(self, one: str, other: str, what: Trouble, token: object, sender: str) -> None:
        link = self._link(one, other)
        link.troubles[token] = (what, sender)
        if what == "cut":
            for wire in tuple(link.wires):
                self.counts["cut"] += 1
                wire.reset()

    async def _fuse(self, one: str, other: str, after: int) -> None:
        self._link(one, other).fuse = after

    async def _mend(self, token: object | None) -> None:
        for link in self._links.values():
            if token is None:
                link.troubles.clear()
                link.fuse = None
            else:
                link.troubles.pop(token, None)
            link.changed.set()
            link.changed = asyncio.Event()

    async def _end(self) -> None:
        for server in self._servers:
            server.close()
        wires = [wire for link in self._links.values() for wire in link.wires]
        for wire in wires:
            wire.reset()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        if tasks:
            await asyncio.wait(tasks, timeout=_CALL_S / 2)

    async def _carry(
        self, to: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Somebody dials ``to``."""
        here, there = writer.get_extra_info("sockname"), writer.get_extra_info("peername")
        who = dialler(there[1], here[1], self._pids()) if here and there else None
        if not who or who == to:
            self.counts["gone" if who is None else "unknown"] += 1
            _reset(writer)
            return
        link = self._link(who, to)
        if link.has("cut"):
            self.counts["refused"] += 1
            _reset(writer)
            return
        try:
            onward = await asyncio.open_connection("127.0.0.1", self._port(to), limit=_CHUNK)
        except (OSError, LookupError):
            self.counts["nobody"] += 1  # the daemon is down
            _reset(writer)
            return
        wire = _Wire((who, to), [writer, onward[1]])
        if link.has("cut"):  # meanwhile
            self.counts["refused"] += 1
            wire.reset()
            return
        self.counts["connections"] += 1
        link.wires.append(wire)
        there_and_back = (
            self._pump(link, who, reader, onward[1]),
            self._pump(link, to, onward[0], writer),
        )
        wire.pumps = [asyncio.create_task(pump) for pump in there_and_back]
        try:
            done, others = await asyncio.wait(wire.pumps, return_when=asyncio.FIRST_COMPLETED)
            if _whole(done) and (not others or _whole((await asyncio.wait(others))[0])):
                await wire.close()
        finally:
            link.wires.remove(wire)
            wire.reset()

    def _port(self, name: str) -> int:
        """Where a node listens now; ``LookupError`` if it does not."""
        pid = self._pids()[name]
        if self._behind.get(name, (0, 0))[0] != pid:
            self._behind[name] = pid, listening(pid)
        return self._behind[name][1]

    async def _pump(
        self,
        link: _Link,
        sender: str,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> bool:
        """Carry what ``sender`` says until it says no more; False if the connection broke."""
        try:
            while data := await reader.read(_CHUNK):
                while link.holds_back(sender):
                    self.counts["held"] += 1
                    await link.changed.wait()
                if link.has("slow"):
                    self.counts["delayed"] += 1
                    await asyncio.sleep(self._rng.uniform(*_LATENCY_S))
                whole = len(data)
                data = data[: link.burn(whole)]
                self.counts["bytes"] += len(data)
                writer.write(data)
                await writer.drain()
                if len(data) < whole:
                    self.counts["snapped"] += 1
                    return False
            if writer.can_write_eof():
                writer.write_eof()
        except OSError:
            return False
        return True


def _whole(pumps: Iterable[asyncio.Task[bool]]) -> bool:
    """Whether they ended as their senders did."""
    return all(not pump.cancelled() and pump.result() for pump in pumps)


def _reset(writer: asyncio.StreamWriter) -> None:
    sock: socket.socket | None = writer.get_extra_info("socket")
    if sock is not None:
        with suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    writer.transport.abort()


__all__ = ["TROUBLES", "Relay", "Trouble"]
