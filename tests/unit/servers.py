"""Small servers on loopback for tests of what leaves a node: web, mail, MQTT."""

from __future__ import annotations

import asyncio
import base64
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
    """Takes mail (RFC 5321, as little as smtplib needs); ``refuse``: so many first.

    With ``secure`` it offers STARTTLS (RFC 3207) and lets nobody write who has not logged in, over
    TLS, as ``user`` (RFC 4954, PLAIN). ``heard``: each line, and whether it came over TLS.
    """

    port: int = 0
    mails: list[str] = field(default_factory=list)
    to: list[str] = field(default_factory=list)
    refuse: int = 0
    secure: ssl.SSLContext | None = None
    user: tuple[str, str] = ("", "")
    heard: list[tuple[bool, str]] = field(default_factory=list)
    bye: bytes = b"221 bye\r\n"

    def clear(self) -> list[str]:
        """The lines that came in the clear."""
        return [line for safe, line in self.heard if not safe]

    async def serve(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        """One connection."""
        try:
            await self._talk(source, sink)
        except (OSError, asyncio.IncompleteReadError):  # of TLS: a certificate that they refuse
            pass
        finally:
            sink.close()

    async def _talk(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        safe, known = False, self.secure is None
        sink.write(b"220 here\r\n")
        while line := await source.readline():
            self.heard.append((safe, line.decode().strip()))
            word = line[:4].upper()
            if word == b"QUIT":
                sink.write(self.bye)
                break
            if word == b"STAR" and self.secure is not None:
                sink.write(b"220 go on\r\n")
                await sink.drain()
                await sink.start_tls(self.secure)
                safe = True
            elif word == b"EHLO" and self.secure is not None:
                offered = b"AUTH PLAIN" if safe else b"STARTTLS"
                sink.write(b"250-here\r\n250 " + offered + b"\r\n")
            elif word == b"AUTH":
                given = base64.b64decode(line.split()[-1]).decode().split("\0")
                known = safe and tuple(given[1:]) == self.user
                sink.write(b"235 fine\r\n" if known else b"535 5.7.8 not you\r\n")
            elif word in {b"MAIL", b"RCPT", b"DATA"} and not known:
                sink.write(b"530 5.7.0 log in\r\n")
            elif word == b"DATA":
                await self._data(source, sink)
            else:
                if word == b"RCPT":
                    self.to.append(line.decode().strip())
                sink.write(b"250 fine\r\n")

    async def _data(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        sink.write(b"354 go on\r\n")
        data = (await source.readuntil(b"\r\n.\r\n"))[:-5]
        if self.refuse:
            self.refuse -= 1
            sink.write(b"451 later\r\n")
            return
        self.mails.append(data.decode())
        sink.write(b"250 fine\r\n")


@asynccontextmanager
async def mail_server(
    secure: ssl.SSLContext | None = None, user: tuple[str, str] = ("", "")
) -> AsyncIterator[MailServer]:
    """A mail server."""
    made = MailServer(secure=secure, user=user)
    async with listening(made.serve) as port:
        made.port = port
        yield made


@dataclass
class SlowServer:
    """Says one letter after another of a greeting that never ends; ``left``: once they are gone."""

    port: int = 0
    said: int = 0
    began: asyncio.Event = field(default_factory=asyncio.Event)
    left: asyncio.Event = field(default_factory=asyncio.Event)

    async def serve(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        """One connection."""
        gone = asyncio.ensure_future(source.read())
        while not gone.done():
            sink.write(b"2")
            self.said += 1
            self.began.set()
            await asyncio.wait([gone], timeout=0.02)
        sink.close()
        self.left.set()


@asynccontextmanager
async def slow_server() -> AsyncIterator[SlowServer]:
    """A server that never ends what it says."""
    made = SlowServer()
    async with listening(made.serve) as port:
        made.port = port
        yield made


async def mqtt(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    """A broker that has kept 21.5 on every topic (MQTT 3.1.1, as little as a subscriber needs).

    Lets in everybody but eve. A stand-in: no broker in Python is light enough to depend on.
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
                    sink.write(b"\x20\x02\x00" + (b"\x05" if b"eve" in body else b"\x00"))
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
