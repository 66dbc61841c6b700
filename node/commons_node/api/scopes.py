"""What a limited token may do: words such as ``view:status``, ``act:loan.*`` or ``events``.

Before the colon stands what the verb needs (``Verb.need``), after it the verb, or its first words
and ``*``. Both must fit: a token that may look at something never runs a command of that name.
Pure; who checks is `api.permits`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import ClassVar, Final

from commons_crdt.errors import CommonsError
from commons_node.registry import Registry, Verb

EVENTS: Final = "events"
"""The stream of events."""
_FORM: Final = re.compile(r"(view|act|host|session):([a-z0-9-]+(?:\.[a-z0-9-]+)*)(\.\*)?")
_NEVER: Final = "session."
"""Who is limited makes no tokens, whatever a ``*`` would cover."""
MAX_SCOPES: Final = 64


class BadScope(CommonsError):
    """There is nothing that {scope} would allow."""

    code: ClassVar[str] = "bad_scope"
    hint: ClassVar[str] = "view:status, view:loan.*, act:loan.request, host:peer.connect or events"
    status = "usage"


def checked(scopes: Iterable[str], registry: Registry) -> frozenset[str]:
    """``scopes``, each of which allows at least one verb. Raises BadScope."""
    found = frozenset(scopes)
    if not found or len(found) > MAX_SCOPES:
        raise BadScope(scope=", ".join(sorted(found)[:3]) or "''")
    for scope in found:
        if scope != EVENTS and not any(allows({scope}, verb) for verb in registry.verbs()):
            raise BadScope(scope=ascii(scope[:60]))
    return found


def allows(only: Iterable[str], verb: Verb) -> bool:
    """Whether one of the scopes covers the verb."""
    if verb.name.startswith(_NEVER):
        return False
    for scope in only:
        found = _FORM.fullmatch(scope)
        if found is None or found[1] != verb.need:
            continue
        below = verb.name.startswith(f"{found[2]}.")
        if below if found[3] else verb.name == found[2]:
            return True
    return False
