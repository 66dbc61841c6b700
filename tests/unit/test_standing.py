"""What a node makes of its own secrets: its credential, and the epochs that it can open."""

from __future__ import annotations

from pathlib import Path

from tests.unit.rooms import Room, Rooms, bytes_of, ident, village
from tests.unit.town import Replica, identity, person, role_act

from commons_crdt.author import Draft
from commons_crdt.authority.facts import Admit, Epoch, EpochShare, NodeGrant, SealedKey
from commons_crdt.authority.kinds import ADMIT, EPOCH, NODE
from commons_crdt.device import DeviceSecrets, seal, sign_claim
from commons_crdt.ids import DocumentId, OperationId, digest
from commons_crdt.operation import Operation, decode_header
from commons_crdt.roles import Role
from commons_node.keystore.node_key import NodeKey
from commons_node.standing import NodeStanding, path_to, share

KEY = bytes(range(32))


def epoch(home: Replica, *devices: DeviceSecrets) -> OperationId:
    """Alice makes an epoch for these devices."""
    shares = sorted((EpochShare(d.keys.id, seal(KEY, d.keys.sealing)) for d in devices), key=str)
    body = Epoch(digest("epoch", KEY), tuple(shares))
    return home.write(person("alice").device, Draft.fact(EPOCH, body, log=0)).id


def grant(home: Replica, body: NodeGrant) -> Operation:
    """Bob signs for a node; nobody has heard it yet."""
    bob = person("bob")
    return home.draw(bob.device, Draft.fact(NODE, body, log=0, document=DocumentId(bob.member)))


async def told(rooms: Rooms, home: Replica) -> Room:
    return await rooms.open("a", home, *bytes_of(home))


def test_the_node_keeps_its_secrets(tmp_path: Path) -> None:
    home, _ = village()
    first = NodeStanding(NodeKey(tmp_path / "node.key"))
    made = first.make_device(home.realm)
    again = NodeStanding(NodeKey(tmp_path / "node.key"))
    assert again.network_seed == first.network_seed, "it stays the same node"
    assert again.device(home.realm) == made, "a device is on disk before it is used"
    assert again.make_device(home.realm) == made, "and made once"


async def test_a_grant_gives_a_credential_with_the_path_to_it(rooms: Rooms, tmp_path: Path) -> None:
    home, people = village()
    standing = NodeStanding(NodeKey(tmp_path / "node.key"))
    room = await told(rooms, home)
    await standing.refresh(room.realm)
    assert room.realm.credential() is None, "a node without a device has no standing"
    body = standing.grant_body(room.realm, people.bob.member)
    await standing.refresh(room.realm)
    assert room.realm.credential() is None, "nor has one that nobody granted"
    granted = grant(home, body)
    await room.take(granted)
    await standing.refresh(room.realm)
    credential = room.realm.credential()
    assert credential is not None
    assert credential.grant == ident(granted)
    path = [ident(op) for op in credential.operations]
    assert path[0] == OperationId(home.realm)
    assert path[-1] == credential.grant
    for op in credential.operations[1:]:
        past = {OperationId(i) for i in decode_header(op.header).antecedents}
        assert past <= set(path), "a stranger can follow it from the genesis on"


async def test_a_grant_that_falls_takes_the_credential_with_it(
    rooms: Rooms, tmp_path: Path
) -> None:
    """Bob's log 0 turns out to be forked at his grant of this node."""
    home, people = village()
    standing = NodeStanding(NodeKey(tmp_path / "node.key"))
    room = await told(rooms, home)
    granted = grant(home, standing.grant_body(room.realm, people.bob.member))
    twin = home.draw(people.bob.device, role_act(people.eve, Role.MEMBER))
    await room.take(granted)
    await standing.refresh(room.realm)
    assert room.realm.credential() is not None
    await room.take(twin)
    await standing.refresh(room.realm)
    assert room.realm.credential() is None


async def test_epochs_are_opened_and_passed_on(rooms: Rooms, tmp_path: Path) -> None:
    home, people = village()
    standing = NodeStanding(NodeKey(tmp_path / "node.key"))
    own = standing.make_device(home.realm)
    made = epoch(home, own)
    other = epoch(home, people.eve.device)
    room = await told(rooms, home)
    await standing.refresh(room.realm)
    assert dict(room.realm.epochs()) == {made: KEY}, f"not {other.hex()[:8]}, which is eve's"
    (passed,) = share(room.realm, people.bob.device.keys.sealing)
    assert passed.epoch == made


async def test_nobody_plants_an_epoch_key_with_an_act_that_does_not_stand(
    rooms: Rooms, tmp_path: Path
) -> None:
    """Eve lets 'our' device in, without its consent, and seals a key of her own to it."""
    home, people = village()
    standing = NodeStanding(NodeKey(tmp_path / "node.key"))
    own = standing.make_device(home.realm)
    made = epoch(home, own)
    wrong = (SealedKey(made, seal(bytes(32), own.keys.sealing)),)
    ticket = home.invite(people.eve)
    forged = sign_claim("consent", people.eve.device.signing, home.realm)
    home.write(
        people.eve.device,
        Draft.fact(ADMIT, Admit(ticket.id, identity(own), forged, forged, wrong), log=0),
    )
    home.write(people.eve.device, Draft.fact(NODE, NodeGrant(own.keys, forged, wrong), log=0))
    room = await told(rooms, home)
    await standing.refresh(room.realm)
    assert dict(room.realm.epochs()) == {made: KEY}


def test_a_path_holds_only_what_a_grant_builds_on() -> None:
    home, people = village()
    granted = home.judge.authority.devices[people.bob.device.keys.id].id
    path = path_to(granted, [home.operations[i] for i in home.judge.authority.bits])
    assert ident(path[-1]) == granted
    later = home.judge.authority.devices[people.eve.device.keys.id].id
    assert later not in {ident(op) for op in path}, "what came later is not in it"
