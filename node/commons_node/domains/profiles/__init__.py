"""Profiles: what members say of themselves, in parts that can be erased, some of them sealed."""

from __future__ import annotations

from commons_node.domains.domain import Domain
from commons_node.domains.profiles.about import ABOUT
from commons_node.domains.profiles.commands import VERBS
from commons_node.domains.profiles.rules import KINDS
from commons_node.domains.profiles.views import VIEWS

DOMAIN = Domain("profiles", KINDS, VIEWS, VERBS, ABOUT)
