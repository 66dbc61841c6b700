"""Networks of our own, made of Linux namespaces: homes, switches, routers with NAT.

Everything stands in namespaces that this module makes, nothing in the machine's own network; the
names begin with the process's id, and what an earlier process left behind is swept first. All of it
is gone at the end, however a test ends. Needs root, `ip` and `nft`.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

_CALL_S = 20.0
_ETC = Path("/etc/netns")
_RUN = Path("/run/netns")
_NAME = re.compile(r"cn([0-9]+)-")

NO_NAMES = "192.0.2.53"
"""The name server of every place: nobody is there, and whoever asks it is overheard."""


_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
"""Where programs for root are, which not every path names."""


def run(*words: str, given: str | None = None) -> str:
    """Run a program that sets up a network; its output. An error has what it said."""
    done = subprocess.run(
        words,
        env={**os.environ, "PATH": _PATH},
        input=given,
        capture_output=True,
        text=True,
        timeout=_CALL_S,
        check=False,
    )
    assert done.returncode == 0, f"{' '.join(words)}: {done.stderr.strip()}"
    return done.stdout


class Place:
    """A namespace: a computer, a switch or a router."""

    def __init__(self, name: str, full: str) -> None:
        """Made by ``Wires``."""
        self.name = name
        self.full = full

    @property
    def under(self) -> Sequence[str]:
        """What a command line begins with to run here; the process keeps its id."""
        return ("ip", "netns", "exec", self.full)

    def ip(self, *words: str) -> str:
        """The ``ip`` program here."""
        return run("ip", "-n", self.full, *words)

    def run(self, *words: str, given: str | None = None) -> str:
        """Any program here, to its end."""
        return run(*self.under, *words, given=given)

    def rules(self, text: str) -> None:
        """Replace this place's packet filter, in the language of `nft`."""
        self.run("nft", "-f", "-", given=f"flush ruleset\n{text}")

    def has(self, address: str, interface: str = "eth0") -> None:
        """Take an address, such as 10.0.0.2/24."""
        self.ip("address", "add", address, "dev", interface)

    def loses(self, address: str, interface: str = "eth0") -> None:
        """Lose it again."""
        self.ip("address", "del", address, "dev", interface)

    def default(self, router: str) -> None:
        """Send what is for elsewhere to a router."""
        self.ip("route", "add", "default", "via", router)


class Wires:
    """Namespaces, and the wires between them."""

    def __init__(self) -> None:
        """Use ``wires``."""
        self._places: list[Place] = []

    def place(self, name: str) -> Place:
        """A computer without any network yet; no IPv6, so that nothing speaks unasked."""
        full = f"cn{os.getpid()}-{name}"
        run("ip", "netns", "add", full)
        place = Place(name, full)
        self._places.append(place)
        etc = _ETC / full
        etc.mkdir(parents=True)
        (etc / "resolv.conf").write_text(f"nameserver {NO_NAMES}\noptions timeout:1 attempts:1\n")
        place.ip("link", "set", "lo", "up")
        place.run("sh", "-c", "echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6")
        place.run("sh", "-c", "echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6")
        return place

    def switch(self, name: str) -> Place:
        """A box that joins what is plugged into it."""
        place = self.place(name)
        # Without snooping: what is multicast goes to everybody, as on a plain switch.
        place.ip("link", "add", "br0", "type", "bridge", "mcast_snooping", "0")
        place.ip("link", "set", "br0", "up")
        return place

    def plug(self, place: Place, switch: Place, address: str, interface: str = "eth0") -> None:
        """A cable from a computer to a switch."""
        port = f"{place.name}-{interface}"[:15]
        place.ip(
            "link", "add", interface, "type", "veth", "peer", "name", port, "netns", switch.full
        )
        switch.ip("link", "set", port, "master", "br0", "up")
        place.ip("link", "set", interface, "up")
        place.has(address, interface)

    def router(
        self,
        name: str,
        lan: Place,
        inside: str,
        net: Place,
        outside: str,
        *,
        keeps_ports: bool = False,
    ) -> Place:
        """A home's router: masquerades, and lets nobody in who was not asked for.

        ``keeps_ports``: a computer's port is the router's, whoever is spoken to; otherwise random.
        """
        router = self.place(name)
        self.plug(router, lan, inside, "lan")
        self.plug(router, net, outside, "wan")
        router.run("sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward")
        router.rules(
            "table ip home {\n"
            " chain out {\n"
            "  type nat hook postrouting priority 100\n"
            f'  oifname "wan" masquerade{"" if keeps_ports else " fully-random"}\n'
            " }\n"
            " chain through {\n"
            "  type filter hook forward priority 0\n"
            '  iifname "wan" ct state != { established, related } drop\n'
            " }\n"
            " chain here {\n"
            "  type filter hook input priority 0\n"
            '  iifname "wan" ct state != { established, related } drop\n'
            " }\n"
            "}\n"
        )
        return router

    def close(self) -> None:
        """Remove everything that was made."""
        for place in reversed(self._places):
            _remove(place.full)


def _remove(full: str) -> None:
    with suppress(AssertionError, subprocess.TimeoutExpired):
        run("ip", "netns", "del", full)
    shutil.rmtree(_ETC / full, ignore_errors=True)


def _sweep() -> None:
    """Remove what a killed run left behind; never what a living process made."""
    left = {*(_RUN.iterdir() if _RUN.exists() else ()), *(_ETC.iterdir() if _ETC.exists() else ())}
    for name in {one.name for one in left}:
        found = _NAME.match(name)
        if found and not Path(f"/proc/{found[1]}").exists():
            _remove(name)


def why_not() -> str:
    """Why no networks can be made here; "" if they can."""
    for program, package in (("ip", "iproute2"), ("nft", "nftables")):
        if shutil.which(program, path=_PATH) is None:
            return f"{program} is missing: apt-get install {package}"
    if os.geteuid() != 0:
        return "making network namespaces takes root"
    made = Wires()
    try:
        _sweep()
        switch, one = made.switch("probe"), made.place("probed")
        made.plug(one, switch, "10.99.0.1/24")
        one.rules("table ip t {\n chain c {\n type nat hook postrouting priority 100\n }\n}\n")
    except (AssertionError, OSError, subprocess.TimeoutExpired) as error:
        return f"this machine does not permit network namespaces: {error}"
    finally:
        made.close()
    return ""


@contextmanager
def wires() -> Iterator[Wires]:
    """Networks that are gone afterwards; skips where they cannot be, fails with ``CI=true``."""
    if reason := why_not():
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    made = Wires()
    try:
        yield made
    finally:
        made.close()
