"""Sensors that tell their readings to an MQTT broker: the last one of each topic.

The library is an extra (``commons-node[devices]``); without it the driver says so.
"""

from __future__ import annotations

import asyncio
import importlib.util
import threading
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from commons_crdt.texts import N_, _
from commons_node.drivers.driver import Around, Kind, Silent, Undelivered
from commons_node.drivers.serial_sensor import value_of

_PAYLOAD: Final = 16_384
Topic = Annotated[str, Meta(pattern=r"^[^\x00-\x1f]{1,200}\Z")]


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``topics``: what agents may ask for, such as ``hall/temperature``; no wildcards.

    ``timeout_s``: how long one waits for a reading that the broker has not kept.
    """

    server: Annotated[str, Meta(min_length=1, max_length=253)]
    topics: Annotated[tuple[Topic, ...], Meta(min_length=1, max_length=64)]
    port: Annotated[int, Meta(ge=1, le=65_535)] = 1883
    tls: bool = False
    user: str = ""
    password_file: str = ""
    timeout_s: Annotated[float, Meta(gt=0, le=15)] = 5.0


class Ask(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``topic``: one of the host's list."""

    topic: Topic


class Answer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``line``: what the broker has kept, or the next that comes. ``value``: what that means, as of
    a serial sensor.
    """

    topic: str
    line: str
    value: Any


def _lacking(_settings: Settings) -> tuple[str, str] | None:
    if importlib.util.find_spec("paho") is None:
        return _("paho-mqtt is not installed"), 'pip install "commons-node[devices]"'
    return None


class MqttSensor(Silent):
    """Asks the broker anew each time: what it kept, or the next that comes."""

    def __init__(self, settings: Settings) -> None:
        """Opens nothing."""
        self._settings = settings

    async def read(self, ask: Ask) -> object:
        """``{topic, line, value}``. Raises ``Undelivered``."""
        if ask.topic not in self._settings.topics:
            raise Undelivered(why=f"the host does not let anybody ask for {ask.topic}")
        line = await asyncio.to_thread(self._last, ask.topic)
        return {"topic": ask.topic, "line": line, "value": value_of(line)}

    def _last(self, topic: str) -> str:
        import paho.mqtt.client as mqtt  # noqa: PLC0415 - an extra
        from paho.mqtt.enums import CallbackAPIVersion  # noqa: PLC0415 - likewise

        one, heard, told = self._settings, threading.Event(), list[bytes]()
        refused: list[str] = []
        client = mqtt.Client(CallbackAPIVersion.VERSION2)

        def connected(_client: Any, _data: Any, _flags: Any, reason: Any, _more: Any) -> None:
            if not reason.is_failure:
                client.subscribe(topic)
                return
            refused.append(str(reason))
            heard.set()

        def message(_client: Any, _data: Any, said: Any) -> None:
            told.append(bytes(said.payload)[:_PAYLOAD])
            heard.set()

        client.on_connect, client.on_message = connected, message
        if one.tls:
            client.tls_set()
        if one.user:
            secret = Path(one.password_file).read_text(encoding="utf-8").strip()
            client.username_pw_set(one.user, secret)
        try:
            client.connect(one.server, one.port, keepalive=30)
            client.loop_start()
            if not heard.wait(one.timeout_s):
                raise Undelivered(why=f"nothing on {topic} within {one.timeout_s:g} s")
            if not told:
                raise Undelivered(why=f"{one.server} refuses: {refused[0]}")
        except OSError as error:
            raise Undelivered(why=f"{one.server}: {error}") from None
        finally:
            client.disconnect()
            client.loop_stop()
        return told[0].decode("utf-8", "replace").strip()


def _make(settings: Settings, _around: Around) -> MqttSensor:
    return MqttSensor(settings)


KIND: Final = Kind(
    "mqtt-sensor", N_("reads sensors that tell an MQTT broker"), Settings, _make, question=Ask,
    answer=Answer, lacking=_lacking,
    seen={"topic": "hall/temperature", "line": "21.5", "value": 21.5},
)  # fmt: skip
