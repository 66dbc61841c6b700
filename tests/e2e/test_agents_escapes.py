"""The whole list of escapes at a real node: signed packages, run by `job run`, and the node after.

`tests/sandbox` has the same attacks for a pool of workers, and what holds when a layer is missing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from tests.e2e.besieged import LONG_S, Besieged, besieged
from tests.e2e.installed import jobs
from tests.e2e.neighbourhood import command_of, kill_9, until
from tests.sandbox.attacks import BOMBS, LARGE, PATCHES, REACHES, Try, main, told
from tests.sandbox.prepared import lend
from tests.sandbox.spoken import attacks
from tests.unit.agents import CODE, EVE, key_of, with_listing

from commons_node.agents.package import Entry, decode, encode, pack, sign
from commons_node.jobs import workers

pytestmark = pytest.mark.long

FUEL = "fuel = 2_000_000_000\n"
SETTING = '[settings]\nattack = ""\n'
ASKS = "host.driver.read(driver='gate')"
FLOODS = {
    "a million calls": Try(
        "for n in range(10**6): host.kv.get(name='x')", "calls", "more than 2000 calls"
    ),
    "a million notices": Try("for n in range(10**6): host.notify.send(text='x')", "too_much"),
    "a million values": Try(
        "for n in range(10**6): host.kv.put(name=str(n), value='x' * 50_000)", "too_much"
    ),
    "a million lines": Try("for n in range(10**6): print('x' * 2_000)", "fuel", "used up"),
}
REACHES_HERE = {
    **REACHES,
    "what was not granted": replace(
        REACHES["what was not granted"], code="not_granted", text="has not granted"
    ),
}
MAY = '"kv.get" = {}\n"kv.put" = {}\n"notify.send" = {}\n'
HUGE = {name: one for name, one in LARGE.items() if one.memory != 64}
SMALL = {**BOMBS, **{name: one for name, one in LARGE.items() if name not in HUGE}, **FLOODS}


@pytest.fixture(scope="module")
def place() -> Iterator[Besieged]:
    with besieged() as made:
        yield made


def tried(place: Besieged, agent: str, attacks: Mapping[str, Try]) -> None:
    """Each of them, and the node after it."""
    for name, one in attacks.items():
        ran = place.attacked(agent, name)
        if one.code:
            assert (ran["state"], ran["code"]) == ("dead", one.code), f"{name}: {ran}"
            assert one.text in ran["error"], f"{name}: {ran}"
        else:
            assert (ran["state"], ran["result"]) == ("done", one.result), f"{name}: {ran}"
        place.healthy()


def test_an_agent_reaches_nothing_of_a_node(place: Besieged) -> None:
    place.install("reaches", {"agent.py": told(REACHES_HERE, ASKS)}, limits=FUEL + SETTING)
    tried(place, "reaches", REACHES_HERE)


def test_an_agent_blows_up_and_its_node_does_not(place: Besieged) -> None:
    place.install("bombs", {"agent.py": told(SMALL, ASKS)}, limits=FUEL + SETTING, capabilities=MAY)
    tried(place, "bombs", SMALL)
    ((most,),) = jobs(
        place.house, "SELECT max(n) FROM (SELECT count(*) AS n FROM logs GROUP BY run)"
    )
    assert most == workers.LINES, "of a million lines the last ones are kept"


def test_what_a_run_has_changed_is_as_before_for_the_next(place: Besieged) -> None:
    place.install("patches", {"agent.py": main(f"{ASKS}\n{PATCHES}")})
    for _ in range(5):  # an idle worker may end in between
        assert place.attacked("patches")["result"] == {}, "within its own run nothing is as it was"
        patched = place.seen
        place.healthy()
        if place.workers() == patched:
            return
    raise AssertionError("an honest run follows in the same process")


def test_what_is_huge_comes_no_further_than_its_worker(place: Besieged) -> None:
    """50 MB given back and 60 MB asked: the daemon's own memory shows that it got none of it."""
    assert {one.memory for one in HUGE.values()} == {256}
    room = 'memory = "256MiB"\nfuel = 20_000_000_000\n'
    place.install("huge", {"agent.py": told(HUGE, ASKS)}, limits=room + SETTING)
    tried(place, "huge", HUGE)


def test_a_component_is_held_by_a_node_as_python_is(place: Besieged) -> None:
    """Each is the next version of one agent. Those that are no agents do not come to ask."""
    made = attacks("driver.read", {"driver": "gate"})
    made["compiled"] = compiled(place), "code"
    silent = {"reaches", "more memories", "no agent", "a module", "compiled"}
    for n, (name, (component, code)) in enumerate(made.items()):
        head = {"runtime": "wasm", "entry": "agent.wasm", "version": f"1.0.{n}"}
        how = place.upgrade if n else place.install
        how("built", {"agent.wasm": component}, limits=FUEL, **head)
        ran = place.run("built") if name in silent else place.attacked("built")
        assert (ran["state"], ran["code"]) == ("dead", code), f"{name}: {ran}"
        place.healthy()


def compiled(place: Besieged) -> bytes:
    """The beginning of what the node itself has compiled."""
    (file,) = place.house.home.glob("sandbox/*.cwasm")
    found = file.read_bytes()[: 1 << 20]
    assert found[:4] == b"\x7fELF"
    return found


def evil_packages() -> dict[str, tuple[bytes, str]]:
    """Packages that are none, each with a part of the reason."""
    head = f'[agent]\nname="evil"\nversion="1.0.0"\npublisher="ed25519:{key_of(EVE)}"\n'
    good = [Entry("agent.toml", head.encode()), Entry("code/agent.py", CODE["agent.py"])]
    signed = decode(sign(pack(head.encode(), CODE), EVE))
    wider = head.replace("1.0.0", "1.0.1").encode()
    relisted = decode(pack(wider, CODE))

    def also(path: str) -> bytes:
        return with_listing([*good, Entry(path, b"slipped")], EVE)

    return {
        "above its folder": (also("code/../../../slipped"), "no name"),
        "at a place": (also("/tmp/slipped"), "no name"),  # noqa: S108 - the attack
        "behind another sign": (also("code\\..\\slipped.py"), "no name"),
        "compiled code": (also("code/agent.cwasm"), "compiled code"),
        "a changed agent.toml": (encode([Entry("agent.toml", wider), *signed[1:]]), "MANIFEST"),
        "a changed MANIFEST": (encode([*relisted, signed[-1]]), "signature"),
        "nobody's": (pack(head.encode(), CODE), "nobody has signed"),
    }


def test_a_package_that_is_none_leaves_nothing(place: Besieged, tmp_path: Path) -> None:
    for name, (data, why) in evil_packages().items():
        file = tmp_path / "evil.agent"
        file.write_bytes(data)
        said = place.house.cli("agent", "install", str(file), "--yes")
        assert (said.code, said.error["code"]) == (1, "bad_package"), f"{name}: {said}"
        assert why in said.error["message"], f"{name}: {said}"
        place.healthy()
    assert not list(tmp_path.rglob("slipped*"))
    assert "evil" not in {one["name"] for one in place.house.see("agent.list")["agents"]}


def test_a_version_that_may_do_more_does_nothing_until_somebody_says_so(place: Besieged) -> None:
    house, source = place.house, {"agent.py": "def main(event, host): return 1"}
    place.install("wider", source)
    assert place.run("wider")["state"] == "done"
    more = {
        "1.1.0": {"capabilities": '"http.fetch" = { hosts = ["example.org"] }\n'},
        "1.2.0": {"limits": "calls = 1_000_000\n"},
        "1.3.0": {"limits": 'wall = "1h"\n'},
    }
    for version, asked in more.items():
        made = place.upgrade("wider", source, version=version, **asked)
        assert (made["state"], made["granted"]) == ("suspended", []), version
        assert house.refused("job.run", job="wider").code == "unknown", "it has no job"
        place.healthy()


def compiling(place: Besieged) -> list[int]:
    """The processes in which the node compiles what agents run on."""
    module = "commons_node.sandbox.compiling"
    return [pid for pid in place.house.children() if module in command_of(pid)]


def test_what_the_node_has_compiled_is_changed_and_never_run(place: Besieged) -> None:
    """It is made anew; what that would make is lent again, so that nobody waits for it."""
    house = place.house
    (file,) = house.home.glob("sandbox/*.cwasm")
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    for pid in place.workers():
        kill_9(pid)  # it has loaded the good one
    until(lambda: not place.workers(), "the next run needs a new worker")
    file.write_bytes(data)
    run = house.do("job.run", job="honest")["run"]
    until(lambda: compiling(place), "it is refused, and made anew", LONG_S)
    (process,) = compiling(place)
    assert not file.exists() or file.read_bytes() != data, "it is gone"
    asyncio.run(lend(house.home))
    kill_9(process)
    assert place.ended("honest", run)["state"] == "done", "what is good is loaded, and it goes on"
    place.again()
    assert "runner_spoilt" in house.whole_log()
    place.healthy()


LOOPS = "def main(event, host):\n    while True: pass\n"
WAITS = f"def main(event, host):\n    {ASKS}\n"


def test_a_run_that_does_not_end_is_ended(place: Besieged) -> None:
    """By the clock, whatever fuel it has: from within, and by the end of its process."""
    fuel = "fuel = 1_000_000_000_000\n"
    place.install("loops", {"agent.py": LOOPS}, limits=f'wall = "2s"\n{fuel}')
    place.install("waits", {"agent.py": WAITS}, limits=f'wall = "6s"\n{fuel}')
    for agent in ("loops", "waits"):
        ran = place.run(agent)
        assert (ran["state"], ran["code"]) == ("dead", "timeout"), f"{agent}: {ran}"
        place.healthy()
    place.gate.asked()  # it did ask, and nobody has answered until now
    place.gate.answer()
