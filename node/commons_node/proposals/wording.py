"""How an operation that came of a proposal is explained: with agent and principal, on this node.

An operation's own bytes have no room for whose idea it was; other nodes see who signed it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from commons_crdt.ids import OperationId
from commons_crdt.texts import _
from commons_node.registry import Request

if TYPE_CHECKING:
    from commons_node.daemon import Daemon


async def proposed(daemon: Daemon, ident: OperationId) -> dict[str, object]:
    """``proposed`` {proposal, agent, principal, job, why} and ``proposed_by``, a sentence."""
    found = await daemon.jobs.proposal_of(bytes(ident))
    if found is None:
        return {}
    community = await daemon.community(Request(daemon, community=found.principal))
    sentence = _("The agent {agent}, which works for {principal} on this node, proposed it.")
    return {
        "proposed": {
            "proposal": found.number,
            "agent": found.agent,
            "principal": found.principal,
            "job": found.job,
            "why": found.why,
        },
        "proposed_by": sentence.format(agent=found.agent, principal=await community.name()),
    }
