"""Targets of agents: a package, its agent.toml, and quantities as people write them there."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

import msgspec
from tests.fuzz.target import Target, hold
from tests.unit.agents import ALICE, made

from commons_crdt.errors import CommonsError
from commons_node.agents import quantities
from commons_node.agents.checking import findings
from commons_node.agents.folders import named, read_folder
from commons_node.agents.grants import agreeing, effective, meet, within
from commons_node.agents.manifest import Manifest, parse
from commons_node.agents.package import decode, encode, pack, read, sign
from commons_node.agents.refusals import BadPackage
from commons_node.agents.screen import of_package, word_of

CAPABILITIES = (
    '[capabilities]\n"docs.query" = {collections = ["loan"], fields = ["due"], max_rows = 5,'
    ' where = {overdue = true}}\n"notify.send" = {rate = "50/day"}\nnow = {}\n'
    '[limits]\nmemory = "64MiB"\nwall = "1.5s"\n[retry]\nbase = "5s"\n[settings]\ndays = 3\n'
)
TRIGGERS = (
    '[[trigger]]\ncron = "0 9 * * *"\ntimezone = "Europe/Berlin"\ngrace = "12h"\n'
    '[[trigger]]\nevent = "operations"\nwhere = {own = false}\ndebounce = "30s"\n'
)


def _package(data: bytes) -> bool:
    """Taken: it is what would be written, byte for byte, and may be signed once more."""
    try:
        found = read(data)
    except BadPackage:
        return False
    hold(encode(decode(data)) == data, "a package has one form")
    if bytes(ALICE.verify_key).hex() == found.manifest.publisher:
        hold(read(sign(data, ALICE), signed=True).files == found.files, "signed, it holds the same")
    return True


def _package_seeds() -> Mapping[str, bytes]:
    good = made(more=TRIGGERS + CAPABILITIES)
    return {
        "signed": good,
        "unsigned": encode(decode(good)[:-1]),
        "bad end": good + b"x",
        "bad cut": good[:-30],
        "bad signature": encode([*decode(good)[:-1], decode(made())[-1]]),
        "bad zip": b"PK\5\6" + bytes(18),
    }


def _toml(data: bytes) -> bool:
    """Taken: all of it is within its bounds, and a host can be shown what it asks for."""
    try:
        found = parse(data, publisher="aa" * 32)
    except BadPackage:
        return False
    again = msgspec.json.decode(msgspec.json.encode(found), type=Manifest)
    hold(again == found, "as it is kept, it means the same")
    approval = agreeing(found)
    hold(set(effective(found, approval)) <= set(found.capabilities), "nothing beyond what it asks")
    for grant in found.capabilities.values():
        both = meet(grant, grant)
        hold(both is not None and within(both, grant), "a grant is within itself")
    word_of(found, "00" * 32, "00" * 32, ())
    shown = of_package(found)
    hold(len(shown["permissions"]) == len(found.capabilities), "all of it is shown")
    for row in shown["permissions"]:
        hold(str(row["means"]).isprintable() and str(row["bounds"]).isprintable(), "and readable")
    findings(found, {found.entry.partition(":")[0]: data}, ())
    return True


def _toml_seeds() -> Mapping[str, bytes]:
    head = b'[agent]\nname = "tell"\nversion = "1.0.0"\n'
    whole = head + (TRIGGERS + CAPABILITIES).encode()
    return {
        "small": head,
        "whole": whole,
        "component": head + b'runtime = "wasm"\nentry = "a/b.wasm"\n',
        "bad name": head.replace(b"tell", b"../x"),
        "bad rate": whole.replace(b"50/day", b"50/week"),
        "bad table": head + b"[limits]\nfuel = [1]\n",
        "bad nesting": head + b"x = " + b"[" * 500,
    }


def _quantity(data: bytes) -> bool:
    taken = False
    text = data.decode("utf-8", "replace")
    for reading in (quantities.seconds, quantities.size, quantities.rate):
        try:
            found = reading(text)
        except ValueError:
            continue
        least = min(found) if isinstance(found, tuple) else found
        hold(least >= 0, "no quantity is below nothing")
        taken = True
    return taken


def _quantity_seeds() -> Mapping[str, bytes]:
    return {
        "span": b"1.5h",
        "size": b"128MiB",
        "rate": b"50/day",
        "bad unit": b"5x",
        "bad sign": b"-1s",
    }


@lru_cache
def _kept() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="commons-fuzz-", ignore_cleanup_errors=True)


def _folder(data: bytes) -> bool:
    """An author's folder: agent.toml, a zero byte, the code."""
    toml, _zero, code = data.partition(b"\0")
    folder = Path(_kept().name)
    (folder / "code").mkdir(exist_ok=True)
    (folder / "agent.toml").write_bytes(toml)
    (folder / "code" / "agent.py").write_bytes(code)
    try:
        text, files = read_folder(folder)
        manifest = parse(text, publisher="aa" * 32)
        if b"publisher" not in text:
            text = named(text, "aa" * 32)
        found = read(pack(text, files))
    except CommonsError as error:
        hold(error.code == "bad_package", "what is wrong is said as that")
        return False
    hold(found.manifest == manifest, "what was packed is what was read")
    findings(manifest, files, ())
    return True


def _folder_seeds() -> Mapping[str, bytes]:
    head = b'[agent] # mine\nname = "tell"\nversion = "1.0.0"\n'
    code = b'def main(event, host):\n    host.call("docs.query")\n    host.kv.put("a", 1)\n'
    return {
        "whole": head + CAPABILITIES.encode() + b"\0" + code,
        "odd code": head + b"\0def main(:\n",
        "bad toml": b"[agent\0" + code,
        "bad entry": head + b'entry = "other.py:main"\n\0' + code,
    }


TARGETS = [
    Target("agent-package", _package, _package_seeds, memory=8 << 20),
    Target("agent-toml", _toml, _toml_seeds, "text", memory=8 << 20),
    Target("agent-folder", _folder, _folder_seeds, "text", memory=16 << 20),
    Target("agent-quantity", _quantity, _quantity_seeds, "text"),
]
