"""The line that lets neighbours in through this machine's firewall, whichever it has.

Only looks for programs; changes nothing and asks nobody.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable


def opening(port: int, which: Callable[[str], str | None] = shutil.which) -> str:
    """The command for the TCP port: of ufw, firewalld or nftables; ufw's where none is found."""
    if which("ufw"):
        return f"ufw allow {port}/tcp"
    if which("firewall-cmd"):
        return f"firewall-cmd --permanent --add-port={port}/tcp && firewall-cmd --reload"
    if which("nft"):
        return f"nft add rule inet filter input tcp dport {port} accept"
    return f"ufw allow {port}/tcp"
