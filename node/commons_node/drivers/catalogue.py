"""All kinds of drivers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from commons_node.drivers import (
    camera,
    desktop,
    file_drop,
    inbox,
    mail,
    mqtt_sensor,
    printer,
    serial_sensor,
    webhook,
)
from commons_node.drivers.driver import Kind

_MODULES: Final = (
    desktop, mail, printer, file_drop, inbox, serial_sensor, mqtt_sensor, camera, webhook,
)  # fmt: skip
KINDS: Final[Mapping[str, Kind]] = {module.KIND.name: module.KIND for module in _MODULES}
"""By name, as ``kind`` in config.toml has it."""
