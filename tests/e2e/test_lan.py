"""Two nodes hear each other over multicast on loopback, under names that say nothing."""

import asyncio
import random
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from commons_protocol.lan import FoundPeer, LanDiscovery, interfaces
from commons_protocol.lan import discovery as discovery_module
from commons_protocol.lan.found import MOST_PEERS, Memory, parse

pytestmark = pytest.mark.anyio
LOOPBACK = ["127.0.0.1"]
# Nothing listens there; other runs of this file on the same machine are heard too.
PORT = random.SystemRandom().randrange(20_000, 60_000, 10)


@asynccontextmanager
async def discovery(
    port: int, heard: list[FoundPeer], txt: Callable[[], dict[str, bytes]], rotate_s: float = 3600
) -> AsyncIterator[LanDiscovery]:
    lan = LanDiscovery()
    state = await lan.start(LOOPBACK, port, txt, heard.append, rotate_s)
    assert state.state == "up", state.reason
    try:
        yield lan
    finally:
        await lan.stop()


async def until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - what changes has no event
            await asyncio.sleep(0.02)


async def test_two_nodes_find_each_other_and_not_themselves() -> None:
    at_alice: list[FoundPeer] = []
    at_bob: list[FoundPeer] = []
    async with (
        discovery(PORT + 1, at_alice, lambda: {"b": b"\x00sealed\xff"}) as alice,
        discovery(PORT + 2, at_bob, dict) as bob,
    ):
        await until(lambda: any(peer.port == PORT + 2 for peer in at_alice))
        await until(lambda: any(peer.port == PORT + 1 for peer in at_bob))
        assert FoundPeer(("127.0.0.1",), PORT + 1, {"b": b"\x00sealed\xff"}) in bob.found(), (
            "address, port and record arrive as they were given"
        )
        assert all(peer.port != PORT + 1 for peer in at_alice), "a node does not find itself"
        assert re.fullmatch("[0-9a-f]{16}", alice.instance or ""), "the name is random digits only"
        assert alice.instance != bob.instance


async def test_a_name_rotates_with_a_fresh_record_and_the_old_one_is_withdrawn() -> None:
    at_bob: list[FoundPeer] = []
    records = iter(range(100))
    async with (
        discovery(PORT + 3, [], lambda: {"n": b"%d" % next(records)}, rotate_s=2.0) as alice,
        discovery(PORT + 4, at_bob, dict) as bob,
    ):
        first = alice.instance
        await until(lambda: len({p.txt["n"] for p in at_bob if p.port == PORT + 3}) >= 2)
        await until(lambda: alice.instance != first)
        await until(lambda: sum(peer.port == PORT + 3 for peer in bob.found()) == 1)
        assert bob.found()[-1].txt["n"] != at_bob[0].txt["n"], "only the new announcement is left"


async def test_a_machine_without_a_network_is_a_state_and_not_an_error() -> None:
    lan = LanDiscovery()
    state = await lan.start(["203.0.113.1"], PORT + 5, dict, lambda _: None)
    try:
        assert state.state == "off", "an address that the machine does not have cannot announce"
        assert "no network" in state.reason
    finally:
        await lan.stop()


async def test_a_network_that_appears_is_announced_on(monkeypatch: pytest.MonkeyPatch) -> None:
    now: list[tuple[str, ...]] = [()]
    monkeypatch.setattr(interfaces, "current", lambda: now[0])
    monkeypatch.setattr(discovery_module, "POLL_S", 0.05)
    lan = LanDiscovery()
    state = await lan.start(None, PORT + 6, dict, lambda _: None)
    try:
        assert state.state == "off"
        now[0] = ("127.0.0.1",)
        await until(lambda: lan.state.state == "up")
    finally:
        await lan.stop()


async def test_a_record_out_of_bounds_is_refused_before_it_is_announced() -> None:
    with pytest.raises(ValueError, match="TXT"):
        await LanDiscovery().start(LOOPBACK, PORT + 7, lambda: {"k": bytes(300)}, lambda _: None)


def test_what_strangers_announce_is_bounded() -> None:
    assert parse(["127.0.0.1"], 1, {b"k": bytes(2000)}) is None, "an oversize record is ignored"
    assert parse(["127.0.0.1"], 1, dict.fromkeys(map(bytes, range(17)))) is None, "so are many keys"
    assert parse(["127.0.0.1"], 0, {}) is None, "so is a port that cannot be"
    assert parse(["not an address"], 1, {}) is None
    assert parse([], 1, {}) is None
    peer = parse(["127.0.0.1"] * 20, 1, {b"k": None})
    assert peer == FoundPeer(("127.0.0.1",), 1, {"k": b""})
    memory = Memory()
    for at in range(MOST_PEERS + 50):
        memory.learn(str(at), peer)
    assert len(memory.peers()) == MOST_PEERS, "a flood of names pushes out the oldest"
    assert not memory.learn(str(MOST_PEERS + 49), peer), "hearing the same again is no news"
