"""The models that the host has registered: by ``models`` in config.toml, or by an entry point.

``models = {kinds = "my_package.models:kinds"}``, or a package with an entry point of the group
``commons_node.models``. Which library is behind it (scikit-learn, ONNX, nothing) is its own matter.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from importlib import metadata
from typing import Any, Final

import msgspec

from commons_crdt.errors import CommonsError

GROUP: Final = "commons_node.models"
START_S: Final = 60.0
"""To load: a library of models is large."""
THINK_S: Final = 20.0
ROOM_MIB: Final = 2_048
_MOST: Final = 1 << 20
_KEPT: Final = ("PATH", "PYTHONPATH", "LANG", "LC_ALL", "TMPDIR", "TZ", "VIRTUAL_ENV")


class NoModel(CommonsError):
    """There is no model {name} on this node."""

    code = "not_set_up"
    hint = 'register it in config.toml: models = {{{name} = "MODULE:CALLABLE"}}'


class ModelFault(CommonsError):
    """The model {name} did not answer: {why}."""

    code = "fault"


class LacksPackage(CommonsError):
    """The model {name} needs {module}, which is not installed."""

    code = "not_set_up"
    hint = "install it beside commons-node, in the same environment: pip install {package}"


_PACKAGES: Final[Mapping[str, str]] = {"sklearn": "scikit-learn", "PIL": "pillow"}
"""Where a module's package has another name."""


class _Said(msgspec.Struct, forbid_unknown_fields=True):
    ready: bool = False
    fault: str = ""
    lacks: str = ""
    output: Any = None


class Models:
    """All of them; each lives in a process of its own from its first question on."""

    def __init__(self, registered: Mapping[str, str], room_mib: int = ROOM_MIB) -> None:
        """``registered``: ``module:callable`` by name; entry points of installed packages too.
        ``room_mib``: memory that each may take to think, beside what it has when it is loaded.
        """
        self._room_mib = room_mib
        found = {one.name: one.value for one in metadata.entry_points(group=GROUP)}
        self._entries = {**found, **registered}
        self._processes: dict[str, asyncio.subprocess.Process] = {}
        self._turns = {name: asyncio.Lock() for name in self._entries}

    @property
    def names(self) -> tuple[str, ...]:
        """All that are registered."""
        return tuple(sorted(self._entries))

    async def infer(self, name: str, given: object) -> object:
        """What it answers.

        Raises ``NoModel``, ``LacksPackage``, ``ModelFault``; then its process is gone.
        """
        if name not in self._entries:
            raise NoModel(name=name)
        async with self._turns[name]:
            try:
                async with asyncio.timeout(START_S):
                    process = await self._process(name)
                async with asyncio.timeout(THINK_S):
                    said = await _ask(process, msgspec.json.encode(given) + b"\n")
            except TimeoutError:
                await self._end(name)
                raise ModelFault(name=name, why=f"it took longer than {THINK_S:g} s") from None
            except LacksPackage:
                await self._end(name)
                raise
            except (OSError, ValueError, msgspec.MsgspecError) as error:
                await self._end(name)
                raise ModelFault(name=name, why=f"{error}"[:300] or "its process ended") from None
            except BaseException:
                await self._end(name)  # half an answer is on its way
                raise
        if said.fault:
            raise ModelFault(name=name, why=said.fault[:300])
        return said.output

    async def _process(self, name: str) -> asyncio.subprocess.Process:
        process = self._processes.get(name)
        if process is not None and process.returncode is None:
            return process
        kept = {one: os.environ[one] for one in _KEPT if one in os.environ}
        process = self._processes[name] = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "commons_node.models.worker", self._entries[name],
            str(self._room_mib), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
            limit=_MOST, start_new_session=True, env=kept,
        )  # fmt: skip
        said = await _hear(process)
        if said.lacks:
            package = _PACKAGES.get(said.lacks, said.lacks)
            raise LacksPackage(name=name, module=said.lacks, package=package)
        if not said.ready:
            raise ValueError(said.fault or "it did not start")
        return process

    async def _end(self, name: str) -> None:
        process = self._processes.pop(name, None)
        if process is not None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    async def stop(self) -> None:
        """Leave nothing running."""
        for name in list(self._processes):
            await self._end(name)


async def _ask(process: asyncio.subprocess.Process, line: bytes) -> _Said:
    assert process.stdin is not None
    process.stdin.write(line)
    await process.stdin.drain()
    return await _hear(process)


async def _hear(process: asyncio.subprocess.Process) -> _Said:
    assert process.stdout is not None
    line = await process.stdout.readline()
    if not line:
        raise ValueError("its process ended")
    return msgspec.json.decode(line, type=_Said)
