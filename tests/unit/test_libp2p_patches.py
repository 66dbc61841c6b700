"""The pinned libp2p still has what the host patches and overrides; another one is refused."""

import asyncio
from importlib import import_module
from typing import Any

import pytest

from commons_protocol.libp2p_host import patches


def test_the_installed_libp2p_is_the_one_that_was_read() -> None:
    patches.check()


def test_another_version_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patches, "version", lambda _: "0.9.0")
    with pytest.raises(patches.WrongLibp2pError, match=r"0\.9\.0 is installed, libp2p 0\.8\.1"):
        patches.apply()
    assert "libp2p==0.8.1" in patches.WrongLibp2pError.hint, "the hint is the command's argument"


@pytest.mark.parametrize(
    ("target", "sentence"),
    [
        (("libp2p.network.swarm", "Swarm.no_such_method", ()), "is missing"),
        (("libp2p.network.swarm", "Swarm.dial_peer", ("self", "other")), "other parameters"),
    ],
)
def test_a_changed_target_is_refused(
    target: tuple[str, str, tuple[str, ...]], sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patches, "TARGETS", (*patches.TARGETS, target))
    with pytest.raises(patches.WrongLibp2pError, match=sentence):
        patches.check()


def test_a_receive_window_never_grows() -> None:
    yamux: Any = import_module("libp2p.stream_muxer.yamux.yamux")
    patches.apply()
    patches.apply()
    assert yamux.MAX_WINDOW_SIZE == yamux.DEFAULT_WINDOW_SIZE == 256 * 1024, (
        "so what a peer can make us hold is known, however often the patches are applied"
    )


async def test_credit_goes_out_once_a_quarter_of_the_window_is_due() -> None:
    yamux: Any = import_module("libp2p.stream_muxer.yamux.yamux")
    patches.apply()
    sent: list[int] = []

    class Stream:
        target_recv_window = 400
        recv_window = 0
        _pending_recv_release = 0
        window_lock = asyncio.Lock()

        async def send_window_update(self, increment: int) -> None:
            sent.append(increment)

    stream = Stream()
    for _ in range(25):
        await yamux.YamuxStream._auto_tune_and_send_window_update(stream, bytes_read=10)
    assert sent == [100, 100], "many small reads make few window updates, and none is lost"
    assert stream.recv_window == 200, "credit is what was read, never more"
    assert stream._pending_recv_release == 50


def test_libp2p_logs_nothing_and_the_root_logger_is_left_alone() -> None:
    import logging

    before = list(logging.getLogger().handlers)
    patches.apply()
    connection: Any = import_module("libp2p.network.connection.swarm_connection")
    connection.logging.warning("said by a connection")
    logging.getLogger("libp2p.network.swarm").error("said by the swarm")
    assert logging.getLogger().handlers == before, "libp2p adds no handler to the root logger"
    assert not logging.getLogger("libp2p.network.swarm").isEnabledFor(logging.CRITICAL)
