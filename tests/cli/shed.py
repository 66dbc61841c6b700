"""A tool shed with two neighbours: a small registry, served by the real server on a real socket.

Everything around it is the daemon's own: registry, API, keystore, sessions. Only what the verbs do
is made up, so that each way in which a call can end is at hand.
"""

from __future__ import annotations

import asyncio
import base64
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from commons_crdt.errors import CommonsError
from commons_node.agents.refusals import NotAgreed
from commons_node.api.events import Events
from commons_node.api.server import ApiServer
from commons_node.home import Home
from commons_node.keystore.sessions import Sessions, WhichMember, pick
from commons_node.keystore.store import Keystore
from commons_node.registry import (
    Column,
    Command,
    Complete,
    Count,
    File,
    Reading,
    Registry,
    Request,
    Seconds,
    Table,
    View,
    argument,
    file_out,
    option,
    passphrase,
    secret,
)

ALICE, BOB = "a1" * 32, "b0" * 32
NAMES = {"alice": ALICE, "bob": BOB}
PASSPHRASES = {"alice": "correct horse battery", "bob": "staple of the shed"}
THINGS = Complete("thing.list", "things", "name")


class NotImported(CommonsError):
    """No row was imported: {count} are wrong."""

    code = "not_imported"
    hint = "correct them, or take the good ones with --partial"
    status = "failed"


class NoThing(CommonsError):
    """There is no thing called {name}."""

    code = "no_thing"
    hint = "commons-node thing list"
    status = "not_found"


class NotTogether(CommonsError):
    """After {seconds} s the peers do not agree."""

    code = "not_converged"
    hint = "commons-node peer list"
    status = "timeout"


@dataclass
class Shed:
    """The node of these tests."""

    keystore: Keystore
    sessions: Sessions
    things: dict[str, str] = field(
        default_factory=lambda: {"drill": "in", "ladder": "in", "Söder's spade": "in"}
    )
    events: Events = field(default_factory=Events)
    calls: list[tuple[str, object]] = field(default_factory=list)


class Lend(msgspec.Struct):
    thing: Annotated[str, argument("the thing, by name", complete=THINGS)]
    days: Annotated[Count | None, option("for how many days")] = None
    until: Annotated[datetime | None, option("until when")] = None
    keep: Annotated[Seconds, option("how long to keep it ready")] = 900
    tag: Annotated[list[str], option("a word for it")] = msgspec.field(default_factory=list)
    state: Annotated[Literal["ok", "ticket"] | None, option("how it looks")] = None
    score: Annotated[Literal[1, 2, 3] | None, option("how good")] = None
    quietly: Annotated[bool, option("tell nobody")] = False
    offer: Annotated[File | str | None, option("what the giver handed over")] = None


async def lend(request: Request[Shed], args: Lend) -> Mapping[str, object]:
    member = request.member and NAMES.get(request.member, request.member)
    who = pick(request.session, member)
    request.node.calls.append((who.member, args))
    if args.thing not in request.node.things:
        raise NoThing(name=args.thing)
    request.node.things[args.thing] = "out"
    request.node.events.publish("lent", {"thing": args.thing})
    return {
        "loan": "1f" * 32,
        "thing": args.thing,
        "borrower": who.member,
        "days": args.days,
        "until": args.until,
        "keep": args.keep,
        "tag": args.tag,
        "community": request.community,
        "verdict": "accepted",
        "reason": None,
    }


LABEL = "abcd efgh"


class Check(msgspec.Struct):
    thing: Annotated[str, argument("the thing it is on")]
    groups: Annotated[str, secret("the groups of the label")]
    old: Annotated[str | None, secret("the label before")] = None


async def print_label(_request: Request[Shed], _args: Nothing) -> Mapping[str, object]:
    return {"label": LABEL}


async def check_label(request: Request[Shed], args: Check) -> Mapping[str, object]:
    request.node.calls.append((args.thing, args))
    if args.groups != LABEL:
        raise NoThing(name="label")
    return {"thing": args.thing}


class Import(msgspec.Struct):
    file: Annotated[File, argument("a list of things")]
    partial: Annotated[bool, option("take the good rows")] = False


async def import_things(request: Request[Shed], args: Import) -> Mapping[str, object]:
    names = args.file.data.decode().split()
    wrong = [{"row": row, "outcome": "failed"} for row, name in enumerate(names) if name == "?"]
    if wrong and not args.partial:
        raise NotImported(count=len(wrong), report={"read": len(names), "rows": wrong})
    return {"read": len(names), "name": args.file.name, "rows": wrong}


class Export(msgspec.Struct):
    file: Annotated[str, file_out("where to write it", result="data", positional=True)]


async def export(request: Request[Shed], args: Export) -> Mapping[str, object]:
    return {"things": 3, "name": args.file, "data": base64.b64encode(b"\x00things\n").decode()}


class OneThing(msgspec.Struct):
    thing: Annotated[str, argument("the thing", complete=THINGS)]


async def remove(request: Request[Shed], args: OneThing) -> Mapping[str, object]:
    request.node.things.pop(args.thing, None)
    return {"thing": args.thing, "verdict": "pending", "reason": "a steward is asked"}


class Nap(msgspec.Struct):
    seconds: Annotated[float, argument("how long")]


class Admit(msgspec.Struct):
    guest: Annotated[str, argument("who wants in")]
    agree: Annotated[str | None, option("agree to just what was shown")] = None


async def admit(request: Request[Shed], args: Admit) -> Mapping[str, object]:
    word = f"in with {args.guest}"
    if args.agree != word:
        wishes = [{"wish": "to sleep under the roof"}, {"wish": "to use the saw"}]
        raise NotAgreed(agent=args.guest, agree=word,
                        report={"asking": args.guest, "agree": word, "wishes": wishes})  # fmt: skip
    request.node.things[args.guest] = "in"
    return {"guest": args.guest}


async def nap(request: Request[Shed], args: Nap) -> Mapping[str, object]:
    request.node.calls.append(("nap", args))
    await asyncio.sleep(args.seconds)
    return {"slept": args.seconds}


class Nothing(msgspec.Struct):
    pass


async def stumble(request: Request[Shed], args: Nothing) -> Mapping[str, object]:
    raise RuntimeError("the shed's secret is 1234")


async def time_out(request: Request[Shed], args: Nothing) -> Mapping[str, object]:
    raise TimeoutError("a socket of the shed")


class Wait(msgspec.Struct):
    timeout: Annotated[float, option("how long to wait")] = 30.0


async def sync_wait(request: Request[Shed], args: Wait) -> Mapping[str, object]:
    await asyncio.sleep(args.timeout)
    raise NotTogether(seconds=args.timeout)


class Found(msgspec.Struct):
    name: Annotated[str, argument("what it is called")]
    passphrase: Annotated[str, passphrase("protects your keys", new=True)]


async def found(request: Request[Shed], args: Found) -> Mapping[str, object]:
    member = "c4" * 32
    unlocked = await request.node.keystore.create(member, {"signing": b"s" * 32}, args.passphrase)
    session = request.session or request.node.sessions.new()
    session.unlock(unlocked)
    return {"name": args.name, "session": session.token}


async def invite(request: Request[Shed], args: Nothing) -> Mapping[str, object]:
    return {"code": "commons1" + "q7z" * 29}


class Unlock(msgspec.Struct):
    passphrase: Annotated[str, passphrase("the member's passphrase")]
    member: Annotated[str | None, argument("who")] = None
    idle: Annotated[Seconds, option("how long")] = msgspec.field(default=900, name="for")


async def unlock(request: Request[Shed], args: Unlock) -> Mapping[str, object]:
    if args.member is None:
        raise WhichMember  # two live here
    member = NAMES.get(args.member, args.member)
    unlocked = await request.node.keystore.unlock(member, args.passphrase)
    session = request.session or request.node.sessions.new()
    idle = session.unlock(unlocked, float(args.idle))
    return {"member": member, "session": session.token, "for": idle}


class Lock(msgspec.Struct):
    member: Annotated[str | None, argument("who; everybody if left out")] = None


async def lock(request: Request[Shed], args: Lock) -> Mapping[str, object]:
    member = args.member and NAMES.get(args.member, args.member)
    return {"locked": list(request.session.lock(member)) if request.session else []}


class Search(msgspec.Struct):
    query: Annotated[str | None, option("part of the name")] = None
    state: Annotated[Literal["in", "out"] | None, option("where it is")] = None
    limit: Annotated[Count | None, option("how many")] = None
    tag: Annotated[list[str], option("a word for it")] = msgspec.field(default_factory=list)


async def list_things(request: Request[Shed], args: Search) -> Reading:
    rows = [
        {"name": name, "state": state, "id": f"{number:064x}"}
        for number, (name, state) in enumerate(request.node.things.items())
        if (args.query or "") in name and args.state in {None, state}
    ]
    return Reading({"things": rows[: args.limit], "tag": args.tag}, as_of="now", missing=())


async def status(request: Request[Shed], args: Nothing) -> Reading:
    value = {"version": "0", "node": "0f" * 32, "ready": True, "peers": [{"node": "x", "up": 1}]}
    return Reading(value, as_of="now", missing=["a1"], conflicts=["b2"])


REGISTRY = Registry(
    commands=(
        Command("thing.lend", "Lend a thing.", Lend, lend, member=True,
                says=("{thing} is lent until {until:time}.", "{thing} is lent to {borrower}.")),
        Command("thing.paper.print", "Print a label.", Nothing, print_label,
                says="The label is {label}.", then="thing.paper.check"),
        Command("thing.paper.check", "Check a label.", Check, check_label, says="It is right."),
        Command("thing.import", "Import things.", Import, import_things,
                table=Table("rows", (Column("row", "Row"), Column("outcome", "Outcome")))),
        Command("thing.export", "Export things.", Export, export, says="{things} things."),
        Command("thing.remove", "Remove a thing.", OneThing, remove, says="{thing} is gone.",
                asks="Remove {thing} for ever?"),
        Command("thing.admit", "Let somebody in.", Admit, admit,
                says=("{asking} wants:", "{guest} is in."),
                table=Table("wishes", (Column("wish", "Wish"),))),
        Command("thing.nap", "Do nothing for a while.", Nap, nap, timeout_s=20.0),
        Command("thing.stumble", "Fail.", Nothing, stumble),
        Command("thing.timeout", "Fail otherwise.", Nothing, time_out),
        Command("sync.wait", "Wait for peers.", Wait, sync_wait),
        Command("found", "Found a shed.", Found, found, says="{name} is founded.",
                opens_session=True),
        Command("invite.create", "Invite somebody.", Nothing, invite, says="{code}", qr="code"),
        Command("member.unlock", "Act here.", Unlock, unlock, says="Unlocked.",
                opens_session=True),
        Command("member.lock", "Stop acting here.", Lock, lock, says="Locked."),
    ),
    views=(
        View("thing.list", "All things.", Search, list_things,
             table=Table("things", (Column("name", "Name"), Column("state", "State"),
                                    Column("id", "Id", "id")), "The shed is empty.")),
        View("status", "How the shed is.", Nothing, status),
    ),
    nouns={"thing": "what is in the shed", "thing.paper": "labels on paper",
           "member": "who acts here"},
)  # fmt: skip

VERBS: dict[str, Any] = REGISTRY.describe()


async def furnished(home: Path) -> Shed:
    """A shed whose two members have keys."""
    keystore = Keystore(home / "keys")
    for name, member in NAMES.items():
        if member not in keystore.members():
            await keystore.create(member, {"signing": name.encode() * 6}, PASSPHRASES[name])
    return Shed(keystore, Sessions())


@contextmanager
def served(home: Path) -> Iterator[Shed]:
    """The shed's node in a thread of its own, for clients that block."""
    folder = Home(home)
    folder.create()
    ready, shed_of, failures = threading.Event(), [], []
    stop: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    async def serve() -> None:
        shed = await furnished(home)
        server = ApiServer(REGISTRY, shed, shed.sessions, folder.socket({}), shed.events)
        await server.start()
        stopping = asyncio.Event()
        stop.append((asyncio.get_running_loop(), stopping))
        shed_of.append(shed)
        ready.set()
        await stopping.wait()
        await server.stop()

    def thread() -> None:
        try:
            asyncio.run(serve())
        except BaseException as error:
            failures.append(error)
            ready.set()

    running = threading.Thread(target=thread)
    running.start()
    assert ready.wait(20), "the shed's server starts"
    try:
        if not failures:
            yield shed_of[0]
    finally:
        for loop, stopping in stop:
            loop.call_soon_threadsafe(stopping.set)
        running.join(20)
    assert not failures, failures
    assert not running.is_alive(), "a server stops within bounded time"
