"""Reputation: what two people say of a loan between them, whom one may trust, and vouching."""

from __future__ import annotations

from commons_node.domains.domain import Domain
from commons_node.domains.reputation.about import ABOUT
from commons_node.domains.reputation.commands import VERBS
from commons_node.domains.reputation.rules import KINDS
from commons_node.domains.reputation.views import VIEWS

DOMAIN = Domain("reputation", KINDS, VIEWS, VERBS, ABOUT)
