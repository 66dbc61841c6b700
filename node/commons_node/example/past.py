"""A node whose clock stands in the past: what commands ask of the daemon while a year is lived.

Everything else is the daemon's own: keys, rules, verifier, this node's device. The realm is on no
list of the daemon's yet, so nobody is told of it, and a crash leaves a file that the next load
takes away.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from commons_crdt.ids import MemberId, RealmId
from commons_crdt.operation import Operation
from commons_node.attendance.attending import Attending
from commons_node.community import Actor, Community
from commons_node.daemon import Daemon
from commons_node.domains import registry
from commons_node.keystore.sessions import Session, pick
from commons_node.membership.admissions import Admissions
from commons_node.membership.joining import Joining
from commons_node.own.realms import OwnRealms
from commons_node.registry import Request

if TYPE_CHECKING:
    from commons_node.realm.realm import Realm

LOADING: Final = ".loading"
"""How the file of a realm ends whose year is not over; also the folder of its own realms."""


class Past:
    """See the module. ``at_ms`` is its clock, which only the story moves."""

    def __init__(self, daemon: Daemon, at_ms: int) -> None:
        """``close`` must be called."""
        self.at_ms = at_ms
        self.session: Session = daemon.sessions.new()
        self.communities: dict[RealmId, Community] = {}
        self.members: list[MemberId] = []
        self.admissions = Admissions(self.as_daemon)
        self.joining = Joining(self.as_daemon)
        self.path: Path | None = None
        self.own = OwnRealms(self.as_daemon, daemon.home.path / f"own{LOADING}")
        self.attending = Attending(self.as_daemon)
        self._daemon = daemon
        self._verbs = registry()
        self._work: list[Coroutine[Any, Any, Any]] = []

    def __getattr__(self, name: str) -> Any:
        """What is not said here is as at the daemon."""
        return getattr(self._daemon, name)

    @property
    def as_daemon(self) -> Daemon:
        """This node where the product asks for the daemon."""
        return cast("Daemon", self)

    async def do(self, who: str | None, name: str, /, **arguments: object) -> Mapping[str, Any]:
        """Somebody runs a command. Raises what it raises."""
        verb = self._verbs.command(name)
        assert verb is not None, name
        request = Request(self.as_daemon, member=who, session=self.session)
        # The daemon's own work goes on meanwhile: a year must not hold it up.
        await asyncio.sleep(0)
        answer = await verb.run(request, verb.args(**arguments))
        while self._work:
            await self._work.pop(0)
        return answer

    async def see(self, who: str | None, name: str, /, **arguments: object) -> Mapping[str, Any]:
        """Somebody looks at a view."""
        verb = self._verbs.view(name)
        assert verb is not None, name
        request = Request(self.as_daemon, member=who, session=self.session)
        return (await verb.read(request, verb.args(**arguments))).value

    async def close(self) -> None:
        """Close the realm, and forget all keys but those on disk."""
        await self.joining.stop()
        for work in self._work:
            work.close()
        self.session.lock()
        await self.own.close()
        for community in self.communities.values():
            await community.realm.close()

    # -- what commands ask ---------------------------------------------------------------------

    def now_ms(self) -> int:
        """The clock of the story."""
        return self.at_ms

    def kept(self) -> list[Community]:
        """The one community."""
        return list(self.communities.values())

    def spawn(self, work: Coroutine[Any, Any, Any]) -> None:
        """Done right after the command that asks for it, so that a year is the same each time."""
        self._work.append(work)

    def may_sign(self, _realm: RealmId) -> bool:
        """Every key in it is new."""
        return True

    async def community(self, _request: Request[Daemon]) -> Community:
        """The one community."""
        return next(iter(self.communities.values()))

    async def actor(self, request: Request[Daemon], community: Community) -> Actor:
        """Whom the request names, by name."""
        assert request.member is not None
        member = (await community.member(request.member)).hex()
        return await community.actor(pick(request.session, member))

    async def refresh(self, realm: Realm) -> None:
        """Log 0 grew: open new epochs and prove again; there is nobody to tell."""
        await self._daemon.standing.refresh(realm)

    async def add_realm(
        self, realm: RealmId, operations: Sequence[Operation], member: MemberId
    ) -> Realm:
        """The realm on a file of its own, the first time; then somebody who came in."""
        community = self.communities.get(realm)
        if community is None:
            self.path = self._daemon.home.path / "realms" / f"{realm.hex()}.db{LOADING}"
            # The daemon's own way of opening one, over this clock.
            held = await Daemon.make_realm(self.as_daemon, realm, self.path)
            await self._daemon.standing.refresh(held)
            community = self.communities[realm] = Community(held)
        await community.realm.ingest(operations, "join")
        self.members.append(member)
        return community.realm
