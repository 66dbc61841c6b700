"""Why an operation has its verdict: the operations of log 0 that decided, each with what it did.

Explains, and decides nothing: it asks the strata what they rested on. What an operation's own
contents decided (its form, its size, its signatures) has no cause but itself.

Source: AUTHORITY.md "Reasons", docs/protocol/authority.md "The verdict".
"""

from __future__ import annotations

from collections.abc import Iterator

from commons_crdt.authority.book import NOWHERE, Entry
from commons_crdt.authority.causes import Cause, Part, Record
from commons_crdt.authority.council_facts import Ballot, CouncilAct, Endorse, Promise
from commons_crdt.authority.cuts import Ruling
from commons_crdt.authority.facts import Admit, Branch, Removal, Revocation
from commons_crdt.authority.flips import Anchor
from commons_crdt.authority.identity import Identities
from commons_crdt.authority.identity_facts import (
    AddDevice,
    Pick,
    Readmit,
    Recover,
    SetGuardians,
)
from commons_crdt.authority.records import upto
from commons_crdt.authority.roles import Demoting
from commons_crdt.authority.seals import seal_of
from commons_crdt.authority.strata import Polity
from commons_crdt.ids import DeviceId, MemberId, OperationId
from commons_crdt.roles import Role
from commons_crdt.verdict import Judgement

_DEEP = 8
"""How far grants are followed that rest on grants."""


class Explainer:
    """Explains verdicts of one polity."""

    def __init__(self, polity: Polity) -> None:
        """Of a seal's layer for what that settles."""
        self._polity = polity
        self._book = polity.book

    # --- log 0 -----------------------------------------------------------------------------------

    def of_log_0(self, n: int, deep: int = _DEEP) -> Iterator[Cause]:
        """The causes of the verdict of one operation of log 0, the nearest first."""
        for layer in self._polity.layers:
            if layer.view >> n & 1:
                yield from Explainer(layer.polity).of_log_0(n, deep)
                yield self._cause("seal", layer.seal)
                return
        polity, entry = self._polity, self._book.entries[n]
        reason = polity.verdict(n).reason
        match reason:
            case "fork":
                yield from self._siblings(entry)
            case "cut":
                yield from self._cut_in_log_0(entry)
            case "closed":
                stage = polity.b if polity.is_of_c(n) else polity.strata.identities
                yield from (self._cause("closing", one) for one in stage.closings(entry.device))
            case "grant":
                yield from self._of_grant(entry.grant, deep)
            case "identity" | "base" | "warrant":
                yield from self._of_identity(entry)
            case "council" | "ballot":
                yield from self._of_message(entry)
            case "tip":
                yield from self._of_seal(entry)
            case "kind":
                yield self._rules(entry.past)
            case "role":
                yield from self._of_role_in_log_0(entry)
            case "subject":
                yield from self._of_subject(entry)
            case "limit":
                yield self._cause("grant", entry.grant)
            case "invite" | "expired" | "spent":
                yield from self._of_invite(entry, reason)
            case "removed" | "revoked":
                yield from self._of_taking(entry)
            case "" if n:
                yield self._cause("grant", entry.grant)
            case _:
                pass

    def _cause(self, part: Part, n: int) -> Cause:
        return Cause(part, self._book.entries[n].id)

    def _siblings(self, entry: Entry) -> Iterator[Cause]:
        """What doubles the lowest place of a log 0, and its proofs; or the seal that chose."""
        ground, device = self._polity.ground, entry.device
        tip = ground.tips.get(device)
        if tip is not None and not self._book.leads(tip, entry.n):
            listing = [one.seal for one in self._polity.layers if one.own >> tip & 1]
            yield from (self._cause("seal", n) for n in listing[:1])
            yield self._cause("sibling", tip)
            return
        fork = ground.fork(device)
        if fork is None:
            return
        for n in self._book.places.get((device, fork), ()):
            yield self._cause("sibling", n)
        for n in self._book.proofs:
            shown = [o for o in self._polity.ledger.shown(n) if o.log == 0]
            if any((one.device, one.seq) == (device, fork) for one in shown):
                yield from (Cause("sibling", one.id) for one in shown)
                yield self._cause("proof", n)

    def _cut_in_log_0(self, entry: Entry) -> Iterator[Cause]:
        polity, book = self._polity, self._book
        stage = polity.b if polity.is_of_c(entry.n) else polity.strata.identities
        rulings = stage.rulings(entry.grant)
        fork = polity.ground.fork(entry.device)
        doubled = fork is not None and entry.seq >= fork
        acts = [
            ruling.act
            for ruling in rulings
            if ruling.authority == NOWHERE
            or not book.leads(entry.n, ruling.authority)
            or (doubled and not ruling.names)
        ]
        root = self._identity_of(entry)
        if root != NOWHERE:
            covering = polity.strata.identities.cuts.covering(root)
            acts += [c.act for c in covering if not book.entries[c.act].past >> entry.n & 1]
        yield from self._cuts(acts or [ruling.act for ruling in rulings], entry.member)

    def _cuts(self, acts: list[int], member: MemberId | None) -> Iterator[Cause]:
        for act in dict.fromkeys(acts):
            yield self._cause(self._word(act, member), act)

    def _word(self, act: int, member: MemberId | None) -> Part:
        body = self._book.entries[act].body
        match body:
            case Removal(until_ms=until):
                return "suspension" if until else "removal"
            case Revocation():
                return "revocation"
            case Recover():
                return "recovery"
            case Branch():
                return "branch"
        dismissed = getattr(getattr(body, "act", None), "dismissals", ())
        role = next((one.role for one in dismissed if one.member == member), 0)
        return "branch" if role == Role.COORDINATOR else "dismissal"

    # --- grants and identities -------------------------------------------------------------------

    def _of_grant(self, grant: int, deep: int) -> Iterator[Cause]:
        """The grant that does not stand, or the admission behind it, and why that is so."""
        polity, given = self._polity, self._book.given.get(grant)
        if given is None or given.root == NOWHERE:
            yield self._cause("grant", grant)
            return
        broken = grant if polity.verdict(grant).reason else given.root
        yield self._cause("grant" if broken == grant else "root", broken)
        if deep and polity.verdict(broken).reason:
            yield from self.of_log_0(broken, deep - 1)

    def _identity_of(self, entry: Entry) -> int:
        """The root of the identity that an act is about, or ``NOWHERE``."""
        body = entry.body
        if not isinstance(body, AddDevice | Recover | SetGuardians | Pick):
            return NOWHERE
        base = self._book.number(body.base, entry.past)
        return self._book.root_of(base) if base != NOWHERE else NOWHERE

    def _of_identity(self, entry: Entry) -> Iterator[Cause]:
        """What came first at an act's base, what contradicts it, or the base itself."""
        root = self._identity_of(entry)
        body = entry.body
        if root == NOWHERE or not isinstance(body, AddDevice | Recover | SetGuardians | Pick):
            yield self._cause("grant", entry.grant)
            return
        identities: Identities = self._polity.strata.identities
        chain = identities.chain(root)
        base = self._book.number(body.base, entry.past)
        found = False
        if self._polity.verdict(entry.n).reason != "warrant":
            for one in chain.first.get(base, ()):
                if one != entry.n:
                    found = True
                    yield self._cause("chosen" if one in chain.bases else "rival", one)
        if not found:
            yield self._cause("base" if chain.at(base) else "chosen", chain.newest.base)

    # --- the council -----------------------------------------------------------------------------

    def _of_message(self, entry: Entry) -> Iterator[Cause]:
        """What its author had said before, or what it names that does not count."""
        council, book, body = self._polity.council, self._book, entry.body
        message = council.messages.get(entry.n)
        if message is None or not isinstance(body, CouncilAct | Promise | Ballot | Endorse):
            yield self._cause("council", self._polity.acts[-1])
            return
        if self._polity.verdict(entry.n).reason == "council":
            yield self._cause("chosen", self._polity.acts[-1])
            return
        before = [
            n
            for n, other in council.messages.items()
            if n != entry.n
            and entry.line >> n & 1
            and other.base == message.base
            and (
                other.rank > message.rank
                or (other.rank == message.rank and other.act not in (NOWHERE, message.act))
            )
        ]
        yield from (self._cause("earlier", n) for n in before[-2:])
        if isinstance(body, Endorse):
            named = book.number(body.ballot, entry.past)
            if not council.messages[named].counts:
                yield self._cause("ballot", named)
        yield self._cause("council", message.base)

    def _of_seal(self, entry: Entry) -> Iterator[Cause]:
        """The cuts beyond which a seal lists something."""
        seal = seal_of(self._book, entry.n)
        acts: list[int] = []
        for tip in seal.tips if seal else ():
            for grant in self._book.among(self._book.grants.get(DeviceId(tip.device), ()),
                                          entry.past):  # fmt: skip
                rulings = self._polity.strata.identities.rulings(grant)
                acts += [r.act for r in rulings if entry.past >> r.act & 1]
        yield from self._cuts(acts, None)

    def _rules(self, view: int) -> Cause:
        """The act that brought the rules version of a view."""
        polity = self._polity
        at = polity.states.index(polity.state_in(view))
        version = polity.states[at].rules
        while at and polity.states[at - 1].rules == version:
            at -= 1
        return self._cause("rules", polity.acts[at])

    # --- roles -----------------------------------------------------------------------------------

    def _of_role_in_log_0(self, entry: Entry) -> Iterator[Cause]:
        polity = self._polity
        if polity.is_of_c(entry.n):
            yield self._cause("council", polity.state_in(entry.past).base)
        yield from self._of_role(
            entry.member, entry.past, entry.grant,
            [d for d in self._demotions(entry.member) if polity.beyond_in_log_0(entry, d)],
        )  # fmt: skip

    def _demotions(self, member: MemberId | None) -> list[Demoting]:
        return list(self._polity.demotions.get(member, ())) if member else []

    def _of_role(
        self, member: MemberId | None, view: int, grant: int, lowering: list[Demoting]
    ) -> Iterator[Cause]:
        """What makes the author's role in a view what it is."""
        polity = self._polity
        made = polity.seatings(member) if member else []
        for demoting in lowering:
            if member and not polity.role_acts.later(member, demoting.act, view, made):
                yield self._cause("demotion", demoting.act)
        gave = (
            [n for n, _ in polity.role_acts.acts.get(member, ()) if view >> n & 1] if member else []
        )
        told = {demoting.act for demoting in lowering}
        replaced = 0
        for n in sorted(gave, reverse=True):
            if not replaced >> n & 1 and n not in told:
                yield self._cause("role", n)
            replaced |= self._book.entries[n].past
        given = self._book.given[grant]
        if given.root not in (NOWHERE, grant):
            yield self._cause("grant", grant)
        yield self._cause("root", given.root if given.root != NOWHERE else grant)

    def _of_subject(self, entry: Entry) -> Iterator[Cause]:
        """The act that made the subject a coordinator."""
        body = entry.body
        subject = getattr(body, "member", None)
        if isinstance(body, Revocation):
            target = self._book.number(body.target, entry.past)
            subject = self._book.entries[target].member if target != NOWHERE else None
        if subject is None:
            return
        for state in (self._polity.state_in(entry.past), self._polity.newest):
            made = state.made_by(MemberId(subject))
            if made != NOWHERE:
                yield self._cause("seat", made)
                return

    # --- admissions ------------------------------------------------------------------------------

    def _of_invite(self, entry: Entry, reason: str) -> Iterator[Cause]:
        body = entry.body
        n = self._book.number(body.invite, entry.past) if isinstance(body, Admit) else NOWHERE
        if n == NOWHERE:
            return
        yield self._cause("invite", n)
        if reason == "spent":
            for one in self._book.among(self._book.admissions.get(n, ()), entry.past):
                yield self._cause("admission", one)

    def _of_taking(self, entry: Entry) -> Iterator[Cause]:
        """The removals, or the revocation of the invite, that an admission runs against."""
        body, strata = entry.body, self._polity.strata
        if isinstance(body, Readmit):
            member = MemberId(body.member)
            yield from self._cuts([cut.act for cut in strata.cuts.on_member(member)], member)
        if isinstance(body, Admit):
            n = self._book.number(body.invite, entry.past)
            invite = self._book.entries[n]
            acts = [cut.act for cut in strata.cuts.covering(invite.root)]
            acts += strata.revoked.get(n, ())
            lacking = [act for act in acts if not self._book.entries[act].past >> entry.n & 1]
            yield from self._cuts(lacking, invite.member)

    # --- log 1 -----------------------------------------------------------------------------------

    def of_record(self, record: Record, judgement: Judgement) -> Iterator[Cause]:
        """The causes of the verdict of one operation of log 1.

        Of a fork only the proofs are known here; the siblings are where the operations are kept.
        """
        polity, spot = self._polity, record.spot
        rulings = polity.strata.identities.rulings(record.grant)
        member = self._book.given[record.grant].member
        match judgement.reason:
            case "fork":
                top = record.log.top(spot.device)
                if top is not None and not record.log.descends(spot):
                    tip = Anchor(spot.device, top.seq, OperationId(top.id))
                    yield from self._settled_otherwise(tip)
                    return
                fork = record.log.fork(spot.device)
                for n in self._book.proofs:
                    shown = [o for o in polity.ledger.shown(n) if o.log == 1]
                    if any((one.device, one.seq) == (spot.device, fork) for one in shown):
                        yield from (Cause("sibling", one.id) for one in shown)
                        yield self._cause("proof", n)
            case "cut":
                yield from self._cut_in_log_1(record, rulings, member)
            case "closed":
                closings = polity.strata.identities.closings(spot.device)
                yield from (self._cause("closing", n) for n in closings)
            case "grant":
                yield from self._of_grant(record.grant, _DEEP)
            case "unlisted":
                yield self._rules(record.view)
            case "limit":
                yield self._cause("grant", record.grant)
            case "role":
                lowering = [
                    d
                    for d in self._demotions(member)
                    if (end := d.endings.get(spot.device)) is None
                    or upto(record.log, spot, end.record) is False
                ]
                yield from self._of_role(member, record.view, record.grant, lowering)
            case "":
                yield self._cause("grant", record.grant)
            case _:
                pass

    def _settled_otherwise(self, tip: Anchor) -> Iterator[Cause]:
        """The seal that lists another branch of a forked log 1, and its tip."""
        listing = [layer.seal for layer in self._polity.layers if tip in layer.tips]
        yield from (self._cause("seal", n) for n in listing[:1])
        yield Cause("sibling", tip.id)

    def _cut_in_log_1(
        self, record: Record, rulings: tuple[Ruling, ...], member: MemberId | None
    ) -> Iterator[Cause]:
        """What ends the chain before this operation; or whose position is not here to compare."""
        spot, log = record.spot, record.log
        fork = log.fork(spot.device)
        doubled = fork is not None and spot.seq >= fork
        where = {ruling: upto(log, spot, ruling.record) for ruling in rulings}
        acts = [r.act for r in rulings if where[r] is False or (doubled and not r.names)]
        unsure = [] if acts else [ruling for ruling in rulings if where[ruling] is None]
        yield from self._cuts(acts or [ruling.act for ruling in unsure], member)
        yield from (Cause("missing", OperationId(r.record.id)) for r in unsure)
        if acts or unsure:
            return
        for closing in self._polity.strata.identities.closings(spot.device):
            position = self._polity.ground.closed_record(closing)
            if upto(log, spot, position) is None:
                yield self._cause("closing", closing)
                yield Cause("missing", OperationId(position.id))
