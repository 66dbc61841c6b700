"""What eve tries with seals, as the first of three coordinators; the others endorse none of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.unit.council_of_three import (
    Three,
    honest_seal,
    in_force,
    look,
    put,
    settled_ids,
    three,
    tip_of,
    verdicts,
)
from tests.unit.town import person

from commons_crdt.authority.council_facts import Seal, Tip
from commons_node.domains.council.commands import BadSeal
from commons_node.sealing.due import worth_of
from commons_node.sealing.keeper import TURN_MS
from commons_node.verifier.pool import VerifierPool

EVE_FIRST = "eve alice bob"


async def refused(town: Three, why: str) -> None:
    """Neither alice nor bob endorses what is on the table, by node or by hand."""
    for home, name in ((town.alice, "alice"), (town.bob, "bob")):
        assert await look(home) != "in_force"
        (row,) = [row for row in await home.rows("community.acts", "table") if "seal" in row]
        assert row["seal"]["checks"] is False
        assert why in row["next"], "community acts says why"
        assert (row["said"], row["needed"]) == (1, 2)
        with pytest.raises(BadSeal, match=why):
            await home.do(name, "community.endorse", operation=row["operation"])
        assert in_force(home) == []


async def test_a_wrong_hash(tmp_path: Path, pool: VerifierPool) -> None:
    async with three(tmp_path, pool, order=EVE_FIRST) as town:
        await town.borrow()
        await town.meet()
        honest = await honest_seal(town.eve, "eve")
        wrong = msgspec.structs.replace(honest, state=bytes(range(32)))
        await put(town.eve, "eve", wrong)
        await town.meet()
        await refused(town, "state hash")


async def test_the_others_go_on_without_her(tmp_path: Path, pool: VerifierPool) -> None:
    async with three(tmp_path, pool, order=EVE_FIRST) as town:
        await town.borrow()
        await town.meet()
        honest = await honest_seal(town.eve, "eve")
        await put(town.eve, "eve", msgspec.structs.replace(honest, state=bytes(range(32))))
        town.eve.away.add("eve")
        await town.meet()
        for _ in range(12):
            for home in (town.alice, town.bob):
                home.now += TURN_MS
                await look(home)
                await town.meet()
            if in_force(town.alice):
                break
        assert in_force(town.alice), "alice leads a ballot with bob's promise"
        assert in_force(town.eve) == in_force(town.alice), "eve's node follows the council too"


async def test_her_promise_binds_nobody_unawares(tmp_path: Path, pool: VerifierPool) -> None:
    """Who promises shows what they endorsed, and a ballot must repeat it: not unasked."""
    async with three(tmp_path, pool, order=EVE_FIRST) as town:
        await town.borrow()
        await town.meet()
        honest = await honest_seal(town.eve, "eve")
        put_by_her = await put(
            town.eve, "eve", msgspec.structs.replace(honest, state=bytes(range(32)))
        )
        await town.meet()

        async def proposed(**more: bool) -> Mapping[str, Any]:
            return await town.alice.do(
                "alice",
                "community.propose",
                what="constitution",
                settings=["epoch.days=30"],
                **more,
            )

        wish = await proposed()
        assert wish["state"] == "asked"
        await town.meet()
        await town.eve.do("eve", "community.endorse", operation=wish["operation"])
        await town.meet()
        with pytest.raises(BadSeal, match="state hash"):
            await proposed()
        assert (await proposed(repeat=True))["state"] == "open", "who knows it may go on"
        await town.meet()
        rows = await town.bob.rows("community.acts", "table")
        (row,) = [row for row in rows if row["by"] == "alice"]
        with pytest.raises(BadSeal, match="state hash"):
            await town.bob.do("bob", "community.endorse", operation=row["operation"])
        assert put_by_her.id not in in_force(town.bob)


async def test_a_tip_beyond_a_cut_that_she_has_not_seen(tmp_path: Path, pool: VerifierPool) -> None:
    async with three(tmp_path, pool, order=EVE_FIRST) as town:
        await town.borrow()
        await town.meet()
        content = await honest_seal(town.eve, "eve")
        assert tip_of(town.eve, "dan") in content.tips
        await town.remove("dan")
        await put(town.eve, "eve", content)
        await town.meet()
        await refused(town, "beyond the end of a chain")


async def test_a_tip_beyond_a_cut_in_her_own_view(tmp_path: Path, pool: VerifierPool) -> None:
    async with three(tmp_path, pool, order=EVE_FIRST) as town:
        await town.borrow()
        await town.meet()
        content = await honest_seal(town.eve, "eve")
        await town.remove("dan")
        await town.meet()
        written = await put(town.eve, "eve", content)
        assert written.judgement.reason == "tip", "that is no message of the council at all"
        await town.meet()
        assert in_force(town.alice) == []
        assert not await town.alice.rows("community.acts", "table")


async def test_what_is_not_here_and_what_is_not_what_it_says(
    tmp_path: Path, pool: VerifierPool
) -> None:
    async with three(tmp_path, pool, order=EVE_FIRST) as town:
        await town.borrow()
        await town.meet()
        content = await honest_seal(town.eve, "eve")
        invented = Tip(person("bob").device.keys.id, 1, 99, bytes(range(32)))
        tips = tuple(sorted((*(t for t in content.tips if t.device != invented.device), invented)))
        await put(town.eve, "eve", Seal(tips, content.state))
        await town.meet()
        await refused(town, "not here yet")
    again = tmp_path / "again"
    again.mkdir()
    async with three(again, pool, order=EVE_FIRST) as town:
        await town.borrow()
        await town.meet()
        content = await honest_seal(town.eve, "eve")
        cia = tip_of(town.eve, "cia")
        moved = msgspec.structs.replace(cia, seq=cia.seq + 5)
        tips = tuple(sorted(moved if tip == cia else tip for tip in content.tips))
        await put(town.eve, "eve", Seal(tips, content.state))
        await town.meet()
        await refused(town, "what they are not")


async def test_what_is_too_young(tmp_path: Path, pool: VerifierPool) -> None:
    async with three(tmp_path, pool, ["seal.margin.hours=24"], order=EVE_FIRST) as town:
        await town.borrow()
        await town.meet()
        listed = tuple(sorted((tip_of(town.eve, "alice", 0), tip_of(town.eve, "cia"))))
        worth = await worth_of(town.eve.realm, person("eve").device.keys.id, listed)
        await put(town.eve, "eve", Seal(listed, worth.state))
        await town.meet()
        await refused(town, "still be on their way")


async def test_who_is_left_out_stays_provisional(tmp_path: Path, pool: VerifierPool) -> None:
    async with three(tmp_path, pool, order=EVE_FIRST) as town:
        await town.borrow()
        await town.meet()
        full = await honest_seal(town.eve, "eve")
        dan = person("dan").device.keys.id
        listed = tuple(tip for tip in full.tips if tip.device != dan)
        worth = await worth_of(town.eve.realm, person("eve").device.keys.id, listed)
        await put(town.eve, "eve", Seal(listed, worth.state))
        await town.meet()
        before = await verdicts(town.alice)
        assert await look(town.bob) == "in_force", "it harms nobody"
        await town.meet()
        assert await verdicts(town.alice) | before == await verdicts(town.alice)
        assert await town.alice.compare() == "equal"
        (loan,) = await town.alice.rows("loan.list", "loans")
        assert loan["settled"] is False, "dan's request is provisional"
        (thing,) = await town.alice.rows("resource.list", "resources")
        assert thing["settled"] is True
        left = len(await settled_ids(town.alice))
        await town.borrow("8")
        await town.meet()
        assert await look(town.eve) == "proposed", "the next seal is honest"
        await town.meet()
        assert await look(town.bob) == "in_force"
        await town.meet()
        assert await town.alice.compare() == "equal"
        assert all(row["settled"] for row in await town.alice.rows("loan.list", "loans"))
        assert len(await settled_ids(town.alice)) > left + 10
