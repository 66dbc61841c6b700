"""What a domain is: its kinds with their rules, its folded views, and its verbs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from commons_crdt.folds import View
from commons_crdt.kinds import Kind
from commons_node.registry import Registry


@dataclass(frozen=True, slots=True)
class Domain:
    """One domain, as its ``__init__`` declares it."""

    name: str
    kinds: Sequence[Kind]
    views: Sequence[View]
    verbs: Registry
