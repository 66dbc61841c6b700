"""A run of a job: the queue is led through its moves by chance, and shows what is drawn."""

from __future__ import annotations

import random
from pathlib import Path

from tests.machines.drawings import OUTSIDE, all_drawings
from tests.machines.recorder import Recorder
from tests.unit.chores import Bench

from commons_node.jobs.states import MOVES, State

MACHINE = "job#A run"


def test_a_run_makes_the_moves_that_are_drawn(tmp_path: Path) -> None:
    recorder, rng = Recorder(), random.Random(8)
    bench = Bench(tmp_path, rng=rng)
    bench.job("chore", attempts=3)

    def look() -> None:
        for run, state in bench.queue.rows("SELECT run, state FROM runs"):
            recorder.move(MACHINE, run, state)

    for _ in range(600):
        if bench.count("ready", "waiting", "leased") < 4:
            bench.queue.enqueue("chore")
            look()
        bench.does(rng.choice(bench.deeds()))
        look()
    bench.close()
    drawing = all_drawings()[MACHINE]
    assert drawing.states == {state.value for state in State}
    assert recorder.moves[MACHINE] == drawing.moves, "no move is made that is not drawn"
    assert {(a.value, b.value) for a, b in MOVES} == {
        move for move in drawing.moves if move[0] != OUTSIDE
    }, "and the code's own list is the drawn one"
