"""Houses whose clocks are set, and days that end at the wrong moment."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from tests.e2e.neighbourhood import QUICK, House, clean_environment

ROOT = Path(__file__).parents[2]
_STOCKHOLM = ZoneInfo("Europe/Stockholm")


def to_noon() -> int:
    """Seconds from now to noon in Stockholm, today."""
    now = datetime.now(_STOCKHOLM)
    noon = now.replace(hour=12, minute=0, second=0, microsecond=0, fold=0)
    return int((noon - now) / timedelta(seconds=1))


def begin_well_before_midnight(seconds: float = 120.0) -> None:
    """Who checks in is counted by the UTC day: begin after midnight rather than shortly before."""
    left = 86_400 - time.time() % 86_400
    if left < seconds:
        time.sleep(left + 1)


class Shifted(House):
    """A house whose clock can be set while its node runs."""

    module = "tests.e2e.shifted"

    def __init__(self, name: str, folder: Path, config: str = QUICK) -> None:
        self._clock = folder / f"clock-{name}"
        self.set_wrong = 0
        self.clock(0)
        super().__init__(
            name, folder / name, config=config, surroundings={"SHIFTED_BY": str(self._clock)}
        )

    def clock(self, seconds: int) -> None:
        """So much ahead of the world from now on; 0: right."""
        beside = self._clock.with_suffix(".new")
        beside.write_text(f"{seconds}\n")
        beside.replace(self._clock)
        self.set_wrong += seconds != 0

    def doctor(self) -> dict[str, dict[str, Any]]:
        """What it says on this machine, by the name of the check."""
        done = subprocess.run(
            [sys.executable, "-m", self.module, "doctor", "--home", str(self.home), "--json"],
            env={**clean_environment(self.home), **self.surroundings},
            cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        return {one["check"]: one for one in json.loads(done.stdout)["checks"]}
