"""No decoder without a target, no corpus that is stale, no finding that comes back.

What is covered is not declared: the seeds of all targets are run, and every function that was
entered is noted. A decoder that was not must stand below, with the reason.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from types import FrameType

import pytest
from tests.fuzz import corpus, profiles
from tests.fuzz.operations import facts
from tests.fuzz.scan import Decoder, decoders
from tests.fuzz.table import TARGETS
from tests.fuzz.target import Target
from tests.fuzz.watch import counting, watched

from commons_crdt import scanning
from commons_crdt.document import operations
from commons_crdt.operation import decode_header
from commons_node.domains import RULES, registry
from commons_protocol import names

ROOT = Path(__file__).parents[2]
FOLDERS = ("crdt", "protocol", "node", "cli", "tui")
SIMULATOR = "node/commons_node/testing/"
"""Takes apart what it made itself; nothing that runs for people imports it."""

ELSEWHERE = {
    # The broker checks what agents ask, and has a target; drivers and models are the host's.
    "node/commons_node/capabilities/fetching.py:fetch":
        "bytes are told as text or as base64, whatever they are",
    "node/commons_node/capabilities/node.py:Capabilities._permit": "hex of this node's own row",
    "node/commons_node/capabilities/shapes.py:fields": "the program's own schemas",
    "node/commons_node/drivers/camera.py:codes_in":
        "a picture of the host's, by libraries of others",
    "node/commons_node/drivers/desktop.py:run": "what a program of the host said, for a sentence",
    "node/commons_node/drivers/file_drop.py:FileDrop.send": "base64 of a checked message",
    "node/commons_node/drivers/held.py:_given":
        "one struct a kind, hostile messages in test_driver_*",
    "node/commons_node/drivers/held.py:_made": "the host's own settings",
    "node/commons_node/drivers/inbox.py:Inbox._text": "text of the host, refused if it is none",
    "node/commons_node/drivers/mail.py:_text":
        "what the host's mail server said, for a sentence, replaced if garbage",
    "node/commons_node/drivers/mqtt_sensor.py:MqttSensor._last":
        "text of a sensor, replaced if garbage",
    "node/commons_node/drivers/serial_sensor.py:SerialSensor._line":
        "text of a sensor, bounded, replaced if garbage",
    "node/commons_node/drivers/serial_sensor.py:value_of":
        "JSON or nothing, hostile lines in test_driver_sensors",
    "node/commons_node/models/held.py:_hear": "a line of the host's own model, of one struct",
    "node/commons_node/models/worker.py:main": "a line of this daemon, in the model's process",
    "node/commons_node/capabilities/node.py:Capabilities._name_of": "hex of this node's own job",
    "node/commons_node/capabilities/made_up.py:MadeUpDrivers._taken":
        "of the author's own agent, as Drivers takes it",
    "node/commons_node/jobs/outbox.py:_listed": "makes text of what it encoded",
    "node/commons_node/proposals/policies.py:_policy": "a row of this node's own file",
    "node/commons_node/proposals/trusting.py:Trusting.look": "hex of this node's own row",
    "node/commons_node/proposals/trusting.py:Trusting.name_of": "likewise",
    "node/commons_node/proposals/trusting.py:_here": "likewise",
    "node/commons_node/proposals/signing.py:Signing._settle": "hex of this node's own row",
    "node/commons_node/proposals/store.py:_proposal": "a row of this node's own file",
    "node/commons_node/proposals/verbs.py:_row": "hex of this node's own row",
    "node/commons_node/store/node_store.py:NodeStore.keep_standing": "base64 that it writes itself",
    "node/commons_node/store/node_store.py:NodeStore.standing":
        "a row of this node's own file, of frames that have a target; none if it is garbage",
    "node/commons_node/web.py:public": "an address that the system has looked up",
    "node/commons_node/web.py:_talk": "h11 parses it; hostile answers in test_web",
    # Bytes of the operating system or of this program itself: nobody else writes them.
    "protocol/commons_protocol/lan/interfaces.py:current": "the system's own addresses",
    "protocol/commons_protocol/lan/interfaces.py:present": "the system's own addresses",
    "protocol/commons_protocol/lan/interfaces.py:ThisMachine.is_near": "what the kernel said",
    "node/commons_node/api/server.py:_ours": "the kernel's struct of who is at the socket",
    "node/commons_node/api/noting.py:_caller": "the kernel's struct of who is at the socket",
    "node/commons_node/doctor/house.py:doors": "an address of this user's own settings",
    "node/commons_node/service/installing.py:_failing": "what a program of this system said",
    "node/commons_node/service/unit.py:told": "an own unit's line; a damaged one tells nothing",
    "node/commons_node/service/handing.py:check": "this node's own mark; a damaged one counts",
    "node/commons_node/service/handing.py:_check_whole": "what the host carried here; "
    "tests/e2e/test_handing_over.py flips, cuts and crafts it",
    "node/commons_node/audit.py:Audit.newest": "this node's own lines; a damaged one is left out",
    "node/commons_node/keystore/tokens.py:Tokens._all": "this node's own file, refused if damaged",
    "node/commons_node/access_verbs.py:make": "makes text of what it made itself",
    "node/commons_node/access_verbs.py:revoke": "the hash of a token that this node has made",
    "node/commons_node/home.py:Home.lock": "a process number for a sentence, replaced if garbage",
    "node/commons_node/own/lost.py:LostRealms.files": "names that restoring gave the files",
    "node/commons_node/backup/folder.py:Folder.keep_manifest": "names of files that fit a pattern",
    "node/commons_node/backup/folder.py:Folder.manifest": "reads a file; `manifest` parses it",
    "node/commons_node/backup/process.py:_passphrase": "text of this user's own file",
    "node/commons_node/backup/rehearsing.py:rehearse": "hex that `manifest` made",
    "node/commons_node/backup/restoring.py:restore": "a path of this user's own",
    "node/commons_node/backup/retiring.py:Retiring.at_unlock": "a member's id of an own session",
    "node/commons_node/backup/retiring.py:Retiring.finish": "a member's id of an own session",
    "node/commons_node/backup/schedule.py:passphrase_of": "text of this user's own file",
    "node/commons_node/backup/state.py:load": "reads a row; `decode` parses it",
    "node/commons_node/backup/state.py:save": "makes text of what it encoded",
    "node/commons_node/doctor/house.py:_backups": "reads a row; `state` parses it",
    "node/commons_node/repairing.py:Repairs.node_file": "names of this node's own files",
    "node/commons_node/repairing.py:Repairs.members": "names of this node's own key files",
    "tui/commons_tui/standing.py:Now.today": "a zone that the own node looked up",
    "node/commons_node/doctor/data.py:opened": "a copy of the own file, whose faults are told",
    "node/commons_node/doctor/machine.py:zone": "zones of communities that are open here",
    "node/commons_node/doctor/network.py:_hears": "what it has just sent to itself",
    "node/commons_node/membership/unattended.py:Unattended._read": "text of this user's own file",
    "node/commons_node/health/metrics.py:_text": "the text that this node has just made",
    "node/commons_node/config.py:describe": "the defaults in this source",
    "node/commons_node/demo/neighbour.py:Neighbour.ready": "the demo's own child process",
    "cli/commons_cli/main.py:load_verbs": "a file of the package; test_registry holds it",
    "cli/commons_cli/terminal.py:load_token": "128 bytes of this user's own file, ASCII or none",
    "cli/commons_cli/terminal.py:_began": "the kernel's line about a process",
    "cli/commons_cli/calls.py:Call._write": "the answer of the own node, which encoded it",
    "node/commons_node/store/database.py:open_database": "SQLite's file, checked by SQLite",
    "node/commons_node/parts/keeper.py:PartsKeeper.quota": "any bytes are a number",
    "node/commons_node/certainty.py:_history": "any bytes are a number",
    "node/commons_node/realm/pruning.py:_Deleting.step": "any bytes are a number",
    "node/commons_node/keeping.py:Keeping.load": "this node's own setting, which it encoded",
    "node/commons_node/keeping.py:Keeping._save": "makes text of what it encoded",
    "node/commons_node/store/numbers.py:Numbers.load": "any bytes are a number",
    "node/commons_node/keystore/store.py:Keystore._read": "reads a file; `sealing` parses it",
    "node/commons_node/backup/retiring.py:Retiring.acts_with_old": "an id that the daemon wrote",
    "node/commons_node/example/company.py:_local": "the clock of the example's own story",
    "node/commons_node/example/company.py:_evening": "likewise",
    "node/commons_node/example/loading.py:remove": "this node's own setting, which it encoded",
    "node/commons_node/sandbox/agent.py:Agents.run": "what this node's own job says",
    "node/commons_node/sandbox/agent.py:Agents._result": "a seed that `run` has parsed",
    "node/commons_node/sandbox/agent.py:Agents._load": "wasmtime parses, locked in",
    "node/commons_node/sandbox/agent.py:_fetch": "what the own daemon answers",
    "node/commons_node/sandbox/compiling.py:main": "what the daemon orders",
    "node/commons_node/sandbox/preparing.py:Preparing._follow": "what the own child process said",
    "node/commons_node/sandbox/worker.py:prepare": "what the daemon tells",
    "node/commons_node/sandbox/guest.py:Guest._link": "encodes; names of a component's imports",
    "node/commons_node/sandbox/inside/app.py:WitWorld.run": "runs in WebAssembly",
    "node/commons_node/sandbox/inside/commons_agent.py:Host.call": "runs in WebAssembly",
    "node/commons_node/sandbox/inside/modules.py:freeze": "runs while the runner is built",
    "node/commons_node/jobs/catalogue.py:_field": "what this node's own jobs kept",
    "node/commons_node/jobs/verbs.py:show": "what this node's own queue keeps",
    "node/commons_node/verifier/packing.py:_unpacked": "what a process of this daemon packed",
    "node/commons_node/agents/store.py:_row": "this node's own rows, which it encoded",
    "node/commons_node/agents/house.py:_value": "a word of the own host, with its own error",
    # Encoding to text that is ASCII by construction.
    "node/commons_node/demo/story.py:_play": "makes base64",
    "node/commons_node/domains/lending/commands.py:_offer": "makes base64",
    "node/commons_node/domains/lending/exporting.py:export": "makes base64",
    "node/commons_node/domains/resources/picturing.py:show": "makes base64",
    "node/commons_node/domains/resources/labelling.py:print_labels": "makes base64",
    "node/commons_node/domains/membership/commands.py:print_sheet": "makes base64",
    "node/commons_node/printing/page.py:qr": "SVG that was drawn just before",
    "node/commons_node/example/loading.py:_loaded": "this node's own setting, which it encoded",
    "node/commons_node/example/people.py:inventories": "a file of the package; the demo's too",
    "node/commons_node/domains/membership/commands.py:create_invite": "makes base64",
    "cli/commons_cli/values.py:FileIn.convert": "makes base64",
    # Values that were parsed before.
    "node/commons_node/agents/house.py:Agents.code": "a hash that this node itself wrote in hex",
    "node/commons_node/domains/agents/commands.py:share": "a key that `parse` took",
    "protocol/commons_protocol/libp2p_host/circuits.py:CircuitConnection.__init__": "a parsed one",
    "protocol/commons_protocol/libp2p_host/relay.py:Relay._voucher": "our own addresses",
    "protocol/commons_protocol/libp2p_host/punching.py:_connect": "our own address",
    "protocol/commons_protocol/libp2p_host/gossip.py:GatedPubsub.block": "made by names.peer_id",
    "node/commons_node/community.py:Community.part": "any bytes, replaced where no UTF-8",
    "node/commons_node/community.py:Community.names": "any bytes, replaced where no UTF-8",
    "node/commons_node/community.py:Community.actor": "a member's id of the own key file's name",
    "node/commons_node/community.py:Community.timezone": "a zone that `founding.found` looked up",
    "node/commons_node/membership/founding.py:found": "the founder's own word, with its own errors",
    "node/commons_node/daemon.py:Daemon.actor": "a member's id of an own session",
    "node/commons_node/domains/lending/loans.py:find_loan": "letters that were found to be hex",
    "node/commons_node/domains/resources/things.py:find_thing": "letters that were found to be hex",
    "node/commons_node/explaining/verbs.py:explain": "letters that were found to be hex",
    "node/commons_node/bundles/commands.py:export": "this node's own id",
    "node/commons_node/bundles/importing.py:Import._marked": "any bytes are a number",
    "node/commons_node/domains/identity/devices.py:confirm": "makes base64",
    "node/commons_node/domains/identity/devices.py:join": "makes base64",
    "node/commons_node/notices.py:_readers": "a member's id of an own session",
    "node/commons_node/domains/reputation/commands.py:_viewer": "a member's id of an own session",
    "node/commons_node/domains/spaces/checking_in.py:list_checkins": "ids that were decoded before",
    "node/commons_node/domains/spaces/mine.py:reader": "a member's id of an own session",
    "node/commons_node/own/doors.py:_door_for": "a member's id of an own session",
    "node/commons_node/own/doors.py:_open_for_others": "a member's id of an own session",
    "node/commons_node/own/doors.py:_go_in": "a member's id of an own session",
    "node/commons_node/own/realms.py:OwnRealms.load": "the names of this node's own files",
    "node/commons_node/standing.py:Opened._read": "remembers what `_carrier` decoded",
    "node/commons_node/domains/identity/whose.py:own_member": "a member's id of an own session",
    "node/commons_node/domains/sanctions/finding.py:find_operation": "letters found to be hex",
    "node/commons_node/membership/arriving.py:Arriving.readmit": "a member of a key file",
    "node/commons_node/membership/paper.py:Papers.print": "makes a key",
    "node/commons_node/history.py:_known": "letters that were found to be hex",
    "node/commons_node/domains/leaving/wrote.py:_text": "any bytes, hex where no UTF-8",
    "node/commons_node/domains/profiles/commands.py:_picture": "makes base64",
    "node/commons_node/domains/profiles/reading.py:_word": "any bytes, replaced where no UTF-8",
    "tui/commons_tui/deeds.py:Deeds._call": "the answer of the own node, which encoded it",
    "tui/commons_tui/dialogs/door.py:Door.__init__": "the answer of the own node, which encoded it",
    "tui/commons_tui/dialogs/door.py:Door._next": "the answer of the own node, which encoded it",
    "tui/commons_tui/dialogs/code.py:Code._keep": "the answer of the own node, which encoded it",
    "tui/commons_tui/dialogs/form.py:checked": "typed here; `values` parses it, as for the shell",
    "node/commons_node/jobs/firing.py:key_of": "makes text of what it encoded",
    "node/commons_node/jobs/firing.py:zone_of": "a zone that `firing.check` looked up",
    "node/commons_node/jobs/firing.py:_event": "this node's own file, which it encoded",
    "node/commons_node/jobs/node.py:zone_of": "the host's own word, with its own errors",
    "node/commons_node/jobs/node.py:Jobs._hear": "an event that this node has encoded",
    "node/commons_node/jobs/definitions.py:readable": "this node's own file, which it encoded",
    "node/commons_node/jobs/outbox.py:_of": "this node's own file, which it encoded",
    "node/commons_node/jobs/queue.py:_told": "this node's own file, which it encoded",
    "node/commons_node/jobs/showing.py:_run": "this node's own file, which it encoded",
    "node/commons_node/jobs/workers.py:Worker._drain": "any bytes, replaced where no UTF-8",
    "cli/commons_cli/tables.py:_local": "falls back to the text itself; test_tables",
}  # fmt: skip
"""Decoders that no target runs, and why none has to."""


class Entered:
    """Notes which functions of this project are entered within the block, by file and name."""

    def __init__(self) -> None:
        self.seen: set[tuple[str, str]] = set()

    def __enter__(self) -> Entered:
        self._before = sys.getprofile()
        sys.setprofile(self._note)
        return self

    def __exit__(self, *_error: object) -> None:
        sys.setprofile(self._before)

    def _note(self, frame: FrameType, event: str, _argument: object) -> None:
        if event == "call":
            self.seen.add((frame.f_code.co_filename, frame.f_code.co_qualname))

    def covers(self, decoder: Decoder, root: Path = ROOT) -> bool:
        return (str(root / decoder.path), decoder.name) in self.seen


@lru_cache
def covered() -> Entered:
    """All seeds and all findings of all targets, run once."""
    entered = Entered()
    memories = (decode_header, scanning._name, names.peer_of_key, operations._known_runs)
    for memory in (*memories, profiles._verify):  # other tests may have filled them
        memory.cache_clear()
    for target in TARGETS.values():
        for data in (*target.seeds().values(), *corpus.committed(target).values()):
            with entered:  # for each anew: who nests without end ends the noting as well
                target.run(data)
    return entered


def in_use() -> list[Decoder]:
    return [one for one in decoders(ROOT, FOLDERS) if not one.path.startswith(SIMULATOR)]


def test_every_decoder_has_a_target_or_a_reason_why_not() -> None:
    found = in_use()
    assert len(found) > 60, "the search finds decoders"
    missing = [str(one) for one in found if not covered().covers(one)]
    assert [one for one in missing if one not in ELSEWHERE] == [], "each is run by some target"


def test_every_reason_is_still_needed() -> None:
    known = {str(one): one for one in in_use()}
    assert ELSEWHERE.keys() - known.keys() == set(), "what is excused is still there"
    unneeded = [name for name in ELSEWHERE if covered().covers(known[name])]
    assert unneeded == [], "and is run by no target"


def test_nothing_public_that_is_called_a_decoder_is_excused() -> None:
    excused = [str(one) for one in in_use() if one.public and str(one) in ELSEWHERE]
    assert excused == ["node/commons_node/store/database.py:open_database"]


def test_a_new_decoder_would_be_noticed(tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "room.py").write_text(
        "import msgspec\n"
        "def decode_it(data: bytes) -> int: return len(data)\n"
        "class Door:\n"
        "    def _knock(self, given: object) -> object: return msgspec.convert(given, int)\n"
        "    def unpack(self) -> None:\n"
        "        def inner() -> object: return bytes.fromhex('')\n"
        "def encode(value: int) -> bytes: return bytes(value)\n"
    )
    found = {str(one): one.public for one in decoders(tmp_path, ("new",))}
    assert found == {
        "new/room.py:decode_it": True,
        "new/room.py:Door._knock": False,
        "new/room.py:Door.unpack.<locals>.inner": False,
    }
    assert not any(covered().covers(one, tmp_path) for one in decoders(tmp_path, ("new",)))


def test_every_kind_of_the_registry_has_a_good_body() -> None:
    seeds = TARGETS["body"].seeds()
    assert RULES.kinds.keys() - seeds.keys() == set()
    assert facts().keys() - RULES.kinds.keys() == {"identity"}


def test_every_verb_has_good_arguments() -> None:
    verbs = {verb.name for verb in registry().verbs()}
    assert verbs - TARGETS["api-arguments"].seeds().keys() == set()
    views = {verb.name for verb in registry().views}
    assert views - TARGETS["api-query"].seeds().keys() == set()


# --- the corpus ----------------------------------------------------------------------------------

every = pytest.mark.parametrize("target", TARGETS.values(), ids=lambda target: target.name)


@every
def test_the_corpus_is_what_the_targets_begin_with(target: Target) -> None:
    here = {k: v for k, v in corpus.committed(target).items() if not k.startswith(corpus.FOUND)}
    now = corpus.seeds(target)
    assert here.keys() == now.keys(), "python -m tests.fuzz.corpus writes it again"
    assert here == now or target.recorded, "python -m tests.fuzz.corpus writes it again"


def test_the_corpus_is_small_and_holds_nothing_else() -> None:
    names = {path.name for path in corpus.FOLDER.iterdir()}
    assert names == TARGETS.keys(), "one folder a target"
    sizes = Counter[str]()
    for path in corpus.FOLDER.rglob("*"):
        if path.is_file():
            sizes[path.parent.name] += path.stat().st_size
    assert max(sizes.values()) < 24_000, "some kilobytes each"
    assert sizes.total() < 200_000


def all_findings() -> Iterator[object]:
    for target, name, data in corpus.findings():
        yield pytest.param(target, data, id=f"{target.name}-{name.removeprefix(corpus.FOUND)}")


@pytest.mark.parametrize(("target", "data"), all_findings())
def test_what_was_found_once_is_not_found_again(target: Target, data: bytes) -> None:
    watched(target, data)
    with counting():
        watched(target, data)
