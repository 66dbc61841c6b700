"""The inside of the runner: takes an agent's source, runs its entry, gives back JSON.

Made into a WebAssembly component by ``make runner``; the node never imports it. An agent may change
anything in here: each run begins from the same frozen state, and what it says is bounded again
outside.
"""

from __future__ import annotations

import json
import random
import sys

from commons_agent import Host, HostError, Printed, dump  # type: ignore[import-not-found]  # beside this, in there
from componentize_py_types import Err  # type: ignore[import-not-found]  # the build makes it
from loading import Files, said  # type: ignore[import-not-found]  # beside this, in there
from modules import freeze  # type: ignore[import-not-found]  # beside this, in there

freeze()
SEED = random.seed
random.seed = lambda *_: None  # what calls us would seed with 2,496 bytes; the event has 32


class WitWorld:
    """The world of agent.wit."""

    def run(self, source: str, entry: str, event: str) -> str:
        """See agent.wit. Raises ``Err``."""
        files = Files(json.loads(source))
        host = Host()
        printed = Printed(host)
        sys.stdout = sys.stderr = printed
        sys.stdin = None
        sys.meta_path.insert(0, files)
        try:
            given = json.loads(event)
            random.seed = SEED
            random.seed(bytes.fromhex(given.pop("seed")))
            return _result(files, entry, given, host)
        except Err:
            raise
        except BaseException as error:
            raise Err(dump(_failed(files, error))) from None
        finally:
            printed.end()


def _result(files: Files, entry: str, event: object, host: Host) -> str:
    path, _, name = entry.partition(":")
    main = getattr(files.module(path), name, None) if path in files else None
    if main is None:
        told = f"the agent has no {entry}"
        raise Err(dump({"code": "entry", "error": told, "again": False}))
    result = main(event, host)
    try:
        return str(dump(result))
    except (TypeError, ValueError, RecursionError) as error:
        told = f"what it returned is no JSON: {error}"
        raise Err(dump({"code": "output", "error": told, "again": False})) from None


def _failed(files: Files, error: BaseException) -> dict[str, object]:
    code, again = "fault", True
    match error:
        case HostError():
            code = error.code
        case MemoryError():
            code = "memory"
        case SyntaxError() | ImportError():
            again = False
    return {"code": code, "error": said(error), "traceback": files.told(error), "again": again}
