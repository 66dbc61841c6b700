"""Drivers that send: mail, webhook, files, paper, with what they really talk to."""

from __future__ import annotations

import email
import json
from pathlib import Path
from typing import Any

import pytest
import segno
from tests.unit.driving import drivers, letter, named, program
from tests.unit.servers import mail_server, web_server

from commons_crdt.errors import CommonsError
from commons_node.drivers.driver import NotSetUp, Undelivered
from commons_node.drivers.held import BadMessage


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
