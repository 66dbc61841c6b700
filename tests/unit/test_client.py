"""The client against servers that are not well: it always ends, with a code and a way out."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from commons_node.api import client as client_module
from commons_node.api.client import ApiError, Client
from commons_node.api.types import HTTP_STATUS, ExitCode, exit_code

Serve = Callable[[bytes], Client]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """A server that reads a request, answers these bytes, and hangs up or waits."""
    threads: list[threading.Thread] = []
    over = threading.Event()

    def start(answer: bytes) -> Client:
        path = tmp_path / f"s{len(threads)}"
        listening = socket.socket(socket.AF_UNIX)
        listening.bind(str(path))
        listening.listen()

        def one() -> None:
            with listening, listening.accept()[0] as connection:
                connection.recv(65536)
                connection.sendall(answer)
                if not answer or answer.endswith(b"..."):
                    over.wait(10)

        thread = threading.Thread(target=one)
        thread.start()
        threads.append(thread)
        return Client(path)

    yield start
    over.set()
    for thread in threads:
        thread.join(10)


def http(body: bytes, length: int | None = None, status: str = "200 OK") -> bytes:
    size = len(body) if length is None else length
    return f"HTTP/1.1 {status}\r\nContent-Length: {size}\r\n\r\n".encode() + body


@pytest.mark.parametrize(
    ("answer", "code", "exit_with"),
    [
        (http(b'{"v":1,"ok"', 99), "stopped", ExitCode.NOT_RUNNING),
        (b"HTTP/1.1 200", "internal", ExitCode.FAILED),
        (b"\x00\xff nonsense\r\n\r\n", "stopped", ExitCode.NOT_RUNNING),
        (http(b"not json"), "internal", ExitCode.FAILED),
        (http(b"[1]"), "internal", ExitCode.FAILED),
        (http(b"\xff"), "internal", ExitCode.FAILED),
        (http(b"plain", status="400 Bad"), "internal", ExitCode.USAGE),
        (http(b'{"error":7}', status="500 Oh"), "internal", ExitCode.FAILED),
        (http(b'{"error":{"code":"locked"}}', status="403 No"), "locked", ExitCode.LOCKED),
    ],
)
def test_a_broken_answer_is_an_error_with_a_code(
    serve: Serve, answer: bytes, code: str, exit_with: ExitCode
) -> None:
    with pytest.raises(ApiError) as failed:
        serve(answer).view("status", {}, 5.0)
    assert failed.value.code == code
    assert failed.value.exit == exit_with


@pytest.mark.parametrize("answer", [b"", http(b'{"v":1...', 99)])
def test_a_silent_node_ends_with_the_time(
    serve: Serve, answer: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "GRACE_S", 0.1)
    began = time.monotonic()
    with pytest.raises(ApiError) as failed:
        serve(answer).view("status", {}, 0.3)
    assert failed.value.exit == ExitCode.TIMEOUT
    assert time.monotonic() - began < 8


def test_what_is_no_socket_is_a_node_that_does_not_run(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "nothing", tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(ApiError) as failed:
            Client(path).view("status", {}, 1.0)
        assert failed.value.exit == ExitCode.NOT_RUNNING
        assert failed.value.hint == "commons-node run"


def test_a_body_that_is_too_large_is_not_even_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "MAX_FILE_BODY", 10)
    with pytest.raises(ApiError) as failed:
        Client(tmp_path / "nothing").command("x", {"file": "x" * 11}, 1.0)
    assert failed.value.code == "too_large"


def test_every_class_of_error_has_its_exit_code() -> None:
    assert {name: exit_code(status) for name, status in HTTP_STATUS.items()} == {
        "failed": ExitCode.FAILED,
        "usage": ExitCode.USAGE,
        "locked": ExitCode.LOCKED,
        "not_found": ExitCode.FAILED,
        "too_large": ExitCode.USAGE,
        "internal": ExitCode.FAILED,
        "unavailable": ExitCode.FAILED,
        "timeout": ExitCode.TIMEOUT,
    }
    assert exit_code(200) == ExitCode.OK


def test_an_event_stream_that_breaks_is_told(serve: Serve) -> None:
    client = serve(b'HTTP/1.1 200 OK\r\n\r\n: here\n\ndata: {"event":"a"}\n\n')
    assert list(client.events()) == [{"event": "a"}], "comments are no events"
    busy = serve(http(b'{"error":{"code":"busy","message":"m","hint":""}}', status="503 Busy"))
    with pytest.raises(ApiError) as failed:
        list(busy.events())
    assert failed.value.code == "busy"
