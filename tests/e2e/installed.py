"""An agent at a real node: packed, signed and agreed to; what stands of it in the file of jobs."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from tests.e2e.neighbourhood import House
from tests.sandbox.prepared import lend


def packed(house: House, toml: str, files: Mapping[str, bytes | str]) -> Path:
    """A signed package, made by the house's own verbs. ``files``: what lies in ``code/``."""
    name = toml.split('name = "')[1].partition('"')[0]
    folder = house.home.parent / "written" / name
    if not folder.exists():
        house.do("agent.new", folder=str(folder))
    (folder / "agent.toml").write_text(toml)
    for path in (folder / "code").iterdir():
        path.unlink()
    for file, data in files.items():
        (folder / "code" / file).write_bytes(data.encode() if isinstance(data, str) else data)
    signed = house.do("agent.sign", file=house.do("agent.pack", folder=str(folder))["file"])
    return Path(signed["file"])


def installed(house: House, toml: str, files: Mapping[str, bytes | str]) -> dict[str, Any]:
    """Agreed to as it asks; what it runs on is lent, so that nobody compiles it."""
    asyncio.run(lend(house.home))
    return house.reads("agent", "install", str(packed(house, toml, files)), "--yes")


def jobs(house: House, sql: str, *arguments: object) -> list[Any]:
    """What stands in the file of jobs."""
    with closing(sqlite3.connect(house.home / "jobs.db", timeout=10)) as file:
        found = file.execute(sql, arguments).fetchall()
        file.commit()
        return found
