"""Signing a proposal: its command, run as the unlocked member, at most once whatever happens."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import msgspec
import structlog

from commons_crdt.errors import CommonsError
from commons_crdt.ids import OperationId, RealmId
from commons_node.api.arguments import from_body
from commons_node.capabilities.proposing import proposable
from commons_node.jobs.queue import Queue
from commons_node.proposals import policies, store
from commons_node.proposals.store import Decided, Proposal
from commons_node.realm.authoring import telling
from commons_node.registry import Command, Registry, Request, describe_arguments

if TYPE_CHECKING:
    from commons_node.daemon import Daemon
    from commons_node.jobs.desk import Desk

log = structlog.get_logger(component="agents")


class NotProposable(CommonsError):
    """This version lets no agent propose {command}."""

    code = "not_proposable"
    hint = "commons-node proposal drop {proposal}"


class Signing:
    """One for a node."""

    def __init__(self, daemon: Daemon, registry: Registry, desk: Desk) -> None:
        """``desk``: the file of jobs."""
        self._daemon = daemon
        self._commands = proposable(registry)
        self._desk = desk
        self._now: set[int] = set()
        """Proposals that are being signed in this life of the node."""

    async def sign(
        self, request: Request[Daemon], number: int, policy: int | None = None
    ) -> tuple[Proposal, dict[str, Any]]:
        """Do it, once: a second time it says what came of the first. ``policy``: by which.

        Raises what the command raises, ``NoProposal``, ``Decided`` and ``NotProposable``; of a
        policy ``NotCovered``.
        """
        await self.look_back()
        found = await self._desk.call(lambda queue: store.one(queue, number))
        if found.state == "signed":
            return found, {"again": number, **(found.answer or {})}
        command = self._commands.get(found.command)
        if command is None:
            raise NotProposable(command=found.command, proposal=number)
        if number in self._now:
            raise Decided(proposal=number, state="signing")
        asked = replace(request, community=found.principal)
        community = await self._daemon.community(asked)
        actor = await self._daemon.actor(asked, community)  # nobody is asked for what they can't do
        arguments = from_body(
            command, describe_arguments(command), msgspec.json.encode(found.arguments)
        )
        self._now.add(number)
        member = actor.member.hex()

        def begin(queue: Queue) -> Proposal:
            if policy is None:
                return store.begin(queue, number, member)
            return policies.take(queue, policy, number)

        work = asyncio.create_task(self._do(number, begin, command, asked, arguments))
        work.add_done_callback(lambda _work: self._now.discard(number))
        answer = await asyncio.shield(work)  # who stops waiting stops nothing
        return await self._desk.call(lambda queue: store.one(queue, number)), answer

    async def _do(
        self,
        number: int,
        begin: Callable[[Queue], Proposal],
        command: Command,
        request: Request[Daemon],
        arguments: msgspec.Struct,
    ) -> dict[str, Any]:
        """The command, and what became of it."""

        async def note(written: Sequence[OperationId]) -> None:
            await self._desk.call(lambda queue: store.note(queue, number, list(written)))

        await self._desk.call(begin)
        try:
            with telling(note):
                answer = await command.run(request, arguments)
        except Exception as error:
            await self._settle(number, str(error))
            raise
        told = {key: value for key, value in answer.items() if key != "file"}
        await self._desk.call(lambda queue: store.signed(queue, number, told, None))
        return told

    async def look_back(self) -> None:
        """What a crash left half signed is signed, or open again."""
        for one in await self._desk.call(store.interrupted):
            if one.number not in self._now:
                await self._settle(one.number, None)

    async def _settle(self, number: int, error: str | None) -> None:
        """By whether any of its operations is there."""
        one = await self._desk.call(lambda queue: store.one(queue, number))
        written = await self._desk.call(lambda queue: store.noted(queue, number))
        community = self._daemon.communities.get(RealmId(bytes.fromhex(one.principal)))
        if written and community is None:
            return  # its community is not open: nobody can tell
        there = [
            ident
            for ident in written
            if community is not None and await community.realm.standing(OperationId(ident))
        ]
        if there:
            answer = {"operation": there[0].hex()}
            await self._desk.call(lambda queue: store.signed(queue, number, answer, error))
            log.info("proposal_was_signed", proposal=number)
        else:
            await self._desk.call(lambda queue: store.reopened(queue, number, error))
