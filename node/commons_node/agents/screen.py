"""The screen of permissions: everything that a host agrees to, and the word that stands for it.

Who has not seen a screen cannot agree to it: its word (``agree``) is made of all that it shows, and
whoever installs or grants gives it back.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from typing import Any, Final

import msgspec

from commons_crdt.texts import _
from commons_node.agents import wording
from commons_node.agents.grants import Approval
from commons_node.agents.manifest import Manifest
from commons_node.agents.occasions import when
from commons_node.agents.refusals import NotAgreed

_LETTERS: Final = 16


def word_of(manifest: Manifest, package: str, community: str, without: Collection[str]) -> str:
    """Sixteen digits that stand for an agent's wishes, the bytes of its package and its place."""
    shown = [msgspec.to_builtins(manifest), package, community, sorted(without)]
    return hashlib.sha256(msgspec.json.encode(shown, order="sorted")).hexdigest()[:_LETTERS]


def of_package(
    manifest: Manifest,
    former: Approval | None = None,
    before: Manifest | None = None,
    without: Collection[str] = (),
) -> dict[str, Any]:
    """What an agent is and asks for; ``former`` and ``before``: what was agreed to, and of whom."""
    granted = former.capabilities if former is not None else None
    limits = former.limits if former is not None else None
    one = manifest.limits
    return {
        "agent": manifest.agent,
        "name": manifest.name,
        "version": manifest.version,
        "publisher": manifest.publisher,
        "summary": manifest.summary,
        "runtime": manifest.runtime,
        "permissions": wording.permissions(manifest, granted, without),
        "limits": wording.limit_rows(one, limits),
        "run": _("at most {seconds:g} s, {memory} MiB and {calls} calls").format(
            seconds=one.wall_s, memory=one.memory_mib, calls=one.calls
        ),
        "when": "; ".join(when(manifest.triggers)),
        "former": before.version if before is not None else None,
    }


def needs_agreement(
    manifest: Manifest,
    package: str,
    community: str,
    without: Collection[str],
    agree: str | None,
    former: Approval | None = None,
) -> None:
    """Raise ``NotAgreed`` with the screen, unless this very screen was agreed to."""
    word = word_of(manifest, package, community, without)
    if agree == word:
        return
    shown = of_package(manifest, former, without=without)
    shown |= {"asking": manifest.agent, "agree": word, "package": package}
    raise NotAgreed(agent=manifest.agent, agree=word, report=shown)
