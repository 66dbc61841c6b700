"""What a method is: its parameters, what it answers, how a grant may narrow it, what it costs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec

from commons_node.agents.manifest import Grant
from commons_node.capabilities.permit import Permit
from commons_node.capabilities.refusals import BadParameters, TooMuch
from commons_node.jobs.effects import Effect
from commons_node.jobs.lease import Lease
from commons_node.jobs.workers import Attempt

if TYPE_CHECKING:
    from commons_node.capabilities.inside import Inside

Narrowing = Literal[
    "collections", "fields", "where", "kinds", "hosts", "drivers", "max_rows", "max_bytes"
]
MOST_EFFECTS: Final = 1_000
"""Of one attempt."""
MOST_EFFECT_BYTES: Final = 4 << 20
"""The same, of all together."""
_KEY: Final = 150


@dataclass(slots=True)
class Calling:
    """One attempt at one run of an agent, as its calls see it."""

    inside: Inside
    lease: Lease
    attempt: Attempt
    agent: str
    permit: Permit
    effects: list[Effect] = field(default_factory=list)
    kept: dict[str, bytes | None] = field(default_factory=dict)
    """What this run has put into its store and not committed yet; None: deleted."""
    numbers: Counter[str] = field(default_factory=Counter)
    size: int = 0

    @property
    def dry(self) -> bool:
        """Nothing of this run is kept, and nobody outside is asked."""
        return self.lease.dry

    @property
    def whose(self) -> dict[str, object]:
        """The agent, and the community that it works for: what each of its effects names."""
        return {"agent": self.agent, "principal": self.lease.job.principal}

    def want(self, method: str, kind: str, key: str, body: Mapping[str, object]) -> str:
        """An effect, kept with the end of the run; its operation id.

        ``key`` makes it happen once of this job, for as long as keys are remembered; without one it
        is once in this run: the first, second … effect of this method. Raises ``TooMuch``.
        """
        if len(key) > _KEY:
            raise BadParameters(method=method, why=f"a key has at most {_KEY} letters")
        if not key:
            self.numbers[method] += 1
            operation = f"{self.lease.run}:{method}:{self.numbers[method]}"
        else:
            operation = f"{method}/{key}"
        self.size += len(msgspec.json.encode(body))
        if len(self.effects) >= MOST_EFFECTS or self.size > MOST_EFFECT_BYTES:
            raise TooMuch(method=method, why=f"a run has at most {MOST_EFFECTS} effects, or 4 MiB")
        self.effects.append(Effect(kind, operation, body))
        return operation


Answer = Callable[[Calling, Grant, Any], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Capability:
    """One method. ``params``: a struct whose docstring and fields are the reference.

    ``narrows``: the fields of a grant that mean something here. ``cost`` in thousandths of a
    credit. ``free``: needs no grant. ``effect``: what it does is kept with the end of the run.
    ``given``: what must be said in the grant for it to reach anything.
    """

    name: str
    summary: str
    params: type[msgspec.Struct]
    answers: str
    run: Answer
    narrows: tuple[Narrowing, ...] = ()
    cost: int = 1
    free: bool = False
    effect: bool = False
    needs: tuple[Narrowing, ...] = ()


class NoParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Nothing."""


def bounded(method: str, value: object, most: int) -> bytes:
    """A value as JSON of at most so many bytes. Raises ``TooMuch`` and ``BadParameters``."""
    try:
        encoded = msgspec.json.encode(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise BadParameters(method=method, why=error) from None
    if len(encoded) > most:
        raise TooMuch(method=method, why=f"{len(encoded)} bytes, of {most} at most")
    return encoded
