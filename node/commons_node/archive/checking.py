"""``community verify FILE``: the process that checks an archive, and says so in a sentence."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from commons_crdt.errors import CommonsError
from commons_crdt.texts import N_, _
from commons_node.api.types import HTTP_STATUS
from commons_node.archive.verifying import verify_archive
from commons_node.domains import RULES, VIEWS
from commons_node.logs import set_up
from commons_node.telling import tell_error, tell_failure
from commons_node.verifier.pool import VerifierPool

_FAILED = N_("the archive was not verified")


def check(path: Path, *, as_json: bool) -> int:
    """Check the file and print what it holds; the exit code as CONTRACT.md has it."""
    set_up("error", "json" if as_json else "auto")
    try:
        found = asyncio.run(_check(path))
    except CommonsError as error:
        return tell_error(_(_FAILED), error, as_json=as_json)
    except OSError as error:
        hint = _("check the file, and that there is room for temporary files")
        status = HTTP_STATUS["failed"]
        return tell_failure(_(_FAILED), "failed", str(error), hint, status, as_json=as_json)
    sys.stdout.write(json.dumps(found) + "\n" if as_json else f"{sentence(found)}\n")
    return 0


def sentence(found: Mapping[str, object]) -> str:
    """What was found, for a person."""
    return _(
        "The archive is whole: {operations} operations of the community {community}, "
        "every hash and signature right; judged from nothing they give the council, the "
        "set and the state that it names. Photos and other large parts: {parts} are in it, "
        "each as it was signed, {parts_missing} are not.\nset   {set_hash}\nstate {state_hash}"
    ).format(
        operations=found["operations"],
        parts=found["parts"],
        parts_missing=found["parts_missing"],
        community=str(found["community"])[:8],
        set_hash=found["set_hash"],
        state_hash=found["state_hash"],
    )


async def _check(path: Path) -> Mapping[str, object]:
    pool = VerifierPool(os.cpu_count() or 1)
    try:
        return await verify_archive(path, RULES, VIEWS, pool)
    finally:
        await pool.stop()
