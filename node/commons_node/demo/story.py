"""The story of one borrowed drill: shared, cut off, returned elsewhere, healed, the same truth."""

from __future__ import annotations

import base64
import secrets
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from commons_crdt.texts import _
from commons_node.api.client import ApiError
from commons_node.demo.neighbour import Neighbour

DRILL = "1622"
_WAIT_S = 30
_NAMES = ("anna", "bo", "cia")
_INVENTORY = "tool_library_inventory.csv"


class Story:
    """Tells and times what happens. ``tell`` gets one line a step."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        """Nothing happens yet."""
        self._tell = tell
        self._began = time.monotonic()
        self.steps: list[dict[str, Any]] = []

    @contextmanager
    def step(self, sentence: str) -> Iterator[None]:
        """One sentence of the story, and how long it took."""
        began = time.monotonic()
        yield
        seconds = round(time.monotonic() - began, 2)
        self.steps.append({"step": sentence, "seconds": seconds})
        self._tell(f"{seconds:6.2f} s  {sentence}")

    @property
    def seconds(self) -> float:
        """Since the beginning."""
        return round(time.monotonic() - self._began, 2)


def inventory() -> bytes:
    """The real inventory: from the installed package, or from the checkout's examples."""
    here = Path(__file__).parents[1] / "sample" / _INVENTORY
    checkout = Path(__file__).parents[3] / "examples" / _INVENTORY
    return (here if here.exists() else checkout).read_bytes()


def run(tell: Callable[[str], None]) -> dict[str, Any]:
    """Play the whole story in a folder that is gone afterwards; the answer of ``demo --json``."""
    story = Story(tell)
    folder = Path(tempfile.mkdtemp(prefix="commons-demo-"))
    neighbours: dict[str, Neighbour] = {}

    def begin(name: str) -> None:
        # By a thread: a signal interrupts the main one alone, never between a process and its name.
        neighbours[name] = Neighbour(name, folder / name)

    try:
        with ThreadPoolExecutor(len(_NAMES)) as pool:
            list(pool.map(begin, _NAMES))
        return _play(story, *(neighbours[name] for name in _NAMES))
    finally:
        with ThreadPoolExecutor(len(_NAMES)) as pool:
            list(pool.map(Neighbour.end, neighbours.values()))
        _remove(folder)


def _remove(folder: Path) -> None:
    """Take the folder away, also from a node that was interrupted while it was being started."""
    for _attempt in range(50):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        time.sleep(0.1)


def _play(story: Story, anna: Neighbour, bo: Neighbour, cia: Neighbour) -> dict[str, Any]:
    with story.step(_("Anna, Bo and Cia each start a node of their own")):
        for one in (anna, bo, cia):
            one.ready()
    with story.step(_("Anna founds the Elm Street Tool Library")):
        anna.do("community.init", name=_("Elm Street Tool Library"), member="Anna",
                timezone="Europe/Stockholm", passphrase=secrets.token_hex(8))  # fmt: skip
    with story.step(_("She imports the 200 things of a real tool library")):
        data = base64.b64encode(inventory()).decode("ascii")
        imported = anna.do("resource.import", file={"name": _INVENTORY, "data": data})
        _expect(
            imported["created"] == imported["read"] == 200,
            _("200 things, {imported}").format(imported=imported),
        )
    with story.step(_("Bo and Cia join by invite code; Cia becomes a steward")):
        _join(anna, bo, "Bo")
        _join(anna, cia, "Cia")
        anna.do("member.role", who="Cia", role="steward")
        bo.do("peer.connect", address=cia.address)
        _agree(anna, bo, cia)
    with story.step(_("The line to Cia is cut: her dials are refused")):
        anna.do("peer.block", node=cia.node)
        bo.do("peer.block", node=cia.node)
        refused = _refused_dials(cia, anna) + _refused_dials(cia, bo)
        _expect(refused > 0, _("blocked nodes refuse Cia's dials"))
    with story.step(_("Bo asks for cordless drill {drill}; Anna approves").format(drill=DRILL)):
        loan = bo.do("loan.request", resource=DRILL, days=3)["loan"]
        _with(anna, bo)
        anna.do("loan.approve", loan=loan)
        _with(bo, anna)
    with story.step(_("Anna hands it over, Bo takes it: two signatures")):
        offer = anna.do("loan.handover", loan=loan)["offer"]
        _with(bo, anna)
        taken = bo.do("loan.accept", loan=loan, offer=offer)
        _expect(
            taken["state"] == "on_loan",
            _("Bo has the drill, not {state}").format(state=taken["state"]),
        )
        _with(anna, bo)
    with story.step(_("Now Bo's node reaches only Cia's; he returns the drill to her")):
        bo.do("peer.block", node=anna.node)
        bo.do("peer.unblock", node=cia.node)
        refused += _refused_dials(anna, bo)
        offer = bo.do("loan.return", loan=loan)["offer"]
        bo.do("peer.connect", address=cia.address)
        _with(cia, bo)
        received = cia.do("loan.receive", loan=loan, offer=offer, condition="ok")
        _expect(
            received["state"] == "returned",
            _("the loan is closed, not {state}").format(state=received["state"]),
        )
        _expect(anna.see("loan.show", loan=loan)["state"] == "on_loan", _("Anna can't know it yet"))
    with story.step(_("The network heals, and every node ends with the same truth")):
        for one, other in ((anna, cia), (bo, anna)):
            one.do("peer.unblock", node=other.node)
        anna.do("peer.connect", address=bo.address)
        anna.do("peer.connect", address=cia.address)
        _agree(anna, bo, cia)
        hashes = [one.see("community.hash") for one in (anna, bo, cia)]
        final = anna.see("loan.show", loan=loan)
        _expect(final["state"] == "returned", _("Anna sees the return too"))
    states = [one["state_hash"] for one in hashes]
    converged = len(set(states)) == 1
    _expect(converged, _("three equal state hashes"))
    return {
        "v": 1,
        "ok": True,
        "seconds": story.seconds,
        "nodes": 3,
        "items": imported["created"],
        "operations": sum(hashes[0]["operations"].values()),
        "state_hashes": states,
        "converged": converged,
        "refused_dials": refused,
        "steps": story.steps,
    }


def _join(host: Neighbour, newcomer: Neighbour, name: str) -> None:
    code = host.do("invite.create", uses=1)["code"]
    joined = newcomer.do("join", code=code, member=name, passphrase=secrets.token_hex(8))
    _expect(joined["state"] == "joined", _("{name} is in").format(name=name))


def _with(one: Neighbour, other: Neighbour) -> None:
    """Wait until ``one`` holds all that ``other`` holds."""
    one.do("sync.wait", peer=[other.node], timeout=_WAIT_S)


def _agree(*neighbours: Neighbour) -> None:
    for _round in range(2):  # what the first round brings, the second passes on
        for one in neighbours:
            one.do("sync.wait", timeout=_WAIT_S)


def _refused_dials(caller: Neighbour, called: Neighbour) -> int:
    """Dial, and count how many more dials ``called`` has refused since."""
    before = _dials(called)
    with suppress(ApiError):
        caller.do("peer.connect", address=called.address)
    return _dials(called) - before


def _dials(node: Neighbour) -> int:
    return sum(n for code, n in node.refusals().items() if code.startswith("refused_dials"))


def _expect(holds: bool, what: str) -> None:
    if not holds:
        raise RuntimeError(f"the demo expected: {what}")
