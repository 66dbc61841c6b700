"""When a relay is asked for a place: soon enough, never in step, never without end."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from commons_protocol.reserving import LONGEST_MS, Failure, Reserving

CHANCE = st.floats(0, 1, exclude_max=True)
MOST_MS = 300_000


def test_a_new_one_is_asked_at_once() -> None:
    assert Reserving().wait(5) == 0


@given(st.floats(1, 86_400), CHANCE, st.integers(0, 1 << 40))
def test_a_place_is_renewed_while_it_lasts(seconds: float, chance: float, now: int) -> None:
    place = Reserving()
    place.ask()
    place.granted(now, seconds, chance)
    assert place.here
    assert place.until == now + round(seconds * 1000)
    assert 0 < place.wait(now) <= min(seconds * 1000 / 2, LONGEST_MS) + 1, "half of it is left then"
    place.ask()
    assert place.here, "others still reach us while we ask"
    assert place.next_action == ""


@given(st.lists(st.tuples(st.sampled_from(["unreachable", "refused"]), CHANCE), max_size=40))
def test_who_gives_none_is_asked_again_and_less_and_less(
    failures: list[tuple[Failure, float]],
) -> None:
    place, now = Reserving(), 0
    for number, (why, chance) in enumerate(failures):
        place.ask()
        place.failed(now, why, "so", chance)
        first = 1_000 if why == "unreachable" else 30_000
        assert 0 <= place.wait(now) <= min(MOST_MS, first * 2**number), "full jitter below a bound"
        assert not place.here
        assert place.next_action, "a person can do something"
        now += place.wait(now)
    place.kick()
    assert place.wait(now) == 0, "on another network it is asked at once"
    place.ask()
    place.failed(now, "unreachable", "so", 0.999)
    assert place.wait(now) <= 1_000, "and the back-off begins anew"


@given(CHANCE)
def test_a_place_that_went_with_its_connection_is_asked_for_soon(chance: float) -> None:
    place = Reserving()
    place.lost(0, chance)
    assert place.wait(0) == 0, "there was none"
    place.granted(0, 3600, chance)
    place.lost(10, chance)
    assert place.phase == "unreachable"
    assert place.until is None
    assert place.wait(10) <= 1_000
