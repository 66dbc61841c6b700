"""What is refused about agents, and why."""

from __future__ import annotations

from commons_crdt.errors import CommonsError


class BadPackage(CommonsError):
    """This is no package that can be taken: {why}."""

    code = "bad_package"
    hint = "commons-node agent check FOLDER says what is wrong with a folder of one's own"
