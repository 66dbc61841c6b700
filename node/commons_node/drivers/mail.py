"""A notifier by mail: one server, and the addresses that the host allows."""

from __future__ import annotations

import asyncio
import hashlib
import smtplib
import ssl
from email.message import EmailMessage
from email.utils import format_datetime, localtime
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from commons_crdt.texts import N_, _
from commons_node.drivers.desktop import Notice
from commons_node.drivers.driver import Around, Kind, Silent, Undelivered

_TIMEOUT_S: Final = 20.0
Mailbox = Annotated[str, Meta(pattern=r"^[^\s@<>,;:\"]{1,64}@[A-Za-z0-9.-]{1,189}\Z")]


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``to``: who may be written to; the first one where a message names nobody.

    ``password_file``: readable by this user only. ``security``: starttls, tls, or none (a server on
    this machine).
    """

    server: Annotated[str, Meta(min_length=1, max_length=253)]
    sender: Mailbox
    to: Annotated[tuple[Mailbox, ...], Meta(min_length=1, max_length=50)]
    port: Annotated[int, Meta(ge=1, le=65_535)] = 587
    security: Literal["starttls", "tls", "none"] = "starttls"
    user: str = ""
    password_file: str = ""


def _lacking(settings: Settings) -> tuple[str, str] | None:
    if settings.password_file and not Path(settings.password_file).is_file():
        why = _("its password_file is not there")
        return why, _("write the password into that file, readable by this user only")
    return None


class Mail(Silent):
    """Sends one message; the same letter has the same Message-ID each time."""

    def __init__(self, settings: Settings) -> None:
        """Opens no connection."""
        self._settings = settings

    async def send(self, key: str, message: Notice) -> None:
        """One message. Raises ``Undelivered``."""
        to = message.to or self._settings.to[0]
        if to not in self._settings.to:
            raise Undelivered(why=f"the host does not let anybody write to {to}")
        try:
            await asyncio.to_thread(self._send, self._written(key, to, message))
        except (OSError, smtplib.SMTPException) as error:
            raise Undelivered(why=f"{type(error).__name__}: {error}"[:300]) from None

    def _written(self, key: str, to: str, message: Notice) -> EmailMessage:
        written = EmailMessage()
        written["From"], written["To"] = self._settings.sender, to
        title = " ".join((message.title or message.text).split())
        written["Subject"] = title[:120]
        written["Date"] = format_datetime(localtime())
        written["Message-ID"] = message_id(key, self._settings.sender)
        written["Auto-Submitted"] = "auto-generated"  # RFC 3834: nobody answers it by itself
        written.set_content(message.text + "\n")
        return written

    def _send(self, written: EmailMessage) -> None:
        one = self._settings
        secure = ssl.create_default_context()
        server: smtplib.SMTP
        if one.security == "tls":
            server = smtplib.SMTP_SSL(one.server, one.port, timeout=_TIMEOUT_S, context=secure)
        else:
            server = smtplib.SMTP(one.server, one.port, timeout=_TIMEOUT_S)
        with server:
            if one.security == "starttls":
                server.starttls(context=secure)
            if one.user:
                secret = Path(one.password_file).read_text(encoding="utf-8").strip()
                server.login(one.user, secret)
            server.send_message(written)


def message_id(key: str, sender: str) -> str:
    """RFC 5322: the same for the same key; a mailbox that has it knows the second one."""
    told = hashlib.blake2b(key.encode(), digest_size=16).hexdigest()
    return f"<{told}@{sender.rpartition('@')[2]}>"


def _make(settings: Settings, _around: Around) -> Mail:
    return Mail(settings)


KIND: Final = Kind(
    "mail", N_("writes mail by a server that the host names"), Settings, _make, Notice,
    lacking=_lacking,
)  # fmt: skip
