"""All targets by name: what `make test` and `make fuzz` both go through."""

from __future__ import annotations

from tests.fuzz import (
    api,
    changes,
    codes,
    devices,
    files,
    jobs,
    messages,
    operations,
    ranges,
    relays,
    sticks,
    streams,
    terminal,
)
from tests.fuzz.target import Target

TARGETS: dict[str, Target] = {
    target.name: target
    for module in (
        operations,
        changes,
        messages,
        streams,
        ranges,
        relays,
        codes,
        devices,
        files,
        jobs,
        sticks,
        api,
        terminal,
    )
    for target in module.TARGETS
}
