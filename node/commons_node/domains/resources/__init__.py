"""Resources: what the community has, kind by kind and thing by thing."""

from __future__ import annotations

from commons_node.domains.domain import Domain
from commons_node.domains.resources.commands import VERBS
from commons_node.domains.resources.rules import KINDS
from commons_node.domains.resources.views import VIEWS

DOMAIN = Domain("resources", KINDS, VIEWS, VERBS)
