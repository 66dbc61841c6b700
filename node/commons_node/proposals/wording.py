"""How an operation that came of a proposal is explained: with agent and principal, on this node.

An operation's own bytes have no room for whose idea it was; other nodes see who signed it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from commons_crdt.ids import OperationId
from commons_crdt.texts import _
from commons_node.registry import Request

if TYPE_CHECKING:
    from commons_node.daemon import Daemon


_RECEIPT: Final = {"run": "run", "member": "member_name", "policy": "policy"}


async def proposed(daemon: Daemon, ident: OperationId) -> dict[str, object]:
    """``proposed`` {proposal, agent, principal, job, run, why, policy} and ``proposed_by``, a
    sentence; ``policy`` is the receipt of what one has signed.
    """
    found = await daemon.jobs.proposal_of(bytes(ident))
    if found is None:
        return {}
    community = await daemon.community(Request(daemon, community=found.principal))
    signed = await daemon.jobs.trusting.of(found)
    sentence = _("The agent {agent}, which works for {principal} on this node, proposed it.")
    if signed is not None:
        sentence = _(
            "The agent {agent}, which works for {principal} on this node, proposed it in run {run};"
            " it was signed at once, as {member} had said beforehand (policy {policy})."
        )
    told = {key: signed[name] for key, name in _RECEIPT.items()} if signed is not None else {}
    return {
        "proposed": {
            "proposal": found.number,
            "agent": found.agent,
            "principal": found.principal,
            "job": found.job,
            "run": found.run,
            "why": found.why,
            "policy": signed,
        },
        "proposed_by": sentence.format(agent=found.agent, principal=await community.name(), **told),
    }
