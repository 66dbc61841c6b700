"""Saying that a community keeps to rules that are older than what somebody wants to do."""

from __future__ import annotations

from typing import ClassVar

from commons_crdt.errors import CommonsError
from commons_node.community import Community


class NeedsRules(CommonsError):
    """This community keeps to rules version {rules}; {what} need version {needed}."""

    code: ClassVar[str] = "needs_rules"
    hint: ClassVar[str] = "when all nodes are new enough: commons-node community propose rules --version {needed}"  # fmt: skip  # noqa: E501 - one command


def need_rules(community: Community, version: int, what: str) -> None:
    """Raise ``NeedsRules`` if the rules in force are older; ``what``: in the plural."""
    rules = community.realm.judge.authority.council.rules
    if rules < version:
        raise NeedsRules(rules=rules, what=what, needed=version)
