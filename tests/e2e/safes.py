"""Folders of backups, homes that are lost, and homes that are made of a backup."""

from __future__ import annotations

import base64
import shutil
from pathlib import Path

from tests.e2e.neighbourhood import House, Said, Street, cli

SAFE = "two rivers meet in the old town"


class Safe:
    """A folder of backups outside all homes, and its passphrase in a file."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "safe"
        self.phrase = folder / "safe-passphrase"
        self.phrase.write_text(SAFE + "\n")
        self.phrase.chmod(0o600)

    def of(self, house: House, **more: object) -> dict[str, object]:
        """One more backup."""
        made: dict[str, object] = house.do(
            "backup.create", folder=str(self.path), passphrase=SAFE, **more
        )
        return made

    def does(self, what: str, home: Path, *words: str) -> Said:
        return cli(
            home, "backup", what, str(self.path), "--passphrase-file", str(self.phrase),
            "--json", *words,
        )  # fmt: skip

    def chunks(self) -> dict[str, bytes]:
        return {one.name: one.read_bytes() for one in (self.path / "chunks").iterdir()}


def restored(elm_street: Street, safe: Safe, name: str, *words: str) -> House:
    """A house in a home that was made of the newest backup."""
    home = elm_street.folder / name
    said = safe.does("restore", home, *words)
    assert said.code == 0, said
    (house,) = elm_street.build(name)
    assert house.node == said.json["node"]
    return house


def lose(house: House) -> None:
    """The machine is gone, but for what the test wants to read of it."""
    house.kill()
    for one in house.home.iterdir():
        if one.is_dir():
            shutil.rmtree(one)
        elif one.name != "log":
            one.unlink()


def writes(house: House, times: int = 1) -> list[str]:
    return [house.do("invite.create", uses=1)["operation"] for _ in range(times)]


def assert_no_fork(*houses: House) -> None:
    for house in houses:
        doubled = house.query("SELECT chain, seq FROM operations GROUP BY 1, 2 HAVING count(*) > 1")
        assert doubled == [], f"{house.name} holds no fork"
        assert house.operations()["contested"] == 0


def devices(house: House) -> dict[str, str]:
    listed = house.see("member.device.list")["devices"]
    return {one["device"]: one["standing"] for one in listed}


def many(house: House, count: int, first: int = 0) -> None:
    rows = "".join(f"{number},Thing {number}\n" for number in range(first, first + count))
    data = base64.b64encode(f"number,name\n{rows}".encode()).decode()
    house.do("resource.import", file={"name": "things.csv", "data": data})
