"""The fence: the only file that imports automerge, and only `automerge.core` of 0.2.0.dev4.

Its traps are shown one by one in tests/unit/test_document_traps.py. A document lives only inside
one function here. Every transaction is a `with` (a document dropped with an open one kills the
process); scalar types are explicit, bool before int, no Counter; only change chunks that passed
`rules` come in, never a peer's saved document; a panic of the library (a BaseException) becomes
`EngineFault`, and the document that it happened in is gone. Never decides anything.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import wraps
from typing import ParamSpec, TypeVar

from automerge import core

from commons_crdt.document.leb import uleb
from commons_crdt.document.values import Fields, Value

_P = ParamSpec("_P")
_T = TypeVar("_T")
_SCALARS = core.ScalarType


class EngineFault(Exception):
    """Automerge failed on changes that pass every rule: report this, and try another version."""


def fenced(function: Callable[_P, _T]) -> Callable[_P, _T]:
    """Turns whatever the library throws into `EngineFault`; a lack of memory is not its fault."""

    @wraps(function)
    def guarded(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        try:
            return function(*args, **kwargs)
        except (KeyboardInterrupt, SystemExit, GeneratorExit, MemoryError, EngineFault):
            raise
        except BaseException as fault:
            raise EngineFault(f"{type(fault).__name__}: {fault}"[:500]) from None

    return guarded


@fenced
def settle(chunks: Sequence[bytes], heads: tuple[bytes, ...]) -> Fields:
    """Applies the chunks to an empty document, saves, loads and reads the fields, sorted.

    Raises `EngineFault` unless exactly these heads stand before and after: the library skips a
    chunk that it does not understand without a word, and it saves what it can't load again.
    """
    document = _replay(chunks)
    _expect(document, heads)
    if not heads:
        return {}
    loaded = core.Document.load(document.save())
    _expect(loaded, heads)
    return _fields(loaded)


@fenced
def write(
    actor: bytes, fields: Fields, chunks: Sequence[bytes] = (), at: tuple[bytes, ...] = ()
) -> bytes | None:
    """Makes one change of these fields on top of the heads `at` of the chunks; None if nothing
    changes."""
    document = _replay(chunks)
    if tuple(sorted(document.get_heads())) != at:
        document = document.fork_at(list(at))  # type: ignore[attr-defined]  # not in the stub
    document.set_actor(actor)
    with document.transaction() as transaction:
        for name, value in fields.items():
            transaction.put(core.ROOT, name, _scalar_type(value), value)
    changes = document.get_changes(list(at))
    if not changes:
        return None
    (change,) = changes
    return change.raw_bytes


def _replay(chunks: Sequence[bytes]) -> core.Document:
    document = core.Document()
    if chunks:
        # The binding has no apply_changes: a hand-made sync message (version 1, no heads, needs or
        # haves) carries them.
        message = core.Message.decode(b"".join(_message(chunks)))
        document.receive_sync_message(core.SyncState(), message)
    return document


def _message(chunks: Sequence[bytes]) -> Iterable[bytes]:
    yield b"\x42\x00\x00\x00"
    yield uleb(len(chunks))
    for chunk in chunks:
        yield uleb(len(chunk))
        yield chunk


def _expect(document: core.Document, heads: tuple[bytes, ...]) -> None:
    if tuple(sorted(document.get_heads())) != heads:
        raise EngineFault("the heads are not those of the applied changes")


def _fields(document: core.Document) -> dict[str, Value]:
    names = document.keys(core.ROOT)
    entries = document.values(core.ROOT)
    if len(names) != len(entries) or names != sorted(names):
        raise EngineFault("keys and values do not match")
    return {name: _value(entry) for name, (entry, _) in zip(names, entries, strict=True)}


def _value(entry: core.Value) -> Value:
    if not isinstance(entry, tuple):
        raise EngineFault("not a scalar")
    scalar, value = entry
    if scalar == _SCALARS.Str and isinstance(value, str):
        return value
    if scalar == _SCALARS.Boolean and isinstance(value, bool):
        return value
    if scalar == _SCALARS.Int and isinstance(value, int):
        return value
    if scalar == _SCALARS.Null:
        return None
    raise EngineFault("not a scalar of ours")


def _scalar_type(value: Value) -> core.ScalarType:
    if value is None:
        return _SCALARS.Null
    if isinstance(value, bool):
        return _SCALARS.Boolean
    if isinstance(value, int):
        return _SCALARS.Int
    return _SCALARS.Str
