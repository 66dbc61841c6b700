"""What leaves the signed formats: sealed texts of profiles, and archives read by Python alone."""

from __future__ import annotations

import io
from collections.abc import Mapping
from functools import lru_cache
from hashlib import blake2b
from unittest.mock import patch

from tests.fuzz.target import Target, hold
from tests.fuzz.vectors import vectors
from tests.unit.town import secrets

from commons_crdt.ids import OperationId
from commons_node.archive import standalone
from commons_node.domains.profiles.sealing import open_sealed, to_devices, to_epoch

KEY = bytes(range(32))
EPOCH = OperationId(bytes(32))
TEXT = b"070 555 12 34"


def _sealed(data: bytes) -> bool:
    found = open_sealed(data, {EPOCH: KEY}, secrets("bob"))
    if found is None:
        return False
    hold(open_sealed(data, {}, None) is None, "nobody opens it without a key")
    return True


@lru_cache
def _sealed_seeds() -> Mapping[str, bytes]:
    devices = to_devices(TEXT, [secrets("bob").keys, secrets("cia").keys])
    epoch = to_epoch(TEXT, EPOCH, KEY)
    return {
        "devices": devices,
        "epoch": epoch,
        "bad other": to_devices(TEXT, [secrets("cia").keys]),
        "bad epoch": to_epoch(TEXT, OperationId(KEY), KEY),
        "bad key": to_epoch(TEXT, EPOCH, bytes(32)),
        "bad short": epoch[:-1],
        "bad empty": b"",
    }


_verify = lru_cache(maxsize=256)(standalone.verify)
"""Its arithmetic is slow and pure; most of what is fuzzed leaves most signatures as they were."""


def _alone(data: bytes) -> bool:
    """The hash at the end is made right first: what is fuzzed lies before it."""
    body = data[:-32]
    try:
        with patch.object(standalone, "verify", _verify):
            standalone.check(io.BytesIO(body + blake2b(body, digest_size=32).digest()))
    except standalone.Bad:
        return False
    return True


def _alone_seeds() -> Mapping[str, bytes]:
    found = vectors("archive")
    whole, rich = bytes.fromhex(found["file"]), bytes.fromhex(found["file_2"])
    return {"archive": whole, "rich": rich, "bad cut": whole[:200], "bad empty": b""}


TARGETS = (
    Target("sealed-text", _sealed, _sealed_seeds, recorded=True),
    Target("archive-alone", _alone, _alone_seeds),
)
