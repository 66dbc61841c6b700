"""Targets of bundles: what a stranger's file begins with, and what a hostile member seals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from functools import lru_cache

from nacl.signing import SigningKey
from tests.fuzz.target import Target, hold, only
from tests.fuzz.vectors import vectors

from commons_crdt.ids import OperationId, digest
from commons_protocol.bundles.chunks import ROOM, seal_chunk
from commons_protocol.bundles.contents import (
    End,
    Filed,
    Frame,
    Last,
    Manifest,
    Piece,
    Wanted,
    encode_behind,
    encode_end,
    encode_ends,
    encode_manifest,
    encode_wanted,
)
from commons_protocol.bundles.contents import Kind as BundleKind
from commons_protocol.bundles.errors import BadBundle
from commons_protocol.bundles.reader import Reader as BundleReader
from commons_protocol.bundles.reader import head_length, unlock
from commons_protocol.bundles.slots import MAX_SLOTS, SLOT
from commons_protocol.bundles.writer import HEAD as BUNDLE_HEAD
from commons_protocol.filed import encode_operation
from commons_protocol.parts import PartId

_BUNDLE_CODES = tuple(
    f"bundle_{code}"
    for code in ("magic", "version", "truncated", "damaged", "format", "order", "sealed",
                 "signature", "size")
)  # fmt: skip


def _bundle_head(data: bytes) -> bool:
    """A file's first bytes: what is read before anything of it was opened."""
    found = vectors("bundle")
    try:
        with only(*_BUNDLE_CODES):
            length = head_length(data[:BUNDLE_HEAD])
            opened = unlock(data[:length], [bytes.fromhex(found["sealing_seed"])])
    except BadBundle as error:
        hold(str(error) and error.way_out, "a fault has a sentence and a way out")
        return False
    hold(length <= BUNDLE_HEAD + MAX_SLOTS * SLOT, "no header is longer")
    hold(opened.offset == length, "the chunks begin behind it")
    return True


def _bundle_chunk(data: bytes) -> bool:
    """What a member's first chunk may hold: sealed and signed by one who keeps no rule."""
    found = vectors("bundle")
    header, node = bytes.fromhex(found["header"]), SigningKey(digest("v-sign", b"node"))
    reader = BundleReader(unlock(header, [bytes.fromhex(found["sealing_seed"])]))
    sealed = seal_chunk(
        bytes.fromhex(found["file_key"]), reader.name, 0, 0, data[:ROOM],
        lambda claim: node.sign(claim).signature,
    )  # fmt: skip
    try:
        with only(*_BUNDLE_CODES):
            frames = list(reader.chunk(sealed))
    except BadBundle:
        return False
    hold(_packed(frames) == data[:ROOM], "a bundle's frames have one encoding")
    return True


def _packed(frames: Sequence[Frame]) -> bytes:
    packed = b""
    for frame in frames:
        match frame:
            case Manifest():
                kind, bare = BundleKind.MANIFEST, encode_manifest(frame)
            case End():
                kind, bare = BundleKind.END, encode_end(frame)
            case Filed():
                kind, bare = frame.kind, encode_operation(frame.operation)
            case Wanted():
                kind, (bare,) = BundleKind.WANTED, tuple(encode_wanted(frame.parts))
            case Piece():
                kind, bare = BundleKind.PIECE, encode_behind(frame)
            case Last():
                kind, bare = BundleKind.LAST, encode_behind(frame)
            case _:
                kind, (bare,) = BundleKind.ENDS, tuple(encode_ends(frame))
        packed += bytes([kind]) + len(bare).to_bytes(4) + bare
    return packed


@lru_cache
def _at_its_end() -> BundleReader:
    """A reader that has read all operations, and knows that more stands behind them."""
    found = vectors("bundle-parts")
    header = bytes.fromhex(found["header"])
    reader = BundleReader(unlock(header, [bytes.fromhex(found["sealing_seed"])]))
    begin = b"".join(
        bytes([one["kind"]]) + len(frame).to_bytes(4) + frame
        for one in found["chunks"][0]["frames"]
        if (frame := bytes.fromhex(one["frame"]))
    )
    list(reader.chunk(_sealed(reader, 0, begin)))
    hold(reader.more and not reader.done, "more was announced")
    return reader


def _sealed(reader: BundleReader, before: int, payload: bytes) -> bytes:
    node = SigningKey(digest("v-sign", b"node"))
    key = bytes.fromhex(vectors("bundle-parts")["file_key"])
    return seal_chunk(
        key, reader.name, reader.number, before, payload, lambda claim: node.sign(claim).signature
    )


def _bundle_behind(data: bytes) -> bool:
    """What a member's second chunk may hold, behind the end of the operations."""
    reader = deepcopy(_at_its_end())
    before = len(vectors("bundle-parts")["operations"]) + 1
    try:
        with only(*_BUNDLE_CODES):
            frames = list(reader.chunk(_sealed(reader, before, data[:ROOM])))
    except BadBundle:
        return False
    hold(_packed(frames) == data[:ROOM], "a bundle's frames have one encoding")
    kinds = [frame for frame in frames if not isinstance(frame, Wanted | Piece | Last)]
    hold(not kinds, "nothing else stands behind the end")
    hold(reader.done == isinstance(frames[-1], Last), "the last frame is the last")
    return True


def _bundle_behind_seeds() -> Mapping[str, bytes]:
    row = digest("v-op"), digest("v-part")
    wanted, piece, last = (
        _packed([frame])
        for frame in (Wanted((PartId(OperationId(row[0]), row[1]),)), Piece(*row, 7, b"abc"),
                      Last(1, 1))
    )  # fmt: skip
    end = _packed([End(3, 2, 1)])
    return {
        "whole": wanted + piece + last,
        "pieces": piece + piece,
        "bad order": piece + wanted,
        "bad twice": last + last,
        "bad another end": end,
        "bad nothing": b"",
        "bad short": piece[:-1],
    }


def _bundle_chunk_seeds() -> Mapping[str, bytes]:
    payload = bytes.fromhex(vectors("bundle")["chunks"][0]["payload"])
    first = 5 + int.from_bytes(payload[1:5])
    return {
        "whole": payload,
        "manifest": payload[:first],
        "bad nothing": b"",
        "bad twice": payload + payload,
        "bad without manifest": payload[first:],
        "bad length": payload[:first] + b"\x04\xff\xff\xff\xff",
    }


def _bundle_head_seeds() -> Mapping[str, bytes]:
    found = vectors("bundle")
    header = bytes.fromhex(found["header"])
    edits = {
        f"bad {one['name']}": header[: one["set"]] + edit + header[one["set"] + len(edit) :]
        for one in found["bad"]
        if (edit := bytes.fromhex(one["bytes"])) and one["set"] < 100
    }
    return {"whole": header, "bad torn": header[:500], "bad no slot of ours": header[:20], **edits}


TARGETS = (
    Target("bundle-head", _bundle_head, _bundle_head_seeds),
    Target("bundle-chunk", _bundle_chunk, _bundle_chunk_seeds, memory=1 << 21),
    Target("bundle-behind", _bundle_behind, _bundle_behind_seeds, memory=1 << 21),
)
