"""The one list of verbs from which API, OpenAPI, command line and completion are made.

A domain declares its commands and views here as values; nothing in this file runs them, opens a
socket or knows a domain. A verb's arguments are a ``msgspec.Struct`` whose fields are described
with ``Annotated[type, argument("…")]`` or ``Annotated[type, option("…")]``:

    class Ask(msgspec.Struct):
        resource: Annotated[str, argument("the thing, by name, number or id")]
        days: Annotated[Days | None, option("for how many days")] = None
        photo: Annotated[File | None, option("a picture of it")] = None

    Command("loan.request", "Ask to borrow a thing.", Ask, ask, says="You asked for {resource}.")
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, Final, Generic, Literal, TypeVar

import msgspec
from msgspec import inspect

from commons_node.api.types import API_VERSION
from commons_node.selecting import Selection

if TYPE_CHECKING:
    from commons_node.keystore.sessions import Session

NodeT = TypeVar("NodeT")


@dataclass(frozen=True, slots=True)
class Request(Generic[NodeT]):
    """Who asks, for which community, and of which node.

    ``community`` and ``member`` are the selectors as typed (id, prefix or name) or None; what they
    mean is for the domain to find out. ``session`` is the caller's terminal session, None when the
    caller has none or the node no longer knows it. ``selection``: what of a view's list anybody
    will look at, None for all of it.
    """

    node: NodeT
    community: str | None = None
    member: str | None = None
    session: Session | None = None
    selection: Selection | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """What a view answers: the value and how far it can be trusted.

    ``as_of`` says up to what the value was computed (a set hash, heads or a time), ``missing``
    lists what is known to exist and is not here, ``conflicts`` what is contested, all JSON-able.
    ``more``: the list has the rows of the request's selection only, and whether more of them fit
    behind those; None: it is whole.
    """

    value: Mapping[str, object]
    as_of: object = None
    missing: Sequence[object] = ()
    conflicts: Sequence[object] = ()
    more: bool | None = None


class File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file that the caller read: its name without folders, and its bytes (base64 in JSON)."""

    name: str
    data: bytes


Seconds = Annotated[int, msgspec.Meta(ge=0, extra={"kind": "duration"})]
"""A duration: seconds in JSON, ``15m`` or ``7d`` on the command line."""
Count = Annotated[int, msgspec.Meta(ge=1)]
"""A whole number, 1 or more."""


@dataclass(frozen=True, slots=True)
class Complete:
    """Where the shell finds values: in ``view``'s list ``rows``, the field ``name`` of each row."""

    view: str
    rows: str
    name: str


def argument(text: str, *, complete: Complete | None = None, metavar: str = "") -> msgspec.Meta:
    """A positional argument, described by ``text``; lists take all that follow."""
    return _meta(text, complete, {"positional": True, "metavar": metavar})


def option(text: str, *, complete: Complete | None = None, metavar: str = "") -> msgspec.Meta:
    """An option ``--field-name``; a bool becomes a flag, a list may be repeated."""
    return _meta(text, complete, {"metavar": metavar})


def file_out(text: str, *, result: str, positional: bool = False) -> msgspec.Meta:
    """A file that the caller writes: the command line stores the result's field ``result`` in it.

    The verb gets the file's name without folders (``str | None``), and answers the bytes as base64
    under ``result``. The command line takes that field out of what it prints.
    """
    return _meta(text, None, {"positional": positional, "kind": "file-out", "result": result})


def path_out(text: str) -> msgspec.Meta:
    """A file that the *node* writes, positional: the verb gets its absolute path (``str``).

    For what is too large for an answer. The command line asks before one is replaced.
    """
    return _meta(text, None, {"positional": True, "kind": "path-out"})


def path_in(text: str) -> msgspec.Meta:
    """A file that the *node* reads, positional: the verb gets its absolute path (``str``)."""
    return _meta(text, None, {"positional": True, "kind": "path-in"})


def folder(text: str) -> msgspec.Meta:
    """A folder that the *node* uses, positional: the verb gets its absolute path (``str``)."""
    return _meta(text, None, {"positional": True, "kind": "folder"})


def passphrase(text: str, *, new: bool = False) -> msgspec.Meta:
    """A passphrase, never an option: asked for or read from ``--passphrase-file``.

    ``new`` passphrases are asked twice and refused when weak.
    """
    return _meta(text, None, {"kind": "new-passphrase" if new else "passphrase"})


def secret(text: str) -> msgspec.Meta:
    """A secret that stands on paper, never an option: asked for, or read from a file.

    The command line has ``--FIELD-file F`` for it, and ``--FIELD`` where it may be left out: then
    it is asked for only if that is given.
    """
    return _meta(text, None, {"kind": "secret"})


def _meta(text: str, complete: Complete | None, extra: dict[str, object]) -> msgspec.Meta:
    cli = {key: value for key, value in extra.items() if value}
    if complete is not None:
        cli["complete"] = {"view": complete.view, "rows": complete.rows, "field": complete.name}
    return msgspec.Meta(description=text, extra={"cli": cli})


@dataclass(frozen=True, slots=True)
class Column:
    """One column: the row's field, its title, and ``kind`` (text, word, id, time, yes, number)."""

    name: str
    title: str
    kind: str = "text"


@dataclass(frozen=True, slots=True)
class Table:
    """How a list in the answer is shown: its field, the columns, a sentence when empty."""

    rows: str
    columns: tuple[Column, ...]
    empty: str = ""


Need = Literal["view", "act", "host", "session"]
"""What a caller must be allowed: to look, to act as a member (who must be unlocked too), to run the
node, or to begin and end being somebody at a terminal. See `api.scopes`."""

Run = Callable[[Request[Any], Any], Awaitable[Mapping[str, object]]]
Read = Callable[[Request[Any], Any], Awaitable[Reading]]


@dataclass(frozen=True, slots=True)
class Command:
    """A verb that changes something.

    ``says`` is the sentence for people, filled with the answer's fields; of several the first whose
    fields are all present. ``{field:id}`` shortens an id, ``{field:time}`` shows local time.
    ``asks`` is the question before a destructive verb, filled with the arguments. ``qr`` names a
    field of the answer that a terminal may show as a QR code. ``opens_session``: the answer's
    ``session`` is the caller's terminal session from now on. ``member``: needs an unlocked member.
    ``timeout_s``: how long it may take when the caller does not say. ``then``: the command that a
    person at a terminal goes on with at once, unless the answer says ``goes_on`` false; what it
    needs is asked for. ``progress``: the event
    that says meanwhile how many ``bytes`` of how many (``total``) are done. ``needs``: where it
    does not follow from the rest. ``trustable``: a member may say beforehand that they sign what an
    agent proposes of it; for what can be undone, moves no credits and changes no one's rights.
    """

    name: str
    summary: str
    args: type[msgspec.Struct]
    run: Run
    says: str | tuple[str, ...] = ()
    table: Table | None = None
    member: bool = False
    asks: str = ""
    qr: str = ""
    opens_session: bool = False
    timeout_s: float = 60.0
    then: str = ""
    progress: str = ""
    needs: Need | None = None
    trustable: bool = False

    @property
    def need(self) -> Need:
        """What a caller must be allowed."""
        itself: Need = "act" if self.member else "host"
        return self.needs or ("session" if self.opens_session else itself)


@dataclass(frozen=True, slots=True)
class View:
    """A verb that only reads; everything else as in ``Command``.

    ``watch``: the command line can show it again and again (``--watch``).
    """

    name: str
    summary: str
    args: type[msgspec.Struct]
    read: Read
    says: str | tuple[str, ...] = ()
    table: Table | None = None
    member: bool = False
    timeout_s: float = 30.0
    watch: bool = False

    @property
    def need(self) -> Need:
        """What a caller must be allowed."""
        return "view"


Verb = Command | View

RESERVED_NOUNS: Final = frozenset({
    "completion", "demo", "doctor", "events", "help", "keyring", "paths", "run", "service", "tui",
    "version",
})  # fmt: skip
"""Commands of the command line itself; no verb takes these names."""
GLOBAL_OPTIONS: Final = frozenset({
    "home", "community", "as", "passphrase-file", "keyring", "token-file", "socket", "yes", "json",
    "quiet", "verbose", "help", "watch",
})  # fmt: skip
"""Options that every command takes; no argument takes these names. ``timeout`` may be taken: then
the global ``--timeout`` is given to the verb as well."""

_NAME = re.compile(r"[a-z][a-z0-9-]*(\.[a-z][a-z0-9-]*){0,2}")


class RegistryError(ValueError):
    """A domain declared its verbs wrongly. Found when the daemon or a test starts, never later."""


@dataclass(frozen=True)
class Registry:
    """Verbs by name, checked: unique names, every field described, nothing reserved.

    A name has one to three words. ``nouns`` says in one line what each first word is about, and
    each first two where there are three. Raises RegistryError.
    """

    commands: tuple[Command, ...] = ()
    views: tuple[View, ...] = ()
    nouns: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse names that clash and fields without a description."""
        names = [verb.name for verb in self.verbs()]
        for name in names:
            if not _NAME.fullmatch(name) or name.partition(".")[0] in RESERVED_NOUNS:
                raise RegistryError(f"{name!r} cannot be a verb's name")
            if names.count(name) > 1:
                raise RegistryError(f"{name!r} is declared twice")
        groups = {name.rpartition(".")[0] for name in names if "." in name}
        groups |= {group.partition(".")[0] for group in groups}
        if both := groups.intersection(names):
            raise RegistryError(f"{sorted(both)} are both verbs and nouns")
        for verb in self.verbs():
            describe_arguments(verb)

    def verbs(self) -> tuple[Verb, ...]:
        """All commands, then all views, in the order of declaration."""
        return (*self.commands, *self.views)

    def command(self, name: str) -> Command | None:
        """The command of this name, or None."""
        return next((command for command in self.commands if command.name == name), None)

    def view(self, name: str) -> View | None:
        """The view of this name, or None."""
        return next((view for view in self.views if view.name == name), None)

    def describe(self) -> dict[str, object]:
        """All verbs as JSON: what ``GET /v1/verbs`` answers and the command line is built from.

        ``{"v", "nouns": {noun: text}, "verbs": [{"name", "kind", "needs", "args": […], …}]}``; what
        is false or empty is left out. Raises RegistryError when a completion names no view.
        """
        views = {view.name for view in self.views}
        verbs = [_describe(verb) for verb in sorted(self.verbs(), key=lambda verb: verb.name)]
        for command in self.commands:
            if command.then and self.command(command.then) is None:
                raise RegistryError(f"{command.name}: goes on with {command.then!r}, no command")
        for verb in self.verbs():
            for described in describe_arguments(verb):
                complete = described.get("complete")
                if isinstance(complete, dict) and complete["view"] not in views:
                    raise RegistryError(
                        f"{verb.name}: completes from {complete['view']!r}, no view"
                    )
        return {"v": API_VERSION, "nouns": dict(sorted(self.nouns.items())), "verbs": verbs}


def merge(registries: Iterable[Registry]) -> Registry:
    """One registry of all domains' verbs. Raises RegistryError when two declare the same."""
    parts = tuple(registries)
    nouns: dict[str, str] = {}
    for part in parts:
        for noun, text in part.nouns.items():
            if nouns.setdefault(noun, text) != text:
                raise RegistryError(f"the noun {noun!r} is described twice")
    return Registry(
        tuple(command for part in parts for command in part.commands),
        tuple(view for part in parts for view in part.views),
        nouns,
    )


def _describe(verb: Verb) -> dict[str, object]:
    described: dict[str, object] = {
        "name": verb.name,
        "kind": "command" if isinstance(verb, Command) else "view",
        "needs": verb.need,
        "summary": verb.summary,
        "timeout_s": verb.timeout_s,
        "args": describe_arguments(verb),
    }
    says = (verb.says,) if isinstance(verb.says, str) else verb.says
    extra: dict[str, object] = {"says": list(says), "member": verb.member}
    if verb.table is not None:
        columns = [[column.name, column.title, column.kind] for column in verb.table.columns]
        extra["table"] = {"rows": verb.table.rows, "columns": columns, "empty": verb.table.empty}
    if isinstance(verb, Command):
        extra |= {
            "asks": verb.asks,
            "qr": verb.qr,
            "opens_session": verb.opens_session,
            "then": verb.then,
            "progress": verb.progress,
        }
    else:
        extra["watch"] = verb.watch
    return described | {key: value for key, value in extra.items() if value}


def describe_arguments(verb: Verb) -> list[dict[str, object]]:
    """The verb's arguments: ``name, kind, help`` and, where true, ``positional, required, default,
    choices, repeat, min, max, metavar, complete, result``.

    Kinds: text, integer, number, flag, choice, time (RFC 3339), duration (seconds), file-in,
    file-or-text (a ``File | str``), file-out, path-in, path-out, folder, passphrase,
    new-passphrase, secret. Raises RegistryError.
    """
    info = _type_info(verb.args)
    if not isinstance(info, inspect.StructType):
        raise RegistryError(f"{verb.name}: arguments are not a struct")
    return [_describe_field(verb.name, one) for one in info.fields]


@cache
def _type_info(of: type[msgspec.Struct]) -> inspect.Type:
    """What msgspec says of a type: a start asks five times of every verb's arguments."""
    return inspect.type_info(of)


def _describe_field(verb: str, one: inspect.Field) -> dict[str, object]:
    name = one.encode_name
    cli, text, bare = _unwrap(one.type)
    if not text:
        raise RegistryError(f"{verb}: the argument {name!r} is not described")
    option_name = name.replace("_", "-")
    if option_name in GLOBAL_OPTIONS and not cli.get("positional"):
        raise RegistryError(f"{verb}: --{option_name} is an option of every command")
    described: dict[str, object] = {"name": name, "kind": "", "help": text}
    described |= _describe_type(f"{verb}: {name}", bare) | cli
    if one.required:
        described["required"] = True
    elif isinstance(one.default, (str, int, float)) and one.default not in (False, ""):
        described["default"] = one.default
    return described


def _unwrap(wrapped: inspect.Type) -> tuple[dict[str, object], str, inspect.Type]:
    """Take the annotations and ``| None`` off: ``(cli, description, bare type)``."""
    cli: dict[str, object] = {}
    text = ""
    while True:
        if isinstance(wrapped, inspect.Metadata):
            extra = wrapped.extra or {}
            cli = (
                {key: extra[key] for key in ("kind",) if key in extra} | extra.get("cli", {}) | cli
            )
            text = text or (wrapped.extra_json_schema or {}).get("description", "")
            wrapped = wrapped.type
        elif isinstance(wrapped, inspect.UnionType):
            rest = [one for one in wrapped.types if not isinstance(one, inspect.NoneType)]
            if len(rest) != 1:
                return cli, text, wrapped
            wrapped = rest[0]
        else:
            return cli, text, wrapped


def _describe_type(where: str, bare: inspect.Type) -> dict[str, object]:
    match bare:
        case inspect.StrType():
            return {"kind": "text"}
        case inspect.BoolType():
            return {"kind": "flag"}
        case inspect.IntType() | inspect.FloatType():
            limits = {"min": bare.ge, "max": bare.le}
            kind = "integer" if isinstance(bare, inspect.IntType) else "number"
            return {"kind": kind, **{key: one for key, one in limits.items() if one is not None}}
        case inspect.DateTimeType():
            return {"kind": "time"}
        case inspect.LiteralType():
            return {"kind": "choice", "choices": list(bare.values)}
        case inspect.StructType() if bare.cls is File:
            return {"kind": "file-in"}
        case inspect.UnionType() if any(
            isinstance(one, inspect.StructType) and one.cls is File for one in bare.types
        ) and any(isinstance(one, inspect.StrType) for one in bare.types):
            return {"kind": "file-or-text"}
        case inspect.ListType() | inspect.VarTupleType():
            cli, _, item = _unwrap(bare.item_type)
            return {**_describe_type(where, item), **cli, "repeat": True}
        case _:
            raise RegistryError(f"{where} has a type that no command line can give")
