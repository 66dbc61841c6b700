"""Who says that a file is damaged may have looked at one that was made anew since."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from commons_crdt.ids import RealmId
from commons_node.repairing import Repairs
from commons_node.said import Said
from commons_node.store.salvage import put_in_place

REALM = RealmId(bytes(range(32)))


class Noted(Repairs):
    """Notes what it would make anew."""

    def __init__(self, daemon: Any) -> None:
        super().__init__(daemon)
        self.replaced: list[str] = []

    async def replace(self, realm: RealmId, why: Said) -> None:
        self.replaced.append(f"{realm.hex()[:4]} {why}")


def test_what_was_found_in_a_file_that_is_gone_mends_nothing(tmp_path: Path) -> None:
    path = tmp_path / f"{REALM.hex()}.db"
    path.write_bytes(b"damaged")
    held = SimpleNamespace(store=SimpleNamespace(database=SimpleNamespace(path=path)))
    repairs = Noted(
        SimpleNamespace(
            communities={REALM: SimpleNamespace(realm=held)}, own=SimpleNamespace(held={})
        )
    )
    looked_at = path.stat().st_ino
    asyncio.run(repairs.told(path.stem, "page 3", looked_at))
    assert repairs.replaced == ["0001 page 3"]
    fresh = tmp_path / "fresh"
    fresh.write_bytes(b"made anew")
    aside = put_in_place(fresh, path)
    assert aside.read_bytes() == b"damaged"
    asyncio.run(repairs.told(path.stem, "page 3", looked_at))
    assert len(repairs.replaced) == 1, "it was mended while the word of it was on its way"
    asyncio.run(repairs.told(path.stem, "page 4", path.stat().st_ino))
    assert repairs.replaced[1:] == ["0001 page 4"], "and is damaged again"
