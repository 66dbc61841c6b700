"""A bug that is there on purpose: `make fuzz` begins by finding it, or says that it finds nothing.

Nested comparisons in a decoder's manner. Chance alone would need some 2^32 inputs; who follows
coverage needs some hundred thousand, which are a few seconds.
"""

from __future__ import annotations

from tests.fuzz.target import Target


class Planted(Exception):
    """The bug."""


def _run(data: bytes) -> bool:
    if len(data) < 5 or data[0] != 0x84:
        return False
    if data[1] != 0x70:
        return False
    if data[2] ^ data[1] != 0x1C:
        return False
    if data[3] + data[4] == 0x151:
        raise Planted
    return True


PLANTED = Target("planted", _run, lambda: {"bad nothing": b""})
