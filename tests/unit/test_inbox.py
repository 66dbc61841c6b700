"""The folder that agents read from: its files, and nothing else of the machine."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from commons_crdt.errors import CommonsError
from commons_node.drivers.driver import Around, Undelivered
from commons_node.drivers.held import BadMessage, Drivers
from commons_node.web import Web


def inbox(folder: Path, **more: object) -> Drivers:
    settings = {"kind": "inbox", "folder": str(folder), **more}
    return Drivers({"inbox": settings}, Around(Web(), folder))


async def test_files_are_listed_the_newest_first_and_read_whole(tmp_path: Path) -> None:
    for n, name in enumerate(("old.csv", "ny tabell.csv", ".hidden")):
        (tmp_path / name).write_text(f"number\n{n}\n")
        os.utime(tmp_path / name, (n, n))
    (tmp_path / "folder").mkdir()
    (tmp_path / "link.csv").symlink_to("/etc/hostname")
    held = inbox(tmp_path)
    assert await held.ask("inbox", {}) == {
        "files": [{"name": "ny tabell.csv", "bytes": 9}, {"name": "old.csv", "bytes": 9}]
    }
    found = await held.ask("inbox", {"name": "ny tabell.csv"})
    assert found == {"name": "ny tabell.csv", "text": "number\n1\n"}


async def test_nothing_outside_the_folder_is_read(tmp_path: Path) -> None:
    within = tmp_path / "inbox"
    within.mkdir()
    (tmp_path / "secret").write_text("key")
    (within / "link").symlink_to(tmp_path / "secret")
    os.mkfifo(within / "pipe")
    (within / "big").write_bytes(b"x" * 1025)
    (within / "picture").write_bytes(b"\xff\xd8")
    held = inbox(within, most_kib=1)
    for name in ("../secret", "/etc/passwd", "..", ".hidden", "a\x00b", "a/b"):
        with pytest.raises(BadMessage):
            await held.ask("inbox", {"name": name})
    for name, why in (("link", "no file"), ("pipe", "no file"), ("gone", "no file"),
                      ("big", "larger"), ("picture", "UTF-8")):  # fmt: skip
        with pytest.raises(Undelivered, match=why):
            await held.ask("inbox", {"name": name})


async def test_one_without_its_folder_says_what_to_do(tmp_path: Path) -> None:
    held = inbox(tmp_path / "gone")
    (row,) = held.rows()
    assert (row["state"], row["next_action"]) == ("lacking", "make it, readable by this user")
    with pytest.raises(CommonsError, match="there is no folder"):
        await held.ask("inbox", {})
