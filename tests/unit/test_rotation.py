"""New epoch keys for more devices than one operation has room for, and when they are due."""

from __future__ import annotations

from pathlib import Path

from tests.unit.machines import Machine, machines
from tests.unit.street import member
from tests.unit.town import DAY_MS, invitation, secrets, ticket_seed

from commons_crdt.authority.facts import Epoch
from commons_crdt.authority.kinds import EPOCH
from commons_crdt.device import DeviceSecrets
from commons_crdt.ids import digest
from commons_crdt.kinds import decode_fact
from commons_crdt.operation import content
from commons_node.membership.rotation import MAX_SHARES, due, rotate_if_due
from commons_node.standing import open_epochs
from commons_node.testing import acts
from commons_node.verifier.pool import VerifierPool

NEWCOMERS = MAX_SHARES + 16


async def crowd(node: Machine) -> list[DeviceSecrets]:
    """Many newcomers by one invite."""
    (invite,) = await node.forge("alice", invitation("crowd", NEWCOMERS, node.home.now + DAY_MS))
    devices = [secrets(f"newcomer {n}") for n in range(NEWCOMERS)]
    seed = ticket_seed("crowd")
    realm = node.realm.realm
    drafts = [acts.admission(realm, invite.id, seed, device) for device in devices]
    done = await node.forge("alice", *drafts)
    assert {one.judgement.reason for one in done} == {""}
    return devices


async def epochs(node: Machine) -> list[Epoch]:
    rows = await node.realm.store.everything("o.kind = ?", (EPOCH,))
    return [decode_fact(Epoch, content(op.body)) for _, op in rows if op.body is not None]


async def test_a_rotation_of_many_devices_is_one_key_in_several_operations(
    tmp_path: Path, pool: VerifierPool
) -> None:
    async with machines(tmp_path, pool, "north") as (north,):
        devices = await crowd(north)
        before = len(await epochs(north))
        await north.do("alice", "member.remove", who="dan")
        made = (await epochs(north))[before:]
        assert len(made) == 2, "one operation has no room for so many"
        assert len({epoch.commitment for epoch in made}) == 1, "and yet it is one key"
        assert [len(epoch.shares) <= MAX_SHARES for epoch in made] == [True, True]
        known = await north.realm.store.everything("o.kind = ?", (EPOCH,))
        keys = set()
        for device in [*devices, *(north.people[who][1] for who in ("alice", "bob", "cia"))]:
            found = {k for k in open_epochs(known, device).values()
                     if digest("epoch", k) == made[0].commitment}  # fmt: skip
            assert found, "every device that stands opens it"
            keys |= found
        assert len(keys) == 1, "and finds the others by it"
        dan = open_epochs(known, north.people["dan"][1]).values()
        assert not any(digest("epoch", key) == made[0].commitment for key in dan)


async def test_after_a_recovery_it_is_due_until_a_coordinator_is_there(
    tmp_path: Path, pool: VerifierPool
) -> None:
    """A member who recovers writes no epoch: it takes a coordinator, who does it when unlocked."""
    async with machines(tmp_path, pool, "north") as (north,):
        alice = await north.actor(north.terminal("alice"), north.town)
        await rotate_if_due(north, north.town, alice)  # type: ignore[arg-type]  # all of a daemon that it needs
        assert not await due(north.town, north.now_ms())
        before = len(await epochs(north))
        await north.do("bob", "member.device.retire", device=north.people["bob"][1].keys.id.hex())
        assert await due(north.town, north.now_ms()), "bob's phone knows the key"
        assert len(await epochs(north)) == before, "nobody who may has been here"
        await rotate_if_due(north, north.town, alice)  # type: ignore[arg-type]  # likewise
        made = (await epochs(north))[before:]
        assert len(made) == 1
        shared = {share.device for epoch in made for share in epoch.shares}
        assert north.people["bob"][1].keys.id not in shared
        assert north.people["cia"][1].keys.id in shared
        assert not await due(north.town, north.now_ms())
        assert member("bob") in north.realm.judge.authority.members(), "the member stays"
