"""Tells a web server of the host's choice: JSON by POST, with a key that says when it is twice."""

from __future__ import annotations

import hashlib
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from commons_crdt.texts import N_
from commons_node.drivers.driver import Around, By, Kind, Silent, Undelivered
from commons_node.web import Allowed, Web


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``url``: https, or http to a machine of one's own. ``token``: sent as a bearer's."""

    url: Annotated[str, Meta(pattern=r"^https?://[A-Za-z0-9.-]{1,250}(:[0-9]{1,5})?(/[!-~]*)?\Z")]
    token: Annotated[str, Meta(max_length=500, pattern=r"^[!-~]*\Z")] = ""


class Told(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``body``: what is sent, as JSON."""

    body: Any
    by: By | None = None


class Webhook(Silent):
    """Posts; an answer of 2xx is an arrival."""

    def __init__(self, settings: Settings, web: Web) -> None:
        """Asks nobody yet."""
        self._settings = settings
        self._web = web
        scheme, _, rest = settings.url.partition("://")
        self._allowed = Allowed.of(f"local:{scheme}://{rest.partition('/')[0]}")

    async def send(self, key: str, message: Told) -> None:
        """One POST. Raises ``Undelivered``, ``WebFault``."""
        told = hashlib.blake2b(key.encode(), digest_size=16).hexdigest()
        headers = {"Content-Type": "application/json", "Idempotency-Key": f'"{told}"'}
        if message.by is not None:
            headers["Commons-Agent"] = message.by.agent
            headers["Commons-Principal"] = message.by.principal
        if self._settings.token:
            headers["Authorization"] = f"Bearer {self._settings.token}"
        answer = await self._web.fetch(
            self._settings.url, [self._allowed], method="POST", headers=headers,
            body=msgspec.json.encode(message.body), most=64 << 10,
        )  # fmt: skip
        if not 200 <= answer.status < 300:
            raise Undelivered(why=f"the server answered {answer.status}")


def _make(settings: Settings, around: Around) -> Webhook:
    return Webhook(settings, around.web)


KIND: Final = Kind(
    "webhook", N_("tells a web server, as JSON"), Settings, _make, Told
)  # fmt: skip
