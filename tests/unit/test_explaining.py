"""Verdicts in sentences that name people and days, with the acts that decided."""

from __future__ import annotations

import re
import string
from pathlib import Path
from typing import Any

from tests.unit.identities import add
from tests.unit.machines import Machine, device_of, machines
from tests.unit.street import member
from tests.unit.town import DAY_MS, person

from commons_crdt.author import Draft
from commons_crdt.authority.causes import DECIDED, PARTS
from commons_crdt.authority.facts import Invite
from commons_crdt.authority.identity_facts import Own, SetGuardians
from commons_crdt.authority.kinds import INVITE
from commons_crdt.authority.kinds_identity import GUARDIANS
from commons_crdt.ids import DocumentId, OperationId, digest
from commons_crdt.operation import Operation, operation_id
from commons_crdt.sentences import SENTENCES, UNSURE
from commons_node.domains import RULES
from commons_node.domains.lending.facts import REQUEST, Request
from commons_node.explaining import catalogue
from commons_node.explaining.doing import DID
from commons_node.health.overview import own_causes
from commons_node.verifier.pool import VerifierPool

ROOT = Path(__file__).resolve().parents[2]
GAPS = {"author", "who", "whom", "day", "until", "after", "role", "needed"}
GENERAL = {"pin", "kind", "unlisted", "warrant"}
"""Decided reasons whose sentence is the same whoever decided."""


async def explain(node: Machine, operation: str) -> dict[str, Any]:
    return (await node.see("alice", "explain", operation=operation)).value


async def ask(node: Machine, who: str, thing: str = "a drill") -> str:
    """Somebody asks for a thing, with a program that asks nobody whether it is there."""
    now = node.home.now
    body = Request(digest("t-thing", thing.encode()), now, now + DAY_MS, "Europe/Stockholm")
    (done,) = await node.forge(who, Draft.fact(REQUEST, body))
    return done.id.hex()


async def invite(node: Machine, who: str) -> str:
    """Somebody invites."""
    body = Invite(person("x").device.keys.signing, 1, node.home.now + DAY_MS)
    (done,) = await node.forge(who, Draft.fact(INVITE, body, log=0))
    return done.id.hex()


# --- the catalogue --------------------------------------------------------------------------------


def test_every_verdict_and_reason_of_the_page_has_a_sentence() -> None:
    page = (ROOT / "docs/protocol/authority.md").read_text(encoding="utf-8")
    told = re.findall(r"(contested|rejected|pending)\((\w+)\)", page)
    assert len(told) > 15, "the page lists them"
    assert {reason for _, reason in told} <= set(SENTENCES)
    assert UNSURE.keys() <= {reason for verdict, reason in told if verdict == "pending"}


def test_what_decides_has_a_sentence_of_its_own() -> None:
    named = {reason for reason, _ in catalogue.NAMED}
    assert named <= set(SENTENCES)
    assert named >= DECIDED - GENERAL, "who decided is named"
    assert {part for _, part in catalogue.NAMED} <= PARTS
    assert catalogue.CAUSES.keys() == PARTS
    assert set(catalogue.PENDING) <= {("cut", part) for part in PARTS}


def test_every_kind_is_said_in_words() -> None:
    assert catalogue.ACTS.keys() == RULES.kinds.keys()


def test_sentences_are_whole_and_their_gaps_are_known() -> None:
    tables: list[Any] = [catalogue.NAMED, catalogue.PENDING, catalogue.CAUSES]
    for text in (text for table in tables for text in table.values()):
        gaps = {gap for _, gap, _, _ in string.Formatter().parse(text) if gap}
        assert gaps <= GAPS, text
        filled = catalogue.sentence(text, **dict.fromkeys(GAPS, catalogue.COUNCIL))
        assert filled[0].isupper(), text
        assert filled.endswith("."), text


# --- people and days ------------------------------------------------------------------------------


async def test_a_removal_is_said_with_names_and_days(tmp_path: Path, pool: VerifierPool) -> None:
    async with machines(tmp_path, pool, "north south") as (north, south):
        await north.do("alice", "member.remove", who="bob", reason="conduct")
        south.home.now = north.home.now + DAY_MS
        later = await ask(south, "bob", "bobby")
        assert (await explain(south, later))["verdict"] == "accepted", "nobody told him yet"
        await north.tell(south)
        said = await explain(south, later)
        assert said["reason"] == "cut"
        day = re.search(r"on \d+ \w+ \d{4}", said["sentence"])
        assert day, said["sentence"]
        assert said["sentence"] == (f"bob was removed by alice {day[0]}; this is dated after that.")
        (cause,) = said["because"]
        assert (cause["part"], cause["author"], cause["kind"]) == (
            "removal", "alice", "membership.removal.1",
        )  # fmt: skip
        assert cause["sentence"] == f"alice removed bob {day[0]}."
        assert len(cause["operation"]) == 64, "JSON keeps the ids"


async def test_a_lower_role_is_said_with_who_gave_it(tmp_path: Path, pool: VerifierPool) -> None:
    async with machines(tmp_path, pool, "north") as (north,):
        await north.do("alice", "member.role", who="bob", role="newcomer")
        said = await explain(north, await invite(north, "bob"))
        assert said["reason"] == "role"
        assert said["sentence"].startswith("alice gave bob a lower role on ")
        assert said["sentence"].endswith("this takes a member.")
        assert said["because"][0]["part"] == "demotion"


async def test_what_counts_says_by_what_right(tmp_path: Path, pool: VerifierPool) -> None:
    async with machines(tmp_path, pool, "north") as (north,):
        said = await explain(north, await invite(north, "cia"))
        assert (said["verdict"], said["reason"]) == ("accepted", "")
        assert [one["part"] for one in said["because"]] == ["grant"]
        assert said["because"][0]["sentence"].startswith("alice's node let the device in on ")


async def test_a_fork_names_both_and_a_branch_names_who_chose(
    tmp_path: Path, pool: VerifierPool
) -> None:
    async with machines(tmp_path, pool, "north south") as (north, south):
        one = await ask(north, "bob", "bob one")
        other = await ask(south, "bob", "bob two")
        rests = await ask(south, "bob", "bob three")
        await south.realm.ingest(await north.home.operations(), "north")
        said = await explain(south, other)
        assert (said["verdict"], said["reason"]) == ("contested", "fork")
        assert said["sentence"].startswith("bob's device wrote two different things")
        assert {c["operation"] for c in said["because"]} == {one, other}
        assert {c["part"] for c in said["because"]} == {"sibling"}
        device = person("bob").device.keys.id.hex()
        done = await south.do("alice", "fork.resolve", device=device, branch=one)
        assert done["touches"][0]["name"] == "bob"
        assert "can write it again" in done["said"]
        assert (await explain(south, one))["verdict"] == "accepted"
        for lost in (other, rests):
            assert (await explain(south, lost))["reason"] == "fork"


async def test_two_acts_on_one_identity_name_each_other(tmp_path: Path, pool: VerifierPool) -> None:
    async with machines(tmp_path, pool, "north south") as (north, south):
        await add(north, device_of("bob's laptop"))
        await north.tell(south)
        south.people["laptop"] = (member("bob"), device_of("bob's laptop"))
        first = await guard(north, "cia")
        second = await guard(south, "dan", "laptop")
        await north.tell(south)
        for mine, other in ((first, second), (second, first)):
            said = await explain(south, mine)
            assert (said["verdict"], said["reason"]) == ("contested", "identity")
            assert [c["operation"] for c in said["because"]] == [other]
            assert said["sentence"].startswith("It contradicts another act on the same identity, ")


async def guard(node: Machine, guardian: str, device: str = "bob") -> str:
    """Bob names a guardian."""
    realm = node.realm
    (identity,) = realm.judge.authority.identities_of(member("bob"))
    body = SetGuardians(member("bob"), identity.base, (member(guardian),), 1, bytes(32), Own())
    draft = Draft.fact(GUARDIANS, body, log=0, document=DocumentId(member("bob")))
    (done,) = await node.forge(device, draft)
    return done.id.hex()


async def test_what_waits_is_explained_too(tmp_path: Path, pool: VerifierPool) -> None:
    async with machines(tmp_path, pool, "north south") as (north, south):
        first = await ask(south, "bob", "one")
        last = await ask(south, "bob", "two")
        found = {op: i for i, op in await _ids(south)}
        await north.realm.ingest([op for op, i in found.items() if i == last], "south")
        said = await explain(north, last)
        assert (said["verdict"], said["reason"]) == ("pending", "missing")
        assert said["sentence"] == catalogue.HELD["missing"]
        assert said["because"][0]["operation"] == first
        assert said["author"] == "bob"


async def _ids(node: Machine) -> list[tuple[str, Operation]]:
    return [(operation_id(op.header).hex(), op) for op in await node.home.operations()]


async def test_a_cause_that_is_not_here_is_named_by_its_id(
    tmp_path: Path, pool: VerifierPool
) -> None:
    """The removal names an act of log 1 that has not come: what lies before it waits."""
    async with machines(tmp_path, pool, "north south east") as (north, south, east):
        early = await ask(south, "bob", "one")
        tip = await ask(south, "bob", "two")
        await south.tell(north)
        await north.do("alice", "member.remove", who="bob")
        known = await _ids(north)
        await east.realm.ingest([op for i, op in known if i != tip], "north")
        said = await explain(east, early)
        assert (said["verdict"], said["reason"]) == ("pending", "cut")
        assert "cut" in {cause.code for cause in await own_causes(east.realm)}
        assert " was removed by alice on " in said["sentence"]
        assert "has not come here yet" in said["sentence"]
        assert [(c["part"], c["operation"]) for c in said["because"]][-1] == ("missing", tip)
        assert said["because"][-1]["sentence"] == catalogue.CAUSES["missing"]


async def test_a_void_head_is_not_cited(tmp_path: Path, pool: VerifierPool) -> None:
    """What a removed member wrote after all counts for nothing, and nobody builds on it; what
    counts and only that member had cited is cited instead."""
    async with machines(tmp_path, pool, "north south") as (north, south):
        await north.do("alice", "member.remove", who="bob")
        counts = OperationId(bytes.fromhex(await invite(south, "cia")))
        void = await guard(south, "dan")  # bob has not heard, and cites cia's invite
        assert OperationId(bytes.fromhex(void)) in south.realm.judge.authority.news(0)
        await south.realm.ingest(await north.home.operations(), "north")
        assert (await explain(south, void))["reason"] == "cut"
        authority = south.realm.judge.authority
        cited = authority.news(0)
        assert OperationId(bytes.fromhex(void)) not in cited
        past = 0
        for head in cited:
            past |= authority.bit(head)
            past |= authority.polity.book.entries[authority.bits[head]].past  # type: ignore[union-attr]
        assert past & authority.bit(counts), "cia's invite was cited by bob's act alone"


def test_every_kind_that_a_community_has_is_told_in_a_sentence() -> None:
    told = {kind for kind in RULES.kinds if not kind.startswith("own.")}
    assert told - DID.keys() == set(), "the history names what was done, not the kind"
