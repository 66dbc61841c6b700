"""What a judge tells besides a verdict: what changed elsewhere, what it asks for, where chains end.

The contract between ``Judge`` and who keeps the operations:

- ``Judge.judge`` gives the verdict under everything learned so far. Then ``Judge.flips()`` drains
  what that changed elsewhere; ask after each batch, before the verdicts are used.
- Every operation of a chain in ``Flips.chains`` (log 1) is judged again with ``Judge.rejudge``, in
  ascending seq, ``lookup`` giving what was judged again already.
- Every seal in ``Flips.closures`` is answered with ``Judge.closure(seal, tops)``.
- Every anchor in ``Flips.wanted`` is answered with ``Judge.anchor(anchor, ids)``, then
  ``flips()`` is asked again: the answer may name chains.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from commons_crdt.ids import DeviceId, OperationId
from commons_crdt.verdict import Judgement

Chain = tuple[DeviceId, int]
"""A device and a log."""


class Anchor(NamedTuple):
    """An operation of log 1 that a standing cut, closing, demotion or seal names.

    The answer is None if no operation ``id`` is stored; an empty tuple if it is stored, but not
    as (``device``, log 1, ``seq``); otherwise the ids of its chain up to and with it, by ``prev``,
    ascending: from the lowest doubled seq of that chain on, or only ``id`` if nothing is doubled
    at or below it.
    """

    device: DeviceId
    seq: int
    id: OperationId


@dataclass(frozen=True, slots=True)
class Flips:
    """What changed since the last ``flips()``.

    ``operations``: log-0 operations learned earlier with their new judgement. ``chains``: log-1
    chains to be judged again. ``ends``: chains whose ``Judge.end`` changed. ``wanted``: positions
    that the judge asks for; asked once, and again when the chain forks below. ``erasures``: the
    facts and documents whose erasure came or went because an erasure was judged again.
    ``closures``: seals with their tips of log 1, all of which are here. The answer has, for each
    branch of each log-1 chain that is in the closure of these tips (by prev, refs, authority),
    its last operation as an ``Anchor``, with the ids that an anchor is answered with.
    """

    operations: Mapping[OperationId, Judgement] = field(default_factory=dict)
    chains: frozenset[Chain] = frozenset()
    ends: frozenset[Chain] = frozenset()
    wanted: frozenset[Anchor] = frozenset()
    erasures: frozenset[bytes] = frozenset()
    closures: Mapping[OperationId, tuple[Anchor, ...]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        """True if there is anything to do."""
        told = (self.operations, self.chains, self.ends, self.wanted, self.erasures, self.closures)
        return any(told)


@dataclass(frozen=True, slots=True)
class End:
    """Where a chain effectively ends: its last inside operation.

    ``seq`` None: it goes on. ``id`` is None where the judge does not know it (the operation
    before a fork of log 1), and for seq 0. ``why``: "" or "fork", "cut", "closed".
    """

    seq: int | None = None
    id: OperationId | None = None
    why: str = ""
