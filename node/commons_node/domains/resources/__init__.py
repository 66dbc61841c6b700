"""Resources: what the community has, kind by kind and thing by thing."""

from __future__ import annotations

from commons_node.domains.domain import Domain
from commons_node.domains.resources.about import ABOUT
from commons_node.domains.resources.commands import VERBS
from commons_node.domains.resources.labelling import VERBS as LABEL_VERBS
from commons_node.domains.resources.picturing import VERBS as PHOTO_VERBS
from commons_node.domains.resources.rules import KINDS
from commons_node.domains.resources.views import VIEWS
from commons_node.registry import merge

DOMAIN = Domain("resources", KINDS, VIEWS, merge([VERBS, PHOTO_VERBS, LABEL_VERBS]), ABOUT)
