"""Membership: founding, inviting, joining, roles, names, and being unlocked at a terminal."""

from __future__ import annotations

from commons_node.domains.domain import Domain, Elsewhere
from commons_node.domains.membership.commands import VERBS
from commons_node.domains.membership.rules import KINDS
from commons_node.domains.membership.views import VIEWS

DOMAIN = Domain(
    "membership",
    KINDS,
    VIEWS,
    VERBS,
    Elsewhere("me.json has name, role and machines, operations.json every name; said.json who let"
              " the member in and gave roles"),
)  # fmt: skip
