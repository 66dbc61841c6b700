"""Agents of real nodes: made, agreed to, run, upgraded, shared with a neighbour, taken away."""

from __future__ import annotations

import asyncio
import base64
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.cli.test_terminal import Person
from tests.e2e.neighbourhood import House, agree, street, until
from tests.sandbox.prepared import lend, never_by_itself

PADDING = "# " + "what a longer agent has to say\n# " * 200


def begun(house: House) -> Path:
    """A folder as ``agent new`` makes it, with more in it than fits beside a fact."""
    folder = house.home.parent / "reminders"
    made = house.do("agent.new", folder=str(folder))
    assert made["files"] == ["agent.toml", "code/agent.py"]
    never_by_itself(folder)
    with (folder / "code" / "agent.py").open("a", encoding="utf-8") as file:
        file.write(PADDING)
    checked = house.see("agent.check", folder=str(folder))
    assert (checked["faults"], checked["findings"]) == (0, []), "what agent new makes is sound"
    return folder


def packed(house: House, folder: Path, version: str, ask: str = "") -> str:
    """A signed package of the folder; ``ask``: one capability more."""
    toml = folder / "agent.toml"
    lines = toml.read_text(encoding="utf-8").splitlines()
    lines = [f'version = "{version}"' if one.startswith("version") else one for one in lines]
    if ask:
        lines.insert(lines.index("[capabilities]") + 1, ask)
    toml.write_text("\n".join(lines) + "\n", encoding="utf-8")
    signed = house.do("agent.sign", file=house.do("agent.pack", folder=str(folder))["file"])
    assert signed["signed"]
    return str(signed["file"])


def ran(house: House) -> dict[str, Any]:
    """A run of the agent, by its name."""
    run: dict[str, Any] = house.do("job.run", job="reminders", wait=60)
    return run


@pytest.mark.long
def test_an_agent_is_agreed_to_runs_is_upgraded_and_goes() -> None:
    with street() as elm:
        (anna,) = elm.build("anna")
        anna.found()
        asyncio.run(lend(anna.home))
        folder = begun(anna)
        first = packed(anna, folder, "1.0.0")

        gone = anna.refused("agent.sign", file=f"{first}.gone")
        assert (gone.code, gone.hint) == ("bad_file", "commons-node agent pack FOLDER writes one")
        refused = anna.cli("agent", "install", first)
        assert refused.code == 1
        assert refused.error["code"] == "not_agreed", "nobody is asked, so nothing is granted"
        assert anna.see("agent.list")["agents"] == []
        installed = anna.reads("agent", "install", first, "--yes")
        assert (installed["state"], installed["granted"]) == (
            "active", ["docs.query", "notify.send"],
        )  # fmt: skip
        assert ran(anna)["state"] == "done"
        (line,) = anna.see("job.logs", job="reminders")["lines"]
        assert line["text"] == "overdue: 0", "it has looked into the community"

        anna.kill()
        anna.again()
        anna.unlock()
        (row,) = anna.see("agent.list")["agents"]
        assert (row["state"], row["last_state"]) == ("active", "done")
        job = next(one for one in anna.see("job.list")["jobs"] if one["agent"] == row["agent"])
        assert (job["job"], job["next"]) == (row["job"], row["next"])

        wants = '"http.fetch" = { hosts = ["example.org"] }'
        second = packed(anna, folder, "1.1.0", wants)
        wider = anna.do("agent.install", package=_file(second))
        changes = {one["capability"]: one["change"] for one in wider["permissions"]}
        assert changes == {
            "docs.query": "as before", "http.fetch": "new", "notify.send": "as before",
        }  # fmt: skip
        assert (wider["state"], wider["granted"]) == ("suspended", [])
        assert anna.refused("agent.pause", agent="reminders").code == "suspended"
        assert anna.refused("job.run", job="reminders").code == "unknown", "it has no job"
        granted = anna.reads("agent", "grant", "reminders", "--yes", "--without", "http.fetch")
        assert (granted["state"], granted["granted"]) == ("active", installed["granted"])
        again = anna.do("agent.install", package=_file(second))
        changes = {one["capability"]: one["change"] for one in again["permissions"]}
        assert changes["http.fetch"] == "withheld", "it is not granted by being installed again"
        assert again["granted"] == granted["granted"]
        assert ran(anna)["state"] == "done"
        assert anna.refused("agent.install", package=_file(first)).code == "downgrade"

        anna.do("agent.set", agent="reminders", settings=["greeting=Hej"])
        assert anna.see("agent.show", agent="reminders")["settings"] == {"greeting": "Hej"}
        anna.do("agent.pause", agent="reminders")
        assert anna.see("job.why", job="reminders")["code"] == "paused"
        anna.do("agent.remove", agent="reminders")
        assert anna.see("agent.list")["agents"] == []
        assert [one["job"] for one in anna.see("job.list")["jobs"] if one["agent"]] == []


def _file(path: str) -> dict[str, str]:
    return {"name": "a.agent", "data": base64.b64encode(Path(path).read_bytes()).decode()}


@pytest.mark.long
def test_a_neighbour_installs_what_is_shared_and_nobody_elses_of_that_name() -> None:
    with street() as elm:
        anna, bo = elm.community("anna", "bo")
        for house in (anna, bo):
            asyncio.run(lend(house.home))
        file = packed(anna, begun(anna), "1.0.0")
        shared = anna.do("agent.share", file=_file(file))
        assert shared["verdict"] == "accepted"
        assert anna.refused("agent.share", file=_file(file)).code == "state", "it is there already"
        agree(anna, bo)
        until(lambda: bo.see("agent.offers")["offers"][0]["here"], "it comes by itself")
        (offer,) = bo.see("agent.offers")["offers"]
        assert (offer["agent"], offer["package"]) == (shared["agent"], shared["package"])
        assert bo.refused("agent.install", package="reminders").code == "not_agreed"
        installed = bo.reads("agent", "install", "reminders", "--yes")
        assert (installed["package"], installed["state"]) == (shared["package"], "active")
        assert ran(bo)["state"] == "done", "what anna wrote runs at bo's"

        other = bo.home.parent / "other" / "reminders"
        bo.do("agent.new", folder=str(other))
        eves = packed(bo, other, "9.0.0")
        assert bo.refused("agent.install", package=_file(eves)).code == "other_publisher"
        (row,) = bo.see("agent.list")["agents"]
        assert row["version"] == "1.0.0", "a newer version of another publisher is none"
        assert anna.do("agent.withdraw", offer="reminders")["verdict"] == "accepted"
        agree(anna, bo)
        assert bo.see("agent.offers")["offers"] == []
        assert bo.see("agent.list")["agents"][0]["state"] == "active", "who has it keeps it"


@pytest.mark.long
def test_a_person_sees_how_far_the_first_compiling_is() -> None:
    """Of a real node at a real terminal; whoever comes later waits for nothing."""
    with street() as elm:
        (anna,) = elm.build("anna")
        anna.found()
        first = packed(anna, begun(anna), "1.0.0")
        program = [sys.executable, "-m", "commons_cli.main", "--home", str(anna.home)]

        host = Person(anna.home, "agent", "install", first, "--yes", program=program)
        host.sees("is installed; its job is", seconds=120)
        host.sees("] ", seconds=120)
        host.sees(" %", seconds=120)
        host.sees("What agents run on is prepared; it took ", seconds=600)
        assert host.ends() == 0
        made = sorted(anna.home.glob("sandbox/*.cwasm"))
        assert len(made) == 1
        assert ran(anna)["state"] == "done"

        anna.kill()
        anna.again()
        anna.unlock()
        again = anna.reads("agent", "prepare")
        assert (again["state"], again["seconds"]) == ("ready", None), "never twice"
        assert sorted(anna.home.glob("sandbox/*.cwasm")) == made


@pytest.mark.long
def test_an_agent_whose_package_vanishes_fails_once_and_says_why() -> None:
    with street() as elm:
        (anna,) = elm.build("anna")
        anna.found()
        asyncio.run(lend(anna.home))
        first = packed(anna, begun(anna), "1.0.0")
        job = anna.reads("agent", "install", first, "--yes")["job"]
        (file,) = anna.home.glob("agents/*.agent")
        for way in ("emptied, before any worker knows its code", "taken away"):
            file.unlink()
            if way.startswith("emptied"):
                file.write_bytes(b"")
            assert ran(anna)["state"] == "cancelled", "it is not tried four times more"
            (row,) = anna.see("agent.list")["agents"]
            assert row["state"] == "suspended"
            assert "not there any more, or was changed" in row["why"]
            assert "install the same package again" in row["next_action"]
            assert anna.refused("job.run", job=job).code == "unknown", "nothing of it is due"
            again = anna.do("agent.install", package=_file(first))
            assert again["state"] == "active"
            assert ran(anna)["state"] == "done"
