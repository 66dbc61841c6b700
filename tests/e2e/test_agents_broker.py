"""A real agent in the sandbox of a real node: what it asks, proposes and costs, and what comes."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from tests.e2e.installed import installed, jobs
from tests.e2e.neighbourhood import QUICK, House, Street, street, until

SOURCE = """
from commons_agent import HostError


def told(host, method, **params):
    try:
        return host.call(method, **params)
    except HostError as error:
        return error.code


def main(event, host):
    runs = (host.call("kv.get", name="runs") or 0) + 1
    host.call("kv.put", name="runs", value=runs)
    things = host.query("resource", where={"name": "Drill"})["rows"]
    for thing in things:
        key = host.call(
            "docs.propose", command="resource.edit", why="its name is short", key=thing["resource"],
            args={"resource": thing["resource"], "name": "Cordless drill"},
        )
    host.notify.send(text=f"{len(things)} things, run {runs}", key=f"run-{runs}")
    host.driver.send(driver="post", message={"body": {"things": len(things)}}, key="once")
    host.metrics.put(values={"things": len(things)})
    return {
        "runs": runs,
        "things": [sorted(one) for one in things],
        "refused": {
            "another field": told(host, "docs.query", collection="resource", fields=["quantity"]),
            "another list": told(host, "docs.query", collection="member"),
            "another act": told(host, "docs.propose", command="resource.erase",
                                args={"resource": things[0]["resource"]}),
            "bad words": told(host, "docs.propose", command="resource.edit", args={}),
            "the web": told(host, "http.fetch", url="https://example.org/"),
            "no such method": told(host, "os.system", command="id"),
        },
    }
"""
TOML = """
[agent]
name = "names"
version = "1.0.0"
entry = "agent.py:main"
summary = "Propose longer names"
[retry]
max_attempts = 1
[capabilities]
"docs.query" = { collections = ["resource"], fields = ["resource", "name"] }
"docs.propose" = { kinds = ["resource.edit"], rate = "50/day" }
"notify.send" = {}
"driver.send" = { drivers = ["post"] }
"metrics.put" = {}
"kv.get" = {}
"kv.put" = {}
"""


class Hook(ThreadingHTTPServer):
    """Notes what it is told; while ``held`` is clear nobody gets an answer."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Told)
        self.keys: list[str] = []
        self.whose: set[tuple[str, str]] = set()
        self.held = threading.Event()
        self.away = False
        """It has no time for anybody."""


class _Told(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        """One letter."""
        server = self.server
        assert isinstance(server, Hook)
        self.rfile.read(int(self.headers["Content-Length"]))
        server.keys.append(self.headers["Idempotency-Key"])
        server.whose.add((self.headers["Commons-Agent"], self.headers["Commons-Principal"]))
        server.held.wait(30)
        with suppress(OSError):
            self.send_response(503 if server.away else 204)
            self.end_headers()

    def log_message(self, *_args: object) -> None:
        """Says nothing."""


@pytest.fixture
def hook() -> Iterator[Hook]:
    server = Hook()
    serving = threading.Thread(target=server.serve_forever, daemon=True)
    serving.start()
    yield server
    server.held.set()
    server.shutdown()
    server.server_close()
    serving.join(5)


def prepared(elm: Street, hook: Hook) -> House:
    """A founded node with a drill, and an agent that was agreed to."""
    url = f"http://127.0.0.1:{hook.server_port}/told"
    text = f'{QUICK}\n[drivers.post]\nkind = "webhook"\nurl = "{url}"\n'
    (anna,) = elm.build("anna", config=text)
    anna.found()
    anna.do("resource.add", name="Drill", number="DR-1")
    installed(anna, TOML, {"agent.py": SOURCE})
    return anna


REFUSED = {
    "another field": "not_granted", "another list": "not_granted", "another act": "not_granted",
    "bad words": "bad_parameters", "the web": "not_granted", "no such method": "no_method",
}  # fmt: skip


@pytest.mark.long
def test_an_agent_proposes_a_member_signs_once_and_the_act_is_explained(hook: Hook) -> None:
    with street() as elm:
        anna = prepared(elm, hook)
        community = anna.see("status")["communities"][0]
        before = anna.operations()
        dry = anna.do("job.run", job="names", dry=True, wait=60)
        assert dry["state"] == "done"
        assert anna.see("proposal.list")["proposals"] == []
        would = anna.see("job.show", job="names")["runs"][0]["would"]
        kinds = [one["kind"] for one in would]
        assert kinds == ["kv", "proposal", "notice", "outbox", "sample"]
        assert hook.keys == [], "a dry run tells nobody"

        hook.held.set()
        assert anna.do("job.run", job="names", wait=60)["state"] == "done"
        shown = anna.see("job.show", job="names")
        result = shown["runs"][0]["result"]
        assert result["runs"] == 1, "the dry run kept nothing"
        assert result["things"] == [["name", "resource"]], "fields that are granted, no others"
        assert result["refused"] == REFUSED
        told = {one["method"]: one["code"] for one in shown["refused"]}
        assert told["http.fetch"] == "not_granted"
        assert told["?"] == "no_method"
        assert anna.see("job.why", job="names")["refused"] == shown["refused"]
        lines = [one["text"] for one in anna.see("job.logs", job="names")["lines"]]
        assert any(one.startswith("refused http.fetch (not_granted)") for one in lines)
        assert [one["text"] for one in shown["notices"]] == ["1 things, run 1"]
        assert anna.operations() == before, "an agent writes nothing itself"

        (receipt, *_dry) = anna.see("job.receipts", job="names")["receipts"]
        assert receipt["state"] == "done"
        assert receipt["fuel"] > 0
        assert len(receipt["runner"]) == 64
        assert receipt["engine"]
        (row,) = (one for one in anna.see("job.list")["jobs"] if one["job"] == shown["job"])
        assert row["credits"] > 0
        assert shown["budget"]["agent"]["used"] == pytest.approx(row["credits"])

        (proposal,) = anna.see("proposal.list")["proposals"]
        assert proposal["state"] == "open"
        assert proposal["principal"] == community["community"]
        anna.do("member.lock")
        assert anna.refused("proposal.sign", proposal=1).code == "locked", "a member signs"
        anna.unlock()
        signed = anna.do("proposal.sign", proposal=1)
        after = anna.operations()
        again = anna.do("proposal.sign", proposal=1)
        assert (again["operation"], again["again"]) == (signed["operation"], 1)
        assert anna.operations() == after, "signed twice, done once"
        assert anna.see("resource.list")["resources"][0]["name"] == "Cordless drill"
        explained = anna.see("explain", operation=signed["operation"])
        assert explained["author"] == "anna", "the member has signed"
        assert explained["proposed"]["agent"] == proposal["agent"]
        assert explained["proposed"]["principal"] == community["community"]
        assert proposal["agent"] in explained["proposed_by"]
        assert community["name"] in explained["proposed_by"]
        assert anna.refused("proposal.drop", proposal=1).code == "state"
        assert anna.refused("proposal.sign", proposal=9).code == "unknown"

        assert anna.do("job.run", job="names", wait=60)["state"] == "dead", "no Drill any more"
        assert len(anna.see("proposal.list", all=True)["proposals"]) == 1
        assert len(hook.keys) == 1, "what is about one thing is told once"
        whose = (proposal["agent"], community["community"])
        assert hook.whose == {whose}, "and by whom, for whom"
        anna.do("agent.remove", agent="names")
        assert jobs(anna, "SELECT DISTINCT agent, principal FROM outbox") == [whose]
        assert jobs(anna, "SELECT DISTINCT agent, principal FROM samples") == [whose]
        named = (
            "SELECT DISTINCT r.agent, r.principal FROM effects e LEFT JOIN receipts r USING (run)"
            " WHERE e.job = ?"
        )
        assert jobs(anna, named, shown["job"]) == [whose], "each effect, also when it is gone"


@pytest.mark.long
def test_a_node_that_dies_tells_again_with_one_key_and_signs_nothing_twice(hook: Hook) -> None:
    with street() as elm:
        anna = prepared(elm, hook)
        assert anna.do("job.run", job="names", wait=60)["state"] == "done"
        until(lambda: hook.keys, "the letter has arrived, and nobody has said so yet")
        anna.kill()
        assert jobs(anna, "SELECT state FROM outbox") == [("ready",)]
        hook.held.set()
        anna.again()
        anna.unlock()
        until(lambda: jobs(anna, "SELECT state FROM outbox") == [("sent",)], "it comes again")
        assert len(hook.keys) > 1
        assert len(set(hook.keys)) == 1, "whoever is told twice knows it by its key"
        assert jobs(anna, "SELECT count(*) FROM kv") == [(1,)]
        assert jobs(anna, "SELECT count(*) FROM proposals") == [(1,)], "and nothing here is double"

        operation = anna.do("proposal.sign", proposal=1)["operation"]
        assert jobs(anna, "SELECT lower(hex(written)) FROM proposed") == [(operation,)]
        anna.kill()
        # as if it had died after the act was stored, and before that was noted
        jobs(anna, "UPDATE proposals SET state = 'signing', answer = NULL")
        anna.again()
        anna.unlock()
        before = anna.operations()
        assert anna.do("proposal.sign", proposal=1)["operation"] == operation
        assert anna.operations() == before, "it was done, so it is not done again"
        anna.kill()
        # as if it had died before the act was stored
        jobs(anna, "UPDATE proposals SET state = 'signing', answer = NULL")
        jobs(anna, "UPDATE proposed SET written = ?", b"\x07" * 32)
        anna.again()
        anna.unlock()
        assert anna.see("proposal.list")["proposals"][0]["state"] == "open"
        anna.refused("proposal.sign", proposal=1)
        (proposal,) = anna.see("proposal.list")["proposals"]
        assert (proposal["state"], proposal["error"]) == ("open", "It is like that already.")
        anna.do("resource.edit", resource="DR-1", name="Drill")
        assert anna.do("proposal.sign", proposal=1)["operation"] != operation
        assert anna.operations() != before
        anna.do("agent.remove", agent="names")
        assert jobs(anna, "SELECT count(*) FROM kv") == [(0,)], "what it kept goes with it"


def _held(anna: House, hook: Hook) -> bool:
    """The letter was due, the node looked, and nobody was told; one try may have been under way."""
    told = len(hook.keys)
    jobs(anna, "UPDATE outbox SET attempts = 1, not_before_ms = 0")
    anna.do("job.run", job="tidy", dry=True, wait=60)  # so that the node looks
    found = jobs(anna, "SELECT state, attempts FROM outbox")
    return found == [("ready", 1)] and len(hook.keys) == told


@pytest.mark.long
def test_an_agent_that_was_removed_or_may_send_no_more_says_nothing_more(hook: Hook) -> None:
    with street() as elm:
        anna = prepared(elm, hook)
        hook.away = True
        hook.held.set()
        assert anna.do("job.run", job="names", wait=60)["state"] == "done"
        letter = "SELECT state, error FROM outbox"
        until(lambda: jobs(anna, "SELECT attempts FROM outbox") > [(0,)], "it is tried in vain")
        assert jobs(anna, letter)[0][0] == "ready"
        anna.do("agent.pause", agent="names")
        until(lambda: _held(anna, hook), "nothing is tried any more")
        assert anna.see("agent.show", agent="names")["letters"] == 1
        anna.do("agent.resume", agent="names")
        until(lambda: jobs(anna, "SELECT attempts FROM outbox") > [(1,)], "it is tried again")
        (late,) = [
            one for one in anna.see("job.why", job="names")["besides"] if one["code"] == "late"
        ]
        assert "post" in late["sentence"]
        assert "503" in late["sentence"]
        assert late["next_action"] in anna.reads("job", "show", "names")["also"]
        again = "UPDATE outbox SET state = 'ready', not_before_ms = ?1, delay_ms = ?1"
        later = 9_000_000_000_000
        jobs(anna, again, later)  # by itself it is not tried before
        hook.away = False
        assert anna.do("job.retry", job="names")["letters"] == 1
        until(lambda: jobs(anna, letter)[0][0] == "sent", "it is sent at once")
        assert anna.refused("job.retry", job="names").code == "state"
        jobs(anna, again, later)
        anna.reads("agent", "grant", "names", "--without", "driver.send", "--yes")
        jobs(anna, "UPDATE outbox SET not_before_ms = 0")
        anna.do("job.run", job="names", dry=True, wait=60)  # so that the node looks
        until(lambda: jobs(anna, letter)[0][0] == "dead", "its driver was taken back")
        assert "post" in jobs(anna, letter)[0][1]
        tried = len(hook.keys)
        jobs(anna, again, later)
        anna.do("agent.remove", agent="names")
        assert jobs(anna, letter) == [("dead", "its agent was removed")]
        assert len(hook.keys) == tried, "nobody was told anything"
