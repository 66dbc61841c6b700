"""Lending: asking, deciding, handing over by two signatures, and coming back anywhere."""

from __future__ import annotations

from commons_node.domains.domain import Domain
from commons_node.domains.lending.about import ABOUT
from commons_node.domains.lending.changing import VERBS as CHANGING_VERBS
from commons_node.domains.lending.commands import VERBS
from commons_node.domains.lending.exporting import VERBS as CALENDAR_VERBS
from commons_node.domains.lending.rules import KINDS
from commons_node.domains.lending.views import VIEWS
from commons_node.registry import merge

DOMAIN = Domain("lending", KINDS, VIEWS, merge([VERBS, CHANGING_VERBS, CALENDAR_VERBS]), ABOUT)
