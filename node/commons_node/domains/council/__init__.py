"""The council: what coordinators decide together."""

from __future__ import annotations

from commons_node.domains.council.about import ABOUT
from commons_node.domains.council.commands import VERBS
from commons_node.domains.domain import Domain

DOMAIN = Domain("council", (), (), VERBS, ABOUT)
