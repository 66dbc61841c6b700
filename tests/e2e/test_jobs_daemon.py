"""The duties of a real node: what they ask of it, what they leave, and that they outlive a kill."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing

from tests.e2e.neighbourhood import street


def test_a_node_does_its_duties_and_says_so() -> None:
    with street() as elm:
        (anna,) = elm.build("anna")
        anna.found()
        for job in ("overdue", "figures", "integrity"):
            assert anna.do("job.run", job=job, wait=60)["state"] == "done", job
        (line,) = anna.see("job.logs", job="overdue")["lines"]
        assert line["text"].endswith(": 0 overdue"), "it has looked into the community"
        lines = [one["text"] for one in anna.see("job.logs", job="integrity")["lines"]]
        assert len(lines) == 3
        assert all(one.endswith(": ok") for one in lines), "node, jobs, the community"
        with closing(sqlite3.connect(anna.home / "jobs.db", timeout=10)) as file:
            sampled = dict(file.execute("SELECT name, value FROM samples").fetchall())
        assert sampled["commons_operations"] > 0
        assert 'commons_job_runs{state="done"} 3.0' in anna.see("metrics")["text"]
        anna.do("job.pause", job="figures")
        waits = anna.do("job.run", job="figures")
        assert waits["waits"] == "It is paused."
        anna.kill()
        anna.again()
        assert anna.see("job.why", job="figures")["code"] == "paused", "a kill forgets no pause"
        anna.do("job.resume", job="figures")
        said = anna.cli("job", "run", "figures", "--dry", "--wait", "60s")
        assert json.loads(said.out)["state"] == "done"
        runs = anna.see("job.show", job="figures")["runs"]
        assert [run["state"] for run in runs] == ["done"] * 3, "the one that waited, too"
        assert [run["dry"] for run in runs] == [True, False, False]
        assert runs[0]["would"][0]["kind"] == "sample"
        assert anna.refused("job.run", job="nobody").code == "unknown"
        assert anna.refused("job.retry", job="figures").code == "state"
        assert anna.refused("job.cancel", job="figures", run=999).code == "unknown"
