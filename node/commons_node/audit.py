"""Who made this node do what: one JSON line for each command, and for each that was refused.

``audit.jsonl`` in the home. Of what was given only the names of the arguments are written, never
their values: no passphrase, no code, no text and no name of anybody. A line names a member by id,
which is personal; so no line stays longer than ``audit_days``, and nothing of it is ever sent.
Views are not written down, only those that were refused: who looks is nobody's business.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
import structlog

from commons_node.rotating import RotatingFile

if TYPE_CHECKING:
    from commons_node.api.permits import Door
    from commons_node.keystore.sessions import Session

NAME: Final = "audit.jsonl"
_MOST: Final = 4 << 20
_KEEP: Final = 3
_SHORT: Final = 8
log = structlog.get_logger(component="audit")


class Entry(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line. What is empty is left out.

    ``at``: RFC 3339 UTC. ``verb``: of the registry. ``outcome``: "ok", or the code of the error.
    ``given``: the names of the arguments. ``member``: who acted or tried to, in hex. ``session``:
    8 digits that tell one terminal session, or token, from another. ``community``, ``operation``:
    what was written where, in hex. ``uid``, ``pid``: of the program that asked. ``ms``: how long.
    ``agent``, ``run``, ``policy``: what asked, where no program did.
    """

    at: str
    verb: str
    outcome: str
    given: tuple[str, ...] = ()
    member: str = ""
    session: str = ""
    limited: bool = False
    door: str = "own"
    community: str = ""
    operation: str = ""
    uid: int | None = None
    pid: int | None = None
    ms: int = 0
    agent: str = ""
    run: int = 0
    policy: int = 0


class Audit:
    """Writes the lines. A line that cannot be written stops nobody; it is counted and logged."""

    def __init__(self, home: Path, days: int) -> None:
        """``days``: how long a line stays; 0: none is written."""
        self._file = RotatingFile(home / NAME, _MOST, _KEEP, days) if days else None
        self.lost = 0

    def note(
        self,
        verb: str,
        outcome: str,
        *,
        door: Door = "own",
        session: Session | None = None,
        member: str | None = None,
        given: Sequence[str] = (),
        answer: object = None,
        caller: tuple[int, int] | None = None,
        began: float = 0.0,
        agent: str = "",
        run: int = 0,
        policy: int = 0,
    ) -> None:
        """Write a line. ``caller``: (uid, pid); ``began``: by the monotonic clock. ``policy``: by
        which a ``run`` of an ``agent`` had something signed.
        """
        if self._file is None:
            return
        told = answer if isinstance(answer, dict) else {}
        entry = Entry(
            at=datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            verb=verb,
            outcome=outcome,
            given=tuple(sorted(given)),
            member=member or "",
            session=session.key.hex()[:_SHORT] if session is not None else "",
            limited=session is not None and session.only is not None,
            door=door,
            community=_hex(told.get("community")),
            operation=_hex(told.get("operation")),
            uid=caller[0] if caller else None,
            pid=caller[1] if caller else None,
            ms=round((time.monotonic() - began) * 1000) if began else 0,
            agent=agent,
            run=run,
            policy=policy,
        )
        try:
            self._file.append(msgspec.json.encode(entry) + b"\n")
        except OSError as error:
            self.lost += 1
            log.warning("not_audited", verb=verb, why=str(error), lost=self.lost)

    def sweep(self) -> None:
        """Let go of what is too old."""
        if self._file is not None:
            try:
                self._file.sweep()
            except OSError as error:
                log.warning("not_swept", why=str(error))

    def newest(self, count: int) -> list[Entry]:
        """The newest lines, the newest first. A line that was damaged is left out."""
        found: list[Entry] = []
        for path in [self._file.path, *self._file.older()] if self._file is not None else []:
            try:
                lines = path.read_bytes().splitlines()
            except FileNotFoundError:
                continue
            for line in reversed(lines):
                try:
                    found.append(msgspec.json.decode(line, type=Entry))
                except msgspec.MsgspecError:
                    continue
                if len(found) == count:
                    return found
        return found

    def close(self) -> None:
        """Give the file free."""
        if self._file is not None:
            self._file.close()


def _hex(value: object) -> str:
    """An id as it is; anything else that a verb answers under that name is not written down."""
    fits = isinstance(value, str) and len(value) == 64 and set(value) <= set("0123456789abcdef")
    return str(value) if fits else ""
