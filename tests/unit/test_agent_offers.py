"""Agents that neighbours offer: a row is believed only as far as the bytes bear it out."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.unit.agents import ALICE, EVE, key_of, made
from tests.unit.street import Home, homes

from commons_crdt.author import Draft
from commons_crdt.authority.facts import Erasure
from commons_crdt.authority.judge import ERASURE
from commons_crdt.roles import Role
from commons_crdt.verdict import Verdict
from commons_node.community import Ambiguous, Unknown
from commons_node.domains.agents.facts import CONTENT, PACKAGE, Shared
from commons_node.domains.agents.offers import FalseOffer, Offer, chosen, fetched, offers
from commons_node.realm.authoring import Written
from commons_node.registry import Request
from commons_node.verifier.pool import VerifierPool

pytestmark = pytest.mark.anyio
GOOD = made()


@pytest.fixture
async def north(tmp_path: Path) -> AsyncIterator[Home]:
    pool = VerifierPool(1)
    try:
        async with homes(tmp_path, pool, "north", {"eve": Role.MEMBER, "nia": Role.NEWCOMER},
                         rules=3) as (north,):  # fmt: skip
            yield north
    finally:
        await pool.stop()


async def says(
    home: Home, who: str, data: bytes, *, package: bytes | None = None, publisher: str = "",
    name: str = "tell", version: str = "1.0.0", **draft: Any,
) -> Written:  # fmt: skip
    """Somebody writes an offer by hand; no verb looks at it."""
    community = await home.community(Request(home))
    actor = await home.actor(Request(home, member=who), community)
    fact = Shared(
        bytes.fromhex(publisher or key_of(ALICE)), name, version,
        hashlib.sha256(data).digest() if package is None else package,
    )  # fmt: skip
    parts = draft.pop("parts", [(CONTENT, data)])
    (result,) = await community.write(actor, Draft.fact(PACKAGE, fact, parts=parts, **draft))
    return result


async def seen(home: Home) -> list[Offer]:
    return await offers(await home.community(Request(home)))


async def test_an_offer_is_found_fetched_and_taken_back(north: Home) -> None:
    await says(north, "bob", GOOD)
    newer = made("1.10.0")
    await says(north, "bob", newer, version="1.10.0")
    found = await seen(north)
    assert [one.version for one in found] == ["1.10.0", "1.0.0"], "the newest first"
    community = await north.community(Request(north))
    for selector in ("tell", f"{key_of(ALICE)[:8]}/tell", hashlib.sha256(newer).hexdigest()[:10]):
        package, data = await fetched(north, community, chosen(found, selector))  # type: ignore[arg-type]  # a home asks nobody
        assert (data, package.manifest.version) == (newer, "1.10.0")
    with pytest.raises(Unknown):
        chosen(found, "another")
    actor = await north.actor(Request(north, member="bob"), community)
    gone = found[0]
    await community.write(
        actor, Draft.fact(ERASURE, Erasure(gone.id), document=gone.document, refs=[gone.id])
    )
    assert [one.version for one in await seen(north)] == ["1.0.0"]


@pytest.mark.parametrize(
    ("lie", "why"),
    [
        ({"package": bytes(32)}, "hash"),
        ({"name": "tell-me"}, "another publisher, name or version"),
        ({"version": "9.0.0"}, "another publisher, name or version"),
        ({"publisher": key_of(EVE)}, "another publisher, name or version"),
    ],
)
async def test_a_neighbour_who_says_what_is_not_so(
    north: Home, lie: dict[str, Any], why: str
) -> None:
    await says(north, "eve", GOOD, **lie)
    (offer,) = await seen(north)
    community = await north.community(Request(north))
    with pytest.raises(FalseOffer, match=why) as caught:
        await fetched(north, community, offer)  # type: ignore[arg-type]  # a home asks nobody
    assert "eve" in str(caught.value), "it is said whose offer that is"


async def test_a_package_that_is_none_or_whose_signature_is_not_its_publishers(
    north: Home,
) -> None:
    forged = bytearray(GOOD)
    at = GOOD.index(b"SIGNATURE") + len("SIGNATURE")
    forged[at] ^= 1
    await says(north, "eve", bytes(forged), name="tell-a")
    await says(north, "eve", b"no package", name="tell-b")
    community = await north.community(Request(north))
    for offer in await seen(north):
        with pytest.raises(FalseOffer):
            await fetched(north, community, offer)  # type: ignore[arg-type]  # a home asks nobody


async def test_one_name_of_two_publishers_is_never_guessed(north: Home) -> None:
    await says(north, "bob", GOOD)
    eves = made(key=EVE)
    await says(north, "eve", eves, publisher=key_of(EVE))
    found = await seen(north)
    with pytest.raises(Ambiguous) as caught:
        chosen(found, "tell")
    assert key_of(ALICE) in str(caught.value), "whole keys: their beginnings can be made alike"
    assert chosen(found, f"{key_of(EVE)[:8]}/tell").publisher == key_of(EVE)


async def test_what_may_not_be_written_of_an_agent(north: Home) -> None:
    other = (await seen(north), await says(north, "bob", GOOD))[1]
    verdicts = [
        await says(north, "nia", made("1.0.1"), version="1.0.1"),
        await says(north, "bob", GOOD, parts=[]),
        await says(north, "bob", GOOD, document=other.id, refs=[other.id]),
    ]
    assert all(one.judgement.verdict is Verdict.REJECTED for one in verdicts)
    assert [one.judgement.reason for one in verdicts] == ["role", "terms", "document"]
    assert len(await seen(north)) == 1
