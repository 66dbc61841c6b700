"""What members do with their identities at nodes that meet by hand."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from tests.unit.machines import Machine, device_of
from tests.unit.town import person

from commons_crdt.device import DeviceSecrets
from commons_crdt.errors import CommonsError
from commons_node.membership.doors import TicketDoor
from commons_protocol.tickets import decode_ticket

BOB, EVE = person("bob"), person("eve")


LAPTOP, TABLET, THIRD = (device_of(f"bob's {what}") for what in ("laptop", "tablet", "third"))


async def refused(
    code: str, node: Machine, who: str, verb: str, /, **arguments: Any
) -> CommonsError:
    """The error of a command that must not work, with everything as it was before."""
    before = await node.home.state_hash()
    with pytest.raises(CommonsError) as caught:
        await node.do(who, verb, **arguments)
    assert caught.value.code == code, f"{caught.value.code}: {caught.value}"
    assert await node.home.state_hash() == before, "a refused command writes nothing"
    return caught.value


async def soon(true: Callable[[], bool]) -> None:
    """Let other tasks run until something is so."""
    for _ in range(1000):
        if true():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it never came to it")


async def paper(node: Machine, who: str = "bob", **how: Any) -> str:
    """A recovery key that counts."""
    printed = await node.do(who, "member.recovery.create")
    groups = printed["key"].split(" ")
    back = " ".join(groups[number - 1] for number in printed["check"])
    done = await node.do(who, "member.recovery.confirm", groups=back, **how)
    assert (done["verdict"], done["reason"]) == ("accepted", "")
    return str(printed["key"])


def ticket_door(code: str, device: DeviceSecrets) -> TicketDoor:
    return TicketDoor(decode_ticket(code, "device"), device, lambda _realm: None)


async def add(node: Machine, device: DeviceSecrets, who: str = "bob", **limit: Any) -> str:
    """A new device of somebody, let in by code and digits; the granting operation."""
    code = (await node.do(who, "member.device.add", **limit))["code"]
    door = ticket_door(code, device)
    coming = asyncio.create_task(node.let_in(door.ticket.id, door))
    await soon(lambda: node.devices.waiting(node.realm.realm, node.people[who][0]))
    ((_, found),) = [
        (name, one) for name, one in node.devices._tickets.items() if name == door.ticket.id
    ]
    done = await node.do(who, "member.device.confirm", digits=door.shown(found.salt))
    assert (done["verdict"], done["reason"]) == ("accepted", "")
    assert len(await coming) > 5, "the new machine gets all of log 0"
    return str(done["operation"])
