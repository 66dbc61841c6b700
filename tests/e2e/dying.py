"""A node that dies as of ``kill -9`` at one step of taking up what a lost machine left.

Run as ``python -m tests.e2e.dying run …``, in place of ``python -m commons_node``. The environment
names the step, ``DIES_AT``; without one it lives. Whoever waits for neighbours waits shortly, and
few entries are written at once: there is nobody, and each write is a step.
"""

from __future__ import annotations

import functools
import inspect
import os
import signal
import sys
from collections.abc import Callable
from typing import Any, Final

from commons_node import hearing, signing
from commons_node.own import realms, regaining
from commons_node.own.lost import LostRealms
from commons_node.own.realms import OwnRealm, OwnRealms
from commons_node.starting import main

STEPS: Final = {
    "its new keys are kept": (OwnRealms, "keep", "after"),
    "its new file is made": (OwnRealms, "open", "after"),
    "it is founded": (realms, "settle", "before"),
    "one entry is written": (OwnRealm, "write", "after"),
    "the lost file is gone": (LostRealms, "remove", "after"),
}
"""In their order. The old keys are forgotten last; and then nothing is left to do."""


def _dying(true: Callable[..., Any], when: str) -> Callable[..., Any]:
    def comes_to(now: str) -> None:
        if now == when:
            os.kill(os.getpid(), signal.SIGKILL)

    if inspect.iscoroutinefunction(true):

        @functools.wraps(true)
        async def later(*args: Any, **named: Any) -> Any:
            comes_to("before")
            answer = await true(*args, **named)
            comes_to("after")
            return answer

        return later

    @functools.wraps(true)
    def at_once(*args: Any, **named: Any) -> Any:
        comes_to("before")
        answer = true(*args, **named)
        comes_to("after")
        return answer

    return at_once


if __name__ == "__main__":
    signing.WAIT_S = 0.2
    hearing._TICK_S = 1.0  # type: ignore[misc]  # a test's
    regaining._AT_ONCE = 1  # type: ignore[misc]
    if step := os.environ.get("DIES_AT"):
        owner, name, when = STEPS[step]
        setattr(owner, name, _dying(getattr(owner, name), when))

    sys.exit(main(sys.argv[1:]))
