"""Targets of what lies on the disk: settings, inventories, key files, rows that are parsed."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from itertools import chain
from pathlib import Path
from random import Random

import msgspec
from tests.fuzz.mutations import OF
from tests.fuzz.target import Target, hold, only
from tests.fuzz.vectors import operations, vectors
from tests.unit.pictures import jpeg, png, webp

from commons_cli.private import read_private
from commons_crdt.ids import digest
from commons_crdt.operation import Operation
from commons_node import config
from commons_node.api.client import ApiError
from commons_node.archive import format as archive
from commons_node.config import BadConfig, Config
from commons_node.domains.resources import photos
from commons_node.domains.resources.csv_import import BadFile, BadMap, Row, read_map, read_rows
from commons_node.domains.resources.facts import ITEM_SCHEMA, SPECIFICATION_SCHEMA
from commons_node.domains.resources.import_plan import plan
from commons_node.keystore import sealing
from commons_node.keystore.node_key import DamagedNodeKey, NodeKey
from commons_node.keystore.sealing import DamagedKey, WrongPassphrase
from commons_node.keystore.unlocked import Unlocked
from commons_node.store import node_store, waiting
from commons_node.store.upgrading import Unusable

INVENTORY = Path(__file__).parents[2] / "examples" / "tool_library_inventory.csv"


def in_memory() -> Path | None:
    """Where files cost no disk, if the system has such a place: an input may sync a thousand."""
    memory = Path("/dev/shm")  # noqa: S108 - fresh folders in it
    return memory if os.access(memory, os.W_OK) else None


@lru_cache
def _kept() -> tempfile.TemporaryDirectory[str]:
    """A folder of this process, gone when it ends."""
    return tempfile.TemporaryDirectory(
        prefix="commons-fuzz-", dir=in_memory(), ignore_cleanup_errors=True
    )


def _folder() -> Path:
    return Path(_kept().name)


# --- settings ------------------------------------------------------------------------------------


def _config_file(data: bytes) -> bool:
    path = _folder() / config.FILE
    path.write_bytes(data)
    try:
        with only("bad_config"):
            found = config.load(_folder(), {})
    except BadConfig:
        return False
    hold(all(map(str.isprintable, found.announce)), "what is announced is an address and no more")
    path.write_text(_toml(found), encoding="utf-8")
    hold(config.load(_folder(), {}) == found, "a configuration means one thing")
    return True


def _toml(found: Config) -> str:
    lines = []
    for name in config.names():
        value = json.dumps(getattr(found, name), ensure_ascii=False)
        lines.append(f"{name} = {value}".replace("\x7f", "\\u007f"))
    return "\n".join(lines)


def _environment(data: bytes) -> bool:
    """Lines of NAME=VALUE, in any encoding, as a system hands them to a process."""
    lines = (line.partition(b"=") for line in data.split(b"\n"))
    given = {
        name.decode("utf-8", "surrogateescape"): value.decode("utf-8", "surrogateescape")
        for name, _, value in lines
    }
    (_folder() / config.FILE).unlink(missing_ok=True)
    try:
        with only("bad_config"):
            found = config.load(_folder(), given)
    except BadConfig:
        return False
    for text in chain(found.listen, found.lan_interfaces, (found.log_level, found.log_format)):
        text.encode()
    hold(1 <= found.sync_interval_s <= 86_400, "within the bounds of the setting")
    hold(0 <= found.verifier_workers <= 64, "within the bounds of the setting")
    return True


def _config_seeds() -> Mapping[str, bytes]:
    return {
        "nothing": b"",
        "everything": b'listen = ["/ip4/0.0.0.0/tcp/0", "/ip6/::/tcp/0"]\nlan = true\n'
        b'lan_interfaces = ["192.0.2.7"]\nverifier_workers = 0\nlog_level = "debug"\n'
        b'log_format = "auto"\nsync_interval_s = 60.0',
        "announced": b'announce = ["/ip4/203.0.113.5/tcp/4001", "/dns/drill.example/tcp/1"]',
        "bad announced": b'announce = ["/ip4/203.0.113.5/tcp/4001\\n"]',
        "bad key": b"lann = true\n",
        "bad type": b'lan = "yes"\n',
        "bad table": b"[lan]\nx = 1979-05-27T07:32:00Z\n",
        "bad syntax": b"lan =\n",
    }


def _environment_seeds() -> Mapping[str, bytes]:
    every = {"LISTEN": "/ip4/0.0.0.0/tcp/0, /ip6/::/tcp/0", "LAN": "false", "LOG_LEVEL": "debug",
             "LAN_INTERFACES": "", "VERIFIER_WORKERS": "2", "SYNC_INTERVAL_S": "1e2",
             "LOG_FORMAT": "json"}  # fmt: skip
    return {
        "every setting": "\n".join(f"COMMONS_{k}={v}" for k, v in every.items()).encode(),
        "others": b"HOME=/home/alice\nCOMMONS_HOME=/x\nLANG=\xff\n",
        "bad key": b"COMMONS_LANN=true",
        "bad number": b"COMMONS_VERIFIER_WORKERS=many",
    }


# --- inventories ---------------------------------------------------------------------------------


def _csv(data: bytes) -> bool:
    """With the usual columns, and with a map."""
    usual = _rows(data, None)
    return _rows(data, {"name": "Item", "quantity": "Count", "state": "status"}) or usual


def _rows(data: bytes, columns: Mapping[str, str] | None) -> bool:
    try:
        with only("import_file"):
            rows = read_rows(data, columns)
    except BadFile:
        return False
    for row in rows:
        _good(row)
    numbers = [row.number for row in rows if row.number and not row.faults]
    hold(len(numbers) == len(set(numbers)), "a number counts once")
    good = [row for row in rows if not row.faults]
    plan(good, [], {})
    return bool(good)


def _good(row: Row) -> None:
    (row.number + row.fault).encode()
    if row.faults:
        return
    hold(row.kind.get("name"), "a row without a fault has a name")
    for schema, fields in ((ITEM_SCHEMA, row.item), (SPECIFICATION_SCHEMA, row.kind)):
        for name, value in fields.items():
            hold(schema.problem(name, value) is None, "a field that is taken fits its document")


def _csv_seeds() -> Mapping[str, bytes]:
    first = b"\n".join(INVENTORY.read_bytes().split(b"\n")[:4])
    return {
        "real": first,
        "mapped": b"\xef\xbb\xbfItem;Count;status\r\nAxe;2;Retired\r\n\r\n;1;active\r\n",
        "quotes": b'number,name,size\n7,"Ladder, ""long""\nand old",12"\n8,"never closed\n9,x\n',
        "bad no rows": b"number,name\n",
        "bad utf-16": b"\xff\xfen\0u\0m\0",
    }


def _map(data: bytes) -> bool:
    """The first line is the file's name."""
    name, _, rest = data.partition(b"\n")
    try:
        with only("import_map"):
            found = read_map(name.decode("utf-8", "replace"), rest)
    except BadMap:
        return False
    hold("name" in found, "a map says what holds the name")
    hold(read_map("again.json", json.dumps(found).encode()) == found, "a map means one thing")
    _rows(b"Item,Count\nAxe,2\n", found)
    return True


def _map_seeds() -> Mapping[str, bytes]:
    return {
        "toml": b'map.toml\nname = "Item"\nquantity = "Count"\n',
        "json": b'map.json\n{"name": "Item", "state": "\\u00fc"}',
        "bad field": b'm\nname = "Item"\ncolour = "B"\n',
        "bad type": b"m\nname = 3\n",
        "bad json": b'm\n{"name": ["Item"]}',
    }


# --- key files -----------------------------------------------------------------------------------

MEMBER = "a1" * 32
DATA_KEY = digest("f-data")
PASSPHRASE = "correct horse battery"
_CHEAP = 1 << 20


@contextmanager
def _stretching_little() -> Iterator[None]:
    before = sealing.MEMORY, sealing.PASSES
    sealing.MEMORY, sealing.PASSES = 8192, 1  # type: ignore[misc]  # Final for everybody else
    try:
        yield
    finally:
        sealing.MEMORY, sealing.PASSES = before  # type: ignore[misc]  # likewise


def _noise(length: int) -> bytes:
    return (digest("f-noise") * 8)[:length]


def _key_file(data: bytes) -> bool:
    try:
        with only("damaged_key", "wrong_passphrase"):
            secrets = sealing.open_secrets(data, MEMBER, DATA_KEY)
    except (DamagedKey, WrongPassphrase):
        _unseal(data)
        return False
    unlocked = Unlocked(MEMBER, DATA_KEY, secrets)
    again = sealing.reseal(data, unlocked, secrets, _noise)
    hold(sealing.open_secrets(again, MEMBER, DATA_KEY) == secrets, "secrets come back")
    _unseal(data)
    return True


def _unseal(data: bytes) -> None:
    """With the passphrase, where that takes little; what is much has a bound of its own."""
    try:
        _, asked, _ = sealing._parse(data, MEMBER)
    except DamagedKey:
        return
    hold(asked.memory <= sealing.MAX_MEMORY, "a file cannot ask for more memory")
    hold(asked.passes <= sealing.MAX_PASSES, "nor for more time")
    if asked.memory * asked.passes > _CHEAP:
        return
    try:
        with only("damaged_key", "wrong_passphrase"):
            opened = sealing.unseal(data, MEMBER, PASSPHRASE)
    except (DamagedKey, WrongPassphrase):
        return
    hold(opened.data_key() == DATA_KEY, "only the right key opens it")


def _key_body(data: bytes) -> bool:
    """With a right checksum: it protects nothing, so anybody can make one."""
    return _key_file(data + _checksum(data))


def _key_seeds() -> Mapping[str, bytes]:
    secrets = {"realm/signing": b"s" * 32, "realm/epoch/1": bytes(32)}
    with _stretching_little():
        good = sealing.seal(MEMBER, DATA_KEY, secrets, PASSPHRASE, _noise)
        other = sealing.seal("b0" * 32, DATA_KEY, secrets, PASSPHRASE, _noise)
        locked = sealing.seal(MEMBER, bytes(32), secrets, "another passphrase", _noise)
    return {"good": good, "bad member": other, "bad key": locked, "bad half": good[:99]}


def _key_body_seeds() -> Mapping[str, bytes]:
    found = {name: file[:-32] for name, file in _key_seeds().items()}
    for asked in (b'"memory":9e99', b'"memory":1073741825', b'"memory":8191', b'"memory":"8"'):
        found[f"bad {asked.decode()}"] = _asking(found["good"], b'"memory":8192', asked)
    for asked in (b'"passes":17', b'"passes":0', b'"passes":1,"salt":""'):
        found[f"bad {asked.decode()}"] = _asking(found["good"], b'"passes":1', asked)
    return found


def _asking(body: bytes, before: bytes, after: bytes) -> bytes:
    """With other parameters, and their right length in front."""
    start = len(sealing.MAGIC)
    length = int.from_bytes(body[start : start + 4], "big") + len(after) - len(before)
    return body[:start] + length.to_bytes(4, "big") + body[start + 4 :].replace(before, after, 1)


def _resealed(data: bytes, other: bytes, rng: Random) -> bytes:
    """Other secrets, sealed with the right key: what a program of another version may write."""
    try:
        head, _, _ = sealing._parse(data + _checksum(data), MEMBER)
        secrets = sealing.open_secrets(data + _checksum(data), MEMBER, DATA_KEY)
    except (DamagedKey, WrongPassphrase):
        return data[:-1]
    plain = rng.choice(OF["json"])(msgspec.json.encode(secrets), other, rng)
    return head + sealing._box(sealing._bound(DATA_KEY, head), plain, _noise)


def _checksum(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=32).digest()


def _node_key(data: bytes) -> bool:
    path = _folder() / "node.key"
    path.write_bytes(data)
    try:
        with only("damaged_key"):
            secrets = NodeKey(path).load()
    except DamagedNodeKey:
        return False
    path.write_bytes(NodeKey._encode(secrets))
    hold(NodeKey(path).load() == secrets, "secrets come back")
    return True


def _node_key_seeds() -> Mapping[str, bytes]:
    return {
        "good": NodeKey._encode({"transport": bytes(32), "é": b""}),
        "bad version": b'{"v":2,"secrets":{}}',
        "bad base64": b'{"v":1,"secrets":{"x":"*"}}',
        "bad field": b'{"v":1,"secrets":{},"more":[[[]]]}',
    }


def _passphrase(data: bytes) -> bool:
    path = _folder() / "passphrase"
    path.touch(0o600)
    path.write_bytes(data)
    try:
        found = read_private(str(path))
    except ApiError as error:
        hold(error.code == "usage", "a mistake of who wrote the file")
        return False
    hold(found and not found.endswith(("\r", "\n")), "a passphrase is a line with something in it")
    return True


# --- archives ------------------------------------------------------------------------------------


_ARCHIVE_CODES = ("magic", "version", "truncated", "size", "format", "hash")


def _archive(data: bytes) -> bool:
    try:
        with only(*(f"archive_{code}" for code in _ARCHIVE_CODES)):
            reader = archive.Reader(io.BytesIO(data))
            operations = list(reader.operations())
            verdicts = list(reader.verdicts())
            rows = [row for row, _packed in reader.rows()]
            parts = [(one, list(pieces)) for one, pieces in reader.parts()]
    except archive.BadArchive as error:
        hold(str(error), "a fault has a sentence")
        return False
    out = io.BytesIO()
    writer = archive.Writer(out, reader.head, reader.version)
    for operation in operations:
        writer.add(operation)
    writer.close()
    if reader.version > 1:
        for some in verdicts:
            writer.verdicts(some)
        writer.close()
        for row in rows:
            writer.row(row.view, row.key, row.values)
        writer.close()
        for one, pieces in parts:
            writer.part(one)
            for piece in pieces:
                writer.piece(piece)
            writer.close()
        writer.close()
    writer.end()
    hold(out.getvalue() == data, "an archive has one encoding")
    return True


def _rehashed(data: bytes, _other: bytes, chance: Random) -> bytes:
    """A byte is another, and the hash at the end is right again."""
    begun = bytearray(data[:-32])
    if begun:
        begun[chance.randrange(len(begun))] ^= 1 << chance.randrange(8)
    return bytes(begun) + hashlib.blake2b(begun, digest_size=32).digest()


def _archive_seeds() -> Mapping[str, bytes]:
    found = vectors("archive")
    bad = {f"bad {one['name']}": bytes.fromhex(one["file"]) for one in found["bad"]}
    good = {name: bytes.fromhex(found[name]) for name in ("file", "file_2")}
    return {"whole": good["file"], "rich": good["file_2"], **bad}


# --- rows ----------------------------------------------------------------------------------------


def _waiting_row(data: bytes) -> bool:
    try:
        with only("database"):
            operation = waiting._unpack(data)
    except Unusable:
        return False
    hold(waiting._pack(operation) == data, "a row has one encoding")
    return True


def _waiting_seeds() -> Mapping[str, bytes]:
    admit = operations()["the node admits bob"]
    absent = Operation(admit.header, admit.signature, None, (None, b"part"))
    return {
        "whole": waiting._pack(admit),
        "absent": waiting._pack(absent),
        "bad text": b"\x84\x60\x60\xf6\x80",
        "bad number": b"\x01",
    }


def _peer_row(data: bytes) -> bool:
    try:
        with only("database"):
            found = node_store.addresses_of(data.decode("utf-8", "replace"))
    except Unusable:
        return False
    hold(node_store.addresses_of(json.dumps(list(found))) == found, "addresses come back")
    return True


def _peer_row_seeds() -> Mapping[str, bytes]:
    return {
        "two": b'["/ip4/192.0.2.7/tcp/1", "/dns/\\u00fc/tcp/2"]',
        "none": b"[]",
        "bad object": b'{"a": "b"}',
        "bad number": b"[1]",
    }


def _photo(data: bytes) -> bool:
    try:
        with only("bad_photo"):
            photo = photos.strip("drill.jpg", data)
    except photos.BadPhoto:
        return False
    hold(photos.strip("again", photo.data) == photo, "a picture alone has nothing to take out")
    hold(len(photo.data) <= len(data) + 64, "nothing is added but which side is up")
    return True


def _photo_seeds() -> Mapping[str, bytes]:
    return {
        "jpeg": jpeg(200),
        "png": png(100),
        "webp": webp(100),
        "bad gif": b"GIF89a" + bytes(20),
        "bad torn": jpeg(200)[:-60],
    }


TARGETS = (
    Target("config-file", _config_file, _config_seeds, "text"),
    Target("environment", _environment, _environment_seeds, "text"),
    Target("csv", _csv, _csv_seeds, "text"),
    Target("csv-map", _map, _map_seeds, "text", head=True),
    Target("key-file", _key_file, _key_seeds),
    Target("key-body", _key_body, _key_body_seeds, own=(_resealed,)),
    Target("node-key", _node_key, _node_key_seeds, "json"),
    Target(
        "passphrase-file",
        _passphrase,
        lambda: {
            "a line": b"correct horse battery\r\nmore\n",
            "accents": "caf\u00e9 au lait".encode(),
            "bad empty": b"\r\n",
            "bad latin-1": b"caf\xe9",
        },
        "text",
    ),
    Target("photo", _photo, _photo_seeds),
    Target("archive", _archive, _archive_seeds, own=(_rehashed,)),
    Target("waiting-row", _waiting_row, _waiting_seeds, "cbor"),
    Target("peer-row", _peer_row, _peer_row_seeds, "json"),
)
