"""What an author may write in agent.toml, and what is refused with the reason."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commons_node.agents import quantities
from commons_node.agents.manifest import MAX_BYTES, AgentLimits, Grant, parse
from commons_node.agents.occasions import when
from commons_node.agents.refusals import BadPackage
from commons_node.jobs.job import Cron, Every, On, Retry, Trigger

ALICE = "a1" * 32
WHOLE = f"""
[agent]
name = "overdue-reminders"
version = "1.2.0"
api = "commons:agent@0.1"
runtime = "python"
entry = "agent.py:main"
publisher = "ed25519:{ALICE}"
summary = "Says what is overdue"

[[trigger]]
cron = "0 9 * * *"
timezone = "local"
misfire = "run_once"
grace = "12h"

[[trigger]]
event = "operation"
where = {{ kind = "lending.return.1" }}
debounce = "30s"

[[trigger]]
every = "2h"

[capabilities]
"docs.query" = {{ collections = ["loan"], fields = ["due", "borrower"], max_rows = 5000 }}
"notify.send" = {{ rate = "50/day" }}
now = {{}}

[limits]
fuel = 20_000_000_000
memory = "64MiB"
wall = "1.5s"
output = "1MiB"
credits = 30

[retry]
max_attempts = 3
base = "5s"

[settings]
days = 3
"""
SMALL = f'[agent]\nname="a"\nversion="0.1.0"\npublisher="ed25519:{ALICE}"\n'


def test_a_manifest_is_read() -> None:
    found = parse(WHOLE.encode())
    assert found.agent == "a1a1a1a1/overdue-reminders"
    assert found.triggers == (
        Cron("0 9 * * *", "", "run_once", 43_200.0),
        On("operation", {"kind": "lending.return.1"}, 30.0),
        Every(7200.0),
    )
    assert found.capabilities["docs.query"] == Grant(("loan",), ("due", "borrower"), max_rows=5000)
    assert found.capabilities["now"] == Grant(), "a capability may be asked for without more"
    assert found.limits == AgentLimits(memory_mib=64, wall_s=1.5, credits=30)
    assert found.retry == Retry(3, 5.0, 3600.0)
    assert found.settings == {"days": 3}
    assert found.order == (1, 2, 0)


def test_a_folder_without_a_publisher_gets_the_one_who_packs_it() -> None:
    without = SMALL.replace(f'publisher="ed25519:{ALICE}"\n', "").encode()
    with pytest.raises(BadPackage, match="no publisher"):
        parse(without)
    assert parse(without, publisher="b2" * 32).publisher == "b2" * 32


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (('name="a"', 'name="A"'), "name"),
        (('name="a"', 'name="../a"'), "name"),
        (('name="a"', 'name="\u0430"'), "name"),  # a Cyrillic letter that looks like another
        (('name="a"', 'name="a"\nnmae="b"'), "nmae"),
        (("0.1.0", "0.01.0"), "version"),
        (("0.1.0", "1"), "version"),
        ((ALICE, ALICE[:-2]), "publisher"),
        ((ALICE, ALICE.upper()), "publisher"),
        (('name="a"', 'name="a"\nentry="../x.py:main"'), "entry"),
        (('name="a"', 'name="a"\nentry="x.cwasm"\nruntime="wasm"'), "entry"),
        (('name="a"', 'name="a"\nruntime="native"'), "runtime"),
        (('name="a"', 'name="a"\napi="commons:agent@9"'), "this version has"),
        (('name="a"', 'name="a"\nsummary="\\u001b[2J"'), "cannot be shown"),
    ],
)
def test_a_head_that_is_not_allowed(change: tuple[str, str], why: str) -> None:
    changed = SMALL.replace(*change)
    assert changed != SMALL
    with pytest.raises(BadPackage, match=why):
        parse(changed.encode())


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ('[[trigger]]\ncron="0 9 * * *"\nevery="1h"', "exactly one"),
        ("[[trigger]]", "exactly one"),
        ('[[trigger]]\ncron="0 0 31 2 *"', "no schedule"),
        ('[[trigger]]\ncron="0 9 * * *"\ntimezone="../../etc/passwd"', "no zone"),
        ('[[trigger]]\nevery="0.5s"', "seconds"),
        ('[[trigger]]\nevery="9999999999h"', "no quantity"),
        ('[[trigger]]\nevent="Loan Updated"', "event"),
        ("[[trigger]]\nevery='1h'\n" * 17, "length"),
        ('[capabilities]\n"docs.query" = {max_rows = 0}', "max_rows"),
        ('[capabilities]\n"docs.query" = {rows = 5}', "rows"),
        ('[capabilities]\n"os/system" = {}', "capabilities"),
        ('[capabilities]\n"notify.send" = {rate = "5/second"}', "rate"),
        ('[capabilities]\n"docs.query" = {collections = ["a\\u202eb"]}', "collections"),
        ('[capabilities]\n"docs.query" = {where = {a = "\\u202e"}}', "cannot be shown"),
        ("[limits]\nfuel = 1", "fuel"),
        ('[limits]\nmemory = "9GiB"', "memory"),
        ('[limits]\nwall = "2d"', "wall"),
        ("[limits]\nconcurrency = 0", "concurrency"),
        ("[retry]\nmax_attempts = 0", "attempts"),
        ("[settings]\ndays = nan", "finite"),
        ("[settings]\ndays = 1e999", "finite"),
        ("[settings]\nx = [1]", "settings"),
        ("x = " + "[" * 20_000, "nested"),
        ("x = " + "{a=" * 20_000, "nested"),
        ("x = " + "9" * 20_000, "agent.toml"),
        ("#" * MAX_BYTES, "64 KiB"),
    ],
)
def test_a_part_that_is_not_allowed(more: str, why: str) -> None:
    with pytest.raises(BadPackage, match=why):
        parse(f"{SMALL}{more}\n".encode())


def test_quantities() -> None:
    assert quantities.seconds("1.5h") == 5400.0
    assert quantities.size("2MiB") == 2 << 20
    assert quantities.rate("50/day") == (50, 86_400)
    for wrong in ("", "5", "5 s", "-5s", "5x", "1e9s", "٣s", "0/day", "5/s"):
        for read in (quantities.seconds, quantities.size, quantities.rate):
            with pytest.raises(ValueError):
                read(wrong)


@given(st.binary(max_size=300) | st.text(max_size=300).map(lambda text: (SMALL + text).encode()))
def test_any_bytes_are_a_manifest_or_refused(data: bytes) -> None:
    with suppress(BadPackage):
        parse(data)


@pytest.mark.parametrize(
    ("trigger", "words"),
    [
        (Cron("0 9 * * *"), "every day at 09:00"),
        (Cron("30 18 * * SUN"), "on Sundays at 18:30"),
        (
            Cron("0 7 * * 1", "Europe/Stockholm"),
            "on Mondays at 07:00, in the zone Europe/Stockholm",
        ),
        (Cron("0 7 * * 7"), "on Sundays at 07:00"),
        (Cron("0 7 1 * *"), "by the schedule 0 7 1 * *"),
        (Cron("*/5 7 * * *"), "by the schedule */5 7 * * *"),
        (Every(3_600), "every hour"),
        (Every(14_400), "every 4 hours"),
        (Every(90), "every 90 seconds"),
        (Every(172_800), "every 2 days"),
        (Every(0.5), "every 0.5 s"),
        (On("operations", {"own": False}), "at the event operations with own=false"),
    ],
)
def test_when_an_agent_runs_in_words(trigger: Trigger, words: str) -> None:
    assert when([trigger]) == [words]


def test_nothing_that_is_due_is_said_so() -> None:
    assert when([]) == ["when somebody says so"]
