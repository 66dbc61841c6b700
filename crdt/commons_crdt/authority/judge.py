"""The judge: one function that gives every operation its verdict, on every path.

Three outcomes: *refused* (the envelope breaks a rule that all nodes check alike; nothing is
stored), *missing* (an antecedent is not here yet), or a *standing* with its verdict. The outcome
depends on the set of operations and the pin, never on the order of arrival: what an operation
changes elsewhere is told by ``flips``.

Source: AUTHORITY.md, ARCHITECTURE §§2, 3, 5, docs/protocol/authority.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set

import msgspec

from commons_crdt.authority.book import NOWHERE, Book, Entry, View
from commons_crdt.authority.branches import Branches
from commons_crdt.authority.budgets import Budgets
from commons_crdt.authority.causes import Cause
from commons_crdt.authority.council import Council
from commons_crdt.authority.ends import Ends
from commons_crdt.authority.envelope import Envelope
from commons_crdt.authority.erasures import Erasures
from commons_crdt.authority.explaining import Explainer
from commons_crdt.authority.facts import Genesis
from commons_crdt.authority.flips import Anchor, Chain, End, Flips
from commons_crdt.authority.ledger import Ledger
from commons_crdt.authority.log_1 import BEYOND, LogOne
from commons_crdt.authority.questions import Questions
from commons_crdt.authority.records import Records, Spot
from commons_crdt.authority.seals import newest_seen_by
from commons_crdt.authority.settled import InForce, Settled
from commons_crdt.authority.standing import (
    ERASURE,
    GENESIS,
    Candidate,
    Lookup,
    Missing,
    Standing,
)
from commons_crdt.authority.state import Authority
from commons_crdt.authority.strata import Polity
from commons_crdt.errors import Refused
from commons_crdt.ids import DeviceId, DocumentId, OperationId, RealmId
from commons_crdt.kinds import Kind, Rules, own_document
from commons_crdt.verdict import Judgement, pending

__all__ = ["ERASURE", "GENESIS", "Candidate", "Judge", "Lookup", "Missing", "Standing"]


class Judge:
    """Judges the operations of one realm, in any causal order.

    ``forks`` holds the lowest doubled seq of each forked chain, ``erased`` the facts and
    documents that an accepted erasure names. Ask ``flips`` after each batch.
    """

    def __init__(
        self,
        realm: RealmId,
        rules: Rules | Mapping[int, Rules],
        forks: Mapping[Chain, int] | None = None,
        pin: OperationId | None = None,
    ) -> None:
        """Start from nothing. ``pin``: the council's act below which this node never goes."""
        self.realm = realm
        self.tables = rules.tables if isinstance(rules, Rules) else dict(rules)
        self.pin = pin
        self.forks: dict[Chain, int] = {}
        self._book = Book(realm)
        self._council = Council(self._book)
        self._ledger = Ledger(self._book, self._council, self._kind, Polity)
        self._records = Records()
        self._settled = Settled(self._records)
        self._questions = Questions(self._book, self._records, self._settled)
        self._ends = Ends(self._book, self._records)
        budgets = Budgets(self._book, self._council)
        self._envelope = Envelope(realm, self._book, budgets, self.tables, self._kind)
        self._authority = Authority(realm, budgets)
        self._authority.bits = self._book.numbers
        self._erasures = Erasures(budgets, self._kind)
        self._log_1 = LogOne(
            self._book, self._kind, self._records, self._settled, self._questions,
            self._erasures, self._authority,
        )  # fmt: skip
        self._polity: Polity | None = None
        self._split = False
        self._stale = False
        self._stored: dict[int, Judgement] = {}
        self._flipped: dict[OperationId, Judgement] = {}
        self._unerased: set[bytes] = set()
        self._branches = Branches(self._book, self._records, self._settled)
        for (device, log), seq in (forks or {}).items():
            self.forked(device, log, seq)

    # --- what others ask -------------------------------------------------------------------------

    @property
    def authority(self) -> Authority:
        """What log 0 amounts to, by everything learned so far."""
        self._settle()
        return self._authority

    @property
    def erased(self) -> Set[bytes]:
        """The facts and documents that an accepted erasure names; it moves with the judge."""
        return self._erasures.named.keys()

    def judge(self, candidate: Candidate, lookup: Lookup) -> Standing | Missing:
        """Judge one operation and learn it; ``Refused`` if its envelope breaks a rule.

        ``lookup`` finds the standings of antecedents. An operation that is already learned
        must not be given again; ``rejudge`` is for those.
        """
        self._settle()
        header = candidate.header
        if candidate.header.kind == GENESIS:
            return self._genesis(candidate)
        if header.realm != self.realm:
            raise Refused("realm")
        past: dict[bytes, Standing] = {}
        missing: dict[OperationId, None] = {}
        for ident in header.antecedents:
            found = lookup(OperationId(ident))
            if found is None:
                missing[OperationId(ident)] = None
            else:
                past[ident] = found
        if missing:
            return Missing(tuple(missing))
        grant, left, view = self._envelope.check(candidate, past)
        self._questions.arrive(candidate)
        if header.log == 0:
            entry = self._learn(candidate, grant, view)
            return self._standing(candidate, grant, view | entry.bit, left, self._of_log_0(entry.n))
        judgement = self._verdict(candidate, grant, view, past)
        self._erasures.learn(candidate, past, judgement)
        return self._standing(candidate, grant, view, left, judgement)

    def rejudge(self, candidate: Candidate, standing: Standing, lookup: Lookup) -> Standing:
        """The verdict of a learned operation again: its contents came or went, or its chain flips.

        The operations of a chain must come in ascending seq, ``lookup`` finding the new standing
        of the one before.
        """
        self._settle()
        if standing.log == 0:
            judgement = self._of_log_0(self._book.numbers[standing.id])
            return msgspec.structs.replace(standing, judgement=judgement)
        header = candidate.header
        past = {i: s for i in header.antecedents if (s := lookup(OperationId(i))) is not None}
        grant = self._book.numbers[standing.grant]
        judgement = self._verdict(candidate, grant, standing.view, past)
        if candidate.header.kind == ERASURE:
            before = set(self._erasures.named)
            self._erasures.learn(candidate, past, judgement)
            self._unerased |= before ^ set(self._erasures.named)
        return msgspec.structs.replace(standing, judgement=judgement, role=self._log_1.counted)

    def unmoved(self, standing: Standing) -> bool:
        """True if ``rejudge`` would certainly say of an operation of log 1 what it said before.

        Only for those that a role was asked for, and whose contents and erasure have not changed.
        In a chain that is neither forked nor sealed, if it is true of two operations with the same
        view and role it is true of all such between them.
        """
        self._settle()
        if self._polity is None or self._waits_for_pin or len(self.tables) > 1:
            return False
        return self._log_1.unmoved(self._polity, standing)

    def restore(self, candidate: Candidate, standing: Standing) -> None:
        """Learn a stored log-0 operation again, in the order of storing.

        If it is judged otherwise than it was stored, ``flips`` tells.
        """
        past = standing.view & ~(1 << len(self._book))
        grant = self._book.numbers.get(standing.grant, NOWHERE)
        entry = self._add(candidate, grant, past, *self._envelope.tells(candidate, past))
        self._stored[entry.n] = standing.judgement
        self._stale = True

    def restore_erasure(self, target: Standing, by: OperationId | None = None) -> None:
        """Learn again what a stored, accepted erasure (``by``) names."""
        self._erasures.add(target, by or target.id)

    def forked(self, device: DeviceId, log: int, seq: int) -> bool:
        """Learn that ``seq`` is doubled; True if that is news, and lower than what was known.

        Log 0 needs no telling; the judge sees its operations itself.
        """
        known = self.forks.get((device, log))
        if known is not None and known <= seq:
            return False
        self.forks[device, log] = seq
        if log:
            self._questions.forked(device, seq)
        return True

    def anchor(self, anchor: Anchor, ids: Sequence[OperationId] | None) -> None:
        """Answer what ``Flips.wanted`` asked; see ``Anchor``."""
        self._questions.answer(anchor, ids)

    def closure(self, seal: OperationId, tops: Mapping[Anchor, Sequence[OperationId]]) -> None:
        """Answer what ``Flips.closures`` asked."""
        self._questions.closure(self._book.numbers[seal], tops)

    def flips(self) -> Flips:
        """What changed elsewhere since this was last asked."""
        self._settle()
        asking, ends = self._questions, frozenset[Chain]()
        if self._polity is not None:
            asking.heed(self._polity)
            ends = self._ends.changed(self._polity)
        told = Flips(
            dict(self._flipped),
            frozenset(asking.chains),
            ends,
            frozenset(asking.wanted),
            frozenset(self._unerased),
            dict(asking.closures),
        )
        for drained in (asking.chains, asking.wanted, asking.closures):
            drained.clear()
        self._flipped.clear()
        self._unerased.clear()
        return told

    def end(self, device: DeviceId, log: int, body: object = None) -> End:
        """Where a chain effectively ends: for what has this body, as its stratum has it."""
        self._settle()
        return self._ends.end(self._polity, (device, log), body) if self._polity else End()

    # --- seals -----------------------------------------------------------------------------------

    def seals(self) -> tuple[InForce, ...]:
        """The seals in force, in the order of the chain, with what each settles."""
        self._settle()
        if self._polity is None or self._waits_for_pin:
            return ()
        return self._settled.in_force(self._polity.layers, self._book)

    def settled(self, standing: Standing) -> bool:
        """True if a seal in force settles an operation: its verdict never changes again."""
        self._settle()
        if self._polity is None or self._waits_for_pin:
            return False
        if standing.log == 0:
            return bool(self._polity.settled_view >> self._book.numbers[standing.id] & 1)
        spot = Spot(standing.device, standing.seq, standing.id, standing.id, False)
        return self._settled.holds_any(self._polity.layers, spot, standing.view)

    def pin_to(self, act: OperationId) -> None:
        """Never leave the council's chain below this act, which is here, any more.

        Where the chain leads through it, no verdict changes; otherwise ``flips`` tells.
        """
        self._settle()
        self.pin = act
        acts, split = self._chain()
        polity = self._polity
        self._stale = polity is None or acts != polity.acts or split != self._split

    def sealed_by(self, act: OperationId) -> Authority | None:
        """What log 0 amounts to in the sealed set of a seal in force; None if it is not one."""
        self._settle()
        n = self._book.numbers.get(act, NOWHERE)
        layers = self._polity.layers if self._polity is not None else ()
        layer = next((one for one in layers if one.seal == n), None)
        return None if layer is None else self._authority.beside(layer.polity)

    def seal_seen_by(self, operation: OperationId) -> OperationId | None:
        """The newest seal that is in force in the view of an operation of log 0, if any."""
        return newest_seen_by(self._book, self._council, operation)

    @property
    def branches(self) -> Branches:
        """What seals say of the branches of log 1, by everything learned so far."""
        self._settle()
        waits = self._waits_for_pin
        self._branches.look(None if waits else self._polity, split=self._split, pin=self.pin)
        return self._branches

    def relays(self, standing: Standing) -> bool:
        """False for an operation beyond its chain's end that does not count by its bytes.

        It is neither passed on nor in ``set_hash``. Ask with the newest standing.
        """
        if standing.log:
            return standing.judgement.reason not in BEYOND
        self._settle()
        n = self._book.numbers[standing.id]
        if self._ledger.certifies_itself(n) or self._polity is None:
            return True
        return not self._polity.place(n)

    def causes(self, candidate: Candidate, standing: Standing, lookup: Lookup) -> Sequence[Cause]:
        """What decided the verdict of a learned operation, the nearest first, each once.

        Every reason of ``causes.DECIDED`` has one, save a fork of log 1 that no proof shows.
        """
        self._settle()
        if self._polity is None or self._waits_for_pin:
            return () if self.pin is None else (Cause("pin", self.pin),)
        if standing.log == 0:
            n = self._book.numbers[standing.id]
            return tuple(dict.fromkeys(Explainer(self._polity).of_log_0(n)))
        antecedents = candidate.header.antecedents
        past = {i: s for i in antecedents if (s := lookup(OperationId(i))) is not None}
        return tuple(dict.fromkeys(self._log_1.causes(self._polity, candidate, standing, past)))

    def is_erased(self, kind: Kind, identity: OperationId, document: DocumentId) -> bool:
        """True if an accepted erasure takes the body: of one fact, or of a document's edits."""
        return self._erasures.takes_body(kind, identity, document)

    # --- learning --------------------------------------------------------------------------------

    def _genesis(self, candidate: Candidate) -> Standing:
        left = self._envelope.genesis(candidate)
        entry = self._learn(candidate, NOWHERE, 0)
        return self._standing(candidate, 0, entry.bit, left, self._of_log_0(0))

    def _add(
        self,
        candidate: Candidate,
        grant: int,
        past: View,
        body: msgspec.Struct | None,
        fault: str,
    ) -> Entry:
        document = own_document(candidate.id, candidate.header)
        entry = self._book.add(candidate.id, candidate.header, document, grant, past, body, fault)
        self._council.learn(entry)
        heads = {i: bit for i, bit in self._authority.heads.items() if not bit & past}
        self._authority.heads = heads | {entry.id: entry.bit}
        if isinstance(body, Genesis) and entry.n == 0:
            self._authority.founder = body.identity.member
        self._notice_forks(entry)
        return entry

    def _notice_forks(self, entry: Entry) -> None:
        if len(self._book.places[entry.device, entry.seq]) > 1:
            self.forked(entry.device, 0, entry.seq)
        for one in self._ledger.shown(entry.n):
            if one.log:
                self._records.shown[one.device].append(one)
            self.forked(one.device, one.log, one.seq)

    def _learn(self, candidate: Candidate, grant: int, past: View) -> Entry:
        waited = self._waits_for_pin
        entry = self._add(candidate, grant, past, *self._envelope.tells(candidate, past))
        acts, split = self._chain()
        polity = self._polity
        same = polity is not None and acts == polity.acts and split == self._split
        if polity is not None and same and polity.extend(entry):
            self._authority.note(entry.n)
        else:
            self._evaluate(acts, split)
        if waited and not self._waits_for_pin:
            self._tell_all(entry)
        return entry

    def _tell_all(self, newest: Entry) -> None:
        """The pin is here: nothing is pending on it any more."""
        for entry in self._book.entries:
            if entry.n != newest.n:
                self._flipped[entry.id] = self._of_log_0(entry.n)
        self._questions.all_chains()

    def _chain(self) -> tuple[list[int], bool]:
        path: list[int] | None = []
        if self.pin is not None:
            path = self._council.path(self._book.numbers.get(self.pin, NOWHERE))
        return self._council.chain(path or ())

    @property
    def _waits_for_pin(self) -> bool:
        if self.pin is None:
            return False
        n = self._book.numbers.get(self.pin)
        return n is None or self._council.path(n) is None

    def _settle(self) -> None:
        """Evaluate what was restored."""
        if self._stale:
            self._stale = False
            self._evaluate(*self._chain())
            for n, judgement in self._stored.items():
                if judgement != self._of_log_0(n):
                    self._flipped[self._book.entries[n].id] = self._of_log_0(n)
            self._stored.clear()

    def _evaluate(self, acts: list[int], split: bool) -> None:
        """Log 0 from nothing, and what that changes."""
        old, known = self._polity, self._waits_for_pin
        self._questions.fresh_layers = True
        fresh = Polity(self._ledger, self._book.whole, acts).evaluate()
        self._polity, self._split = fresh, split
        self._authority.follow(fresh)
        self._questions.need(fresh.anchors())
        self._questions.need(tip for layer in fresh.layers for tip in layer.tips)
        if old is None:
            return
        for n in self._book.among(range(len(self._book)), old.view):
            if old.verdict(n) != fresh.verdict(n) and not known:
                self._flipped[self._book.entries[n].id] = fresh.verdict(n)
        everybody = acts[: len(old.acts)] != old.acts
        for grant, given in self._book.given.items():
            if old.view >> grant & 1 and (everybody or old.bearing(grant) != fresh.bearing(grant)):
                self._questions.chains.add((given.device, 1))

    # --- verdicts --------------------------------------------------------------------------------

    def _of_log_0(self, n: int) -> Judgement:
        if self._polity is None or self._waits_for_pin:
            return pending("pin")
        return self._polity.verdict(n)

    def _verdict(
        self, candidate: Candidate, grant: int, view: View, past: Mapping[bytes, Standing]
    ) -> Judgement:
        if self._polity is None or self._waits_for_pin:
            self._log_1.counted = 0
            return pending("pin")
        return self._log_1.verdict(self._polity, candidate, grant, view, past)

    def _kind(self, version: int, name: str) -> Kind | None:
        table = self.tables.get(version)
        return table.kinds.get(name) if table else None

    def _standing(
        self, candidate: Candidate, grant: int, view: View, left: int, judgement: Judgement
    ) -> Standing:
        header = candidate.header
        return Standing(
            candidate.id,
            DeviceId(header.device),
            header.log,
            header.seq,
            header.lamport,
            header.time_ms,
            header.kind,
            own_document(candidate.id, header),
            self._book.entries[grant].id,
            view,
            left,
            judgement,
            self._log_1.counted if header.log else 0,
        )
