"""Who may describe things: stewards. What an erasure takes: the whole description."""

from __future__ import annotations

from commons_crdt.kinds import Kind
from commons_crdt.roles import Role
from commons_node.domains.resources.facts import (
    ITEM,
    ITEM_SCHEMA,
    SPECIFICATION,
    SPECIFICATION_SCHEMA,
)

_MAX_BODY = 16 * 1024

KINDS = (
    Kind(SPECIFICATION, SPECIFICATION_SCHEMA, Role.STEWARD, max_body=_MAX_BODY, erased="body"),
    Kind(ITEM, ITEM_SCHEMA, Role.STEWARD, max_body=_MAX_BODY, erased="body"),
)
