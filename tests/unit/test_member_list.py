"""The list of members while somebody is let in."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.street import homes, member, neighbours

from commons_crdt.ids import MemberId
from commons_node.community import Community
from commons_node.verifier.pool import VerifierPool


async def test_somebody_is_let_in_between_the_names_and_the_members(
    tmp_path: Path, pool: VerifierPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    town = neighbours()
    known = set(town.operations)
    town.welcome("fay")
    new = [operation for ident, operation in town.operations.items() if ident not in known]
    read = Community.names
    async with homes(tmp_path, pool, "north") as (north,):
        assert north.realm.realm == town.realm

        async def meanwhile(community: Community) -> dict[MemberId, str]:
            found = await read(community)
            await north.realm.ingest(new, "a neighbour")
            return found

        monkeypatch.setattr(Community, "names", meanwhile)
        rows = {row["member"]: row["name"] for row in await north.rows("member.list", "members")}
        fay = member("fay").hex()
        assert rows[fay] == fay[:8], "she is listed, by the start of her id"
        assert set(rows) > {member(name).hex() for name in ("alice", "bob", "cia", "dan")}
