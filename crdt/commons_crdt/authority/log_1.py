"""The verdict of an operation of log 1: by its place, its grant, its role, its kind's own rule.

Source: docs/protocol/authority.md "The verdict".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from commons_crdt.authority import records
from commons_crdt.authority.book import Book, Given, View
from commons_crdt.authority.causes import Cause, Record
from commons_crdt.authority.erasures import Erasures
from commons_crdt.authority.explaining import Explainer
from commons_crdt.authority.ledger import KindOf
from commons_crdt.authority.questions import Questions
from commons_crdt.authority.records import Field, Records, Spot
from commons_crdt.authority.roles import Demoting
from commons_crdt.authority.settled import Settled
from commons_crdt.authority.standing import Candidate, Standing
from commons_crdt.authority.state import Authority
from commons_crdt.authority.strata import Polity
from commons_crdt.ids import DeviceId, OperationId
from commons_crdt.kinds import Antecedent, Claim, Kind, own_document
from commons_crdt.operation import Header
from commons_crdt.roles import Role
from commons_crdt.verdict import ACCEPTED, Judgement, Verdict, contested, pending, rejected

Past = Mapping[bytes, Standing]
"""The standings of what an operation names as its past."""


@dataclass(slots=True)
class LogOne:
    """Judges log 1 under a polity. ``counted`` is the role that the last verdict went by, or 0."""

    book: Book
    kind_of: KindOf
    records: Records
    settled: Settled
    questions: Questions
    erasures: Erasures
    authority: Authority
    counted: int = 0

    def verdict(
        self, polity: Polity, candidate: Candidate, grant: int, view: View, past: Past
    ) -> Judgement:
        """The verdict of an operation of log 1, in the order of the page."""
        self.counted = 0
        spot = self._spot(candidate, past)
        if self.records.note(spot):
            self.questions.chains.add((spot.device, 1))
        layers, waiting = polity.layers, False
        for i, layer in enumerate(layers):
            waiting = waiting or not self.settled.complete(layer)
            if not waiting and self.settled.holds(layer, spot, view):
                field = self.settled.field_of(layers[: i + 1])
                return self._in_polity(layer.polity, field, candidate, spot, grant, view, past)
        if waiting:
            self.questions.pend((spot.device, 1))
            return pending("seal")
        return self._in_polity(polity, self.records, candidate, spot, grant, view, past)

    def unmoved(self, polity: Polity, standing: Standing) -> bool:
        """True if place, grant and role are what they were when a role was asked for."""
        if not standing.role or polity.layers or standing.device in self.records.forks:
            return False
        grant = self.book.numbers[standing.grant]
        given = self.book.given[grant]
        spot = Spot(standing.device, standing.seq, standing.id, standing.id, False)
        rulings = polity.strata.identities.rulings(grant)
        closings = polity.record_closings(given.device)
        if records.place(self.records, spot, rulings, closings) or polity.granted(grant):
            return False
        return self._role(polity, self.records, spot, given, standing.view) == standing.role

    def causes(
        self, polity: Polity, candidate: Candidate, standing: Standing, past: Past
    ) -> Iterator[Cause]:
        """What decided the verdict that a stored operation has."""
        spot, grant = self._spot(candidate, past), self.book.numbers[standing.grant]
        entries = self.book.entries
        for i, layer in enumerate(polity.layers):
            if not self.settled.complete(layer):
                yield Cause("seal", entries[layer.seal].id)
                gone = [tip for tip in layer.tips if not self.records.answers.get(tip)]
                yield from (Cause("missing", tip.id) for tip in gone)
                return
            if self.settled.holds(layer, spot, standing.view):
                field = self.settled.field_of(polity.layers[: i + 1])
                record = Record(spot, field, grant, standing.view)
                yield from Explainer(layer.polity).of_record(record, standing.judgement)
                yield Cause("seal", entries[layer.seal].id)
                return
        record = Record(spot, self.records, grant, standing.view)
        yield from Explainer(polity).of_record(record, standing.judgement)

    def _in_polity(
        self,
        polity: Polity,
        field: Field,
        candidate: Candidate,
        spot: Spot,
        grant: int,
        view: View,
        past: Past,
    ) -> Judgement:
        header, given = candidate.header, self.book.given[grant]
        rulings = polity.strata.identities.rulings(grant)
        place = records.place(field, spot, rulings, polity.record_closings(given.device))
        if place:
            return _PLACES[place]
        wrong = polity.granted(grant)
        if wrong is not None:
            return wrong
        kind = self.kind_of(polity.state_in(view).rules, header.kind)
        if kind is None:
            return Judgement(Verdict.UNKNOWN, "unlisted")
        if kind.log != header.log:
            return rejected("log")
        if not _within(given, header):
            return rejected("limit")
        role = self._role(polity, field, spot, given, view)
        self.counted = role or 0
        if kind.unattended not in (None, given.unattended) or role is None or role < kind.role:
            return rejected("role")
        return self._own_rule(candidate, kind, given, role, view, past)

    def _spot(self, candidate: Candidate, past: Past) -> Spot:
        header = candidate.header
        prev = past.get(header.prev)
        forked = prev is not None and prev.log == 1 and prev.judgement == _PLACES["fork"]
        return Spot(
            DeviceId(header.device), header.seq, candidate.id, OperationId(header.prev), forked
        )

    def _role(
        self, polity: Polity, field: Field, spot: Spot, given: Given, view: View
    ) -> Role | None:
        if given.member is None:
            return None

        def lies_beyond(demoting: Demoting) -> bool:
            ending = demoting.endings.get(spot.device)
            return ending is None or records.beyond(field, spot, ending.record)

        role = polity.base_role(given.member, view)
        return polity.lowered(role, given.member, view, lies_beyond)

    def _own_rule(
        self,
        candidate: Candidate,
        kind: Kind,
        given: Given,
        role: Role,
        view: View,
        past: Past,
    ) -> Judgement:
        header = candidate.header
        if header.parts and any(p.length > kind.parts.get(p.name, 0) for p in header.parts):
            return rejected("part")
        document = own_document(candidate.id, header)
        if self.erasures.takes_body(kind, candidate.id, document):
            return ACCEPTED  # by its header alone: the bytes may be gone elsewhere
        if header.body_length > kind.max_body:
            return rejected("oversize")
        if not candidate.present:
            return pending("contents")
        if candidate.fault:
            return rejected(candidate.fault)
        if given.member is None:
            return rejected("grant")
        refs = {i: self._antecedent(past[i]) for i in header.refs}
        claim = Claim(
            candidate.id, header, candidate.body, given.member, role, view, self.authority, refs
        )
        reason = kind.rule(claim)
        return rejected(reason) if reason else ACCEPTED

    def _antecedent(self, standing: Standing) -> Antecedent:
        given = self.book.given.get(self.book.numbers[standing.grant])
        return Antecedent(
            standing.id,
            standing.kind,
            given.member if given else None,
            standing.document,
            standing.log,
            self.erasures.is_edit(standing),
        )


def _within(given: Given, header: Header) -> bool:
    """True if a limited device may write this in log 1."""
    limit = given.limit
    return limit is None or (
        header.kind in limit.kinds
        and header.seq <= limit.operations
        and header.time_ms <= limit.until_ms
    )


BEYOND = frozenset({"fork", "cut", "closed"})
"""Reasons of what lies beyond the end of its chain."""
_PLACES = {
    "fork": contested("fork"),
    "cut": rejected("cut"),
    "closed": rejected("closed"),
    "pending": pending("cut"),
}
