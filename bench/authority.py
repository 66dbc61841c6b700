"""`authority`: the judge alone, in memory: a community from nothing, one more act, a late removal.

Nothing is signed, stored or sent; admissions carry their two signatures. The floor is what reading
the same headers costs: canonical CBOR to a header, and its hash.
"""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass, field

import msgspec

from bench.town import Town, say
from commons_crdt.authority.endings import NOTHING, Ending
from commons_crdt.authority.facts import (
    Admit,
    Genesis,
    Identity,
    Invite,
    NodeGrant,
    Removal,
    RoleAct,
)
from commons_crdt.authority.judge import GENESIS, Candidate, Judge, Standing
from commons_crdt.authority.kinds import ADMIT, CORE, INVITE, NODE, REMOVAL, ROLE
from commons_crdt.device import DeviceSecrets, sign_claim
from commons_crdt.ids import ZERO, DeviceId, MemberId, OperationId, RealmId, digest
from commons_crdt.kinds import Kind, Rules, encode_fact
from commons_crdt.operation import (
    VERSION,
    Header,
    body_hash,
    decode_header,
    encode_header,
    operation_id,
    ordered,
)
from commons_crdt.roles import Role

NOTE = "bench.note.1"
_START_MS = 1_750_000_000_000
_AWARE = 20
"""A member cites what is new in log 0 with every so many notes."""
_BATCH = 256


class Number(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """The body of a note."""

    value: int


RULES = Rules.of(1, (*CORE, Kind(NOTE, Number, Role.NEWCOMER)))


def measure(town: Town) -> dict[str, object]:
    """``operations, devices, log_0, seconds, floor_seconds, ratio, note_ms, act_ms, …``."""
    size = town.size
    say(f"writing {size.judged} operations by {size.devices} devices")
    quarter = Quarter()
    quarter.people(size.devices)
    late = quarter.settle_in(size.judged)
    story = [(c, encode_header(c.header)) for c in quarter.story]
    began = time.perf_counter()
    for _, encoded in story:
        operation_id(encoded)
        decode_header(encoded)
    floor = time.perf_counter() - began
    say("judging them from nothing")
    fresh = Quarter(realm=quarter.realm, now_ms=quarter.now_ms)
    began = time.perf_counter()
    for at in range(0, len(story), _BATCH):
        for candidate, _ in story[at : at + _BATCH]:
            fresh.learn(candidate)
        fresh.heed()
    seconds = time.perf_counter() - began
    assert fresh.standings == quarter.standings, "another judge says the same"
    notes = [fresh.timed(fresh.note(n % size.devices)) for n in range(size.writes)]
    acts = [fresh.timed(fresh.role(n % size.devices)) for n in range(size.writes)]
    say("a removal arrives late")
    removal = fresh.removal(late)
    before = {i: s.judgement for i, s in fresh.standings.items()}
    removing = fresh.timed(removal)
    flipped = sum(before[i] != s.judgement for i, s in fresh.standings.items() if i in before)
    assert flipped >= 1_000, "the removal reaches back"
    log_0 = sum(c.header.log == 0 for c, _ in story)
    return {
        "operations": len(story),
        "devices": size.devices,
        "log_0": log_0,
        "seconds": round(seconds, 2),
        "floor_seconds": round(floor, 2),
        "ratio": round(seconds / floor, 2),
        "note_ms": round(1e3 * statistics.median(notes), 3),
        "act_ms": round(1e3 * statistics.median(acts), 3),
        "flipped": flipped,
        "removal_seconds": round(removing, 2),
    }


def device(name: str) -> DeviceSecrets:
    """A device called so."""
    label = name.encode()
    return DeviceSecrets(digest("b-sign", label), digest("b-seal", label))


@dataclass(slots=True)
class Quarter:
    """A judge with all that it has judged, and pens for everybody."""

    realm: RealmId = field(default_factory=lambda: RealmId(ZERO))
    now_ms: int = _START_MS
    standings: dict[OperationId, Standing] = field(default_factory=dict)
    candidates: dict[OperationId, Candidate] = field(default_factory=dict)
    tips: dict[tuple[DeviceId, int], Standing] = field(default_factory=dict)
    story: list[Candidate] = field(default_factory=list)
    members: list[DeviceSecrets] = field(default_factory=list)
    _judge: Judge | None = None

    @property
    def judge(self) -> Judge:
        """The judge of this realm."""
        if self._judge is None:
            self._judge = Judge(self.realm, RULES)
        return self._judge

    # --- writing ----------------------------------------------------------------------------------

    def draw(
        self,
        author: DeviceSecrets,
        kind: str,
        body: msgspec.Struct,
        log: int = 0,
        document: bytes = ZERO,
        *,
        aware: bool = True,
    ) -> Candidate:
        """What somebody writes next; not signed."""
        self.now_ms += 400
        own, content = author.keys.id, bytes(32) + encode_fact(body)
        authority = self.judge.authority
        prev = self.tips.get((own, log)) or self.standings[authority.devices[own].id]
        starts = prev.device != own or prev.log != log
        news = [self.standings[i] for i in authority.news(prev.view)] if aware else []
        header = Header(
            VERSION, self.realm, own, 1 if log else 0, 1 if starts else prev.seq + 1, prev.id,
            1 + max(s.lamport for s in (prev, *news)), self.now_ms, kind, document, (),
            ordered([s.id for s in news]), body_hash(content), len(content), (),
        )  # fmt: skip
        return Candidate(operation_id(encode_header(header)), header, body, present=True)

    def learn(self, candidate: Candidate) -> Standing:
        """Judge it."""
        standing = self.judge.judge(candidate, self.standings.get)
        assert isinstance(standing, Standing)
        self.standings[standing.id] = standing
        self.candidates[standing.id] = candidate
        self.tips[standing.device, standing.log] = standing
        return standing

    def write(self, candidate: Candidate) -> Standing:
        """Judge it and tell it later."""
        self.story.append(candidate)
        return self.learn(candidate)

    def heed(self) -> None:
        """Do what flips ask for, until nothing changes."""
        while flips := self.judge.flips():
            for ident, judgement in flips.operations.items():
                known = self.standings[ident]
                self.standings[ident] = msgspec.structs.replace(known, judgement=judgement)
            for anchor in flips.wanted:
                self.judge.anchor(anchor, (anchor.id,) if anchor.id in self.standings else None)
            chains = [s for s in self.standings.values() if (s.device, s.log) in flips.chains]
            for standing in sorted(chains, key=lambda s: s.seq):
                again = self.judge.rejudge(
                    self.candidates[standing.id], standing, self.standings.get
                )
                self.standings[standing.id] = again

    def timed(self, candidate: Candidate) -> float:
        """Seconds to judge one more operation and all that it changes."""
        began = time.perf_counter()
        self.learn(candidate)
        self.heed()
        return time.perf_counter() - began

    # --- a community ------------------------------------------------------------------------------

    def people(self, count: int) -> None:
        """Alice founds; her node lets everybody in, and she gives every other one a role."""
        alice, node = device("alice"), device("node")
        who = Identity(alice.keys, (), 0, ZERO)
        body = Genesis(
            who, 1, (("budget.newcomer.capacity", 10**6), ("budget.node.capacity", 10**6))
        )
        content = bytes(32) + encode_fact(body)
        header = Header(
            VERSION, ZERO, alice.keys.id, 0, 1, ZERO, 1, _START_MS, GENESIS, ZERO, (), (),
            body_hash(content), len(content), (),
        )  # fmt: skip
        self.realm = RealmId(operation_id(encode_header(header)))
        self.write(Candidate(OperationId(self.realm), header, body, present=True))
        consent = sign_claim("consent", node.signing, self.realm, who.member)
        grant = NodeGrant(node.keys, consent, ())
        self.write(self.draw(alice, NODE, grant, document=who.member))
        secret, invites = device("invite"), list[Standing]()
        terms = Invite(secret.keys.signing, 1000, 2**53 - 1)
        for n in range(count):
            if n % 500 == 0:
                invites.append(self.write(self.draw(alice, INVITE, terms)))
            self.admit(node, invites[-1], secret, n)
            if n % 2:
                self.write(self.role(n))

    def admit(self, node: DeviceSecrets, invite: Standing, secret: DeviceSecrets, n: int) -> None:
        """Let member n in."""
        newcomer = device(f"member {n}")
        who = Identity(newcomer.keys, (), 0, ZERO)
        signed = (self.realm, invite.id, who.member)
        fact = Admit(
            invite.id,
            who,
            sign_claim("possess", secret.signing, *signed),
            sign_claim("consent", newcomer.signing, *signed),
            (),
        )
        self.write(self.draw(node, ADMIT, fact, document=who.member))
        self.members.append(newcomer)

    def settle_in(self, total: int) -> int:
        """Everybody writes notes, one after the other; member 1 a thousand. Returns that one."""
        late, n = 1, 0
        for _ in range(1_000):
            self.write(self.note(late))
        while len(self.story) < total:
            turn, who = divmod(n, len(self.members))
            self.write(self.note(who, aware=(turn + who) % _AWARE == 0))
            n += 1
        self.heed()
        return late

    def note(self, who: int, *, aware: bool = True) -> Candidate:
        """Member number ``who`` notes something."""
        author = device(f"member {who}")
        return self.draw(author, NOTE, Number(1), log=1, aware=aware)

    def role(self, who: int) -> Candidate:
        """Alice makes somebody a member."""
        member = self.member(who)
        return self.draw(device("alice"), ROLE, RoleAct(member, 2), document=member)

    def removal(self, who: int) -> Candidate:
        """Alice removes somebody; nothing of theirs stands."""
        own = device(f"member {who}").keys.id
        ending = Ending(own, NOTHING, NOTHING)
        body = Removal(self.member(who), 0, (ending,), "other")
        return self.draw(device("alice"), REMOVAL, body, document=self.member(who))

    @staticmethod
    def member(who: int) -> MemberId:
        """Member number ``who``."""
        return Identity(device(f"member {who}").keys, (), 0, ZERO).member
