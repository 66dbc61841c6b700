"""``agent.code``: a worker gets the code that it shall run, a piece at a time."""

from __future__ import annotations

import base64
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from commons_node.agents.manifest import Grant
from commons_node.capabilities.capability import Calling, Capability
from commons_node.capabilities.refusals import Fault

PIECE: Final = 600 << 10
"""Bytes of one piece: as base64 in JSON it is less than a frame."""


class Piece(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``offset``: how many bytes are there already."""

    offset: Annotated[int, Meta(ge=0, le=64 << 20)] = 0


def _bundle(calling: Calling) -> tuple[bytes, str, str]:
    """The code as a worker takes it, its runtime and its entry. Raises ``Fault``."""
    code = calling.inside.code(calling.permit.package)
    manifest = code.manifest
    if manifest.runtime == "wasm":
        blob = code.files.get(manifest.entry)
        if blob is None:
            raise Fault(method="agent.code", why=f"the package has no {manifest.entry}")
        return blob, manifest.runtime, manifest.entry
    sources = {}
    for path, data in sorted(code.files.items()):
        try:
            sources[path] = data.decode("utf-8")
        except UnicodeDecodeError:
            raise Fault(method="agent.code", why=f"{path} is no text in UTF-8") from None
    return msgspec.json.encode(sources, order="sorted"), manifest.runtime, manifest.entry


async def piece(calling: Calling, _grant: Grant, params: Piece) -> object:
    """From the store of packages, its hash checked there at each read."""
    blob, runtime, entry = _bundle(calling)
    data = base64.b64encode(blob[params.offset : params.offset + PIECE]).decode("ascii")
    return {"data": data, "size": len(blob), "runtime": runtime, "entry": entry}


CAPABILITIES: Final = (
    Capability(
        "agent.code", "The agent's own code, for the worker that runs it.", Piece,
        "`{data, size, runtime, entry}`; `data` is base64", piece, cost=0, free=True,
    ),
)  # fmt: skip
