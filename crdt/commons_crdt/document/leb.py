"""LEB128 numbers, bounded and in their shortest form only.

Source: DWARF 5 §7.6. Used by `change` and `operations`; never accepts a second encoding of a
number, because a change that can be written in two ways has two hashes.
"""

_BITS_LIMIT = 63
"""Nine bytes: more than any number that we accept, so the loops are short."""


class MalformedNumber(ValueError):
    """A number is truncated, too long, or not in its shortest form."""


def read_uleb(data: bytes, position: int, end: int) -> tuple[int, int]:
    """Reads an unsigned number of `data[position:end]`. Returns it and the position after it."""
    if position < end and (first := data[position]) < 0x80:
        return first, position + 1
    value = shift = 0
    while position < end and shift < _BITS_LIMIT:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            if byte == 0:
                raise MalformedNumber
            return value, position
        shift += 7
    raise MalformedNumber


def read_sleb(data: bytes, position: int, end: int) -> tuple[int, int]:
    """Reads a signed number of `data[position:end]`. Returns it and the position after it."""
    if position < end and (first := data[position]) < 0x80:
        return (first if first < 0x40 else first - 0x80), position + 1
    value = shift = previous = 0
    while position < end and shift < _BITS_LIMIT:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            sign = byte & 0x40
            if (byte == 0 and not previous & 0x40) or (byte == 0x7F and previous & 0x40):
                raise MalformedNumber
            return (value - (1 << shift) if sign else value), position
        previous = byte
    raise MalformedNumber


def uleb(value: int) -> bytes:
    """Writes an unsigned number."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
