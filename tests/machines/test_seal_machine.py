"""What a coordinator's node does about seals, against its drawing."""

from __future__ import annotations

from pathlib import Path

from tests.machines.drawings import all_drawings
from tests.machines.recorder import Recorder
from tests.unit.council_of_three import look, three
from tests.unit.street import Home

from commons_node.verifier.pool import VerifierPool

VERIFIERS = 1
MACHINE = "seal#A coordinator's node"


async def test_a_coordinators_node(tmp_path: Path, pool: VerifierPool) -> None:
    recorder, drawing = Recorder(), all_drawings()[MACHINE]
    async with three(tmp_path, pool) as town:

        async def looks(home: Home) -> None:
            recorder.move(MACHINE, home.name, await look(home))

        for home in town.all:
            recorder.move(MACHINE, home.name, home.sealing.place(home.realm.realm).state)
        for locked in (False, True):
            number = "8" if locked else "7"
            await town.borrow(number)
            if locked:
                town.alice.away.add("alice")
                await looks(town.alice)
                town.alice.away.clear()
            await looks(town.alice)
            await looks(town.alice)
            await town.meet()
            if locked:
                town.bob.away.add("bob")
                await looks(town.bob)
                town.bob.away.clear()
            await looks(town.bob)
            await town.meet()
            for home in town.all:
                await looks(home)
    seen = recorder.moves[MACHINE]
    assert seen <= drawing.moves, f"not drawn: {sorted(seen - drawing.moves)}"
    never = drawing.moves - seen - drawing.seldom
    assert not never, f"drawn, and nobody sees it: {sorted(never)}"
