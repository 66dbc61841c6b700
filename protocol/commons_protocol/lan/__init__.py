"""Finding nodes on the same network without internet. The only package that imports zeroconf.

It says that somebody is at an address, never who: names are random and change, and what the TXT
record carries is sealed by who gives it. It dials nobody.
"""

from commons_protocol.lan.discovery import LanDiscovery, LanState
from commons_protocol.lan.found import FoundPeer
from commons_protocol.lan.interfaces import ThisMachine

__all__ = ["FoundPeer", "LanDiscovery", "LanState", "ThisMachine"]
