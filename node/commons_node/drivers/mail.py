"""A notifier by mail: one server, and the addresses that the host allows."""

from __future__ import annotations

import asyncio
import hashlib
import smtplib
import socket
import ssl
import threading
from contextlib import suppress
from email.message import EmailMessage
from email.utils import format_datetime, localtime
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from commons_crdt.texts import N_, _
from commons_node.drivers.desktop import Notice
from commons_node.drivers.driver import Around, Kind, Silent, Undelivered

_ANSWER_S: Final = 20.0
"""For one answer of the server."""
_LETTER_S: Final = 60.0
"""For all of a letter, however slowly the server tells its answers."""
_READY: Final = 220
_HERE: Final = frozenset({"localhost", "127.0.0.1", "::1"})
Mailbox = Annotated[str, Meta(pattern=r"^[^\s@<>,;:\"]{1,64}@[A-Za-z0-9.-]{1,189}\Z")]


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``to``: who may be written to; the first one where a message names nobody.

    ``user`` and ``password_file``, readable by this user only: both, or neither. ``security``:
    starttls, tls, or none; a password goes to a server on this machine only where it is none.
    """

    server: Annotated[str, Meta(min_length=1, max_length=253)]
    sender: Mailbox
    to: Annotated[tuple[Mailbox, ...], Meta(min_length=1, max_length=50)]
    port: Annotated[int, Meta(ge=1, le=65_535)] = 587
    security: Literal["starttls", "tls", "none"] = "starttls"
    user: str = ""
    password_file: str = ""


def _lacking(settings: Settings) -> tuple[str, str] | None:
    if not settings.user:
        return None
    if settings.security == "none" and settings.server not in _HERE:
        why = _("its password would go to {server} unprotected").format(server=settings.server)
        return why, _("set security to starttls or tls, or leave user out")
    if not settings.password_file:
        return _("it has a user and no password_file"), _("set password_file, or leave user out")
    if not Path(settings.password_file).is_file():
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
        talk = _Talk(self._settings)
        try:
            async with asyncio.timeout(_LETTER_S):
                await asyncio.to_thread(talk.send, self._written(key, to, message))
        except (OSError, smtplib.SMTPException) as error:
            raise Undelivered(why=_told(error)[:300]) from None
        finally:
            talk.cut()

    def _written(self, key: str, to: str, message: Notice) -> EmailMessage:
        written = EmailMessage()
        written["From"], written["To"] = self._settings.sender, to
        title = " ".join((message.title or message.text).split())
        written["Subject"] = title[:120]
        written["Date"] = format_datetime(localtime())
        written["Message-ID"] = message_id(key, self._settings.sender)
        written["Auto-Submitted"] = "auto-generated"  # RFC 3834: nobody answers it by itself
        written.set_content(message.text + "\n" + _signature(message))
        if message.by is not None:
            written["Commons-Agent"] = message.by.agent
            written["Commons-Principal"] = message.by.principal
        return written


class _Talk:
    """One conversation with the server, in a thread; ``cut`` ends it from outside."""

    def __init__(self, settings: Settings) -> None:
        """Opens no connection."""
        self._settings = settings
        self._secure = ssl.create_default_context()
        self._cut = threading.Event()
        self._server = smtplib.SMTP(timeout=_ANSWER_S)

    def send(self, written: EmailMessage) -> None:
        """Raises OSError, SMTPException; nothing where the server has taken it."""
        one, server = self._settings, self._server
        # whose certificate it must show, as its constructor would note it
        server._host = one.server  # type: ignore[attr-defined]
        try:
            line = socket.create_connection((one.server, one.port), timeout=_ANSWER_S)
            if one.security == "tls":
                line = self._secure.wrap_socket(line, server_hostname=one.server)
            server.sock = line
            if self._cut.is_set():
                return
            code, said = server.getreply()
            if code != _READY:
                raise smtplib.SMTPConnectError(code, said)
            if one.security == "starttls":
                server.starttls(context=self._secure)
                if self._cut.is_set():
                    return
            if one.user:
                secret = Path(one.password_file).read_text(encoding="utf-8").strip()
                server.login(one.user, secret)
            server.send_message(written)
            with suppress(OSError, smtplib.SMTPException):  # it is taken, whatever comes now
                server.quit()
        finally:
            server.close()

    def cut(self) -> None:
        """Leave nobody waiting for a server that does not end."""
        self._cut.set()
        if isinstance(line := self._server.sock, socket.socket):
            with suppress(OSError):
                # not by an SSLSocket's own, which goes on in the clear for a moment
                socket.socket.shutdown(line, socket.SHUT_RDWR)


def _told(error: Exception) -> str:
    """What went wrong, with the server's own words."""
    match error:
        case TimeoutError():
            return "the server took too long"
        case ssl.SSLCertVerificationError():
            return f"the server's certificate can't be trusted: {error.verify_message}"
        case smtplib.SMTPAuthenticationError():
            return f"the server refuses user and password: {_answer(error)}"
        case smtplib.SMTPRecipientsRefused():
            ((whom, (code, said)),) = error.recipients.items()
            return f"the server refuses {whom}: {code} {_text(said)}"
        case smtplib.SMTPResponseException():
            return f"the server refuses it: {_answer(error)}"
    return f"{type(error).__name__}: {error}"


def _answer(error: smtplib.SMTPResponseException) -> str:
    return f"{error.smtp_code} {_text(error.smtp_error)}"


def _text(said: bytes | str) -> str:
    text = said.decode("utf-8", "replace") if isinstance(said, bytes) else said
    return " ".join(text.split())


def _signature(message: Notice) -> str:
    """A line below the text that says whose it is, in the language of the node."""
    if message.by is None:
        return ""
    told = _("Written by the agent {agent}, which works for {community}.")
    line = told.format(agent=message.by.agent, community=" ".join(message.by.name.split()))
    return f"-- \n{line}\n"


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
