"""Agents that a community shares: package by hash, publisher by key; the file is a part."""

from __future__ import annotations

from commons_node.domains.agents.commands import VERBS
from commons_node.domains.agents.rules import KINDS
from commons_node.domains.agents.views import VIEWS
from commons_node.domains.domain import Domain, Elsewhere

DOMAIN = Domain(
    "agents",
    KINDS,
    VIEWS,
    VERBS,
    Elsewhere("about.json has the offers of a member, files/ the packages, operations.json the acts"
              " that agents proposed and the member signed"),
)  # fmt: skip
