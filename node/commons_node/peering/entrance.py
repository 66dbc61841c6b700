"""Both sides of joining as tasks; what is said stands in `commons_protocol.joining`."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress

from commons_crdt.authority.facts import Identity
from commons_crdt.ids import RealmId
from commons_crdt.texts import Spoken, _
from commons_node.peering.types import Admissions, Joined, NotJoined, Reception, Settings
from commons_protocol import joining
from commons_protocol.applying import Application, Look
from commons_protocol.codes import Invitation
from commons_protocol.effects import Close, Send
from commons_protocol.limits import Buckets
from commons_protocol.names import node_id
from commons_protocol.network import Address, Network, NetworkError, PeerId, Stream

_MOST_PEERS = 512
_ADMISSIONS_AT_ONCE = 4
_AT_ONCE = 64
_OF_ONE_PEER = 2
_KNOCK_S = 5.0
"""How long a peer may take to show that it holds an invite; strangers hold no place longer."""

WORDS = Spoken({
    "expired": "the invite has expired",
    "spent": "the invite has been used as often as it may be",
    "later": "the node cannot let anybody in at the moment",
    "pin": "the node belongs to another community than the invite",
})  # fmt: skip

_log = logging.getLogger(__name__)


class Entrance:
    """Serves newcomers, and so many attempts of each peer; admits a few at a time.

    Whoever says nothing keeps nobody out: places are taken by peer, and soon given back.
    """

    def __init__(
        self,
        admissions: Admissions | None,
        settings: Settings,
        now: Callable[[], int],
        count: Callable[[str], None],
        reception: Reception | None = None,
    ) -> None:
        """Without ``admissions`` and ``reception`` everybody is a stranger."""
        self._admissions = admissions
        self._reception = reception
        self._settings = settings
        self._now = now
        self._count = count
        most = settings.joins_per_minute
        self._attempts: Buckets[PeerId] = Buckets(most, most / 60, _MOST_PEERS)
        self._here: Counter[PeerId] = Counter()
        self._admitting = asyncio.Semaphore(_ADMISSIONS_AT_ONCE)

    async def serve(self, stream: Stream, own: PeerId) -> None:
        """One attempt, to its end."""
        peer = stream.peer
        full = self._here[peer] >= _OF_ONE_PEER or self._here.total() >= _AT_ONCE
        if not self._attempts.of(peer).take(self._now()) or full:
            self._count("join_flood")
            await stream.reset()
            return
        self._here[peer] += 1
        try:
            async with asyncio.timeout(min(_KNOCK_S, self._settings.join_timeout)) as limit:
                await self._attempt(stream, own, limit)
        except TimeoutError:
            self._count("join_timeout")
            await stream.reset()
        finally:
            self._here[peer] -= 1
            self._here += Counter()  # forgets those at zero

    async def _attempt(self, stream: Stream, own: PeerId, limit: asyncio.Timeout) -> None:
        admissions = self._admissions
        find = admissions.find if admissions is not None else lambda _invite: None
        host = joining.Host(own, stream.peer, find, secrets.token_bytes(32))
        effects: list[Send | joining.Admit | Look | Application | Close] = [*host.begin()]
        while True:
            if effects and isinstance(looking := effects[0], Look):
                reception = self._reception
                opened = None if reception is None else await reception.look(looking.name)
                effects = [*host.on_look(opened)]
            for effect in effects:
                match effect:
                    case Send(frame):
                        await stream.send(frame)
                    case Close(code):
                        if code:
                            self._count(code)
                        await stream.close()
                        return
                    case joining.Admit() as newcomer:
                        assert admissions is not None
                        async with self._admitting:
                            answer = await self._admit(host, admissions, newcomer)
                        for step in answer:
                            if isinstance(step, Send):
                                await stream.send(step.frame)
                        await stream.close()
                        return
                    case Application() as wanted:
                        assert self._reception is not None
                        for step in await self._apply(host, self._reception, wanted, stream):
                            if isinstance(step, Send):
                                await stream.send(step.frame)
                        await stream.close()
                        return
            if host.knocked:
                now = asyncio.get_running_loop().time()
                limit.reschedule(now + self._settings.join_timeout)
            effects = [*host.on_frame(await stream.receive())]

    async def _admit(
        self, host: joining.Host, admissions: Admissions, newcomer: joining.Admit
    ) -> list[Send | Close]:
        try:
            operations = await admissions.admit(
                newcomer.realm,
                newcomer.invite,
                newcomer.identity,
                newcomer.possession,
                newcomer.consent,
            )
        except joining.TurnedAwayError as error:
            self._count(f"join_{error.code}")
            return host.turned(error.code)
        except Exception:
            _log.exception("an admission failed")
            self._count("join_failed")
            return host.turned("later")
        return host.admitted(operations)

    async def _apply(
        self, host: joining.Host, reception: Reception, wanted: Application, stream: Stream
    ) -> list[Send | Close]:
        async def tell(salt: bytes) -> None:
            for step in host.pending(salt):
                await stream.send(step.frame)

        try:
            return host.admitted(await reception.apply(wanted, tell))
        except joining.TurnedAwayError as error:
            if error.code != "waiting":  # an answer in time, no refusal
                self._count(f"join_{error.code}")
            return host.turned(error.code)
        except (NetworkError, TimeoutError):
            raise
        except Exception:
            _log.exception("a request of a new machine failed")
            self._count("join_failed")
            return host.turned("later")


class Ask:
    """The newcomer's side: one node after the other until one lets us in."""

    def __init__(
        self,
        network: Network,
        invitation: Invitation,
        identity: Identity,
        consent: Callable[[RealmId], bytes],
        dial_timeout: float,
    ) -> None:
        """``consent`` signs realm, invite and member with the new device's key."""
        self._network = network
        self._invitation = invitation
        self._identity = identity
        self._consent = consent
        self._dial_timeout = dial_timeout

    async def anywhere(
        self, addresses: Sequence[Address], seconds: float
    ) -> tuple[Joined, Address]:
        """The first success, and the address of who let us in. Raises ``NotJoined``."""
        reasons: list[str] = []
        turned = ""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                for address in addresses:
                    try:
                        return await self.at(address), address
                    except NotJoined as error:
                        turned = turned or error.turned
                        reasons.append(str(error.details["why"]))
                    except NetworkError as error:
                        reasons.append(f"{address}: {error}")
        if not addresses:
            reasons.append(_("the code names no address; give one"))
        raise NotJoined("; ".join(reasons) or _("no node answered in time"), turned)

    async def at(self, address: Address) -> Joined:
        """One attempt. Raises ``NotJoined``, ``NetworkError``."""
        peer = await self._network.connect(address, self._dial_timeout)
        if not self._invitation.fits_peer(peer):
            await self._network.disconnect(peer)
            raise NotJoined(_("another node answers at {address}").format(address=address))
        stream = await self._network.open(peer, joining.JOIN, self._dial_timeout)
        try:
            return await self._knock(stream)
        finally:
            await stream.close()

    async def _knock(self, stream: Stream) -> Joined:
        newcomer = joining.Newcomer(
            self._network.peer_id, stream.peer, self._invitation, self._identity, self._consent
        )
        while True:
            try:
                frame = await stream.receive()
            except NetworkError as error:
                raise NotJoined(_("the node does not know this invite")) from error
            for effect in newcomer.on_frame(frame):
                match effect:
                    case Send(answer):
                        await stream.send(answer)
                    case joining.Received(realm, operations):
                        return Joined(realm, node_id(stream.peer), operations)
                    case joining.TurnedAway(code):
                        raise NotJoined(WORDS[code], code)
                    case Close(code):
                        raise NotJoined(WORDS.get(code, _("the node does not make sense")))
