"""Calls of the node that never hold up the screen, and what the node tells by itself.

Every call runs in a thread of its own that ends with the program: whoever quits waits for nobody.
Only this module knows the API's client.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, TypeVar

from commons_cli.terminal import load_token, store_token
from commons_cli.texts import language
from commons_node.api.client import ApiError, Client

__all__ = ["ApiError", "Bridge", "off_loop"]

T = TypeVar("T")
Event = Mapping[str, Any]

HERE: Final = "here"
"""Told when the node answers, at first and after it was away."""
AWAY: Final = "away"
"""Told with ``error`` when it does not."""
RETRY_S: Final = 2.0


async def off_loop(work: Callable[[], T]) -> T:
    """Run ``work`` in a thread and wait for it without holding up anything; its result or error."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: BaseException | None) -> None:
        if future.done():  # nobody waits any more
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)  # type: ignore[arg-type]  # None only where T has it

    def run() -> None:
        result: T | None = None
        failed: BaseException | None = None
        try:
            result = work()
        except Exception as error:
            failed = error
        with suppress(RuntimeError):  # the program has ended meanwhile
            loop.call_soon_threadsafe(settle, result, failed)

    threading.Thread(target=run, name="call", daemon=True).start()
    return await future


class Bridge:
    """The node's API for this terminal: its session's token goes with every call."""

    def __init__(self, home: Path, socket: Path, community: str | None = None) -> None:
        """Calls nobody yet. ``community``: which one, by id or name."""
        self.home = home
        self.socket = socket
        self.community = community
        self.token = load_token(home)
        self._ends = threading.Event()

    async def view(
        self, name: str, arguments: Mapping[str, object] | None = None, timeout_s: float = 30.0
    ) -> dict[str, Any]:
        """Read a view. Raises ApiError."""
        client = self._client(self.token, None)
        given = {key: one for key, one in (arguments or {}).items() if one is not None}
        return await off_loop(lambda: client.view(name, given, timeout_s))

    async def command(
        self,
        name: str,
        arguments: Mapping[str, object],
        timeout_s: float = 60.0,
        *,
        member: str | None = None,
    ) -> dict[str, Any]:
        """Run a command, as ``member`` where several are unlocked. Raises ApiError."""
        client = self._client(self.token, member)
        return await off_loop(lambda: client.command(name, arguments, timeout_s))

    async def beside(
        self, who: Mapping[str, object], name: str, arguments: Mapping[str, object]
    ) -> dict[str, Any]:
        """Run one command as somebody else, in a session that is locked again at once.

        ``who``: the arguments of ``member.unlock``. Raises ApiError.
        """

        def run() -> dict[str, Any]:
            client = self._client(None, None)
            client.session = client.command("member.unlock", who, 60.0)["session"]
            try:
                return client.command(name, arguments, 60.0)
            finally:
                with suppress(ApiError):
                    client.command("member.lock", {}, 5.0)

        return await off_loop(run)

    async def adopt(self, token: str) -> None:
        """Keep the session that the node opened, for this terminal's command line too."""
        self.token = token
        with suppress(OSError):  # then only this program has it
            await off_loop(lambda: store_token(self.home, token))

    def _client(self, token: str | None, member: str | None) -> Client:
        return Client(
            self.socket,
            session=token,
            community=self.community,
            member=member,
            language=language(),
        )

    # -- what the node tells ---------------------------------------------------------------------

    def listen(self, tell: Callable[[Event], object]) -> None:
        """Tell all events from now on, and whether the node is there, from another thread."""
        threading.Thread(target=self._listen, args=(tell,), name="events", daemon=True).start()

    def close(self) -> None:
        """Tell nothing more."""
        self._ends.set()

    def _listen(self, tell: Callable[[Event], object]) -> None:
        while not self._ends.is_set():
            try:
                client = self._client(None, None)
                client.get("/v1/verbs", 10.0)
                tell({"event": HERE})
                for event in client.events():
                    if self._ends.is_set():
                        return
                    tell(event)
                tell({"event": AWAY, "error": None})
            except ApiError as error:
                tell({"event": AWAY, "error": error})
            self._ends.wait(RETRY_S)
