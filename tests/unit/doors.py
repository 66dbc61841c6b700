"""The socket of a running node, and what a stranger to our client sees at it: bytes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.cli.shed import PASSPHRASES, REGISTRY, Shed, furnished

from commons_node.api.server import ApiServer
from commons_node.home import Home


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)
        return found

    @property
    def code(self) -> str:
        answer = self.json
        assert answer["v"] == 1
        assert answer["ok"] is False
        error: dict[str, str] = answer["error"]
        assert {"code", "message", "hint"} <= error.keys()
        return error["code"]


@dataclass
class Door:
    """The socket of a running node."""

    path: Path
    shed: Shed
    server: ApiServer

    async def raw(self, request: bytes) -> Answer:
        reader, writer = await asyncio.open_unix_connection(str(self.path))
        try:
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            lines = head.decode("latin-1").split("\r\n")
            headers = {
                name.lower(): value.strip()
                for name, _, value in (line.partition(":") for line in lines[1:] if line)
            }
            length = int(headers.get("content-length", "0"))
            body = await reader.readexactly(length)
            return Answer(int(lines[0].split()[1]), headers, body)
        finally:
            writer.close()

    async def post(self, name: str, body: bytes | object = b"", **headers: str) -> Answer:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return await self.raw(request("POST", f"/v1/commands/{name}", headers, data))

    async def get(self, path: str, **headers: str) -> Answer:
        return await self.raw(request("GET", path, headers, b""))

    async def unlock(self, name: str, session: str = "") -> str:
        arguments = {"member": name, "passphrase": PASSPHRASES[name]}
        headers = {"commons_session": session} if session else {}
        answer = await self.post("member.unlock", arguments, **headers)
        assert answer.status == 200, answer.body
        return str(answer.json["session"])


def request(method: str, path: str, headers: dict[str, str], body: bytes) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", f"Content-Length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


@asynccontextmanager
async def opened(home: Path) -> AsyncIterator[Door]:
    folder = Home(home)
    folder.create()
    shed = await furnished(home)
    path = folder.socket({})
    server = ApiServer(REGISTRY, shed, shed.sessions, path, shed.events)
    await server.start()
    try:
        yield Door(path, shed, server)
    finally:
        await server.stop()
