"""The target of the broker: calls as they come out of the sandbox, each checked and answered.

Frames, parameters, grants and capabilities are the node's own, over a real file of jobs; only what
the views say is made up. What the broker answers "a fault of ours" is a finding.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from tests.fuzz.target import Target, hold
from tests.unit.bureau import AGENT, ELM, LOANS, NOON, REGISTRY, Code, Nothing

from commons_crdt.errors import CommonsError
from commons_node.agents.manifest import Grant
from commons_node.capabilities.broker import MOST_ANSWER, AgentDealing
from commons_node.capabilities.inside import Inside
from commons_node.capabilities.permit import Permit
from commons_node.capabilities.proposing import proposable
from commons_node.capabilities.rates import Rates
from commons_node.drivers.driver import Around
from commons_node.drivers.held import Drivers
from commons_node.jobs import frames
from commons_node.jobs.effects import commit
from commons_node.jobs.job import Job
from commons_node.jobs.lease import Lease
from commons_node.jobs.queue import Queue
from commons_node.jobs.workers import Attempt
from commons_node.models.held import Models
from commons_node.registry import Reading, Registry, Request, View
from commons_node.web import Web

CALLS = 16
"""Of one input: a run puts something and reads it again."""
REFUSALS = frozenset({
    "bad_parameters", "budget", "no_method", "not_granted", "not_set_up", "too_much",
})  # fmt: skip
FIELDS = {
    "loan": ("loan", "name", "state", "due", "overdue"),
    "resource": ("resource", "name", "categories", "quantity"),
}
GRANTED = {
    "docs.query": Grant(("loan", "resource"), (*FIELDS["loan"], *FIELDS["resource"]), max_rows=20),
    "docs.get": Grant(("resource.list",), FIELDS["resource"]),
    "docs.propose": Grant(kinds=("loan.decline", "loan.secret"), max_bytes=4_000),
    "notify.send": Grant(drivers=("mail",)),
    "driver.send": Grant(drivers=("printer",)),
    "driver.read": Grant(drivers=("camera",)),
    "model.infer": Grant(drivers=("guess",)),
    "http.fetch": Grant(hosts=("example.org",)),
    **{method: Grant() for method in ("kv.get", "kv.put", "kv.delete", "kv.list", "metrics.put")},
}
JOB = Job("helper", "agent", principal=ELM, agent=AGENT)
THINGS = [
    {"resource": f"{n:064x}", "name": "Drill", "categories": ["tools", n], "quantity": n or None}
    for n in range(3)
]


async def _resources(_request: Request[Any], _args: Nothing) -> Reading:
    return Reading({"resources": THINGS}, as_of="00ff")


VIEWS = Registry(
    commands=REGISTRY.commands,
    views=(*REGISTRY.views, View("resource.list", "Things.", Nothing, _resources)),
    nouns={**REGISTRY.nouns, "resource": "things"},
)


class _Desk:
    """The file of jobs, at once."""

    async def call(self, work: Callable[[Queue], Any]) -> Any:
        return work(_queue())


@lru_cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory()


@lru_cache
def _queue() -> Queue:
    return Queue(Path(_folder().name) / "jobs.db", "fuzz", lambda: NOON, lambda: 0)


async def _elm_street(_principal: str) -> str:
    return "Elm Street"


@lru_cache
def _inside() -> Inside:
    desk: Any = _Desk()
    return Inside(
        registry=VIEWS,
        acts=proposable(VIEWS),
        request=lambda community: Request(None, community=community),  # type: ignore[arg-type]  # no daemon here
        desk=desk,
        drivers=Drivers({}, Around(Web(), Path(_folder().name))),
        models=Models({}),
        web=None,
        code=lambda _package: Code({"agent.py": b"def main(event, host): ..."}),
        now_ms=lambda: NOON,
        zone=lambda: ZoneInfo("Europe/Stockholm"),
        name_of=_elm_street,
    )


def _dealing() -> AgentDealing:
    inside = _inside()
    lease = Lease(7, JOB, 1, 1, NOON, 1, False, {}, "hand", reserved=5_000)
    permit = Permit(GRANTED)
    return AgentDealing(inside, Rates(inside.desk, lambda: 0), lambda: permit, lease, Attempt())


def _within(call: frames.Call, value: Any) -> None:
    """No row shows more than was granted."""
    if call.method not in {"docs.query", "docs.get"}:
        return
    rows = value["rows"] if call.method == "docs.query" else [value["row"] or {}]
    hold(len(rows) <= 20, "rows as granted")
    granted = set(GRANTED[call.method].fields or ())
    hold(all(set(row) <= granted for row in rows), "fields as granted")


async def _deal(dealing: AgentDealing, call: frames.Call) -> bool:
    try:
        value = await dealing.answer(call.method, dict(call.params))
    except CommonsError as error:
        hold(error.code in REFUSALS, f"{call.method}: {error.code}: {error}")
        frames.encode(frames.Answer(code=error.code, error=str(error)))
        return False
    frames.encode(frames.Answer(value))
    hold(len(json.dumps(value, ensure_ascii=False).encode()) <= 2 * MOST_ANSWER, "it is bounded")
    _within(call, value)
    return True


def _keeps(dealing: AgentDealing) -> None:
    """What a call was told is wanted can be kept with the end of the run."""
    file = _queue().file
    file.execute("BEGIN")
    try:
        commit(file, JOB.name, 7, NOON, dealing.effects)
    finally:
        file.execute("ROLLBACK")


def _calls(data: bytes) -> bool:
    """Frames, one a line; taken where all are understood and none is refused."""
    calls = []
    for line in data.split(b"\n")[:CALLS]:
        try:
            frame = frames.said(line)
        except frames.BadFrame:
            return False
        if not isinstance(frame, frames.Call):
            return False
        calls.append(frame)

    async def all_of_them() -> bool:
        return all([await _deal(dealing, call) for call in calls])

    dealing = _dealing()
    taken = asyncio.run(all_of_them())
    _keeps(dealing)
    return taken


def _run(*calls: tuple[str, Mapping[str, object]]) -> bytes:
    return b"\n".join(frames.encode(frames.Call(name, params))[4:] for name, params in calls)


def _seeds() -> dict[str, bytes]:
    where = {"state": ["on_loan"], "due": {"lt": "2026-12-09"}, "overdue": False}
    decline = {"loan": LOANS[0]["loan"], "reason": "it is broken"}
    return {
        "query": _run(("docs.query", {"collection": "loan", "where": where, "limit": 5})),
        "page": _run(("docs.query", {"collection": "loan.list", "fields": ["due"], "after": "4"})),
        "get": _run(("docs.get", {"collection": "resource", "id": THINGS[1]["resource"]})),
        "propose": _run(
            ("docs.propose", {"command": "loan.decline", "args": decline, "why": "w", "key": "k"})
        ),
        "keep": _run(
            ("kv.put", {"name": "n", "value": {"a": [1, None, "x"]}}), ("kv.get", {"name": "n"}),
            ("kv.list", {"prefix": "n"}), ("kv.delete", {"name": "n"}), ("kv.get", {"name": "n"}),
        ),
        "tell": _run(
            ("notify.send", {"text": "late", "title": "t", "key": "k"}), ("log", {"text": "a\nb"}),
            ("metrics.put", {"values": {"late": 2.5}}), ("now", {}), ("random", {"bytes": 8}),
        ),
        "code": _run(("agent.code", {"offset": 3})),
        "order of lists": _run(
            ("docs.query", {"collection": "resource", "where": {"categories": {"lt": 5}}})
        ),
        "large number": _run(("kv.put", {"name": "n", "value": 10**40})),
        "bad drivers": _run(
            ("driver.send", {"driver": "printer", "message": {}}),
            ("driver.read", {"driver": "camera"}), ("model.infer", {"model": "guess", "input": 1}),
            ("notify.send", {"text": "x", "via": "mail"}),
        ),
        "bad act": _run(("docs.propose", {"command": "loan.secret", "args": {"word": "x"}})),
        "bad file": _run(
            ("docs.propose", {"command": "loan.decline", "args": {**decline, "photo": {}}})
        ),
        "bad method": _run(("os.system", {"command": "id"})),
        "bad frame": b'{"type":"call","method":"now"}',
    }  # fmt: skip


TARGETS = (Target("agent-calls", _calls, _seeds, "json", memory=8 << 20),)
