"""Who does not belong here: garbage on the port, strangers, a thief. They learn nothing."""

from __future__ import annotations

import random
import socket
import struct
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from libp2p.identity.identify.identify import parse_identify_response
from tests.e2e.eve import Line, Stranger, gone_bad
from tests.e2e.neighbourhood import House, Street, agree, alive, street, until

from commons_crdt.authority.facts import Identity
from commons_crdt.device import DeviceKeys, DeviceSecrets, sign_claim
from commons_crdt.ids import ZERO, RealmId
from commons_crdt.kinds import encode_fact
from commons_protocol import gossip, wire
from commons_protocol.codes import decode_invite
from commons_protocol.joining import JOIN
from commons_protocol.network import NetworkError
from commons_protocol.session import SYNC

CSV = "number,name\n" + "".join(f"{n},Thing {n}\n" for n in range(1, 40))


@pytest.fixture(scope="module")
def elm_street() -> Iterator[Street]:
    with street() as made:
        yield made


@pytest.fixture(scope="module")
def neighbours(elm_street: Street, tmp_path_factory: pytest.TempPathFactory) -> tuple[House, House]:
    things = tmp_path_factory.mktemp("csv") / "things.csv"
    things.write_text(CSV)
    alice, bob = elm_street.community("alice", "bob")
    alice.acts("resource", "import", str(things))
    agree(alice, bob)
    return alice, bob


def assert_healthy(alice: House, bob: House, number: int) -> None:
    """An ordinary step works, and honest nodes agree."""
    assert alive(alice.process.pid), "the node runs"
    loan = bob.do("loan.request", resource=str(number), days=1)["loan"]
    until(
        lambda: loan in {one["loan"] for one in alice.see("loan.list")["loans"]},
        "a request arrives at the other node",
    )
    assert alice.do("loan.approve", loan=loan)["state"] == "approved"
    agree(alice, bob)


def port_of(house: House) -> tuple[str, int]:
    _, _, host, _, port, *_ = house.address.split("/")
    return host, int(port)


def counted(house: House, code: str, before: int) -> bool:
    return house.refusal(code) > before


def test_garbage_on_the_port(neighbours: tuple[House, House]) -> None:
    alice, bob = neighbours
    seed = random.randrange(2**32)
    rng = random.Random(seed)
    where = port_of(alice)
    openings = [
        b"",
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"\x13/multistream/1.0.0\n",
        b"\x13/multistream/1.0.0\n\x07/noise\n",
        b"\xff" * 64,
        struct.pack(">I", 2**32 - 1),
    ]
    refused = 0
    with ExitStack() as half_open:
        for n in range(300):
            try:
                peer = socket.create_connection(where, timeout=5)
            except OSError:
                refused += 1
                continue
            with suppress(OSError):
                peer.sendall(rng.choice(openings) + rng.randbytes(rng.randrange(200)))
            if n % 3 == 0:
                half_open.callback(peer.close)  # stays, and says nothing more
            elif n % 3 == 1:
                peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                peer.close()  # a reset
            else:
                peer.close()
        assert refused < 100, f"the garbage arrives (seed {seed})"
        assert alice.see("status")["ready"] is True
        assert_healthy(alice, bob, 1)
    assert sum(alice.refusals().values()) > 0, "and it is counted"
    with Stranger() as somebody:
        until(lambda: _reaches(somebody, alice), "honest dials get in again", 30)


def _reaches(somebody: Stranger, house: House) -> bool:
    with suppress(NetworkError):
        somebody.dial(house)
        return True
    return False


def test_a_stranger_cannot_tell_nodes_apart(
    elm_street: Street, neighbours: tuple[House, House]
) -> None:
    """A node in no community, in one, and in three: the same frames of the same lengths."""
    alice, _ = neighbours
    empty, busy = elm_street.build("empty", "busy")
    realms = [busy.found(name)["community"] for name in ("Elm", "Oak", "Ash")]
    realms.append(alice.see("community.hash")["community"])
    with Stranger() as stranger:
        shapes = {house.name: stranger.guess(house) for house in (empty, alice, busy)}
        assert len(set(map(tuple, shapes.values()))) == 1, shapes
        assert [number for number, _ in shapes["alice"]] == [1, 2], "a greeting and tags, no more"
        shapes = {house.name: stranger.knock(house) for house in (empty, alice, busy)}
        assert len(set(map(tuple, shapes.values()))) == 1, shapes
        real = bytes.fromhex(alice.do("invite.create", uses=1)["invite"])
        assert stranger.knock(alice, real) == shapes["alice"], (
            "who knows only the id of an invite is a stranger like any other"
        )
        told = {house.name: stranger.identify(house) for house in (empty, alice, busy)}
        for name, answer in told.items():
            assert b"/commons/sync/1" in answer, f"{name} names its protocols"
            for realm in realms:
                assert realm.encode() not in answer, "which name no community"
                assert bytes.fromhex(realm) not in answer
                assert bytes.fromhex(realm)[:8] not in answer
        protocols = {
            name: sorted(parse_identify_response(answer).protocols) for name, answer in told.items()
        }
        assert protocols["empty"] == protocols["alice"] == protocols["busy"], "nor any number"
    for house in (alice, busy, empty):
        assert house.refusal("stranger") >= 1, "who shares nothing is counted"
        assert house.refusal("join_stranger") >= 1


def test_gossip_says_nothing_to_strangers(neighbours: tuple[House, House]) -> None:
    alice, bob = neighbours
    secrets = [
        bytes.fromhex(alice.see("community.hash")["community"]),
        bytes.fromhex(alice.member),
        bytes.fromhex(bob.member),
        b"lending", b"Thing", b"alice",
    ]  # fmt: skip
    with Stranger() as stranger:
        until(lambda: stranger.topics(alice), "a stranger is told the topics")
        topics = stranger.topics(alice)
        for topic in topics:
            assert len(topic) == 48, "a topic is a hash"
            for secret in secrets:
                assert secret.hex()[:12] not in topic
        stranger.listen_to(topics)
        written: set[bytes] = set()

        def hears() -> bool:
            written.add(bytes.fromhex(alice.do("invite.create", uses=1)["operation"]))
            return bool(stranger.heard)

        until(hears, "and hears that something is said")
        for topic, _, data in stranger.heard:
            assert len(data) in gossip.SIZES, "padded to one of few sizes"
            for secret in (*secrets, *written):
                assert secret not in data, "in words that are sealed"
            with pytest.raises(Exception, match="gossip_seal"):
                gossip.Channel(topic, bytes(32)).open(data)

        before = bob.refusal("gossip_seal"), alice.refusal("gossip_seal")
        for topic in topics:
            for size in gossip.SIZES:
                stranger.shout(topic, random.randbytes(size))
        until(
            lambda: (bob.refusal("gossip_seal"), alice.refusal("gossip_seal")) > before,
            "what a stranger says there is refused and counted",
        )
    assert_healthy(alice, bob, 2)


def test_an_invite_does_not_help_a_liar(neighbours: tuple[House, House]) -> None:
    """Whoever holds an invite may enter, as somebody who can prove and be told secrets."""
    alice, bob = neighbours
    members = len(alice.see("member.list")["members"])
    operations = sum(alice.operations().values())
    small_order = bytes(31) + b"\x80", bytes(32), b"\x01" + bytes(31)
    lies = {"join_possession": 0, "join_consent": 0, "join_keys": 0, "join_malformed": 0}
    with Stranger() as stranger:
        for lie in lies:
            invitation = decode_invite(alice.do("invite.create", uses=1)["code"])
            operations += 1
            for key in small_order if lie == "join_keys" else small_order[:1]:
                before = alice.refusal(lie)
                line = stranger.open(alice, JOIN)
                welcome = wire.unpack_join(line.hear() or b"")
                assert isinstance(welcome, wire.Welcome)
                peer = stranger.dial(alice)
                knock = invitation.knock(welcome.nonce, peer, stranger.network.peer_id)
                line.say(wire.pack(wire.Knock(invitation.invite, knock)))
                realm = wire.unpack_join(line.hear() or b"")
                assert isinstance(realm, wire.Realm), "the invite itself is good"
                line.say(_enter(lie, realm.realm, invitation, key))
                assert line.hear() is None, f"{lie}: and that is the end of it"
                until(
                    lambda lie=lie, before=before: counted(alice, lie, before),  # type: ignore[misc]  # binds both
                    f"{lie} is counted: {alice.refusals()}",
                )
                lies[lie] += 1
    assert all(lies.values())
    assert len(alice.see("member.list")["members"]) == members, "nobody came in"
    assert sum(alice.operations().values()) == operations, "and nothing was written about it"
    assert_healthy(alice, bob, 3)


def _enter(lie: str, realm: bytes, invitation: object, bad_key: bytes) -> bytes:
    from commons_protocol.codes import Invitation

    assert isinstance(invitation, Invitation)
    secrets = DeviceSecrets(random.randbytes(32), random.randbytes(32))
    keys = secrets.keys
    if lie == "join_keys":
        keys = DeviceKeys(1, keys.signing, bad_key)
    if lie == "join_consent":
        keys = DeviceKeys(1, bad_key, keys.sealing)
    identity = Identity(keys, (), 0, ZERO)
    member = identity.member
    possession = invitation.possess(RealmId(realm), member)
    consent = sign_claim("consent", secrets.signing, realm, invitation.invite, member)
    if lie == "join_possession":
        possession = random.randbytes(64)
    if lie == "join_consent":
        consent = bytes(32) + bytes(32)  # what a key of small order would accept
    body = encode_fact(identity)
    if lie == "join_malformed":
        body = body[:-1]
    return wire.pack(wire.Enter(body, possession, consent))


def test_a_thief_with_the_epoch_key_and_no_grant_gets_nothing(
    elm_street: Street, neighbours: tuple[House, House]
) -> None:
    alice, bob = neighbours
    (eve,) = elm_street.build("eve")
    eve.join(alice.invite())
    agree(alice, eve)
    before = alice.refusal("proof")
    with gone_bad(eve) as gone:
        assert gone.realm.epochs(), "she knows the key"
        with Stranger() as thief:
            code, told = thief.break_in(alice, gone.realm.realm, gone.realm.epochs())
        assert (code, told) == ("gone", 0), "the node ends it, and has told nothing"
        until(lambda: counted(alice, "proof", before), f"it is counted: {alice.refusals()}")
        assert gone.talk(alice).conversation.was_proven, "with her own grant she is let in"
    assert_healthy(alice, bob, 4)


def test_frames_that_break_the_rules_before_any_proof(neighbours: tuple[House, House]) -> None:
    alice, bob = neighbours
    hello = wire.pack(wire.Hello(wire.VERSION, random.randbytes(32)))
    cases = {
        "encoding": [b"\xff" + random.randbytes(59), b"\x81" * 200 + b"\x00", b"\x9f\x01\xff", b""],
        "message": [b"\x82\x18\x63\x00", b"\xa0", b"\x00", wire.pack(wire.Welcome(1, bytes(32)))],
        "order": [
            wire.pack(wire.Tags(bytes(256))),
            wire.pack(wire.Digest(0, False, bytes(32), bytes(16))),
        ],
        "version": [wire.pack(wire.Hello(2, bytes(32)))],
    }
    with Stranger() as stranger:
        for code, frames in cases.items():
            for frame in frames:
                before = alice.refusal(code)
                line = stranger.open(alice, SYNC)
                line.say(frame)
                _drain(line)
                until(
                    lambda code=code, before=before: counted(alice, code, before),  # type: ignore[misc]  # binds both
                    f"{frame[:8]!r} is refused as {code}: {alice.refusals()}",
                )
        before = alice.refusal("frame_too_large")
        line = stranger.open(alice, SYNC)
        line.say(hello)
        raw(stranger, line, struct.pack(">I", 2**31) + b"x" * 100)
        _drain(line)
        until(lambda: counted(alice, "frame_too_large", before), f"{alice.refusals()}")
    assert_healthy(alice, bob, 5)


def raw(stranger: Stranger, line: Line, data: bytes) -> None:
    """Bytes on the stream that are no frame of ours."""
    half = line._stream._half  # type: ignore[attr-defined]  # what a peer with other software does

    async def write(_host: object) -> None:
        await half._stream.write(data)

    stranger.elsewhere.run(stranger.network._call(write))


def _drain(line: Line) -> None:
    for _ in range(20):
        if line.hear() is None:
            return
    raise AssertionError("the node ends the stream")


def test_streams_of_a_stranger_leave_nothing_behind(neighbours: tuple[House, House]) -> None:
    alice, bob = neighbours
    opened = 0
    with Stranger() as stranger:
        for _ in range(60):
            with suppress(NetworkError):
                stranger.open(alice, SYNC).end()
                opened += 1
    assert opened > 30, "they are really opened"
    open_files = len(list(Path(f"/proc/{alice.process.pid}/fd").iterdir()))
    assert open_files < 200, "no connection is left behind"
    assert_healthy(alice, bob, 6)
