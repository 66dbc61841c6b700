"""A new machine of an existing member: what it shows, and what nobody learns without it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit import town

from commons_crdt.authority.endings import Ending, Position
from commons_crdt.device import DeviceKeys, sign_claim
from commons_crdt.ids import OperationId, RealmId, digest
from commons_crdt.operation import Operation
from commons_protocol import wire
from commons_protocol.applying import (
    Applicant,
    Application,
    Asked,
    Denied,
    Granted,
    Look,
    Met,
    Opened,
    Told,
    chosen,
    endings_of,
    subject,
)
from commons_protocol.codes import knock_parts
from commons_protocol.effects import Close, Send
from commons_protocol.joining import Host
from commons_protocol.names import peer_of_key
from commons_protocol.network import PeerId
from commons_protocol.tickets import Ticket

NODE, PHONES, EVES = (peer_of_key(digest(name)) for name in ("t-node", "t-phone", "t-eves"))
REALM = RealmId(digest("t-realm"))
BOB = town.person("bob")
PHONE, LAPTOP = town.secrets("bob's phone"), town.secrets("bob's laptop")
LAPTOPS_NODE = town.secrets("the laptop's node")
TICKET = Ticket("device", BOB.member, b"sixteen bytes se", REALM[:16])
BASE = OperationId(digest("t-base"))
PHONES_NODE = town.secrets("the phone's node").keys.id
ENDINGS = (
    (PHONE.keys.id, Ending(PHONE.keys.id, Position(3, digest("t-3")), Position(0, bytes(32)))),
    (PHONE.keys.id, Ending(PHONES_NODE, Position(2, digest("t-2")), Position(0, bytes(32)))),
    (
        BOB.device.keys.id,
        Ending(BOB.device.keys.id, Position(1, digest("t-1")), Position(9, digest("t-9"))),
    ),
)
LOG_ZERO = tuple(Operation(b"h%d" % n, b"s" * 64, b"b" * 400) for n in range(500))


def consent(device: Any = LAPTOP, realm: RealmId = REALM) -> bytes:
    return sign_claim("consent", device.signing, realm, BOB.member)


@dataclass
class Holder:
    """The new machine's door: a ticket, and what it asks for."""

    ticket: Ticket = TICKET
    changes: dict[str, Any] = field(default_factory=dict)
    met: Met | None = None

    def knock(self, nonce: bytes, node: PeerId, joiner: PeerId) -> wire.Knock:
        return wire.Knock(self.ticket.id, self.ticket.knock(nonce, node, joiner))

    def ask(self, met: Met) -> Asked | None:
        self.met = met
        if not self.ticket.fits_realm(met.realm) or met.member != self.ticket.member:
            return None
        asked = Asked(
            LAPTOP.keys,
            consent(),
            self.ticket.possess(met.realm, LAPTOP.keys.id),
            LAPTOPS_NODE.keys,
            consent(LAPTOPS_NODE),
        )
        return replace(asked, **self.changes)


@dataclass
class KeyHolder:
    """A door that shows a key: the old phone's own."""

    seed: bytes = PHONE.signing

    def knock(self, nonce: bytes, node: PeerId, joiner: PeerId) -> wire.KnockKey:
        key = PHONE.keys.signing
        parts = knock_parts(nonce, node, joiner, OperationId(key))
        return wire.KnockKey(key, sign_claim("knock", self.seed, *parts))

    def ask(self, met: Met) -> Asked | None:
        release = sign_claim("release", self.seed, met.realm, met.member, LAPTOP.keys.id)
        return Asked(LAPTOP.keys, consent(), release)


def opened(**changes: Any) -> Opened:
    made = Opened("device", TICKET.id, TICKET.public_key, REALM, BOB.member, BASE, ENDINGS)
    return replace(made, **changes)


@dataclass
class Talk:
    """A new machine and a node, talking; ``answers`` is what the node's people decide."""

    door: Any = field(default_factory=Holder)
    behind: Opened = field(default_factory=opened)
    turned: str = ""
    salt: bytes = b""
    said_by_node: list[str] = field(default_factory=list)
    frames: list[bytes] = field(default_factory=list)

    def run(self) -> list[object]:
        host = Host(NODE, PHONES, lambda _invite: None, digest("t-nonce"))
        applicant = Applicant(PHONES, NODE, self.door)
        ends: list[object] = []
        queue: list[tuple[bool, Any]] = [(True, effect) for effect in host.begin()]
        while queue:
            from_node, effect = queue.pop(0)
            if isinstance(effect, Look):
                found = self.behind if effect.name == self.behind.name else None
                queue += [(True, step) for step in host.on_look(found)]
            elif isinstance(effect, Application):
                ends.append(effect)
                answer: list[Any] = list(host.pending(self.salt)) if self.salt else []
                answer += host.turned(self.turned) if self.turned else host.admitted(LOG_ZERO)
                queue += [(True, step) for step in answer if isinstance(step, Send)]
            elif not isinstance(effect, Send):
                ends.append(effect)
            elif from_node:
                self.frames.append(effect.frame)
                self.said_by_node.append(type(wire.unpack_join(effect.frame)).__name__)
                queue += [(False, step) for step in applicant.on_frame(effect.frame)]
            else:
                self.frames.append(effect.frame)
                queue += [(True, step) for step in host.on_frame(effect.frame)]
        return ends


def test_a_ticket_lets_a_new_machine_ask_and_the_answer_is_all_of_log_zero() -> None:
    talk = Talk(salt=b"sixteen bytes sa")
    ends = talk.run()
    (asked,) = [end for end in ends if isinstance(end, Application)]
    assert (asked.device, asked.node) == (LAPTOP.keys, LAPTOPS_NODE.keys)
    assert Told(b"sixteen bytes sa") in ends, "both machines can show the digits"
    assert Granted(REALM, BOB.member, LOG_ZERO) in ends
    assert talk.said_by_node.count("Page") > 1, "in frames that fit"
    assert all(TICKET.seed not in frame for frame in talk.frames), "the seed is shown to nobody"


def test_a_subject_travels_whole() -> None:
    door = Holder()
    Talk(door).run()
    assert door.met == Met(REALM, BOB.member, BASE, ENDINGS)
    assert endings_of(subject(opened())) == ENDINGS
    phone = chosen(ENDINGS, (PHONE.keys.id,))
    assert [one.device for one in phone] == [PHONE.keys.id, PHONES_NODE], "its node goes with it"


def test_who_does_not_hold_the_ticket_learns_nothing() -> None:
    talk = Talk(Holder(replace(TICKET, seed=b"another seed....")))
    assert talk.run() == [Close("join_stranger")]
    known = Holder()
    known.ticket = TICKET
    guess = Talk(known, opened(key=replace(TICKET, seed=b"another seed....").public_key))
    assert guess.run() == [Close("join_stranger")], "the name of a ticket is not enough"
    assert guess.said_by_node == ["Welcome"]


def test_a_key_opens_as_a_ticket_does_and_only_for_who_holds_it() -> None:
    behind = opened(way="readmit", name=PHONE.keys.signing, key=PHONE.keys.signing)
    ends = Talk(KeyHolder(), behind).run()
    assert [type(end) for end in ends] == [Application, Granted]
    assert Talk(KeyHolder(BOB.device.signing), behind).run() == [Close("join_stranger")]


def test_the_new_machine_leaves_a_node_that_shows_another_realm_or_member() -> None:
    elsewhere = Talk(behind=opened(realm=RealmId(digest("t-elsewh"))))
    assert elsewhere.run() == [Close("pin")]
    eve = Talk(behind=opened(member=town.person("eve").member))
    assert eve.run() == [Close("pin")], "its keys are signed into nobody else's identity"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"consent": consent(PHONE)}, "join_consent"),
        ({"node_consent": consent(PHONE)}, "join_consent"),
        ({"claim": TICKET.possess(REALM, PHONE.keys.id)}, "join_possession"),
        ({"device": DeviceKeys(1, LAPTOP.keys.signing, bytes(32))}, "join_keys"),
        ({"node": DeviceKeys(1, LAPTOPS_NODE.keys.signing, bytes(32))}, "join_keys"),
        ({"retire": (digest("t-other"),)}, "join_message"),
        ({"retire": (PHONE.keys.id, PHONE.keys.id)}, "join_message"),
    ],
)
def test_what_is_not_signed_for_is_refused(changes: dict[str, Any], code: str) -> None:
    assert Close(code) in Talk(Holder(changes=changes)).run()


@pytest.mark.parametrize("code", ["waiting", "used", "changed", "refused", "expired", "later"])
def test_an_honest_machine_hears_why(code: str) -> None:
    assert Denied(code) in Talk(turned=code).run()
    assert Denied("later") in Talk(turned="the database is full").run()


def test_a_knock_is_worth_nothing_to_whoever_overheard_it() -> None:
    knock = wire.pack(Holder().knock(digest("t-nonce"), NODE, PHONES))
    for own, peer, nonce in (
        (NODE, PHONES, digest("t-fresh")),
        (NODE, EVES, digest("t-nonce")),
        (EVES, PHONES, digest("t-nonce")),
    ):
        host = Host(own, peer, lambda _invite: None, nonce)
        assert host.on_frame(knock) == [Look(TICKET.id)]
        assert host.on_look(opened()) == [Close("join_stranger")]


def test_one_request_for_each_attempt() -> None:
    host = Host(NODE, PHONES, lambda _invite: None, digest("t-nonce"))
    host.on_frame(wire.pack(Holder().knock(digest("t-nonce"), NODE, PHONES)))
    host.on_look(opened())
    asked = Holder().ask(Met(REALM, BOB.member, BASE, ENDINGS))
    assert asked is not None
    frame = wire.pack(wire.Apply(b"", asked.consent, b"", b"", asked.claim, ()))
    assert [type(end) for end in host.on_frame(frame)] == [Close], "keys that are none"
    assert host.on_frame(frame) == [Close("join_order")]


@given(frame=st.binary(max_size=200))
def test_a_node_that_talks_nonsense_is_left(frame: bytes) -> None:
    applicant = Applicant(PHONES, NODE, Holder())
    assert [type(effect) for effect in applicant.on_frame(frame)] == [Close]


def test_a_node_cannot_send_without_end() -> None:
    applicant = Applicant(PHONES, NODE, Holder())
    applicant.on_frame(wire.pack(wire.Welcome(1, digest("t-nonce"))))
    applicant.on_frame(wire.pack(subject(opened())))
    page = wire.pack(wire.Page(False, ()))
    ends = [applicant.on_frame(page) for _ in range(1_025)]
    assert ends[-1] == [Close("size")]


def test_an_ending_that_makes_no_sense_ends_the_attempt() -> None:
    applicant = Applicant(PHONES, NODE, Holder())
    applicant.on_frame(wire.pack(wire.Welcome(1, digest("t-nonce"))))
    bad = wire.Subject(
        REALM, BOB.member, BASE, ((PHONE.keys.id, PHONE.keys.id, 0, digest("t-3"), 0, bytes(32)),)
    )
    assert applicant.on_frame(wire.pack(bad)) == [Close("message")]
