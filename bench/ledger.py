"""What a node's file says, read beside the daemon and without it."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from bench.floor import Signed
from commons_crdt.authority.facts import Admit, Genesis
from commons_crdt.authority.judge import GENESIS
from commons_crdt.authority.kinds import ADMIT
from commons_crdt.ids import DeviceId
from commons_crdt.kinds import decode_fact
from commons_crdt.operation import content


def written_after(home: Path, n: int) -> list[Signed]:
    """What members wrote and the node stored after its ``n``-th operation."""
    keys = _signing_keys(home)
    rows = _query(
        home,
        "SELECT o.n, c.device, o.header, o.signature, coalesce(length(o.body), 0)"
        " FROM operations o JOIN chains c ON c.n = o.chain ORDER BY o.n",
    )
    return [
        Signed(header, signature, keys[device], len(header) + len(signature) + length)
        for number, device, header, signature, length in rows
        if number > n and device in keys
    ]


def last(home: Path) -> int:
    """The number of the operation that the node stored last."""
    return int(_query(home, "SELECT max(n) FROM operations")[0][0])


def active(home: Path) -> list[str]:
    """The numbers of things that are lent."""
    rows = _query(home, "SELECT number FROM v_items WHERE state = 'active' ORDER BY key")
    return [number for (number,) in rows]


def _signing_keys(home: Path) -> dict[DeviceId, bytes]:
    """Of the members' own devices; nodes sign too little to count."""
    keys: dict[DeviceId, bytes] = {}
    rows = _query(home, "SELECT kind, body FROM operations WHERE kind IN (?, ?)", GENESIS, ADMIT)
    for kind, body in rows:
        founding = kind == GENESIS
        fact = (
            decode_fact(Genesis, content(body)) if founding else decode_fact(Admit, content(body))
        )
        keys[fact.identity.device.id] = fact.identity.device.signing
    return keys


def _query(home: Path, sql: str, *arguments: object) -> Sequence[Any]:
    (file,) = (home / "realms").glob("*.db")
    with closing(sqlite3.connect(file)) as database:
        return database.execute(sql, arguments).fetchall()
