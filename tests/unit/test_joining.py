"""Joining: an invite opens the door of any node, and nothing else is learned at it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit import town

from commons_crdt.authority.facts import Identity
from commons_crdt.device import sign_claim
from commons_crdt.ids import OperationId, RealmId, digest
from commons_crdt.kinds import encode_fact
from commons_crdt.operation import Operation
from commons_protocol import wire
from commons_protocol.applying import Look
from commons_protocol.codes import Invitation, invite_key
from commons_protocol.effects import Close, Send
from commons_protocol.frame import encode
from commons_protocol.joining import (
    Admit,
    Host,
    Newcomer,
    Received,
    TurnedAway,
    TurnedAwayError,
)
from commons_protocol.names import peer_of_key

NODE = peer_of_key(digest("t-node"))
BOBS = peer_of_key(digest("t-bobs"))
EVES = peer_of_key(digest("t-eves"))
REALM = RealmId(digest("t-realm"))
SEED = b"sixteen bytes se"
INVITE = OperationId(digest("t-invite"))
BOB = town.person("bob")
IDENTITY = town.identity(BOB.device)
LOG_ZERO = tuple(Operation(b"h%d" % n, b"s" * 64, b"b" * 400) for n in range(500))

INVITATION = Invitation(INVITE, SEED, REALM[:16], ())


def known(invite: OperationId) -> tuple[RealmId, bytes] | None:
    return (REALM, invite_key(SEED)) if invite == INVITE else None


def consent(realm: RealmId) -> bytes:
    return sign_claim("consent", BOB.device.signing, realm, INVITE, IDENTITY.member)


@dataclass
class Door:
    """A newcomer and a node, talking."""

    invitation: Invitation = INVITATION
    find: Callable[[OperationId], tuple[RealmId, bytes] | None] = known
    consent: Callable[[RealmId], bytes] = consent
    turned: str = ""
    nonce: bytes = digest("t-nonce")
    frames: list[tuple[str, bytes]] = field(default_factory=list)
    ends: list[object] = field(default_factory=list)

    def talk(self) -> list[object]:
        host = Host(NODE, BOBS, self.find, self.nonce)
        newcomer = Newcomer(BOBS, NODE, self.invitation, IDENTITY, self.consent)
        to_newcomer: list[object] = [*host.begin()]
        while to_newcomer:
            to_host: list[object] = []
            for effect in to_newcomer:
                if isinstance(effect, Send):
                    self.frames.append(("node", effect.frame))
                    to_host += newcomer.on_frame(effect.frame)
                else:
                    self.ends.append(effect)
            to_newcomer = []
            for effect in to_host:
                if isinstance(effect, Send):
                    self.frames.append(("newcomer", effect.frame))
                    to_newcomer += host.on_frame(effect.frame)
                else:
                    self.ends.append(effect)
            for effect in list(to_newcomer):
                if isinstance(effect, Look):
                    to_newcomer.remove(effect)
                    to_newcomer += host.on_look(None)
                elif isinstance(effect, Admit):
                    self.ends.append(effect)
                    to_newcomer.remove(effect)
                    answer = host.turned(self.turned) if self.turned else host.admitted(LOG_ZERO)
                    to_newcomer += answer
        return self.ends

    @property
    def said_by_node(self) -> list[str]:
        return [type(wire.unpack_join(f)).__name__ for who, f in self.frames if who == "node"]


def test_who_holds_the_invite_is_let_in_and_gets_all_of_log_zero() -> None:
    door = Door()
    ends = door.talk()
    (admit,) = [end for end in ends if isinstance(end, Admit)]
    assert (admit.realm, admit.invite, admit.identity) == (REALM, INVITE, IDENTITY)
    (received,) = [end for end in ends if isinstance(end, Received)]
    assert received == Received(REALM, LOG_ZERO)
    assert door.said_by_node.count("Page") > 1, "in frames that fit"


def test_the_secret_of_the_invite_never_travels() -> None:
    door = Door()
    door.talk()
    assert all(SEED not in frame for _, frame in door.frames)


@pytest.mark.parametrize(
    "invitation",
    [
        Invitation(OperationId(digest("t-none")), SEED, REALM[:16], ()),
        Invitation(INVITE, b"another seed....", REALM[:16], ()),
    ],
    ids=["an unknown invite", "the id without the secret"],
)
def test_who_does_not_hold_an_invite_learns_nothing(invitation: Invitation) -> None:
    door = Door(invitation)
    assert door.talk() == [Close("join_stranger")]
    assert door.said_by_node == ["Welcome"], "not even that the invite is known here"


@given(frame=st.binary(max_size=200))
def test_garbage_ends_like_a_stranger(frame: bytes) -> None:
    host = Host(NODE, BOBS, known, digest("t-nonce"))
    effects = host.on_frame(frame)
    assert [type(effect) for effect in effects] == [Close]


def test_the_newcomer_says_nothing_of_itself_to_a_node_of_another_community() -> None:
    other = RealmId(digest("t-elsewh"))
    door = Door(find=lambda _invite: (other, invite_key(SEED)))
    assert door.talk() == [Close("pin")]
    assert [w for w, _ in door.frames] == ["node", "newcomer", "node"], "only the knock"


@pytest.mark.parametrize("code", ["expired", "spent", "later"])
def test_an_honest_newcomer_hears_why_it_cannot_come_in(code: str) -> None:
    assert TurnedAway(code) in Door(turned=code).talk()


def test_other_reasons_are_kept_inside() -> None:
    assert TurnedAway("later") in Door(turned="a database password").talk()
    assert TurnedAwayError("x").code == "later"


def test_reasons_are_given_only_after_the_invite_is_proven() -> None:
    door = Door(Invitation(INVITE, b"another seed....", REALM[:16], ()), turned="expired")
    assert door.talk() == [Close("join_stranger")]


def test_somebody_elses_signatures_let_nobody_in() -> None:
    def foreign(realm: RealmId) -> bytes:
        eve = town.person("eve").device
        return sign_claim("consent", eve.signing, realm, INVITE, IDENTITY.member)

    assert Close("join_consent") in Door(consent=foreign).talk()


def test_a_knock_is_worth_nothing_to_whoever_overheard_it() -> None:
    door = Door()
    door.talk()
    knock = next(f for who, f in door.frames if who == "newcomer")
    for host in (
        Host(NODE, BOBS, known, digest("t-fresh")),  # another attempt
        Host(NODE, EVES, known, door.nonce),  # another newcomer
        Host(EVES, BOBS, known, door.nonce),  # passed on to another node
    ):
        assert host.on_frame(knock) == [Close("join_stranger")]


def test_possession_for_one_identity_does_not_admit_another() -> None:
    host = Host(NODE, BOBS, known, digest("t-nonce"))
    knock = INVITATION.knock(digest("t-nonce"), NODE, BOBS)
    host.on_frame(wire.pack(wire.Knock(INVITE, knock)))
    eve = town.identity(town.person("eve").device)
    enter = wire.Enter(encode_fact(eve), INVITATION.possess(REALM, IDENTITY.member), consent(REALM))
    assert host.on_frame(wire.pack(enter)) == [Close("join_possession")]


def entered() -> bytes:
    return wire.pack(
        wire.Enter(
            encode_fact(IDENTITY), INVITATION.possess(REALM, IDENTITY.member), consent(REALM)
        )
    )


@pytest.mark.parametrize(
    ("frames", "code"),
    [
        ([entered()], "join_order"),
        ([encode([32, REALM])], "join_order"),
        ([encode([33, b"x", b"p" * 64])], "join_message"),
        ([b"\xff"], "join_encoding"),
    ],
)
def test_words_out_of_turn_end_the_attempt(frames: list[bytes], code: str) -> None:
    host = Host(NODE, BOBS, known, digest("t-nonce"))
    assert [host.on_frame(frame) for frame in frames][-1] == [Close(code)]


def test_an_identity_that_makes_no_sense_is_refused() -> None:
    host = Host(NODE, BOBS, known, digest("t-nonce"))
    knock = INVITATION.knock(digest("t-nonce"), NODE, BOBS)
    host.on_frame(wire.pack(wire.Knock(INVITE, knock)))
    enter = wire.Enter(b"nonsense", b"p" * 64, b"c" * 64)
    (end,) = host.on_frame(wire.pack(enter))
    assert isinstance(end, Close)


@given(frame=st.binary(max_size=200))
def test_a_node_that_talks_nonsense_is_left(frame: bytes) -> None:
    newcomer = Newcomer(BOBS, NODE, INVITATION, IDENTITY, consent)
    assert [type(effect) for effect in newcomer.on_frame(frame)] == [Close]


def test_a_node_cannot_send_without_end() -> None:
    newcomer = Newcomer(BOBS, NODE, INVITATION, IDENTITY, consent)
    newcomer.on_frame(wire.pack(wire.Welcome(1, digest("t-nonce"))))
    newcomer.on_frame(wire.pack(wire.Realm(REALM)))
    page = wire.pack(wire.Page(False, ()))
    ends = [newcomer.on_frame(page) for _ in range(1_025)]
    assert ends[-1] == [Close("size")]


def test_the_same_newcomer_may_ask_again() -> None:
    first, second = Door(), Door(nonce=digest("t-fresh"))
    admits = [
        next(end for end in door.talk() if isinstance(end, Admit)) for door in (first, second)
    ]
    assert admits[0] == admits[1], "the node can recognise it, and give the same admission"


def test_identity_travels_as_it_is_signed() -> None:
    assert isinstance(IDENTITY, Identity)
    message = wire.unpack_join(entered())
    assert isinstance(message, wire.Enter)
    assert message.identity == encode_fact(IDENTITY)
