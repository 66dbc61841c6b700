"""``name-version.agent``: a zip that holds an agent, and which has one form only.

In this order: ``agent.toml``, ``code/…`` sorted, ``MANIFEST`` (path, size, SHA-256; sorted),
``SIGNATURE`` (Ed25519 over the MANIFEST's digest by the publisher that agent.toml names). Nothing
is compressed, so the same input gives the same bytes everywhere and nothing grows when it is read;
the reader takes only what ``encode`` would have written, byte for byte. Pure: bytes in, bytes out.

Source: APPNOTE.TXT 6.3.10 §4.3 (zip), docs/protocol/agents.md.
"""

from __future__ import annotations

import hashlib
import re
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey, VerifyKey

from commons_crdt.ids import digest
from commons_crdt.texts import _
from commons_node.agents.manifest import Manifest, parse
from commons_node.agents.refusals import BadPackage

MAX_UNPACKED: Final = 5_000_000
"""Bytes of all files together: with what the zip adds it still fits into one part."""
MAX_FILES: Final = 200
MAX_PACKAGE: Final = 5 * 1024 * 1024
TOML, MANIFEST, SIGNATURE, CODE = "agent.toml", "MANIFEST", "SIGNATURE", "code/"

_LOCAL: Final = struct.Struct("<4s5H3I2H")
_CENTRAL: Final = struct.Struct("<4s6H3I5H2I")
_END: Final = struct.Struct("<4s4H2IH")
_DATE: Final = 0x0021
"""1980-01-01: a package does not say when it was made."""
_MODE: Final = 0o100644 << 16
_SEGMENT: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}\Z")
_LONGEST: Final = 200
_DEEPEST: Final = 6
_SIGNED: Final = 64


class Entry(NamedTuple):
    """One file of the zip."""

    path: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Package:
    """A package that was read: its hash (SHA-256 of all bytes), and the files of ``code/``.

    ``files``: by their path below ``code/``. ``signed``: whether there is a signature; if there is,
    it is the publisher's.
    """

    hash: bytes
    manifest: Manifest
    files: Mapping[str, bytes]
    signed: bool


def pack(toml: bytes, code: Mapping[str, bytes]) -> bytes:
    """The package of ``agent.toml`` and the files of ``code/``, not yet signed.

    Raises ``BadPackage``. The same input gives the same bytes.
    """
    entries = [Entry(TOML, toml), *(Entry(CODE + path, code[path]) for path in sorted(code))]
    entries.append(Entry(MANIFEST, _listing(entries)))
    return _checked(encode(entries), signed=False)


def sign(data: bytes, key: SigningKey) -> bytes:
    """The same package signed. Raises ``BadPackage`` where the publisher is somebody else."""
    entries = [entry for entry in decode(data) if entry.path != SIGNATURE]
    package = read(encode(entries))
    if package.manifest.publisher != bytes(key.verify_key).hex():
        raise BadPackage(why=_("agent.toml names another publisher than who signs"))
    signature = key.sign(statement(entries[-1].data)).signature
    return _checked(encode([*entries, Entry(SIGNATURE, signature)]), signed=True)


def _checked(data: bytes, *, signed: bool) -> bytes:
    package = read(data)
    assert package.signed is signed
    return data


def statement(listing: bytes) -> bytes:
    """What a publisher signs: the digest of MANIFEST, under a purpose that nothing else has."""
    return digest("agent", listing)


def read(data: bytes, *, signed: bool = False) -> Package:
    """Everything checked that can be checked without running it. Raises ``BadPackage``.

    ``signed``: one without a signature is refused; a wrong signature always is.
    """
    entries = decode(data)
    by = {entry.path: entry.data for entry in entries}
    if TOML not in by or MANIFEST not in by:
        raise BadPackage(why=_("it has no agent.toml, or no MANIFEST"))
    listed = [entry for entry in entries if entry.path not in {MANIFEST, SIGNATURE}]
    if by[MANIFEST] != _listing(listed):
        raise BadPackage(why=_("MANIFEST does not list just the files that are here, as they are"))
    if [entry.path for entry in entries] != _order(by):
        raise BadPackage(why=_("its files do not stand in their order"))
    manifest = parse(by[TOML])
    if SIGNATURE in by:
        _verify(manifest, by[MANIFEST], by[SIGNATURE])
    elif signed:
        raise BadPackage(why=_("nobody has signed it"))
    code = {path.removeprefix(CODE): by[path] for path in by if path.startswith(CODE)}
    if manifest.entry.partition(":")[0] not in code:
        why = _("its entry {entry} is not among its files").format(entry=manifest.entry)
        raise BadPackage(why=why)
    return Package(hashlib.sha256(data).digest(), manifest, code, SIGNATURE in by)


def _verify(manifest: Manifest, listing: bytes, signature: bytes) -> None:
    try:
        if len(signature) != _SIGNED:
            raise BadSignatureError
        VerifyKey(bytes.fromhex(manifest.publisher)).verify(statement(listing), signature)
    except (BadSignatureError, ValueError):
        why = _("its signature is not that of its publisher {key}")
        raise BadPackage(why=why.format(key=manifest.publisher[:8])) from None


def _order(by: Mapping[str, bytes]) -> list[str]:
    last = [path for path in (MANIFEST, SIGNATURE) if path in by]
    return [TOML, *sorted(path for path in by if path.startswith(CODE)), *last]


def _listing(entries: list[Entry]) -> bytes:
    lines = [
        f"{entry.path} {len(entry.data)} {hashlib.sha256(entry.data).hexdigest()}\n"
        for entry in sorted(entries)
    ]
    return "".join(lines).encode()


# --- the container ---


def check_path(path: str) -> None:
    """A name that is one file of a package and nothing else. Raises ``BadPackage``."""
    if path in {TOML, MANIFEST, SIGNATURE}:
        return
    parts = path.split("/")
    fine = path.startswith(CODE) and len(path) <= _LONGEST and 2 <= len(parts) <= _DEEPEST
    if not fine or not all(map(_SEGMENT.match, parts)):
        why = _("{path!r} is no name that a file of a package may have")
        raise BadPackage(why=why.format(path=path[:80]))
    if path.casefold().endswith(".cwasm"):
        why = _("{path} is compiled code: only the node itself compiles")
        raise BadPackage(why=why.format(path=path))


def encode(entries: list[Entry]) -> bytes:
    """The zip of these files in this order, nothing compressed. Raises ``BadPackage``."""
    _bounded(entries)
    body, directory = bytearray(), bytearray()
    for path, data in entries:
        name, check, size = path.encode(), zlib.crc32(data), len(data)
        directory += _CENTRAL.pack(
            b"PK\1\2", 0x0314, 20, 0, 0, 0, _DATE, check, size, size, len(name), 0, 0, 0, 0,
            _MODE, len(body),
        ) + name  # fmt: skip
        body += _LOCAL.pack(b"PK\3\4", 20, 0, 0, 0, _DATE, check, size, size, len(name), 0) + name
        body += data
    count = len(entries)
    end = _END.pack(b"PK\5\6", 0, 0, count, count, len(directory), len(body), 0)
    return bytes(body + directory + end)


def _bounded(entries: list[Entry]) -> None:
    if len(entries) > MAX_FILES:
        why = _("it has more than {most} files").format(most=MAX_FILES)
        raise BadPackage(why=why)
    if sum(len(entry.data) for entry in entries) > MAX_UNPACKED:
        raise BadPackage(why=_("its files are larger than 5 MB together"))
    seen: set[str] = set()
    for path, _data in entries:
        check_path(path)
        if path.casefold() in seen:
            raise BadPackage(why=_("{path} is in it twice").format(path=path))
        seen.add(path.casefold())


def decode(data: bytes) -> list[Entry]:
    """The files of a zip that ``encode`` wrote; anything else is refused. Raises ``BadPackage``.

    Bounded by the length of what was given: nothing in it is unpacked.
    """
    if len(data) > MAX_PACKAGE:
        raise BadPackage(why=_("it is larger than 5 MiB"))
    entries: list[Entry] = []
    at = 0
    while data[at : at + 4] == b"PK\3\4":
        if len(entries) >= MAX_FILES:
            raise BadPackage(why=_("it has more than {most} files").format(most=MAX_FILES))
        entry, at = _entry(data, at)
        entries.append(entry)
    if not entries:
        raise BadPackage(why=_("it is no zip that agent pack wrote"))
    if encode(entries) != data:
        raise BadPackage(
            why=_("its directory is not that of its files: a link, a note, or something hidden")
        )
    return entries


def _entry(data: bytes, at: int) -> tuple[Entry, int]:
    if at + _LOCAL.size > len(data):
        raise BadPackage(why=_("it is cut off"))
    fields = _LOCAL.unpack_from(data, at)
    flags, method, size, unpacked, name, extra = (fields[i] for i in (2, 3, 7, 8, 9, 10))
    begin = at + _LOCAL.size
    if flags & 1:
        raise BadPackage(why=_("a file in it is encrypted"))
    if method or size != unpacked or flags or extra:
        raise BadPackage(why=_("a file in it is compressed, or not as agent pack writes it"))
    if name > _LONGEST or begin + name + size > len(data):
        raise BadPackage(why=_("it is cut off"))
    path = data[begin : begin + name].decode("ascii", "backslashreplace")
    check_path(path)
    return Entry(path, data[begin + name : begin + name + size]), begin + name + size
