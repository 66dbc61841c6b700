"""`session` and `audit`: tokens that may do some things only, and who made this node do what."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import msgspec

from commons_crdt.errors import CommonsError
from commons_node.api.scopes import checked
from commons_node.audit import Entry
from commons_node.keystore.tokens import Token
from commons_node.moments import moment
from commons_node.registry import (
    Column,
    Command,
    Complete,
    Reading,
    Registry,
    Request,
    Seconds,
    Table,
    View,
    argument,
    file_out,
    option,
)

if TYPE_CHECKING:
    from commons_node.daemon import Daemon

_DAY_S = 86_400
_TOKENS = Complete("session.list", "tokens", "token")


class Nothing(msgspec.Struct):
    """No arguments."""


class BadTime(CommonsError):
    """A token lasts from a minute to ten years."""

    code = "bad_argument"
    hint = "for example --for 90d"
    status = "usage"


class Make(msgspec.Struct):
    """Arguments of ``session token``."""

    only: Annotated[
        list[str], option("what it may: view:status, act:loan.request, host:peer.*, or events")
    ]
    name: Annotated[
        Annotated[str, msgspec.Meta(max_length=60)], option("what it is for, such as hall screen")
    ] = ""
    lasts: Annotated[Seconds, option("how long it counts")] = msgspec.field(
        default=365 * _DAY_S, name="for"
    )
    out: Annotated[
        str | None, file_out("write it to this file, for you alone to read", result="file")
    ] = None


async def make(request: Request[Daemon], args: Make) -> Mapping[str, object]:
    """Make a token that may do some things only."""
    if not 60 <= args.lasts <= 3660 * _DAY_S:
        raise BadTime
    doors = request.node.doors
    only = checked(args.only, doors.verbs)
    secret, made = doors.tokens.make(only, args.name.strip(), args.lasts)
    told = (
        {"file": base64.b64encode(f"{secret}\n".encode()).decode(), "written": args.out}
        if args.out
        else {"secret": secret}
    )
    return {**_shown(made), **told}


def _shown(token: Token) -> dict[str, object]:
    return {
        "token": token.token,
        "name": token.name or None,
        "only": list(token.only),
        "made": moment(token.made_ms),
        "until": moment(token.until_ms),
    }


async def tokens(request: Request[Daemon], _args: Nothing) -> Reading:
    """All tokens that count."""
    return Reading({"tokens": [_shown(one) for one in request.node.doors.tokens.list()]})


class Which(msgspec.Struct):
    """Arguments of ``session revoke``."""

    token: Annotated[str, argument("the token's 8 digits", complete=_TOKENS)]


async def revoke(request: Request[Daemon], args: Which) -> Mapping[str, object]:
    """Let a token count no more, and lock whoever is unlocked by it."""
    gone = request.node.doors.tokens.revoke(args.token)
    request.node.sessions.drop_key(bytes.fromhex(gone.key))
    return {"token": gone.token, "name": gone.name or None}


class Newest(msgspec.Struct):
    """Arguments of ``audit list``."""

    limit: Annotated[
        Annotated[int, msgspec.Meta(ge=1, le=10_000)], option("how many, the newest first")
    ] = 50


async def list_audit(request: Request[Daemon], args: Newest) -> Reading:
    """Who made this node do what."""
    names: dict[str, str] = {}
    for community in request.node.communities.values():
        names |= {who.hex(): name for who, name in (await community.names()).items()}
    entries = request.node.doors.audit.newest(args.limit)
    return Reading({"entries": [_entry(one, names) for one in entries]})


def _entry(entry: Entry, names: Mapping[str, str]) -> dict[str, object]:
    empty: Mapping[str, object] = {"member": None, "session": None}
    told = {
        key: value for key, value in msgspec.to_builtins(entry).items() if value not in ("", None)
    }
    return {**empty, **told, "who": names.get(entry.member, entry.member[:8]) or None}


REGISTRY = Registry(
    commands=(
        Command("session.token", "Make a token that may do some things only.", Make, make,
                says=("The token {token} is in {written}; it counts until {until:time}.",
                      "It counts until {until:time}, and is not shown again:\n{secret}")),
        Command("session.revoke", "Let a token count no more.", Which, revoke,
                says="{token} counts no more."),
    ),
    views=(
        View("session.list", "The tokens that count.", Nothing, tokens,
             table=Table("tokens", (Column("token", "Token"), Column("name", "For"),
                                    Column("only", "May"), Column("until", "Until", "time")),
                         "No tokens.")),
        View("audit.list", "Who made this node do what, the newest first.", Newest, list_audit,
             table=Table("entries", (Column("at", "When", "time"), Column("verb", "What"),
                                     Column("outcome", "Outcome"), Column("who", "Who"),
                                     Column("session", "Session"), Column("door", "Door")),
                         "Nothing was written down.")),
    ),
    nouns={"session": "tokens for programs", "audit": "who made this node do what"},
)  # fmt: skip
