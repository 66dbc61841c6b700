"""Looks at the daemons while all goes wrong: is it true what they say, and what do they take?

Two threads of its own. It changes nothing but one thing: a `sync wait` that it asks for makes a
node dial; ``quiet`` keeps it from that.
"""

from __future__ import annotations

import random
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bench.processes import memory
from tests.e2e.household import Household
from tests.e2e.neighbourhood import House
from tests.soak.figures import Figures
from tests.soak.ledger import Entry, Ledger
from tests.soak.truth import SAID, Claim, Said, connected_throughout, lacking, owed

from commons_node.api.client import ApiError, Client

_NAP_S = 0.8
_SAMPLE_S = 5.0
_WAIT_S = 3
_CALL_S = 20.0

Note = Callable[..., None]


class Holdings:
    """Which operations are in each node's file; what was seen once is not looked for again."""

    def __init__(self, houses: Sequence[House]) -> None:
        """Nothing was seen."""
        self._seen: dict[str, dict[str, int]] = {house.name: {} for house in houses}

    def lacking(self, house: House, wanted: Sequence[Entry]) -> list[Entry]:
        """Those of ``wanted`` that are not there. Raises ``sqlite3.Error``."""
        seen = self._seen[house.name]
        if lacking(wanted, seen):
            seen.update(house.verdicts())
        return lacking(wanted, seen)


class Watch:
    """``stop`` must be called."""

    def __init__(
        self, homes: Sequence[Household], ledger: Ledger, figures: Figures, note: Note, seed: int
    ) -> None:
        """Begins to look."""
        self._homes = homes
        self._names = {one.house.node: one.house.name for one in homes}
        self._ledger = ledger
        self._figures = figures
        self._note = note
        self._rng = random.Random(seed)
        self._holdings = Holdings([one.house for one in homes])
        self._over = threading.Event()
        self.quiet = threading.Event()
        self._threads = [
            threading.Thread(target=self._every, args=(_NAP_S, self._ask), daemon=True),
            threading.Thread(target=self._every, args=(_SAMPLE_S, self._measure), daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._over.set()
        for thread in self._threads:
            thread.join(2 * _CALL_S)

    def _every(self, seconds: float, look: Callable[[], None]) -> None:
        while not self._over.wait(seconds):
            try:
                look()
            except ApiError:
                continue  # it is down, or goes down

    # -- what they say -------------------------------------------------------------------------

    def _ask(self) -> None:
        one = self._rng.choice(self._homes)
        kinds = [said for said in SAID if said != "wait" or not self.quiet.is_set()]
        said = self._rng.choice(kinds)
        pid = one.house.process.pid
        if not one.up.is_set():
            return
        for claim in self._claims(one.house, said):
            self.check(one.house, claim, pid)

    def _claims(self, house: House, said: Said) -> list[Claim]:
        """What a node says now, if it says that it agrees."""
        asked = time.monotonic()
        before = self._peers(house)
        match said:
            case "wait":
                reached = _connected(before)
                return self._waited(house, self._rng.choice(reached)) if reached else []
            case "peer":
                agrees = [name for name, peer in before.items() if peer["state"] == "synced"]
                return [Claim(house.name, said, (name,), asked) for name in agrees]
            case "status":
                status = self._view(house, "status")
                (community,) = status["communities"]
                if community["sync"] != "synced":
                    return []
                after = self._peers(house)
                here = connected_throughout(_connected(before), _connected(after), status["peers"])
                return [Claim(house.name, said, here, asked)] if here else []

    def _waited(self, house: House, about: str) -> list[Claim]:
        """What `sync wait` with one peer answers."""
        node = next(one.house.node for one in self._homes if one.house.name == about)
        asked = time.monotonic()
        try:
            Client(house._socket).command(
                "sync.wait", {"peer": [node], "timeout": _WAIT_S}, _CALL_S
            )
        except ApiError as error:
            if error.code == "not_converged":
                return []
            raise
        return [Claim(house.name, "wait", (about,), asked)]

    def check(self, house: House, claim: Claim, pid: int) -> None:
        """Hold a claim against the ledger."""
        wanted = owed(claim, self._ledger.entries())
        try:
            missing = self._holdings.lacking(house, wanted)
        except (sqlite3.Error, ValueError):
            return  # its file is being recovered by the next life
        if house.process.pid != pid:
            return
        self._figures.count(self._figures.claims, claim.said)
        if not missing:
            return
        self._figures.false_converged += 1
        first = missing[0]
        age = round(claim.asked - first.at, 1)
        self._figures.violated(
            f"{house.name} said by {claim.said} that it agrees with {', '.join(claim.about)}, and "
            f"lacks {len(missing)} operations, the oldest {first.operation[:16]}, which "
            f"{first.node} had acknowledged {age} s before the question"
        )
        self._note(
            "false", house.name, said=claim.said, about=claim.about, age=age,
            operations=[one.operation for one in missing[:20]],
        )  # fmt: skip

    def _view(self, house: House, verb: str) -> dict[str, Any]:
        began = time.monotonic()
        answer = Client(house._socket).view(verb, {}, _CALL_S)
        took = time.monotonic() - began
        self._figures.slowest_call_s = max(self._figures.slowest_call_s, took)
        return answer

    def _peers(self, house: House) -> Mapping[str, Mapping[str, Any]]:
        """What a node says of the others, by name."""
        peers = self._view(house, "peer.list")["peers"]
        return {self._names[one["node"]]: one for one in peers if one["node"] in self._names}

    # -- what they take ------------------------------------------------------------------------

    def _measure(self) -> None:
        for one in self._homes:
            self.measure(one)

    def measure(self, one: Household) -> None:
        """Memory and refusals of one daemon now, if it answers."""
        name, pid = one.house.name, one.house.process.pid
        if not one.up.is_set():
            return
        peaks = self._figures.peaks
        peaks[name] = max(peaks.get(name, 0), memory(pid))
        try:
            refusals = self._view(one.house, "status")["refusals"]
        except ApiError:
            return
        if one.house.process.pid == pid:
            self._figures.refusals[name, pid] = Counter(refusals)


def _connected(peers: Mapping[str, Mapping[str, Any]]) -> list[str]:
    return sorted(name for name, peer in peers.items() if peer["connected"])
