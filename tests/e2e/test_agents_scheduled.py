"""Agents that nobody starts: because a neighbour asked for a thing, and because it is time."""

from __future__ import annotations

from typing import Any

import pytest
from tests.e2e.installed import installed, jobs
from tests.e2e.neighbourhood import House, agree, street, until
from tests.sandbox.street import EXAMPLES

from commons_node.agents.folders import read_folder

MATCHER = "offer-request-matcher"
HOURLY = """
[agent]
name = "hourly"
version = "1.0.0"
entry = "agent.py:main"
[[trigger]]
every = "1h"
[retry]
max_attempts = 1
[settings]
mood = "broken"
"""
TELLS = """
def main(event, host):
    host.log("at work")
    if event["settings"]["mood"] == "broken":
        raise ValueError("the roof fell in")
    while event["settings"]["mood"] == "endless":
        pass
    return [event["covers"], event["trigger"]]
"""


def runs(house: House, job: str) -> list[dict[str, Any]]:
    """Its runs, the newest first."""
    found: list[dict[str, Any]] = house.see("job.show", job=job)["runs"]
    return found


@pytest.mark.long
def test_an_agent_runs_because_a_neighbour_asked_for_a_thing() -> None:
    with street() as elm:
        anna, bo = elm.community("anna", "bo")
        toml, code = read_folder(EXAMPLES / MATCHER)
        assert b'debounce = "1min"' in toml, "the example waits for a minute's rest"
        text = toml.decode().replace('debounce = "1min"', 'debounce = "1s"')
        job = installed(anna, text, code)["job"]
        assert anna.see("job.why", job=job)["code"] == "due", "every four hours, at the latest"
        anna.do("resource.add", name="Ladder", number="7")
        agree(anna, bo)
        bo.do("loan.request", resource="7", days=3)
        agree(anna, bo)
        until(
            lambda: any("asked for" in p["why"] for p in anna.see("proposal.list")["proposals"]),
            "what bo asked for is proposed to anna, and nobody has started anything",
        )  # fmt: skip
        until(lambda: {one["state"] for one in runs(anna, job)} == {"done"}, "it has ended")
        for one in runs(anna, job):
            assert one["trigger"] == 'on operations {"own":false}', "never because of anna's own"
        told = jobs(anna, "SELECT event FROM runs WHERE job = ?", job)
        assert told
        assert all(b'"own":false' in event for (event,) in told), "nor told of it"


@pytest.mark.long
def test_one_that_is_due_runs_fails_is_tried_again_and_cancelled() -> None:
    with street() as elm:
        (anna,) = elm.build("anna")
        anna.found()
        job = installed(anna, HOURLY, {"agent.py": TELLS})["job"]
        assert anna.see("job.why", job=job)["code"] == "due"
        assert runs(anna, job) == []
        anna.stop()
        jobs(anna, "UPDATE triggers SET anchor_ms = anchor_ms - 10900000 WHERE job = ?", job)
        anna.again()
        anna.unlock()
        until(lambda: [one["state"] for one in runs(anna, job)] == ["dead"], "three hours, one run")
        (dead,) = runs(anna, job)
        assert (dead["trigger"], dead["covers"], dead["code"]) == ("every 3600 s", 3, "fault")
        assert anna.see("job.why", job="hourly")["code"] == "dead"

        anna.do("agent.set", agent="hourly", settings=["mood=well"])
        again = anna.reads("job", "retry", "hourly")
        assert (again["runs"], again["count"]) == ([dead["run"]], 1)
        until(lambda: runs(anna, job)[0]["state"] == "done", "it is mended, and tried again")
        assert runs(anna, job)[0]["run"] == dead["run"], "the very same run"
        assert runs(anna, job)[0]["result"] == [3, {}]
        assert anna.cli("job", "retry", "hourly").error["code"] == "state", "nothing is dead"

        anna.do("agent.set", agent="hourly", settings=["mood=endless"])
        number = anna.do("job.run", job="hourly")["run"]
        until(
            lambda: any(
                one["run"] == number for one in anna.see("job.logs", job="hourly")["lines"]
            ),
            "it runs, and its line is there at once",
        )
        assert anna.see("job.why", job="hourly")["code"] == "running"
        cancelled = anna.do("job.cancel", job="hourly")  # at once, before its fuel is burnt
        assert cancelled["runs"] == [number]
        assert runs(anna, job)[0]["state"] == "cancelled"
        anna.do("agent.set", agent="hourly", settings=["mood=well"])
        anna.reads("job", "retry", "hourly", "--run", str(number))
        until(lambda: runs(anna, job)[0]["state"] == "done", "what was cancelled is tried again")
        receipts = anna.see("job.receipts", job="hourly")["receipts"]
        assert [one["state"] for one in receipts] == ["done", "cancelled", "done", "fault"]
        stop = anna.see("job.receipts", job="hourly")["receipts"][1]
        assert stop["credits"] > 0, "what it had taken is paid for"
