"""Names of things, members and loans for the shell, from the running node.

Silent about everything: a shell that completes is no place for an error, and never waits long.
"""

from __future__ import annotations

import shlex
from typing import Any, Final

from commons_cli.options import Options
from commons_cli.tables import clean
from commons_node.api.client import ApiError, Client
from commons_node.api.paths import NotYoursError

PATIENCE_S: Final = 0.4
_MOST: Final = 200


def values(options: Options, described: dict[str, Any], begun: str, *, quoted: bool) -> list[str]:
    """What may stand here and begins with ``begun``; nothing when the node does not answer.

    ``described`` is ``{"view", "rows", "field"}``; ``quoted`` for shells that insert as it is.
    """
    try:
        client = Client(
            options.socket,
            session=options.token(),
            community=options.place,
            member=options.acting,
        )
        answer = client.view(described["view"], {}, PATIENCE_S)
    except (ApiError, NotYoursError, OSError):
        return []
    rows = answer.get(described["rows"])
    if not isinstance(rows, list):
        return []
    found = [row.get(described["field"]) for row in rows if isinstance(row, dict)]
    names = [one for one in dict.fromkeys(found) if isinstance(one, str) and clean(one) == one]
    begins = [one for one in names if one.casefold().startswith(begun.casefold())][:_MOST]
    return [shlex.quote(one) for one in begins] if quoted else begins
