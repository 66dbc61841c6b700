"""A run in words: its timeline, line by line, and the story of one operation."""

from __future__ import annotations

from collections.abc import Iterator

from commons_crdt.ids import OperationId
from commons_crdt.operation import decode_header
from commons_crdt.sentences import SENTENCES
from commons_crdt.verdict import Verdict
from commons_node.testing.storm import Outcome
from commons_node.testing.town import Town

_WORDS = {
    "met": "meets", "parted": "is parted from", "write": "writes", "lie": "lies:",
    "crash": "loses its power", "restart": "starts again", "split": "the town falls apart:",
    "heal": "everybody reaches everybody again", "clock": "has its clock set by",
    "mute": "is heard no more", "joined": "joins", "leave": "leaves for good",
    "calm": "the weather is calm from here",
}  # fmt: skip

_FOUND = (
    "SELECT verdict, reason, (SELECT applied FROM edits WHERE n = o.n), body IS NOT NULL,"
    " EXISTS (SELECT 1 FROM parts p WHERE p.operation = o.n AND p.bytes IS NULL)"
    " FROM operations o WHERE id = ?"
)


def timeline(town: Town) -> Iterator[str]:
    """One line a moment: when, who, what."""
    for moment in town.trace.moments:
        what = _WORDS.get(moment.what, moment.what)
        words = (moment.node, what, moment.other, moment.detail)
        yield f"{moment.seconds:9.3f} s  " + " ".join(word for word in words if word)


def verdict(outcome: Outcome) -> Iterator[str]:
    """How it ended."""
    state = "fails" if outcome.wrong else "holds"
    yield (
        f"seed {outcome.seed} {state}: {outcome.operations} operations, {outcome.acknowledged}"
        f" acknowledged, {outcome.claims} claims to be in sync looked into,"
        f" {outcome.converged} waits for it answered with yes,"
        f" {outcome.seconds:.0f} s of virtual time, trace {outcome.trace[:16]}"
    )
    for sentence in outcome.wrong:
        yield f"  ✗ {sentence}"
    yield "faults: " + ", ".join(f"{n} {name}" for name, n in sorted(outcome.faults.items()))
    yield "refused: " + ", ".join(f"{n} {why}" for why, n in sorted(outcome.refusals.items()))


def story(town: Town, prefix: str) -> Iterator[str]:
    """What became of one operation at every node."""
    found = sorted(i for i in town.arrivals if i.hex().startswith(prefix))
    if len(found) != 1:
        yield f"{len(found)} operations begin with {prefix}"
        return
    ident = found[0]
    yield from _written(town, ident)
    first = min(arrival.seconds for arrival in town.arrivals[ident])
    for arrival in town.arrivals[ident]:
        how = "writes it" if arrival.own else "learns it"
        later = arrival.seconds - first
        yield f"{arrival.seconds:9.3f} s  {arrival.node} {how}, {later:.3f} s later"
    for node in town.nodes:
        rows = node.disk.rows(_FOUND, (ident,))
        if not rows:
            yield f"at {node.name}: not there{' (it has left)' if node.gone else ''}"
            continue
        verdict, reason, applied, body, parts = rows[0]
        word = Verdict(verdict).name.lower()
        edit = f" Its document does not take it: {applied}." if applied else ""
        bare = " Its body is not there." if not body else " A part is not there." if parts else ""
        yield f"at {node.name}: {word}. {SENTENCES[reason]}{edit}{bare}"


def _written(town: Town, ident: OperationId) -> Iterator[str]:
    for node in town.nodes:
        rows = node.disk.rows("SELECT header FROM operations WHERE id = ?", (ident,))
        if rows:
            header = decode_header(rows[0][0])
            author = next(
                (n.name for n in town.nodes if n.secrets.keys.id == header.device), "a node"
            )
            yield (
                f"{ident.hex()}\n{header.kind}, number {header.seq} in log {header.log} of"
                f" {author}, lamport {header.lamport}, {len(header.refs)} refs"
            )
            return
