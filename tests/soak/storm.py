"""Carries out a plan on real daemons: who writes, what goes wrong, what must hold when it is calm.

found ─▶ storm ─▶ mend everything ─▶ wait until all agree ─▶ look ─┐
           ▲                                                        │
           └──────────────────── next round ◀───────────────────────┴─▶ stop, look at the disks
"""

from __future__ import annotations

import itertools
import json
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.e2e.household import Household
from tests.e2e.neighbourhood import House, Street, kill_9
from tests.soak.figures import Figures
from tests.soak.ledger import Ledger
from tests.soak.links import Relay, Trouble
from tests.soak.plan import OF_A_NODE, OF_GROUPS, Deed, Fault, Plan, Round
from tests.soak.truth import SYNC_INTERVAL_S, Claim, different
from tests.soak.watch import Holdings, Watch

from commons_node.api.client import ApiError

MOST_NAMES = ("alice", "bob", "cleo", "dora", "erin", "finn", "gina", "hugo")
ACCEPTED = 1
_HEAL_S = 180.0
_LOOK_S = 0.25
_STRIKERS = 16
_COMPARES = 8

Say = Callable[[str], None]


class Storm:
    """One run. ``go`` may be called once."""

    def __init__(self, plan: Plan, folder: Path, say: Say) -> None:
        """``folder`` is empty; everything that is written down stands in it."""
        self.plan = plan
        self.figures = Figures()
        self.ledger = Ledger(folder / "ledger.jsonl")
        self.homes: dict[str, Household] = {}
        self._street = Street(folder)
        self._say = say
        self._story = (folder / "story.jsonl").open("a", encoding="utf-8")
        self._story_lock = threading.Lock()
        self._began = time.monotonic()
        self._calm = threading.Event()
        self._over = threading.Event()
        self._busy = {name: threading.Lock() for name in plan.names}
        self._blocked: Counter[frozenset[str]] = Counter()
        self._blocks = threading.Lock()
        self._turns = itertools.count()
        self.relay = Relay(self._pids, plan.seed)
        self._watch: Watch | None = None

    def _pids(self) -> Mapping[str, int]:
        return {house.name: house.process.pid for house in self._street.houses}

    def note(self, what: str, who: str = "", **more: Any) -> None:
        """A line of the story."""
        at = round(time.monotonic() - self._began, 2)
        with self._story_lock:
            if not self._story.closed:
                self._story.write(json.dumps({"at": at, "what": what, "who": who, **more}) + "\n")
                self._story.flush()

    # -- the whole -----------------------------------------------------------------------------

    def go(self) -> None:
        """Found, storm and calm by turns, stop. What does not hold is in ``figures.violations``."""
        try:
            with self._street:
                try:
                    self._go()
                finally:
                    self._over.set()
                    self._calm.set()
                    if self._watch is not None:
                        self._watch.stop()
        except AssertionError as error:  # what the street itself looks at: faults in the logs
            self.figures.violated(str(error).partition("\n")[0])
        finally:
            self.relay.close()
            self.ledger.close()
            self._story.close()

    def _go(self) -> None:
        houses = self._found()
        self._watch = Watch(
            list(self.homes.values()), self.ledger, self.figures, self.note, self.plan.seed
        )
        for number, one in enumerate(self.plan.rounds, 1):
            self._say(f"round {number} of {len(self.plan.rounds)}: {one.seconds:.0f} s of storm")
            self._blow(one)
            self._heal(number)
            self._look()
            if self.figures.violations:
                self._say("  something does not hold: the rest of the plan is left out")
                break
        self._watch.stop()
        self._stop(houses)

    def _found(self) -> list[House]:
        names = self.plan.names
        fronts = {name: self.relay.front(name) for name in names}
        houses = self._street.community(
            *names,
            roles=dict.fromkeys(names[1:-1], "steward") | {names[-1]: "member"},
            config=lambda name: (
                f'announce = ["{fronts[name]}"]\nverifier_workers = 1\n'
                f"sync_interval_s = {SYNC_INTERVAL_S}\n"
            ),
        )
        for house in houses:
            others = [other for other in houses if other is not house]
            self.homes[house.name] = Household(house, others, self.ledger.wrote)
            resident = self.homes[house.name].resident
            resident.named, resident.pass_on = self.ledger.named, self._pass_on
        self.note("founded", operations=houses[0].operations())
        return houses

    def _pass_on(self, code: str) -> None:
        """An invite is told to whoever is its turn."""
        turn = next(self._turns)
        list(self.homes.values())[turn % len(self.homes)].resident.told(code)

    # -- storm ---------------------------------------------------------------------------------

    def _blow(self, one: Round) -> None:
        """A round; when it returns, nobody writes any more, and what goes wrong may still do so."""
        self._calm.clear()
        began = time.monotonic()
        with (
            ThreadPoolExecutor(len(self.homes), "resident") as residents,
            ThreadPoolExecutor(_STRIKERS, "fault") as strikers,
        ):
            living = [
                residents.submit(self._live, home, one.deeds, began) for home in self.homes.values()
            ]
            strikes: list[Future[None]] = []
            try:
                for fault in one.faults:
                    if self._over.wait(max(0.0, began + fault.at - time.monotonic())):
                        break
                    strikes.append(strikers.submit(self._strike, fault))
                self._over.wait(max(0.0, began + one.seconds - time.monotonic()))
            except BaseException:
                self._over.set()
                raise
            finally:
                self._calm.set()  # from now on everything is mended at once
        for each in (*living, *strikes):
            error = each.exception()
            if error is not None:
                raise error

    def _live(self, home: Household, deeds: Sequence[Deed], began: float) -> None:
        name = home.house.name
        for deed in deeds:
            if deed.who != name:
                continue
            if self._calm.wait(max(0.0, began + deed.at - time.monotonic())):
                return
            home.resident.act(deed.what, random.Random(deed.chance), by_cli=deed.by_cli)

    def _strike(self, fault: Fault) -> None:
        kind = fault.kind
        if kind in OF_A_NODE:
            struck = self._strike_a_node(fault)
        elif kind in OF_GROUPS:
            others = [name for name in self.homes if name not in fault.who]
            pairs = [(one, other) for one in fault.who for other in others]
            if kind == "block":
                self._block(fault, pairs)
            else:
                self._ail(fault, pairs, "cut" if kind == "split" else "stall")
            struck = True
        elif kind == "snap":
            one, other = fault.who
            self._noted(fault)
            self.relay.snap(one, other, 1 + fault.number * 97 % 3000)
            struck = True
        else:
            self._ail(fault, [fault.who], kind)
            struck = True
        counts = self.figures.struck if struck else self.figures.skipped
        self.figures.count(counts, kind)

    def _noted(self, fault: Fault) -> None:
        self.note(fault.kind, " ".join(fault.who), seconds=fault.seconds, number=fault.number)

    def _strike_a_node(self, fault: Fault) -> bool:
        """The one that the plan names, or the next one; where none may be, as soon as one may."""
        at = self.plan.names.index(fault.who[0])
        turns = self.plan.names[at:] + self.plan.names[:at]
        while not any(self._struck(name, fault) for name in turns):
            if self._calm.wait(0.5):
                return False
        return True

    def _struck(self, name: str, fault: Fault) -> bool:
        home, busy = self.homes[name], self._busy[name]
        standing = sum(one.up.is_set() for one in self.homes.values())
        if not busy.acquire(blocking=False):
            return False
        try:
            if standing < 3 or not home.up.is_set():
                return False  # somebody should be there to hear of it
            if self._watch is not None:
                self._watch.measure(home)
            workers = home.house.workers()
            if fault.kind == "worker" and not workers:
                return False
            self.note(fault.kind, name, seconds=fault.seconds, number=fault.number)
            match fault.kind:
                case "worker":
                    return kill_9(workers[0])
                case "freeze":
                    self._freeze(home, fault.seconds)
                case _:
                    self._end_a_daemon(home, fault)
            self.note("back", name, number=fault.number)
            return True
        finally:
            busy.release()

    def _freeze(self, home: Household, seconds: float) -> None:
        """It sleeps, and does not know it; whoever asks it something waits."""
        process = home.house.process
        process.send_signal(signal.SIGSTOP)
        try:
            self._calm.wait(seconds)
        finally:
            process.send_signal(signal.SIGCONT)

    def _end_a_daemon(self, home: Household, fault: Fault) -> None:
        name = home.house.name
        if fault.kind in {"kill", "stillborn"}:
            home.dies()
        elif code := home.stops():
            self.figures.violated(f"{name}'s node ended with {code} when asked to stop")
        self._calm.wait(fault.seconds)
        home.comes_back(fault.seconds if fault.kind == "stillborn" else None)
        self._apply_blocks(name)

    def _block(self, fault: Fault, pairs: Sequence[tuple[str, str]]) -> None:
        self._noted(fault)
        with self._blocks:
            self._blocked.update(frozenset(pair) for pair in pairs)
        for name in self.homes:
            self._apply_blocks(name)
        self._calm.wait(fault.seconds)
        with self._blocks:
            self._blocked.subtract(frozenset(pair) for pair in pairs)
        self.note("unblock", " ".join(fault.who), number=fault.number)
        for name in self.homes:
            self._apply_blocks(name)

    def _apply_blocks(self, name: str) -> None:
        """Let a node block exactly whom it should now; one that is down does when it is back."""
        house = self.homes[name].house
        with suppress(ApiError):
            now = {peer["node"]: peer["blocked"] for peer in house.see("peer.list")["peers"]}
            for other in self.homes.values():
                wanted = self._blocked[frozenset({name, other.house.name})] > 0
                if other.house is not house and now.get(other.house.node, False) != wanted:
                    house.do(f"peer.{'block' if wanted else 'unblock'}", node=other.house.node)

    def _ail(self, fault: Fault, pairs: Sequence[tuple[str, ...]], what: str) -> None:
        """Trouble on the links of these pairs; of each the first is the sender."""
        trouble: Trouble = what  # type: ignore[assignment]  # a plan has no other kinds
        self._noted(fault)
        for one, other in pairs:
            self.relay.trouble(one, other, trouble, fault, sender=one)
        self._calm.wait(fault.seconds)
        self.relay.mend(fault)
        self.note("mended", " ".join(fault.who), number=fault.number)

    # -- calm ----------------------------------------------------------------------------------

    def _heal(self, number: int) -> None:
        """Mend everything, and wait until all nodes hold the same; every other time unasked."""
        assert self._watch is not None
        asks = number % 2 == 1
        self.relay.mend()
        for name in self.homes:
            self._apply_blocks(name)
        if not asks:
            self._watch.quiet.set()
        self.note("calm", asks=asks)
        began = time.monotonic()
        apart: Mapping[str, Any] = {"not": "looked"}
        while apart and time.monotonic() - began < _HEAL_S:
            if asks:
                self._all_wait(10)
            else:
                self._over.wait(_LOOK_S)
            apart = different(self._hashes())
        took = round(time.monotonic() - began, 2)
        self._watch.quiet.clear()
        self.figures.heals.append({"seconds": took, "asked": asks})
        self.note("agreed" if not apart else "apart", seconds=took, groups=apart)
        self._say(f"  {'agreed' if not apart else 'APART'} after {took} s, "
                  f"{len(self.ledger.entries())} operations acknowledged")  # fmt: skip

    def _hashes(self) -> dict[str, tuple[str, str]]:
        return {name: home.house.hashes() for name, home in self.homes.items()}

    def _all_wait(self, seconds: int) -> list[str]:
        """`sync wait` at all nodes at once, for all others; who did not say "converged"."""

        def wait(home: Household) -> str:
            nodes = [other.node for other in home.resident.others]
            try:
                home.house.do("sync.wait", peer=nodes, timeout=seconds)
            except ApiError as error:
                return f"{home.house.name}: {error.message}"
            return ""

        with ThreadPoolExecutor(len(self.homes)) as pool:
            return [said for said in pool.map(wait, self.homes.values()) if said]

    def _everything(self) -> set[str]:
        """Every operation that some node holds."""
        return set().union(*(home.house.verdicts() for home in self.homes.values()))

    def _compare(self) -> tuple[list[str], Mapping[str, Any]]:
        """Who did not say "converged", and who is apart, in a moment when no node wrote either:
        they confirm by themselves what a member who leaves has asked of them."""
        left = _COMPARES
        while True:
            left -= 1
            before, unsure = self._everything(), self._all_wait(45)
            apart = different(self._hashes())
            if unsure or not apart or not left or self._everything() == before:
                return unsure, apart

    def _look(self) -> None:
        """No member writes and nothing is broken: what must hold now."""
        figures, homes = self.figures, self.homes
        asked = time.monotonic()
        unsure, apart = self._compare()
        for said in unsure:
            figures.violated(f"mended, and not converged after 45 s: {said}")
        if apart:
            figures.divergent += 1
            figures.violated(f"calm, and not the same: {apart}")
            if "set" in apart and not unsure:
                figures.false_converged += 1
                figures.violated("all of them said that they had converged")
        holdings = Holdings([home.house for home in homes.values()])
        for home in homes.values():
            everybody = tuple(homes)
            claim = Claim(home.house.name, "wait", everybody, asked)
            wanted = [one for one in self.ledger.entries() if one.at <= claim.asked]
            for one in holdings.lacking(home.house, wanted):
                figures.lost.add((home.house.name, one.operation))
                figures.violated(
                    f"{one.operation[:16]} ({one.verb}, acknowledged by {one.node}) is lost "
                    f"at {home.house.name}"
                )
            self._look_at_verdicts(home.house)
        self.note("looked", apart=apart, unsure=unsure, lost=len(figures.lost))

    def _look_at_verdicts(self, house: House) -> None:
        held = house.verdicts()
        wrong = [
            one.operation for one in self.ledger.entries()
            if held.get(one.operation, ACCEPTED) != ACCEPTED
        ]  # fmt: skip
        counts = house.operations()
        if wrong:
            self.figures.violated(
                f"{house.name} does not accept what was acknowledged: {wrong[:5]}"
            )
        if counts["contested"] or counts["pending"]:
            self.figures.violated(f"{house.name} holds what nobody should have written: {counts}")
        names = {member["name"] for member in house.see("member.list")["members"]}
        unknown = self.ledger.names() - names
        if unknown:
            self.figures.violated(f"{house.name} does not know who joined: {sorted(unknown)}")

    def _stop(self, houses: Sequence[House]) -> None:
        with ThreadPoolExecutor(len(houses)) as pool:
            codes = list(pool.map(House.stop, houses))
        for house, code in zip(houses, codes, strict=True):
            if code:
                self.figures.violated(f"{house.name}'s node ended with {code}")
            try:
                house.assert_whole()
            except AssertionError as error:
                self.figures.violated(str(error))
