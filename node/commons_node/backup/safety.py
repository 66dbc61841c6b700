"""How safe a home is: its backups, what was mended, what a restored one still owes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from commons_node.backup.schedule import HOUR_S, every_s
from commons_node.backup.state import load

if TYPE_CHECKING:
    from commons_node.daemon import Daemon


@dataclass(frozen=True, slots=True)
class Safety:
    """As ``status`` tells it; ``warning`` is a sentence, or empty."""

    backup: Mapping[str, object] = field(default_factory=dict)
    repaired: Sequence[Mapping[str, object]] = ()
    restored: Sequence[str] = ()
    warning: str = ""


async def safety_of(daemon: Daemon) -> Safety:
    """That of this daemon's home."""
    return Safety(
        (await load(daemon.store)).shown(every_s(daemon.config) // HOUR_S),
        [one.shown() for one in daemon.repairs.done],
        sorted(daemon.retiring.restored.members),
        daemon.repairs.in_words() or "",
    )
