"""Strangers who do not keep the rules, against a real libp2p host over loopback."""

import asyncio
import random
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
import trio
from tests.e2e.hosts import (
    ECHO,
    FAIL,
    SINK,
    assert_echoes,
    fds,
    node,
    until,
)

from commons_protocol.libp2p_host import Limits
from commons_protocol.network import (
    MAX_FRAME,
    Address,
    Connected,
    Disconnected,
)

pytestmark = pytest.mark.anyio


def _stranger(
    talk: Callable[[Any, Any], Any], security: str = "noise", identity: str = "ed25519"
) -> Any:
    """Run a plain libp2p host, as libp2p makes it, in a Trio run of its own."""
    from libp2p import new_host
    from libp2p.crypto import ed25519, rsa, secp256k1
    from libp2p.crypto.x25519 import create_new_key_pair
    from libp2p.security.insecure.transport import PLAINTEXT_PROTOCOL_ID, InsecureTransport
    from libp2p.security.noise.transport import PROTOCOL_ID as NOISE
    from libp2p.security.noise.transport import Transport as Noise
    from libp2p.security.secio import transport as secio
    from libp2p.security.tls.transport import PROTOCOL_ID as TLS
    from libp2p.security.tls.transport import TLSTransport

    identities: dict[str, Callable[[], Any]] = {
        "ed25519": ed25519.create_new_key_pair,
        "rsa": lambda: rsa.create_new_key_pair(2048),
        "secp256k1": secp256k1.create_new_key_pair,
    }
    keys = identities[identity]()
    offers: dict[str, Callable[[], dict[Any, Any]]] = {
        "noise": lambda: {NOISE: Noise(keys, noise_privkey=create_new_key_pair().private_key)},
        "plaintext": lambda: {PLAINTEXT_PROTOCOL_ID: InsecureTransport(keys)},
        "secio": lambda: {secio.ID: secio.Transport(keys)},
        "tls": lambda: {TLS: TLSTransport(keys)},
    }

    async def main() -> Any:
        host = new_host(key_pair=keys, sec_opt=offers[security]())
        with trio.fail_after(15):
            async with host.run(listen_addrs=[]):
                try:
                    return await talk(host, trio)
                finally:
                    await host.close()

    return trio.run(main)


def _connect_to(address: Address) -> Callable[[Any, Any], Any]:
    from libp2p.peer.peerinfo import info_from_p2p_addr
    from multiaddr import Multiaddr  # type: ignore[import-untyped]  # ships no types

    async def talk(host: Any, _: Any) -> bool:
        with suppress(Exception):
            await host.connect(info_from_p2p_addr(Multiaddr(address)))
            return True
        return False

    return talk


@pytest.mark.parametrize("security", ["plaintext", "secio", "tls"])
async def test_a_client_without_noise_is_refused(security: str) -> None:
    async with node() as alice, node() as bob:
        talk = _connect_to(alice.addresses[0])
        assert not await asyncio.to_thread(_stranger, talk, security), f"{security} is not taken"
        assert alice.refusals["handshake"] >= 1
        assert not alice.network.peers()
        await bob.network.connect(alice.addresses[0])
        await assert_echoes(bob, alice.id)


async def test_a_plain_libp2p_client_with_noise_is_taken() -> None:
    async with node() as alice:
        assert await asyncio.to_thread(_stranger, _connect_to(alice.addresses[0]))
        assert len(alice.heard(Connected)) == 1, "what refuses the others lets this one in"
        await until(lambda: len(alice.heard(Disconnected)) == 1)


@pytest.mark.parametrize("identity", ["rsa", "secp256k1"])
async def test_a_client_with_another_kind_of_key_is_refused(identity: str) -> None:
    async with node() as alice, node() as bob:
        talk = _connect_to(alice.addresses[0])
        await asyncio.to_thread(_stranger, talk, "noise", identity)
        await until(lambda: alice.refusals["handshake"])
        assert not alice.heard(Connected), "it has no name among nodes, so nobody hears of it"
        await bob.network.connect(alice.addresses[0])
        await assert_echoes(bob, alice.id)


async def test_only_noise_is_offered_and_noise_is_what_is_used() -> None:
    async with node() as alice, node() as bob:

        async def ask(protocol: bytes) -> bytes:
            reader, writer = await asyncio.open_connection("127.0.0.1", alice.port)
            try:
                for line in (b"/multistream/1.0.0\n", protocol + b"\n"):
                    writer.write(bytes([len(line)]) + line)
                async with asyncio.timeout(5):
                    await reader.readexactly(1 + len(b"/multistream/1.0.0\n"))
                    return await reader.readexactly((await reader.readexactly(1))[0])
            finally:
                writer.close()
                await writer.wait_closed()

        assert await ask(b"/noise") == b"/noise\n"
        for other in (b"/plaintext/2.0.0", b"/secio/1.0.0", b"/tls/1.0.0", b"/tls/1.0"):
            assert await ask(other) == b"na\n", f"{other!r} is not offered"
        await bob.network.connect(alice.addresses[0])
        await until(alice.network.peers)  # the dialler is through first
        for one in (alice, bob):
            conn = one.insides._swarm.get_connections()[0]
            assert conn.get_negotiated_security_protocol() == "/noise"
            assert conn.get_negotiated_muxer_protocol() == "/yamux/1.0.0"


async def test_identify_tells_a_stranger_constant_names_only() -> None:
    async with node() as alice:
        alice.network.subscribe("a-derived-topic", lambda *_: None)

        def talk_of(address: Address) -> Callable[[Any, Any], Any]:
            connect = _connect_to(address)

            async def talk(host: Any, trio_: Any) -> Any:
                from libp2p.identity.identify.identify import ID as IDENTIFY
                from libp2p.identity.identify.identify import parse_identify_response
                from libp2p.peer.id import ID

                assert await connect(host, trio_)
                stream = await host.new_stream(ID.from_base58(alice.id), [IDENTIFY])
                raw = b""
                with suppress(Exception):
                    while True:
                        raw += await stream.read(4096)
                return parse_identify_response(raw), raw

            return talk

        told, raw = await asyncio.to_thread(_stranger, talk_of(alice.addresses[0]))
        assert set(told.protocols) == {
            "/ipfs/id/1.0.0",
            "/ipfs/ping/1.0.0",
            "/libp2p/circuit/relay/0.2.0/stop",
            "/libp2p/dcutr",
            "/meshsub/1.1.0",
            "/meshsub/1.0.0",
            ECHO,
            FAIL,
            SINK,
        }
        assert told.agent_version == "py-libp2p/0.8.1"
        assert b"a-derived-topic" not in raw, "topics are for gossip, not for identify"


async def test_a_hundred_garbage_connections_leave_the_host_healthy() -> None:
    async with node() as alice, node() as bob:
        rng = random.Random(7)
        before = fds()
        for at in range(100):
            with socket.create_connection(("127.0.0.1", alice.port)) as stranger:
                with suppress(OSError):
                    stranger.sendall(rng.randbytes(rng.randrange(0, 300)))
                if at % 2:
                    stranger.setsockopt(
                        socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
                    )
        await until(lambda: alice.refusals["handshake"] == 100)
        await bob.network.connect(alice.addresses[0])
        await assert_echoes(bob, alice.id)
        await bob.network.disconnect(alice.id)
        await until(lambda: fds() <= before + 2)
        assert alice.network.state == "up"
        assert alice.refusals["network_restart"] == 0


async def test_idle_strangers_do_not_keep_members_out() -> None:
    limits = Limits(handshake_s=1.0, handshakes_per_host=8)
    async with node(limits=limits) as alice, node() as bob:
        idle = [socket.create_connection(("127.0.0.1", alice.port)) for _ in range(12)]
        try:
            await until(lambda: alice.refusals["handshake"] >= 4)
            await until(lambda: alice.refusals["handshake"] == 12)
            await bob.network.connect(alice.addresses[0])
            await assert_echoes(bob, alice.id)
        finally:
            for stranger in idle:
                stranger.close()


async def test_gossip_made_to_crash_libp2p_does_not() -> None:
    async with node() as alice, node() as bob:
        alice.network.subscribe("hall", lambda *_: None)

        async def hurt(host: Any, trio_: Any) -> None:
            from libp2p.peer.id import ID
            from libp2p.pubsub.pb import rpc_pb2
            from libp2p.utils import encode_varint_prefixed

            assert await _connect_to(alice.addresses[0])(host, trio_)
            bad_key = rpc_pb2.Message(
                data=b"x",
                topicIDs=["hall"],
                from_id=b"nobody",
                seqno=b"1",
                key=b"\xff",
                signature=b"s",
            )
            packets = [
                encode_varint_prefixed(rpc_pb2.RPC(publish=[bad_key]).SerializeToString()),
                encode_varint_prefixed(b"\xff\xff\xff no packet"),
                b"\xff" * 32,
            ]
            for packet in packets:
                stream = await host.new_stream(ID.from_base58(alice.id), ["/meshsub/1.1.0"])
                with suppress(Exception):
                    await stream.write(packet)
                await trio_.sleep(0.2)

        await asyncio.to_thread(_stranger, hurt)
        await until(lambda: alice.refusals["stream"] >= 1)  # a packet that does not parse
        await until(lambda: alice.refusals["gossip_invalid"] == 1)  # a key that does not
        assert alice.refusals["network_restart"] == 0
        assert alice.network.state == "up"
        await bob.network.connect(alice.addresses[0])
        await assert_echoes(bob, alice.id)


async def test_a_peer_that_ignores_its_window_loses_the_connection() -> None:
    async with node(limits=Limits(consumer_s=30)) as alice, node() as bob:

        async def flood(host: Any, trio_: Any) -> bool:
            from libp2p.peer.id import ID

            assert await _connect_to(alice.addresses[0])(host, trio_)
            stream = await host.new_stream(ID.from_base58(alice.id), [SINK])
            stream.muxed_stream.send_window = 1 << 30
            try:
                for _ in range(200):
                    await stream.write((MAX_FRAME).to_bytes(4, "big") + bytes(MAX_FRAME))
            except Exception:
                return True
            return False

        assert await asyncio.to_thread(_stranger, flood), "13 MB do not pass an inbox of 1 MB"
        await until(lambda: alice.refusals["flow"] >= 1)
        await bob.network.connect(alice.addresses[0])
        await assert_echoes(bob, alice.id)


async def test_streams_without_end_are_refused() -> None:
    async with node() as alice, node() as bob:

        async def flood(host: Any, trio_: Any) -> None:
            from libp2p.peer.id import ID

            assert await _connect_to(alice.addresses[0])(host, trio_)
            conn = host.get_network().get_connections(ID.from_base58(alice.id))[0]
            for _ in range(200):
                await conn.muxed_conn.open_stream()
            await trio_.sleep(0.5)

        await asyncio.to_thread(_stranger, flood)
        await until(lambda: alice.refusals["streams"] >= 100)  # few at once are enough for anybody
        await bob.network.connect(alice.addresses[0])
        await assert_echoes(bob, alice.id)
