"""Whose request it is, and whether it may: the one place that decides before a verb is run.

Two doors lead in. The node's own socket is its owner's: without a token they may look at everything
and run the node; acting takes an unlocked member. The guests' socket lets nobody in without a
token that was made for them. A limited token is limited at either.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from commons_crdt.errors import CommonsError
from commons_node.api.scopes import EVENTS, allows
from commons_node.keystore.tokens import PREFIX

if TYPE_CHECKING:
    from commons_node.keystore.sessions import Session, Sessions
    from commons_node.keystore.tokens import Tokens
    from commons_node.registry import Verb

Door = Literal["own", "guests"]


class TokenNeeded(CommonsError):
    """At this socket a token is needed."""

    code: ClassVar[str] = "token_needed"
    hint: ClassVar[str] = "the host makes one: commons-node session token --only view:status"
    status = "locked"


class BadToken(CommonsError):
    """This token does not count: it was revoked, or its time is over."""

    code: ClassVar[str] = "bad_token"
    hint: ClassVar[str] = "the host makes one: commons-node session token --only view:status"
    status = "locked"


class NotAllowed(CommonsError):
    """This token does not allow {scope}."""

    code: ClassVar[str] = "not_allowed"
    hint: ClassVar[str] = "the host makes another: commons-node session token --only {scope}"
    status = "locked"


class Permits:
    """Decides for one door. Changes nothing."""

    def __init__(self, sessions: Sessions, tokens: Tokens | None, door: Door) -> None:
        """Without ``tokens`` there are no limited ones."""
        self.door: Door = door
        self._sessions = sessions
        self._tokens = tokens

    def session(self, token: str | None) -> Session | None:
        """The caller's session. Raises TokenNeeded, BadToken."""
        if token is not None and token.startswith(PREFIX) and self._tokens is not None:
            found = self._tokens.find(token)
            if found is None:
                raise BadToken
            return self._sessions.limited(token, frozenset(found.only))
        if self.door == "guests":
            raise TokenNeeded
        return self._sessions.find(token)

    def check(self, session: Session | None, verb: Verb) -> None:
        """Raises NotAllowed."""
        if session is not None and session.only is not None and not allows(session.only, verb):
            raise NotAllowed(scope=f"{verb.need}:{verb.name}")

    def check_events(self, session: Session | None) -> None:
        """Raises NotAllowed."""
        if session is not None and session.only is not None and EVENTS not in session.only:
            raise NotAllowed(scope=EVENTS)
