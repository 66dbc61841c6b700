"""Small servers on loopback for tests of what leaves a node: web, mail, MQTT."""

from __future__ import annotations

import asyncio
import datetime as dt
import ipaddress
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@dataclass
class Asked:
    """One request as it came."""

    line: str
    headers: dict[str, str]
    body: bytes


@dataclass
class WebServer:
    """Answers by path; what nobody has said is 404."""

    port: int = 0
    asked: list[Asked] = field(default_factory=list)
    answers: dict[str, bytes] = field(default_factory=dict)
    slow: asyncio.Event = field(default_factory=asyncio.Event)

    def says(self, path: str, body: bytes = b"", *, status: int = 200, more: str = "") -> None:
        """From now on."""
        head = f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n{more}\r\n"
        self.answers[path] = head.encode() + body

    async def serve(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        """One connection."""
        try:
            head = (await source.readuntil(b"\r\n\r\n")).decode("latin-1")
            line, *rest = head.strip().split("\r\n")
            headers = {k.lower(): v.strip() for k, _, v in (one.partition(":") for one in rest)}
            body = await source.readexactly(int(headers.get("content-length", 0)))
            self.asked.append(Asked(line, headers, body))
            path = line.split()[1]
            if path == "/slow":
                await self.slow.wait()
            sink.write(self.answers.get(path, b"HTTP/1.1 404 X\r\nContent-Length: 0\r\n\r\n"))
            await sink.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            sink.close()


@asynccontextmanager
async def listening(
    serve: Callable[[asyncio.StreamReader, asyncio.StreamWriter], object],
    secure: ssl.SSLContext | None = None,
) -> AsyncIterator[int]:
    """The port of a server on loopback."""
    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=secure)  # type: ignore[arg-type]  # any handler
    try:
        yield int(server.sockets[0].getsockname()[1])
    finally:
        server.close()
        await server.wait_closed()


@asynccontextmanager
async def web_server(secure: ssl.SSLContext | None = None) -> AsyncIterator[WebServer]:
    """A web server."""
    made = WebServer()
    async with listening(made.serve, secure) as port:
        made.port = port
        yield made
        made.slow.set()


def certificate(folder: Path, names: Sequence[str]) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's context, and one of a client that trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a test")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName(
                [*(x509.DNSName(one) for one in names),
                 x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
            ),
            critical=False,
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    pem = made.public_bytes(serialization.Encoding.PEM)
    secret = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    file = folder / "server.pem"
    file.write_bytes(pem + secret)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(file)
    return server, ssl.create_default_context(cadata=pem.decode())


@dataclass
class MailServer:
    """Takes mail (RFC 5321, as little as smtplib needs); ``refuse``: so many first."""

    port: int = 0
    mails: list[str] = field(default_factory=list)
    to: list[str] = field(default_factory=list)
    refuse: int = 0

    async def serve(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        """One connection."""
        sink.write(b"220 here\r\n")
        while line := await source.readline():
            word = line[:4].upper()
            if word == b"DATA":
                sink.write(b"354 go on\r\n")
                data = (await source.readuntil(b"\r\n.\r\n"))[:-5]
                if self.refuse:
                    self.refuse -= 1
                    sink.write(b"451 later\r\n")
                    continue
                self.mails.append(data.decode())
            elif word == b"RCPT":
                self.to.append(line.decode().strip())
            sink.write(b"250 fine\r\n" if word != b"QUIT" else b"221 bye\r\n")
            if word == b"QUIT":
                break
        sink.close()


@asynccontextmanager
async def mail_server() -> AsyncIterator[MailServer]:
    """A mail server."""
    made = MailServer()
    async with listening(made.serve) as port:
        made.port = port
        yield made


async def mqtt(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    """A broker that has kept 21.5 on every topic (MQTT 3.1.1, as little as a subscriber needs).

    A stand-in: no broker in Python is light enough to be a dependency of tests.
    """
    try:
        while head := await source.readexactly(1):
            size, shift = 0, 0
            while True:
                (byte,) = await source.readexactly(1)
                size |= (byte & 0x7F) << shift
                shift += 7
                if not byte & 0x80:
                    break
            body = await source.readexactly(size)
            match head[0] >> 4:
                case 1:
                    sink.write(b"\x20\x02\x00\x00")
                case 8:
                    sink.write(b"\x90\x03" + body[:2] + b"\x00")
                    topic = body[4 : 4 + int.from_bytes(body[2:4])]
                    if topic != b"hall/silent":
                        told = len(topic).to_bytes(2) + topic + b"21.5"
                        sink.write(bytes([0x31, len(told)]) + told)
                case 14:
                    break
            await sink.drain()
    except (asyncio.IncompleteReadError, OSError):
        pass
    finally:
        sink.close()
