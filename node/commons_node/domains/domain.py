"""What a domain is: its kinds with their rules, its folded views, and its verbs.

And what of it goes along when a member takes everything about them: each says so, by ``About``
or by ``Elsewhere``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from commons_crdt.folds import View
from commons_crdt.kinds import Kind
from commons_node.community import Actor, Community
from commons_node.registry import Registry


@dataclass(frozen=True, slots=True)
class About:
    """A file of ``member export`` beyond operations and views: ``file`` is its name, in JSON.

    ``says`` tells people what stands in it (a text of ``N_``; ``{name}``: the member), ``fields``
    which fields its rows have. ``read`` gives the rows, from the daemon, the community and the
    member who acts; it may read what only this node holds.
    """

    file: str
    says: str
    fields: str
    read: Callable[[Any, Community, Actor], Awaitable[Sequence[object]]]


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """A domain that adds no file to ``member export``: ``why`` says where what it holds stands."""

    why: str


@dataclass(frozen=True, slots=True)
class Domain:
    """One domain, as its ``__init__`` declares it.

    ``about``: what it adds to ``member export``, or why it adds nothing. Left empty it says
    neither, which a test finds.
    """

    name: str
    kinds: Sequence[Kind]
    views: Sequence[View]
    verbs: Registry
    about: Sequence[About] | Elsewhere = ()

    @property
    def files(self) -> Sequence[About]:
        """What it adds to ``member export``."""
        return () if isinstance(self.about, Elsewhere) else self.about
