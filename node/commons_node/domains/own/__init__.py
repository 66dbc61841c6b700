"""A member's own realm: entries that nobody else reads. No verbs of its own: other domains use it.

What an entry says is opened in memory while the member is unlocked; no view holds it.
"""

from __future__ import annotations

from commons_node.domains.domain import Domain
from commons_node.domains.own.about import ABOUT
from commons_node.domains.own.rules import KINDS
from commons_node.registry import Registry

DOMAIN = Domain("own", KINDS, (), Registry(), ABOUT)
