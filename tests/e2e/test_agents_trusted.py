"""A real agent whose proposals are signed because a member said so: when, and when not."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.installed import installed, jobs, packed
from tests.e2e.neighbourhood import House, Terminal, street, until

SOURCE = """
def main(event, host):
    count = (host.call("kv.get", name="count") or 0) + 1
    host.call("kv.put", name="count", value=count)
    for n in range(event["settings"]["each"]):
        name = f"Chair {count}.{n}"
        host.call("docs.propose", command="resource.add", args={"name": name}, key=name)
    return count
"""
TOML = """
[agent]
name = "chairs"
version = "1.0.0"
entry = "agent.py:main"
[retry]
max_attempts = 1
[capabilities]
"docs.propose" = { kinds = ["resource.add", "resource.erase"] }
"kv.get" = {}
"kv.put" = {}
[settings]
each = 1
"""
WIDER = TOML.replace("1.0.0", "1.1.0").replace('"kv.get" = {}', '"kv.get" = {}\n"notify.send" = {}')


def _file(path: Path) -> dict[str, str]:
    return {"name": path.name, "data": base64.b64encode(path.read_bytes()).decode()}


def ran(house: House) -> list[dict[str, Any]]:
    """What a run more has proposed, once it is signed, or it is said why it is not."""
    run = house.do("job.run", job="chairs", wait=60)
    assert run["state"] == "done"

    def proposed() -> list[dict[str, Any]]:
        found = house.see("proposal.list", all=True)["proposals"]
        return [one for one in reversed(found) if one["run"] == run["run"]]

    until(
        lambda: all(one["state"] == "signed" or one["held"] for one in proposed()),
        "each is signed, or it is said why not",
    )
    return proposed()


def audited(house: House) -> list[dict[str, Any]]:
    """What policies have signed, as the audit has it."""
    lines = (house.home / "audit.jsonl").read_text().splitlines()
    return [one for one in map(json.loads, lines) if one.get("policy")]


@pytest.mark.long
def test_what_an_agent_proposes_is_signed_as_a_member_said_and_no_more() -> None:
    with street() as elm:
        (anna,) = elm.build("anna")
        anna.found()
        agent = installed(anna, TOML, {"agent.py": SOURCE})["agent"]
        assert anna.do("job.run", job="chairs", wait=60)["state"] == "done"
        refused = anna.refused("agent.trust", agent="chairs", acts=["resource.erase"])
        assert refused.code == "not_trustable", "what cannot be undone is asked about each time"
        assert anna.refused("agent.trust", agent="chairs", acts=["loan.approve"]).code == "usage"
        anna.do("member.lock")
        acts = ["resource.add"]
        assert anna.refused("agent.trust", agent="chairs", acts=acts).code == "locked"
        anna.unlock()
        trusted = anna.do("agent.trust", agent="chairs", acts=acts, each_day=3)
        (policy,) = trusted["policies"]

        (one,) = ran(anna)
        assert one["state"] == "signed"
        receipt = one["policy"]
        assert (receipt["policy"], receipt["agent"], receipt["run"], receipt["principal"]) == (
            policy, agent, one["run"], one["principal"],
        )  # fmt: skip
        assert (receipt["member"], one["by"]) == (anna.member, anna.member)
        (first,) = (p for p in anna.see("proposal.list")["proposals"])
        assert (first["proposal"], first["held"]) == (1, None), "what was there before waits"
        explained = anna.see("explain", operation=one["operation"])
        assert explained["author"] == "anna"
        assert explained["proposed"]["policy"] == receipt
        assert f"policy {policy}" in explained["proposed_by"]
        (line,) = audited(anna)
        assert (line["verb"], line["outcome"], line["agent"], line["run"], line["member"]) == (
            "proposal.sign", "ok", agent, one["run"], anna.member,
        )  # fmt: skip
        assert line["operation"] == one["operation"]
        (row,) = anna.see("agent.show", agent="chairs")["trust"]
        assert (row["act"], row["used"], row["each_day"]) == ("resource.add", 1, 3)
        assert (row["state"], row["member_name"]) == ("ready", "anna")
        assert anna.see("job.why", job="chairs")["trust"] == [row]

        anna.do("member.lock")
        (locked,) = ran(anna)
        assert locked["state"] == "open", "nobody is there: it waits as any other"
        assert locked["held"] == "anna is not unlocked, alone, in a terminal"
        assert locked["stands"] == locked["held"], "as the list shows it"
        assert f"proposal sign {locked['proposal']}" in locked["next_action"]
        told = {one["code"]: one for one in anna.see("job.why", job="chairs")["besides"]}
        assert locked["held"] in told["held"]["sentence"]
        assert f"proposal sign {locked['proposal']}" in told["held"]["next_action"]
        assert locked["held"] in told["trust_held"]["sentence"]
        assert told["trust_held"]["next_action"] == "commons-node member unlock anna"
        assert locked["held"] in anna.reads("job", "why", "chairs")["also"]
        with Terminal(anna.home) as kiosk:
            code = kiosk.cli(
                "member", "unlock", "anna", "--passphrase-file", str(anna.passphrase_file)
            )
            assert code.code == 0
        anna.unlock()
        assert anna.see("proposal.show", proposal=locked["proposal"])["state"] == "open"
        anna.do("agent.set", agent="chairs", settings=["each=3"])
        states = [(one["state"], one["held"]) for one in ran(anna)]
        often = "it has signed as often as it may in a day (3)"
        assert states == [("signed", None), ("signed", None), ("open", often)]

        before = anna.operations()
        anna.kill()
        # as if it had died after the act was stored, and before that was noted
        jobs(anna, "UPDATE proposals SET state = 'signing', answer = NULL WHERE run ="
             " (SELECT max(run) FROM proposals) AND state = 'signed'")  # fmt: skip
        anna.again()
        anna.unlock()
        found = anna.see("proposal.list", all=True)["proposals"][1]
        written = jobs(
            anna, "SELECT lower(hex(written)) FROM proposed WHERE proposal = ?", found["proposal"]
        )
        assert found["state"] == "signed"
        assert (found["operation"],) in written, "it was done, and that is known"
        assert found["policy"]["policy"] == policy
        assert anna.operations() == before, "and not done again"
        assert [one["held"] for one in ran(anna)] == [often] * 3, "a day outlives a crash"

        assert anna.do("agent.distrust", agent="chairs")["count"] == 1
        assert anna.see("agent.show", agent="chairs")["trust"] == []
        anna.do("agent.trust", agent="chairs", acts=acts)
        wider = anna.do("agent.install", package=_file(packed(anna, WIDER, {"agent.py": SOURCE})))
        assert wider["state"] == "suspended"
        anna.reads("agent", "grant", "chairs", "--yes")
        assert anna.see("agent.show", agent="chairs")["trust"] == [], "it is said again, or not"
        anna.do("agent.set", agent="chairs", settings=["each=1"])
        assert anna.do("job.run", job="chairs", wait=60)["state"] == "done"
        assert anna.see("proposal.list")["proposals"][0]["state"] == "open"
        said = anna.cli("agent", "trust", "chairs", "resource.add")
        assert said.error["code"] == "usage", "a script says --yes"
        anna.acts("agent", "trust", "chairs", "resource.add", "--each-day", "1", "--yes")
        anna.do("agent.remove", agent="chairs")
        ends = jobs(anna, "SELECT ended FROM policies ORDER BY policy")
        assert ends == [("distrusted",), ("suspended",), ("removed",)]
        assert len(audited(anna)) == 3


@pytest.mark.long
def test_whoever_left_is_not_signed_for() -> None:
    with street() as elm:
        (anna,) = elm.build("anna")
        anna.found()
        installed(anna, TOML, {"agent.py": SOURCE})
        code = anna.invite()
        with Terminal(anna.home) as bos:
            secret = str(anna.passphrase_file)
            joined = bos.cli("join", code, "--member", "Bo", "--passphrase-file", secret)
            assert joined.json["state"] == "joined"
            anna.do("member.role", who="Bo", role="member")
            said = bos.cli("agent", "trust", "chairs", "resource.add", "--yes", "--as", "Bo")
            assert said.code == 0, said
            (one,) = ran(anna)
            assert one["state"] == "open"
            assert "it takes a steward" in one["held"], "what Bo may not do, no policy does for Bo"
            anna.do("member.role", who="Bo", role="steward")
            (one,) = ran(anna)
            assert (one["state"], one["by_name"]) == ("signed", "Bo"), "Bo's word, Bo's terminal"
            anna.do("member.remove", who="Bo", reason="other")
            until(
                lambda: jobs(anna, "SELECT ended FROM policies") == [("left",)],
                "a policy ends with its member",
            )
            anna.do("job.run", job="chairs", wait=60)
            (last, *_) = anna.see("proposal.list")["proposals"]
            assert (last["state"], last["held"]) == ("open", None)
