"""Eve seals what she likes to a node whose keys she knows; nobody may be kept out by it."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.unit.street import Home, homes
from tests.unit.town import person, secrets

from commons_crdt.author import Draft
from commons_crdt.authority.facts import Epoch, EpochShare, NodeGrant, SealedKey
from commons_crdt.authority.kinds import EPOCH, NODE
from commons_crdt.device import DeviceSecrets, seal
from commons_crdt.ids import DocumentId, digest
from commons_node.standing import open_epochs, share
from commons_node.verifier.pool import VerifierPool

pytestmark = pytest.mark.anyio

ALICE, EVE = person("alice"), person("dan")
NODE_OF_ALICE = secrets("alice's node")


@pytest.fixture
async def street(tmp_path: Path) -> AsyncIterator[Home]:
    pool = VerifierPool(1)
    try:
        async with homes(tmp_path, pool, "north") as (north,):
            yield north
    finally:
        await pool.stop()


async def write(home: Home, device: DeviceSecrets, draft: Draft) -> str:
    grant = home.realm.judge.authority.devices[device.keys.id].id
    (written,) = await home.realm.write([draft], device, grant)
    return written.judgement.reason


async def learn(home: Home) -> None:
    known = await home.realm.store.everything("c.log = 0")
    home.realm.epoch_keys.update(open_epochs(known, NODE_OF_ALICE))


async def test_junk_that_is_sealed_to_a_node_is_neither_opened_nor_passed_on(
    street: Home,
) -> None:
    junk = tuple(
        SealedKey(os.urandom(32), seal(os.urandom(32), NODE_OF_ALICE.keys.sealing))
        for _ in range(64)
    )
    for _ in range(2):
        body = NodeGrant(NODE_OF_ALICE.keys, bytes(64), junk)
        draft = Draft.fact(NODE, body, log=0, document=DocumentId(EVE.member))
        assert await write(street, EVE.device, draft) == "consent"
    key = os.urandom(32)
    shares = (EpochShare(NODE_OF_ALICE.keys.id, seal(key, NODE_OF_ALICE.keys.sealing)),)
    epoch = Epoch(digest("epoch", key), shares)
    assert not await write(street, ALICE.device, Draft.fact(EPOCH, epoch, log=0))
    false = Epoch(digest("epoch", os.urandom(32)), shares)
    assert not await write(street, ALICE.device, Draft.fact(EPOCH, false, log=0))
    await learn(street)
    assert [found for _, found in street.realm.epochs()] == [key]
    assert list(street.realm.epoch_keys.values()) == [key], "what does not stand opens nothing"
    assert len(share(street.realm, ALICE.device.keys.sealing)) == 1


async def test_a_community_with_many_epochs_still_lets_people_in(street: Home) -> None:
    for _ in range(70):
        key = os.urandom(32)
        shares = (EpochShare(NODE_OF_ALICE.keys.id, seal(key, NODE_OF_ALICE.keys.sealing)),)
        epoch = Epoch(digest("epoch", key), shares)
        assert not await write(street, ALICE.device, Draft.fact(EPOCH, epoch, log=0))
    known = await street.realm.store.everything("c.log = 0")
    street.realm.epoch_keys.update(open_epochs(known, NODE_OF_ALICE))
    assert len(street.realm.epoch_keys) == 70
    assert len(share(street.realm, ALICE.device.keys.sealing)) == 64, "as many as fit an admission"
