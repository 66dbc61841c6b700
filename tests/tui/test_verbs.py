"""Every verb of the node can be done here, and the command that is shown beside it is the same."""

from __future__ import annotations

import shlex
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import pytest

from commons_cli.build import build
from commons_cli.main import load_verbs
from commons_tui import keymap
from commons_tui.dialogs.form import SECRET, WrongValue, checked, command_of, fields
from commons_tui.place import place_key
from commons_tui.places import places
from commons_tui.settings import Settings, load, save
from commons_tui.words import ago, day

VERBS = load_verbs()["verbs"]


def typed(one: Mapping[str, Any], file: Path) -> Any:
    """Something that fits this argument, as typed."""
    match one["kind"]:
        case "flag":
            return True
        case "choice":
            return str([word for word in one["choices"] if word != one.get("default")][-1])
        case "integer" | "number":
            return str(max(one.get("min", 1), 1) + 1)
        case "duration":
            return "3d"
        case "time":
            return "2026-05-01"
        case "file-in" | "file-or-text":
            return str(file)
        case "new-passphrase" | "passphrase" | "secret":
            return "a long enough passphrase"
    return "Söder's spade"


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb["name"])
def test_the_command_shown_takes_what_the_form_takes(
    verb: Mapping[str, Any], tmp_path: Path
) -> None:
    file = tmp_path / "a file"
    file.write_bytes(b"content")
    raw = {one["name"]: typed(one, file) for one in fields(verb)}
    values = checked(verb, raw)
    assert set(values) == set(raw), "everything that was typed is sent"
    program, *words = shlex.split(command_of(verb, raw))
    assert program == "commons-node"
    assert "a long enough passphrase" not in words, "no secret stands in a command"
    command: click.Command = build(load_verbs())
    context = click.Context(command, info_name=program)
    while isinstance(command, click.Group):
        found = command.get_command(context, words.pop(0))
        assert found is not None, "the command exists"
        command = found
    parsed = command.make_context(verb["name"], words).params
    for one in fields(verb):
        if one["kind"] in SECRET:
            continue
        same = parsed[f"value_{one['name']}"]
        same = list(same) if isinstance(same, tuple) else same
        assert same == values[one["name"]], f"{one['name']} means the same in both"


def test_a_list_that_was_typed_stands_in_the_command_line() -> None:
    verb = next(verb for verb in VERBS if verb["name"] == "agent.set")
    said = command_of(verb, {"agent": "tell", "settings": ["days=3", "where=the hall"]})
    assert said == "commons-node agent set tell days=3 'where=the hall'"
    assert command_of(verb, {"agent": "tell", "settings": []}).endswith("tell SETTINGS")


def test_what_is_wrong_is_said_at_its_field(tmp_path: Path) -> None:
    by_name = {verb["name"]: verb for verb in VERBS}
    for name, raw, field in (
        ("loan.request", {"resource": ""}, "resource"),
        ("loan.request", {"resource": "7", "days": "many"}, "days"),
        ("member.suspend", {"who": "Bo", "for": "soon"}, "for"),
        ("join", {"member": "Bo", "passphrase": "short"}, "passphrase"),
        ("resource.import", {"file": str(tmp_path / "nothing.csv")}, "file"),
    ):
        with pytest.raises(WrongValue) as wrong:
            checked(by_name[name], raw)
        assert wrong.value.__notes__ == [field], str(wrong.value)
        assert len(str(wrong.value)) > 10


def test_every_key_has_an_id_and_the_guide_lists_it() -> None:
    guide = (Path(__file__).parents[2] / "docs" / "guide" / "terminal.md").read_text("utf-8")
    known = set(keymap.known_ids())
    assert known > {"app.help", "rows.down", "loan.approve", "dialog.back"}
    assert not [ident for ident in sorted(known) if f"`{ident}`" not in guide]
    for place in places():
        key = place_key([one.id for one in places()].index(place.id))
        assert f"| everywhere | `{key}` | {place.title} | `place.{place.id}` |" in guide
        assert f"\n| {key} | {place.title} | " in guide


def test_keys_of_one_place_do_not_hide_each_other() -> None:
    for place in places():
        view = place.make()
        keys: dict[str, set[str]] = {}
        for act in view.acts:
            keys.setdefault(act.key, set()).add(act.id)
        twice = {key: ids for key, ids in keys.items() if len(ids) > 1}
        either = {frozenset({"peer.block", "peer.unblock"}), frozenset({"job.pause", "job.resume"}),
              frozenset({"agent.remove", "proposal.drop"})}  # fmt: skip
        assert set(map(frozenset, twice.values())) <= either, "one of both fits a row"
        digits_and_q = {"q", "u", *map(str, range(10))}
        assert not digits_and_q & set(keys), f"{place.id}: these keys work everywhere"


def test_settings_survive_being_written(tmp_path: Path) -> None:
    assert load(tmp_path) == Settings(), "without a file the defaults hold"
    chosen = Settings("contrast", 300, {"loan.approve": "y", "ö\"'": "ctrl+y"})
    save(tmp_path, chosen)
    assert load(tmp_path) == chosen
    assert tomllib.loads((tmp_path / "tui.toml").read_text("utf-8"))["idle_lock"] == "5m"
    (tmp_path / "tui.toml").write_text('theme = "pink"\nidle_lock = "soon"\nother = 1\n')
    found = load(tmp_path)
    assert (found.theme, found.idle_s) == ("dark", 900)
    assert all(word in found.problem for word in ("theme", "idle_lock", "other"))


def test_days_are_said_as_people_say_them() -> None:
    from datetime import UTC, date, datetime

    today = date(2026, 5, 1)
    said = [day(f"2026-05-0{n}", today) for n in range(1, 4)]
    assert said == ["today", "tomorrow", "in 2 days"]
    assert day("2026-04-30", today) == "yesterday"
    assert day(None, today) == "-"
    assert day("2027-01-01", today) == "2027-01-01", "far away it is a date"
    now = datetime(2026, 5, 1, 12, tzinfo=UTC)
    assert ago("2026-05-01T11:59:30Z", now) == "now"
    assert ago("2026-05-01T11:30:00Z", now) == "30 min ago"
    assert ago("2026-05-01T03:00:00Z", now) == "9 h ago"
