"""What the audit is told of a command, whatever becomes of it."""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

import msgspec
from starlette.requests import ClientDisconnect

from commons_crdt.errors import CommonsError
from commons_node.api.answers import TRANSPORT
from commons_node.keystore.sessions import acted

if TYPE_CHECKING:
    from starlette.requests import Request as HttpRequest

    from commons_node.api.permits import Door
    from commons_node.audit import Audit
    from commons_node.keystore.sessions import Session
    from commons_node.registry import Verb


@dataclass(slots=True)
class Noted:
    """What the audit says of one command."""

    session: Session | None = None
    given: Sequence[str] = ()
    answer: Mapping[str, object] = field(default_factory=dict)


@contextmanager
def noting(audit: Audit | None, door: Door, http: HttpRequest, verb: Verb) -> Iterator[Noted]:
    """Write down what becomes of a command, whatever that is."""
    noted, began, outcome = Noted(), time.monotonic(), "ok"
    acted.set(None)
    try:
        yield noted
    except CommonsError as error:
        outcome = error.code
        raise
    except (asyncio.CancelledError, ClientDisconnect):
        outcome = "stopped"
        raise
    except BaseException:
        outcome = "internal"
        raise
    finally:
        if audit is not None:
            audit.note(
                verb.name,
                outcome,
                door=door,
                session=noted.session,
                member=acted.get(),
                given=noted.given,
                answer=noted.answer,
                caller=_caller(http.scope.get("state", {}).get(TRANSPORT)),
                began=began,
            )


def given_in(arguments: msgspec.Struct) -> list[str]:
    """The names of the arguments that differ from what they are when they are left out."""
    return [
        one.name
        for one in _fields(type(arguments))
        if one.required or getattr(arguments, one.name) != _standard(one)
    ]


@cache
def _fields(arguments: type[msgspec.Struct]) -> tuple[msgspec.structs.FieldInfo, ...]:
    """Msgspec reads the annotations of a type each time that it is asked."""
    return msgspec.structs.fields(arguments)


def _standard(one: msgspec.structs.FieldInfo) -> object:
    made = one.default_factory
    return one.default if made is msgspec.NODEFAULT else made()


def _caller(transport: Any) -> tuple[int, int] | None:
    """(uid, pid) of the program at the other end; None where the system does not tell."""
    found = transport.get_extra_info("socket") if transport is not None else None
    if found is None or not hasattr(socket, "SO_PEERCRED"):
        return None
    try:
        pid, uid, _ = struct.unpack(
            "3i", found.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        )
    except OSError:  # it has hung up
        return None
    return uid, pid
