"""Drivers as configured, and from an agent to the outside."""

from __future__ import annotations

import asyncio
import email
import importlib
import json
import pkgutil
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.unit.bureau import bureau
from tests.unit.driving import drivers, letter
from tests.unit.servers import mail_server

from commons_crdt.errors import CommonsError
from commons_node import drivers as package
from commons_node.agents.manifest import Grant
from commons_node.config import BadConfig, load
from commons_node.doctor.house import configuration
from commons_node.drivers.catalogue import KINDS
from commons_node.drivers.driver import Around, NotSetUp, Undelivered
from commons_node.drivers.held import BadMessage, Drivers
from commons_node.home import Home
from commons_node.jobs.outbox import Letter, Outbox
from commons_node.web import Web


async def test_what_is_not_set_up_says_why_and_what_to_do(tmp_path: Path) -> None:
    held = drivers(
        tmp_path,
        drop={"kind": "file-drop", "folder": str(tmp_path / "gone")},
        line={"kind": "serial-sensor", "device": "/dev/ttyNONE"},
        fine={"kind": "file-drop", "folder": str(tmp_path)},
        play={"kind": "printer", "queue": "x", "fake": True},
    )
    rows = {row["driver"]: row for row in held.rows()}
    assert {name: row["state"] for name, row in rows.items()} == {
        "drop": "lacking", "line": "lacking", "fine": "ready", "play": "fake",
    }  # fmt: skip
    for name in ("drop", "line", "nobody"):
        with pytest.raises(NotSetUp) as found:
            held.checked(name, {})
        assert found.value.way_out, name
        with pytest.raises(NotSetUp):
            await held.deliver(letter(name))
        with pytest.raises(NotSetUp):
            await held.ask(name, {})
    with pytest.raises(BadMessage):
        held.checked("fine", {"name": "../x", "text": ""})
    with pytest.raises(BadMessage):
        await held.ask("fine", {})


@pytest.mark.parametrize(
    ("toml", "says"),
    [
        ('[drivers.x]\nkind = "teleport"', "teleport"),
        ('[drivers.x]\nfolder = "/tmp"', "None"),
        ('[drivers.x]\nkind = "file-drop"\nfolder = "relative"', "folder"),
        ('[drivers.x]\nkind = "printer"', "queue or folder"),
        ('[drivers.x]\nkind = "webhook"\nurl = "ftp://a/"', "url"),
        ('[drivers.x]\nkind = "mail"\nserver = "a"\nsender = "me"\nto = ["b@c.d"]', "sender"),
        ('[drivers."X Y"]\nkind = "desktop"', "regex"),
        ("drivers = 7", "int"),
    ],
)
def test_settings_that_no_driver_has_are_refused_at_the_start(
    tmp_path: Path, toml: str, says: str
) -> None:
    (tmp_path / "config.toml").write_text(toml)
    with pytest.raises(BadConfig) as found:
        Drivers(load(tmp_path, {}).drivers, Around(Web(), tmp_path))
    assert says in str(found.value)
    assert found.value.way_out


@pytest.mark.parametrize("kind", sorted(KINDS))
async def test_each_kind_has_a_fake_that_takes_what_the_device_takes(
    tmp_path: Path, kind: str
) -> None:
    one = KINDS[kind]
    messages: dict[str, dict[str, Any]] = {
        "desktop": {"text": "hello"}, "mail": {"text": "hello"}, "printer": {"title": "Drill"},
        "file-drop": {"name": "a.txt", "text": "x"}, "webhook": {"body": {"n": 1}},
    }  # fmt: skip
    needed: dict[str, dict[str, Any]] = {
        "mail": {"server": "mail.example", "sender": "a@example.org", "to": ["b@example.org"]},
        "printer": {"queue": "labels"}, "file-drop": {"folder": "/nowhere"},
        "webhook": {"url": "https://example.org/"}, "camera": {"folder": "/nowhere"},
        "inbox": {"folder": "/nowhere"},
        "serial-sensor": {"device": "/dev/ttyUSB9"},
        "mqtt-sensor": {"server": "x", "topics": ["hall/temperature"]},
    }  # fmt: skip
    settings = {"kind": kind, "fake": True, **needed.get(kind, {})}
    held = drivers(tmp_path, it=settings)
    with pytest.raises(BadMessage):
        held.checked("it", {"nobody": "knows"})
    with pytest.raises(BadMessage):
        await held.deliver(letter("it", nobody="knows"))
    with pytest.raises(BadMessage):
        await held.ask("it", {"nobody": "knows"})
    if one.message is not None:
        for _ in range(2):
            await held.deliver(letter("it", **messages[kind]))
        assert len(held.driver("it").taken) == 1, "one key, one message"  # type: ignore[attr-defined]  # a fake
    if one.question is not None:
        ask = {"topic": "hall/temperature"} if kind == "mqtt-sensor" else {}
        assert await held.ask("it", ask) == one.seen


def test_every_driver_is_in_the_catalogue_and_declares_what_it_takes_and_answers() -> None:
    names = {one.name for one in pkgutil.iter_modules(package.__path__)}
    modules = [importlib.import_module(f"{package.__name__}.{name}") for name in names]
    kinds = [one.KIND for one in modules if hasattr(one, "KIND")]
    assert {kind.name: kind for kind in kinds} == dict(KINDS)
    for kind in kinds:
        assert (kind.message is None) != (kind.question is None), kind.name
        assert (kind.question is None) == (kind.answer is None), kind.name
        for shape in (kind.settings, kind.message, kind.question, kind.answer):
            if shape is not None:
                assert shape.__struct_config__.forbid_unknown_fields, (kind.name, shape)
        if kind.answer is not None:
            msgspec.convert(kind.seen, kind.answer)


async def test_what_a_driver_answers_is_held_against_its_kind(tmp_path: Path) -> None:
    held = drivers(tmp_path, eye={"kind": "camera", "folder": "/nowhere", "fake": True})
    fake: Any = held.driver("eye")
    assert await held.ask("eye", {}) == fake.seen
    lies: list[Any] = [{"name": 7, "codes": []}, {"codes": []}, {**fake.seen, "more": 1}, None]
    for wrong in lies:
        fake.seen = wrong
        with pytest.raises(Undelivered, match="not what its kind says"):
            await held.ask("eye", {})


async def test_what_an_agent_sends_leaves_with_its_run_again_and_again_with_one_key(
    tmp_path: Path,
) -> None:
    async with mail_server() as server, bureau(tmp_path) as house:
        house.drivers = {"post": {
            "kind": "mail", "server": "127.0.0.1", "port": server.port, "security": "none",
            "sender": "node@elm.example", "to": ["anna@elm.example"],
        }}  # fmt: skip
        await house.close()
        await house.open()
        house.granted = {"notify.send": Grant(drivers=("post",)),
                         "driver.send": Grant(drivers=("gone",))}  # fmt: skip
        run = await house.run()
        await run("notify.send", via="post", text="late", key="loan-7")
        for method, params, code in (
            ("notify.send", {"via": "other", "text": "x"}, "not_granted"),
            ("notify.send", {"via": "post", "text": "x", "title": "a\nb"}, "bad_parameters"),
            ("notify.send", {"via": "post", "text": ""}, "bad_parameters"),
            ("driver.send", {"driver": "post", "message": {}}, "not_granted"),
            ("driver.send", {"driver": "gone", "message": {}}, "not_set_up"),
        ):
            with pytest.raises(CommonsError) as found:
                await run(method, **params)
            assert found.value.code == code, (method, params)
        assert server.mails == [], "nothing leaves before the run is done"
        await run.done()
        ways = {"driver:post": house.inside.drivers.deliver}
        import random

        outbox = Outbox(house.desk, ways, random.Random(1))
        server.refuse = 1
        assert await outbox.empty() == 0, "the server said: later"
        house.pass_time(10)
        # the node dies between the arrival and the note of it
        ((body,),) = await house.rows("SELECT body FROM outbox")
        key = "helper/notify.send/loan-7"
        await house.inside.drivers.deliver(Letter(1, key, "driver:post", json.loads(body), 0))
        await house.close()
        await house.open()
        assert await Outbox(house.desk, ways, random.Random(1)).empty() == 1
        ids = {email.message_from_string(one)["Message-ID"] for one in server.mails}
        assert (len(server.mails), len(ids)) == (2, 1), "twice, with one key"
        assert await Outbox(house.desk, ways, random.Random(1)).empty() == 0
        run = await house.run()
        await run("notify.send", via="post", text="late", key="loan-7")
        assert await run.done() == 0, "another run has nothing to add"
        assert await house.rows("SELECT state, count(*) FROM outbox") == [("sent", 1)]
        await asyncio.sleep(0)


async def test_a_grant_that_names_no_notifier_is_for_every_one_and_for_nothing_else(
    tmp_path: Path,
) -> None:
    async with bureau(tmp_path) as house:
        house.drivers = {
            "post": {"kind": "mail", "server": "x", "sender": "a@b.c", "to": ["a@b.c"],
                     "fake": True},
            "paper": {"kind": "file-drop", "folder": "/nowhere", "fake": True},
        }  # fmt: skip
        await house.close()
        await house.open()
        for granted, refused in (
            (Grant(), {"paper": "bad_parameters", "gone": "not_set_up"}),
            (Grant(drivers=()), {"post": "not_granted"}),
            (Grant(drivers=("paper",)), {"post": "not_granted", "paper": "bad_parameters"}),
        ):
            house.granted = {"notify.send": granted}
            run = await house.run()
            if "post" not in refused:
                await run("notify.send", via="post", text="late")
            for via, code in refused.items():
                with pytest.raises(CommonsError) as found:
                    await run("notify.send", via=via, text="late")
                assert found.value.code == code, (granted, via)
            await run.done()
        letters = await house.rows("SELECT kind FROM outbox")
        assert letters == [("driver:post",)], "as the screen of permissions says"


def test_doctor_finds_a_driver_with_which_no_node_would_start(tmp_path: Path) -> None:
    home = Home(tmp_path)
    (tmp_path / "config.toml").write_text('[drivers.x]\nkind = "teleport"')
    assert configuration(home, {}).state == "fail"
    (tmp_path / "config.toml").write_text('[drivers.x]\nkind = "desktop"')
    assert configuration(home, {}).state == "ok"
