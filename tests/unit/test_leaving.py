"""Leaving: what is mine comes along, what I owe is settled, what I erase is gone, with receipts."""

from __future__ import annotations

import asyncio
import json
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.rooms import Run, working
from tests.unit.street import VERBS, Home, agree, homes, member, open_realm
from tests.unit.test_realm_erasure import found_in
from tests.unit.town import secrets

from commons_crdt.author import Draft
from commons_crdt.errors import CommonsError
from commons_crdt.ids import DocumentId
from commons_node import domains
from commons_node.domains.domain import About, Domain
from commons_node.domains.leaving.facts import FORGIVEN, RECEIPT, Forgiven, Receipt
from commons_node.domains.leaving.receipts import confirm_erasures
from commons_node.registry import Registry
from commons_node.store.database import fetch
from commons_node.verifier.pool import VerifierPool

SECRET = "behind the greenhouse"
NODES = {"north": "alice's node", "south": "bob's node"}


async def confirms(home: Home) -> int:
    """The node of this home looks round; how many receipts it writes."""
    return len(await confirm_erasures(home.realm, secrets(NODES[home.name])))


async def tells(home: Home, who: str = "bob") -> dict[str, Any]:
    """What bob's erasures have come to, by node."""
    seen = await home.look("member.erasure.show", who, who=member("bob").hex())
    return {row["name"]: row["state"] for row in seen.value["nodes"]} | {"of": seen.value["of"]}


async def test_a_receipt_is_written_once_the_bytes_are_gone_and_not_before(
    tmp_path: Path, pool: VerifierPool
) -> None:
    async with homes(tmp_path, pool, "north south", rules=3, nodes="bob") as (north, south):
        await north.do("bob", "member.profile.edit", about=SECRET, name="Bob of the shed")
        await agree(north, south)
        assert found_in(tmp_path, SECRET), "it is there as long as nobody erases it"
        assert await confirms(north) == 0, "nothing was erased"
        done = await north.do("bob", "member.erase")
        assert (done["erased"], len(done["erasures"])) == (3, 3), "two names and a text"
        assert await confirms(north) == 1, "one receipt for what was erased together"
        assert await confirms(north) == 0, "and only one"
        assert await tells(north) == {"alice": "confirmed", member("bob").hex()[:8]: "waiting",
                                      "of": 2}  # fmt: skip
        seen = await north.look("member.erasure.show", "bob", who=member("bob").hex())
        assert seen.missing[0]["since"], "who has not confirmed is named, with since when"
        await agree(north, south)
        assert await confirms(south) == 1
        await agree(north, south)
        for home in (north, south):
            assert set((await tells(home)).values()) == {"confirmed", 2}
            names = [row["name"] for row in await home.rows("member.list", "members")]
            assert member("bob").hex()[:8] in names, "only the start of the id is left"
        assert not found_in(tmp_path, SECRET)
        assert not found_in(tmp_path, "Bob of the shed")
        assert await north.state_hash() == await south.state_hash()


@pytest.mark.long
async def test_a_node_that_still_reads_the_old_state_confirms_later(
    tmp_path: Path, pool: VerifierPool
) -> None:
    async with homes(tmp_path, pool, "north", rules=3) as (north,):
        await north.do("bob", "member.profile.edit", about=SECRET)
        reader = north.realm.store.database.read
        await reader.execute("BEGIN")
        await fetch(reader, "SELECT count(*) FROM parts")
        await north.do("bob", "member.erase", what="about")
        assert found_in(tmp_path, SECRET), "the log of the file still has it for the reader"
        assert await confirms(north) == 0, "so nothing is confirmed"
        await reader.execute("COMMIT")
        assert await confirms(north) == 1
        assert not found_in(tmp_path, SECRET)


async def test_a_receipt_waits_for_who_writes_at_that_moment(
    tmp_path: Path, pool: VerifierPool
) -> None:
    """The log of the file cannot be cut off in the middle of somebody's transaction."""
    async with homes(tmp_path, pool, "north", rules=3) as (north,):
        await north.do("bob", "member.profile.edit", about=SECRET)
        await north.do("bob", "member.erase", what="about")
        store, begun = north.realm.store.database, asyncio.Event()

        async def writes() -> None:
            await store.write.execute("BEGIN IMMEDIATE")
            begun.set()
            await asyncio.sleep(0.2)
            assert not await store.forget_erased()
            await store.write.execute("COMMIT")

        writing = asyncio.create_task(north.realm.as_one(writes))
        await begun.wait()
        assert await confirms(north) == 1, "as soon as it may"
        await writing


async def test_an_old_state_brings_nothing_back(tmp_path: Path, pool: VerifierPool) -> None:
    """South has an old copy with every byte, and hears of the erasure first or last."""
    async with homes(tmp_path, pool, "north south", rules=3, nodes="bob") as (north, south):
        await north.do("bob", "member.profile.edit", about=SECRET)
        old = await north.operations()
        await north.do("bob", "member.erase")
        await north.realm.ingest(old, "bundle")
        assert not found_in(tmp_path, SECRET), "an old bundle fills nothing in"
        await north.tell(south)
        await south.realm.ingest(old, "bundle")
        assert not found_in(tmp_path, SECRET)
        assert (await north.look("member.profile.show", "cia", who=member("bob").hex())).value[
            "fields"
        ] == []


async def test_a_restored_copy_forgets_as_soon_as_it_hears_of_it(
    tmp_path: Path, pool: VerifierPool
) -> None:
    async with homes(tmp_path, pool, "north", rules=3) as (north,):
        await north.do("bob", "member.profile.edit", about=SECRET)
        copy = tmp_path / "copy"
        copy.mkdir()
        query = "VACUUM INTO ?"
        await north.realm.store.database.write.execute(query, (str(copy / "old.db"),))
        await north.do("bob", "member.erase", what="about")
        assert await confirms(north) == 1
        realm = await open_realm(north.realm.realm, copy / "old.db", pool)
        old = Home("north", realm, north.people, north.now)
        try:
            assert found_in(copy, SECRET), "the copy is from before"
            await north.tell(old)
            assert not found_in(copy, SECRET)
            await old.tell(north)
            assert not found_in(tmp_path, SECRET)
            assert await old.state_hash() == await north.state_hash()
        finally:
            await realm.close()


async def test_under_older_rules_nobody_confirms_and_that_is_said(
    tmp_path: Path, pool: VerifierPool
) -> None:
    async with homes(tmp_path, pool, "north", rules=2) as (north,):
        read = north.realm.store.database.read
        named = "SELECT count(*) FROM parts WHERE hex(bytes) LIKE '%626F62'"  # bob
        assert await fetch(read, named) != [(0,)]
        await north.do("bob", "member.erase")
        assert await fetch(read, named) == [(0,)], "erasing itself is as old as the community"
        assert await confirms(north) == 0
        seen = await north.look("member.erasure.show", "bob", who=member("bob").hex())
        assert "propose rules --version 3" in seen.value["advice"]


async def test_no_row_depends_on_whether_the_bytes_are_here(
    tmp_path: Path, pool: VerifierPool
) -> None:
    """South gets every operation without its parts, north has them all, and erases."""
    async with homes(tmp_path, pool, "north south", rules=3) as (north, south):
        await north.do("bob", "member.profile.edit", about=SECRET, languages="sv")
        bare = [replace(one, parts=()) for one in await north.operations()]
        await south.realm.ingest(bare, "bare")
        assert await south.state_hash() == await north.state_hash()
        fields = (await south.look("member.profile.show", "cia", who="bob")).value["fields"]
        assert {row["state"] for row in fields} == {"absent"}, "there is nothing to read"
        await north.do("bob", "member.erase")
        await confirms(north)
        bare = [replace(one, parts=()) for one in await north.operations()]
        await south.realm.ingest(bare, "bare")
        assert await south.state_hash() == await north.state_hash()


async def test_only_nodes_write_receipts_and_only_for_erasures(
    tmp_path: Path, pool: VerifierPool
) -> None:
    async with homes(tmp_path, pool, "north", rules=3) as (north,):
        await north.do("bob", "member.profile.edit", about=SECRET)
        done = await north.do("bob", "member.erase", what="about")
        (erasure,) = [bytes.fromhex(one) for one in done["erasures"]]
        ref: Any = erasure
        bob = north.people["bob"].device
        grants = north.realm.judge.authority.devices
        draft = Draft.fact(RECEIPT, Receipt((erasure,)), refs=[ref])
        (by_bob,) = await north.realm.write([draft], bob, grants[bob.keys.id].id)
        assert by_bob.judgement.reason == "role", "a member confirms nothing"
        node = secrets(NODES["north"])
        lie = Draft.fact(RECEIPT, Receipt((bytes(by_bob.id),)), refs=[by_bob.id])
        (of_node,) = await north.realm.write([lie], node, grants[node.keys.id].id)
        assert of_node.judgement.reason == "reference"
        assert (await tells(north))["of"] == 1


async def test_what_is_erased_is_named_and_may_be_one_text(
    tmp_path: Path, pool: VerifierPool
) -> None:
    async with homes(tmp_path, pool, "north", rules=3) as (north,):
        await north.do("bob", "member.profile.edit", about=SECRET, languages="sv")
        rows = (await north.look("member.texts", "bob")).value["texts"]
        assert [row["what"] for row in rows] == ["name", "languages", "about"]
        tried = await north.do("bob", "member.erase", what="about", dry_run=True)
        assert (tried["would"], tried["erased"]) == (1, 0)
        assert found_in(tmp_path, SECRET)
        await north.do("bob", "member.erase", what="about")
        rows = (await north.look("member.texts", "bob")).value["texts"]
        assert [row["what"] for row in rows] == ["name", "languages"]
        await north.do("bob", "member.erase", what=rows[1]["operation"][:12])
        with pytest.raises(CommonsError):
            await north.do("bob", "member.erase", what="about")


async def lend(home: Home, number: str = "1") -> str:
    """Cia lends bob a thing; the loan."""
    await home.do("cia", "resource.add", name=f"Drill {number}", number=number)
    loan: str = (await home.do("bob", "loan.request", resource=number, days=3))["loan"]
    await home.do("cia", "loan.approve", loan=loan)
    await home.do("cia", "loan.handover", loan=loan)
    await home.do("bob", "loan.accept", loan=loan)
    return loan


async def test_who_leaves_settles_first_or_is_forgiven(tmp_path: Path, pool: VerifierPool) -> None:
    async with homes(tmp_path, pool, "north", rules=3) as (north,):
        drill, saw = await lend(north, "1"), await lend(north, "2")
        with pytest.raises(CommonsError, match=r"Drill \d \d, Drill \d \d") as caught:
            await north.do("bob", "member.leave", keep_keys=True)
        assert "member leave --dry-run" in caught.value.way_out
        tried = await north.do("bob", "member.leave", dry_run=True)
        assert tried["open"] == 2
        assert {row["what"] for row in tried["rows"]} == {"loan", "texts"}
        await north.do("bob", "loan.return", loan=drill)
        await north.do("cia", "loan.receive", loan=drill)
        cias = (await north.do("cia", "member.leave", dry_run=True))["rows"]
        assert [(row["what"], row["about"]) for row in cias if row["open"]] == [
            ("custody", "Drill 1 1")
        ], "who keeps things of the community hands them on; what is out is not with her"
        for who, code in (("bob", "not_permitted"), ("dan", "not_permitted")):
            with pytest.raises(CommonsError) as caught:
                await north.do(who, "loan.forgive", loan=saw)
            assert caught.value.code == code
        done = await north.do("cia", "loan.forgive", loan=saw, reason="it was worn out")
        assert done["borrower"] == member("bob").hex()
        (row,) = [r for r in await north.rows("loan.list", "loans") if r["loan"] == saw]
        assert row["state"] == "on_loan", "custody is what it was"
        assert (row["forgiven"], row["overdue"]) == (True, False), "and nobody asks for it"
        gone = await north.do("bob", "member.leave", keep_keys=True, erase=True)
        assert (gone["left"], gone["verdict"]) == (True, "accepted")
        (bob,) = [r for r in await north.rows("member.list", "members")
                  if r["member"] == member("bob").hex()]  # fmt: skip
        assert (bob["standing"], bob["devices"]) == ("left", 0)
        assert bob["name"] == member("bob").hex()[:8]


async def test_nobody_forgives_themselves_by_another_way(
    tmp_path: Path, pool: VerifierPool
) -> None:
    async with homes(tmp_path, pool, "north", rules=3) as (north,):
        loan = bytes.fromhex(await lend(north))
        cia = north.people["cia"].device
        grant = north.realm.judge.authority.devices[cia.keys.id].id
        ref: Any = loan
        for borrower, reason in ((member("cia"), "terms"), (member("dan"), "reference")):
            draft = Draft.fact(FORGIVEN, Forgiven(borrower), document=DocumentId(loan), refs=[ref])
            (result,) = await north.realm.write([draft], cia, grant)
            assert result.judgement.reason == reason


async def refused(home: Home, name: str, verb: str, /, **arguments: Any) -> None:
    """The community is closed, and that is said with what can still be done."""
    with pytest.raises(CommonsError, match="by 1 of 1 coordinators") as caught:
        await home.do(name, verb, **arguments)
    assert caught.value.code == "community_closed"
    assert "community close --reopen" in caught.value.way_out


async def test_a_coordinator_does_not_just_go(tmp_path: Path, pool: VerifierPool) -> None:
    async with homes(tmp_path, pool, "north", rules=3) as (north,):
        with pytest.raises(CommonsError) as caught:
            await north.do("alice", "member.leave", keep_keys=True)
        assert caught.value.code == "last_coordinator"
        assert "community close" in caught.value.way_out
        assert (await north.see("community.closing")).value["closed"] is False
        with pytest.raises(CommonsError):
            await north.do("bob", "community.close")
        closed = await north.do("alice", "community.close")
        assert (closed["closed"], closed["count"], closed["of"]) == (True, 1, 1)
        await refused(north, "alice", "resource.add", name="Drill", number="1")
        await refused(north, "dan", "member.vouch", who="bob")
        again = await north.do("alice", "community.close", reopen=True)
        await north.do("alice", "resource.add", name="Drill", number="1")
        assert (again["closed"], again["archive"]) == (False, None)


async def test_everything_about_me_opens_with_the_standard_library(
    tmp_path: Path, pool: VerifierPool
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (tmp_path / "db").mkdir()
    async with homes(tmp_path / "db", pool, "north", rules=3) as (north,):
        loan = await lend(north)
        await north.do("bob", "member.profile.edit", about=SECRET, languages="sv")
        await north.do("dan", "loan.request", resource="1", days=1)
        await north.do("bob", "member.erase", what="languages")
        found = await north.do("bob", "member.export", file=str(out / "me.zip"))
        assert (found["loans"], found["photos"]) == (1, 0)
        with zipfile.ZipFile(out / "me.zip") as packed:
            assert packed.testzip() is None
            names = set(packed.namelist())
            documents = {n: json.loads(packed.read(n)) for n in names if n.endswith(".json")}
            readme = packed.read("README.txt").decode()
        assert set(documents["schema.json"]) == names - {"README.txt", "schema.json"}
        assert "bob" in readme
        assert all(name in readme for name in documents)
        assert documents["me.json"]["member"] == member("bob").hex()
        (row,) = documents["loans.json"]
        assert row["loan"] == loan
        texts = [one["texts"] for one in documents["operations.json"] if one["texts"]]
        assert texts == [{"name": "bob"}, {"text": SECRET}], "what was erased is absent here too"
        said = {one["kind"]: one["says"] for one in documents["operations.json"]}
        assert said["lending.request.2"]["zone"] == "Europe/Stockholm"
        assert documents["about.json"]["loans"][0]["key"] == loan
        assert {"fields", "profiles", "custody"} <= documents["about.json"].keys()
        (erased,) = documents["erasures.json"]["erasures"]
        assert erased["time"]
        mine = {one["device"] for one in documents["operations.json"]}
        assert mine == {north.people["bob"].device.keys.id.hex()}, "and nobody else's acts"


async def test_a_later_domain_adds_what_it_knows_of_me(
    tmp_path: Path, pool: VerifierPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def walks(_daemon: object, _community: object, actor: Any) -> list[object]:
        return [{"who": actor.member, "steps": 7}]

    about = About("walks.json", "where {name} walked", "who, steps", walks)
    later = Domain("walks", (), (), Registry(), (about,))
    monkeypatch.setattr(domains, "DOMAINS", (*domains.DOMAINS, later))
    async with homes(tmp_path, pool, "north", rules=3) as (north,):
        await north.do("bob", "member.export", file=str(tmp_path / "me.zip"))
    with zipfile.ZipFile(tmp_path / "me.zip") as packed:
        (row,) = json.loads(packed.read("walks.json"))
        assert row == {"who": member("bob").hex(), "steps": 7}
        assert "where bob walked" in packed.read("README.txt").decode()
        assert "walks.json" in json.loads(packed.read("schema.json"))


async def answers(home: Home) -> str:
    """What every view that takes no argument, or a member, answers to anybody here."""
    said: list[object] = []
    for verb in VERBS.views:
        if verb.name in NOT_ASKED:
            continue
        for who in ("alice", "bob", "cia"):
            try:
                seen = await home.look(verb.name, who)
            except (CommonsError, AttributeError, TypeError):
                continue  # takes arguments, or a whole daemon
            said.append([verb.name, seen.value, seen.missing])
    assert len(said) > 20
    return json.dumps(said, default=str)


NOT_ASKED = frozenset({"status", "doctor.run"})


@pytest.fixture(scope="module")
def at_work() -> Iterator[tuple[Run, VerifierPool]]:
    """One loop for all examples."""
    with working(1) as made:
        yield made


texts_ = st.text("abcdefghij klmno", min_size=12, max_size=60).map(lambda t: f"<{t}>")


@given(
    st.lists(
        st.tuples(st.sampled_from(["about", "languages", "name"]), texts_), min_size=1, max_size=5
    ),
    st.integers(0, 4),
)
@settings(max_examples=6, suppress_health_check=list(HealthCheck), deadline=None)
def test_an_erased_text_is_in_no_answer_and_in_no_file(
    at_work: tuple[Run, VerifierPool],
    tmp_path_factory: Any,
    said: list[tuple[str, str]],
    at: int,
) -> None:
    """Bob says things, on either node; one field, or all, is erased; it is nowhere."""
    folder = tmp_path_factory.mktemp("erased")

    async def story(pool: VerifierPool) -> None:
        async with homes(folder, pool, "north south", rules=3) as (north, south):
            for n, (field, text) in enumerate(said):
                home = (north, south)[n % 2] if at % 2 else north
                await home.do("bob", "member.profile.edit", **{field: text})
                await agree(north, south)
            what = said[at % len(said)][0] if at else None
            before = await answers(south)
            await north.do("bob", "member.erase", what=what)
            await agree(north, south)
            after = await answers(south) + await answers(north)
            for field, text in said:
                if what in {None, field}:
                    assert text not in after
                    assert not found_in(folder, text)
            assert any(text in before for _field, text in said), "it was seen before"
            assert await north.state_hash() == await south.state_hash()

    run, pool = at_work
    run(story(pool))
