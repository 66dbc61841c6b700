"""An author's folder: what agent new writes, what agent check finds, what is packed of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.agents import ALICE, key_of

from commons_node.agents import wording
from commons_node.agents.checking import findings
from commons_node.agents.folders import CannotRead, FolderThere, begin, named, read_folder
from commons_node.agents.manifest import Grant, parse
from commons_node.agents.package import pack, read
from commons_node.agents.refusals import BadPackage
from commons_node.api.events import EVENTS
from commons_node.capabilities.catalogue import CAPABILITIES

HEAD = '[agent]\nname = "tell"\nversion = "1.0.0"\n'
MAIN = "def main(event, host):\n    "


def said(more: str, code: str = f"{MAIN}return 1\n", head: str = HEAD) -> list[str]:
    """What is found in a manifest and its code, each as ``weight: text``."""
    manifest = parse((head + more).encode(), publisher=key_of(ALICE))
    found = findings(manifest, {"agent.py": code.encode()}, EVENTS)
    return [f"{one.weight}: {one.text}" for one in found]


HOURLY = '[[trigger]]\nevery = "1h"\n'


def test_what_agent_new_writes_can_be_packed_and_nothing_is_wrong_with_it(tmp_path: Path) -> None:
    folder = tmp_path / "reminders"
    begin(folder, key_of(ALICE))
    toml, code = read_folder(folder)
    manifest = parse(toml)
    assert (manifest.name, manifest.publisher) == ("reminders", key_of(ALICE))
    assert findings(manifest, code, EVENTS) == []
    assert read(pack(toml, code)).files == code
    with pytest.raises(FolderThere):
        begin(folder, key_of(ALICE))
    begin(tmp_path / "Not A Name", key_of(ALICE))
    with pytest.raises(BadPackage, match="name"):
        parse(read_folder(tmp_path / "Not A Name")[0])


def test_a_folder_gives_what_belongs_to_the_code_and_nothing_else(tmp_path: Path) -> None:
    begin(tmp_path / "a", key_of(ALICE))
    code = tmp_path / "a" / "code"
    (code / "__pycache__").mkdir()
    (code / "__pycache__" / "agent.pyc").write_bytes(b"x")
    (code / ".hidden").write_bytes(b"x")
    (code / "lib").mkdir()
    (code / "lib" / "words.py").write_bytes(b"WORDS = ()\n")
    assert set(read_folder(tmp_path / "a")[1]) == {"agent.py", "lib/words.py"}
    (code / "passwd").symlink_to("/etc/passwd")
    with pytest.raises(BadPackage, match="link"):
        read_folder(tmp_path / "a")
    (code / "passwd").unlink()
    (code / "large").write_bytes(bytes(6_000_000))
    with pytest.raises(BadPackage, match="too large"):
        read_folder(tmp_path / "a")
    with pytest.raises(CannotRead):
        read_folder(tmp_path / "nowhere")


def test_who_packs_is_named_where_the_folder_names_nobody() -> None:
    for text in (HEAD, HEAD.replace("[agent]", "# mine\n[agent]  # here"), "[agent]"):
        made = named(text.encode(), key_of(ALICE))
        assert f'publisher = "ed25519:{key_of(ALICE)}"\n'.encode() in made
    assert parse(named(HEAD.encode(), key_of(ALICE))).publisher == key_of(ALICE)


@pytest.mark.parametrize(
    ("more", "code", "expected"),
    [
        ("", f"{MAIN}return 1\n", "hint: It has no trigger: it runs only when somebody says so."),
        (HOURLY, "def main(:\n", "fault: It is no Python: invalid syntax"),
        (HOURLY, "def other(event, host):\n    pass\n", "fault: It has no function main."),
        (HOURLY, "def main(event):\n    pass\n",
         "fault: main does not take two arguments, event and host."),
        (HOURLY, "async def main(event, host):\n    pass\n",
         "fault: main is async: the runner calls plain functions."),
        (HOURLY, f'{MAIN}host.call("kv.get", name="a")\n',
         "fault: It calls kv.get, and agent.toml does not ask for it."),
        (HOURLY, f'{MAIN}host.kv.put("a", 1)\n',
         "fault: It calls kv.put, and agent.toml does not ask for it."),
        (HOURLY + '[capabilities]\n"kv.get" = {}\n', f"{MAIN}return 1\n",
         "hint: It asks for kv.get, and no call of it was found."),
        (HOURLY + '[capabilities]\n"tea.make" = {}\n', f'{MAIN}host.call("tea.make")\n',
         "fault: This version does not know the capability tea.make."),
        ('[[trigger]]\nevent = "full_moon"\n', f"{MAIN}return 1\n",
         "hint: No event of this version is called full_moon."),
        (HOURLY + '[capabilities]\n"http.fetch" = {}\n', f"{MAIN}host.http.fetch(url='x')\n",
         "fault: http.fetch reaches nothing: agent.toml does not say hosts."),
        (HOURLY + '[capabilities]\n"kv.get" = {hosts = ["a"]}\n', f"{MAIN}host.kv.get('a')\n",
         "hint: hosts means nothing to kv.get."),
        (HOURLY + '[capabilities]\n"docs.query" = {collections = ["loans"]}\n',
         f"{MAIN}host.query('loan')\n", "fault: There is no collection loans."),
        (HOURLY + '[capabilities]\n"docs.query" = {collections = ["loan"], fields = ["colour"]}\n',
         f"{MAIN}host.query('loan')\n",
         "fault: No collection that it asks for has the field colour."),
    ],
)  # fmt: skip
def test_what_is_found_without_running_anything(more: str, code: str, expected: str) -> None:
    assert said(more, code) == [expected]


def test_nothing_is_found_in_what_is_well_made() -> None:
    code = f'{MAIN}host.log("x")\n    host.now()\n    return host.query("loan")\n'
    assert said(HOURLY + '[capabilities]\n"docs.query" = {collections = ["loan"]}\n', code) == []


def test_a_component_is_told_from_something_else() -> None:
    head = HEAD + 'runtime = "wasm"\nentry = "agent.wasm"\n'
    manifest = parse((head + HOURLY).encode(), publisher=key_of(ALICE))
    assert findings(manifest, {"agent.wasm": b"\0asm\x0d\0\1\0"}, EVENTS) == []
    (found,) = findings(manifest, {"agent.wasm": b"MZ"}, EVENTS)
    assert found.weight == "fault"


def test_every_capability_has_words_and_none_says_more_than_it_reaches() -> None:
    asked = {name for name in CAPABILITIES if name != "agent.code"}
    assert asked == set(wording.MEANS), "what a host agrees to is said in words"
    for name in asked:
        capability, words = CAPABILITIES[name], wording.MEANS[name]
        assert bool(words.whole) is not bool(capability.needs), f"{name} without a bound"
        assert not words.field or words.field in capability.narrows
        assert set(capability.needs) <= {words.field}
        assert wording.means(name, Grant()).isprintable()
    assert wording.means("http.fetch", Grant()).endswith("nothing; what it knows may go there")
    assert "does not know" in wording.means("tea.make", Grant())
