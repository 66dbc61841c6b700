"""Signing by a policy: what an agent proposes, in the name of a member who has said so beforehand.

Only when a run ends, only what that run proposed, and only while that member is unlocked, alone, in
a terminal of their own. Whatever is not so leaves it a proposal as any other, with the reason.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import structlog

from commons_crdt.errors import CommonsError
from commons_crdt.ids import MemberId, RealmId
from commons_crdt.texts import N_, _
from commons_node.capabilities.proposing import proposable, trustable
from commons_node.community import Community
from commons_node.jobs.catalogue import reason
from commons_node.jobs.job import Job
from commons_node.jobs.queue import Queue
from commons_node.keystore.sessions import Lent
from commons_node.moments import moment
from commons_node.proposals import policies, store
from commons_node.proposals.policies import End, Policy
from commons_node.proposals.store import Proposal
from commons_node.registry import Registry, Request

if TYPE_CHECKING:
    from commons_node.daemon import Daemon
    from commons_node.jobs.desk import Desk
    from commons_node.proposals.signing import Signing

log = structlog.get_logger(component="agents")
_SHOWN: Final = 5
"""Proposals of which `job why` says what keeps a policy from signing."""

HELD: Final = {
    "agent": N_("the agent is paused or suspended"),
    "wider": N_("the agent may do more now than when it was trusted"),
    "act": N_("this version lets nobody be trusted with that"),
    "member": N_("{member} has no part in the community with this device any more"),
    "limited": N_("{member} is here with a device that may write a few things only"),
    "locked": N_("{member} is not unlocked, alone, in a terminal"),
    "often": N_("it has signed as often as it may in a day ({each_day})"),
    "failed": N_("it did not work: {error}"),
}
"""Why a policy that fits does not sign; each completes a sentence."""
MEND: Final = {
    "agent": N_("commons-node agent show {agent}"),
    "wider": N_(
        "read commons-node agent show {agent}; then: commons-node agent trust {agent} {act}"
    ),
    "act": N_("sign what it proposes yourself: commons-node proposal list"),
    "member": N_("sign what it proposes yourself: commons-node proposal list"),
    "limited": N_("sign what it proposes yourself: commons-node proposal list"),
    "locked": N_("commons-node member unlock {member}"),
    "often": N_("wait for tomorrow, or sign what it proposes yourself: commons-node proposal list"),
}
"""What to do about each, for what is proposed from now on; each a next action."""


@dataclass(frozen=True, slots=True)
class Looked:
    """What stands in a policy's way, a word of ``HELD`` or "", and the session if nothing does."""

    held: str
    session: Lent | None = None


class Trusting:
    """One for a node."""

    def __init__(self, daemon: Daemon, registry: Registry, desk: Desk, signing: Signing) -> None:
        """``desk``: the file of jobs."""
        self._daemon = daemon
        self._desk = desk
        self._signing = signing
        self.acts = trustable(proposable(registry))
        """What an agent may be trusted with."""

    # -- after a run ---------------------------------------------------------------------------

    async def after(self, run: int) -> None:
        """A run has ended well: sign what it proposed, as far as a policy covers it."""
        for proposal in await self._desk.call(lambda queue: store.of_run(queue, run)):
            await self._one(proposal)

    async def _one(self, proposal: Proposal) -> None:
        held = ""
        for policy in await self._desk.call(lambda queue: policies.fitting(queue, proposal)):
            looked = await self.look(policy)
            held = looked.held or await self._sign(proposal, policy, looked.session)
            if not held:
                return
        if held:
            await self._desk.call(lambda queue: store.hold(queue, proposal.number, held))

    async def _sign(self, proposal: Proposal, policy: Policy, session: Lent | None) -> str:
        """What stood in the way after all, or "" where it is signed."""
        daemon = self._daemon
        asked = Request(daemon, community=policy.principal, member=policy.member, session=session)
        outcome, answer = "internal", dict[str, object]()
        try:
            _found, answer = await self._signing.sign(asked, proposal.number, policy.number)
            outcome = "ok"
        except CommonsError as error:
            outcome = error.code
        finally:
            daemon.doors.audit.note(
                "proposal.sign", outcome, member=policy.member, given=("proposal",),
                answer={"community": policy.principal, **answer},
                agent=policy.agent, run=proposal.run, policy=policy.number,
            )  # fmt: skip
        log.info("policy_signed", policy=policy.number, proposal=proposal.number, outcome=outcome)
        daemon.events.publish("job", {"job": proposal.job, "run": proposal.run, "state": "signed"})
        if outcome == policies.NotCovered.code:  # it has ended, or another run was first
            return "often"
        return "" if outcome == "ok" else "failed"

    async def look(self, policy: Policy) -> Looked:
        """Whether it could sign now."""
        daemon = self._daemon
        installed = daemon.agents.installed(policy.agent)
        if installed is None or installed.state != "active":
            return Looked("agent")
        if not policy.covers(installed.manifest.publisher, installed.granted):
            return Looked("wider")
        if policy.command not in self.acts:
            return Looked("act")
        community = daemon.communities.get(RealmId(bytes.fromhex(policy.principal)))
        if community is None or not _here(community, policy.member):
            return Looked("member")
        session = daemon.sessions.alone(policy.member)
        unlocked = session.holding(policy.member) if session is not None else None
        if session is None or unlocked is None:
            return Looked("locked")
        try:
            actor = await community.actor(unlocked)
        except CommonsError:
            return Looked("member")
        if actor.device.hex() != policy.device:
            return Looked("member")
        if community.realm.judge.authority.grants[actor.grant].limit is not None:
            return Looked("limited")
        used = await self._desk.call(lambda queue: policies.used(queue, policy))
        return Looked("often") if used >= policy.each_day else Looked("", session)

    # -- making and ending ---------------------------------------------------------------------

    async def make(self, policy: Policy) -> Policy:
        """A member has said so."""
        return await self._desk.call(lambda queue: policies.make(queue, policy))

    async def end(self, why: End, **which: str | None) -> int:
        """End what fits: ``agent``, ``member``, ``principal``; how many."""
        return await self._desk.call(lambda queue: policies.end(queue, why, **which))  # type: ignore[arg-type]  # by name

    async def changed(self, community: Community) -> None:
        """Who is in the community may have changed: whoever left is not signed for again."""
        principal = community.realm.realm.hex()
        for policy in await self._desk.call(policies.live):
            if policy.principal == principal and not _here(community, policy.member):
                await self.end("left", member=policy.member, principal=principal)

    # -- as answers have them ------------------------------------------------------------------

    async def rows(self, agent: str) -> list[dict[str, object]]:
        """The policies of an agent: act, who signs, how often and until when, and why not now."""
        found = await self._desk.call(lambda queue: policies.live(queue, agent))
        return [await self._row(one) for one in found]

    async def _row(self, policy: Policy) -> dict[str, object]:
        used = await self._desk.call(lambda queue: policies.used(queue, policy))
        held = (await self.look(policy)).held
        return {
            "policy": policy.number,
            "agent": policy.agent,
            "act": policy.command,
            "principal": policy.principal,
            "member": policy.member,
            "member_name": await self.name_of(policy),
            "each_day": policy.each_day,
            "used": used,
            "made": moment(policy.made_ms),
            "until": moment(policy.until_ms),
            "package": policy.package,
            "state": held or "ready",
            "why": await self.words(held, policy) if held else None,
        }

    async def name_of(self, policy: Policy) -> str:
        """What the member is called."""
        community = self._daemon.communities.get(RealmId(bytes.fromhex(policy.principal)))
        names = await community.names() if community is not None else {}
        return names.get(MemberId(bytes.fromhex(policy.member)), policy.member[:8])

    async def words(self, held: str, policy: Policy, error: str | None = None) -> str:
        """Why a policy did not sign, for people."""
        member = await self.name_of(policy)
        return _(HELD[held]).format(member=member, each_day=policy.each_day, error=error or "?")

    async def held(self, proposal: Proposal) -> str | None:
        """Why a proposal that a policy speaks of waits for its member; None if none does."""
        if proposal.state != "open" or proposal.held not in HELD:
            return None
        fits = await self._desk.call(lambda queue: policies.fitting(queue, proposal))
        return await self.words(proposal.held, fits[-1], proposal.error) if fits else None

    async def besides(self, job: Job) -> list[dict[str, str]]:
        """What of an agent waits for a member, and what is signed for whom; nothing of duties."""
        if job.agent is None:
            return []
        rows = await self._desk.call(lambda queue: store.undecided(queue, job.name))
        found = [reason("proposed", count=len(rows))] if rows else []
        for one in rows[:_SHOWN]:
            held = await self.held(one)
            if held is not None:
                found.append(reason("held", proposal=one.number, act=one.command, why=held))
        for row in await self.rows(job.agent):
            code = "trust_held" if row["why"] else "trusted"
            member, act = row["member_name"], row["act"]
            mend = _(MEND[str(row["state"])]) if row["why"] else ""
            told = {**row, "member": member, "agent": job.agent.partition("/")[2]}
            told["mend"] = mend.format(agent=told["agent"], act=act, member=member)
            found.append(reason(code, **told))
        return found

    async def of(self, proposal: Proposal) -> dict[str, object] | None:
        """The receipt of what a policy has signed: agent, run, principal, member, policy."""
        number = proposal.policy
        if number is None:
            return None
        policy = await self._desk.call(lambda queue: policies.one(queue, number))
        return {
            "policy": policy.number, "agent": policy.agent, "run": proposal.run,
            "principal": policy.principal, "member": policy.member,
            "member_name": await self.name_of(policy), "act": policy.command,
            "made": moment(policy.made_ms), "until": moment(policy.until_ms),
            "ended": moment(policy.ended_ms), "why": policy.ended,
        }  # fmt: skip


def _here(community: Community, member: str) -> bool:
    return MemberId(bytes.fromhex(member)) in community.realm.judge.authority.members()


def ends_with(queue: Queue, agent: str, why: End) -> None:
    """An agent goes, or may not run: nothing is signed for it from now on."""
    policies.end(queue, why, agent=agent)
