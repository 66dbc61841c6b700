"""The states of a run, and which may follow which. Drawn in `docs/state-machines/job.md`."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class State(StrEnum):
    """Where one run of a job stands."""

    READY = "ready"
    """It may be claimed."""
    WAITING = "waiting"
    """It failed, and is tried again later."""
    LEASED = "leased"
    """A worker has it, under a fence."""
    DONE = "done"
    """Completed, and its effects are kept."""
    DEAD = "dead"
    """It failed as often as it may: a dead letter."""
    CANCELLED = "cancelled"


MOVES: Final = frozenset(
    {
        (State.READY, State.LEASED),
        (State.WAITING, State.READY),
        (State.WAITING, State.LEASED),
        (State.LEASED, State.DONE),
        (State.LEASED, State.WAITING),
        (State.LEASED, State.READY),
        (State.LEASED, State.DEAD),
        (State.READY, State.CANCELLED),
        (State.WAITING, State.CANCELLED),
        (State.LEASED, State.CANCELLED),
        (State.DEAD, State.READY),
        (State.DEAD, State.CANCELLED),
        (State.CANCELLED, State.READY),
    }
)
"""A run is never deleted on its way; only one that has ended is forgotten, after a while."""

OPEN: Final = frozenset({State.READY, State.WAITING, State.LEASED})
ENDED: Final = frozenset(State) - OPEN


def after_failure(attempts: int, most: int, *, again: bool) -> State:
    """What follows a failed attempt; ``again``: whether the handler says that it may help."""
    return State.WAITING if again and attempts < most else State.DEAD


def after_loss(attempts: int, most: int) -> State:
    """What follows a lease that ran out: its worker or its node died, perhaps of this run."""
    return State.READY if attempts < most else State.DEAD


def may_cancel(state: State) -> bool:
    """Anything that has not ended, and a dead letter that nobody wants."""
    return state in OPEN or state is State.DEAD


def may_retry(state: State) -> bool:
    """What ended without being done."""
    return state in ENDED and state is not State.DONE
