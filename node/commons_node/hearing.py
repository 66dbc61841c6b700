"""What the daemon does when something has happened: a change in a realm, at a peer, on the disk.

Each answer is short: it tells listeners, and begins in the background what is due now. Whatever
no event brings is looked at every half minute.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import structlog

from commons_crdt.errors import CommonsError
from commons_node.flips import told
from commons_node.membership.watching import let_others, prove_forks

if TYPE_CHECKING:
    from commons_node.community import Community
    from commons_node.daemon import Daemon
    from commons_node.realm.realm import Realm
    from commons_node.realm.revised import Flip
    from commons_node.realm.told import Change

log = structlog.get_logger(component="daemon")

_TICK_S: Final = 30.0
_SWEEP_TICKS: Final = 120
"""Once an hour it lets go of what is too old in the audit."""


class Hearing:
    """Hears for one daemon."""

    def __init__(self, daemon: Daemon) -> None:
        """Nothing is heard before the daemon starts."""
        self._daemon = daemon

    async def tick(self) -> None:
        """What time alone brings, until cancelled."""
        daemon, ticks = self._daemon, 0
        while True:
            await asyncio.sleep(_TICK_S)
            ticks += 1
            daemon.sessions.sweep()
            if ticks % _SWEEP_TICKS == 0:
                daemon.doors.audit.sweep()
            daemon.parts.tick()
            for community in list(daemon.communities.values()):
                try:
                    await community.realm.tick()
                except CommonsError as error:  # the disk is full, or a file is being mended
                    log.warning("tick_failed", community=community.id[:8], why=str(error))
                except Exception:  # the others still want their turn, and this one its next
                    log.exception("tick_failed", community=community.id[:8])
                daemon.look_at_seals(community)
                daemon.confirming.look(community)
                daemon.look_at_openings(community)
            await daemon.attending.tick()

    def changed(self, change: Change) -> None:
        """A realm has taken something in."""
        daemon = self._daemon
        community = daemon.communities.get(change.realm)
        if community is None:
            return
        if change.log_zero:
            daemon.spawn(daemon.refresh(community.realm))
            if daemon.ready:
                daemon.spawn(daemon.jobs.trusting.changed(community))
        if daemon.ready:
            daemon.parts.changed(change)
        if change.own:
            daemon.spawn(daemon.peering.written(change.realm, change.operations))
        if daemon.ready and change.log_zero:  # all else makes a seal due in the long run: `tick`
            daemon.look_at_seals(community)
        if daemon.ready:
            daemon.confirming.changed(community, change)
        daemon.events.publish(
            "operations",
            {
                "community": change.realm.hex(),
                "count": len(change.ids),
                "operations": [ident.hex() for ident in change.ids[:16]],
                "own": change.own,
            },
        )
        if change.flips:
            daemon.spawn(self._tell_flips(community, change.flips))
        if change.forked:
            daemon.spawn(self.prove_forks(community.realm))

    async def _tell_flips(self, community: Community, flips: Sequence[Flip]) -> None:
        for event in await told(community, flips):
            self._daemon.events.publish("flip", event)

    async def prove_forks(self, realm: Realm) -> None:
        """Write down, with this node's own device, that somebody's chain forked."""
        await self._daemon.signing.until(realm.realm)
        node = self._daemon.standing.device(realm.realm)
        if node is not None:
            await let_others()
            await prove_forks(realm, node, await self._daemon.store.members())

    async def compare(self, community: Community) -> None:
        """Fold what a seal settles, and tell how that compares."""
        daemon = self._daemon
        found = await daemon.comparing.news(community.realm, daemon.now_ms())
        if found is not None and found.seal is not None:
            event = {"community": community.id, "seal": found.seal.hex(), "compared": found.state}
            daemon.events.publish("seal", event)

    def room_changed(self, *, short: bool) -> None:
        """The disk is nearly full, or no more."""
        if not short:
            self._daemon.peering.talks.room_again()
        self._daemon.events.publish("disk", {"detail": "short" if short else "enough"})

    def peer_changed(self, kind: str, detail: str) -> None:
        """A peer came, went, or agrees otherwise; or the network did."""
        daemon = self._daemon
        daemon.events.publish(kind, {"detail": detail})
        if kind == "peer" and daemon.ready:
            daemon.parts.met()
            daemon.spawn(daemon.attending.bring())
