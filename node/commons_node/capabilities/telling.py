"""``notify.send`` and ``driver.*``: what leaves by the host's drivers, and what they tell.

What is sent is a letter in the outbox, written with the end of the run: it leaves at least once,
each time with the same key. An agent never touches a device.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from commons_node.agents.manifest import Grant
from commons_node.capabilities.capability import Calling, Capability, bounded
from commons_node.capabilities.refusals import BadParameters, NotGranted, OnlyDry
from commons_node.drivers.driver import By
from commons_node.drivers.held import BadMessage

Via = Annotated[str, Meta(max_length=40)]
_BYTES: Final = 256 << 10


class Notify(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``via``: a notifier of the host, one of the grant's ``drivers`` if it names any; without
    one it is a notice that `job show` has. ``to``: an address, where the notifier takes one.
    ``key``: what it is about, so that it is said once.
    """

    text: Annotated[str, Meta(min_length=1, max_length=2_000)]
    title: Annotated[str, Meta(max_length=200, pattern=r"^[^\r\n]*\Z")] = ""
    via: Via = ""
    to: Annotated[str, Meta(max_length=254)] = ""
    key: str = ""


class Send(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``driver``: as the host named it. ``message``: as its [kind](#drivers) says."""

    driver: Via
    message: dict[str, Any]
    key: str = ""


class Read(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``driver``: as the host named it. ``ask``: as its [kind](#drivers) says."""

    driver: Via
    ask: dict[str, Any] = {}


def may_notify(grant: Grant, driver: str) -> bool:
    """A grant that names no drivers is for every notifier, as the screen of permissions says."""
    return grant.drivers is None or driver in grant.drivers


def may_use(grant: Grant, driver: str) -> bool:
    """Everything else that can be sent to, or asked, is named."""
    return driver in (grant.drivers or ())


def _no_driver(method: str, driver: str) -> NotGranted:
    return NotGranted(method=method, why=f"the driver {driver!r}")


async def notify(calling: Calling, grant: Grant, params: Notify) -> object:
    """Tell somebody."""
    if not params.via:
        text = f"{params.title}: {params.text}" if params.title else params.text
        body: dict[str, object] = {"text": text[:2_000], "about": calling.whose}
        return {"key": calling.want("notify.send", "notice", params.key, body)}
    if not may_notify(grant, params.via):
        raise _no_driver("notify.send", params.via)
    message = {"text": params.text, "title": params.title, "to": params.to}
    return {"key": await _letter(calling, "notify.send", params.via, message, params.key)}


async def send(calling: Calling, grant: Grant, params: Send) -> object:
    """Give something to a driver."""
    if not may_use(grant, params.driver):
        raise _no_driver("driver.send", params.driver)
    key = await _letter(calling, "driver.send", params.driver, params.message, params.key)
    return {"key": key}


async def _letter(
    calling: Calling, method: str, driver: str, message: dict[str, Any], key: str
) -> str:
    bounded(method, message, _BYTES)
    principal = calling.lease.job.principal
    by = By(calling.agent, principal, await calling.inside.name_of(principal))
    try:
        body = calling.inside.drivers.checked(driver, message, by)
    except BadMessage as error:
        raise BadParameters(method=method, why=error) from None
    letter = {"to": f"driver:{driver}", "body": body, **calling.whose}
    return calling.want(method, "outbox", key, letter)


async def read(calling: Calling, grant: Grant, params: Read) -> object:
    """What a driver sees now."""
    if not may_use(grant, params.driver):
        raise _no_driver("driver.read", params.driver)
    if calling.dry:
        raise OnlyDry(method="driver.read")
    try:
        return await calling.inside.drivers.ask(params.driver, params.ask)
    except BadMessage as error:
        raise BadParameters(method="driver.read", why=error) from None


CAPABILITIES: Final = (
    Capability(
        "notify.send", "Tell the host, or somebody by a notifier.", Notify, "`{key}`", notify,
        ("drivers",), 5, effect=True,
    ),
    Capability(
        "driver.send", "Give something to a printer, a folder, a webhook.", Send, "`{key}`", send,
        ("drivers",), 5, effect=True, needs=("drivers",),
    ),
    Capability(
        "driver.read", "Ask a sensor or a camera.", Read, "what the driver's kind says", read,
        ("drivers", "max_bytes"), 10, needs=("drivers",),
    ),
)  # fmt: skip
