"""What people say of a loan, between nodes: alice and cia lend, bob and dan borrow, eve meddles."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.unit.street import HOUR_MS, VERBS, Home, agree, homes, member
from tests.unit.test_lending_nodes import drill, lent, refused

from commons_crdt.author import Draft
from commons_crdt.authority.facts import Erasure
from commons_crdt.authority.judge import ERASURE
from commons_crdt.ids import DocumentId, OperationId
from commons_crdt.roles import Role
from commons_node.domains.needed import OlderRules
from commons_node.domains.reputation.facts import ATTEST, Attest
from commons_node.domains.reputation.sealing import Said, commitment, salt_of
from commons_node.registry import Request
from commons_node.verifier.pool import VerifierPool

DAY_MS = 24 * HOUR_MS
GOOD = {"on_time": "yes", "condition": "3", "communication": "3"}
BAD = {"on_time": "no", "condition": "1", "communication": "1"}


async def over(home: Home, giver: str = "alice", taker: str = "bob", number: str = "1622") -> str:
    """A loan that went out and came back by two signatures each way; its id."""
    loan = await lent(home, giver, taker, number)
    await home.do(taker, "loan.return", loan=loan)
    done = await home.do(giver, "loan.receive", loan=loan)
    assert (done["state"], done["provisional"]) == ("returned", False)
    return loan


async def told(home: Home, name: str, viewer: str | None = "alice") -> dict[str, Any]:
    """How somebody is shown to somebody, both by name."""
    verb = VERBS.view("reputation.show")
    assert verb is not None
    request: Request[Any] = Request(home, member=None if viewer is None else member(viewer).hex())
    reading = await verb.read(request, verb.args(who=member(name).hex()))
    return dict(reading.value)


async def test_both_speak_blind_and_both_are_opened(tmp_path: Path, pool: VerifierPool) -> None:
    async with homes(tmp_path, pool, rules=3) as (north, south):
        await drill(north)
        loan = await over(north)
        first = await north.do("bob", "reputation.attest", loan=loan, note="a fine drill", **GOOD)
        assert (first["verdict"], first["sealed"]) == ("accepted", True)
        assert first["about"] == member("alice").hex()
        await north.tell(south)
        of_alice = await told(south, "alice")
        (word,) = of_alice["words"]
        assert (word["state"], word["on_time"], word["note"]) == ("sealed", None, None)
        assert (of_alice["counts"]["sealed"], of_alice["counts"]["attested"]) == (1, 0)
        assert (await north.do("bob", "reputation.open"))["opened"] == 0, "alice has not spoken"
        raw = b"".join(one.header + (one.body or b"") + b"".join(p or b"" for p in one.parts)
                       for one in await south.operations())  # fmt: skip
        assert b"a fine drill" not in raw, "what is sealed is on no disk"

        second = await south.do("alice", "reputation.attest", loan=loan, note="", **BAD)
        assert not second["sealed"], "bob has spoken: alice's is opened at once"
        assert (await told(south, "bob"))["words"][0]["state"] == "open"
        assert (await told(south, "alice"))["words"][0]["state"] == "sealed", "bob's key is north"
        await south.tell(north)
        assert (await north.do("bob", "reputation.open"))["opened"] == 1
        assert (await north.do("bob", "reputation.open"))["opened"] == 0, "once"
        await agree(north, south)
        for home in (north, south):
            (word,) = (await told(home, "alice"))["words"]
            assert (word["on_time"], word["condition"], word["note"]) == (True, 3, "a fine drill")
            of_bob = await told(home, "bob")
            assert of_bob["counts"]["returned"] == 1
            assert of_bob["counts"]["returned_on_time"] == 0
            assert of_bob["counts"]["condition"] == {"3": 0, "2": 0, "1": 1}
            assert "On time: 0 of the 1 that somebody" in of_bob["says"]
        as_it_came = await north.state_hash()
        assert await south.state_hash() == as_it_came
        for home in (north, south):
            await home.realm.fold_again()
            assert await home.state_hash() == as_it_came, "folded from nothing it is the same"


async def test_after_seven_days_one_word_is_opened_alone(
    tmp_path: Path, pool: VerifierPool
) -> None:
    async with homes(tmp_path, pool, "north", rules=3) as (north,):
        await drill(north)
        loan = await over(north)
        await north.do("alice", "reputation.attest", loan=loan, **BAD)
        north.now += 7 * DAY_MS - HOUR_MS
        assert (await north.do("alice", "reputation.open"))["opened"] == 0
        north.now += 2 * HOUR_MS
        assert (await north.do("alice", "reputation.open"))["opened"] == 1
        (word,) = (await told(north, "bob"))["words"]
        assert (word["state"], word["condition"]) == ("open", 1)
        late = await north.do("bob", "reputation.attest", loan=loan, **GOOD)
        assert not late["sealed"], "later than that nothing is kept back"
        assert (await told(north, "alice"))["counts"]["attested"] == 1


async def test_after_24_months_nothing_is_told_any_more(tmp_path: Path, pool: VerifierPool) -> None:
    async with homes(tmp_path, pool, "north", rules=3) as (north,):
        await drill(north)
        loan = await over(north)
        await north.do("alice", "reputation.attest", loan=loan, **GOOD)
        await north.do("bob", "reputation.attest", loan=loan, **GOOD)
        await north.do("alice", "reputation.open")
        before = await told(north, "bob")
        assert (before["counts"]["returned"], before["newcomer"]) == (1, False)
        hashed = await north.state_hash()
        north.now += 729 * DAY_MS
        assert (await told(north, "bob"))["counts"]["attested"] == 1
        north.now += 2 * DAY_MS
        after = await told(north, "bob")
        assert (after["counts"]["returned"], after["words"], after["newcomer"]) == (0, [], True)
        assert "neither good nor bad" in after["says"]
        assert await north.state_hash() == hashed, "what depends on now is in no hash"


async def test_who_may_not_speak_is_told_so(tmp_path: Path, pool: VerifierPool) -> None:
    also = {"eve": Role.MEMBER}
    async with homes(tmp_path, pool, "north", also, rules=3) as (north,):
        await drill(north)
        loan = await lent(north)
        await refused("state", north, "bob", "reputation.attest", loan=loan, **GOOD)
        await north.do("bob", "loan.return", loan=loan)
        await refused("state", north, "alice", "reputation.attest", loan=loan, **GOOD)
        await north.do("alice", "loan.receive", loan=loan)
        await refused("not_party", north, "eve", "reputation.attest", loan=loan, **GOOD)
        await north.do("bob", "reputation.attest", loan=loan, **GOOD)
        await refused("state", north, "bob", "reputation.attest", loan=loan, **BAD)
        long = "x" * 1001
        await refused("too_long", north, "alice", "reputation.attest", loan=loan, note=long, **GOOD)


async def test_a_return_that_one_recorded_alone_gives_nothing(
    tmp_path: Path, pool: VerifierPool
) -> None:
    async with homes(tmp_path, pool, "north", rules=3) as (north,):
        await drill(north)
        loan = await lent(north)
        done = await north.do("alice", "loan.receive", loan=loan)
        assert (done["state"], done["provisional"]) == ("returned", True)
        await refused("state", north, "alice", "reputation.attest", loan=loan, **BAD)
        assert (await told(north, "bob"))["counts"]["returned"] == 0


async def craft(home: Home, who: str, loan: str, about: str, kinds: set[str]) -> tuple[str, str]:
    """An attestation that software with other manners writes; its verdict and reason."""
    one = home.people[who]
    document = DocumentId(bytes.fromhex(loan))
    rows = await home.realm.store.everything("o.document = ?", (document,))
    refs = [standing.id for standing, _ in rows if standing.kind.split(".")[1] in kinds]
    salt = salt_of(one.device.signing, document, member(about))
    body = Attest(
        member(about), commitment(salt, document, one.member, member(about), Said(True, 3, 3))
    )
    draft = Draft.fact(ATTEST, body, document=document, refs=refs)
    grant = home.realm.judge.authority.devices[one.device.keys.id].id
    (result,) = await home.realm.write([draft], one.device, grant)
    return result.judgement.verdict.name.lower(), result.judgement.reason


STEPS = {"handover", "accept", "return", "receive"}


async def test_software_without_manners_is_rejected_on_every_node(
    tmp_path: Path, pool: VerifierPool
) -> None:
    also = {"eve": Role.MEMBER}
    async with homes(tmp_path, pool, "north south", also, rules=3) as (north, south):
        await drill(north)
        loan = await over(north)
        assert await craft(north, "bob", loan, "bob", STEPS) == ("rejected", "self")
        assert await craft(north, "eve", loan, "bob", STEPS) == ("rejected", "party")
        assert await craft(north, "bob", loan, "eve", STEPS) == ("rejected", "party")
        half = STEPS - {"receive"}
        assert await craft(north, "bob", loan, "alice", half) == ("rejected", "reference")
        await north.do("bob", "reputation.attest", loan=loan, **BAD)
        twice = await craft(north, "bob", loan, "alice", STEPS)
        assert twice == ("accepted", ""), "nobody can know it is the second"
        await north.do("alice", "reputation.attest", loan=loan, **GOOD)
        await north.do("bob", "reputation.open")
        await agree(north, south)
        for home in (north, south):
            (word,) = (await told(home, "alice"))["words"]
            assert word["condition"] == 1, "the first word of a device counts"
        assert await north.state_hash() == await south.state_hash()


async def test_there_is_one_reply_and_an_erased_note_leaves_the_counts(
    tmp_path: Path, pool: VerifierPool
) -> None:
    async with homes(tmp_path, pool, "north", rules=3) as (north,):
        await drill(north)
        loan = await over(north)
        said = await north.do("alice", "reputation.attest", loan=loan, note="scratched", **BAD)
        await refused("unknown", north, "bob", "reputation.reply", attestation=loan, text="no")
        await north.do("bob", "reputation.attest", loan=loan, **GOOD)
        await north.do("alice", "reputation.open")
        await north.do("bob", "reputation.reply", attestation=loan, text="it was so before")
        await refused("state", north, "bob", "reputation.reply", attestation=loan, text="and more")
        of_bob = await told(north, "bob")
        (word,) = of_bob["words"]
        assert (word["note"], word["reply"]) == ("scratched", "it was so before")
        assert of_bob["counts"]["replies"] == 1

        alice, ident = north.people["alice"], OperationId(bytes.fromhex(str(said["attestation"])))
        draft = Draft.fact(
            ERASURE, Erasure(ident), document=DocumentId(bytes.fromhex(loan)), refs=[ident]
        )
        grant = north.realm.judge.authority.devices[alice.device.keys.id].id
        (erased,) = await north.realm.write([draft], alice.device, grant)
        assert erased.judgement.reason == ""
        after = await told(north, "bob")
        assert after["words"][0]["note"] is None
        assert after["counts"] == of_bob["counts"], "the sums survive"


async def test_trust_is_told_by_names(tmp_path: Path, pool: VerifierPool) -> None:
    async with homes(tmp_path, pool, "north", rules=3) as (north,):
        await drill(north)
        await drill(north, "7")
        assert (await told(north, "bob", "dan"))["newcomer"]
        await over(north, "cia", "dan", "1622")
        await over(north, "cia", "bob", "7")
        of_bob = await told(north, "bob", "dan")
        assert of_bob["trust"]["sentence"].startswith("1 person you know lent to bob: cia.")
        assert of_bob["trust"]["paths"] == [[member(n).hex() for n in ("dan", "cia", "bob")]]
        assert "you - cia - bob" in of_bob["trust_says"]
        alone = await told(north, "bob", None)
        assert (alone["trust"]["ways"], alone["trust"]["known"]) == (0, []), "alice lent to nobody"
        assert (await told(north, "bob", "bob"))["trust"]["sentence"] == "This is you."


async def test_what_a_removed_member_says_counts_nowhere(
    tmp_path: Path, pool: VerifierPool
) -> None:
    async with homes(tmp_path, pool, rules=3) as (north, south):
        await drill(north)
        loan = await over(north)
        await north.tell(south)
        await north.do("alice", "member.remove", who="bob", reason="conduct")
        late = await south.do("bob", "reputation.attest", loan=loan, **BAD)
        assert late["verdict"] == "accepted", "south has not heard of it"
        await agree(north, south)
        assert (await told(south, "alice"))["words"] == []
        assert await north.state_hash() == await south.state_hash()


async def test_a_street_of_older_rules_is_told_how_it_gets_them(
    tmp_path: Path, pool: VerifierPool
) -> None:
    async with homes(tmp_path, pool, "north") as (north,):
        await drill(north)
        loan = await over(north)
        error = await refused("needs_rules", north, "bob", "reputation.attest", loan=loan, **GOOD)
        assert "propose rules --version 3" in error.way_out
        with pytest.raises(OlderRules, match="version 3 is needed for vouches"):
            await north.do("cia", "member.vouch", who="bob")
