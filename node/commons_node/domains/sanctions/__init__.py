"""Sanctions: what a coordinator alone may take away, and how forks are ended."""

from __future__ import annotations

from commons_node.domains.domain import Domain
from commons_node.domains.sanctions.about import ABOUT
from commons_node.domains.sanctions.commands import VERBS
from commons_node.domains.sanctions.rules import KINDS

DOMAIN = Domain("sanctions", KINDS, (), VERBS, ABOUT)
