"""Whether the node can be reached and reaches others: its port, multicast, its peers.

Sends nothing to anybody else: the port is tried on this machine, the multicast does not leave it,
and of its peers the running node is asked.
"""

from __future__ import annotations

import ipaddress
import socket
import sqlite3
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from commons_crdt.texts import _
from commons_node.api.client import ApiError, Client
from commons_node.config import Config
from commons_node.doctor.check import Check
from commons_node.service.firewall import opening
from commons_protocol.lan.interfaces import current, present

_ASK_S: Final = 10.0
_DIAL_S: Final = 2.0
_GROUP: Final = "239.255.67.78"
"""Of the range that is each site's own (RFC 2365); not the group of mDNS, which others hear."""
_AWAY: Final = frozenset({"unreachable", "unknown", "blocked", "stranger"})


def asked(client: Client) -> tuple[Check, Mapping[str, Any] | None]:
    """Whether the node runs and answers; its status if it does."""
    try:
        status = client.view("status", {}, _ASK_S)
    except ApiError as error:
        if error.code == "not_running":
            told = _("The node does not run; what only a running node knows was not asked.")
            return Check("node", "warn", told, "commons-node run", {"running": False}), None
        told = _("The node does not answer: {error}").format(error=error)
        fix = _("look into its log; then stop it and start it again: commons-node run")
        return Check("node", "fail", told, fix, {"running": True, "answers": False}), None
    facts = {"running": True, "answers": True, "uptime_s": int(status["uptime_s"])}
    if down := sorted(name for name, word in status["health"].items() if word == "down"):
        told = _("It runs, and does not do its work: {parts}.").format(parts=", ".join(down))
        fix = _("commons-node status says why; docs/host/metrics.md, Health, what each part is")
        facts |= {f"down_{name}": True for name in down}
        return Check("node", "fail", told, fix, facts), status
    return Check(
        "node",
        "ok",
        _("It runs since {uptime_s} s.").format(uptime_s=int(status["uptime_s"])),
        "",
        facts,
    ), status


def port(kept: str | None, addresses: Sequence[str], *, running: bool) -> Check:
    """Whether something listens on the node's port, or could."""
    wanted = port_in(addresses) or (int(kept) if kept else None)
    if wanted is None:
        told = _("No port was taken yet: the first start takes a free one and keeps it.")
        return Check("port", "ok", told, "", {"known": False})
    facts = {"known": True, "running": running}
    if running:
        if _answers(wanted):
            told = _("It listens on TCP port {wanted}.").format(wanted=wanted)
            fix = _(
                "others reach it if your router and firewall let TCP {wanted} in: {line}"
            ).format(wanted=wanted, line=opening(wanted))
            return Check("port", "ok", told, fix, {**facts, "listens": True})
        fix = _("look at `listen` in config.toml, and start the node again")
        told = _("The node runs, and nothing answers on TCP port {wanted} of this machine.").format(
            wanted=wanted
        )
        return Check("port", "warn", told, fix, {**facts, "listens": False})
    if _free(wanted):
        return Check(
            "port",
            "ok",
            _("TCP port {wanted} is free.").format(wanted=wanted),
            "",
            {**facts, "free": True},
        )
    fix = _(
        "the node takes another one, and neighbours who dial the old one do not find it: free it"
    )
    told = _("Another program listens on TCP port {wanted}.").format(wanted=wanted)
    return Check("port", "warn", told, fix, {**facts, "free": False})


def port_in(addresses: Sequence[str]) -> int | None:
    """The first port that was chosen."""
    return next((port for port in map(_tcp, addresses) if port), None)


def _tcp(address: str) -> int | None:
    words = address.split("/")
    return int(words[words.index("tcp") + 1]) if "tcp" in words else None


def _answers(number: int) -> bool:
    for host in ("127.0.0.1", *current()):
        try:
            with socket.create_connection((host, number), timeout=_DIAL_S):
                return True
        except OSError:
            continue
    return False


def _free(number: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", number))
        except OSError:
            return False
    return True


def kept_port(node_db: Path) -> str | None:
    """The port that the node keeps, as its database says."""
    try:
        with closing(sqlite3.connect(f"{node_db.as_uri()}?mode=ro", uri=True, timeout=10)) as file:
            rows = file.execute("SELECT value FROM settings WHERE name = 'port'").fetchall()
    except sqlite3.Error:
        return None
    return str(rows[0][0]) if rows and str(rows[0][0]).isdigit() else None


def multicast(config: Config) -> Check:
    """Whether neighbours on the LAN can be found: each interface hears its own multicast."""
    if not config.lan:
        told = _("Looking for neighbours on the LAN is switched off (lan = false).")
        return Check("multicast", "ok", told, "", {"wanted": False})
    wanted = present(config.lan_interfaces) if config.lan_interfaces else current()
    deaf = [one for one in wanted if not _hears(one)]
    facts = {"wanted": True, "interfaces": len(wanted), "deaf": len(deaf)}
    if not wanted:
        fix = _("plug in a cable or join a Wi-Fi; bundles on a USB stick need no network")
        return Check("multicast", "warn", _("This machine is in no network."), fix, facts)
    if deaf:
        fix = _(
            "let UDP port 5353 and IGMP pass in the firewall (ufw allow 5353/udp), or name "
            "the neighbour: commons-node peer connect ADDRESS"
        )
        told = _("No multicast on {deaf}: neighbours there are not found by themselves.").format(
            deaf=", ".join(deaf)
        )
        return Check("multicast", "warn", told, fix, facts)
    told = _("Multicast works on {wanted}, as far as this machine can tell.").format(
        wanted=", ".join(wanted)
    )
    return Check("multicast", "ok", told, "", facts)


def _hears(interface: str) -> bool:
    """Whether a packet to a group comes back on the interface; it does not leave the machine."""
    try:
        packed = ipaddress.IPv4Address(interface).packed
        with (
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ear,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mouth,
        ):
            ear.bind(("", 0))
            ear.settimeout(1.0)
            group = socket.inet_aton(_GROUP) + packed
            ear.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, group)
            mouth.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, packed)
            mouth.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 0)
            mouth.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 1)
            mouth.sendto(b"commons-node doctor", (_GROUP, ear.getsockname()[1]))
            return ear.recv(64) == b"commons-node doctor"
    except OSError:
        return False


def peers(client: Client) -> Check:
    """How the node's peers stand, as the running node says."""
    try:
        rows = client.view("peer.list", {}, _ASK_S)["peers"]
    except ApiError as error:
        fix = error.hint or "commons-node sync why"
        return Check("peers", "warn", _("The node does not say: {error}").format(error=error), fix)
    states = Counter(str(row["sync"]["state"]) for row in rows)
    facts = {f"state_{state}": count for state, count in sorted(states.items())}
    facts |= {"known": len(rows), "connected": sum(bool(row["connected"]) for row in rows)}
    if not rows:
        fix = _("invite a neighbour: commons-node invite create; what only you hold can be lost")
        return Check("peers", "warn", _("It knows no other node yet."), fix, facts)
    told = ", ".join(f"{count} {state}" for state, count in sorted(states.items()))
    if not facts["connected"]:
        fix = next((row["sync"]["next_action"] for row in rows if row["sync"]["next_action"]), "")
        return Check(
            "peers",
            "warn",
            _("None of {count} is connected: {told}.").format(count=len(rows), told=told),
            fix,
            facts,
        )
    bad = [row for row in rows if row["sync"]["state"] not in {"synced", "syncing", *_AWAY}]
    fix = bad[0]["sync"]["next_action"] if bad else ""
    detail = _("{connected} of {count} are connected: {told}.").format(
        connected=facts["connected"], count=len(rows), told=told
    )
    return Check("peers", "warn" if bad else "ok", detail, fix, facts)


def versions(client: Client, status: Mapping[str, Any]) -> Check:
    """Whether nodes here speak what others speak: what they say they are, and what shows of it."""
    held = sum(int(one["held"].get("rules", 0)) for one in status["communities"])
    unknown = sum(int(one["operations"].get("unknown", 0)) for one in status["communities"])
    strange = int(status["refusals"].get("version", 0))
    rows = [row for row in client.view("peer.list", {}, _ASK_S)["peers"] if row["rules"]]
    newer, old, older = (_named(rows, word) for word in ("newer", "too_old", "older"))
    facts = {
        "held_rules": held, "unknown": unknown, "other_protocol": strange,
        "older": len(older), "too_old": len(old), "newer": len(newer), "told": len(rows),
    }  # fmt: skip
    if held or unknown or newer:
        told = [
            _("Acts of others that need a newer program than this one: {count}.").format(
                count=held + unknown
            )
        ] * bool(held or unknown)
        if newer:
            told.append(
                _("Nodes that know newer rules than this one: {nodes}.").format(
                    nodes=", ".join(newer)
                )
            )
        fix = _("upgrade this node: docs/host.md, Upgrading; nothing is lost until then")
        return Check("versions", "warn", " ".join(told), fix, facts)
    if old:
        text = _("Nodes that do not know the rules that their community keeps to: {nodes}.")
        fix = _(
            "ask their hosts to upgrade them: they keep aside what they do not know, and nothing is"
            " lost until then"
        )
        return Check("versions", "warn", text.format(nodes=", ".join(old)), fix, facts)
    if older:
        text = _("Nodes that do not know the newest rules of this one: {nodes}.")
        fix = _(
            "ask their hosts to upgrade them before the community takes newer rules; until they do,"
            " such a node keeps aside what it does not know"
        )
        return Check("versions", "warn", text.format(nodes=", ".join(older)), fix, facts)
    if strange:
        text = _("Knocks of nodes that speak another version of the protocol: {count}.")
        fix = _("upgrade the older of the two; commons-node peer list shows who is not reached")
        return Check("versions", "warn", text.format(count=strange), fix, facts)
    return Check(
        "versions", "ok", _("It understands all that other nodes have written."), "", facts
    )


def _named(rows: Sequence[Mapping[str, Any]], word: str) -> list[str]:
    """Those whose program stands so to this one's, each with its version."""
    return [f"{row['node'][:8]} ({row['version']})" for row in rows if row["program"] == word]


def unlocking(status: Mapping[str, Any]) -> Check:
    """Whether those whose passphrases the service was given are unlocked."""
    rows = status["unattended"]
    failed = [row for row in rows if row["state"] == "failed"]
    waiting = [row for row in rows if row["state"] == "waiting" and row["why"]]
    facts = {"given": len(rows), "failed": len(failed), "waiting": len(waiting)}
    if failed:
        told = "; ".join(f"{row['member']}: {row['why']}" for row in failed)
        fix = _("write the right passphrase into the file, and install the service again:"
                " commons-node service install --unlock NAME=FILE")  # fmt: skip
        told = _("The service could not unlock these: {told}").format(told=told)
        return Check("unlocking", "fail", told, fix, facts)
    if waiting:
        told = "; ".join(f"{row['member']}: {row['why']}" for row in waiting)
        told = _("Not unlocked yet: {told}").format(told=told)
        return Check("unlocking", "warn", told, waiting[0]["next_action"] or "", facts)
    return Check("unlocking", "ok", _("Whoever the service unlocks is unlocked."), "", facts)
