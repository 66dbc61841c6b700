"""Handlers for tests: each does one thing that a worker must bear. Loaded in workers only."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from commons_node.jobs.handler import HandlerFailed, Host


def mark(host: Host) -> int:
    """Says that it ran in a file outside, and wants one effect and one letter."""
    number = host.given.get("number", host.run)
    host.log(f"run {host.run}, attempt {host.attempt}")
    if "attempts" in host.given:
        with Path(str(host.given["attempts"])).open("a", encoding="ascii") as file:
            file.write(f"{host.run}\n")
    time.sleep(float(host.given.get("seconds", 0)))
    host.effect("sample", f"mark-{host.run}", values={f"run-{host.run}": 1.0})
    if host.given.get("letter"):
        host.effect("outbox", f"letter-{host.run}", to="file", body={"run": host.run})
    return int(number)


def misbehave(host: Host) -> Any:
    """Whatever ``given`` asks for."""
    what = host.given["what"]
    host.log(f"now: {what}")
    match what:
        case "raise":
            raise ValueError("broken on purpose")
        case "give up":
            raise HandlerFailed("hopeless", "nothing can be done", again=False)
        case "eat":
            return len(bytearray(10**11))
        case "fill":
            return len(b"x" * (int(host.given["mib"]) << 20))
        case "sleep":
            time.sleep(10**6)
        case "burn":
            while True:
                pass
        case "die":
            os._exit(3)
        case "talk":
            for n in range(10_000):
                host.log(f"line {n}")
        case "shout":
            host.log("x" * 10**7)
        case "garbage":
            os.write(3, b"\xff" * 4096)
            time.sleep(10)
        case "huge":
            return "x" * (2 << 20)
        case "want":
            for n in range(2_000):
                host.effect("keep", f"e{n}", name="n", value=n)
        case "ask":
            return host.call("view", name="member.list")
        case "write":
            Path(str(host.given["file"])).write_bytes(b"x" * 4096)
    return what
