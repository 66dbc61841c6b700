"""The daemon's side of the compiled runner: it is made once, beside everything else.

A node starts without it. The first agent that is installed or runs has it made, in a process of its
own; until then its runs wait, and `job why` says so.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import ClassVar, Final, Literal

import msgspec
import structlog

from commons_crdt.errors import CommonsError
from commons_node.jobs.frames import Prepare
from commons_node.jobs.workers import environment
from commons_node.sandbox import cache
from commons_node.sandbox.kind import kind
from commons_node.sandbox.layers import layers, missing
from commons_node.sandbox.lock import NoLayer
from commons_node.sandbox.runner import SHA256

_LONGEST_S: Final = 1_800.0
_ERRORS: Final = 4_096
State = Literal["absent", "preparing", "ready", "failed"]

log = structlog.get_logger(component="sandbox")


class NotPrepared(CommonsError):
    """The runner of agents could not be prepared: {why}."""

    code: ClassVar[str] = "not_prepared"
    hint: ClassVar[str] = "commons-node doctor"
    status = "failed"


class Preparing:
    """One for a node. ``secret``: the node's own, of which the seal's key is made."""

    def __init__(
        self,
        home: Path,
        secret: Callable[[], bytes],
        tell: Callable[[int], None] = lambda _percent: None,
    ) -> None:
        """Touches nothing yet. ``home``: the folder of the node; ``tell`` hears how far it is."""
        self.folder = home / cache.FOLDER
        self._secret = secret
        self._tell = tell
        self._making: asyncio.Task[None] | None = None
        self.percent = 0
        self.failed = ""
        """Why the last try did not work."""
        self.made = 0
        """How often it was compiled in this life."""

    @property
    def state(self) -> State:
        """How far it is."""
        if self._making is not None and not self._making.done():
            return "preparing"
        if cache.there(self.folder, kind(), SHA256) is not None:
            return "ready"
        return "failed" if self.failed else "absent"

    def begin(self) -> None:
        """Have it made if it is not there; never waits."""
        if self.state not in {"preparing", "ready"}:
            self._making = asyncio.create_task(self._make(), name="preparing the runner")

    async def prepare(self) -> Prepare:
        """What a worker is told; made first if need be. Raises ``NotPrepared``, ``NoLayer``."""
        for layer in missing(layers()):
            raise NoLayer(layer=layer.name, why=layer.why)
        self.begin()
        if self._making is not None:
            await asyncio.shield(self._making)
        path = cache.there(self.folder, kind(), SHA256)
        if path is None:
            raise NotPrepared(why=self.failed)
        return Prepare(str(path), cache.key_of(self._secret()).hex())

    def progress(self) -> int | None:
        """See ``Preparer``."""
        return self.percent if self.state == "preparing" else None

    def spoilt(self) -> None:
        """A worker has refused it: it is made anew."""
        path = cache.there(self.folder, kind(), SHA256)
        if path is not None:
            log.warning("runner_spoilt")
            cache.forget(path)

    async def stop(self) -> None:
        """Leave nothing running."""
        if self._making is not None:
            self._making.cancel()
            await asyncio.gather(self._making, return_exceptions=True)

    async def _make(self) -> None:
        self.percent, self.failed = 0, ""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "commons_node.sandbox.compiling",
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE, start_new_session=True, env=environment(),
        )  # fmt: skip
        log.info("runner_preparing")
        try:
            async with asyncio.timeout(_LONGEST_S):
                error = await self._follow(process)
                code = await process.wait()
        except TimeoutError:
            error, code = f"it took longer than {_LONGEST_S:g} s", -1
        finally:
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        if code != 0:
            self.failed = error or f"its process ended with {code}"
            log.warning("runner_not_prepared", why=self.failed)
            return
        self.made += 1
        log.info("runner_prepared")

    async def _follow(self, process: asyncio.subprocess.Process) -> str:
        """Its progress, and what it complains about."""
        sink, source, errors = process.stdin, process.stdout, process.stderr
        assert sink is not None
        assert source is not None
        assert errors is not None
        order = cache.Order(str(self.folder), cache.key_of(self._secret()).hex())
        with suppress(ConnectionError):
            sink.write(msgspec.json.encode(order))
            await sink.drain()
        sink.close()
        while line := await source.readline():
            if line.strip().isdigit():
                self.percent = min(int(line), 100)
                self._tell(self.percent)
        found = await errors.read(_ERRORS)
        return found.decode("utf-8", "replace").strip()
