"""A new machine of an existing member asks nodes to be let in; what is said is in `applying`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from commons_crdt.texts import Spoken, _
from commons_node.peering.types import NotJoined, Settings
from commons_protocol import applying, joining
from commons_protocol.effects import Close, Send
from commons_protocol.network import Address, Network, NetworkError, PeerId

ASK_AGAIN_S = 2.0
"""Between two questions while people decide: the node itself holds each for some time."""

WORDS = Spoken({
    "expired": "the code has expired",
    "used": "another machine has used this code",
    "changed": "the member's devices have just changed; try again",
    "refused": "the members who were asked did not agree",
    "spent": "the code has been used",
    "later": "the node cannot let anybody in at the moment",
    "pin": "the node belongs to another community, or to another member",
})  # fmt: skip


def anybody(_peer: PeerId) -> bool:
    """Any node may answer."""
    return True


class Seeking:
    """One request, put to one node after the other until one lets us in."""

    def __init__(
        self,
        network: Network,
        door: applying.Door,
        fits: Callable[[PeerId], bool],
        told: Callable[[bytes], None],
        settings: Settings,
    ) -> None:
        """As in ``Peering.apply``."""
        self._network = network
        self._door = door
        self._fits = fits
        self._told = told
        self._settings = settings

    async def anywhere(
        self, addresses: Sequence[Address]
    ) -> tuple[applying.Granted, PeerId, Address]:
        """The first success, who let us in, and where. Raises ``NotJoined``."""
        reasons = [] if addresses else [_("no address is known; give one with --address")]
        turned = ""
        for address in addresses:
            try:
                return *await self._until_decided(address), address
            except NotJoined as error:
                turned = turned or error.turned
                reasons.append(str(error.details["why"]))
            except (NetworkError, TimeoutError) as error:
                reasons.append(f"{address}: {str(error) or _('no answer in time')}")
        raise NotJoined("; ".join(reasons), turned)

    async def _until_decided(self, address: Address) -> tuple[applying.Granted, PeerId]:
        while True:
            try:
                async with asyncio.timeout(self._settings.join_timeout):
                    return await self._at(address)
            except NotJoined as error:
                if error.turned != "waiting":
                    raise
            await asyncio.sleep(ASK_AGAIN_S)

    async def _at(self, address: Address) -> tuple[applying.Granted, PeerId]:
        dial_timeout = self._settings.dial_timeout
        peer = await self._network.connect(address, dial_timeout)
        if not self._fits(peer):
            await self._network.disconnect(peer)
            raise NotJoined(_("another node answers at {address}").format(address=address))
        stream = await self._network.open(peer, joining.JOIN, dial_timeout)
        applicant = applying.Applicant(self._network.peer_id, stream.peer, self._door)
        try:
            while True:
                try:
                    frame = await stream.receive()
                except NetworkError as error:
                    raise NotJoined(_("the node does not know this code or key")) from error
                for effect in applicant.on_frame(frame):
                    match effect:
                        case Send(answer):
                            await stream.send(answer)
                        case applying.Told(salt):
                            self._told(salt)
                        case applying.Granted():
                            return effect, peer
                        case applying.Denied(code):
                            raise NotJoined(WORDS.get(code, WORDS["later"]), code)
                        case Close(code):
                            raise NotJoined(WORDS.get(code, _("the node does not make sense")))
        finally:
            await stream.close()
