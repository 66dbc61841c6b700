"""What is looked at of peering: ways, the peer book, and gossip."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import pytest
from tests.machines.recorder import Recorder

from commons_node.peering.book import Book
from commons_node.peering.hints import Hints
from commons_node.peering.peering import Peering
from commons_node.peering.talks import Talks
from commons_node.peering.ways import Way
from commons_protocol import gossip

WAY = "way#The way to one peer"
PEER = "peer#A peer in the book"
HEARD = "gossip#A hint that is heard"
SAID = "gossip#What was written and is not said yet"


def watch(recorder: Recorder, patch: pytest.MonkeyPatch) -> None:
    """Look at all of them."""
    _ways(recorder, patch)
    _book(recorder, patch)
    _hints(recorder, patch)


def _around(
    patch: pytest.MonkeyPatch,
    cls: type,
    name: str,
    before: Callable[..., None] | None = None,
    after: Callable[..., None] | None = None,
) -> None:
    method = getattr(cls, name)

    @wraps(method)
    def around(*arguments: Any, **named: Any) -> Any:
        if before is not None:
            before(*arguments, **named)
        result = method(*arguments, **named)
        if after is not None:
            after(*arguments, **named)
        return result

    patch.setattr(cls, name, around)


def _ways(recorder: Recorder, patch: pytest.MonkeyPatch) -> None:
    run = Way.run

    def trying(talks: Talks, peer: Any) -> None:
        if peer in talks.ways:
            recorder.move(WAY, talks.ways[peer], "trying")

    def talking(talks: Talks, stream: Any, **_named: Any) -> None:
        if stream.peer in talks.ways:
            recorder.move(WAY, talks.ways[stream.peer], "talking")

    async def run_and_end(way: Way) -> None:
        try:
            await run(way)
        finally:
            recorder.end(WAY, way)

    _around(patch, Way, "delay", lambda way: recorder.move(WAY, way, "waiting"))
    _around(patch, Talks, "_dial", trying)
    _around(patch, Talks, "_conversation", talking)
    patch.setattr(Way, "run", run_and_end)


def _book(recorder: Recorder, patch: pytest.MonkeyPatch) -> None:
    def look(book: Book, node: Any) -> None:
        known = book.get(node)
        if known is not None:
            recorder.move(
                PEER, (recorder.number(book), node), "blocked" if known.blocked else "known"
            )
        elif node in book._rumours:
            recorder.move(PEER, (recorder.number(book), node), "rumoured")
        else:
            recorder.end(PEER, (recorder.number(book), node))

    save, forget = Book.save, Book.forget

    async def saved(book: Book, peer: Any) -> None:
        await save(book, peer)
        books.append(book)
        look(book, peer.node)

    async def forgotten(book: Book, node: Any) -> None:
        book._rumours.pop(node, None)
        await forget(book, node)
        look(book, node)

    books: list[Book] = []
    patch.setattr(Book, "save", saved)
    patch.setattr(Book, "forget", forgotten)

    def heard(book: Book, node: Any, _addresses: Any) -> None:
        books.append(book)
        look(book, node)

    _around(patch, Book, "hear", after=heard)


def _hints(recorder: Recorder, patch: pytest.MonkeyPatch) -> None:
    """Each hint by itself: what `Hints._heard` made of it."""
    heard, ingest = Hints._heard, Hints._ingest
    now: list[str] = []
    numbers = iter(range(10**9))

    def outcome(word: str) -> Callable[..., None]:
        return lambda *_arguments, **_named: now.append(word)

    def counted(_peering: Peering, code: str, _n: int = 1) -> None:
        if code in {"gossip_flood", "gossip_seal", "gossip_message"}:
            now.append("refused")

    def hearing(hints: Hints, topic: str, peer: Any, data: bytes) -> None:
        now.clear()
        pending = hints._pending
        heard(hints, topic, peer, data)
        number = next(numbers)
        recorder.move(HEARD, number, "heard")
        if hints._pending > pending:
            now.append("storing")
        for word in now or ["known"]:
            recorder.move(HEARD, number, word)
        if now == ["storing"]:
            return
        recorder.end(HEARD, number)

    async def storing(hints: Hints, *arguments: Any) -> None:
        number = next(numbers)
        recorder._at[HEARD, number] = "storing"
        now.clear()
        await ingest(hints, *arguments)
        if "pointing" in now:
            recorder.move(HEARD, number, "pointing")
        recorder.end(HEARD, number)

    _around(patch, Peering, "count", counted)
    _around(patch, Hints, "_point_at", outcome("pointing"))
    patch.setattr(Hints, "_heard", hearing)
    patch.setattr(Hints, "_ingest", storing)

    _saying(recorder, patch)


def _saying(recorder: Recorder, patch: pytest.MonkeyPatch) -> None:
    """What one node has written in one realm, until gossip says it."""
    make, say = gossip.hints, Hints._say
    said: list[bytes] = []

    def made(*arguments: Any, whole: bool = True) -> list[bytes]:
        plain = make(*arguments, whole=whole)
        said.extend(plain)
        return plain

    def saying(hints: Hints, realm: Any) -> None:
        said.clear()
        say(hints, realm)
        whole = any(one[1:2] == b"\x01" for one in said)
        word = ("said_whole" if whole else "announced") if said else "dropped"
        recorder.move(SAID, (hints, realm), word)
        recorder.end(SAID, (hints, realm))

    def gathering(hints: Hints, realm: Any, *_arguments: Any) -> None:
        recorder.move(SAID, (hints, realm), "gathering")

    _around(patch, Hints, "written", after=gathering)
    patch.setattr(Hints, "_say", saying)
    patch.setattr(gossip, "hints", made)
