"""Locked is locked: also for a command that was already waiting."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.unit.street import homes
from tests.unit.town import person

from commons_node.community import SEALING, SIGNING, Community
from commons_node.daemon import Daemon
from commons_node.keystore.sessions import MemberLocked, Sessions
from commons_node.keystore.unlocked import Unlocked
from commons_node.registry import Request
from commons_node.signing import Signing
from commons_node.verifier.pool import VerifierPool

BOB = person("bob")


@pytest.mark.anyio
async def test_who_is_locked_while_a_command_waits_does_not_act(tmp_path: Path) -> None:
    pool = VerifierPool(1)
    session = Sessions().new()
    keys = {SIGNING: BOB.device.signing, SEALING: BOB.device.sealing}
    session.unlock(Unlocked(BOB.member.hex(), bytes(32), keys))
    try:
        async with homes(tmp_path, pool, "north") as (north,):
            community = Community(north.realm)
            signing = Signing(copied=False)
            signing.add(north.realm.realm)
            retiring = SimpleNamespace(acts_with_old=lambda _unlocked: False)
            node: Any = SimpleNamespace(signing=signing, retiring=retiring)
            request: Request[Any] = Request(node, session=session)
            acting = asyncio.create_task(Daemon.actor(node, request, community))
            await asyncio.sleep(0.01)
            session.lock()
            signing.fresh(north.realm.realm)
            with pytest.raises(MemberLocked):
                await acting
            session.unlock(Unlocked(BOB.member.hex(), bytes(32), keys))
            assert (await Daemon.actor(node, request, community)).member == BOB.member
    finally:
        await pool.stop()
