"""Acts that only newer rules list: who must change the rules first, and how."""

from __future__ import annotations

from typing import ClassVar

from commons_crdt.errors import CommonsError
from commons_node.community import Community


class OlderRules(CommonsError):
    """This community keeps to rules version {rules}; version {needed} is needed for {what}."""

    texts: ClassVar[tuple[str, ...]] = ("what",)
    code: ClassVar[str] = "needs_rules"
    hint: ClassVar[str] = "when all nodes are new enough: commons-node community propose rules --version {needed}"  # fmt: skip  # noqa: E501 - one command


def needs_rules(community: Community, needed: int, what: str) -> None:
    """Raise ``OlderRules`` where nobody may write such an act yet; ``what``: a text of ``N_``."""
    rules = community.realm.judge.authority.council.rules
    if rules < needed:
        raise OlderRules(rules=rules, needed=needed, what=what)
