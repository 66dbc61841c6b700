"""Triggers made durable: what is due becomes runs, in the transaction that moves the anchor.

An event is noted when it comes, so that a node that dies within the debounce still runs its job.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from zoneinfo import ZoneInfo

import msgspec

from commons_crdt.texts import _
from commons_node.jobs import times
from commons_node.jobs.job import Cron, Every, Job, On, Trigger
from commons_node.jobs.queue import Queue
from commons_node.jobs.refusals import QueueFull

_LONGEST = 10
"""Debounces after which it runs although events go on."""


def key_of(trigger: Trigger) -> str:
    """The trigger's name: what it is. A changed schedule is another one, and begins anew."""
    match trigger:
        case Cron():
            return f"cron {trigger.expression} {trigger.zone}".rstrip()
        case Every():
            return f"every {trigger.seconds:g} s"
        case On():
            where = msgspec.json.encode(trigger.where, order="deterministic").decode()
            return f"on {trigger.event} {where}" if trigger.where else f"on {trigger.event}"


def fits(trigger: On, event: Mapping[str, object]) -> bool:
    """Whether an event is what the trigger waits for."""
    if event.get("event") != trigger.event:
        return False
    return all(event.get(name) == value for name, value in trigger.where.items())


def zone_of(trigger: Trigger, zone: ZoneInfo) -> ZoneInfo:
    """The zone in which its times are meant."""
    named = trigger.zone if isinstance(trigger, Cron) else ""
    return ZoneInfo(named) if named else zone


def check(job: Job, zone: ZoneInfo) -> None:
    """Raise ``BadSchedule`` for a trigger that never comes, or a zone that is not known."""
    for trigger in job.triggers:
        if isinstance(trigger, Cron):
            try:
                times.check(trigger, zone_of(trigger, zone))
            except (KeyError, OSError, ValueError):
                why = _("there is no zone {zone!r}").format(zone=trigger.zone)
                raise times.BadSchedule(text=trigger.expression, why=why) from None


def arm(queue: Queue, job: Job) -> None:
    """Triggers of this job, and no others; a new one looks from now on."""
    keys = [key_of(trigger) for trigger in job.triggers]
    with queue.transaction() as file:
        held = {key for (key,) in file.execute(
            "SELECT trigger FROM triggers WHERE job = ?", (job.name,))}  # fmt: skip
        for key in held - set(keys):
            file.execute("DELETE FROM triggers WHERE job = ? AND trigger = ?", (job.name, key))
        for key in dict.fromkeys(keys):
            file.execute(
                "INSERT OR IGNORE INTO triggers (job, trigger, anchor_ms) VALUES (?,?,?)",
                (job.name, key, queue.now()),
            )


def fire(queue: Queue, job: Job, zone: ZoneInfo) -> int:
    """Make runs of what is due; how many. A full queue leaves the anchor: nothing is forgotten."""
    made = 0
    now = queue.now()
    for trigger in job.triggers:
        key = key_of(trigger)
        found = queue.rows(
            "SELECT anchor_ms, pending_ms, event, count FROM triggers"
            " WHERE job = ? AND trigger = ?", job.name, key,
        )  # fmt: skip
        if not found:
            continue
        anchor, pending, event, count = found[0]
        try:
            if isinstance(trigger, On):
                made += _event(queue, job, key, now, anchor, pending, event, count)
            else:
                made += _times(queue, job, trigger, key, now, anchor, zone_of(trigger, zone))
        except QueueFull:
            continue
    return made


def _times(
    queue: Queue, job: Job, trigger: Cron | Every, key: str, now: int, anchor: int, zone: ZoneInfo
) -> int:
    due = times.due(trigger, anchor, now, zone)
    if due.anchor == anchor and not due.times:
        return 0
    made = 0
    with queue.transaction() as file:
        if trigger.misfire != "each" and due.times and _joins(file, job.name, key, due.covers):
            _move(queue, job.name, key, due.anchor)
            return 0
        for time in due.times:
            run = queue.put(
                file, job.name, trigger=key, scheduled_ms=time, covers=due.covers,
                dedup=f"{job.name}/{key}/{time}",
            )  # fmt: skip
            made += run is not None
        _move(queue, job.name, key, due.anchor)
    return made


def _event(
    queue: Queue, job: Job, key: str, now: int, anchor: int, pending: int | None,
    event: bytes | None, count: int,
) -> int:  # fmt: skip
    """``anchor`` is when the last event came, ``pending`` when it is to run."""
    if pending is None or (now < pending and anchor <= now):
        return 0
    told = msgspec.json.decode(event, type=dict[str, object]) if event else {}
    with queue.transaction() as file:
        joined = _joins(file, job.name, key, max(count, 1))
        if not joined:
            queue.put(file, job.name, trigger=key, covers=max(count, 1), event=told)
        _move(queue, job.name, key, now)
    return not joined


def _joins(file: sqlite3.Connection, job: str, key: str, covers: int) -> bool:
    """Whether a run of this trigger, which nobody has begun, does for these times as well."""
    done = file.execute(
        "UPDATE runs SET covers = covers + ? WHERE run = (SELECT run FROM runs WHERE job = ?"
        " AND trigger = ? AND state = 'ready' AND attempts = 0 LIMIT 1)",
        (covers, job, key),
    )
    return done.rowcount > 0


def _move(queue: Queue, job: str, key: str, anchor: int) -> None:
    queue.file.execute(
        "UPDATE triggers SET anchor_ms = ?, pending_ms = NULL, event = NULL, count = 0"
        " WHERE job = ? AND trigger = ?",
        (anchor, job, key),
    )


def heard(queue: Queue, job: Job, trigger: On, event: Mapping[str, object], more: int) -> None:
    """``more`` events came that fit; ``event`` is the last one. It runs when they rest."""
    now, key = queue.now(), key_of(trigger)
    wait = round(trigger.debounce_s * 1000)
    with queue.transaction() as file:
        found = file.execute(
            "SELECT pending_ms, count, anchor_ms FROM triggers WHERE job = ? AND trigger = ?",
            (job.name, key),
        ).fetchone()
        if found is None:
            return
        pending, count, first = found
        begun = first if pending is not None and first <= now else now
        due = min(now + wait, begun + _LONGEST * wait)
        encoded = msgspec.json.encode(event)
        file.execute(
            "UPDATE triggers SET anchor_ms = ?, pending_ms = ?, event = ?, count = ?"
            " WHERE job = ? AND trigger = ?",
            (begun, due, encoded, count + more, job.name, key),
        )


def next_due(queue: Queue, job: Job, zone: ZoneInfo) -> int | None:
    """When the job is next due by itself (ms, UTC); None: only by hand or by an event."""
    found = []
    for trigger in job.triggers:
        rows = queue.rows(
            "SELECT anchor_ms, pending_ms FROM triggers WHERE job = ? AND trigger = ?",
            job.name, key_of(trigger),
        )  # fmt: skip
        if not rows:
            continue
        anchor, pending = rows[0]
        if isinstance(trigger, On):
            found += [pending] if pending is not None else []
            continue
        anchor = min(anchor, queue.now())  # the clock was set back
        time = times.following(trigger, anchor, zone_of(trigger, zone))
        found += [time] if time is not None else []
    return min(found, default=None)
