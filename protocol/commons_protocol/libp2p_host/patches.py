"""What is changed in the pinned libp2p at run time, and the check that it is still what was read.

Three changes, each to something with no setting of its own:

- Yamux sends window credit on every small read, counts some of it twice, and lets the window of a
  stream grow to 16 MiB. Here what was read is credited once a quarter of the window is due, and
  the window stays at its initial 256 KiB: round trips of 100 bytes went from 908 to 1550 a second
  (two processes on one machine), and `muxer.BoundedYamux` knows what one stream may make us hold.
- No data frame may be longer than that window.
- One module logs through the root logger, which installs a handler there; here through libp2p's
  own, which is silent unless `LIBP2P_DEBUG` is set.

libp2p's 250 ms pause after each successful dial needs no patch: `swarm.GatedSwarm` dials one
address itself. What else the host overrides is checked here too, so that an upgrade fails at
start with a sentence and not later with a wedged connection. This file never imports trio.
"""

import inspect
import logging
import os
from importlib import import_module
from importlib.metadata import version
from typing import Any, Final

PINNED: Final = "0.8.1"

TARGETS: Final[tuple[tuple[str, str, tuple[str, ...]], ...]] = (
    (
        "libp2p.stream_muxer.yamux.yamux",
        "YamuxStream._auto_tune_and_send_window_update",
        ("self", "bytes_read"),
    ),
    (
        "libp2p.stream_muxer.yamux.yamux",
        "YamuxStream.send_window_update",
        ("self", "increment", "skip_lock"),
    ),
    ("libp2p.stream_muxer.yamux.yamux", "MAX_WINDOW_SIZE", ()),
    ("libp2p.stream_muxer.yamux.yamux", "DEFAULT_WINDOW_SIZE", ()),
    ("libp2p.stream_muxer.yamux.yamux", "Yamux._read_data_body", ("self", "length")),
    ("libp2p.stream_muxer.yamux.yamux", "Yamux._write_frame", ("self", "data")),
    (
        "libp2p.stream_muxer.yamux.yamux",
        "Yamux._finalize_stream_locked",
        ("self", "stream", "fully_closed"),
    ),
    ("libp2p.stream_muxer.yamux.yamux", "Yamux.accept_stream", ("self",)),
    ("libp2p.stream_muxer.yamux.yamux", "Yamux._cleanup_on_error", ("self",)),
    (
        "libp2p.stream_muxer.muxer_multistream",
        "MuxerMultistream.new_conn",
        ("self", "conn", "peer_id"),
    ),
    (
        "libp2p.transport.upgrader",
        "TransportUpgrader.upgrade_security",
        ("self", "raw_conn", "is_initiator", "peer_id"),
    ),
    (
        "libp2p.network.swarm",
        "Swarm._handle_inbound_connection",
        ("self", "read_write_closer", "maddr"),
    ),
    ("libp2p.network.swarm", "Swarm.dial_peer", ("self", "peer_id")),
    ("libp2p.network.swarm", "Swarm.add_conn", ("self", "muxed_conn", "direction")),
    ("libp2p.network.connection.swarm_connection", "logging", ()),
    ("libp2p.host.basic_host", "BasicHost._swarm_stream_handler", ("self", "net_stream")),
    ("libp2p.host.basic_host", "BasicHost._schedule_identify", ("self", "peer_id", "reason")),
    (
        "libp2p.network.connection.raw_connection",
        "RawConnection.__init__",
        ("self", "stream", "initiator", "connection_type", "addresses"),
    ),
    ("libp2p.transport.tcp.tcp", "TCP.dial_with_source", ("self", "maddr", "source")),
    (
        "libp2p.relay.circuit_v2.resources",
        "Reservation.__init__",
        ("self", "peer_id", "limits", "host"),
    ),
    (
        "libp2p.utils.varint",
        "read_varint_prefixed_bytes_limited",
        ("reader", "max_length"),
    ),
    ("libp2p.pubsub.pubsub", "Pubsub.push_msg", ("self", "msg_forwarder", "msg")),
    ("libp2p.pubsub.pubsub", "Pubsub._is_subscribed_to_msg", ("self", "msg")),
    ("libp2p.pubsub.pubsub", "Pubsub.notify_subscriptions", ("self", "publish_message")),
    ("libp2p.pubsub.pubsub", "Pubsub.handle_subscription", ("self", "origin_id", "sub_message")),
    (
        "libp2p.tools.anyio_service.trio_manager",
        "TrioManager.run_task",
        ("self", "async_fn", "args", "daemon", "name", "_internal"),
    ),
)
"""(module, attribute, parameter names) of everything that the host patches or overrides."""


class WrongLibp2pError(RuntimeError):
    """The installed libp2p is not the version that this software was written against."""

    hint = f"Install exactly libp2p=={PINNED}."


def check() -> None:
    """Raise `WrongLibp2pError` unless the installed libp2p is the pinned one, as it was read."""
    installed = version("libp2p")
    if installed != PINNED:
        raise WrongLibp2pError(f"libp2p {installed} is installed, libp2p {PINNED} is needed")
    for module, path, parameters in TARGETS:
        target: Any = import_module(module)
        for name in path.split("."):
            target = getattr(target, name, None)
        if target is None:
            raise WrongLibp2pError(f"{module}.{path} is missing: not libp2p {PINNED} as released")
        if parameters and tuple(inspect.signature(target).parameters) != parameters:
            raise WrongLibp2pError(f"{module}.{path} has other parameters than libp2p {PINNED}")


def apply() -> None:
    """Check and patch; a second call changes nothing. Raises `WrongLibp2pError`."""
    check()
    yamux: Any = import_module("libp2p.stream_muxer.yamux.yamux")
    connection: Any = import_module("libp2p.network.connection.swarm_connection")
    _return_credit_in_quarters(yamux.YamuxStream)
    yamux.MAX_WINDOW_SIZE = yamux.DEFAULT_WINDOW_SIZE
    connection.logging = logging.getLogger("libp2p.network.connection")
    _silence()


def _return_credit_in_quarters(stream: Any) -> None:
    """Give a peer back exactly what was read of its window (Yamux spec, "Flow Control")."""

    async def update(self: Any, *, bytes_read: int = 0) -> None:
        self._pending_recv_release += max(bytes_read, 0)
        if self._pending_recv_release < self.target_recv_window // 4:
            return
        credit, self._pending_recv_release = self._pending_recv_release, 0
        async with self.window_lock:
            self.recv_window += credit
        await self.send_window_update(credit)

    stream._auto_tune_and_send_window_update = update


def _silence() -> None:
    if os.environ.get("LIBP2P_DEBUG"):
        return
    logger = logging.getLogger("libp2p")
    logger.setLevel(logging.CRITICAL + 1)
    logger.propagate = False
    if not logger.handlers:
        # Without any handler Python prints warnings to stderr by itself.
        logger.addHandler(logging.NullHandler())
