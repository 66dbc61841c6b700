"""Who is unlocked where: each terminal session has a token, each token its own unlocked members.

Being unlocked belongs to the token and never to the socket, so two neighbours at one kiosk, or two
terminals of one person, do not act for each other. The clock is given; nothing here reads one,
and nothing here touches a file.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import ClassVar, Final

from commons_crdt.errors import CommonsError
from commons_node.keystore.unlocked import Unlocked

IDLE_S: Final = 15 * 60.0
"""How long a member stays unlocked without doing anything, when nothing else is said."""
MAX_IDLE_S: Final = 24 * 3600.0
MAX_SESSIONS: Final = 256
"""Sessions at the same time; the one that was idle longest gives way to a new one."""

acted: ContextVar[str | None] = ContextVar("acted", default=None)
"""The member who acts, or tries to, in the request that runs now; for the audit."""


class Locked(CommonsError):
    """No member is unlocked in this terminal."""

    code: ClassVar[str] = "locked"
    hint: ClassVar[str] = "commons-node member unlock MEMBER"
    status = "locked"


class MemberLocked(CommonsError):
    """{member} is not unlocked in this terminal."""

    code: ClassVar[str] = "locked"
    hint: ClassVar[str] = "commons-node member unlock {member}"
    status = "locked"


class WhichMember(CommonsError):
    """Several members are unlocked in this terminal, so it is not clear who acts."""

    code: ClassVar[str] = "which_member"
    hint: ClassVar[str] = "say who acts with --as MEMBER"
    status = "usage"


def idle_clock() -> float:
    """Seconds that go on while the computer sleeps, where the system has such a clock.

    A laptop that was closed for an hour was idle for an hour.
    """
    boot = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if boot is None else time.clock_gettime(boot)


@dataclass(slots=True)
class _Open:
    """One unlocked member, how long it may be idle, and when it ends unless it is used."""

    unlocked: Unlocked
    idle_s: float
    ends: float


@dataclass(slots=True)
class Session:
    """One terminal session: its token and the members unlocked in it.

    ``only``: the scopes that it is limited to (`api.scopes`); None for a terminal's own.
    """

    key: bytes
    token: str
    _now: Callable[[], float]
    only: frozenset[str] | None = None
    _open: dict[str, _Open] = field(default_factory=dict)
    _used: float = 0.0

    def unlock(self, unlocked: Unlocked, idle_s: float = IDLE_S) -> float:
        """Keep ``unlocked`` until it is idle for ``idle_s`` seconds (at most a day); returns them.

        A member who was already unlocked here is replaced and its old copy wiped.
        """
        idle_s = min(max(idle_s, 0.0), MAX_IDLE_S)
        before = self._open.get(unlocked.member)
        if before is not None and before.unlocked is not unlocked:
            before.unlocked.wipe()
        self._used = self._now()
        self._open[unlocked.member] = _Open(unlocked, idle_s, self._used + idle_s)
        return idle_s

    def lock(self, member: str | None = None) -> tuple[str, ...]:
        """Forget and wipe one member, or all; returns who was locked."""
        self.sweep()
        gone = tuple(one for one in self._open if member in {None, one})
        for one in gone:
            self._open.pop(one).unlocked.wipe()
        return gone

    def members(self) -> tuple[str, ...]:
        """Ids of the members unlocked here now, in the order in which they were unlocked."""
        self.sweep()
        return tuple(self._open)

    def remaining_s(self, member: str) -> float:
        """Seconds until ``member`` locks unless it is used; 0 when it is locked."""
        self.sweep()
        one = self._open.get(member)
        return 0.0 if one is None else one.ends - self._now()

    def pick(self, member: str | None = None) -> Unlocked:
        """The member who acts: the one named by id, or the only one. Counts as use.

        Raises Locked, MemberLocked, WhichMember.
        """
        self.sweep()
        acted.set(member)
        if member is None:
            if not self._open:
                raise Locked
            if len(self._open) > 1:
                raise WhichMember
            (one,) = self._open.values()
        else:
            found = self._open.get(member)
            if found is None:
                raise MemberLocked(member=member[:12])
            one = found
        self._used = self._now()
        one.ends = self._used + one.idle_s
        acted.set(one.unlocked.member)
        return one.unlocked

    def holding(self, member: str) -> Unlocked | None:
        """A member as unlocked here, without counting that as use."""
        self.sweep()
        one = self._open.get(member)
        return one.unlocked if one is not None else None

    def sweep(self) -> None:
        """Lock whoever was idle too long."""
        now = self._now()
        for member in [member for member, one in self._open.items() if one.ends <= now]:
            self._open.pop(member).unlocked.wipe()

    @property
    def idle_since(self) -> float:
        """When it was last used, on the given clock."""
        return self._used


class Lent(Session):
    """What is done in the name of a member while they are unlocked alone in ``of``.

    It counts as no use, so that nobody stays unlocked by it, and ends with it at once.
    """

    def __init__(self, of: Session, member: str) -> None:
        """``member`` in hex."""
        super().__init__(of.key, of.token, of._now)
        self._of = of
        self._member = member

    def members(self) -> tuple[str, ...]:
        """That member, as long as it is so."""
        return (self._member,) if self._of.members() == (self._member,) else ()

    def holding(self, member: str) -> Unlocked | None:
        """See ``Session``."""
        return self._of.holding(member) if member in self.members() else None

    def pick(self, member: str | None = None) -> Unlocked:
        """See ``Session``; counts as no use. Raises MemberLocked."""
        found = self.holding(member or self._member)
        if found is None:
            raise MemberLocked(member=(member or self._member)[:12])
        acted.set(self._member)
        return found

    def unlock(self, unlocked: Unlocked, idle_s: float = IDLE_S) -> float:
        """Nobody is unlocked in it."""
        del idle_s
        raise MemberLocked(member=unlocked.member[:12])

    def lock(self, member: str | None = None) -> tuple[str, ...]:
        """Nobody is locked by it."""
        del member
        return ()

    def sweep(self) -> None:
        """Nothing is its own."""


def pick(session: Session | None, member: str | None = None) -> Unlocked:
    """As ``Session.pick``, for a caller that may have no session at all."""
    if session is not None:
        return session.pick(member)
    if member is None:
        raise Locked
    raise MemberLocked(member=member[:12])


class Sessions:
    """All terminal sessions of this daemon. They end with the process."""

    def __init__(
        self,
        now: Callable[[], float] = idle_clock,
        token: Callable[[], str] = lambda: secrets.token_hex(32),
    ) -> None:
        """``now`` in seconds, never going back; ``token`` makes 64 hex digits nobody can guess."""
        self._now = now
        self._token = token
        self._sessions: dict[bytes, Session] = {}

    def new(self) -> Session:
        """A session with a fresh token and nobody unlocked."""
        return self._begin(self._token(), None)

    def limited(self, token: str, only: frozenset[str]) -> Session:
        """The session of a token that may do some things only; it outlives this process."""
        found = self.find(token)
        return found if found is not None and found.only == only else self._begin(token, only)

    def _begin(self, token: str, only: frozenset[str] | None) -> Session:
        self.sweep()
        if len(self._sessions) >= MAX_SESSIONS:
            self._end(min(self._sessions.values(), key=lambda session: session.idle_since))
        session = Session(key_of(token), token, self._now, only, _used=self._now())
        self._sessions[session.key] = session
        return session

    def find(self, token: str | None) -> Session | None:
        """The session with this token; None without one or when it is unknown."""
        if not token:
            return None
        session = self._sessions.get(key_of(token))
        if session is not None:
            session.sweep()
        return session

    def holding(self, member: str) -> Unlocked | None:
        """A member as unlocked in any session, without counting that as use; None if in none."""
        for session in list(self._sessions.values()):
            found = session.holding(member)
            if found is not None:
                return found
        return None

    def alone(self, member: str) -> Lent | None:
        """A terminal's own session in which this member is unlocked and nobody else, lent.

        Never that of a limited token, nor one that two share, as at a kiosk. None if there is none.
        """
        for session in list(self._sessions.values()):
            if session.only is None and session.members() == (member,):
                return Lent(session, member)
        return None

    def drop(self, token: str) -> None:
        """Lock everybody in a session and forget it."""
        self.drop_key(key_of(token))

    def drop_key(self, key: bytes) -> None:
        """As ``drop``, by the hash of the token."""
        session = self._sessions.get(key)
        if session is not None:
            self._end(session)

    def _end(self, session: Session) -> None:
        del self._sessions[session.key]
        session.lock()

    def sweep(self) -> None:
        """Lock the idle, forget empty sessions. The daemon calls it now and then."""
        for session in list(self._sessions.values()):
            if not session.members() and self._now() - session.idle_since > IDLE_S:
                self.drop(session.token)

    def close(self) -> None:
        """Lock everybody: the daemon stops."""
        for session in list(self._sessions.values()):
            self.drop(session.token)


def key_of(token: str) -> bytes:
    """Its hash. Looked up by hash, so that the time of a lookup says nothing about it."""
    return hashlib.blake2b(token.encode("utf-8", "surrogatepass"), digest_size=32).digest()
