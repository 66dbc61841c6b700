"""What a handler is made of, and which ones this node has.

A handler is a function ``run(host)`` in a module that is loaded in a worker process only. Its name
is all that a job says: no file, no package and no stored word names code. ``agent`` is the one
whose entry is a kind of process: a locked one, which runs the code of a package in the sandbox.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol


class HandlerFailed(Exception):
    """A handler gives up: ``code`` is a short word; ``again`` whether a later attempt may help."""

    def __init__(self, code: str, text: str, *, again: bool = True) -> None:
        """``text`` is a sentence for the host."""
        super().__init__(text)
        self.code = code
        self.again = again


class Host(Protocol):
    """What a handler sees of the node, and all of it."""

    job: str
    run: int
    attempt: int
    scheduled_ms: int
    covers: int
    dry: bool
    given: Mapping[str, Any]
    event: Mapping[str, Any]

    def log(self, text: str) -> None:
        """A line for `job logs`."""

    def call(self, method: str, **params: object) -> Any:
        """Ask the node. Raises ``HandlerFailed`` with the error's code."""

    def effect(self, kind: str, operation: str, **body: object) -> None:
        """Want something to be so once this run is done; ``operation`` is the same each attempt."""


@dataclass(frozen=True, slots=True)
class Handler:
    """``views``: what a run may ask the node to show; ``home``: whether it is told where it is.

    ``acts``: what a run may have the node do, of the few things that only the node can.
    """

    entry: str
    views: frozenset[str] = frozenset()
    home: bool = False
    acts: frozenset[str] = frozenset()


_DUTIES: Final = "commons_node.jobs.duties"
HANDLERS: Final[Mapping[str, Handler]] = {
    "backup": Handler(f"{_DUTIES}.backup:run", acts=frozenset({"backup.make", "backup.note"})),
    "integrity": Handler(f"{_DUTIES}.integrity:run", home=True),
    "tidy": Handler(f"{_DUTIES}.tidy:run", home=True),
    "overdue": Handler(f"{_DUTIES}.overdue:run", frozenset({"loan.list", "status"})),
    "figures": Handler(f"{_DUTIES}.figures:run", frozenset({"metrics"})),
    "agent": Handler("commons_node.sandbox.worker"),
}
"""By name."""
