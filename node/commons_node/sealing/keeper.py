"""A coordinator's node keeps the rhythm of seals: it notices, prepares, checks, endorses.

```
quiet ── due, and whole ──> prepared ── the key is unlocked ──> proposed ── majority ──> in force
   └──── a proposal is here ──> checked ── it checks, and the key is unlocked ──> endorsed ──┘
```

A node's own device may not write an act of the council: a seal is signed with the endorsing key of
a coordinator, at the next unlock or while unlocked. While something else is on the council's table
nothing is proposed, as it would be in the way. The first of the list proposes at once; the others
wait their turn, so that two do not outbid each other.

Source: AUTHORITY.md "Seals"; docs/state-machines/seal.md.
"""

from __future__ import annotations

import asyncio
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from typing import Literal, Protocol

import structlog

from commons_crdt.author import Draft
from commons_crdt.authority.ballots import Open, Step, Waiting, answer, open_at, propose
from commons_crdt.authority.council import Council
from commons_crdt.authority.council_facts import Ballot, CouncilAct, Endorse, Promise
from commons_crdt.authority.kinds_council import ACT, BALLOT, ENDORSE, PROMISE
from commons_crdt.errors import CommonsError
from commons_crdt.ids import DeviceId, OperationId, RealmId
from commons_crdt.texts import _
from commons_node.community import Actor, Community
from commons_node.realm.authoring import Written
from commons_node.realm.realm import Realm
from commons_node.sealing.checking import Checked, check, seal_of
from commons_node.sealing.due import Prepared, is_due, is_whole, margin_ms, prepare

log = structlog.get_logger(component="sealing")

MESSAGE_KINDS = {CouncilAct: ACT, Promise: PROMISE, Ballot: BALLOT, Endorse: ENDORSE}
"""The kinds of what a listed key writes."""
TURN_MS = 10 * 60_000
"""How long the next of the list waits for those before it."""
_REST_MS, _MOST_REST_MS = 60_000, 3_600_000
"""After a seal that could not be made: a minute, then twice as long each time."""
_FRESH_MS = 3_600_000
"""How long a prepared seal waits for its key before it is made anew."""
State = Literal["quiet", "prepared", "proposed", "checked", "endorsed", "in_force"]


class Host(Protocol):
    """The node that a keeper works for."""

    def now_ms(self) -> int:
        """Its clock."""

    async def endorsing_device(self, community: Community) -> DeviceId | None:
        """A listed key whose secrets are kept at this node, locked or not."""

    async def endorser(self, community: Community, device: DeviceId) -> Actor | None:
        """The coordinator with this key, if unlocked now and allowed to sign."""

    def in_step(self, realm: RealmId) -> bool:
        """True if no peer that is here is known to have more."""


@dataclass(slots=True)
class _Place:
    """What a keeper remembers of one community; all of it may be forgotten."""

    busy: asyncio.Lock = field(default_factory=asyncio.Lock)
    state: State = "quiet"
    table: tuple[OperationId, int] | None = None
    since_ms: int = 0
    due_ms: int | None = None
    prepared: Prepared | None = None
    prepared_ms: int = 0
    rest_until_ms: int = 0
    rest_ms: int = _REST_MS
    checked: dict[OperationId, tuple[int, int, Checked]] = field(default_factory=dict)
    why: str = ""


class Keeper:
    """See the module. ``look`` is cheap while nothing is due and nothing is proposed."""

    def __init__(self, host: Host) -> None:
        """Knows nothing yet."""
        self._host = host
        self._places: dict[RealmId, _Place] = {}

    def place(self, realm: RealmId) -> _Place:
        """What is remembered of a community."""
        return self._places.setdefault(realm, _Place())

    async def look(self, community: Community) -> State:
        """Do the next thing that can be done, if there is one; where things are then."""
        place = self.place(community.realm.realm)
        if place.busy.locked():
            return place.state
        async with place.busy:
            try:
                place.state = await self._look(community, place)
            except (CommonsError, BrokenProcessPool) as error:  # no budget, a worker died: later
                log.info("seal_not_written", why=getattr(error, "code", "worker"))
                place.state = "quiet"
        return place.state

    async def _look(self, community: Community, place: _Place) -> State:
        realm = community.realm
        device = await self._host.endorsing_device(community)
        authority = realm.judge.authority
        if device is None or authority.polity is None or authority.council.split:
            return "quiet"
        council, base = authority.polity.council, authority.polity.acts[-1]
        if council.states[base].index(device) < 0:
            return "quiet"
        now = self._host.now_ms()
        table = (authority.council.base, sum(m.base == base for m in council.messages.values()))
        if table != place.table:
            place.table, place.since_ms = table, now
        idle = now - place.since_ms
        on_table = open_at(council, base, device)
        acts = [one.act for one in on_table if one.act is not None]
        if any(seal_of(realm, act) is None for act in acts):
            return "quiet"  # people decide something else
        turn = council.states[base].index(device) * TURN_MS
        found = await self._answer(community, device, on_table, patient=idle < TURN_MS + turn)
        if found is not None:
            return found
        if not acts and not await is_due(realm, now):
            place.due_ms = None
            return "quiet"
        place.due_ms = now if place.due_ms is None else place.due_ms
        wishes = [one for one in on_table if one.act is None and one.answerable]
        if wishes:
            step = answer(council, base, device, wishes[0].operation)
            return await self._write(community, device, step)
        mine = any(one.act is None and one.by == device for one in on_table)
        if now < place.rest_until_ms or (idle < turn and not mine):
            return "quiet"
        return await self._propose(community, device, place)

    # --- endorsing -------------------------------------------------------------------------------

    async def _answer(
        self, community: Community, device: DeviceId, on_table: list[Open], *, patient: bool
    ) -> State | None:
        """Endorse a seal that checks; None if nothing on the table keeps from proposing.

        ``patient``: what may come right by itself is waited for.
        """
        for one in on_table:  # the highest ballot first
            if one.act is None:
                if one.by == device or one.answerable:
                    return None
                if patient:
                    return "checked"  # who was promised a ballot has the word
                continue
            if device in one.said:
                return "endorsed"
            checked = await self.check(community.realm, one.act)
            if checked.good and one.answerable:
                table = table_of(community.realm)
                step = answer(*table, device, one.operation) if table else None
                return await self._write(community, device, step, "checked")
            if checked.good or (checked.later and patient):
                return "checked"
        return None

    async def check(self, realm: Realm, act: OperationId) -> Checked:
        """Whether a seal checks here; asked again when more is here, or a minute later."""
        place, now = self.place(realm.realm), self._host.now_ms()
        known = place.checked.get(act)
        seen = len(realm.judge.authority.bits)
        if known is not None and known[0] == seen:
            asked, found = known[1:]
            if not found.later or now < asked + _REST_MS:
                return found
        found = await check(realm, act, now)
        if len(realm.judge.authority.bits) != seen:
            return Checked(_("More has arrived meanwhile."), later=True)
        if len(place.checked) > 64:
            place.checked.clear()
        place.checked[act] = (seen, now, found)
        if not found.good:
            log.warning("seal_does_not_check", act=act.hex()[:12], why=found.why)
        return found

    # --- proposing -------------------------------------------------------------------------------

    async def _propose(self, community: Community, device: DeviceId, place: _Place) -> State:
        realm, now = community.realm, self._host.now_ms()
        whole = self._host.in_step(realm.realm) and await is_whole(realm)
        waited = now - (now if place.due_ms is None else place.due_ms)
        if not whole and waited < margin_ms(realm):
            return "quiet"  # no longer: who sends what is never complete must not stop all seals
        base = realm.judge.authority.council.base
        made = place.prepared
        if made is None or made.base != base or now - place.prepared_ms > _FRESH_MS:
            made = await prepare(realm, device, now)
            place.prepared, place.prepared_ms, place.why = made, now, made.why
        if made.content is None:
            place.prepared = None
            place.rest_until_ms = now + place.rest_ms
            place.rest_ms = min(2 * place.rest_ms, _MOST_REST_MS)
            log.info("no_seal", why=made.why)
            return "quiet"
        place.rest_ms = _REST_MS
        polity = realm.judge.authority.polity
        if polity is None or realm.judge.authority.council.base != made.base:
            return "quiet"
        step = propose(polity.council, polity.acts[-1], device, made.content)
        if isinstance(step, Waiting):
            return "prepared"
        if (
            isinstance(step.body, Ballot)
            and not (await self.check(realm, OperationId(step.body.act))).good
        ):
            return "checked"  # promises bind this ballot to a seal that is wrong: people decide
        return await self._write(community, device, step, "prepared")

    async def _write(
        self, community: Community, device: DeviceId, step: Step | None, before: State = "quiet"
    ) -> State:
        """Sign with the coordinator's key, if it is unlocked."""
        actor = await self._host.endorser(community, device)
        if step is None or actor is None:
            return before
        base = community.realm.judge.authority.council.base
        await write_step(community, actor, step)
        place = self.place(community.realm.realm)
        if community.realm.judge.authority.council.base != base:
            place.prepared = None
            log.info("seal_in_force", act=community.realm.judge.authority.council.base.hex()[:12])
            return "in_force"
        return "endorsed" if isinstance(step.body, Endorse) else "proposed"


async def write_step(community: Community, actor: Actor, step: Step) -> Written:
    """Write what a listed key says next."""
    draft = Draft.fact(MESSAGE_KINDS[type(step.body)], step.body, log=0, refs=step.refs)
    (result,) = await community.write(actor, draft)
    return result


def table_of(realm: Realm) -> tuple[Council, int] | None:
    """The messages of a community's council, and the act in force last."""
    polity = realm.judge.authority.polity
    return None if polity is None else (polity.council, polity.acts[-1])
