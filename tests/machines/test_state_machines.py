"""Every drawing under `docs/state-machines/` is what the code does: no more, and no less.

Storms and small stories are watched; what was seen must be drawn, and what is drawn must have been
seen, or the page says why it is seldom. Where the code names its states, those are the drawn ones.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.machines import (
    stories,
    test_job_machine,
    test_node_machines,
    test_relay_machine,
    test_seal_machine,
    watched_peering,
    watched_protocol,
    watched_realm,
)
from tests.machines.drawings import PAGES, Drawing, NotPlain, all_drawings, read
from tests.machines.recorder import Recorder
from tests.simulation.test_simulator_faults import EVERYTHING, LIAR
from tests.simulation.test_simulator_mutants import LIBRARY

from commons_node.domains.lending.views import COLUMNS
from commons_node.testing import storm
from commons_node.testing.plan import SMALL, Plan
from commons_node.testing.storm import run
from commons_node.testing.town import Town
from commons_protocol.joining import HELPFUL
from commons_protocol.reasons import CATALOGUE
from commons_protocol.status import ORDER

DRAWN = all_drawings()
BY_OTHERS = {
    test_node_machines.BATCH, test_node_machines.WORKERS, test_node_machines.MEMBER,
    test_node_machines.TERMINAL, test_node_machines.NETWORK, test_node_machines.LAN,
    test_node_machines.DAEMON, test_seal_machine.MACHINE, test_relay_machine.MACHINE,
    test_job_machine.MACHINE,
}  # fmt: skip
WATCHED = sorted(DRAWN.keys() - BY_OTHERS)
EXPLICIT = {**watched_protocol.EXPLICIT, **watched_realm.EXPLICIT}
STORMS: tuple[tuple[Plan, range], ...] = (
    (SMALL, range(1, 4)),
    (EVERYTHING, range(1, 4)),
    (LIAR, range(1, 3)),
)


@pytest.fixture(scope="module")
def seen() -> Recorder:
    """What a number of storms and stories show."""
    recorder = Recorder()
    with pytest.MonkeyPatch.context() as patch:
        for part in (watched_protocol, watched_peering, watched_realm):
            part.watch(recorder, patch)
        for plan, seeds in STORMS:
            for seed in seeds:
                run(seed, plan)
        stories.meetings()
        stories.parts()
        Town(1).play(stories.blocks)
        Town(2).play(lambda town: stories.invites(town, recorder))
        Town(3).play(lambda town: stories.forgets(town, patch))
        Town(4).play(stories.oddities)
    watched_realm.lending(recorder, stories.loans())
    with pytest.MonkeyPatch.context() as patch:
        for by_verb in (1.0, 0.3):
            patch.setattr(storm, "_BY_VERB", by_verb)
            _, town = run(1, LIBRARY)
            watched_realm.lending(recorder, [watched_realm.facts(town.honest[0])])
    return recorder


@pytest.mark.parametrize("name", WATCHED)
def test_what_was_seen_is_drawn(name: str, seen: Recorder) -> None:
    more = seen.moves[name] - DRAWN[name].moves
    assert not more, f"{name} does not draw {sorted(more)}"


@pytest.mark.parametrize("name", WATCHED)
def test_what_is_drawn_was_seen(name: str, seen: Recorder) -> None:
    drawing = DRAWN[name]
    never = drawing.moves - seen.moves[name] - drawing.seldom
    assert not never, f"{name} draws what nobody sees, and does not say why: {sorted(never)}"


def test_only_what_is_drawn_is_seldom_seen() -> None:
    for drawing in DRAWN.values():
        page = [other.moves for other in DRAWN.values() if other.page == drawing.page]
        assert drawing.seldom <= frozenset().union(*page), f"{drawing.page} excuses too much"


@pytest.mark.parametrize("name", sorted(EXPLICIT))
def test_the_states_that_the_code_names_are_those_that_are_drawn(name: str) -> None:
    assert DRAWN[name].states == EXPLICIT[name]


def test_every_machine_that_is_watched_is_drawn(seen: Recorder) -> None:
    assert seen.moves.keys() <= DRAWN.keys()
    assert DRAWN.keys() >= BY_OTHERS


def test_the_states_of_an_invite_are_what_a_newcomer_may_be_told() -> None:
    drawn = DRAWN[stories.INVITE].states
    of_machines = {"waiting", "used", "changed", "refused"}
    told = HELPFUL - {"later"} - of_machines
    assert drawn - {"open"} == told, "later is about the node, not about the invite"


def test_a_loan_has_a_column_for_its_state() -> None:
    assert "state" in COLUMNS


def test_every_word_about_a_peer_is_explained_with_its_reasons() -> None:
    rows = _rows((PAGES / "words.md").read_text(encoding="utf-8"), "`")
    assert [row[0] for row in rows if row[0] in ORDER] == list(reversed(ORDER)), "best first"
    for word, _meaning, codes in (row for row in rows if row[0] in ORDER):
        fitting = [reason.code for reason in CATALOGUE.values() if reason.state == word]
        assert re.findall(r"`(\w+)`", codes) == fitting, f"the reasons of {word}"


def _rows(text: str, _mark: str) -> list[list[str]]:
    """Rows of tables whose first cell is one word in code."""
    found = []
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip("| ").split(" | ")]
        if line.startswith("| `") and len(cells) == 3:
            found.append([cells[0].strip("`"), *cells[1:]])
    return found


# --- the pages themselves ---


def test_every_page_is_listed_and_every_line_is_plain() -> None:
    listed = (PAGES / "README.md").read_text(encoding="utf-8")
    for file in PAGES.glob("*.md"):
        if file.stem == "README":
            continue
        assert f"({file.name})" in listed, f"{file.name} is not in the list"
        assert read(file) or file.stem == "words"


def test_what_stands_in_the_architecture_is_the_same_drawing() -> None:
    text = (PAGES.parent / "ARCHITECTURE.md").read_text(encoding="utf-8")
    assert "(state-machines/README.md)" in text
    assert "stateDiagram-v2" not in text, "each machine is drawn once"


def test_a_drawing_that_is_not_plain_is_refused(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    for bad in ("state a {", "a --> b: c; d", "a --> b: # c", "A --> b", "a -> b"):
        page.write_text(f"# One\n\n```mermaid\nstateDiagram-v2\n    {bad}\n```\n")
        with pytest.raises(NotPlain):
            read(page)
    page.write_text(
        "# One\n\ntext\n\n```mermaid\nstateDiagram-v2\n    [*] --> a: so\n    a --> [*]\n```\n"
    )
    (drawing,) = read(page)
    assert drawing == Drawing("page", "One", frozenset({("[*]", "a"), ("a", "[*]")}), frozenset())
