"""How a home is: can it be written, its backups, what was mended or is owed, whom it unlocks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from commons_crdt.texts import _
from commons_node.backup.schedule import HOUR_S, every_s
from commons_node.backup.state import load
from commons_node.health.probing import STATUS_S
from commons_node.health.pulse import pulse

if TYPE_CHECKING:
    from commons_node.daemon import Daemon


@dataclass(frozen=True, slots=True)
class Safety:
    """As ``status`` tells it; ``warning`` is a sentence, or empty."""

    backup: Mapping[str, object] = field(default_factory=dict)
    repaired: Sequence[Mapping[str, object]] = ()
    restored: Sequence[str] = ()
    health: Mapping[str, str] = field(default_factory=dict)
    """Each part with its word, as ``health`` has it."""
    unattended: Sequence[Mapping[str, str | None]] = ()
    """Whom the service unlocks, each with how that stands."""
    warning: str = ""


async def safety_of(daemon: Daemon) -> Safety:
    """That of this daemon's home."""
    unwritten = await daemon.probing.failing(STATUS_S)
    told = [daemon.repairs.in_words(), daemon.unattended.warning()]
    if unwritten:
        text = _(
            "This node cannot write to its disk: {why}. What others write waits at their nodes;"
            " commons-node doctor says more."
        )
        told.append(text.format(why="; ".join(dict.fromkeys(unwritten.values()))))
    return Safety(
        (await load(daemon.store)).shown(every_s(daemon.config) // HOUR_S),
        [one.shown() for one in daemon.repairs.done],
        sorted(daemon.retiring.restored.members),
        await pulse(daemon, STATUS_S),
        daemon.unattended.shown(),
        " ".join(filter(None, told)),
    )
