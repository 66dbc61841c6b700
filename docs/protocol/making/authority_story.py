"""The story of `vectors/authority.json`: a council, cuts, forks, identities, a seal.

Told in an order that a node may hear; whoever hears it in
another one ends with the same verdicts.
"""

from __future__ import annotations

from typing import Any

from commons_crdt.author import Draft, found
from commons_crdt.authority.council_facts import (
    Ballot,
    Coordinators,
    CouncilAct,
    CouncilContent,
    Endorse,
    Lift,
    Promise,
    Seal,
    Settings,
    Tip,
)
from commons_crdt.authority.endings import NOTHING, Ending, Position
from commons_crdt.authority.facts import (
    Admit,
    Branch,
    Demotion,
    Genesis,
    Identity,
    NodeGrant,
    Removal,
    Revocation,
)
from commons_crdt.authority.identity_facts import (
    AddDevice,
    Close,
    ForkProof,
    GuardianEndorsement,
    Guardians,
    Limit,
    NewDevice,
    Own,
    Pick,
    Readmit,
    Recover,
    Recovery,
    SetGuardians,
)
from commons_crdt.authority.judge import Judge
from commons_crdt.authority.kinds import ADMIT, BRANCH, DEMOTION, NODE, REMOVAL, REVOCATION
from commons_crdt.authority.kinds_council import ACT, BALLOT, ENDORSE, PROMISE
from commons_crdt.authority.kinds_identity import (
    CLOSE,
    DEVICE,
    GUARDIAN,
    GUARDIANS,
    PICK,
    PROOF,
    READMIT,
    RECOVER,
)
from commons_crdt.authority.warrants import recovery_hash, stated, statement
from commons_crdt.device import DeviceSecrets, sign_claim
from commons_crdt.ids import ZERO, DocumentId, MemberId, OperationId, digest
from commons_crdt.roles import Role
from making.names import RULES, START_MS, secrets
from making.town import Town, invitation, note, role_act


def recovery_seed(name: str) -> bytes:
    """The seed of somebody's recovery key."""
    return digest("v-rescue", name.encode())


def who(name: str) -> Identity:
    """Everybody here has a recovery key."""
    seed = recovery_seed(name)
    key = DeviceSecrets(seed, seed).keys.signing
    return Identity(secrets(name).keys, (), 0, recovery_hash(key))


class Story:
    """A town with a council; the newest base is kept."""

    def __init__(self) -> None:
        """Alice founds."""
        settings = (("budget.newcomer.capacity", 1000), ("timezone", "Europe/Lisbon"))
        body = Genesis(who("alice"), 1, settings)
        realm, operation = found(
            body, secrets("alice"), START_MS, lambda: digest("v-salt", b"authority")
        )
        self.town = Town(realm, Judge(realm, RULES))
        self.base = self.town.tell("genesis", operation)
        self.roots = {"alice": self.base}

    # --- small acts -------------------------------------------------------------------------------

    def member(self, name: str) -> MemberId:
        """A member's id."""
        return who(name).member

    def act(self, name: str, device: str, kind: str, body: Any, about: str = "") -> OperationId:
        """Write an operation of log 0, about a member if there is one."""
        document = DocumentId(self.member(about)) if about else None
        return self.town.write(name, device, Draft.fact(kind, body, log=0, document=document))

    def node(self, name: str, owner: str, device: str) -> OperationId:
        """A member grants a node."""
        body = NodeGrant(secrets(device).keys, self.consent(device, owner), ())
        return self.act(name, owner, NODE, body, owner)

    def note(self, name: str, device: str, after: OperationId | None = None) -> OperationId:
        """Write a note."""
        return self.town.write(name, device, note(), after)

    def at(self, ident: OperationId) -> Position:
        """An operation as a position."""
        return Position(self.town.standings[ident].seq, ident)

    def ending(
        self, device: str, authority: OperationId | None = None, record: OperationId | None = None
    ) -> Ending:
        """Where a device ends; nothing where nothing is said."""
        positions = [self.at(one) if one else NOTHING for one in (authority, record)]
        return Ending(secrets(device).keys.id, positions[0], positions[1])

    def consent(self, device: str, name: str) -> bytes:
        """A new device's signature for its grant."""
        return sign_claim("consent", secrets(device).signing, self.town.realm, self.member(name))

    def by_key(self, kind: str, name: str, body: Any) -> Recovery:
        """A warrant by somebody's recovery key."""
        seed = recovery_seed(name)
        said = stated(self.town.realm, kind, body)
        return Recovery(DeviceSecrets(seed, seed).keys.signing, sign_claim("warrant", seed, said))

    def propose(self, name: str, by: str, content: CouncilContent, round_: int = 0) -> OperationId:
        """Put an act to the vote at the newest base."""
        return self.act(name, by, ACT, CouncilAct(self.base, round_, content))

    def endorse(self, name: str, by: str, ballot: OperationId) -> OperationId:
        """Endorse what a ballot puts to the vote."""
        return self.act(name, by, ENDORSE, Endorse(self.base, ballot))

    # --- chapters ---------------------------------------------------------------------------------

    def people(self) -> None:
        """Alice's node lets bob, carol, dan, erin and eve in; they get roles."""
        town = self.town
        self.node("alice grants her node", "alice", "node")
        invite = town.write("alice invites five", "alice", invitation("five", 5))
        for name in ("bob", "carol", "dan", "erin", "eve"):
            signed = (town.realm, invite, self.member(name))
            fact = Admit(
                invite,
                who(name),
                sign_claim("possess", digest("v-invite", b"five"), *signed),
                sign_claim("consent", secrets(name).signing, *signed),
                (),
            )
            self.roots[name] = self.act(f"{name} is let in", "node", ADMIT, fact, name)
        for name, role in (("dan", Role.STEWARD), ("erin", Role.MEMBER), ("eve", Role.HOST)):
            town.write(f"{name} gets a role", "alice", role_act(self.member(name), role))

    def council(self) -> None:
        """Three coordinators; one act by the first ballot, one that needs another."""
        names = ("alice", "bob", "carol")
        seats = tuple((bytes(self.member(n)), bytes(secrets(n).keys.id)) for n in names)
        self.base = self.propose("alice appoints bob and carol", "alice", Coordinators(seats, ()))
        zone = Settings((("timezone", "Europe/Zurich"),))
        moved = self.propose("alice proposes another time zone", "alice", zone)
        self.endorse("bob endorses it", "bob", moved)
        self.act("erin has no say", "erin", ENDORSE, Endorse(self.base, moved))
        self.base = moved
        slow = self.propose("alice proposes, and is not heard", "alice",
                            Settings((("budget.node.hour", 7),)))  # fmt: skip
        self.act("bob wants a ballot of his own", "bob", PROMISE, Promise(self.base, 1, 1))
        self.act("carol promises it to him", "carol", PROMISE, Promise(self.base, 1, 1))
        self.endorse("carol has promised otherwise", "carol", slow)
        repeated = self.act("bob repeats alice's act", "bob", BALLOT, Ballot(self.base, 1, slow))
        self.endorse("carol endorses it there", "carol", repeated)
        self.propose("without promises it does not count", "alice", zone, 2)
        self.base = slow

    def cuts(self) -> None:
        """Removals, a demotion, a suspension with readmission, a revocation, a lifted cut."""
        town = self.town
        kept = self.note("eve writes", "eve")
        self.act(
            "carol removes eve behind it",
            "carol",
            REMOVAL,
            Removal(self.member("eve"), 0, (self.ending("eve", None, kept),), "conduct"),
            "eve",
        )
        self.note("eve writes on", "eve")
        town.write("eve invites, too late", "eve", invitation("eve's"))
        self.act(
            "nobody removes an equal alone",
            "bob",
            REMOVAL,
            Removal(self.member("carol"), 0, (), "conduct"),
            "carol",
        )
        first = self.note("dan writes", "dan")
        self.act(
            "dan is demoted from there",
            "bob",
            DEMOTION,
            Demotion(self.member("dan"), 1, (self.ending("dan", None, first),), "other"),
            "dan",
        )
        town.write("dan may not invite any more", "dan", invitation("dan's"))
        grant = self.node("erin grants a node", "erin", "erin's node")
        self.act("and takes it back", "erin", REVOCATION, Revocation(grant, (), "lost"), "erin")
        town.write("the node goes on", "erin's node", invitation("node's"))
        self.act("it has no right to that", "dan", REVOCATION, Revocation(grant, (), "other"),
                 "erin")  # fmt: skip
        until = town.now_ms + 60_000
        self.act(
            "erin is suspended for a minute",
            "bob",
            REMOVAL,
            Removal(self.member("erin"), until, (self.ending("erin", grant, None),), "other"),
            "erin",
        )
        self.readmit("erin comes back too early", "erin's early phone", until - 1)
        self.readmit("erin comes back", "erin's new phone", until + 1)
        self.note("erin writes again", "erin's new phone")
        mistaken = self.act(
            "bob removes dan by mistake",
            "bob",
            REMOVAL,
            Removal(self.member("dan"), 0, (), "other"),
            "dan",
        )
        sorry = self.propose("the council lifts that", "alice", Lift(mistaken))
        self.endorse("carol agrees", "carol", sorry)
        self.base = sorry

    def readmit(self, name: str, device: str, now_ms: int) -> OperationId:
        """Erin's old device releases a new one."""
        town, keys = self.town, secrets(device).keys
        release = sign_claim(
            "release", secrets("erin").signing, town.realm, self.member("erin"), keys.id
        )
        town.now_ms = max(town.now_ms, now_ms - 1_000)
        body = Readmit(
            self.member("erin"), secrets("erin").keys.id, keys, self.consent(device, "erin"),
            release, (),
        )  # fmt: skip
        return self.act(name, "node", READMIT, body, "erin")

    def forks(self) -> None:
        """Dan forks his log 1; a coordinator names a branch. A proof alone freezes, too."""
        town = self.town
        below = self.note("dan writes below the fork", "dan")
        self.note("one branch", "dan")
        other = self.note("the other branch", "dan", below)
        further = self.note("behind the other branch", "dan")
        self.note("beyond what will be named", "dan")
        self.act(
            "bob names the other branch",
            "bob",
            BRANCH,
            Branch(self.member("dan"), self.ending("dan", self.newest("dan"), further)),
            "dan",
        )
        pair = [town.operations[one] for one in ("one branch", "the other branch")]
        headers = [(one.header, one.signature) for one in pair]
        self.act("the proof of it", "node", PROOF, ForkProof(*headers[0], *headers[1]))
        self.act("no proof at all", "node", PROOF, ForkProof(*headers[0], *headers[0]))
        assert other in town.standings

    def newest(self, device: str) -> OperationId:
        """The last operation of a device in log 0."""
        return self.town.places[secrets(device).keys.id, 0]

    def identities(self) -> None:
        """A second device, a limited one, guardians, a lost phone, two acts on one base."""
        carol = self.member("carol")
        base = self.identity_device("carol adds a tablet", "carol", "carol's tablet", ())
        limit = Limit((note().kind,), 2, self.town.now_ms + 10**6)
        kiosk = self.identity_device("and a kiosk", "carol's tablet", "kiosk", (limit,), base)
        self.note("the kiosk writes", "kiosk")
        last = self.note("and once more", "kiosk")
        self.note("beyond its limit", "kiosk")
        self.town.write("the kiosk invites", "kiosk", invitation("kiosk"))
        self.act("the kiosk is closed", "kiosk", CLOSE, Close(self.at(last)), "carol")
        friends = tuple(sorted(bytes(self.member(n)) for n in ("alice", "bob")))
        plain = SetGuardians(carol, kiosk, friends, 2, ZERO, Own())
        warrant = self.by_key(GUARDIANS, "carol", plain)
        guarded = self.act(
            "carol's recovery key names guardians", "node", GUARDIANS,
            SetGuardians(carol, kiosk, friends, 2, ZERO, warrant), "carol",
        )  # fmt: skip
        self.act("her own device cannot", "carol", GUARDIANS,
                 SetGuardians(carol, guarded, (), 0, ZERO, Own()), "carol")  # fmt: skip
        new = NewDevice(secrets("carol's spare").keys, self.consent("carol's spare", "carol"))
        lost = (self.ending("carol's tablet", kiosk, None),)
        body = Recover(carol, guarded, (new,), lost, Own(), ())
        said = statement(self.town.realm, RECOVER, body)
        told = GuardianEndorsement(carol, said)
        ends = tuple(
            self.act(f"{name} endorses the recovery", name, GUARDIAN, told, "carol")
            for name in ("alice", "bob")
        )
        one = Recover(carol, guarded, (new,), lost, Guardians(ends[:1]), ())
        self.act("one guardian is not enough", "node", RECOVER, one, "carol")
        whole = Recover(carol, guarded, (new,), lost, Guardians(ends), ())
        self.act("two retire the tablet", "node", RECOVER, whole, "carol")
        self.note("the tablet goes on", "carol's tablet")
        self.note("the spare phone writes", "carol's spare")
        self.frozen()

    def identity_device(
        self, name: str, by: str, device: str, limit: tuple[Limit, ...],
        base: OperationId | None = None,
    ) -> OperationId:  # fmt: skip
        """A device of carol's grants another one."""
        keys, consent = secrets(device).keys, self.consent(device, "carol")
        body = AddDevice(base or self.roots["carol"], keys, consent, limit, ())
        return self.act(name, by, DEVICE, body, "carol")

    def frozen(self) -> None:
        """Two acts on dan's identity at one base; the recovery key picks one."""
        dan, base = self.member("dan"), self.roots["dan"]
        acts = []
        for name in ("a", "b"):
            new = NewDevice(
                secrets(f"dan's phone {name}").keys, self.consent(f"dan's phone {name}", "dan")
            )
            body = Recover(dan, base, (new,), (), Own(), ())
            warrant = self.by_key(RECOVER, "dan", body)
            acts.append(
                self.act(f"dan's key grants phone {name}", "node", RECOVER,
                         Recover(dan, base, (new,), (), warrant, ()), "dan")
            )  # fmt: skip
        self.note("phone a waits for a decision", "dan's phone a")
        plain = Pick(dan, base, acts[1], Own())
        warrant = self.by_key(PICK, "dan", plain)
        self.act("the key picks phone b", "node", PICK, Pick(dan, base, acts[1], warrant), "dan")
        self.note("phone b writes", "dan's phone b")

    def seal(self) -> None:
        """The council seals what stands; a later cut does not reach below."""
        town = self.town
        sealed = self.note("erin writes, to be sealed", "erin's new phone")
        tips = [
            Tip(s.device, s.log, s.seq, s.id)
            for s in (
                *(town.standings[self.newest(device)] for device in ("node", "bob")),
                town.standings[sealed],
            )
        ]
        act = self.propose("alice proposes a seal", "alice", Seal(tuple(sorted(tips)), bytes(32)))
        self.endorse("carol endorses the seal", "carol", act)
        self.base = act
        self.act(
            "a removal that reaches below the seal",
            "alice",
            REMOVAL,
            Removal(self.member("erin"), 0, (), "conduct"),
            "erin",
        )
        self.note("erin writes beyond the seal", "erin's new phone")
        bad = Tip(secrets("eve").keys.id, 1, 99, digest("v-none", b"x"))
        self.propose("a seal of what is cut", "alice", Seal((bad,), bytes(32)))


def authority_story() -> Town:
    """All chapters."""
    story = Story()
    story.people()
    story.council()
    story.cuts()
    story.forks()
    story.identities()
    story.seal()
    return story.town
