"""Leaving: take everything along, settle, erase with receipts, say goodbye; closing a community."""

from __future__ import annotations

from commons_node.domains.domain import Domain, Elsewhere
from commons_node.domains.leaving.commands import VERBS
from commons_node.domains.leaving.rules import KINDS
from commons_node.domains.leaving.views import VIEWS

DOMAIN = Domain(
    "leaving",
    KINDS,
    VIEWS,
    VERBS,
    Elsewhere("erasures.json has what was erased, with receipts; loans.json what was forgiven;"
              " about.json a goodbye, and a word for closing"),
)  # fmt: skip
