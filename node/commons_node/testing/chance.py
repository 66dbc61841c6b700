"""What the product takes from the machine, taken from the seed instead: randomness and time.

Replaced for the whole process while a simulation runs, and put back after it, so that no line of
the product can forget to ask. Simulations in one process follow each other; they never overlap.
"""

from __future__ import annotations

import os
import random
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from hashlib import blake2b

import nacl.bindings
from nacl.bindings import crypto_sign_open

from commons_crdt import device, operation

Clock = Callable[[], int]
"""Nanoseconds."""


@contextmanager
def governed(seed: int, wall_ns: Clock, steady_ns: Clock) -> Iterator[random.Random]:
    """Within the block all randomness and all time follow from ``seed`` and the two clocks."""
    source = random.Random(f"commons {seed}")  # noqa: S311 - a seeded run is the point

    def some(count: int | None = None) -> bytes:
        return source.randbytes(32 if count is None else count)

    def sealed(message: bytes, key: bytes) -> bytes:
        own = some(32)
        public = nacl.bindings.crypto_scalarmult_base(own)
        nonce = blake2b(public + key, digest_size=24).digest()
        box: bytes = nacl.bindings.crypto_box(message, nonce, key, own)
        return public + box

    # what one node has found to be signed, so do the others: twenty look at the same bytes
    verified = lru_cache(maxsize=8192)(crypto_sign_open)

    instead: list[tuple[object, str, object]] = [
        (os, "urandom", some),
        (secrets, "token_bytes", some),
        (random, "random", source.random),
        (random, "uniform", source.uniform),
        (random, "shuffle", source.shuffle),
        (nacl.bindings, "crypto_box_seal", sealed),
        (operation, "crypto_sign_open", verified),
        (device, "crypto_sign_open", verified),
        (time, "time_ns", wall_ns),
        (time, "time", lambda: wall_ns() / 1e9),
        (time, "monotonic_ns", steady_ns),
        (time, "monotonic", lambda: steady_ns() / 1e9),
    ]
    before = [(where, name, getattr(where, name)) for where, name, _ in instead]
    try:
        for where, name, value in instead:
            setattr(where, name, value)
        yield source
    finally:
        for where, name, value in before:
            setattr(where, name, value)
