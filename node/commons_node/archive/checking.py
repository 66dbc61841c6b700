"""``community verify FILE``: the process that checks an archive, and says so in a sentence."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from commons_crdt.errors import CommonsError
from commons_node.api.types import HTTP_STATUS, error_object, exit_code
from commons_node.archive.verifying import verify_archive
from commons_node.domains import RULES, VIEWS
from commons_node.logs import set_up
from commons_node.verifier.pool import VerifierPool


def check(path: Path, *, as_json: bool) -> int:
    """Check the file and print what it holds; the exit code as CONTRACT.md has it."""
    set_up("error", "json" if as_json else "auto")
    try:
        found = asyncio.run(_check(path))
    except CommonsError as error:
        return _tell(error.code, str(error), error.way_out, HTTP_STATUS[error.status], as_json)
    except OSError as error:
        hint = "check the file, and that there is room for temporary files"
        return _tell("failed", str(error), hint, HTTP_STATUS["failed"], as_json)
    sys.stdout.write(json.dumps(found) + "\n" if as_json else f"{sentence(found)}\n")
    return 0


def sentence(found: Mapping[str, object]) -> str:
    """What was found, for a person."""
    return (
        f"The archive is whole: {found['operations']} operations of the community"
        f" {str(found['community'])[:8]}, every hash and signature right; judged from nothing they"
        f" give the council, the set and the state that it names.\n"
        f"set   {found['set_hash']}\nstate {found['state_hash']}"
    )


async def _check(path: Path) -> Mapping[str, object]:
    pool = VerifierPool(os.cpu_count() or 1)
    try:
        return await verify_archive(path, RULES, VIEWS, pool)
    finally:
        await pool.stop()


def _tell(code: str, message: str, hint: str, status: int, as_json: bool) -> int:
    if as_json:
        sys.stderr.write(json.dumps(error_object(code, message, hint)) + "\n")
    else:
        sys.stderr.write(f"error: the archive was not verified\n  why: {message}\n  try: {hint}\n")
    return exit_code(status)
