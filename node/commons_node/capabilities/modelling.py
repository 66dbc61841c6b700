"""``model.infer``: ask a model that the host has registered; there need be none."""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from commons_node.agents.manifest import Grant
from commons_node.capabilities.capability import Calling, Capability, bounded
from commons_node.capabilities.refusals import Absent, Fault, NotGranted
from commons_node.models.held import ModelFault, NoModel

_BYTES: Final = 512 << 10


class Infer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``model``: as the host has named it. ``input``: whatever that model takes."""

    model: Annotated[str, Meta(max_length=40)]
    input: Any


async def infer(calling: Calling, grant: Grant, params: Infer) -> object:
    """What the model says."""
    if params.model not in (grant.drivers or ()):
        raise NotGranted(method="model.infer", why=f"the model {params.model!r}")
    bounded("model.infer", params.input, _BYTES)
    try:
        return {"output": await calling.inside.models.infer(params.model, params.input)}
    except NoModel as error:
        raise Absent(thing=f"the model {params.model}", why=error, next=error.way_out) from None
    except ModelFault as error:
        raise Fault(method="model.infer", why=error) from None


CAPABILITIES: Final = (
    Capability(
        "model.infer", "Ask a model of the host; `drivers` of the grant names which.", Infer,
        "`{output}`", infer, ("drivers", "max_bytes"), 50, needs=("drivers",),
    ),
)  # fmt: skip
