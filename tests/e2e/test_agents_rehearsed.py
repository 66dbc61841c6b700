"""``agent check --run``: an agent's folder, run in the real sandbox where nothing else is real."""

from __future__ import annotations

import asyncio
import shutil

import pytest
from tests.e2e.installed import jobs
from tests.e2e.neighbourhood import QUICK, cli, street
from tests.sandbox.prepared import lend
from tests.sandbox.street import EXAMPLES, NAMES

TOML = """
[agent]
name = "tries"
version = "1.0.0"
entry = "agent.py:main"
[[trigger]]
event = "operations"
where = { own = false }
[capabilities]
"docs.query" = { collections = ["loan"], fields = ["name", "overdue"] }
"docs.propose" = { kinds = ["loan.decline"] }
"notify.send" = { drivers = ["letters"] }
"driver.read" = { drivers = ["scale"] }
"http.fetch" = { hosts = ["example.org"] }
"model.infer" = { drivers = ["oracle"] }
"kv.get" = {}
[limits]
wall = "10s"
"""
SOURCE = """
def main(event, host):
    late = host.query("loan", where={"overdue": True})["rows"]
    host.call("docs.propose", command="loan.decline", args={"loan": "1"}, why="late")
    host.notify.send(text=f"{len(late)} late", via="letters")
    host.log(f"it was {event['trigger']['event']}")
    page = host.http.fetch(url="https://example.org/x")
    host.model.infer(model="oracle", input=[1])
    try:
        host.http.fetch(url="https://evil.example/x")
    except Exception as error:
        host.log(f"no: {error.code}")
    return {"late": late, "page": page["body"], "scale": host.driver.read(driver="scale")}
"""


@pytest.mark.long
def test_an_agent_is_rehearsed_in_the_sandbox_and_nothing_comes_of_it() -> None:
    config = QUICK + '\n[drivers.scale]\nkind = "serial-sensor"\ndevice = "/dev/ttyUSB9"\n'
    with street() as elm:
        (anna,) = elm.build("anna", config=config)
        anna.found()
        folder = elm.folder / "tries"
        anna.do("agent.new", folder=str(folder))
        (folder / "agent.toml").write_text(TOML)
        (folder / "code" / "agent.py").write_text(SOURCE)
        refused = anna.cli("agent", "check", str(folder), "--run")
        assert refused.error["code"] == "not_prepared", "and nobody waits for half a minute"
        assert "agent prepare" in refused.error["hint"]
        asyncio.run(lend(anna.home))

        told = anna.see("agent.check", folder=str(folder), run=True)
        run = told["run"]
        assert (run["code"], run["error"], told["faults"]) == ("", "", 0), run
        late = [{"name": "Drill", "overdue": True}]
        assert run["result"]["late"] == late, "the fields that it asks for, and no others"
        assert run["result"]["page"] == "{}"
        assert run["result"]["scale"], "what a serial sensor tells"
        assert run["lines"][0] == "it was operations", "by the event that it waits for"
        assert run["lines"][-1] == "no: not_granted"
        assert run["calls"]["docs.query"] == 1
        assert run["fuel"] > 0
        assert run["memory"] > 0
        assert [one["kind"] for one in run["would"]] == ["proposal", "outbox"]
        assert run["would"][1]["body"]["body"]["text"] == "1 late"
        (hint,) = (one["text"] for one in told["findings"] if "evil" in one["text"])
        assert "http.fetch was refused (not_granted)" in hint
        said = cli(anna.home, "agent", "check", str(folder), "--run")
        assert "\nIt would: outbox" in said.out, "line by line, for a person"
        assert anna.see("proposal.list", all=True)["proposals"] == []
        for table in ("outbox", "receipts", "jobs WHERE job LIKE 'tries%'"):
            assert jobs(anna, f"SELECT count(*) FROM {table}") == [(0,)]  # noqa: S608 - our own words

        with (folder / "code" / "agent.py").open("a") as file:
            file.write("\n\ndef main(event, host):\n    return 1 / 0\n")
        told = anna.see("agent.check", folder=str(folder), run=True)
        assert told["run"]["code"] == "fault"
        assert told["run"]["would"] == []
        assert any("ZeroDivisionError" in one["text"] for one in told["findings"])
        assert told["count"] == "1 fault"
        for name in NAMES:
            shutil.copytree(EXAMPLES / name, elm.folder / "examples" / name)
            told = anna.see("agent.check", folder=str(elm.folder / "examples" / name), run=True)
            assert (told["faults"], told["run"]["refused"]) == (0, []), f"{name}: {told['ran']}"
