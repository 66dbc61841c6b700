"""No sentence for people stands in the source without going through the catalogues.

A literal counts as a sentence when it has two words of letters beside each other. What is none is
named below, each kind with its reason.
"""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
from collections.abc import Iterator
from typing import Any

import pytest
from scripts import texts

import commons_crdt
import commons_node
import commons_protocol
from commons_crdt.errors import CommonsError
from commons_protocol.network import NetworkError

FILES = {
    "crdt/commons_crdt/authority/ledger.py": "faults of the caller's code",
    "crdt/commons_crdt/authority/state.py": "likewise",
    "crdt/commons_crdt/document/apply.py": "checks of a change, which a verdict names by code",
    "crdt/commons_crdt/document/engine.py": "likewise",
    "node/commons_node/agents/template.py": "what an author begins with, and writes anew",
    "node/commons_node/api/generate.py": "a tool of developers",
    "node/commons_node/api/types.py": "codes are explained in the documentation; what is shown, "
    "the meaning of exit codes, is found by its table",
    "node/commons_node/api/openapi.py": "describes the API to programs, in English",
    "node/commons_node/archive/standalone.py": "a program of its own beside an archive, in English",
    "node/commons_node/service/firewall.py": "commands, the same in every language",
    "node/commons_node/health/metrics.py": "the text format of Prometheus is English",
    "node/commons_node/example/people.py": "names, written into operations: data in one language",
    "node/commons_node/example/year.py": "what people of the example write, likewise",
    "node/commons_node/store/database.py": "what aiosqlite says of a closed connection, read only",
    "node/commons_node/example/company.py": "what they say of themselves and each other, likewise",
    "node/commons_node/registry.py": "faults of developers, found when the daemon starts",
    "node/commons_node/service/unit.py": "a file for the service manager, with its comments",
    "node/commons_node/capabilities/broker.py": "what agents are told is a log, in English",
    "node/commons_node/capabilities/capability.py": "what agents are told is a log, in English",
    "node/commons_node/capabilities/coding.py": "what agents are told is a log, in English",
    "node/commons_node/capabilities/collections.py": "what agents are told is a log, in English",
    "node/commons_node/capabilities/fetching.py": "what agents are told is a log, in English",
    "node/commons_node/capabilities/modelling.py": "what agents are told is a log, in English",
    "node/commons_node/capabilities/plain.py": "what agents are told is a log, in English",
    "node/commons_node/capabilities/proposing.py": "what agents are told is a log, in English",
    "node/commons_node/capabilities/querying.py": "what agents are told is a log, in English",
    "node/commons_node/capabilities/storing.py": "what agents are told is a log, in English",
    "node/commons_node/capabilities/telling.py": "what agents are told is a log, in English",
    "node/commons_node/jobs/dealing.py": "what agents are told is a log, in English",
    "node/commons_node/jobs/workers.py": "why a run ended is a log, in English",
    "node/commons_node/capabilities/reference.py": "a page of documentation",
    "node/commons_node/capabilities/shapes.py": "likewise",
    "node/commons_node/drivers/camera.py": "why a letter has not arrived is a log",
    "node/commons_node/drivers/desktop.py": "why a letter has not arrived is a log",
    "node/commons_node/drivers/driver.py": "why a letter has not arrived is a log",
    "node/commons_node/drivers/file_drop.py": "why a letter has not arrived is a log",
    "node/commons_node/drivers/inbox.py": "why a driver cannot tell goes to a log, and to an agent",
    "node/commons_node/drivers/mail.py": "why a letter has not arrived is a log",
    "node/commons_node/drivers/mqtt_sensor.py": "why a letter has not arrived is a log",
    "node/commons_node/drivers/serial_sensor.py": "why a letter has not arrived is a log",
    "node/commons_node/drivers/webhook.py": "why a letter has not arrived is a log",
    "node/commons_node/models/held.py": "why a model did not answer is a log",
    "node/commons_node/web.py": "why a server was not asked is a log",
    "node/commons_node/printing/label_pdf.py": "words of PDF",
    "node/commons_node/jobs/carrying.py": "why a run did not end is a log; what stays is a page's",
    "node/commons_node/jobs/receipts.py": "names of columns",
    "node/commons_node/capabilities/made_up.py": "made-up rows, for an agent and its author",
    "node/commons_node/proposals/policies.py": "names of columns",
    "node/commons_node/proposals/store.py": "names of columns",
    "node/commons_node/sandbox/agent.py": "why a run failed is a log, in English",
    "node/commons_node/sandbox/cache.py": "why a worker refused a file is a log",
    "node/commons_node/sandbox/guest.py": "why a run failed is a log",
    "node/commons_node/sandbox/inside/app.py": "likewise, and inside WebAssembly",
    "node/commons_node/sandbox/inside/modules.py": "likewise",
    "node/commons_node/sandbox/landlock.py": "the cause of a missing layer, as the system's own",
    "node/commons_node/sandbox/lock.py": "likewise",
    "node/commons_node/sandbox/preparing.py": "what became of a process, logged",
    "node/commons_node/sandbox/runner.py": "the cause of a broken installation, logged",
    "protocol/commons_protocol/lan/discovery.py": "how the LAN stands is logged, not shown",
    "protocol/commons_protocol/libp2p_host/muxer.py": "raised inside libp2p, which logs it",
    "protocol/commons_protocol/libp2p_host/patches.py": "raised when the adapter is imported",
    "protocol/commons_protocol/libp2p_host/swarm.py": "raised inside libp2p, which logs it",
    "tui/commons_tui/themes.py": "names of colours",
}
"""Whole files that say nothing to members, and why."""

CALLS = {
    "ValueError": "a fault of the caller's code", "TypeError": "likewise",
    "KeyError": "likewise", "RuntimeError": "likewise", "AssertionError": "likewise",
    "IOException": "raised inside libp2p, which logs it",
    "ConnectionClosedError": "likewise",
    "Command": "read from verbs.json", "View": "likewise", "Column": "likewise",
    "Table": "likewise", "Registry": "likewise", "Meta": "likewise", "argument": "likewise",
    "option": "likewise", "file_out": "likewise", "path_out": "likewise", "path_in": "likewise",
    "passphrase": "likewise", "secret": "likewise", "Complete": "likewise",
    "debug": "a log is English", "info": "likewise", "warning": "likewise", "error": "likewise",
    "exception": "likewise", "keep": "the name of a task", "spawn": "likewise",
    "create_task": "likewise", "compile": "a regular expression", "strftime": "a format",
    "Elsewhere": "read by developers", "execute": "SQL", "executemany": "SQL", "query": "SQL",
    "fetch": "SQL", "everything": "SQL", "Corrupt": "a damaged database, said in a log",
    "log": "a line in a job's log, which is English", "Ended": "how a run of a job failed: kept "
    "with its log, in English", "BadFrame": "likewise", "LookupError": "likewise, of a letter",
    "_take_back": "SQL",
    "Refused": "the detail of a verdict, which every node computes alike",
}  # fmt: skip
"""Calls whose arguments are no texts of ours for members, and why."""

LITERALS = {
    "text/plain; version=0.0.4": "a media type",
    "Application Support": "a folder of macOS",
    "import commons_node": "a program that is tried",
    "cannot serve on {}": "a fault of the system, logged with its traceback",
    "device, node, created_ms, imported_ms": "columns",
    "list of {device, name, since, why}": "fields of a file for programs",
    "list of {operation, kind, member, device, log, seq, time, verdict, reason, document, refs,"
    " header, signature, body, says, texts, files}": "likewise",
    "list of {operation, was, rests_on, time, read}": "likewise",
    "by view, list of its columns": "likewise",
    "{erasures: list of {operation, target, time}, nodes: list of {node, name,"
    " asked, confirmed, state, since, at}}": "likewise",
    "list of {{}}": "likewise",
    "the host has taken back the driver {}": "why a letter has not left is a log",
    "its agent was removed": "likewise", "the disk has damaged it": "likewise",
    '<div class="sheet">': "markup", '<div class="qr">{}</div>': "markup",
    '<div class="label">{}<div><div class="number">{}</div><div class="words">{}<br>{}</div>'
    '<div class="of">{}</div></div></div>': "markup",
    "commons-node join {code} --member YOUR-NAME": "typed",
    "n, chain, seq, header, signature, body": "columns",
    "run, job, state, trigger, scheduled_ms, covers, dry, attempts, not_before_ms, began_ms,"
    " ended_ms, wall_ms, cpu_ms, memory, code, error, result": "columns",
    "BEGIN IMMEDIATE": "SQL", "SAVEPOINT part": "SQL", "RELEASE part": "SQL",
    "ROLLBACK TO part": "SQL",
    "its worker or the node ended before it did": "how a run failed: kept with its log, in English",
    "it wanted more than {} MiB": "likewise", "it took longer than {} s": "likewise",
    "its process was ended by {}": "likewise", "its process ended with {}{}{}": "likewise",
    "the kinds are {}": "likewise",
    "old signing": "a secret's name", "old sealing": "a secret's name",
    "all that follows": "a lock's name",
    "its quotes": "the key of a choice",
    "next signing": "a secret's name", "next sealing": "a secret's name",
    "Mapping[DocumentId, Fields | None]": "a type",
    "of known peers": "a damaged database", "an address is damaged": "a damaged database",
    "agent, community, package, manifest, approval, settings, waits, installed_ms": "columns",
    "of installed agents": "a damaged database", "{} is damaged": "a damaged database",
    "of waiting operations": "a damaged database", "a row is damaged": "a damaged database",
    "about strong": "classes of a style", "about says": "classes of a style",
    "borrower = ?1 OR receiver = ?1 OR giver = ?1": "a part of a query",
    "the judge never rests": "a fault of our own",
    '\n\n\b\neval "$(commons-node completion bash)"': "typed",
    "{}:\n\n    commons-node run": "typed",
    "It is what {maker} had, {created:time}. For the way back: {reply}": "half of a verb's text",
}  # fmt: skip
"""What looks like a sentence and is none, and why."""

_WORDS = re.compile(r"[^\W\d_]{2,}[,:;]? [^\W\d_]{2,}")
_SQL = re.compile(
    r"\b(SELECT|INSERT|DELETE|UPDATE|PRAGMA|CREATE|WHERE|ORDER BY|FROM|BETWEEN|NOT NULL|UNION)\b"
    r"|\bAND\b"
    r"| IN \("
)
_CSS = re.compile(r"\{[^}]*:[^}]*;")


def literals(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """``(line, text)`` of every literal that is no docstring and in no call of ``CALLS``."""
    passed: set[int] = set()
    for node in ast.walk(tree):
        match node:
            case ast.Expr(value=ast.Constant()) | ast.Assert():
                passed |= {id(one) for one in ast.walk(node)}
            case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)) if name in CALLS:
                passed |= {id(one) for one in ast.walk(node)}
            case ast.Call(func=ast.Name(id="About"), args=[_, _, fields, *_]):  # names of fields
                passed |= {id(one) for one in ast.walk(fields)}
            case ast.Compare() | ast.Subscript():
                passed |= {id(one) for one in ast.walk(node)}
    for node in ast.walk(tree):
        if id(node) in passed:
            continue
        if isinstance(node, ast.JoinedStr):
            passed |= {id(one) for one in ast.walk(node)}
            yield (
                node.lineno,
                "".join(
                    str(one.value) if isinstance(one, ast.Constant) else "{}" for one in node.values
                ),
            )
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value


def bare(source: str, known: set[str]) -> list[tuple[int, str]]:
    """Sentences of a file that are in no catalogue."""
    return [
        (line, text)
        for line, text in literals(ast.parse(source))
        if _WORDS.search(text)
        and text not in LITERALS
        and " ".join(text.split()) not in known
        and texts.is_text(text)
        and not _SQL.search(text)
        and not _CSS.search(text)
    ]


@pytest.fixture(scope="module")
def known() -> set[str]:
    forms = [key if isinstance(key, tuple) else (key,) for key in texts.found()]
    return {" ".join(form.split()) for key in forms for form in key}


def test_no_sentence_goes_past_the_catalogues(known: set[str]) -> None:
    told = []
    for file in sorted(
        one for package in texts.PACKAGES for one in (texts.ROOT / package).rglob("*.py")
    ):
        name = file.relative_to(texts.ROOT).as_posix()
        if name not in FILES and not name.startswith(texts.NOT_FOR_MEMBERS):
            told += [f"{name}:{line}: {text!r}" for line, text in bare(file.read_text(), known)]
    assert not told, "wrap these in _() (docs/languages.md), or say why not:\n" + "\n".join(told)


def test_it_sees_what_it_looks_for() -> None:
    source = """
def deed(who):
    '''A docstring is none.'''
    log.info("neither is a log")
    raise WrongState(why=f"nobody knows {who} here", next="commons-node member list")
"""
    assert bare(source, set()) == [(5, "nobody knows {} here")]
    assert bare(source.replace('f"nobody', '"nobody'), {"nobody knows {who} here"}) == []


def below(kind: type[Any]) -> Iterator[type[Any]]:
    for one in kind.__subclasses__():
        yield one
        yield from below(one)


def test_every_error_that_there_is_has_its_sentence_in_the_catalogues(known: set[str]) -> None:
    for package in (commons_crdt, commons_protocol, commons_node):
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if ".testing" not in found.name and not found.name.endswith("__main__"):
                importlib.import_module(found.name)
    told = []
    for kind in below(CommonsError):
        if kind.__module__.startswith("commons_") and ".testing" not in kind.__module__:
            sentence = " ".join((kind.__doc__ or "").split())
            told += [
                f"{kind.__module__}.{kind.__name__}: {text!r}"
                for text in (sentence, kind.hint)
                if text not in known and texts.is_text(text)
            ]
    for kind in below(NetworkError):
        if kind.__module__.startswith("commons_"):
            first = (kind.__doc__ or "").splitlines()[0]
            told += [f"{kind.__name__}: {one!r}" for one in (first, kind.hint) if one not in known]
    assert not told, told


@pytest.mark.parametrize("name", FILES)
def test_each_exception_is_still_a_file(name: str) -> None:
    assert (texts.ROOT / name).is_file()
