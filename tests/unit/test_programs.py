"""Members tell each other which program their nodes are; nobody else hears it, or must."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.simulation.meeting import Meeting, neighbourhood

from commons_node.peering.acquaintance import Acquaintance
from commons_node.peering.programs import beside, then
from commons_protocol import wire
from commons_protocol.about import About, about_in
from commons_protocol.effects import Met, Send
from commons_protocol.names import peer_key
from commons_protocol.network import Address, PeerId

NEW = About("1.2.0", 4)


@given(
    st.from_regex(r"[0-9][0-9A-Za-z.+]{0,31}", fullmatch=True),
    st.integers(1, 99_999),
    st.lists(st.text(min_size=1, max_size=20), max_size=3),
)
def test_what_is_said_is_read_wherever_it_stands(
    version: str, rules: int, others: list[str]
) -> None:
    told = About(version, rules)
    assert about_in([str(told), *others]) == told
    assert len(str(told)) <= 200, "it fits where an address does"


@pytest.mark.parametrize(
    ("theirs", "kept", "word", "says"),
    [
        (4, 2, None, ""),
        (5, 2, "newer", "upgrade this one"),
        (5, 5, "newer", "upgrade this one"),
        (3, 3, "older", "before the community takes newer ones"),
        (3, 4, "too_old", "keeps aside"),
    ],
)
def test_who_has_to_upgrade(theirs: int, kept: int, word: str | None, says: str) -> None:
    said = beside(About("1.2.0", theirs), 4, kept)
    assert (said["version"], said["rules"], said["program"]) == ("1.2.0", theirs, word)
    assert says in str(said["upgrade"] or "")
    assert then("Wait.", said).startswith("Wait."), "it comes behind what keeps them apart"
    assert then("", said) == str(said["upgrade"] or "")


def test_of_a_node_that_says_nothing_nothing_is_said() -> None:
    assert set(beside(None, 4, 3).values()) == {None}


@given(st.lists(st.text(max_size=60)))
def test_other_texts_are_no_program(texts: list[str]) -> None:
    found = about_in(texts)
    assert found is None or str(found) in texts


class Around:
    """As much of a node's peering as its acquaintance asks for."""

    def __init__(self, talk: Any, about: About | None) -> None:
        self.peer, self.about = PeerId("alice"), about
        self.addresses: tuple[Address, ...] = ()
        self.clock = SimpleNamespace(now=lambda: 0)
        self.talks = SimpleNamespace(now={talk.peer: talk})
        self.book = SimpleNamespace(get=lambda _node: None)
        self.told: list[str] = []

    def on_change(self, kind: str, _what: str) -> None:
        self.told.append(kind)

    def spawn(self, work: Coroutine[None, None, None], name: str) -> asyncio.Task[None]:
        raise AssertionError(name)


def met() -> tuple[Meeting, Any, Any]:
    """Alice has dialled bob, both have proven themselves; the talk of each with the other."""
    alice, bob = neighbourhood("bob")
    meeting = Meeting([alice], [bob], seed=3).run()
    sent: list[list[bytes]] = [[], []]

    def talk(side: Any, peer: PeerId, frames: list[bytes]) -> Any:
        return SimpleNamespace(
            peer=peer,
            session=side.session,
            perform=lambda effects: frames.extend(e.frame for e in effects if isinstance(e, Send)),
            frames=frames,
        )

    to_bob = talk(meeting.d, bob.peer, sent[0])
    to_alice = talk(meeting.l, alice.peer, sent[1])
    return meeting, to_bob, to_alice


def heard(meeting: Meeting, side: Any, frame: bytes) -> Met:
    (effect,) = side.session.on_frame(frame, meeting.now)
    assert isinstance(effect, Met), "an older node takes it as any introduction"
    assert not side.session.closed
    return effect


def test_a_member_hears_which_program_a_node_is() -> None:
    meeting, to_bob, to_alice = met()
    here = Around(to_bob, NEW)
    here.peer = to_alice.peer
    realm = next(iter(to_bob.session.realms))
    Acquaintance(here).introduce(realm)  # type: ignore[arg-type]  # as much as is asked for
    (frame,) = to_bob.frames
    there = Around(to_alice, None)
    there.peer = to_bob.peer
    bobs = Acquaintance(there)  # type: ignore[arg-type]  # likewise
    bobs.met(to_alice, heard(meeting, meeting.l, frame).nodes)
    assert bobs.program(to_alice.peer) == NEW
    assert there.told == ["peer"], "who looks at the list sees it at once"
    bobs.met(to_alice, heard(meeting, meeting.l, frame).nodes)
    assert there.told == ["peer"], "once"


def test_who_says_nothing_is_a_node_of_before_and_nobody_speaks_for_others() -> None:
    meeting, to_bob, to_alice = met()
    there = Around(to_alice, None)
    there.peer = to_bob.peer
    bobs = Acquaintance(there)  # type: ignore[arg-type]  # as much as is asked for
    me, carol = peer_key(to_alice.peer), b"c" * 32
    slot = next(iter(meeting.d.session._slots))

    def says(*nodes: tuple[bytes, tuple[str, ...]]) -> None:
        frame = wire.pack(wire.Members(slot, nodes))
        bobs.met(to_alice, heard(meeting, meeting.l, frame).nodes)

    says((me, ()), (carol, (str(NEW),)))
    assert bobs.program(to_alice.peer) is None
    assert not bobs._programs, "what one node says of another's program is nothing"
    says((me, (str(NEW),)))
    assert bobs.program(to_alice.peer) == NEW
    says((me, ()))
    assert bobs.program(to_alice.peer) is None, "it was put back to a program of before"


def test_a_stranger_and_an_unproven_session_are_told_nothing() -> None:
    alice, bob = neighbourhood("bob")
    meeting = Meeting([alice], [bob], seed=4)
    frames = [e.frame for e in meeting.d.session.begin() if isinstance(e, Send)]
    realm = alice.copy.realm
    told = meeting.d.session.introduce(realm, [(peer_key(alice.peer), (str(NEW),))])
    assert told == [], "nothing before the proof"
    assert frames
    assert not any(b"commons-node" in frame for frame in frames)


@pytest.mark.parametrize("text", ["/commons-node/1\n/rules/4", "/commons-node/\x1b[2J/rules/4"])
def test_what_would_move_the_cursor_is_no_version(text: str) -> None:
    assert about_in([text]) is None
