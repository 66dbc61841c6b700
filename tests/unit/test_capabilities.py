"""What an agent may ask, and every way in which it is told no."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.unit.bureau import AGENT, ELM, LOANS, NOON, Bureau, bureau

from commons_crdt.errors import CommonsError
from commons_node.agents.manifest import AgentLimits, Grant
from commons_node.capabilities.catalogue import CAPABILITIES
from commons_node.capabilities.coding import PIECE
from commons_node.capabilities.collections import COLLECTIONS
from commons_node.capabilities.proposing import MOST_OPEN, proposable
from commons_node.capabilities.reference import page
from commons_node.domains import registry
from commons_node.jobs.dealing import believed
from commons_node.jobs.definitions import define
from commons_node.jobs.effects import BadEffect, Effect
from commons_node.jobs.frames import Done, Failed
from commons_node.registry import describe_arguments
from commons_node.web import Web

ALL = Grant(collections=("loan",))


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[Bureau]:
    async with bureau(tmp_path) as made:
        yield made


async def refused(run: Any, method: str, /, **params: Any) -> tuple[str, str]:
    """The code and the sentence of a refusal."""
    with pytest.raises(CommonsError) as found:
        await run(method, **params)
    return found.value.code, str(found.value)


# -- what is granted -------------------------------------------------------------------------------


async def test_nothing_is_granted_that_the_host_has_not_granted(house: Bureau) -> None:
    run = await house.run()
    for name, one in CAPABILITIES.items():
        if not one.free:
            assert (await refused(run, name))[0] == "not_granted", name
    assert (await refused(run, "os.system", command="id"))[0] == "no_method"
    assert (await refused(run, "docs.put"))[0] == "no_method"
    assert run.dealing.effects == []
    assert [line for line in run.attempt.lines if line.startswith("refused docs.query (not_gr")]
    assert run.dealing.refused["docs.query", "not_granted"].count == 1


async def test_what_is_taken_away_is_gone_at_the_next_call(house: Bureau) -> None:
    house.granted = {"docs.query": ALL}
    run = await house.run()
    assert (await run("docs.query", collection="loan"))["rows"]
    house.granted = {"docs.query": Grant(collections=())}
    assert (await refused(run, "docs.query", collection="loan"))[0] == "not_granted"
    house.granted = None
    assert "paused" in (await refused(run, "now"))[1]
    house.granted, house.package = {"docs.query": ALL}, b"q" * 32
    assert "replaced" in (await refused(run, "docs.query", collection="loan"))[1]


async def test_a_fault_of_ours_is_a_refusal_that_tells_no_secret(house: Bureau) -> None:
    house.granted = {"docs.query": Grant(collections=("member",))}
    run = await house.run()
    code, text = await refused(run, "docs.query", collection="member")
    assert (code, "secret" in text) == ("fault", False)


async def test_a_worker_that_speaks_for_itself_is_not_believed(house: Bureau) -> None:
    run = await house.run()
    letter = Effect("outbox", "x", {"to": "driver:mail", "body": {}})
    ended, effects = believed(run.dealing, [letter], Done(None, 1, 1))
    assert isinstance(ended, Failed)
    assert (ended.code, effects) == ("bad_frame", [])


# -- docs ------------------------------------------------------------------------------------------


async def test_rows_are_those_that_grant_and_question_let_through(house: Bureau) -> None:
    house.granted = {
        "docs.query": Grant(collections=("loan",), fields=("loan", "state", "due"),
                            where={"state": "on_loan"}, max_rows=10),
        "docs.get": Grant(collections=("loan.list",), fields=("loan", "state"),
                          where={"state": "on_loan"}),
    }  # fmt: skip
    run = await house.run()
    first = await run("docs.query", collection="loan", limit=10)
    assert [set(row) for row in first["rows"]] == [{"loan", "state", "due"}] * 10
    assert {row["state"] for row in first["rows"]} == {"on_loan"}, "the grant's own filter"
    assert (first["more"], first["next"], first["as_of"]) == (True, "10", "00ff")
    rest = await run("docs.query", collection="loan", after=first["next"], limit=10)
    assert (len(rest["rows"]), rest["more"]) == (10, False)
    assert await run("docs.query", collection="loan", where={"state": "returned"}) == {
        "rows": [], "more": False, "next": None, "as_of": "00ff",
    }  # fmt: skip
    early = await run("docs.query", collection="loan", where={"due": {"lt": "2026-12-03"}})
    assert {row["due"][:10] for row in early["rows"]} == {"2026-12-02"}
    either = await run(
        "docs.query", collection="loan", where={"loan": [LOANS[1]["loan"], LOANS[2]["loan"]]}
    )
    assert [row["loan"] for row in either["rows"]] == [LOANS[1]["loan"]], "both must hold"
    found = await run("docs.get", collection="loan", id=LOANS[3]["loan"])
    assert found["row"] == {"loan": LOANS[3]["loan"], "state": "on_loan"}
    assert (await run("docs.get", collection="loan", id=LOANS[2]["loan"]))["row"] is None


async def test_questions_reach_no_further_than_answers(house: Bureau) -> None:
    house.granted = {"docs.query": Grant(collections=("loan",), fields=("loan",), max_rows=5)}
    run = await house.run()
    asks: dict[str, tuple[str, dict[str, Any]]] = {
        "a field that is not granted": ("not_granted", {"fields": ["borrower"]}),
        "a filter by such a field": ("not_granted", {"where": {"borrower": "b0" * 32}}),
        "a field that no agent sees": ("not_granted", {"fields": ["steps"]}),
        "more rows than granted": ("too_much", {"limit": 6}),
        "no such order": ("bad_parameters", {"where": {"loan": {"like": "%"}}}),
        "a filter in a filter": ("bad_parameters", {"where": {"loan": [["x"]]}}),
        "no such parameter": ("bad_parameters", {"sql": "SELECT 1"}),
        "a limit of nothing": ("bad_parameters", {"limit": 0}),
    }
    for what, (code, params) in asks.items():
        assert (await refused(run, "docs.query", collection="loan", **params))[0] == code, what
    for name in ("member", "peer", "peer.list", "checkin", "job.list", "loan.secret"):
        assert (await refused(run, "docs.query", collection=name))[0] == "not_granted", name
    assert len((await run("docs.query", collection="loan"))["rows"]) == 5, "a page, no more"


async def test_another_community_is_out_of_reach(house: Bureau) -> None:
    house.granted = {"docs.query": ALL}
    house.job = type(house.job)("helper", "agent", principal="0a" * 32, agent=AGENT)
    await house.desk.call(lambda queue: define(queue, house.job))
    run = await house.run()
    assert (await run("docs.query", collection="loan"))["rows"] == []


async def test_an_answer_has_at_most_so_many_bytes(house: Bureau) -> None:
    house.granted = {"docs.query": Grant(collections=("loan",), max_bytes=2_000),
                     "kv.put": Grant(max_bytes=3)}  # fmt: skip
    run = await house.run()
    assert (await refused(run, "docs.query", collection="loan"))[0] == "too_much"
    assert (await run("docs.query", collection="loan", limit=2))["rows"]
    assert (await refused(run, "kv.put", name="a", value=1))[0] == "too_much"
    assert run.dealing.effects == [], "a call that was refused has no effect"


def test_the_reference_is_made_from_what_is_declared() -> None:
    file = Path(__file__).parents[2] / "docs" / "capabilities.md"
    assert file.read_text(encoding="utf-8") == page(registry()), "make capabilities"


def test_what_is_in_reach_is_a_list_and_no_rule() -> None:
    verbs = registry()
    for one in COLLECTIONS.values():
        view = verbs.view(one.view)
        assert view is not None, one.name
        assert view.table is not None
        assert view.table.rows == one.rows, one.name
        assert not view.member, "nobody is unlocked for an agent"
        assert {"steps", "device", "devices", "node", "addresses"}.isdisjoint(one.fields)
    assert not {"checkin", "notice", "peer", "job"} & COLLECTIONS.keys()


# -- proposals -------------------------------------------------------------------------------------


async def test_an_agent_proposes_and_does_nothing(house: Bureau) -> None:
    house.granted = {"docs.propose": Grant(kinds=("loan.decline", "loan.secret", "loan.hidden",
                                                  "member.remove", "loan.gone"))}  # fmt: skip
    run = await house.run()
    key = (await run("docs.propose", command="loan.decline", args={"loan": "x"}, why="late"))["key"]
    for name in ("loan.secret", "loan.hidden", "member.remove", "loan.gone", "loan.approve"):
        code, _text = await refused(run, "docs.propose", command=name, args={"loan": "x"})
        assert code == "not_granted", name
    for args in ({}, {"loan": 7}, {"loan": "x", "more": 1}, {"loan": "x", "photo": {"data": ""}}):
        code, text = await refused(run, "docs.propose", command="loan.decline", args=args)
        assert code == "bad_parameters", text
    assert await run.done() == 1
    ((agent, principal, command, args, state, operation),) = await house.rows(
        "SELECT agent, principal, command, arguments, state, operation FROM proposals"
    )
    assert (agent, principal, command, state) == (AGENT, ELM, "loan.decline", "open")
    assert (json.loads(args), operation) == ({"loan": "x"}, key)


async def test_what_is_about_one_thing_is_proposed_once_for_ever(house: Bureau) -> None:
    house.granted = {"docs.propose": Grant(kinds=("loan.decline",))}
    for new in (1, 0):
        run = await house.run()
        await run("docs.propose", command="loan.decline", args={"loan": "x"}, key="late-x")
        assert await run.done() == new
    assert await house.rows("SELECT count(*) FROM proposals") == [(1,)]
    run = await house.run()
    for n in range(MOST_OPEN - 1):
        await run("docs.propose", command="loan.decline", args={"loan": str(n)})
    code, _text = await refused(run, "docs.propose", command="loan.decline", args={"loan": "y"})
    assert code == "too_much"


def test_only_what_needs_nothing_but_words_can_be_proposed() -> None:
    found = proposable(registry())
    assert {"loan.decline", "loan.approve", "resource.edit", "space.edit"} <= found.keys()
    for name, command in found.items():
        assert name.partition(".")[0] in {"loan", "resource", "space"}
        assert command.member
        needed = {str(a["kind"]) for a in describe_arguments(command) if a.get("required")}
        assert not needed & {"passphrase", "new-passphrase", "secret", "file-in", "path-in"}


# -- rates -----------------------------------------------------------------------------------------


async def test_a_rate_outlives_the_node_and_no_clock_shortens_it(tmp_path: Path) -> None:
    async with bureau(tmp_path, granted={"kv.list": Grant(rate="3/hour")}) as house:
        run = await house.run()
        for _ in range(3):
            await run("kv.list")
        code, text = await refused(run, "kv.list")
        assert code == "rate"
        assert "3600 s" in text
        house.wall += 90 * 86_400_000
        assert (await refused(run, "kv.list"))[0] == "rate", "a clock set forward gives none"
        house.wall -= 200 * 86_400_000
        assert (await refused(run, "kv.list"))[0] == "rate", "nor one set back"
        house.wall = NOON
        house.pass_time(1800)
        assert "1800 s" in (await refused(run, "kv.list"))[1]
        await run.done()
        await house.close()
        house.wall += 600_000  # off for ten minutes
        house.clock = 5
        await house.open()
        run = await house.run()
        code, text = await refused(run, "kv.list")
        assert code == "rate", "a new life of the node gives none"
        assert "1200 s" in text, "half an hour that it ran, ten minutes that it was off"
        house.pass_time(1201)
        await run("kv.list")


async def test_a_high_rate_is_exact_and_costs_few_commits(house: Bureau) -> None:
    house.granted = {"kv.list": Grant(rate="500/day")}
    house.meter.allowed = type(house.meter.allowed)(run=100, agent_day=1000, principal_day=1000)
    run = await house.run()
    for _ in range(500):
        await run("kv.list")
    assert (await refused(run, "kv.list"))[0] == "rate"
    ((used,),) = await house.rows("SELECT used FROM windows WHERE name LIKE 'rate/%'")
    assert used == 500


async def test_a_dry_run_uses_up_no_rate(house: Bureau) -> None:
    house.granted = {"kv.list": Grant(rate="1/day")}
    run = await house.run(dry=True)
    for _ in range(3):
        await run("kv.list")


# -- kv, metrics, the plain ones -------------------------------------------------------------------


async def test_a_store_is_kept_with_the_run_within_its_quota(house: Bureau) -> None:
    house.granted = {name: Grant() for name in ("kv.get", "kv.put", "kv.delete", "kv.list")}
    house.limits = AgentLimits(kv_bytes=60)
    run = await house.run()
    await run("kv.put", name="a/1", value={"n": 1})
    await run("kv.put", name="a/2", value=[1, 2])
    await run("kv.put", name="b", value=None)
    assert await run("kv.get", name="a/1") == {"n": 1}, "a run sees what it has put"
    assert await run("kv.list", prefix="a/") == ["a/1", "a/2"]
    assert (await refused(run, "kv.put", name="big", value="x" * 60))[0] == "too_much"
    other = await house.run() if house.job.concurrency > 1 else None
    assert other is None
    assert await house.rows("SELECT count(*) FROM kv") == [(0,)], "nobody else does before its end"
    await run("kv.delete", name="a/2")
    assert await run("kv.get", name="a/2") is None
    await run.done()
    run = await house.run()
    assert await run("kv.list") == ["a/1", "b"]
    assert await run("kv.get", name="nobody") is None
    await run("kv.put", name="a/1", value="x" * 40)
    await run.done()


async def test_two_runs_together_do_not_get_over_the_quota(house: Bureau) -> None:
    house.granted = {"kv.put": Grant()}
    house.limits = AgentLimits(kv_bytes=40)
    house.job = type(house.job)("helper", "agent", principal=ELM, agent=AGENT, concurrency=2)
    await house.desk.call(lambda queue: define(queue, house.job))
    one, two = await house.run(), await house.run()
    await one("kv.put", name="one", value="x" * 25)
    await two("kv.put", name="two", value="x" * 25)
    assert await one.done() == 1
    with pytest.raises(BadEffect, match="at most"):
        await two.done()
    assert await house.rows("SELECT name FROM kv") == [("one",)]


async def test_a_dry_run_keeps_nothing_and_asks_nobody(house: Bureau) -> None:
    house.granted = {
        "kv.put": Grant(), "notify.send": Grant(), "metrics.put": Grant(),
        "docs.propose": Grant(kinds=("loan.decline",)), "http.fetch": Grant(hosts=("a.org",)),
        "driver.read": Grant(drivers=("hall",)), "driver.send": Grant(drivers=("drop",)),
    }  # fmt: skip
    house.drivers = {"hall": {"kind": "serial-sensor", "device": "/dev/null", "fake": True},
                     "drop": {"kind": "file-drop", "folder": "/nowhere", "fake": True}}  # fmt: skip
    await house.close()
    house.web = Web()
    await house.open()
    run = await house.run(dry=True)
    await run("kv.put", name="a", value=1)
    await run("notify.send", text="hello")
    await run("metrics.put", values={"n": 1.5})
    await run("docs.propose", command="loan.decline", args={"loan": "x"})
    await run("driver.send", driver="drop", message={"name": "a.txt", "text": "x"})
    assert (await refused(run, "http.fetch", url="https://a.org/"))[0] == "dry"
    assert (await refused(run, "driver.read", driver="hall"))[0] == "dry"
    assert await run.done() == 0
    for table in ("kv", "notices", "samples", "proposals", "outbox", "effects"):
        assert await house.rows(f"SELECT count(*) FROM {table}") == [(0,)], table  # noqa: S608 - own
    ((result,),) = await house.rows("SELECT result FROM runs")
    kinds = [one["kind"] for one in json.loads(result)["would"]]
    assert kinds == ["kv", "notice", "sample", "proposal", "outbox"], "it says what would be"


async def test_effects_stand_with_the_run_or_not_at_all(house: Bureau) -> None:
    house.granted = {"notify.send": Grant(), "metrics.put": Grant()}
    run = await house.run()
    first = await run("notify.send", text="one")
    second = await run("notify.send", text="two")
    assert first != second, "each has its own key"
    assert (await refused(run, "notify.send", text="x", key="k" * 200))[0] == "bad_parameters"
    lease = run.lease
    state = await house.desk.call(lambda q: q.fail(lease.run, lease.fence, "fault", "broke"))
    assert (state, await house.rows("SELECT count(*) FROM notices")) == ("waiting", [(0,)])
    house.pass_time(60)
    again = await house.run()
    assert again.lease.run == run.lease.run, "the same run, another attempt"
    assert await again("notify.send", text="one") == first, "and the same keys"
    assert await again.done() == 1
    assert await house.rows("SELECT text FROM notices") == [("one",)]


async def test_time_chance_and_lines_need_no_grant(house: Bureau) -> None:
    run = await house.run()
    now = await run("now")
    assert (now["ms"], now["timezone"]) == (NOON, "Europe/Stockholm")
    assert now["iso"].endswith("+02:00")
    assert (await run("random"))["hex"] != (await run("random"))["hex"]
    assert (await refused(run, "random", bytes=10**6))[0] == "bad_parameters"
    await run("log", text="one\ntwo")
    assert list(run.attempt.lines)[-2:] == ["one", "two"]


async def test_a_worker_gets_its_code_in_pieces(house: Bureau) -> None:
    house.files = {"agent.py": b"x = 1\n" * 200_000, "sub/more.py": "å = 1".encode()}
    run = await house.run()
    import base64

    data = b""
    while True:
        piece = await run("agent.code", offset=len(data))
        data += base64.b64decode(piece["data"])
        if len(data) == piece["size"]:
            break
        assert len(base64.b64decode(piece["data"])) == PIECE
    assert json.loads(data) == {name: text.decode() for name, text in house.files.items()}
    assert (piece["runtime"], piece["entry"]) == ("python", "agent.py:main")
    house.files = {"agent.py": b"\xff"}
    assert (await refused(run, "agent.code"))[0] == "fault"


async def test_a_run_that_has_used_its_credits_is_told_so(house: Bureau) -> None:
    house.granted = {"notify.send": Grant()}
    run = await house.run()
    code = ""
    calls = 0
    while not code:
        calls += 1
        try:
            await run("notify.send", text="x", key=str(calls))
        except CommonsError as error:
            code = error.code
    assert code == "budget"
    assert calls > 100, "five credits are a thousand notices, less what its memory costs"
