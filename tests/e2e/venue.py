"""A café in Elm Street: Alice's node makes its codes, and people check in at her keys or at theirs.

Alice's machine is a kiosk: several members keep their keys there. Bob has a node of his own.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tests.e2e.clocks import begin_well_before_midnight
from tests.e2e.neighbourhood import PASSPHRASE, House, Street, agree

from commons_crdt.device import DeviceSecrets
from commons_crdt.ids import DocumentId, RealmId
from commons_node.api.client import Client
from commons_node.keystore.node_key import NodeKey
from commons_protocol.venue import make_code

LODGERS = ("cia", "dan", "eve", "fay")


@dataclass
class Cafe:
    """The houses, who lives at Alice's, and the space."""

    alice: House
    bob: House
    space: str
    lodgers: dict[str, Client] = field(default_factory=dict)
    members: dict[str, str] = field(default_factory=dict)

    def code(self) -> str:
        """What is shown at the door now."""
        found: str = self.alice.do("space.code", space=self.space)["code"]
        return found

    def comes(self, who: str, code: str | None = None) -> dict[str, Any]:
        """Somebody checks in at the kiosk, or at their own node."""
        arguments = {"space": self.space, "code": code or self.code()}
        if who in self.lodgers:
            return self.lodgers[who].command("checkin.create", arguments, 60)
        house = self.bob if who == "bob" else self.alice
        return house.do("checkin.create", **arguments)

    def count(self, house: House | None = None) -> int | None:
        """What everybody is shown."""
        found: int | None = (house or self.alice).see("space.show", space=self.space)["count"]
        return found

    def tags(self) -> list[bytes]:
        """The tags that stand at Alice's."""
        return [bytes(tag) for (tag,) in self.alice.query("SELECT tag FROM v_attendance")]

    def code_of_slot(self, slot: int, space: str | None = None) -> str:
        """A code that Alice's node made at some other time, by its own key."""
        secrets = NodeKey(self.alice.home / "node.key").load()
        (realm,) = (path.stem for path in (self.alice.home / "realms").glob("*.db"))
        device = DeviceSecrets(secrets[f"{realm}.signing"], secrets[f"{realm}.sealing"])
        ident = DocumentId(bytes.fromhex(space or self.space))
        return make_code(RealmId(bytes.fromhex(realm)), ident, slot, device.signing)


def full(name: str) -> str:
    """What a lodger calls herself: long enough not to stand anywhere by chance."""
    return f"{name} of Elm Street"


def open_cafe(street: Street, lodgers: tuple[str, ...] = LODGERS) -> Cafe:
    """Alice founds Elm Street and the café, Bob joins at his own node, the others at hers."""
    begin_well_before_midnight()
    alice, bob = street.build("alice", "bob")
    alice.found()
    bob.join(alice.invite())
    cafe = Cafe(alice, bob, "", members={"alice": alice.member, "bob": bob.member})
    code = alice.invite(uses=len(lodgers)) if lodgers else ""
    for name in lodgers:
        client = Client(alice._socket)
        joined = client.command(
            "join", {"code": code, "member": name, "passphrase": PASSPHRASE}, 60
        )
        assert joined["state"] == "joined"
        client.session = joined["session"]
        cafe.lodgers[name] = client
        cafe.members[name] = joined["member"]
    cafe.space = alice.do("space.create", name="Café", hours="24/7")["space"]
    agree(alice, bob)
    return cafe
