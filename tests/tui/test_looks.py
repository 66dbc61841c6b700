"""How each place looks, at three sizes, in letters: compared with the files in ``looks``.

``COMMONS_LOOKS=write`` writes them anew; a diff then shows what a person would see. What differs
from run to run (ids, times, days) is masked, keeping its width.
"""

from __future__ import annotations

import asyncio
import os
import re
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.neighbourhood import House, Street
from tests.tui.hall import PASSPHRASE, build
from tests.tui.screen import SIZES, Seat, flat, seat

from commons_crdt.ids import RealmId, digest
from commons_node.health.overview import Row
from commons_node.health.verbs import row_of
from commons_node.peering.types import PeerState
from commons_protocol.about import About
from commons_protocol.names import NodeId
from commons_protocol.network import Address
from commons_protocol.status import SyncStatus
from commons_tui.place import place_key
from commons_tui.places import places

LOOKS = Path(__file__).with_name("looks")
_MASKS = (
    (r"\b[0-9a-f]{12}\b", "0" * 12),
    (r"\b[0-9a-f]{8}\b", "0" * 8),
    (r"\b\d{4}-\d\d-\d\d( \d\d:\d\d)?", lambda found: re.sub(r"\d", "0", found[0])),
    (r"in \d days", "in 0 days"),
    (r"(in \d+ (min|h|days)|tomorrow|today) *", lambda found: "soon".ljust(len(found[0]))),
    (r"\b\d\.\d\d\b", "0.00"),
    (r"\b\d+ MiB *", lambda found: "0 MiB".ljust(len(found[0]))),
    (r"\b[\d.]+ m?s\b", lambda found: "0 ms".ljust(len(found[0]))),
    (r"(now|\d+ min ago) *", lambda found: "now".ljust(len(found[0]))),
    (r"(/tmp|street-)\S*", lambda found: "…".ljust(len(found[0]))),
)


@pytest.fixture(scope="module")
def hall(elm_street: Street) -> House:
    return build(elm_street)


def masked(text: str) -> str:
    for pattern, by in _MASKS:
        text = re.sub(pattern, by, text)
    return "\n".join(line.rstrip() for line in text.splitlines()) + "\n"


async def rests(someone: Seat) -> str:
    """The screen once nothing changes any more."""
    before, same = "", 0
    while same < 3:
        await someone.pilot.pause(0.05)
        reading = {"default", "detail", "go", "now"}
        works = any(w.is_running and w.group in reading for w in someone.app.workers)
        same = same + 1 if someone.text == before and not works else 0
        before = someone.text
    return masked(before)


def compare(name: str, seen: str) -> None:
    file = LOOKS / f"{name}.txt"
    if os.environ.get("COMMONS_LOOKS") == "write":
        LOOKS.mkdir(exist_ok=True)
        file.write_text(seen, encoding="utf-8")
    known = file.read_text(encoding="utf-8")
    assert seen == known, f"{name} looks as in {file.name}; now it is:\n{seen}"


WORDS = {
    "home": "Waiting for you", "things": "Hedge", "loans": "Ladder",
    "people": "coordinator", "peers": "Elm Street ○ alone", "activity": "Bo asked",
    "council": "In force", "jobs": "integrity", "settings": "Theme", "spaces": "No spaces yet",
}  # fmt: skip


@pytest.mark.parametrize(
    "size",
    [*SIZES[:2], pytest.param(SIZES[2], marks=pytest.mark.long)],
    ids=lambda size: "{}x{}".format(*size),
)
async def test_every_place_looks_as_it_should(hall: House, size: tuple[int, int]) -> None:
    name = "{}x{}".format(*size)
    async with seat(hall.home, size) as anna:
        await anna.sees("u Unlock")
        compare(f"locked-{name}", await rests(anna))
        await anna.press("u")
        await anna.sees("Who acts?")
        await anna.types(PASSPHRASE)
        await anna.press("enter")
        await anna.sees("Waiting for you")
        for number, place in enumerate(places()):
            await anna.press(place_key(number))
            await anna.sees(WORDS[place.id])
            compare(f"{place.id}-{name}", await rests(anna))
        await anna.press("2")
        await anna.sees("Ladder")
        await anna.press("home", "r")
        await anna.sees("Ask to borrow")
        compare(f"form-{name}", await rests(anna))
        await anna.press("escape", "colon")
        await anna.types("endorse")
        await anna.sees("commons-node community endorse")
        compare(f"palette-{name}", await rests(anna))


HERE = 4
PROGRAMS = {
    "behind": About("1.3.0", HERE + 1), "refused": About("1.2.0", HERE), "unreachable": None,
}  # fmt: skip
LONG_AGO = 1_750_000_000_000
STANDINGS = {
    "behind": SyncStatus("changed", have=12, missing=3, compared=LONG_AGO),
    "refused": SyncStatus(
        "refused_budget", have=12, refused=4, refusals={"budget": 4}, count=4, compared=LONG_AGO
    ),
    "unreachable": SyncStatus("unreachable", unknown_since=LONG_AGO, detail=": Connection refused"),
}


def node_of(word: str) -> NodeId:
    """The one that stands so."""
    return NodeId(digest("t-node", word.encode()).hex())


def answers(realm: RealmId) -> dict[str, Any]:
    """What the node's own verbs say of three nodes that stand so with this one."""
    peers = []
    for word, sync in STANDINGS.items():
        node, here = node_of(word), word != "unreachable"
        where = (Address("/ip4/192.0.2.7/tcp/4001"),)
        peers.append(PeerState(
            node, where, here, False, LONG_AGO, sync, {realm: sync}, frozenset({realm}),
            {realm: LONG_AGO}, "direct" if here else "", program=PROGRAMS[word],
        ))  # fmt: skip
    rows = [row_of("Elm Street", Row(realm, peer, peer.sync), HERE, 3) for peer in peers]
    known = [
        {"node": p.node, "addresses": p.addresses, "blocked": False, "last_seen": None}
        for p in peers
    ]
    one = {
        "community": realm.hex(), "name": "Elm Street", "state": "behind", "code": "changed",
        "peers": 3, "here": 2, "causes": [],
    }  # fmt: skip
    return {
        "sync.status": {"communities": [one], "peers": rows},
        "sync.why": {"causes": []},
        "peer.list": {"peers": known},
    }


@pytest.mark.parametrize(
    "size",
    [SIZES[1], pytest.param(SIZES[0], marks=pytest.mark.long)],
    ids=lambda size: "{}x{}".format(*size),
)
async def test_each_node_says_how_it_stands_why_and_what_to_do(
    hall: House, size: tuple[int, int]
) -> None:
    name, narrow = "{}x{}".format(*size), size[0] < 76
    (elm,) = hall.see("sync.status")["communities"]
    said: dict[str, Any] = answers(RealmId(bytes.fromhex(elm["community"])))
    async with seat(hall.home, size) as anna:
        await anna.unlocks(PASSPHRASE)
        ask = anna.app.bridge.view

        async def view(verb: str, *rest: Any, **named: Any) -> dict[str, Any]:
            return said[verb] if verb in said else await ask(verb, *rest, **named)

        anna.app.bridge.view = view  # type: ignore[method-assign, assignment]  # only of others
        await anna.press("6")
        await anna.sees("Elm Street", "fetching", "out of reach")
        for word, sync in STANDINGS.items():
            await anna.press("down", *["enter"] * narrow)
            await anna.sees(node_of(word)[:16])
            beside = " ".join(line.rpartition("│")[2] for line in (await rests(anna)).splitlines())
            about = PROGRAMS[word]
            newer = "knows newer rules" if word == "behind" else ""
            program = f"Version {about.version}, rules {about.rules}" if about else "not known"
            below = narrow and bool(newer)  # of the narrow screen's end, and PgDn says so
            for words in (sync.reason, sync.next_action, newer, *[program] * (not below)):
                assert flat(words) in flat(beside)
            compare(f"peers-{word}-{name}", await rests(anna))
            await anna.press(*["escape"] * narrow)
        said.clear()
        await asyncio.to_thread(hall.do, "community.pause")
        try:
            await anna.press("home", "ctrl+r")
            await anna.sees("✕ paused")
            await anna.press(*["enter"] * narrow)
            await anna.sees("This node has paused", "resume")
            compare(f"peers-paused-{name}", await rests(anna))
        finally:
            await asyncio.to_thread(hall.do, "community.resume")
