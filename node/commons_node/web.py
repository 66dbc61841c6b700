"""One HTTP request to where a list of hosts allows it, bounded in size, time and redirects.

The address is looked up once, looked at, and then dialled itself: a name that means another address
a moment later leads nowhere else. Sends no cookie and nothing else of this host. What agents ask
(``http.fetch``) and what webhooks send goes this one way.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final
from urllib.parse import SplitResult, urljoin, urlsplit

import h11

from commons_crdt.errors import CommonsError

TIMEOUT_S: Final = 15.0
"""Of all of it, redirects included."""
_REDIRECTS: Final = 3
_MOVED: Final = frozenset({301, 302, 303, 307, 308})
_ENTRY: Final = re.compile(
    r"(?P<local>local:)?(?:(?P<scheme>https?)://)?"
    r"(?P<host>(?:\*\.)?[A-Za-z0-9](?:[A-Za-z0-9.-]{0,250}[A-Za-z0-9])?)(?::(?P<port>[0-9]{1,5}))?\Z"
)
_TOLD: Final = frozenset({"content-type", "etag", "last-modified", "retry-after", "date"})
_NAT64: Final = ipaddress.ip_network("64:ff9b::/96")
_PORTS: Final = {"https": 443, "http": 80}

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]


class WebFault(CommonsError):
    """The web server could not be asked: {why}."""

    code = "web"


class Forbidden(CommonsError):
    """Not allowed: {why}."""

    code = "not_granted"


class Larger(CommonsError):
    """The answer is larger than {most} bytes."""

    code = "too_much"


@dataclass(frozen=True, slots=True)
class Allowed:
    """One line of a list of hosts: ``example.org``, ``*.example.org``, ``example.org:8443``.

    ``http://example.org`` allows the unprotected protocol, ``local:…`` private addresses.
    """

    host: str
    port: int
    scheme: str
    local: bool

    @classmethod
    def of(cls, line: str) -> Allowed:
        """Raises ``Forbidden``: a list that cannot be read allows nothing."""
        found = _ENTRY.match(line)
        if found is None:
            raise Forbidden(why=f"{line!r} is no host")
        scheme = found["scheme"] or "https"
        port = int(found["port"] or _PORTS[scheme])
        return cls(found["host"].lower(), port, scheme, bool(found["local"]))

    def fits(self, scheme: str, host: str, port: int) -> bool:
        """Whether this line is about such a place."""
        if (scheme, port) != (self.scheme, self.port):
            return False
        if self.host.startswith("*."):
            return host.endswith(self.host[1:])
        return host == self.host


@dataclass(frozen=True, slots=True)
class Answered:
    """Status, the few headers that are told, and the body."""

    status: int
    headers: Mapping[str, str]
    body: bytes


async def resolve(host: str, port: int) -> Sequence[str]:
    """The addresses of a name, as the system knows them."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=1)
    return list(dict.fromkeys(str(one[4][0]) for one in found))


def public(text: str) -> bool:
    """Whether an address is one of the open internet, and stands for no other one."""
    address: Address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return public(str(address.ipv4_mapped))
        if address.sixtofour or address.teredo or address in _NAT64:
            return False
    return address.is_global and not address.is_multicast


class Web:
    """Asks. ``trust``: whose certificates count; ``find``: how names are looked up."""

    def __init__(self, trust: ssl.SSLContext | None = None, find: Resolve = resolve) -> None:
        """With what the system trusts, if nothing else is said."""
        self._trust = trust
        self._find = find

    async def fetch(
        self,
        url: str,
        allowed: Sequence[Allowed],
        *,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        most: int = 512 << 10,
        timeout_s: float = TIMEOUT_S,
    ) -> Answered:
        """The last answer of at most three redirects, each to where ``allowed`` lets it.

        Raises ``Forbidden``, ``Larger`` or ``WebFault``.
        """
        try:
            async with asyncio.timeout(timeout_s):
                for _ in range(_REDIRECTS + 1):
                    answer, moved = await self._once(
                        url, allowed, method, headers or {}, body, most
                    )
                    if moved is None:
                        return answer
                    url = urljoin(url, moved)
                    if answer.status not in {307, 308} and method != "HEAD":
                        method, body = "GET", b""
        except TimeoutError:
            raise WebFault(why=f"it took longer than {timeout_s:g} s") from None
        except (OSError, ssl.SSLError, h11.ProtocolError, EOFError) as error:
            raise WebFault(why=f"{type(error).__name__}: {error}"[:300]) from None
        raise WebFault(why=f"more than {_REDIRECTS} redirects")

    async def _once(
        self,
        url: str,
        allowed: Sequence[Allowed],
        method: str,
        headers: Mapping[str, str],
        body: bytes,
        most: int,
    ) -> tuple[Answered, str | None]:
        parts, host, port = _parsed(url)
        line = next((one for one in allowed if one.fits(parts.scheme, host, port)), None)
        if line is None:
            raise Forbidden(why=f"{parts.scheme}://{host}:{port}")
        addresses = await self._find(host, port)
        if not line.local and not all(public(one) for one in addresses):
            raise Forbidden(why=f"{host} is an address of a private network")
        if not addresses:
            raise WebFault(why=f"{host} has no address")
        secure = None
        if parts.scheme == "https":
            secure = self._trust or ssl.create_default_context()
        source, sink = await asyncio.open_connection(
            addresses[0], port, ssl=secure, server_hostname=host if secure else None
        )
        try:
            target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            shown = host if port == _PORTS[parts.scheme] else f"{host}:{port}"
            return await _talk(source, sink, method, target, shown, headers, body, most)
        finally:
            sink.close()
            with suppress(OSError, ssl.SSLError):
                await sink.wait_closed()


def _parsed(url: str) -> tuple[SplitResult, str, int]:
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").rstrip("."), parts.port
    except ValueError as error:
        raise Forbidden(why=f"it is no address: {error}") from None
    if parts.scheme not in _PORTS or not host or parts.username is not None or not url.isascii():
        raise Forbidden(why="only http and https, with a host, without a password, in ASCII")
    if not url.isprintable() or " " in url:
        raise Forbidden(why="it has signs that no address has")
    return parts, host, port or _PORTS[parts.scheme]


async def _talk(
    source: asyncio.StreamReader,
    sink: asyncio.StreamWriter,
    method: str,
    target: str,
    host: str,
    headers: Mapping[str, str],
    body: bytes,
    most: int,
) -> tuple[Answered, str | None]:
    talk = h11.Connection(h11.CLIENT)
    fields = {"Host": host, "User-Agent": "commons-node", "Accept-Encoding": "identity",
              "Connection": "close", **headers}  # fmt: skip
    if body or method == "POST":
        fields["Content-Length"] = str(len(body))
    sink.write(
        talk.send(h11.Request(method=method, target=target, headers=list(fields.items()))) or b""
    )
    if body:
        sink.write(talk.send(h11.Data(data=body)) or b"")
    sink.write(talk.send(h11.EndOfMessage()) or b"")
    await sink.drain()
    head: h11.Response | None = None
    data = bytearray()
    while True:
        event = talk.next_event()
        if event is h11.NEED_DATA:
            talk.receive_data(await source.read(16_384))
        elif isinstance(event, h11.Response):
            head = event
        elif isinstance(event, h11.Data):
            data += event.data
            if len(data) > most:
                raise Larger(most=most)
        elif isinstance(event, h11.EndOfMessage | h11.ConnectionClosed) or event is h11.PAUSED:
            break
    if head is None:
        raise WebFault(why="it said nothing")
    found = {k.decode("latin-1").lower(): v.decode("latin-1") for k, v in head.headers}
    told = {name: value for name, value in found.items() if name in _TOLD}
    moved = found.get("location") if head.status_code in _MOVED else None
    return Answered(head.status_code, told, bytes(data)), moved
