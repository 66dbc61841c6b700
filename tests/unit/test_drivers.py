"""Every kind of driver with what it really talks to, or with the nearest thing on this machine."""

from __future__ import annotations

import asyncio
import email
import importlib
import json
import os
import pkgutil
import pty
import stat
import threading
import tty
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
import segno
from tests.unit.bureau import bureau
from tests.unit.servers import listening, mail_server, mqtt, web_server

from commons_crdt.errors import CommonsError
from commons_node import drivers as package
from commons_node.agents.manifest import Grant
from commons_node.config import BadConfig, load
from commons_node.doctor.house import configuration
from commons_node.drivers.catalogue import KINDS
from commons_node.drivers.driver import Around, By, NotSetUp, Undelivered
from commons_node.drivers.held import BadMessage, Drivers
from commons_node.drivers.serial_sensor import value_of
from commons_node.home import Home
from commons_node.jobs.outbox import Letter, Outbox
from commons_node.web import Web


def drivers(folder: Path, **configured: Mapping[str, Any]) -> Drivers:
    return Drivers(configured, Around(Web(), folder))


def letter(driver: str, key: str = "job/1", /, **body: Any) -> Letter:
    return Letter(1, key, f"driver:{driver}", body, 0)


def named(held: Drivers, driver: str, message: Mapping[str, Any]) -> dict[str, Any]:
    """A message as the node keeps it of the agent whose it is."""
    found = held.checked(driver, message, By("0123abcd/helper", "e1" * 32, "Elm Street"))
    assert isinstance(found, dict)
    return found


def program(folder: Path, name: str, monkeypatch: pytest.MonkeyPatch, status: int = 0) -> Path:
    """A program of this name that notes what it was given."""
    folder.mkdir(exist_ok=True)
    notes = folder / f"{name}.notes"
    path = folder / name
    path.write_text(
        f'#!/bin/sh\nfor one in "$@"; do echo "$one" >> "{notes}"; done\n'
        f'cat > "{notes}.in"\necho oops >&2\nexit {status}\n'
    )
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    return notes


# -- as configured ---------------------------------------------------------------------------------


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


# -- by mail ---------------------------------------------------------------------------------------


async def test_mail_goes_to_whom_the_host_allows_with_one_id_for_one_key(tmp_path: Path) -> None:
    async with mail_server() as server:
        held = drivers(tmp_path, mail={
            "kind": "mail", "server": "127.0.0.1", "port": server.port, "security": "none",
            "sender": "node@elm.example", "to": ["anna@elm.example", "bo@elm.example"],
        })  # fmt: skip
        body = {"text": "Bo's drill is late.\nAsk for it.", "title": "Överdue: drill"}
        for _ in range(2):
            await held.deliver(letter("mail", **body))
        await held.deliver(letter("mail", "job/2", text="Only this.", to="bo@elm.example"))
        first, second, third = (email.message_from_string(one) for one in server.mails)
        assert first["Message-ID"] == second["Message-ID"] != third["Message-ID"]
        assert first["To"] == "anna@elm.example", "the first of the list"
        assert first["Auto-Submitted"] == "auto-generated"
        assert "Bo's drill is late." in str(first.get_payload())
        assert server.to[-1].upper().startswith("RCPT TO:<BO@ELM.EXAMPLE>")
        with pytest.raises(Undelivered, match="does not let"):
            await held.deliver(letter("mail", text="spam", to="eve@evil.example"))
        lie = {"agent": "ffffffff/bank", "principal": "0a" * 32, "name": "Your bank"}
        await held.deliver(letter("mail", "job/3", **named(held, "mail", {"text": "x", "by": lie})))
        told = email.message_from_string(server.mails.pop())
        assert "0123abcd/helper, which works for Elm Street" in str(told.get_payload())
        assert told["Commons-Principal"].strip() == "e1" * 32, "the node says whose it is"
        server.refuse = 1
        with pytest.raises(Undelivered, match="later"):
            await held.deliver(letter("mail", **body))
        assert len(server.mails) == 3, "none but those"
    with pytest.raises(Undelivered):
        await held.deliver(letter("mail", **body))


def test_no_title_writes_a_header_of_its_own(tmp_path: Path) -> None:
    held = drivers(
        tmp_path, mail={"kind": "mail", "server": "x", "sender": "a@b.c", "to": ["a@b.c"]}
    )
    driver: Any = held.driver("mail")
    from commons_node.drivers.desktop import Notice

    written = driver._written("k", "a@b.c", Notice("text", "one\r\nBcc: eve@evil.example"))
    assert written["Bcc"] is None
    assert written["Subject"] == "one Bcc: eve@evil.example"


# -- webhook, files, paper -------------------------------------------------------------------------


async def test_a_webhook_is_told_with_a_key_until_it_says_yes(tmp_path: Path) -> None:
    async with web_server() as server:
        url = f"http://127.0.0.1:{server.port}/hook"
        held = drivers(tmp_path, hook={"kind": "webhook", "url": url, "token": "abc"})
        server.says("/hook", status=503)
        with pytest.raises(Undelivered, match="503"):
            await held.deliver(letter("hook", body={"n": 1}))
        server.says("/hook", status=204)
        await held.deliver(letter("hook", body={"n": 1}))
        one, two = server.asked
        assert one.headers["idempotency-key"] == two.headers["idempotency-key"]
        assert two.headers["authorization"] == "Bearer abc"
        assert (two.line.split()[0], json.loads(two.body)) == ("POST", {"n": 1})
        assert "commons-agent" not in two.headers, "it is the node's own"
        await held.deliver(letter("hook", **named(held, "hook", {"body": [1]})))
        whose = server.asked[-1].headers
        assert (whose["commons-agent"], whose["commons-principal"]) == (
            "0123abcd/helper", "e1" * 32,
        )  # fmt: skip
        assert json.loads(server.asked[-1].body) == [1], "what it says is as it was"
        server.says("/hook", status=302, more="Location: http://127.0.0.1:1/\r\n")
        with pytest.raises(CommonsError):
            await held.deliver(letter("hook", body={}))


async def test_files_stay_in_their_folder_and_within_its_quota(tmp_path: Path) -> None:
    folder, outside = tmp_path / "drop", tmp_path / "outside"
    folder.mkdir()
    held = drivers(tmp_path, drop={"kind": "file-drop", "folder": str(folder), "quota_mib": 1})
    for _ in range(2):
        await held.deliver(letter("drop", name="report.csv", text="a;b\n"))
    await held.deliver(letter("drop", "job/2", name="report.csv", text="c;d\n"))
    texts = sorted(one.read_text() for one in folder.iterdir())
    assert texts == ["a;b\n", "c;d\n"], "one file for one letter; none overwrites another's"
    for name in ("../x", "/etc/x", ".hidden", "a/b", "a\x00b", ""):
        with pytest.raises(BadMessage):
            held.checked("drop", {"name": name, "text": ""})
    with pytest.raises(Undelivered, match="at most"):
        await held.deliver(letter("drop", "job/3", name="big", text="x" * (1 << 20)))
    with pytest.raises(Undelivered, match="base64"):
        await held.deliver(letter("drop", "job/4", name="b", base64="?"))
    (one, *_rest) = sorted(folder.iterdir())
    name = one.name
    one.unlink()
    one.symlink_to(outside)
    await held.deliver(letter("drop", "job/1" if "a;b" in texts[0] else "job/2",
                              name="report.csv", text="again"))  # fmt: skip
    assert not outside.exists(), f"nothing is written through {name}"


async def test_a_label_is_a_pdf_whose_code_can_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "paper").mkdir()
    held = drivers(
        tmp_path,
        pdf={"kind": "printer", "folder": str(tmp_path / "paper")},
        cups={"kind": "printer", "queue": "labels"},
    )
    label = {"title": "Borrmaskin (större)", "code": "DR-1", "lines": ["Elm Street", "x" * 80]}
    for _ in range(2):
        await held.deliver(letter("pdf", **label))
    (file,) = (tmp_path / "paper").iterdir()
    page = file.read_bytes()
    assert page.startswith(b"%PDF-1.4")
    assert "Borrmaskin \\(större\\)".encode("cp1252") in page, "its brackets are text"
    start = int(page.rpartition(b"startxref\n")[2].split()[0])
    assert page[start : start + 4] == b"xref"
    squares = sum(line.endswith(b" re") for line in page.splitlines())
    dark = sum(sum(row) for row in segno.make("DR-1", micro=False, error="m").matrix)
    assert squares == dark, "every dark module is drawn"
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NotSetUp, match="lp"):
        await held.deliver(letter("cups", **label))
    notes = program(tmp_path / "bin", "lp", monkeypatch)
    await held.deliver(letter("cups", **label))
    assert notes.read_text().split()[:2] == ["-d", "labels"]
    assert notes.with_name("lp.notes.in").read_bytes() == page
    program(tmp_path / "bin", "lp", monkeypatch, status=1)
    with pytest.raises(Undelivered, match="oops"):
        await held.deliver(letter("cups", **label))


async def test_a_desktop_shows_what_no_option_can_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = drivers(tmp_path, screen={"kind": "desktop"})
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NotSetUp):
        await held.deliver(letter("screen", text="hello"))
    notes = program(tmp_path / "bin", "notify-send", monkeypatch)
    await held.deliver(letter("screen", text="--icon=/etc/passwd", title="-u critical"))
    given = notes.read_text().splitlines()
    assert given[-3:] == ["--", "-u critical", "--icon=/etc/passwd"]


# -- sensors ---------------------------------------------------------------------------------------


async def test_a_sensor_at_a_serial_line(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    tty.setraw(ours)
    device = os.ttyname(theirs)
    stop = threading.Event()

    def tell() -> None:
        while not stop.wait(0.05):
            os.write(ours, b'ne\n{"t": 21.5}\nhalf a li')

    telling = threading.Thread(target=tell, daemon=True)
    telling.start()
    held = drivers(tmp_path, hall={"kind": "serial-sensor", "device": device, "timeout_s": 3})
    try:
        found: Any = await held.ask("hall", {})
        assert found["value"] == {"t": 21.5} or found["line"].startswith("half a line")
        stop.set()
        telling.join()
        mute = drivers(tmp_path, hall={"kind": "serial-sensor", "device": device, "timeout_s": 0.2})
        with pytest.raises(Undelivered, match="no whole line"):
            await mute.ask("hall", {})
        asked = drivers(
            tmp_path,
            hall={"kind": "serial-sensor", "device": device, "ask": "T?\n", "timeout_s": 3},
        )

        def answer() -> None:
            if os.read(ours, 16) == b"T?\n":
                os.write(ours, b"21.5\n")

        answering = threading.Thread(target=answer, daemon=True)
        answering.start()
        assert await asked.ask("hall", {}) == {"line": "21.5", "value": 21.5}
        answering.join(5)
    finally:
        stop.set()
        os.close(ours)
        os.close(theirs)


def test_what_a_line_means() -> None:
    lines = {"21.5": 21.5, '{"a": 1}': {"a": 1}, "t: 3": {"t": 3.0}, "rh=40": {"rh": 40.0},
             "hello": None, "t: warm": None, "[" * 10_000: None}  # fmt: skip
    assert {line: value_of(line) for line in lines} == lines


async def test_a_sensor_behind_a_broker(tmp_path: Path) -> None:
    async with listening(mqtt) as port:
        held = drivers(tmp_path, hall={
            "kind": "mqtt-sensor", "server": "127.0.0.1", "port": port, "timeout_s": 1,
            "topics": ["hall/temperature", "hall/silent"],
        })  # fmt: skip
        assert await held.ask("hall", {"topic": "hall/temperature"}) == {
            "topic": "hall/temperature", "line": "21.5", "value": 21.5,
        }  # fmt: skip
        with pytest.raises(Undelivered, match="does not let"):
            await held.ask("hall", {"topic": "bedroom/sound"})
        with pytest.raises(Undelivered, match="nothing on"):
            await held.ask("hall", {"topic": "hall/silent"})
        (tmp_path / "secret").write_text("guess")
        eves = drivers(tmp_path, hall={
            "kind": "mqtt-sensor", "server": "127.0.0.1", "port": port, "topics": ["hall/x"],
            "user": "eve", "password_file": str(tmp_path / "secret"),
        })  # fmt: skip
        with pytest.raises(Undelivered, match="refuses: Not authorized"):
            await eves.ask("hall", {"topic": "hall/x"})
    with pytest.raises(Undelivered):
        await held.ask("hall", {"topic": "hall/temperature"})


async def test_a_camera_reads_the_codes_of_a_picture(tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    held = drivers(tmp_path, eye={"kind": "camera", "folder": str(folder)})
    with pytest.raises(Undelivered, match="no picture"):
        await held.ask("eye", {})
    segno.make("commons1:DR-1", error="m").save(str(folder / "old.png"), scale=6)
    os.utime(folder / "old.png", (1, 1))
    segno.make("4C1D2E3F4A5B6C7D", micro=False).save(str(folder / "new.png"), scale=6)
    newest: Any = await held.ask("eye", {})
    assert newest == {"name": "new.png",
                      "codes": [{"format": "QRCode", "text": "4C1D2E3F4A5B6C7D"}]}  # fmt: skip
    older: Any = await held.ask("eye", {"name": "old.png"})
    assert older["codes"][0]["text"] == "commons1:DR-1"
    (folder / "broken.png").write_bytes(b"\x89PNG no picture")
    (folder / "secret.png").symlink_to("/etc/passwd")
    with pytest.raises(Undelivered):
        await held.ask("eye", {"name": "broken.png"})
    with pytest.raises(Undelivered, match="no such"):
        await held.ask("eye", {"name": "secret.png"})
    with pytest.raises(BadMessage):
        await held.ask("eye", {"name": "../pictures/new.png"})


# -- from an agent to the outside ------------------------------------------------------------------


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
