"""The machines of one process, led through their states: workers, keys, network, daemon."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any, get_args

import pytest
from tests.machines.drawings import all_drawings
from tests.machines.recorder import Recorder
from tests.ports import own_port
from tests.unit.breaking import POISON, die_of_poison, double

from commons_crdt.ids import digest
from commons_node.config import load
from commons_node.daemon import Daemon
from commons_node.home import Home
from commons_node.keystore.sessions import Session, Sessions
from commons_node.keystore.unlocked import Unlocked
from commons_node.verifier.pool import VerifierPool
from commons_protocol.lan.discovery import LanState
from commons_protocol.libp2p_host import Libp2pNetwork
from commons_protocol.network import Address, NetworkDown, State, StateChanged

LOOPBACK = Address("/ip4/127.0.0.1/tcp/0")
DRAWN = all_drawings()


def held(recorder: Recorder, *names: str) -> None:
    """What was seen is what is drawn, but for what the page says that nobody sees."""
    for name in names:
        drawing, seen = DRAWN[name], recorder.moves[name]
        assert seen <= drawing.moves, f"{name} does not draw {sorted(seen - drawing.moves)}"
        never = drawing.moves - seen - drawing.seldom
        assert not never, f"{name} draws what nobody sees: {sorted(never)}"


# --- verifier ---

BATCH, WORKERS = "verifier#A batch", "verifier#The workers"


def _watch_pool(recorder: Recorder, patch: pytest.MonkeyPatch) -> None:
    def workers(pool: VerifierPool) -> str:
        return "cold" if pool._executor is None else "running"

    recorder.watch(patch, WORKERS, VerifierPool, workers)
    part, suspects = VerifierPool._slice, VerifierPool._suspects
    halves: set[int] = set()

    async def shared(pool: VerifierPool, work: Any, items: Any) -> Any:
        recorder.move(BATCH, recorder.number(items), "shared")
        return _ended(items, await part(pool, work, items))

    async def alone(pool: VerifierPool, work: Any, items: Any) -> Any:
        recorder.move(BATCH, recorder.number(items), "alone")
        halves.add(recorder.number(items))
        return _ended(items, await suspects(pool, work, items))

    def _ended(items: Any, result: list[Any]) -> list[Any]:
        if (BATCH, recorder.number(items)) in recorder._at:
            word = "done" if None not in result else "held" if len(items) == 1 else "halved"
            recorder.move(BATCH, recorder.number(items), word)
            recorder.end(BATCH, recorder.number(items))
        return result

    patch.setattr(VerifierPool, "_slice", shared)
    patch.setattr(VerifierPool, "_suspects", alone)


async def test_a_batch_and_its_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    recorder = Recorder()
    _watch_pool(recorder, monkeypatch)
    pool = VerifierPool(1, batch_seconds=30)
    try:
        assert await pool.map(double, [1, 2], 2) == [2, 4]
        assert await pool.map(die_of_poison, [1, POISON, 3], 3) == [2, None, 6]
        assert await pool.map(double, [5], 1) == [10]
    finally:
        await pool.stop()
    held(recorder, BATCH, WORKERS)


# --- unlocked members ---

MEMBER, TERMINAL = "unlock#A member in one terminal", "unlock#The session of a terminal"


def _watch_sessions(recorder: Recorder, patch: pytest.MonkeyPatch) -> None:
    known: set[tuple[str, str]] = set()

    def look(session: Session) -> None:
        recorder.move(TERMINAL, session.token, "holding" if session._open else "empty")
        known.update((session.token, member) for member in session._open)
        for token, member in known:
            if token == session.token and member in session._open:
                recorder.move(MEMBER, (token, member), "unlocked")
            elif token == session.token:
                recorder.end(MEMBER, (token, member))

    for name in ("unlock", "lock", "sweep"):
        method = getattr(Session, name)

        def around(session: Session, *given: Any, _method: Any = method, **named: Any) -> Any:
            result = _method(session, *given, **named)
            look(session)
            return result

        patch.setattr(Session, name, around)
    drop = Sessions.drop

    def dropped(sessions: Sessions, token: str) -> None:
        drop(sessions, token)
        recorder.end(TERMINAL, token)

    patch.setattr(Sessions, "drop", dropped)


def test_a_member_and_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    recorder, now = Recorder(), [0.0]
    _watch_sessions(recorder, monkeypatch)
    tokens = iter(f"{n:064x}" for n in range(9))
    sessions = Sessions(lambda: now[0], lambda: next(tokens))
    one = sessions.new()
    one.sweep()
    one.unlock(_unlocked("anna"), 60)
    now[0] += 61
    one.sweep()
    one.unlock(_unlocked("anna"), 60)
    one.unlock(_unlocked("bo"), 600)
    one.lock("anna")
    one.lock()
    now[0] += 3600
    sessions.sweep()
    two = sessions.new()
    two.unlock(_unlocked("anna"), 60)
    sessions.close()
    held(recorder, MEMBER, TERMINAL)


def _unlocked(name: str) -> Unlocked:
    return Unlocked(digest("t-member", name.encode()).hex(), bytes(32), {})


# --- network and daemon ---

NETWORK, LAN, DAEMON = "network#libp2p in its thread", "lan#The LAN beacon", "daemon#The daemon"


async def test_the_network_and_its_thread() -> None:
    recorder = Recorder()

    def heard(event: object) -> None:
        if isinstance(event, StateChanged):
            recorder.move(NETWORK, "", event.state)

    where = Address(f"/ip4/127.0.0.1/tcp/{own_port()}")  # it must get the same again
    network = Libp2pNetwork(digest("t-net", b"alice"), [where], {}, heard, Counter())
    recorder.move(NETWORK, "", network.state)
    await network.start()
    assert network._life is not None
    bridge: Any

    async def crash() -> None:
        raise RuntimeError("injected")

    for after in ("restarting", "up", "restarting"):
        if network.state == "up":
            bridge = network._life[0]
            bridge.post(lambda at=bridge: at._nursery.start_soon(crash))
        async with asyncio.timeout(20):
            while network.state != after:  # noqa: ASYNC110 - the thread has no event
                await asyncio.sleep(0.01)
    await network.stop()
    held(recorder, NETWORK)
    assert DRAWN[NETWORK].states == set(get_args(State))


def test_the_lan_beacon_has_the_states_that_are_drawn() -> None:
    assert DRAWN[LAN].states == set(get_args(LanState.__annotations__["state"]))


def _watch_daemon(recorder: Recorder, patch: pytest.MonkeyPatch) -> None:
    start, stop = Daemon.start, Daemon.stop

    async def started(daemon: Daemon) -> None:
        recorder.move(DAEMON, recorder.number(daemon), "ready" if daemon.ready else "starting")
        try:
            await start(daemon)
        except BaseException:
            recorder.end(DAEMON, recorder.number(daemon))
            raise
        recorder.move(DAEMON, recorder.number(daemon), "ready" if daemon.ready else "starting")

    async def stopped(daemon: Daemon) -> None:
        recorder.move(DAEMON, recorder.number(daemon), "stopping")
        await stop(daemon)
        assert not daemon.ready
        recorder.end(DAEMON, recorder.number(daemon))

    patch.setattr(Daemon, "start", started)
    patch.setattr(Daemon, "stop", stopped)


async def test_the_daemon_from_its_start_to_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder = Recorder()
    _watch_daemon(recorder, monkeypatch)
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    with Home(tmp_path / "one") as home, Home(tmp_path / "two") as other:
        flags: dict[str, object] = {"listen": [str(LOOPBACK)], "lan": False}
        daemon = Daemon(home, load(home.path, {}, flags), {})
        await daemon.start()
        taken = [address.partition("/p2p/")[0] for address in daemon.peering.bound]
        second = Daemon(other, load(other.path, {}, {"listen": taken, "lan": False}), {})
        with pytest.raises(NetworkDown):
            await second.start()
        await daemon.stop()
    held(recorder, DAEMON)
