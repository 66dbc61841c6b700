"""What a machine knows of its own networks."""

from __future__ import annotations

from collections.abc import Iterable

import ifaddr
import pytest

from commons_protocol.lan.interfaces import ThisMachine


class Adapters:
    """A machine of which somebody moves the cable."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.here = [("192.168.7.2", 24), ("127.0.0.1", 8)]
        self.asked = 0
        monkeypatch.setattr(ifaddr, "get_adapters", self._get)

    def _get(self) -> Iterable[ifaddr.Adapter]:
        self.asked += 1
        ips = [ifaddr.IP(ip, length, "eth0") for ip, length in self.here]
        return [ifaddr.Adapter("eth0", "eth0", ips)]


def test_who_is_near_is_known_without_asking_for_each(monkeypatch: pytest.MonkeyPatch) -> None:
    adapters, machine = Adapters(monkeypatch), ThisMachine()
    for last in range(1, 100):
        assert machine.is_near(f"192.168.7.{last}")
        assert not machine.is_near(f"192.168.8.{last}")
    assert machine.is_near("127.0.0.1")
    assert not machine.is_near("example.org")
    assert adapters.asked == 1


def test_another_network_is_seen_with_the_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    adapters, machine = Adapters(monkeypatch), ThisMachine()
    assert machine.addresses() == ("192.168.7.2",)
    assert machine.is_near("192.168.7.9")
    adapters.here = [("10.1.0.4", 16)]
    assert machine.addresses() == ("10.1.0.4",)
    assert machine.is_near("10.1.200.1")
    assert not machine.is_near("192.168.7.9")
