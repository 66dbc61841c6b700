"""Identity: a member's devices, recovery key and guardians, and coming back after a loss."""

from __future__ import annotations

from commons_node.domains.domain import Domain
from commons_node.domains.identity.about import ABOUT
from commons_node.domains.identity.commands import VERBS
from commons_node.domains.identity.rules import KINDS
from commons_node.domains.identity.views import VIEWS

DOMAIN = Domain("identity", KINDS, VIEWS, VERBS, ABOUT)
