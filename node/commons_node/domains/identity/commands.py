"""The verbs of identity, collected: devices, recovery, guardians, readmission."""

from __future__ import annotations

from commons_node.domains.identity import devices, guardians, recovering
from commons_node.registry import Registry

VERBS = Registry(
    commands=(*devices.COMMANDS, *recovering.COMMANDS, *guardians.COMMANDS),
    views=(*devices.LISTS, *guardians.LISTS),
    nouns={
        "member.device": "your machines: add one, retire one",
        "member.recovery": "the recovery key, kept on paper",
        "member.recover": "coming back after a loss",
        "member.guardian": "members who can bring you back",
    },
)
