"""The envelope: what all nodes refuse alike, whatever else they hold. Nothing of it is stored.

Source: ARCHITECTURE §2, docs/protocol/README.md "Refusals".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from commons_crdt.authority.book import NOWHERE, Book, View
from commons_crdt.authority.budgets import Budgets
from commons_crdt.authority.facts import Genesis
from commons_crdt.authority.ledger import KindOf
from commons_crdt.authority.settings import Constitution
from commons_crdt.authority.standing import GENESIS, Candidate, Standing
from commons_crdt.errors import Refused
from commons_crdt.ids import ZERO, RealmId
from commons_crdt.kinds import Rules
from commons_crdt.roles import Role


@dataclass(slots=True)
class Envelope:
    """Checks against the book alone."""

    realm: RealmId
    book: Book
    budgets: Budgets
    tables: Mapping[int, Rules]
    kind_of: KindOf

    def genesis(self, candidate: Candidate) -> int:
        """What a genesis leaves of its budget; ``Refused`` if it is none of this realm."""
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
        return left

    def check(self, candidate: Candidate, past: dict[bytes, Standing]) -> tuple[int, int, View]:
        """Check how the operation is linked; its grant, what its budget leaves, its view."""
        header = candidate.header
        prev = past[header.prev]
        first = header.seq == 1
        grant = self.book.numbers.get(prev.id if first else prev.grant, NOWHERE)
        given = self.book.given.get(grant)
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
        numbers = self.book.numbers
        if header.authority and any(
            past[i].log or prev.view >> numbers[past[i].id] & 1 for i in header.authority
        ):
            raise Refused("authority")
        if header.lamport != 1 + max([s.lamport for s in past.values()]):
            raise Refused("lamport")
        if header.time_ms < prev.time_ms:
            raise Refused("time")
        view = 0
        for standing in past.values():
            view |= standing.view
        if view == prev.view:
            view = prev.view  # share one integer along a chain
        budgets = self.budgets
        if budgets.state(view).rules not in self.tables:
            raise Refused("rules")
        length = header.body_length + sum([part.length for part in header.parts])
        rate = budgets.rate(given.member, given.unattended, view)
        left = rate.after(None if first else prev.left, header.time_ms - prev.time_ms, length)
        if left is None:
            raise Refused("budget")
        if header.log == 0:
            self.tells(candidate, view)
        return grant, left, view

    def tells(self, candidate: Candidate, view: View) -> tuple[msgspec.Struct | None, str]:
        """What a log-0 operation gives to learn, and what is wrong with its form.

        ``Refused("contents")`` without the body: log 0 always travels with its bodies, save the
        ones that nobody reads.
        """
        header = candidate.header
        if header.kind == GENESIS and len(self.book) == 0:
            return candidate.body, ""
        kind = self.kind_of(self.budgets.state(view).rules, header.kind)
        if kind is None or kind.log:
            return None, "log" if kind else "kind"
        if any(part.length > kind.parts.get(part.name, 0) for part in header.parts):
            return None, "part"
        if header.body_length > kind.max_body:
            return None, "oversize"
        if not candidate.present:
            raise Refused("contents")
        return candidate.body, candidate.fault
