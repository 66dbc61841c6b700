"""The compiled runner: made once, believed only with its seal, made anew when it was changed."""

from __future__ import annotations

import asyncio
import hashlib
import os
import stat
from pathlib import Path

import pytest
from tests.sandbox.held import Held, uid_of
from tests.sandbox.prepared import (
    LIMITS,
    OTHER,
    SECRET,
    Runs,
    agents,
    lend,
    preparing,
    unprivileged,
)

from commons_node.jobs import frames, workers
from commons_node.sandbox import cache, runner
from commons_node.sandbox.kind import kind
from commons_node.sandbox.preparing import Preparing
from commons_node.sandbox.runner import SHA256

KEY = cache.key_of(SECRET)
OK = "def main(event, host): return 'well'"


class Counted(Preparing):
    """As a node's, but what it would compile is lent by the checkout: that takes no 20 seconds."""

    async def _make(self) -> None:
        self.made += 1
        await lend(self.folder.parent, SECRET)


def files(home: Path) -> list[Path]:
    """What is kept, links to it included."""
    return sorted(home.glob("sandbox/*.cwasm"))


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


async def well(run: Runs) -> None:
    ended = await run(OK)
    assert isinstance(ended, frames.Done), ended
    assert ended.result == "well"
    assert ended.runner == SHA256


async def test_the_released_runner_is_the_one_that_is_pinned(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert hashlib.sha256(runner.component()).hexdigest() == SHA256
    monkeypatch.setattr(runner, "SHA256", "0" * 64)
    with pytest.raises(runner.BadRunner, match="another hash"):
        runner.component()


@pytest.mark.long
async def test_it_is_private_to_the_node_and_made_once(tmp_path: Path) -> None:
    made = Counted(tmp_path, lambda: SECRET)
    states = [made.state]
    told = await made.prepare()
    states.append(made.state)
    assert states == ["absent", "ready"]
    path = Path(told.cache)
    assert (mode(path), mode(path.parent)) == (0o600, 0o700)
    again = Counted(tmp_path, lambda: SECRET)
    assert await again.prepare() == told
    assert again.made == 0, "never again at a start"
    assert made.made == 1


def changed(path: Path) -> None:
    """One bit, in the middle."""
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        (byte,) = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte ^ 1]))


def foreign(path: Path) -> None:
    """The same, sealed by another node."""
    cache.keep(path.parent, kind(), SHA256, cache.key_of(b"another node"), path.read_bytes())


def older(path: Path) -> None:
    """Of another version of wasmtime, under the name of this one."""
    other = cache.keep(path.parent, "another kind", SHA256, KEY, path.read_bytes())
    _, seal = other.name.split(".", 1)
    tag, _ = path.name.split(".", 1)
    other.rename(path.with_name(f"{tag}.{seal}"))


def readable(path: Path) -> None:
    """Others could have written it."""
    path.chmod(0o666)


def empty(path: Path) -> None:
    """Half of a copy."""
    path.write_bytes(b"")


def linked(path: Path) -> None:
    """A link to somewhere else."""
    path.rename(path.with_name("elsewhere"))
    path.symlink_to(path.with_name("elsewhere"))


@pytest.mark.parametrize("spoil", [changed, foreign, older, readable, empty, linked])
async def test_one_that_was_changed_is_refused_and_made_anew(spoil: object, tmp_path: Path) -> None:
    made = Counted(tmp_path, lambda: SECRET)
    told = await made.prepare()
    assert callable(spoil)
    await asyncio.to_thread(spoil, Path(told.cache))
    (found,) = files(tmp_path)
    with pytest.raises(cache.BadCache), cache.opened(found, kind(), SHA256, KEY):
        pass
    pool = workers.Workers(made)
    run = Runs(pool)
    try:
        await well(run)
    finally:
        await pool.stop()
    assert made.made == 2, "it was made once more, and the run waited for it"
    (after,) = files(tmp_path)
    with cache.opened(after, kind(), SHA256, KEY):
        pass


async def test_a_worker_of_a_node_that_is_not_root(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, held: Held
) -> None:
    """The usual case: the node's own user; all other layers are the same."""
    held.wanted.discard("user")
    async with unprivileged(tmp_path, monkeypatch) as run:
        await well(run)
        (pid,) = run.workers.pids()
        assert uid_of(pid) == (OTHER if os.geteuid() == 0 else os.getuid())
        assert held.seen == 1


async def test_compiled_code_in_a_package_is_never_loaded() -> None:
    """Not as a component, and not as its text: only what begins as WebAssembly is compiled here."""
    told = await preparing().prepare()
    compiled = await asyncio.to_thread(Path(told.cache).read_bytes)
    assert compiled[:4] == b"\x7fELF", "what wasmtime writes"
    async with agents() as run:
        for data in (compiled[: 1 << 20], b"(component)", b"\0asm" + compiled[:1000]):
            ended = await run(data, limits=LIMITS)
            assert isinstance(ended, frames.Failed)
            assert ended.code == "code", ended
            assert not ended.again
        await run.healthy()


@pytest.mark.long
async def test_it_is_compiled_in_a_process_of_its_own_with_its_progress(tmp_path: Path) -> None:
    made = Preparing(tmp_path, lambda: SECRET)
    assert made.progress() is None
    made.begin()
    seen = set()
    while made.state == "preparing":
        seen.add(made.percent)
        assert made.progress() is not None
        await asyncio.sleep(0.1)
    assert made.state == "ready", made.failed
    assert made.made == 1
    assert len(seen) > 5, "it moves"
    assert max(seen) >= 20
    pool = workers.Workers(made)
    try:
        await well(Runs(pool))
    finally:
        await pool.stop()
    assert made.made == 1


@pytest.mark.long
async def test_a_node_that_stops_while_it_compiles_leaves_nothing(tmp_path: Path) -> None:
    made = Preparing(tmp_path, lambda: SECRET)
    made.begin()
    for _ in range(600):
        await asyncio.sleep(0.05)
        if made.percent:
            break
    assert 0 < made.percent < 100
    await made.stop()
    assert files(tmp_path) == [], "no half of a file"
    assert made.state == "absent"
