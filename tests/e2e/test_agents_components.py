"""A prebuilt component at a real node: packed, signed, agreed to, run, metered; and killed."""

from __future__ import annotations

import hashlib
import random
import time
from collections import Counter
from typing import Any

import pytest
from tests.e2e.installed import installed, jobs
from tests.e2e.neighbourhood import QUICK, House, street, until
from tests.e2e.processes import command_of, kill_9
from tests.sandbox.spoken import component

from commons_node.jobs.workers import SANDBOX

TOML = """
[agent]
name = "spoken"
version = "1.0.0"
runtime = "wasm"
entry = "agent.wasm"
[retry]
max_attempts = 50
base = "10ms"
cap = "50ms"
[capabilities]
"kv.get" = {}
"kv.put" = {}
"notify.send" = {}
"docs.propose" = { kinds = ["resource.add"] }
[limits]
concurrency = 2
"""
CALLS: list[tuple[str, dict[str, Any]]] = [
    ("kv.put", {"name": "last", "value": {"n": [1, 2]}}),
    ("notify.send", {"text": "here I am"}),
    ("docs.propose", {"command": "resource.add", "args": {"name": "Chair"}, "why": "we lack one"}),
    ("kv.get", {"name": "last"}),
]
RICH = QUICK + "jobs_workers = 2\nagents_day_credits = 100000\nagents_community_credits = 100000\n"
KILLS, DAEMONS = 10, 2
"""Of workers, and of the daemon."""
MORE = 6
"""Runs that wait at least, when somebody is killed."""


@pytest.mark.long
def test_a_component_is_an_agent_as_any_other() -> None:
    made = component(CALLS)
    with street() as elm:
        (anna,) = elm.build("anna")
        anna.found()
        agent = installed(anna, TOML, {"agent.wasm": made})
        assert agent["state"] == "active"
        assert anna.do("job.run", job="spoken", wait=60)["state"] == "done"
        shown = anna.see("job.show", job="spoken")
        assert shown["runs"][0]["result"] == {"n": [1, 2]}, "it reads what it has put"
        assert [one["text"] for one in shown["notices"]] == ["here I am"]
        (proposal,) = anna.see("proposal.list")["proposals"]
        assert (proposal["agent"], proposal["why"]) == (agent["agent"], "we lack one")
        anna.do("proposal.sign", proposal=proposal["proposal"])
        assert [one["name"] for one in anna.see("resource.list")["resources"]] == ["Chair"]
        (receipt,) = anna.see("job.receipts", job="spoken")["receipts"]
        assert receipt["runner"] == hashlib.sha256(made).hexdigest(), "what ran is the component"
        assert receipt["fuel"] > 0
        assert receipt["calls"] > len(CALLS), "those, and the pieces of its code"
        assert receipt["credits"] > 0
        assert not anna.see("job.why", job="spoken")["refused"]

        narrow = TOML.replace('"notify.send" = {}\n', "").replace("1.0.0", "1.1.0")
        installed(anna, narrow, {"agent.wasm": made})
        assert anna.do("job.run", job="spoken", wait=60)["state"] == "done"
        (refused,) = anna.see("job.why", job="spoken")["refused"]
        assert (refused["method"], refused["code"]) == ("notify.send", "not_granted")
        compiled = anna.home.parent / "written" / "spoken" / "code" / "agent.cwasm"
        compiled.write_bytes(b"\0")
        packs = anna.refused("agent.pack", folder=str(compiled.parent.parent))
        assert packs.code == "bad_package", "what is compiled already is refused"


def sandboxes(house: House) -> list[int]:
    """The processes in which its agents run."""
    return [pid for pid in house.children() if any(SANDBOX in word for word in command_of(pid))]


def going(house: House) -> bool:
    """Whether an attempt is under way; its receipt is open."""
    return jobs(house, "SELECT 1 FROM receipts WHERE ended_ms IS NULL LIMIT 1") != []


@pytest.mark.long
def test_a_node_and_its_sandbox_are_killed_at_work_and_nothing_is_lost_or_double() -> None:
    rng, killed, numbers = random.Random(8), Counter[str](), set[int]()
    made = component(CALLS, turns=20_000_000)
    with street() as elm:
        (anna,) = elm.build("anna", config=RICH)
        anna.found()
        installed(anna, TOML, {"agent.wasm": made})
        waiting = "SELECT count(*) FROM runs WHERE job LIKE 'spoken%' AND state = 'ready'"
        deaths = ["worker"] * KILLS + ["daemon"] * DAEMONS
        rng.shuffle(deaths)
        deadline = time.monotonic() + 120
        for death in deaths:
            while jobs(anna, waiting)[0][0] < MORE:  # a fast machine is not through before the last
                numbers.add(anna.do("job.run", job="spoken")["run"])
            until(lambda: going(anna), "an attempt is under way")
            if death == "daemon":
                anna.kill()
                anna.again()
            else:
                until(lambda: sandboxes(anna), "a process of the sandbox is there")
                found = sandboxes(anna)
                killed["missed"] += not (found and kill_9(rng.choice(found)))
            killed[death] += 1
        left = "SELECT count(*) FROM runs WHERE job LIKE 'spoken%' AND state <> 'done'"
        until(lambda: jobs(anna, left) == [(0,)], "all end", deadline - time.monotonic())
        assert anna.stop() == 0

        assert killed["worker"] == KILLS
        assert killed["daemon"] == DAEMONS
        ((runs, attempts),) = jobs(anna, "SELECT count(*), sum(attempts) FROM runs"
                                         " WHERE job LIKE 'spoken%'")  # fmt: skip
        assert runs == len(numbers), "none is lost"
        kinds = jobs(anna, "SELECT kind, count(*), count(DISTINCT run) FROM effects GROUP BY kind")
        once = [(kind, runs, runs) for kind in ("kv", "notice", "proposal")]
        assert kinds == once, "each run had each of its effects once"
        for table in ("notices", "proposals"):
            counts = f"SELECT count(*), count(DISTINCT run) FROM {table}"  # noqa: S608 - our own words
            assert jobs(anna, counts) == [(runs, runs)]
        told = (
            "SELECT count(*), sum(how = 'done'), sum(how IN ('lost', 'died')), count(ended_ms),"
            " sum(cost) FROM receipts"
        )
        ((receipts, done, cut, settled, cost),) = jobs(anna, told)
        assert (receipts, done, settled) == (attempts, runs, attempts), "one for each attempt"
        assert cut >= (KILLS + DAEMONS) // 3, f"attempts began and were cut: {cut}, {killed}"
        used = "SELECT used FROM windows WHERE name LIKE 'credits/agent/%'"
        assert jobs(anna, used) == [(cost,)], "and the day's budget is what they add up to"
