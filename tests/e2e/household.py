"""A resident, and a daemon that dies under them and comes back."""

from __future__ import annotations

import threading
import time

from tests.e2e.neighbourhood import House
from tests.e2e.resident import Resident, Wrote


class Household:
    """One thread lets the daemon die and come back, another one lives there."""

    def __init__(self, house: House, others: list[House], wrote: Wrote) -> None:
        """See ``Resident``."""
        self.house = house
        self.others = others
        self.up = threading.Event()
        self.up.set()
        self.resident = Resident(house, others, wrote)

    def dies(self) -> None:
        """``kill -9``, wherever it was."""
        self.up.clear()
        self.house.kill()

    def stops(self) -> int:
        """SIGTERM, and the exit code."""
        self.up.clear()
        return self.house.stop()

    def comes_back(self, stillborn_s: float | None = None) -> None:
        """A new daemon on the same home; ``stillborn_s``: one before it is killed so soon."""
        if stillborn_s is not None:
            self.house.process = self.house.start()
            time.sleep(stillborn_s)
            self.house.kill()
        self.house.again()
        self.house.unlock()
        self.up.set()
