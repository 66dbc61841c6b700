"""The judge: one function that gives every operation its verdict, on every path.

Three outcomes: *refused* (the envelope breaks a rule that all nodes check alike; nothing is
stored), *missing* (an antecedent is not here yet), or a *standing* with its verdict. The outcome
depends on the set of operations and the pin, never on the order of arrival: what an operation
changes elsewhere is told by ``flips``.

Source: AUTHORITY.md, ARCHITECTURE §§2, 3, 5, docs/protocol/authority.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from commons_crdt.authority import records
from commons_crdt.authority.book import NOWHERE, Book, Entry, Given, View
from commons_crdt.authority.budgets import Budgets
from commons_crdt.authority.council import Council
from commons_crdt.authority.ends import Ends
from commons_crdt.authority.facts import Erasure, Genesis
from commons_crdt.authority.flips import Anchor, Chain, End, Flips
from commons_crdt.authority.records import Field, Records, Spot
from commons_crdt.authority.roles import Demoting
from commons_crdt.authority.settings import Constitution
from commons_crdt.authority.settled import Settled
from commons_crdt.authority.state import Authority
from commons_crdt.authority.strata import Facts, Polity
from commons_crdt.errors import Refused
from commons_crdt.ids import ZERO, DeviceId, DocumentId, OperationId, RealmId
from commons_crdt.kinds import Antecedent, Claim, Kind, Rules, own_document
from commons_crdt.operation import Header
from commons_crdt.roles import Role
from commons_crdt.verdict import ACCEPTED, Judgement, Verdict, contested, pending, rejected

GENESIS = "council.genesis.1"
ERASURE = "record.erasure.1"


@dataclass(frozen=True, slots=True)
class Candidate:
    """An operation whose signature and contents were checked, ready to be judged.

    ``body`` is the parsed fact (None for edits and absent bodies); ``fault`` is "" or
    "malformed" (a fact that is not of its type, an edit that is not one Automerge change).
    """

    id: OperationId
    header: Header
    body: msgspec.Struct | None
    present: bool
    fault: str = ""


class Standing(msgspec.Struct, frozen=True, gc=False):
    """A judged operation, as much of it as later ones need.

    ``view``: the log-0 operations in its past, itself included if it is one; ``left``: the
    milli-tokens that its chain has left; ``grant``: the operation that its chain starts from;
    ``role``: the author's that counts, 0 where none was asked for, and in log 0.
    """

    id: OperationId
    device: DeviceId
    log: int
    seq: int
    lamport: int
    time_ms: int
    kind: str
    document: DocumentId
    grant: OperationId
    view: View
    left: int
    judgement: Judgement
    role: int = 0


@dataclass(frozen=True, slots=True)
class Missing:
    """The operation cannot be judged before these are here."""

    ids: tuple[OperationId, ...]


Lookup = Callable[[OperationId], Standing | None]


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
        self.tables = {rules.version: rules} if isinstance(rules, Rules) else dict(rules)
        self.pin = pin
        self.forks: dict[Chain, int] = {}
        self._book = Book(realm)
        self._council = Council(self._book)
        self._facts = Facts(self._book, self._council, self._kind)
        self._records = Records()
        self._settled = Settled(self._records)
        self._asked: set[Anchor] = set()
        self._asked_closures: set[int] = set()
        self._awaiting_seal = False
        self._fresh_layers = False
        self._pended: set[Chain] = set()
        self._closures: dict[OperationId, tuple[Anchor, ...]] = {}
        self._ends = Ends(self._book, self._records)
        self._authority = Authority(realm, Budgets(self._book, self._council))
        self._authority.bits = self._book.numbers
        self._polity: Polity | None = None
        self._split = False
        self._stale = False
        self._stored: dict[int, Judgement] = {}
        self._erasing: dict[bytes, set[OperationId]] = {}
        self._named: dict[OperationId, set[Anchor]] = {}
        self._flipped: dict[OperationId, Judgement] = {}
        self._chains: set[Chain] = set()
        self._wanted: set[Anchor] = set()
        self._unerased: set[bytes] = set()
        self._counted = 0
        for (device, log), seq in (forks or {}).items():
            self.forked(device, log, seq)

    # --- what others ask -------------------------------------------------------------------------

    @property
    def authority(self) -> Authority:
        """What log 0 amounts to, by everything learned so far."""
        self._settle()
        return self._authority

    @property
    def erased(self) -> set[bytes]:
        """The facts and documents that an accepted erasure names."""
        return set(self._erasing)

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
        grant, left, view = self._envelope(candidate, past)
        self._arrive(candidate)
        if header.log == 0:
            entry = self._learn(candidate, grant, view)
            return self._standing(candidate, grant, view | entry.bit, left, self._of_log_0(entry.n))
        judgement = self._verdict(candidate, grant, view, past)
        self._learn_erasure(candidate, past, judgement)
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
        before = set(self._erasing)
        self._learn_erasure(candidate, past, judgement)
        self._unerased |= before ^ set(self._erasing)
        return msgspec.structs.replace(standing, judgement=judgement, role=self._counted)

    def restore(self, candidate: Candidate, standing: Standing) -> None:
        """Learn a stored log-0 operation again, in the order of storing.

        If it is judged otherwise than it was stored, ``flips`` tells.
        """
        past = standing.view & ~(1 << len(self._book))
        grant = self._book.numbers.get(standing.grant, NOWHERE)
        entry = self._add(candidate, grant, past, *self._tells(candidate, past))
        self._stored[entry.n] = standing.judgement
        self._stale = True

    def restore_erasure(self, target: Standing, by: OperationId | None = None) -> None:
        """Learn again what a stored, accepted erasure (``by``) names."""
        key = target.document if self._is_edit(target) else target.id
        self._erasing.setdefault(key, set()).add(by or target.id)

    def forked(self, device: DeviceId, log: int, seq: int) -> bool:
        """Learn that ``seq`` is doubled; True if that is news, and lower than what was known.

        Log 0 needs no telling; the judge sees its operations itself.
        """
        known = self.forks.get((device, log))
        if known is not None and known <= seq:
            return False
        self.forks[device, log] = seq
        if log:
            self._records.forks[device] = seq
            for anchor in self._records.doubted(device, seq):
                self._ask(anchor)
            for seal in self._settled.touching(device):
                self._settled.closures.pop(seal)
            self._chains.add((device, 1))
        return True

    def anchor(self, anchor: Anchor, ids: Sequence[OperationId] | None) -> None:
        """Answer what ``Flips.wanted`` asked; see ``Anchor``."""
        self._records.put(anchor, ids)
        self._asked.discard(anchor)
        if ids is not None:
            self._named.get(anchor.id, set()).discard(anchor)
            self._chains.add((anchor.device, 1))

    def closure(self, seal: OperationId, tops: Mapping[Anchor, Sequence[OperationId]]) -> None:
        """Answer what ``Flips.closures`` asked."""
        n = self._book.numbers[seal]
        self._asked_closures.discard(n)
        self._settled.put(n, tops)

    def flips(self) -> Flips:
        """What changed elsewhere since this was last asked."""
        self._settle()
        self._heed_seals()
        ends = self._ends.changed(self._polity) if self._polity else frozenset()
        told = Flips(
            dict(self._flipped),
            frozenset(self._chains),
            ends,
            frozenset(self._wanted),
            frozenset(self._unerased),
            dict(self._closures),
        )
        self._closures.clear()
        self._flipped.clear()
        self._chains.clear()
        self._wanted.clear()
        self._unerased.clear()
        return told

    def end(self, device: DeviceId, log: int) -> End:
        """Where a chain effectively ends."""
        self._settle()
        return self._ends.end(self._polity, (device, log)) if self._polity else End()

    def relays(self, standing: Standing) -> bool:
        """False for an operation beyond its chain's end that does not count by its bytes.

        It is neither passed on nor in ``set_hash``. Ask with the newest standing.
        """
        if standing.judgement.reason not in _BEYOND:
            return True
        n = self._book.numbers.get(standing.id)
        return n is not None and self._facts.certifies_itself(n)

    def is_erased(self, kind: Kind, identity: OperationId, document: DocumentId) -> bool:
        """True if an accepted erasure takes the body: of one fact, or of a document's edits."""
        return kind.erased == "body" and (document if kind.schema else identity) in self._erasing

    # --- learning --------------------------------------------------------------------------------

    def _genesis(self, candidate: Candidate) -> Standing:
        header, body = candidate.header, candidate.body
        if bytes(candidate.id) != bytes(self.realm):
            raise Refused("realm")
        alone = (
            header.realm == header.prev == header.document == ZERO
            and header.log == 0
            and header.seq == header.lamport == 1
            and not header.refs
            and not header.authority
            and not header.parts
        )
        if not alone or not isinstance(body, Genesis):
            raise Refused("genesis")
        keys = body.identity.device
        names = [name for name, _ in body.constitution]
        if keys.id != header.device or not keys.usable or names != sorted(set(names)):
            raise Refused("genesis")
        if body.rules not in self.tables:
            raise Refused("rules")
        rate = Constitution.of(body.constitution).rates[Role.COORDINATOR]
        left = rate.after(None, 0, header.body_length)
        if left is None:
            raise Refused("budget")
        entry = self._learn(candidate, NOWHERE, 0)
        return self._standing(candidate, 0, entry.bit, left, self._of_log_0(0))

    def _envelope(self, candidate: Candidate, past: dict[bytes, Standing]) -> tuple[int, int, View]:
        """Check how the operation is linked; its grant, what its budget leaves, its view."""
        header = candidate.header
        prev = past[header.prev]
        first = header.seq == 1
        grant = self._book.numbers.get(prev.id if first else prev.grant, NOWHERE)
        given = self._book.given.get(grant)
        if given is None or given.device != header.device:
            raise Refused("chain")
        if not first and (prev.device, prev.log, prev.seq) != (
            header.device,
            header.log,
            header.seq - 1,
        ):
            raise Refused("chain")
        if first and header.log == 0 and header.prev == self.realm:
            raise Refused("chain")  # the genesis itself is the founder's first
        if header.log == 0 and any(past[ref].log for ref in header.refs):
            raise Refused("log")
        numbers = self._book.numbers
        if any(past[i].log or prev.view >> numbers[past[i].id] & 1 for i in header.authority):
            raise Refused("authority")
        if header.lamport != 1 + max(s.lamport for s in past.values()):
            raise Refused("lamport")
        if header.time_ms < prev.time_ms:
            raise Refused("time")
        view = 0
        for standing in past.values():
            view |= standing.view
        if view == prev.view:
            view = prev.view  # share one integer along a chain
        budgets = self._authority.budgets
        if budgets.state(view).rules not in self.tables:
            raise Refused("rules")
        length = header.body_length + sum(part.length for part in header.parts)
        rate = budgets.rate(given.member, given.unattended, view)
        left = rate.after(None if first else prev.left, header.time_ms - prev.time_ms, length)
        if left is None:
            raise Refused("budget")
        if header.log == 0:
            self._tells(candidate, view)
        return grant, left, view

    def _tells(self, candidate: Candidate, view: View) -> tuple[msgspec.Struct | None, str]:
        """What a log-0 operation gives to learn, and what is wrong with its form.

        ``Refused("contents")`` without the body: log 0 always travels with its bodies, save the
        ones that nobody reads.
        """
        header = candidate.header
        if header.kind == GENESIS and len(self._book) == 0:
            return candidate.body, ""
        kind = self._kind(self._authority.budgets.state(view).rules, header.kind)
        if kind is None or kind.log:
            return None, "log" if kind else "kind"
        if any(part.length > kind.parts.get(part.name, 0) for part in header.parts):
            return None, "part"
        if header.body_length > kind.max_body:
            return None, "oversize"
        if not candidate.present:
            raise Refused("contents")
        return candidate.body, candidate.fault

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
        for one in self._facts.shown(entry.n):
            if one.log:
                self._records.shown[one.device].append(one)
            self.forked(one.device, one.log, one.seq)

    def _learn(self, candidate: Candidate, grant: int, past: View) -> Entry:
        waited = self._waits_for_pin
        entry = self._add(candidate, grant, past, *self._tells(candidate, past))
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
        self._chains |= {(given.device, 1) for given in self._book.given.values()}

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
        self._fresh_layers = True
        fresh = Polity(self._facts, self._book.whole, acts).evaluate()
        self._polity, self._split = fresh, split
        self._authority.follow(fresh)
        tips = [tip for layer in fresh.layers for tip in layer.tips]
        for anchor in (*fresh.anchors(), *tips):
            if not self._records.known(anchor):
                self._ask(anchor)
        if old is None:
            return
        for n in self._book.among(range(len(self._book)), old.view):
            if old.verdict(n) != fresh.verdict(n) and not known:
                self._flipped[self._book.entries[n].id] = fresh.verdict(n)
        everybody = acts[: len(old.acts)] != old.acts
        for grant, given in self._book.given.items():
            if old.view >> grant & 1 and (everybody or old.bearing(grant) != fresh.bearing(grant)):
                self._chains.add((given.device, 1))

    def _heed_seals(self) -> None:
        """Ask for closures, and flip what a seal settles otherwise, or makes wait."""
        polity = self._polity
        if polity is None or not (polity.layers or self._awaiting_seal):
            return
        for layer in polity.layers:
            unknown = layer.seal not in self._settled.closures and layer.tips
            asked = layer.seal in self._asked_closures
            if unknown and not asked and self._settled.ready(layer):
                self._asked_closures.add(layer.seal)
                self._closures[self._book.entries[layer.seal].id] = layer.tips
        tips = {tip for layer in polity.layers for tip in layer.tips}
        if self._asked_closures or tips & self._asked:
            return  # the answers decide
        waiting = not all(self._settled.complete(layer) for layer in polity.layers)
        tops = self._settled.highest(polity.layers)
        self._chains |= {(device, 1) for device in self._records.set_tops(tops)}
        if waiting != self._awaiting_seal:
            self._awaiting_seal = waiting
            self._chains |= {(given.device, 1) for given in self._book.given.values()}
        elif not waiting:
            self._chains |= self._pended
            if self._fresh_layers:
                self._chains |= self._unlike(polity)
        if not waiting:
            self._pended.clear()
            self._fresh_layers = False

    def _unlike(self, polity: Polity) -> set[Chain]:
        """The chains of which a seal may say otherwise than the whole set does."""
        found = {(device, 1) for device in self._records.forks}
        for layer in polity.layers:
            for grant, given in self._book.given.items():
                if layer.own >> grant & 1 and (
                    layer.polity.bearing(grant) != polity.bearing(grant)
                ):
                    found.add((given.device, 1))
        return found

    def _ask(self, anchor: Anchor) -> None:
        if anchor.id in self._book.numbers:
            self._records.put(anchor, ())  # an operation of log 0
            return
        self._records.put(anchor, None)
        self._named.setdefault(anchor.id, set()).add(anchor)
        self._wanted.add(anchor)
        self._asked.add(anchor)

    def _arrive(self, candidate: Candidate) -> None:
        """Answer what asked for an operation that is here now."""
        header = candidate.header
        for anchor in self._named.pop(candidate.id, ()):
            self._wanted.discard(anchor)
            self._asked.discard(anchor)
            fork = self._records.forks.get(anchor.device, header.seq + 1)
            if (header.device, header.log, header.seq) != (anchor.device, 1, anchor.seq):
                self._records.put(anchor, ())
            elif fork > header.seq:
                self._records.put(anchor, (candidate.id,))
            else:
                self._ask(anchor)
            self._chains.add((anchor.device, 1))

    # --- verdicts --------------------------------------------------------------------------------

    def _of_log_0(self, n: int) -> Judgement:
        if self._polity is None or self._waits_for_pin:
            return pending("pin")
        return self._polity.verdict(n)

    def _verdict(
        self, candidate: Candidate, grant: int, view: View, past: Mapping[bytes, Standing]
    ) -> Judgement:
        """The verdict of an operation of log 1, in the order of the page."""
        polity = self._polity
        self._counted = 0
        if polity is None or self._waits_for_pin:
            return pending("pin")
        spot = self._spot(candidate, past)
        if self._records.note(spot):
            self._chains.add((spot.device, 1))
        layers, waiting = polity.layers, False
        for i, layer in enumerate(layers):
            waiting = waiting or not self._settled.complete(layer)
            if not waiting and self._settled.holds(layer, spot, view):
                field = self._settled.field_of(layers[: i + 1])
                return self._in_polity(layer.polity, field, candidate, spot, grant, view, past)
        if waiting:
            self._pended.add((spot.device, 1))
            return pending("seal")
        return self._in_polity(polity, self._records, candidate, spot, grant, view, past)

    def _in_polity(
        self,
        polity: Polity,
        field: Field,
        candidate: Candidate,
        spot: Spot,
        grant: int,
        view: View,
        past: Mapping[bytes, Standing],
    ) -> Judgement:
        header, given = candidate.header, self._book.given[grant]
        rulings = polity.strata.identities.rulings(grant)
        place = records.place(field, spot, rulings, polity.record_closings(given.device))
        if place:
            return _PLACES[place]
        wrong = polity.granted(grant)
        if wrong is not None:
            return wrong
        kind = self._kind(polity.state_in(view).rules, header.kind)
        if kind is None:
            return Judgement(Verdict.UNKNOWN, "unlisted")
        if kind.log != header.log:
            return rejected("log")
        if not _within(given, header):
            return rejected("limit")
        role = self._role(polity, field, spot, given, view)
        self._counted = role or 0
        if kind.unattended not in (None, given.unattended) or role is None or role < kind.role:
            return rejected("role")
        return self._own_rule(candidate, kind, given, role, view, past)

    def _spot(self, candidate: Candidate, past: Mapping[bytes, Standing]) -> Spot:
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
        past: Mapping[bytes, Standing],
    ) -> Judgement:
        header = candidate.header
        if any(part.length > kind.parts.get(part.name, 0) for part in header.parts):
            return rejected("part")
        document = own_document(candidate.id, header)
        if self.is_erased(kind, candidate.id, document):
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
            candidate.id, header, candidate.body, given.member, role, view, self._authority, refs
        )
        reason = kind.rule(claim)
        return rejected(reason) if reason else ACCEPTED

    def _antecedent(self, standing: Standing) -> Antecedent:
        given = self._book.given.get(self._book.numbers[standing.grant])
        return Antecedent(
            standing.id,
            standing.kind,
            given.member if given else None,
            standing.document,
            standing.log,
            self._is_edit(standing),
        )

    def _is_edit(self, standing: Standing) -> bool:
        kind = self._kind(self._authority.budgets.state(standing.view).rules, standing.kind)
        return kind is not None and kind.schema is not None

    def _kind(self, version: int, name: str) -> Kind | None:
        table = self.tables.get(version)
        return table.kinds.get(name) if table else None

    def _learn_erasure(
        self, candidate: Candidate, past: Mapping[bytes, Standing], judgement: Judgement
    ) -> None:
        if not isinstance(candidate.body, Erasure):
            return
        target = past.get(candidate.body.target)
        if target is None:
            return
        if judgement.verdict is Verdict.ACCEPTED:
            self.restore_erasure(target, candidate.id)
            return
        key = target.document if self._is_edit(target) else target.id
        by = self._erasing.get(key, set())
        by.discard(candidate.id)
        if not by:
            self._erasing.pop(key, None)

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
            self._counted if header.log else 0,
        )


def _within(given: Given, header: Header) -> bool:
    """True if a limited device may write this in log 1."""
    limit = given.limit
    return limit is None or (
        header.kind in limit.kinds
        and header.seq <= limit.operations
        and header.time_ms <= limit.until_ms
    )


_PLACES = {
    "fork": contested("fork"),
    "cut": rejected("cut"),
    "closed": rejected("closed"),
    "pending": pending("cut"),
}
_BEYOND: Iterable[str] = frozenset({"fork", "cut", "closed"})
