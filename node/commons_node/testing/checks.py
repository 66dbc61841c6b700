"""What must hold: while the storm goes on, and after it. A violation is a sentence, never a number.

Nothing here helps the nodes: it only looks.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from commons_crdt.ids import OperationId
from commons_node.testing.node import Node
from commons_node.testing.oracle import replay
from commons_node.testing.town import Town

_LOOK_S = 7.0
_SOON_S = 2.0
MOST_ASIDE = 10_000
MOST_ON_WAY = 1 << 20
"""Bytes of one stream on their way."""


@dataclass(slots=True)
class Watch:
    """Looks at the town, and remembers what was wrong, each thing once."""

    town: Town
    forbidden: set[OperationId] = field(default_factory=set)
    """What no honest node may store."""
    wrong: dict[str, None] = field(default_factory=dict)
    looks: int = 0
    claims: int = 0
    """How often a node said that it was in sync, and was checked."""

    def fail(self, sentence: str) -> None:
        """Something was wrong."""
        self.wrong.setdefault(sentence)

    # --- while it goes on ---

    async def stand(self) -> None:
        """Look every few seconds, for ever."""
        while True:
            await asyncio.sleep(_LOOK_S)
            await self.look()

    async def look(self) -> None:
        """What must hold at any time."""
        self.looks += 1
        for error in self.town.errors:
            self.fail(f"a node logged an error: {error}")
        living = [node for node in self.town.honest if node.alive and node.communities]
        for node in living:
            self._bounds(node)
            self._claims(node)
        await self._equals(living)

    def _claims(self, node: Node) -> None:
        """Who says "synced" holds what the other held at some time."""
        others = {other.node: other for other in self.town.honest}
        for state in node.peering.peers():
            other = others.get(state.node)
            if other is None or state.sync.state != "synced":
                continue
            self.claims += 1
            if node.realm.digest() not in other.digests and other.alive:
                self.fail(f"{node.name} says it is in sync with {other.name}, and never was")

    async def _equals(self, living: Sequence[Node]) -> None:
        """Equal digests are equal sets and equal states."""
        known: dict[bytes, tuple[Node, tuple[bytes, bytes]]] = {}
        for node in living:
            before = node.realm.digest()
            hashes = await node.run(node.realm.hashes())
            if hashes is None or node.realm.digest() != before or _holds(node):
                continue
            first, same = known.setdefault(before, (node, hashes))
            if same != hashes:
                what = "sets" if same[0] != hashes[0] else "states"
                self.fail(f"{first.name} and {node.name} have one digest and different {what}")

    def _bounds(self, node: Node) -> None:
        ((aside,),) = node.disk.rows("SELECT count(*) FROM waiting")
        if aside > MOST_ASIDE:
            self.fail(f"{node.name} keeps {aside} operations aside")
        if node.host.traffic["most"] > MOST_ON_WAY:
            self.fail(f"{node.name} sends {node.host.traffic['most']} bytes without waiting")

    def islands(self, groups: Sequence[Sequence[Node]]) -> None:
        """Long after a cut, nobody says to be in sync with anybody beyond it."""
        where = {node.node: n for n, group in enumerate(groups) for node in group}
        for node in self.town.honest:
            if not node.alive or node.node not in where:
                continue
            for state in node.peering.peers():
                far = where.get(state.node, where[node.node]) != where[node.node]
                if far and state.sync.state == "synced":
                    self.fail(f"{node.name} says it is in sync with an island it cannot reach")

    # --- afterwards ---

    async def rest(self, seconds: float) -> float | None:
        """Wait until every honest node says "synced" of every other; when, or None."""
        began = self.town.now
        while self.town.now - began < seconds:
            await asyncio.sleep(_SOON_S)
            if next(self._unsettled(), None) is None:
                return self.town.now - began
        for sentence in itertools.islice(self._unsettled(), 5):
            self.fail(sentence)
        return None

    def _unsettled(self) -> Iterator[str]:
        """What keeps the town from rest, most likely first."""
        names = {node.node: node.name for node in self.town.honest}
        for node in self.town.honest:
            if not node.alive or not node.communities:
                yield f"{node.name} does not run"
                continue
            if _holds(node):
                yield f"{node.name} holds edits back to the end"
            states = {state.node: state.sync for state in node.peering.peers()}
            for other, name in names.items():
                if other == node.node:
                    continue
                if other not in states:
                    yield f"{node.name} has never heard of {name}"
                elif states[other].state != "synced":
                    sync = states[other]
                    yield f"{node.name} says {sync.state} of {name} to the end: {sync.reason}"

    async def after(self) -> None:
        """What must hold once everybody is connected and nobody writes."""
        await self.look()
        honest = self.town.honest
        hashes: dict[str, tuple[bytes, bytes]] = {}
        for node in honest:
            found = await node.run(node.realm.hashes())
            if found is not None:
                hashes[node.name] = found
        for n, what in enumerate(("set_hash", "state_hash")):
            if len({pair[n] for pair in hashes.values()}) > 1:
                self.fail(f"different {what} after the heal: {_groups(hashes, n)}")
        verdicts = {node.name: _verdicts(node) for node in honest}
        self._nothing_lost(verdicts)
        self._same_verdicts(verdicts)
        self._nothing_forbidden(verdicts)
        self._order(honest, hashes)

    def _nothing_lost(self, verdicts: dict[str, dict[OperationId, tuple[int, str]]]) -> None:
        gone = {node.name for node in self.town.nodes if node.gone}
        for ident, author in self.town.acks.items():
            lacking = [name for name, held in verdicts.items() if ident not in held]
            if author in gone and len(lacking) == len(verdicts):
                continue  # it left before it had told anybody
            if lacking:
                self.fail(
                    f"{ident.hex()[:8]}, acknowledged to {author}, is lost at {', '.join(lacking)}"
                )

    def _same_verdicts(self, verdicts: dict[str, dict[OperationId, tuple[int, str]]]) -> None:
        first, *others = verdicts.items()
        for name, held in others:
            for ident in held.keys() & first[1].keys():
                if held[ident] != first[1][ident] and "fork" not in {
                    held[ident][1], first[1][ident][1]
                }:  # fmt: skip
                    self.fail(
                        f"{first[0]} says {first[1][ident]} of {ident.hex()[:8]},"
                        f" {name} says {held[ident]}"
                    )

    def _nothing_forbidden(self, verdicts: dict[str, dict[OperationId, tuple[int, str]]]) -> None:
        for name, held in verdicts.items():
            for ident in sorted(self.forbidden & held.keys()):
                self.fail(f"{name} has stored {ident.hex()[:8]}, which breaks a rule")

    def _order(self, honest: Sequence[Node], hashes: dict[str, tuple[bytes, bytes]]) -> None:
        """The same operations in another order, by another path, are judged and folded alike."""
        node = honest[0]
        if node.name not in hashes:
            return
        assert node.realm_id is not None
        again = replay(node.realm_id, node.operations(), self.town.seed)
        if again[0] != hashes[node.name][0]:
            self.fail("another order of the same operations gives another set_hash")
        if again[1] != hashes[node.name][1]:
            self.fail("another order of the same operations gives another state_hash")


def _holds(node: Node) -> bool:
    """True while a dead worker keeps a document from being read here: a local state."""
    return bool(node.disk.rows("SELECT 1 FROM operations WHERE applied = 'held' LIMIT 1"))


def _verdicts(node: Node) -> dict[OperationId, tuple[int, str]]:
    return {ident: (verdict, reason) for ident, verdict, reason in node.stored()}


def _groups(hashes: dict[str, tuple[bytes, bytes]], n: int) -> str:
    groups: dict[bytes, list[str]] = {}
    for name, pair in hashes.items():
        groups.setdefault(pair[n], []).append(name)
    return " / ".join(_names(names) for names in groups.values())


def _names(names: Iterable[str]) -> str:
    return ", ".join(names)
