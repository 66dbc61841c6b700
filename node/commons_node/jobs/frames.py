"""What the scheduler and a worker say to each other: JSON behind its length, four bytes.

Both ends read with the same bounds; whoever says something else is shown out. The daemon trusts
no worker: what comes from one is parsed here, bounded, before anything is done with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from commons_crdt.errors import CommonsError
from commons_node.jobs.effects import Effect
from commons_node.jobs.job import USERS, Limits

MOST: Final = 1 << 20
"""Bytes of one frame."""
LINE: Final = 2_000
"""Letters of one line of a log."""


Count = Annotated[int, Meta(ge=0, le=2**53)]


class BadFrame(CommonsError):
    """What came from the other side of a worker cannot be read: {why}."""

    code = "bad_frame"


class Start(msgspec.Struct, frozen=True, tag="start", forbid_unknown_fields=True):
    """Begin: ``entry`` is ``module:function``, named by this program, never by a package."""

    entry: str
    job: str
    run: int
    attempt: int
    scheduled_ms: int
    covers: int
    dry: bool
    limits: Limits
    given: Mapping[str, object]
    event: Mapping[str, object]


class Prepare(msgspec.Struct, frozen=True, tag="prepare", forbid_unknown_fields=True):
    """To a worker of the sandbox, before anything else: where the compiled runner is.

    ``key``: hex of the key of its seal. ``limits``: of its runs; it locks itself within them.
    ``user``: which of ``USERS`` it becomes, where the daemon is root.
    """

    cache: str
    key: str
    limits: Limits = Limits()
    user: Annotated[int, Meta(ge=0, lt=USERS)] = 0


class Answer(msgspec.Struct, frozen=True, tag="answer", forbid_unknown_fields=True):
    """To a call: a value, or the code and text of an error.

    ``fuel``: what the run may take in all from now on, where a call has cost some of it.
    """

    value: object = None
    code: str = ""
    error: str = ""
    fuel: Count | None = None


class Log(msgspec.Struct, frozen=True, tag="log", forbid_unknown_fields=True):
    """A line."""

    text: Annotated[str, Meta(max_length=LINE)]


class Call(msgspec.Struct, frozen=True, tag="call", forbid_unknown_fields=True):
    """Ask the node for something; the worker waits for the answer.

    ``fuel``: what an agent has used so far, for a run that will not end in good order.
    """

    method: Annotated[str, Meta(max_length=64)]
    params: Mapping[str, object]
    fuel: Count = 0


class Wants(msgspec.Struct, frozen=True, tag="effect", forbid_unknown_fields=True):
    """An effect, kept only if the run completes."""

    effect: Effect


class Ready(msgspec.Struct, frozen=True, tag="ready", forbid_unknown_fields=True):
    """A worker of the sandbox is loaded and locked, by these layers, after so many milliseconds."""

    layers: Annotated[tuple[str, ...], Meta(max_length=16)]
    load_ms: Count = 0


class Done(msgspec.Struct, frozen=True, tag="done", forbid_unknown_fields=True):
    """Completed; the worker is ready for another run.

    ``memory``: the most that was resident, in bytes. Of an agent also ``fuel``, the sha256 of the
    ``runner`` that it ran on (in hex), and the version of the ``engine``.
    """

    result: object
    cpu_ms: Count
    memory: Count
    fuel: Count = 0
    runner: Annotated[str, Meta(max_length=64)] = ""
    engine: Annotated[str, Meta(max_length=32)] = ""


class Failed(msgspec.Struct, frozen=True, tag="failed", forbid_unknown_fields=True):
    """It did not work; ``again``: another attempt may help. The rest as for ``Done``.

    ``fit``: the process is as good as before, and may take another run.
    """

    code: Annotated[str, Meta(max_length=64)]
    error: Annotated[str, Meta(max_length=2 * LINE)]
    again: bool
    cpu_ms: Count
    memory: Count
    fuel: Count = 0
    runner: Annotated[str, Meta(max_length=64)] = ""
    engine: Annotated[str, Meta(max_length=32)] = ""
    fit: bool = False


Said = Ready | Log | Call | Wants | Done | Failed
Told = Prepare | Start | Answer

_SAID: Final = msgspec.json.Decoder(Said)
_TOLD: Final = msgspec.json.Decoder(Told)


def encode(frame: Said | Told) -> bytes:
    """Length and JSON. Raises ``BadFrame`` for one that is too long or holds what JSON has not."""
    try:
        body = msgspec.json.encode(frame)
    except (TypeError, ValueError, RecursionError) as error:
        raise BadFrame(why=error) from error
    if len(body) > MOST:
        raise BadFrame(why=f"a frame has at most {MOST} bytes")
    return len(body).to_bytes(4) + body


def length(head: bytes) -> int:
    """The size of the body behind these four bytes. Raises ``BadFrame``."""
    size = int.from_bytes(head)
    if len(head) != 4 or not 0 < size <= MOST:
        raise BadFrame(why=f"a frame of {size} bytes")
    return size


def said(body: bytes) -> Said:
    """What a worker said. Raises ``BadFrame``."""
    try:
        found: Said = _SAID.decode(body)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise BadFrame(why=error) from None
    return found


def told(body: bytes) -> Told:
    """What the scheduler told. Raises ``BadFrame``."""
    try:
        found: Told = _TOLD.decode(body)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise BadFrame(why=error) from None
    return found
