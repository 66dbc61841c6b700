"""`LanDiscovery`: announce this node on the local network and hear the others.

Instance and host names are random, say nothing, and change every `rotate_s`; addresses and port
must stay readable. Multicast that does not work is a state with a reason, tried
again when the machine's addresses change: a node without it still has its other ways. Nothing
here waits for the internet.
"""

import asyncio
import logging
import secrets
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

from zeroconf import Error as ZeroconfError
from zeroconf import IPVersion, ServiceStateChange, Zeroconf
from zeroconf.asyncio import AsyncServiceBrowser, AsyncServiceInfo, AsyncZeroconf

from commons_protocol.lan import interfaces as machine
from commons_protocol.lan.found import FoundPeer, Memory, check_own, parse

SERVICE = "_commons._tcp.local."
POLL_S = 3.0
RETRY_S = 60.0
ROTATE_S = 3600.0
MOST_LOOKUPS = 32
"""Announcements resolved at once; more are dropped and heard again with their next announcement."""
LOOKUP_MS = 3000
STEP_S = 5.0

_log = logging.getLogger(__name__)

OnFound = Callable[[FoundPeer], None]


@dataclass(frozen=True, slots=True)
class LanState:
    """`up`, or `off` with the reason as a sentence."""

    state: Literal["up", "off"]
    reason: str = ""


class LanDiscovery:
    """One announcement and one listener. All methods run in the asyncio loop."""

    def __init__(self) -> None:
        self._state = LanState("off", "it has not been started")
        self._memory = Memory()
        self._own: deque[str] = deque(maxlen=64)
        self._zeroconf: AsyncZeroconf | None = None
        self._browser: AsyncServiceBrowser | None = None
        self._info: AsyncServiceInfo | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._lookups: set[asyncio.Task[None]] = set()
        self._wanted: tuple[str, ...] | None = None
        self._ips: tuple[str, ...] = ()
        self._port = 0
        self._rotate_s = ROTATE_S
        self._txt: Callable[[], Mapping[str, bytes]] = dict
        self._on_found: OnFound = lambda _: None

    @property
    def state(self) -> LanState:
        return self._state

    @property
    def instance(self) -> str | None:
        """The present instance name, 16 hexadecimal digits, or None while off."""
        return self._info.name.split(".")[0] if self._info else None

    def found(self) -> tuple[FoundPeer, ...]:
        """Who was heard of late."""
        return self._memory.peers()

    async def start(
        self,
        interfaces: Sequence[str] | None,
        port: int,
        txt: Callable[[], Mapping[str, bytes]],
        on_found: OnFound,
        rotate_s: float = ROTATE_S,
    ) -> LanState:
        """Announce `port` with the record that `txt()` gives anew for every name.

        `interfaces` are IPv4 addresses of this machine (127.0.0.1 too), None for all but
        loopback. Does not raise where multicast fails: the state says so. `ValueError` if `txt()`
        is out of bounds. `on_found` hears every new or changed announcement but our own.
        """
        logging.getLogger("zeroconf").addFilter(_in_one_line)
        check_own(txt())
        self._wanted = None if interfaces is None else tuple(interfaces)
        self._port, self._txt, self._on_found = port, txt, on_found
        self._rotate_s = rotate_s
        self._ips = self._present()
        await self._open()
        self._keeper = asyncio.create_task(self._keep(), name="lan discovery")
        return self._state

    async def stop(self) -> None:
        """Say goodbye and close; bounded in time, never raises."""
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            keeper.cancel()
            await asyncio.wait([keeper])
        await self._shut()
        self._memory.clear()
        self._state = LanState("off", "it was stopped")

    async def rotate(self) -> None:
        """Take a new random name and a fresh record, then withdraw the old one."""
        zeroconf, old = self._zeroconf, self._info
        if zeroconf is None:
            return
        await self._announce(zeroconf)
        if old is not None:
            await _bounded(zeroconf.async_unregister_service(old))

    def _present(self) -> tuple[str, ...]:
        return machine.current() if self._wanted is None else machine.present(self._wanted)

    async def _open(self) -> None:
        if not self._ips:
            self._state = LanState("off", "this machine is on no network")
            return
        try:
            self._zeroconf = AsyncZeroconf(list(self._ips), ip_version=IPVersion.V4Only)
            self._browser = AsyncServiceBrowser(
                self._zeroconf.zeroconf, SERVICE, handlers=[self._heard]
            )
            await self._announce(self._zeroconf)
        except (OSError, ZeroconfError, TimeoutError, ValueError) as error:
            await self._shut()
            self._state = LanState("off", f"multicast does not work here: {error}")
            _log.warning("LAN discovery is off: %s", error)
        else:
            self._state = LanState("up")

    async def _announce(self, zeroconf: AsyncZeroconf) -> None:
        name = secrets.token_hex(8)
        info = AsyncServiceInfo(
            SERVICE,
            f"{name}.{SERVICE}",
            port=self._port,
            properties=check_own(self._txt()),
            server=f"{secrets.token_hex(8)}.local.",
            parsed_addresses=list(self._ips),
        )
        # Before it is sent: our own listener hears it first.
        self._own.append(info.name)
        async with asyncio.timeout(STEP_S):
            await (await zeroconf.async_register_service(info))
        self._info = info

    async def _shut(self) -> None:
        zeroconf, self._zeroconf = self._zeroconf, None
        browser, self._browser = self._browser, None
        self._info = None
        for task in tuple(self._lookups):
            task.cancel()
        if zeroconf is not None:
            await _bounded(zeroconf.async_unregister_all_services())
            if browser is not None:
                await _bounded(browser.async_cancel())
            await _bounded(zeroconf.async_close())

    async def _keep(self) -> None:
        """Follow the machine's addresses, and rotate."""
        loop = asyncio.get_running_loop()
        rotate_at = loop.time() + self._rotate_s
        retry_at = loop.time() + RETRY_S
        while True:
            await asyncio.sleep(max(0.0, min(POLL_S, rotate_at - loop.time())))
            ips = self._present()
            changed = ips != self._ips
            try:
                if changed or (self._zeroconf is None and loop.time() >= retry_at):
                    self._ips = ips
                    await self._shut()
                    self._memory.clear()
                    await self._open()
                    retry_at = loop.time() + RETRY_S
                if loop.time() >= rotate_at:
                    await self.rotate()
            except Exception:
                # The record's maker failed: try again with the next turn.
                _log.exception("LAN discovery could not renew its announcement")
            if loop.time() >= rotate_at:
                rotate_at = loop.time() + self._rotate_s

    def _heard(
        self, zeroconf: Zeroconf, service_type: str, name: str, state_change: ServiceStateChange
    ) -> None:
        """Called by zeroconf, with these names, for every change."""
        del service_type
        if name in self._own:
            return
        if state_change is ServiceStateChange.Removed:
            self._memory.forget(name)
        elif len(self._lookups) < MOST_LOOKUPS:
            task = asyncio.get_running_loop().create_task(self._look_up(zeroconf, name))
            self._lookups.add(task)
            task.add_done_callback(self._lookups.discard)

    async def _look_up(self, zeroconf: Zeroconf, name: str) -> None:
        try:
            info = AsyncServiceInfo(SERVICE, name)
            if not await info.async_request(zeroconf, LOOKUP_MS):
                return
            peer = parse(info.parsed_addresses(), info.port, info.properties)
        except (ZeroconfError, OSError, ValueError):
            return
        if peer is None or not self._memory.learn(name, peer):
            return
        try:
            self._on_found(peer)
        except Exception:
            _log.exception("on_found failed")


def _in_one_line(record: logging.LogRecord) -> bool:
    """zeroconf reports a network that has gone with a traceback; it is no fault of a program."""
    record.exc_info = None
    return True


async def _bounded(step: Awaitable[object]) -> None:
    """Await one step of closing for a while; whatever happens to it, closing goes on."""
    with suppress(Exception):
        async with asyncio.timeout(STEP_S):
            sent = await step
            if isinstance(sent, Awaitable):
                # zeroconf gives the sending of a goodbye to be awaited in turn.
                await sent
