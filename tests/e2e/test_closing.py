"""A street closes, on real nodes: nothing new begins, what is open ends, each keeps an archive."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.neighbourhood import House, agree, street, until
from tests.e2e.test_taking_along import Do, lodger
from tests.unit.pictures import jpeg

from commons_node.api.client import ApiError

pytestmark = pytest.mark.long


def archived(house: House, folder: Path) -> tuple[dict[str, Any], Path]:
    """The archive of one node, with the script beside it."""
    path = folder / f"{house.name}.archive"
    return house.do("community.archive", file=str(path), script=True), path


def alone(script: str, path: Path) -> subprocess.CompletedProcess[str]:
    """The script as anybody runs it: a Python without any package."""
    words = [sys.executable, "-I", "-S", script, str(path)]
    return subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)


def test_a_street_closes_and_every_node_keeps_the_same_archive(tmp_path: Path) -> None:
    with street() as elm_street:
        anna, bo = both = elm_street.community("Anna", "Bo")
        _member, cia = lodger(anna, "Cia", "member")
        anna.do("community.propose", what="coordinators", add=["Bo"])
        anna.do("resource.add", name="Drill", number="7")
        picture = {"name": "drill.jpg", "data": base64.b64encode(jpeg(60_000, seed=7)).decode()}
        anna.do("resource.photo.add", resource="7", file=picture)
        loan = cia("loan.request", resource="7", days=3)["loan"]
        anna.do("loan.approve", loan=loan)
        anna.do("loan.handover", loan=loan)
        cia("loan.accept", loan=loan)

        # one of two is not enough
        assert anna.do("community.close")["closed"] is False
        agree(*both)
        for house in both:
            seen = house.see("community.closing")
            assert (seen["count"], seen["of"], seen["closed"]) == (1, 2, False)
        anna.do("resource.add", name="Saw", number="8")
        with pytest.raises(ApiError) as caught:
            cia("community.close")
        assert caught.value.code == "not_permitted", "she coordinates nothing"

        # both are: nothing new begins, on any node that has heard of it
        assert bo.do("community.close")["closed"] is True
        agree(*both)
        for house in both:
            assert house.see("community.closing")["closed"] is True
        begun: tuple[tuple[Do, str, dict[str, Any]], ...] = (
            (anna.do, "resource.add", {"name": "Ladder", "number": "9"}),
            (anna.do, "space.create", {"name": "Shed"}),
            (bo.do, "invite.create", {}),
            (cia, "loan.request", {"resource": "8", "days": 1}),
        )
        for do, verb, arguments in begun:
            with pytest.raises(ApiError) as caught:
                do(verb, **arguments)
            assert caught.value.code == "community_closed", (verb, caught.value)
            assert "2 of 2" in caught.value.message
            assert "--reopen" in caught.value.hint

        # what is open is settled: what is owed is named with what ends it, and that ends it
        (owed,) = [row for row in cia("member.leave", dry_run=True)["rows"] if row["open"]]
        assert owed["next"].startswith(f"commons-node loan return {loan[:12]}")
        cia("loan.return", loan=loan[:12])
        (owed,) = [row for row in cia("member.leave", dry_run=True)["rows"] if row["open"]]
        assert (owed["what"], f"loan receive {loan[:12]}" in owed["next"]) == ("returning", True)
        anna.do("loan.receive", loan=loan[:12])
        assert cia("member.leave", dry_run=True)["open"] == 0

        # everybody keeps the whole of it, and all archives are of the same state
        agree(*both)
        until(lambda: not bo.see("part.list", lacking=True)["parts"], "Bo has the photo")
        written = [archived(house, tmp_path) for house in both]
        assert len({done["state_hash"] for done, _path in written}) == 1
        assert len({done["set_hash"] for done, _path in written}) == 1
        for done, path in written:
            assert (done["parts"], done["parts_missing"]) == (1, 0), "the photo is in each"
            said = alone(done["script"], path)
            assert said.returncode == 0, said
            assert done["state_hash"] in said.stdout
        checked = bo.cli("community", "verify", str(written[1][1]))
        assert json.loads(checked.out)["state_hash"] == written[0][0]["state_hash"], checked
        data = written[0][1].read_bytes()
        written[0][1].write_bytes(data[:-40] + bytes([data[-40] ^ 1]) + data[-39:])
        assert "NOT TRUE" in alone(written[0][0]["script"], written[0][1]).stdout

        # and it can be taken back
        assert bo.do("community.close", reopen=True)["closed"] is False
        agree(*both)
        assert cia("loan.request", resource="8", days=1)["loan"]
