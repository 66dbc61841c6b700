"""What a fuzz target is: one decoder, what may be asked of it, and inputs to begin with.

A target is a function from bytes to "taken" or "refused". It calls the decoder as the node does,
catches the error that the decoder documents and no other, and checks what must hold of whatever was
taken. So every exception that leaves it is a finding, whoever made the bytes: hypothesis in
`make test`, atheris in `make fuzz`, or a file that is replayed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from random import Random
from typing import Literal

from commons_crdt.errors import CommonsError

Grammar = Literal["binary", "cbor", "json", "text"]
"""What the bytes look like, so that a mutation can keep most of their form."""

Mutation = Callable[[bytes, bytes, Random], bytes]
"""(input, another input of the same target, chance) to another input."""

Run = Callable[[bytes], bool]
"""True: the decoder took the bytes. False: it refused them with its documented error."""


class Broken(AssertionError):
    """A decoder did what it says it never does. Not an `assert`: it must hold under -O as well."""


@dataclass(frozen=True, slots=True)
class Target:
    """One decoder under test.

    ``seeds``: named inputs, good and bad ones, always the same. ``grammar``: as which kind of bytes
    they are changed. ``head``: the input begins with a line of text that chooses what the rest is
    given to (a kind, a verb); it stays whole most of the time. ``own``: mutations that only this
    target's inputs have a use for. ``recorded``: the seeds are what our own machines say now; the
    committed ones are what they said once, and need not be the same. ``memory``: bytes that one
    input may take at its peak, whatever it says.
    """

    name: str
    run: Run
    seeds: Callable[[], Mapping[str, bytes]]
    grammar: Grammar = "binary"
    head: bool = False
    own: tuple[Mutation, ...] = ()
    recorded: bool = False
    memory: int = 1 << 20

    def __post_init__(self) -> None:
        """Names become folders."""
        if not self.name.replace("-", "").isalnum():
            raise ValueError(self.name)


def hold(promise: object, words: str) -> None:
    """Raise `Broken` unless ``promise`` is true."""
    if not promise:
        raise Broken(words)


@contextmanager
def only(*codes: str) -> Iterator[None]:
    """An error for people that leaves this block has one of these codes, and can be shown.

    The code of a refusal is its ``why``. Sentence and hint end on a terminal and in JSON.
    """
    try:
        yield
    except CommonsError as error:
        code = getattr(error, "why", error.code)
        hold(code in codes, f"{code!r} is not one of {codes}")
        for text in (str(error), error.way_out):
            text.encode()
        raise


def headed(data: bytes) -> tuple[str, bytes]:
    """The first line, and what follows it; no line break: all of it is the line."""
    line, _, rest = data.partition(b"\n")
    return line.decode("utf-8", "replace"), rest


def with_head(head: str, data: bytes) -> bytes:
    """What `headed` takes apart."""
    return head.encode() + b"\n" + data
