"""All targets by name: what `make test` and `make fuzz` both go through."""

from __future__ import annotations

from tests.fuzz import (
    agents,
    api,
    backups,
    broker,
    changes,
    codes,
    days,
    devices,
    files,
    jobs,
    messages,
    operations,
    profiles,
    ranges,
    relays,
    sandbox,
    spaces,
    sticks,
    streams,
    terminal,
    words,
)
from tests.fuzz.target import Target

TARGETS: dict[str, Target] = {
    target.name: target
    for module in (
        operations,
        profiles,
        changes,
        messages,
        streams,
        ranges,
        relays,
        codes,
        days,
        devices,
        files,
        spaces,
        jobs,
        sandbox,
        sticks,
        agents,
        api,
        backups,
        broker,
        terminal,
        words,
    )
    for target in module.TARGETS
}
