"""What must hold: while the storm goes on, and after it. A violation is a sentence, never a number.

Nothing here helps the nodes: it only looks.
"""

from __future__ import annotations

import asyncio
import itertools
import random
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field

from commons_crdt.ids import OperationId
from commons_node.testing.acts import START_MS
from commons_node.testing.bounds import exceeded
from commons_node.testing.differing import differing
from commons_node.testing.lies import harm
from commons_node.testing.node import Node
from commons_node.testing.paths import PATHS, Way
from commons_node.testing.sealers import Settled, folds_otherwise, sealed_alike, settled, unsettled
from commons_node.testing.sums import uneven
from commons_node.testing.town import Town
from commons_node.testing.views import unquiet, untruths

_LOOK_S = 7.0
_SOON_S = 2.0
_SOON_WAIT_S = 150.0
_QUIET_LOOKS = 30
"""A frame that was mangled may have left a round without an answer: it is given up after 60 s."""
_NOTICED_MS = 1000
STALE_S = 110.0
"""How old a claim to be in sync may be: a routine comparison comes after 75 s at the latest, finds
out within 5 s that nobody answers, and a connection that is silent is given up after 25 s."""


@dataclass(slots=True)
class Watch:
    """Looks at the town, and remembers what was wrong, each thing once."""

    town: Town
    forbidden: set[OperationId] = field(default_factory=set)
    """What no honest node may store."""
    wrong: dict[str, None] = field(default_factory=dict)
    looks: int = 0
    ways: Counter[str] = field(default_factory=Counter)
    """How often the same operations went another way."""
    converged: int = 0
    """How often `sync wait` said yes, and was checked."""
    cuts: int = 0
    """How often islands were looked at long after they had been cut off."""
    _settled: dict[str, Settled] = field(default_factory=dict)
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
            for sentence in exceeded(node):
                self.fail(sentence)
            self._claims(node)
            for sentence in untruths(node, {other.node for other in self.town.honest}):
                self.fail(sentence)
            self._effects(node)
            await self._settled_stays(node)
        await self._equals(living)

    async def _settled_stays(self, node: Node) -> None:
        """What a seal has settled is never judged otherwise, and never provisional again."""
        now = await settled(node)
        if now is not None:
            for sentence in unsettled(node.name, self._settled.get(node.name, {}), now):
                self.fail(sentence)
            self._settled[node.name] = now

    def _claims(self, node: Node) -> None:
        """Who says "synced" holds what the other held a short while ago."""
        others = {other.node: other for other in self.town.honest}
        mine, now = node.realm.digest(), self.town.now
        for state in node.peering.peers():
            other = others.get(state.node)
            if other is None or state.sync.state != "synced":
                continue
            self.claims += 1
            if other.alive and other.communities:
                other.realm.digest()  # what it has now is heard, too
            if not other.ears.had(mine, 0):
                self.fail(f"{node.name} says it is in sync with {other.name}, and never was")
            elif not other.ears.had(mine, now - STALE_S):
                self.fail(f"{node.name} says it is in sync with {other.name}, long after it was")

    def _effects(self, node: Node) -> None:
        """What is seen here of the faults of its machine."""
        assert node.life is not None
        true_ms = START_MS + self.town.now * 1000
        clock = node.life.context.run(node.now_ms)
        self.town.faults["clocks_off"] += abs(clock - true_ms) >= _NOTICED_MS
        dead = _holds(node) or "verifier" in node.realm.store.waiting.counts
        self.town.faults["held_items"] += dead

    async def asked(self, node: Node, others_of: Sequence[Node], seconds: float) -> bool | None:
        """Somebody runs `sync wait` at a node: what it answers is looked into.

        What it answers; None if the node dies meanwhile.
        """
        began, named = self.town.now, [other.node for other in others_of if other is not node]
        answer = await node.run(node.peering.wait_converged(named, timeout=seconds))
        if answer is None or not answer.converged:
            return None if answer is None else False
        self.converged += 1
        others = {other.node: other for other in self.town.honest}
        common = {d for d, seen in node.ears.digests.items() if seen >= began}
        for name in named:
            other = others.get(name)
            if other is not None and not any(other.ears.had(d, began) for d in common):
                self.fail(f"{node.name} has waited for {other.name}, and they never were equal")
        return True

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
                where = differing(first.disk, node.disk)
                told = f"{first.name} and {node.name} have one digest and different {what}"
                self.fail(f"{told}: {where}" if where else told)

    def survived(self, node: Node) -> None:
        """The power is back: what was acknowledged here is on the disk, before anybody helps."""
        held = {ident for ident, _, _ in node.stored()}
        for ident, author in self.town.acks.items():
            if author == node.name and ident not in held:
                self.fail(f"{ident.hex()[:8]}, acknowledged to {author}, did not survive a crash")

    def islands(self, groups: Sequence[Sequence[Node]], seconds: float) -> None:
        """Long after a cut, nobody says to be in sync with anybody beyond it."""
        if seconds <= STALE_S:
            return
        self.cuts += 1
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
        honest = [node for node in self.town.honest if node.communities]
        for node in honest:
            if not self.wrong and not await self.asked(node, honest, _SOON_WAIT_S):
                self.fail(f"{node.name} waits in vain for neighbours who are all here and equal")
        for node in honest if not self.wrong else ():
            for sentence in await self._unquiet(node, {one.node for one in honest}):
                self.fail(sentence)
        await self.alike()

    async def _unquiet(self, node: Node, honest: Set[str]) -> list[str]:
        """What a node gives as reasons in peace, for as long as a wait may take."""
        found: list[str] = []
        for _ in range(_QUIET_LOOKS):
            if not (found := list(unquiet(node, honest))):
                break
            await asyncio.sleep(_SOON_WAIT_S / _QUIET_LOOKS)  # a conversation may just begin anew
        return found

    async def alike(self) -> None:
        """What must hold once everybody has everything, whatever way it came."""
        honest = [node for node in self.town.honest if node.communities]
        hashes: dict[str, tuple[bytes, bytes]] = {}
        for node in honest:
            found = await node.run(node.realm.hashes())
            if found is not None:
                hashes[node.name] = found
                for sentence in uneven(node):
                    self.fail(sentence)
        for n, what in enumerate(("set_hash", "state_hash")):
            if len({pair[n] for pair in hashes.values()}) > 1:
                one, two = _odd(hashes, n)
                where = differing(self.town.node(one).disk, self.town.node(two).disk)
                told = f"different {what} after the heal: {_groups(hashes, n)}"
                self.fail(f"{told}; between {one} and {two} {where or 'nothing that is stored'}")
        seals = {n.name: [one.seal for one in n.realm.judge.seals()] for n in honest}
        by = {node.name: await settled(node) or {} for node in honest}
        for sentence in sealed_alike(seals, by):
            self.fail(sentence)
        if await folds_otherwise(honest[-1]):
            self.fail(f"what is sealed amounts to another state at {honest[-1].name}")
        self.town.faults["seals"] += max(map(len, seals.values()))
        self.town.faults["settled"] += max(map(len, by.values()))
        verdicts = {node.name: _verdicts(node) for node in honest}
        self._nothing_lost(verdicts)
        self._same_verdicts(verdicts)
        self._nothing_forbidden(verdicts)
        for way, path in PATHS.items():
            await self._by(way, path, hashes)
        self._count(honest)

    async def _by(self, name: str, path: Way, hashes: Mapping[str, tuple[bytes, bytes]]) -> None:
        """The same operations by another way are judged and folded alike."""
        here = [node for node in self.town.honest if node.name in hashes]
        rng = random.Random(f"{name} {self.town.seed}")  # noqa: S311 - seeded
        rng.shuffle(here)
        for node in here:
            again = await node.run(path(node, rng))
            if again is None:
                continue
            self.ways[name] += 1
            for n, what in enumerate(("set_hash", "state_hash")):
                if again.hashes[n] != hashes[node.name][n]:
                    where = again.disk and differing(node.disk, again.disk)
                    more = f": {where}" if where else ""
                    self.fail(
                        f"the same operations {name} give another {what} at {node.name}{more}"
                    )
            return

    def _count(self, honest: Sequence[Node]) -> None:
        """What of the faults can be seen at the end only."""
        faults, first = self.town.faults, honest[0]
        self.town.air.settle()
        faults["slow_commits"] += sum(node.disk.slow for node in self.town.nodes)
        members = first.realm.judge.authority.members() if first.communities else {}
        faults["newcomers"] += sum(node.joined and node.member in members for node in honest)
        gone = {node.node for node in self.town.nodes if node.gone and node.lives}
        faults["missed_members"] += sum(
            peer.node in gone and not peer.connected
            for node in honest
            if node.alive
            for peer in node.peering.peers()
        )

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
        for sentence in harm(self.town):
            self.fail(sentence)
        for name, held in verdicts.items():
            for ident in sorted(self.forbidden & held.keys()):
                self.fail(f"{name} has stored {ident.hex()[:8]}, which breaks a rule")


def _holds(node: Node) -> bool:
    """True while a dead worker keeps a document from being read here: a local state."""
    return bool(node.disk.rows("SELECT 1 FROM edits WHERE applied = 'held' LIMIT 1"))


def _verdicts(node: Node) -> dict[OperationId, tuple[int, str]]:
    return {ident: (verdict, reason) for ident, verdict, reason in node.stored()}


def _odd(hashes: dict[str, tuple[bytes, bytes]], n: int) -> tuple[str, str]:
    """Two names that have different hashes."""
    first = next(iter(hashes))
    return first, next(name for name, pair in hashes.items() if pair[n] != hashes[first][n])


def _groups(hashes: dict[str, tuple[bytes, bytes]], n: int) -> str:
    groups: dict[bytes, list[str]] = {}
    for name, pair in hashes.items():
        groups.setdefault(pair[n], []).append(name)
    return " / ".join(_names(names) for names in groups.values())


def _names(names: Iterable[str]) -> str:
    return ", ".join(names)
