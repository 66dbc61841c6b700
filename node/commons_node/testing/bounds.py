"""What one node may keep in memory because of others, each with the limit that the product states.

Looked at while everything goes on. A new thing that peers can make grow is one more line here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sized
from typing import NamedTuple

from commons_node.peering import book, conversation, entrance, hints, talks
from commons_node.peering.conversation import Conversation
from commons_node.realm import backlog, memory
from commons_node.store import waiting
from commons_node.testing.node import Node
from commons_protocol import carriage, gossip, limits, pull, ranges, wire
from commons_protocol.network import MAX_FRAME
from commons_protocol.serve import READ_BYTES
from commons_protocol.sync import RealmSync

MOST_ON_WAY = 1 << 20
"""Bytes of one stream on their way, in the simulated network."""
MOST_CODES = 128
"""Codes of refusals: they are words of ours, never of a peer."""
_FRAMES = pull.WINDOW * MAX_FRAME


class Bound(NamedTuple):
    """What is counted, and how much of it there may be at any time."""

    what: str
    most: int
    count: Callable[[Node], int]


def _rows(query: str) -> Callable[[Node], int]:
    return lambda node: int(node.disk.rows(query)[0][0] or 0)


def _talks(node: Node) -> Iterable[Conversation]:
    return node.peering.talks.now.values()


def _worst(count: Callable[[RealmSync], int]) -> Callable[[Node], int]:
    """The worst of all conversations."""
    return lambda node: max(
        (count(one) for talk in _talks(node) for one in talk.session.realms.values()), default=0
    )


def _comparing(sync: RealmSync, what: str) -> Sized:
    """Something of the comparison that is under way, if one is."""
    found: Sized = getattr(sync._comparison, what, ())
    return found


def _rumours(node: Node) -> int:
    return sum(way.tries is not None for way in node.peering.talks.ways.values())


BOUNDS = (
    # the disk
    Bound("operations kept aside", waiting.MAX_COUNT, _rows("SELECT count(*) FROM waiting")),
    Bound(
        "bytes kept aside",
        waiting.MAX_BYTES,
        _rows("SELECT sum(length(operation)) FROM waiting"),
    ),
    # one realm
    Bound("standings in memory", memory._RECENT, lambda n: len(n.realm.memory._recent)),
    Bound(
        "documents that wait",
        backlog.MOST_KEPT,
        lambda n: len(n.realm._catching_up.backlog._documents),
    ),
    Bound("codes of refusals", MOST_CODES, lambda n: len(n.refused() + n.refusals)),
    # gossip
    Bound("hints seen", gossip.MOST_SEEN, lambda n: len(n.peering._hints._seen._seen)),
    Bound("own digests", hints._OWN_DIGESTS, lambda n: len(n.peering._hints._had._seen)),
    Bound("members heard from afar", hints._MOST_FAR, lambda n: len(n.peering._hints._far)),
    Bound("hints being stored", hints._MOST_PENDING, lambda n: n.peering._hints._pending),
    Bound("gates of gossip", gossip.MOST_GATED, lambda n: len(n.peering._hints._gate._buckets)),
    # peers
    Bound("known peers", book.MOST_KNOWN, lambda n: len(n.peering.book.all())),
    Bound("rumours", book.MOST_RUMOURS, lambda n: len(n.peering.book._rumours)),
    Bound("ways to rumoured peers", talks.MOST_RUMOURS, _rumours),
    Bound("ways", book.MOST_KNOWN + talks.MOST_RUMOURS, lambda n: len(n.peering.talks.ways)),
    Bound("memories", book.MOST_KNOWN, lambda n: len(n.peering.talks._memories)),
    Bound(
        "buckets of newcomers", entrance._MOST_PEERS, lambda n: len(n.peering._entrance._attempts)
    ),
    Bound(
        "what peers and members have left",
        4 * limits.MOST_KEPT,
        lambda n: n.peering.talks.allowances.size(),
    ),
    Bound("newcomers at once", entrance._AT_ONCE, lambda n: n.peering._entrance._here.total()),
    # one conversation
    Bound(
        "bytes that wait for one peer",
        conversation.MOST_QUEUED,
        lambda n: max((talk.queued for talk in _talks(n)), default=0),
    ),
    Bound("chain ends of one peer", ranges.MOST_LISTED, _worst(lambda s: len(s._pairs))),
    Bound("chain ends heard", ranges.MOST_LISTED, _worst(lambda s: len(_comparing(s, "theirs")))),
    Bound(
        "ranges open with one peer", wire.MOST_OPEN, _worst(lambda s: len(_comparing(s, "_open")))
    ),
    Bound(
        "chains remembered of one peer",
        2 * ranges.MOST_LISTED,
        _worst(lambda s: len(s.memory.asked)),
    ),
    Bound("bytes fetched and not stored", _FRAMES, _worst(lambda s: s._pull._bytes)),
    Bound(
        "bytes of one operation",
        carriage.MAX_OPERATION + 64,
        _worst(lambda s: len(s._pull._pieces)),
    ),
    Bound("ways back", pull._MOST_WAYS_BACK, _worst(lambda s: len(s._pull._back))),
    Bound(
        "bytes read to be served",
        3 * READ_BYTES + carriage.MAX_OPERATION,
        _worst(lambda s: sum(len(frame) for frame, _ in s._serve._frames)),
    ),
    Bound("bytes on their way", MOST_ON_WAY, lambda n: n.host.traffic["most"]),
)


def exceeded(node: Node) -> Iterator[str]:
    """What a node has too much of."""
    for bound in BOUNDS:
        found = bound.count(node)
        if found > bound.most:
            yield f"{node.name} has {found} {bound.what}, more than {bound.most}"
