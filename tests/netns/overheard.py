"""What passes an interface of a namespace, as another machine on that cable would see it."""

from __future__ import annotations

import ctypes
import os
import socket
import struct
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from tests.netns.wires import Place

_CLONE_NEWNET = 0x40000000
_EVERYTHING = 3
_RCVBUFFORCE, _SOL_PACKET, _ADD_MEMBERSHIP, _PROMISCUOUS = 33, 263, 1, 1
_MOST_BYTES = 64 << 20
_NO_CHANCE = 5
_ARP, _IP = 0x0806, 0x0800
UDP, TCP = 17, 6


@dataclass(frozen=True, slots=True)
class Packet:
    """One frame. ``kind``: "arp", "udp", "tcp", or another protocol's number."""

    kind: str
    source: str
    target: str
    port: int
    data: bytes


class Overheard:
    """Collects in a thread until its end; at most 64 MiB are kept, and more is an error."""

    def __init__(self, tap: socket.socket) -> None:
        """Use ``overhear``."""
        self._tap = tap
        self._frames: list[bytes] = []
        self._bytes = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._collect, daemon=True)
        self._thread.start()

    def _collect(self) -> None:
        self._tap.settimeout(0.2)
        while not self._ended.is_set():
            with suppress(TimeoutError):
                frame = self._tap.recv(1 << 17)
                self._bytes += len(frame)
                if self._bytes <= _MOST_BYTES:
                    self._frames.append(frame)

    def packets(self) -> list[Packet]:
        """Everything so far."""
        assert self._bytes <= _MOST_BYTES, "everything was kept"
        return [_read(frame) for frame in list(self._frames)]

    def raw(self) -> bytes:
        """All bytes so far, frame after frame."""
        assert self._bytes <= _MOST_BYTES, "everything was kept"
        return b"\n".join(self._frames)

    def assert_sealed(self, *words: str) -> None:
        """None was to be read; an id's bytes neither. Fewer than five bytes may stand in ciphertext
        by chance: three do once in 16 MB.
        """
        said = self.raw()
        for word in words:
            assert len(word) >= _NO_CHANCE, f"{word} could stand there by chance"
            assert word.encode() not in said, f"{word} is to be read"
            with suppress(ValueError):
                assert bytes.fromhex(word) not in said, f"the bytes {word} are to be read"

    def close(self) -> None:
        """Stop listening."""
        self._ended.set()
        self._thread.join(5)
        self._tap.close()


@contextmanager
def overhear(place: Place, interface: str) -> Iterator[Overheard]:
    """Listen at an interface of a place, both directions, from now to the end of the block."""
    with ThreadPoolExecutor(1) as aside:  # its thread moves, and ends there
        tap = aside.submit(_tap, place.full, interface).result(10)
    heard = Overheard(tap)
    try:
        yield heard
        time.sleep(0.3)  # what is on its way
    finally:
        heard.close()


def _tap(full: str, interface: str) -> socket.socket:
    fd = os.open(f"/run/netns/{full}", os.O_RDONLY)
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.setns(fd, _CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")
    finally:
        os.close(fd)
    tap = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_EVERYTHING))
    tap.setsockopt(socket.SOL_SOCKET, _RCVBUFFORCE, 16 << 20)
    tap.bind((interface, 0))
    # A switch shows what it passes on only to who wants everything.
    wanted = struct.pack("iHH8s", socket.if_nametoindex(interface), _PROMISCUOUS, 0, b"")
    tap.setsockopt(_SOL_PACKET, _ADD_MEMBERSHIP, wanted)
    return tap


def _read(frame: bytes) -> Packet:
    (ethertype,) = struct.unpack_from("!H", frame, 12)
    if ethertype == _ARP:
        return Packet("arp", _dotted(frame[28:32]), _dotted(frame[38:42]), 0, frame)
    if ethertype != _IP:
        return Packet(f"{ethertype:#06x}", "", "", 0, frame)
    start = 14 + (frame[14] & 15) * 4
    protocol, source, target = frame[23], _dotted(frame[26:30]), _dotted(frame[30:34])
    if protocol not in {UDP, TCP}:
        return Packet(str(protocol), source, target, 0, frame[start:])
    (port,) = struct.unpack_from("!H", frame, start + 2)
    return Packet({UDP: "udp", TCP: "tcp"}[protocol], source, target, port, frame[start:])


def _dotted(four: bytes) -> str:
    return ".".join(map(str, four))
