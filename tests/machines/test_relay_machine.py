"""A place at a relay, against its drawing: everything that may happen, in any order."""

from __future__ import annotations

import random
from typing import get_args

from tests.machines.drawings import all_drawings
from tests.machines.recorder import Recorder

from commons_protocol.reserving import Phase, Reserving

MACHINE = "relay#A relay, for who wants a place there"


def test_a_place_at_a_relay() -> None:
    recorder, drawing, rng = Recorder(), all_drawings()[MACHINE], random.Random(1)
    for number in range(50):
        place, now = Reserving(), 0
        recorder.move(MACHINE, number, place.phase)
        for _ in range(30):
            if rng.random() < 0.2:
                place.kick()
            if rng.random() < 0.3:
                place.lost(now, rng.random())
                recorder.move(MACHINE, number, place.phase)
            now += place.wait(now)
            place.ask()
            recorder.move(MACHINE, number, place.phase)
            if rng.random() < 0.1:
                place.lost(now, rng.random())
                recorder.move(MACHINE, number, place.phase)
                continue
            match rng.randrange(3):
                case 0:
                    place.granted(now, 3600, rng.random())
                case 1:
                    place.failed(now, "refused", "full", rng.random())
                case 2:
                    place.failed(now, "unreachable", "no answer", rng.random())
            recorder.move(MACHINE, number, place.phase)
    assert recorder.moves[MACHINE] == drawing.moves
    assert drawing.states == frozenset(get_args(Phase)), "the code names the same states"
