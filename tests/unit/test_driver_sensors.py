"""Drivers that hear: a serial line, a broker, a camera, with what they really talk to."""

from __future__ import annotations

import os
import pty
import threading
import tty
from pathlib import Path
from typing import Any

import pytest
import segno
from tests.unit.driving import drivers
from tests.unit.servers import listening, mqtt

from commons_node.drivers.driver import Undelivered
from commons_node.drivers.held import BadMessage
from commons_node.drivers.serial_sensor import value_of


async def test_a_sensor_at_a_serial_line(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    tty.setraw(ours)
    device = os.ttyname(theirs)
    stop = threading.Event()

    def tell() -> None:
        while not stop.wait(0.05):
            os.write(ours, b'ne\n{"t": 21.5}\nhalf a li')

    telling = threading.Thread(target=tell, daemon=True)
    telling.start()
    held = drivers(tmp_path, hall={"kind": "serial-sensor", "device": device, "timeout_s": 3})
    try:
        found: Any = await held.ask("hall", {})
        assert found["value"] == {"t": 21.5} or found["line"].startswith("half a line")
        stop.set()
        telling.join()
        mute = drivers(tmp_path, hall={"kind": "serial-sensor", "device": device, "timeout_s": 0.2})
        with pytest.raises(Undelivered, match="no whole line"):
            await mute.ask("hall", {})
        asked = drivers(
            tmp_path,
            hall={"kind": "serial-sensor", "device": device, "ask": "T?\n", "timeout_s": 3},
        )

        def answer() -> None:
            if os.read(ours, 16) == b"T?\n":
                os.write(ours, b"21.5\n")

        answering = threading.Thread(target=answer, daemon=True)
        answering.start()
        assert await asked.ask("hall", {}) == {"line": "21.5", "value": 21.5}
        answering.join(5)
    finally:
        stop.set()
        os.close(ours)
        os.close(theirs)


def test_what_a_line_means() -> None:
    lines = {"21.5": 21.5, '{"a": 1}': {"a": 1}, "t: 3": {"t": 3.0}, "rh=40": {"rh": 40.0},
             "hello": None, "t: warm": None, "[" * 10_000: None}  # fmt: skip
    assert {line: value_of(line) for line in lines} == lines


async def test_a_sensor_behind_a_broker(tmp_path: Path) -> None:
    async with listening(mqtt) as port:
        sensor = {"kind": "mqtt-sensor", "server": "127.0.0.1", "port": port}
        held = drivers(tmp_path, hall={
            **sensor, "topics": ["hall/temperature"],
        }, quiet={**sensor, "topics": ["hall/silent"], "timeout_s": 1})  # fmt: skip
        assert await held.ask("hall", {"topic": "hall/temperature"}) == {
            "topic": "hall/temperature", "line": "21.5", "value": 21.5,
        }  # fmt: skip
        with pytest.raises(Undelivered, match="does not let"):
            await held.ask("hall", {"topic": "bedroom/sound"})
        with pytest.raises(Undelivered, match="nothing on"):
            await held.ask("quiet", {"topic": "hall/silent"})
        (tmp_path / "secret").write_text("guess")
        eves = drivers(tmp_path, hall={
            "kind": "mqtt-sensor", "server": "127.0.0.1", "port": port, "topics": ["hall/x"],
            "user": "eve", "password_file": str(tmp_path / "secret"),
        })  # fmt: skip
        with pytest.raises(Undelivered, match="refuses: Not authorized"):
            await eves.ask("hall", {"topic": "hall/x"})
    with pytest.raises(Undelivered):
        await held.ask("hall", {"topic": "hall/temperature"})


async def test_a_camera_reads_the_codes_of_a_picture(tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    held = drivers(tmp_path, eye={"kind": "camera", "folder": str(folder)})
    with pytest.raises(Undelivered, match="no picture"):
        await held.ask("eye", {})
    segno.make("commons1:DR-1", error="m").save(str(folder / "old.png"), scale=6)
    os.utime(folder / "old.png", (1, 1))
    segno.make("4C1D2E3F4A5B6C7D", micro=False).save(str(folder / "new.png"), scale=6)
    newest: Any = await held.ask("eye", {})
    assert newest == {"name": "new.png",
                      "codes": [{"format": "QRCode", "text": "4C1D2E3F4A5B6C7D"}]}  # fmt: skip
    older: Any = await held.ask("eye", {"name": "old.png"})
    assert older["codes"][0]["text"] == "commons1:DR-1"
    (folder / "broken.png").write_bytes(b"\x89PNG no picture")
    (folder / "secret.png").symlink_to("/etc/passwd")
    with pytest.raises(Undelivered):
        await held.ask("eye", {"name": "broken.png"})
    with pytest.raises(Undelivered, match="no such"):
        await held.ask("eye", {"name": "secret.png"})
    with pytest.raises(BadMessage):
        await held.ask("eye", {"name": "../pictures/new.png"})
