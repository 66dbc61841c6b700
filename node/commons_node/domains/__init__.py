"""The domains: each folder holds ``facts``, ``rules``, ``views`` and ``commands``.

A feature is added by adding a folder and naming it here.
"""

from __future__ import annotations

from commons_crdt.authority.kinds import CORE
from commons_crdt.folds import View
from commons_crdt.kinds import Rules
from commons_node import access_verbs, history, log_verbs, notices, relay_verbs, verbs
from commons_node.agents import verbs as agents_here
from commons_node.backup import commands as backup
from commons_node.bundles import commands as bundles
from commons_node.domains import (
    agents,
    council,
    identity,
    leaving,
    lending,
    membership,
    own,
    profiles,
    reputation,
    resources,
    sanctions,
    spaces,
)
from commons_node.domains.domain import Domain
from commons_node.drivers import verbs as drivers
from commons_node.example import verbs as example
from commons_node.explaining import verbs as explaining
from commons_node.health import pulse
from commons_node.health import verbs as health
from commons_node.jobs import verbs as jobs
from commons_node.parts import verbs as parts
from commons_node.peering import verbs as peering
from commons_node.proposals import verbs as proposals
from commons_node.registry import Registry, merge

DOMAINS: tuple[Domain, ...] = (
    membership.DOMAIN,
    identity.DOMAIN,
    resources.DOMAIN,
    lending.DOMAIN,
    reputation.DOMAIN,
    council.DOMAIN,
    sanctions.DOMAIN,
    own.DOMAIN,
    spaces.DOMAIN,
    profiles.DOMAIN,
    leaving.DOMAIN,
    agents.DOMAIN,
)

_KINDS = (*CORE, *(kind for domain in DOMAINS for kind in domain.kinds))
_VERSION = max(kind.since for kind in _KINDS)


def _rules(version: int) -> Rules:
    """The rules of a version, with every version before it."""
    listed = [kind for kind in _KINDS if kind.since <= version]
    return Rules.of(version, listed, before=_rules(version - 1) if version > 1 else None)


RULES = _rules(_VERSION)
"""The newest rules version, with all kinds that its communities know, and each one before it.

Version 1 is what the authority release listed; 2 adds photos; 3 spaces and own realms, profiles,
leaving, what people say of each other, and agents.
"""

VIEWS: tuple[View, ...] = tuple(view for domain in DOMAINS for view in domain.views)


def registry() -> Registry:
    """Every verb of every domain, and of the node itself."""
    own = (
        verbs.REGISTRY,
        peering.REGISTRY,
        explaining.REGISTRY,
        health.REGISTRY,
        pulse.REGISTRY,
        access_verbs.REGISTRY,
        log_verbs.REGISTRY,
        relay_verbs.REGISTRY,
        notices.REGISTRY,
        history.REGISTRY,
        bundles.REGISTRY,
        backup.REGISTRY,
        parts.REGISTRY,
        example.REGISTRY,
        jobs.REGISTRY,
        proposals.REGISTRY,
        drivers.REGISTRY,
        agents_here.REGISTRY,
    )
    return merge([*own, *(domain.verbs for domain in DOMAINS)])
