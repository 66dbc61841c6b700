"""What agents are held by on this machine, and whether what they run on is made."""

from __future__ import annotations

import os

from commons_crdt.texts import _
from commons_node.doctor.check import Check, Fact
from commons_node.home import Home
from commons_node.sandbox import cache, landlock
from commons_node.sandbox.kind import kind
from commons_node.sandbox.layers import layers, missing
from commons_node.sandbox.runner import SHA256


def sandbox() -> Check:
    """The layers; without one that is needed no agent runs, and the node itself does."""
    found = layers()
    facts: dict[str, Fact] = {layer.name: layer.active for layer in found}
    facts |= {"landlock_abi": landlock.version(), "root": os.geteuid() == 0}
    lacking = missing(found)
    if lacking:
        detail = _("No agent runs here. {why}").format(why=" ".join(one.why for one in lacking))
        return Check("sandbox", "warn", detail, "; ".join(one.fix for one in lacking), facts)
    detail = " ".join(layer.why for layer in found)
    if os.geteuid() == 0:
        detail = _("{detail} This runs as root.").format(detail=detail)
        fix = _("run the node as a user of its own: useradd --system --create-home commons")
        return Check("sandbox", "warn", detail, fix, facts)
    return Check("sandbox", "ok", detail, "", facts)


def runner(home: Home) -> Check:
    """Whether the runner of agents is compiled; that it is not is no fault."""
    there = cache.there(home.path / cache.FOLDER, kind(), SHA256) is not None
    if there:
        detail = _("What agents run on is prepared.")
    else:
        detail = _("What agents run on is prepared when the first one is installed.")
    return Check("runner", "ok", detail, "", {"prepared": there})
