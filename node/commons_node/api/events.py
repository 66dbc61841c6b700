"""What happens, told to everybody who listens, and never waiting for anybody.

Each listener has a queue of its own with an end. One that does not read is dropped: it reconnects
and reads the views again, which is cheaper than a daemon that holds everything for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

import msgspec

from commons_node.api.types import API_VERSION

QUEUE: Final = 256
"""Events that wait for one listener."""
MAX_LISTENERS: Final = 64
EVENTS: Final = frozenset(
    {
        "agent", "backup", "bundle", "device", "disk", "example", "flip", "job", "job_notice",
        "network", "operations", "peer", "repaired", "runner", "seal", "sync",
    }
)  # fmt: skip
"""What is told, by name; the fields stand in docs/reference.md."""


def _nothing() -> None:
    """Nobody wants to know."""


@dataclass(eq=False)
class Listener:
    """One who listens: an iterator of encoded events that ends when dropped or closed."""

    on_drop: Callable[[], None] = _nothing
    dropped: bool = False
    _queue: asyncio.Queue[bytes | None] = field(default_factory=lambda: asyncio.Queue(QUEUE + 1))

    def __aiter__(self) -> AsyncIterator[bytes]:
        """The events, one JSON object each."""
        return self

    async def __anext__(self) -> bytes:
        """The next event; waits for it."""
        event = await self._queue.get()
        if event is None:
            raise StopAsyncIteration
        return event

    def offer(self, event: bytes) -> bool:
        """Take an event without waiting; False when the queue is full."""
        if self._queue.qsize() >= QUEUE:
            return False
        self._queue.put_nowait(event)
        return True

    def end(self) -> None:
        """Let the iterator stop after what is queued; drops the queue when there is no room."""
        if self._queue.full():
            self._queue.get_nowait()
        self._queue.put_nowait(None)


class Events:
    """All listeners of this daemon. Only for the event loop's own thread."""

    def __init__(self) -> None:
        """Nobody listens yet."""
        self._listeners: set[Listener] = set()
        self._closed = False
        self.dropped = 0

    def publish(self, event: str, details: Mapping[str, object] | None = None) -> None:
        """Tell all listeners ``{"v", "event", ...details}``. Never waits, never raises for them."""
        if not self._listeners:
            return
        encoded = msgspec.json.encode({"v": API_VERSION, "event": event, **(details or {})})
        for listener in [one for one in self._listeners if not one.offer(encoded)]:
            self._listeners.discard(listener)
            self.dropped += 1
            listener.dropped = True
            listener.end()
            listener.on_drop()

    def listen(self, on_drop: Callable[[], None] = _nothing) -> Listener | None:
        """A new listener, or None when there are too many or the daemon stops."""
        if self._closed or len(self._listeners) >= MAX_LISTENERS:
            return None
        listener = Listener(on_drop)
        self._listeners.add(listener)
        return listener

    def leave(self, listener: Listener) -> None:
        """Forget one who has gone."""
        self._listeners.discard(listener)

    def __len__(self) -> int:
        """How many listen."""
        return len(self._listeners)

    def close(self) -> None:
        """End all streams: the daemon stops."""
        self._closed = True
        for listener in self._listeners:
            listener.end()
        self._listeners.clear()
