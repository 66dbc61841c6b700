"""Mail over TLS to a server on loopback: who is believed, who is let in, and who is waited for."""

from __future__ import annotations

import asyncio
import email
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from tests.unit.bureau import AGENT, ELM, bureau
from tests.unit.servers import MailServer, certificate, listening, mail_server, slow_server

from commons_node.drivers import mail
from commons_node.drivers.driver import Around, NotSetUp, Undelivered
from commons_node.drivers.held import Drivers
from commons_node.jobs import besides
from commons_node.jobs.effects import Effect
from commons_node.jobs.outbox import RETRY, Letter, Outbox
from commons_node.web import Web

SECRET = "only anna knows"
USER = ("anna@elm.example", SECRET)


def post(folder: Path, port: int, **more: object) -> Drivers:
    """anna's post, with STARTTLS and her password in a file."""
    (folder / "password").write_text(f"{SECRET}\n")
    settings: Mapping[str, Any] = {
        "kind": "mail", "server": "127.0.0.1", "port": port, "sender": "node@elm.example",
        "to": ["bo@elm.example"], "user": USER[0], "password_file": str(folder / "password"),
        **more,
    }  # fmt: skip
    return Drivers({"post": settings}, Around(Web(), folder))


def letter(key: str = "job/1") -> Letter:
    return Letter(1, key, "driver:post", {"text": "The drill is late."}, 0)


@pytest.fixture
def trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The server's side of a certificate that this machine believes; of mail.example, 127.0.0.1."""
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "server.pem"))
    monkeypatch.delenv("SSL_CERT_DIR", raising=False)
    return certificate(tmp_path, ["mail.example"])[0]


async def test_a_letter_goes_over_tls_after_the_login(tmp_path: Path, trusted: Any) -> None:
    async with mail_server(trusted, USER) as server:
        await post(tmp_path, server.port).deliver(letter())
        (one,) = server.mails
        assert email.message_from_string(one)["To"] == "bo@elm.example"
        said = [line.split()[0].upper() for line in server.clear()]
        assert said == ["EHLO", "STARTTLS"], "all else is for the server alone"
        assert [line for safe, line in server.heard if safe and line.startswith("AUTH PLAIN")]
        server.bye = b"421 4.3.0 I am tired\r\n"
        await post(tmp_path, server.port).deliver(letter("job/2"))
        assert len(server.mails) == 2, "what was taken is taken, however they part"


async def test_a_letter_over_tls_from_the_first_byte(tmp_path: Path, trusted: Any) -> None:
    server = MailServer()
    async with listening(server.serve, trusted) as port:
        held = post(tmp_path, port, security="tls", user="", password_file="")
        await held.deliver(letter())
    assert len(server.mails) == 1


async def test_a_wrong_password_is_told_and_waits_to_be_mended(
    tmp_path: Path, trusted: Any
) -> None:
    async with mail_server(trusted, USER) as server:
        held = post(tmp_path, server.port)
        (tmp_path / "password").write_text("a guess")
        with pytest.raises(Undelivered, match="refuses user and password: 535"):
            await held.deliver(letter())
        assert server.mails == server.to == []
        (tmp_path / "password").write_text(SECRET)
        await held.deliver(letter())
        assert len(server.mails) == 1, "the file is read each time"


@pytest.mark.parametrize("lie", ["a stranger's", "of another name", "none at all"])
async def test_a_server_that_can_not_prove_itself_learns_nothing(
    tmp_path: Path, trusted: Any, monkeypatch: pytest.MonkeyPatch, lie: str
) -> None:
    secure, where = trusted, "127.0.0.1"
    if lie == "a stranger's":
        (tmp_path / "eve").mkdir()
        secure, _ = certificate(tmp_path / "eve", ["mail.example"])
    if lie == "of another name":
        where = "localhost"
    async with mail_server(None if lie == "none at all" else secure, USER) as server:
        with pytest.raises(Undelivered) as found:
            await post(tmp_path, server.port, server=where).deliver(letter())
        told = "STARTTLS" if lie == "none at all" else "certificate can't be trusted"
        assert told in str(found.value)
        assert server.heard, "it was asked"
        assert server.mails == server.to == []
        words = {line.split()[0].upper() for _, line in server.heard}
        assert words <= {"EHLO", "STARTTLS", "QUIT"}, "neither password nor letter"


async def test_a_server_that_never_ends_is_left_and_so_is_its_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with slow_server() as server:
        monkeypatch.setattr(mail, "_LETTER_S", 2.0)
        with pytest.raises(Undelivered, match="too long"):
            await post(tmp_path, server.port, security="none").deliver(letter())
        await server.left.wait()
        assert server.said > 1, "each answer was in time, and none was whole"
    async with slow_server() as server:
        monkeypatch.setattr(mail, "_LETTER_S", 3_600.0)
        going = asyncio.ensure_future(
            post(tmp_path, server.port, security="none").deliver(letter())
        )
        await server.began.wait()
        going.cancel()
        await asyncio.gather(going, return_exceptions=True)
        await server.left.wait()
        assert going.cancelled(), "a node that stops waits for no server"


async def test_a_letter_that_is_refused_waits_is_given_up_and_is_sent_when_that_is_mended(
    tmp_path: Path, trusted: Any
) -> None:
    async with mail_server(trusted, USER) as server, bureau(tmp_path) as house:
        held = post(tmp_path, server.port)
        (tmp_path / "password").write_text("a guess")
        outbox = Outbox(house.desk, {"driver:post": held.deliver}, random.Random(1))
        run = await house.run()
        letter = {"to": "driver:post", "body": {"text": "late"}, "agent": AGENT, "principal": ELM}
        run.dealing.effects.append(Effect("outbox", "loan-7", letter))
        await run.done()
        job, zone = house.job.name, ZoneInfo("Europe/Stockholm")

        async def waits() -> tuple[str, str, str] | None:
            found = await house.desk.call(lambda queue: besides.undelivered(queue, job))
            for one in besides.of_letters(found, job, zone):
                return one["code"], one["sentence"], one["next_action"]
            return None

        assert await waits() is None, "nobody has tried yet"
        assert await outbox.empty() == 0
        code, sentence, action = await waits() or ("", "", "")
        assert code == "late"
        assert "post" in sentence
        assert "attempts: 1" in sentence
        assert "refuses user and password: 535 5.7.8 not you" in sentence
        assert f"job retry {job}" in action
        tries = len(server.heard)
        assert await outbox.empty() == 0, "not at once again"
        assert len(server.heard) == tries

        for _ in range(RETRY.attempts - 1):
            house.pass_time(RETRY.cap_s)
            await outbox.empty()
        assert (await waits() or [""])[0] == "lost"
        tries = len(server.heard)
        house.pass_time(30 * 86_400)
        assert await outbox.empty() == 0, "what is given up is not tried again by itself"
        assert len(server.heard) == tries

        (tmp_path / "password").write_text(SECRET)
        assert await house.desk.call(lambda queue: besides.resend(queue, job)) == 1
        assert await outbox.empty() == 1
        assert len(server.mails) == 1
        assert await waits() is None
        assert await house.desk.call(lambda queue: besides.resend(queue, job)) == 0


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"server": "mail.elm.example", "security": "none"}, "unprotected"),
        ({"password_file": ""}, "no password_file"),
        ({"password_file": "/nowhere/password"}, "not there"),
    ],
)
async def test_a_login_that_can_not_be_or_would_be_overheard_is_not_tried(
    tmp_path: Path, more: Mapping[str, str], why: str
) -> None:
    held = post(tmp_path, 25, **more)
    (row,) = held.rows()
    assert row["state"] == "lacking"
    assert why in str(row["why"])
    assert row["next_action"]
    with pytest.raises(NotSetUp, match=why):
        await held.deliver(letter())
