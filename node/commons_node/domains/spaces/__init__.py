"""Spaces: where people meet, when it is open, and that somebody was there."""

from __future__ import annotations

from commons_node.domains.domain import Domain
from commons_node.domains.spaces.about import ABOUT
from commons_node.domains.spaces.checking_in import VERBS as CHECKIN_VERBS
from commons_node.domains.spaces.commands import VERBS
from commons_node.domains.spaces.rules import KINDS
from commons_node.domains.spaces.views import VIEWS
from commons_node.registry import merge

DOMAIN = Domain("spaces", KINDS, VIEWS, merge([VERBS, CHECKIN_VERBS]), ABOUT)
