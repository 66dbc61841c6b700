"""The API as a stranger to our client sees it: bytes on a real socket, a real server behind it."""

from __future__ import annotations

import asyncio
import base64
import os
import socket
import stat
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from tests.cli.shed import ALICE, BOB, REGISTRY
from tests.unit.doors import opened, request

from commons_node.api import server as server_module
from commons_node.api.types import MAX_BODY, MAX_FILE_BODY
from commons_node.home import Home

pytestmark = pytest.mark.usefixtures("light")


async def test_the_socket_is_private_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        async with opened(tmp_path) as door:
            assert stat.S_IMODE(door.path.stat().st_mode) == 0o600
            assert stat.S_ISSOCK(door.path.stat().st_mode)
            assert stat.S_IMODE(door.path.parent.stat().st_mode) == 0o700
            names = {one.name for one in door.path.parent.iterdir()}
            assert names == {"api.sock"}, "nothing is left of the making"
    finally:
        os.umask(before)
    assert not door.path.exists(), "a stopped node leaves no socket"


async def test_a_socket_left_by_a_killed_daemon_is_replaced(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.create()
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(home.run / "api.sock"))
    left.close()
    async with opened(tmp_path) as door:
        assert (await door.get("/v1/views/status")).status == 200


async def test_another_user_is_hung_up_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened(tmp_path) as door:
        monkeypatch.setattr(server_module, "_ours", lambda connection: False)
        with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
            await door.get("/v1/views/status")
        monkeypatch.undo()
        assert (await door.get("/v1/views/status")).status == 200


async def test_a_view_says_how_far_it_can_be_trusted(tmp_path: Path) -> None:
    async with opened(tmp_path) as door:
        answer = await door.get("/v1/views/status")
        assert list(answer.json)[:2] == ["v", "ok"], "so a reader sees first what it reads"
        assert answer.json["as_of"] == "now"
        assert answer.json["missing"] == ["a1"]
        assert answer.json["conflicts"] == ["b2"]
        assert answer.headers["content-type"] == "application/json"


async def test_a_query_is_typed(tmp_path: Path) -> None:
    async with opened(tmp_path) as door:
        one = await door.get("/v1/views/thing.list?query=l&limit=1&tag=a&tag=b&state=in")
        assert [row["name"] for row in one.json["things"]] == ["drill"]
        assert one.json["tag"] == ["a", "b"]
        null = await door.get("/v1/views/thing.list?query=null")
        assert null.json["things"] == [], "text stays text, also the word null"
        for wrong, code in (
            ("limit=0", "bad_argument"),
            ("limit=two", "bad_argument"),
            ("limit=" + "9" * 400, "bad_argument"),
            ("limit=1&limit=2", "bad_argument"),
            ("state=lost", "bad_argument"),
            ("queri=x", "unknown_field"),
        ):
            answer = await door.get(f"/v1/views/thing.list?{wrong}")
            assert (answer.status, answer.code) == (400, code), wrong


@pytest.mark.parametrize(
    ("body", "code", "says"),
    [
        (b"{}", "missing_argument", "needs thing: the thing, by name"),
        (b"", "missing_argument", "needs thing"),
        (b'{"thing":1}', "bad_argument", "thing is wrong: expected text, got a whole number"),
        (b'{"thing":null}', "bad_argument", "thing is wrong"),
        (
            b'{"thing":"drill","days":0}',
            "bad_argument",
            "days is wrong: expected a whole number >= 1",
        ),
        (b'{"thing":"drill","days":1.5}', "bad_argument", "days is wrong"),
        (b'{"thing":"drill","state":"lost"}', "bad_argument", "choose ok or ticket"),
        (b'{"thing":"drill","until":"soon"}', "bad_argument", "until is wrong"),
        (b'{"thing":"drill","tag":["a",2]}', "bad_argument", "tag[1] is wrong"),
        (b'{"thing":"drill","dais":2}', "unknown_field", "takes no argument 'dais'"),
        (b'{"thing":"drill","offer":{"name":"x","data":"!"}}', "bad_argument", "offer.data"),
        (b'{"thing":"drill","offer":{"name":"x","data":"","x":1}}', "bad_argument", "offer"),
        (b"[]", "bad_json", "expected object"),
        (b"nonsense", "bad_json", "malformed"),
        (b'{"thing":', "bad_json", "truncated"),
        (b'{"thing":"\xff\xfe"}', "bad_json", "UTF-8"),
        (b'{"\xff":1}', "bad_json", "UTF-8"),
        (b'{"thing":' + b"[" * 100_000, "bad_json", "nested too deep"),
        (b'{"x":' * 100_000, "bad_json", "nested too deep"),
        (b'{"thing":"drill","tag":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "bad_json", "deep"),
    ],
)
async def test_a_wrong_request_is_told_what_is_wrong_with_it(
    tmp_path: Path, body: bytes, code: str, says: str
) -> None:
    async with opened(tmp_path) as door:
        answer = await door.post("thing.lend", body)
        assert answer.status == 400
        assert answer.code == code
        assert says in answer.json["error"]["message"]
        assert (await door.get("/v1/views/status")).status == 200, "the node is well"


async def test_a_near_name_is_suggested(tmp_path: Path) -> None:
    async with opened(tmp_path) as door:
        answer = await door.post("thing.lend", {"thing": "drill", "dais": 2})
        assert answer.json["error"]["hint"] == "did you mean days?"


async def test_a_huge_body_is_refused_before_it_is_read(tmp_path: Path) -> None:
    async with opened(tmp_path) as door:
        head = f"POST /v1/commands/thing.nap HTTP/1.1\r\nHost: x\r\nContent-Length: {MAX_BODY + 1}"
        answer = await door.raw(head.encode() + b"\r\n\r\n{")
        assert (answer.status, answer.code) == (413, "too_large")
        for taker in ("thing.import", "thing.lend"):
            files = head.replace("thing.nap", taker)
            endless = files.replace(str(MAX_BODY + 1), "9" * 40)
            assert (await door.raw(endless.encode() + b"\r\n\r\n")).status in {400, 413}
            over = files.replace(str(MAX_BODY + 1), str(MAX_FILE_BODY + 1))
            assert (await door.raw(over.encode() + b"\r\n\r\n")).code == "too_large"


async def test_a_file_where_a_code_would_do_may_be_as_large_as_a_file(tmp_path: Path) -> None:
    async with opened(tmp_path) as door:
        data = base64.b64encode(bytes(MAX_BODY)).decode()
        lent = {"thing": "drill", "offer": {"name": "offer", "data": data}}
        answer = await door.post("thing.lend", lent)
        assert answer.code != "too_large", "an offer file may carry a long chain"


async def test_a_body_without_a_length_is_counted_as_it_comes(tmp_path: Path) -> None:
    async with opened(tmp_path) as door:
        head = (
            b"POST /v1/commands/thing.nap HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
        answer = await door.raw(head + chunk * (MAX_BODY // 0x10000 + 1))
        assert (answer.status, answer.code) == (413, "too_large")


async def test_a_file_larger_than_other_bodies_is_taken(tmp_path: Path) -> None:
    import base64

    async with opened(tmp_path) as door:
        data = b"thing\n" * 400_000
        file = {"name": "things.txt", "data": base64.b64encode(data).decode()}
        answer = await door.post("thing.import", {"file": file})
        assert answer.status == 200, answer.body
        assert answer.json["read"] == 400_000
        assert answer.json["name"] == "things.txt"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/v1/commands/no.such", 400),
        ("GET", "/v1/views/no.such", 400),
        ("GET", "/v1/commands/thing.lend", 405),
        ("POST", "/v1/views/status", 405),
        ("GET", "/", 404),
        ("DELETE", "/v1/views/status", 405),
        ("GET", "/v1/views/%ff%fe", 400),
        ("GET", "/v1/views/../../etc/passwd", 404),
    ],
)
async def test_what_is_not_there_is_an_error_in_json(
    tmp_path: Path, method: str, path: str, status: int
) -> None:
    async with opened(tmp_path) as door:
        answer = await door.raw(request(method, path, {}, b""))
        assert answer.status == status
        assert answer.code == "unknown_verb"


async def test_bytes_that_are_no_http_harm_nobody(tmp_path: Path) -> None:
    async with opened(tmp_path) as door:
        for junk in (b"\x00" * 100, b"GET\r\n\r\n", b"\x16\x03\x01" + os.urandom(200)):
            reader, writer = await asyncio.open_unix_connection(str(door.path))
            writer.write(junk + b"\r\n\r\n")
            await asyncio.wait_for(reader.read(), 10)
            writer.close()
        long = b"GET / HTTP/1.1\r\nX: " + b"x" * 300_000
        reader, writer = await asyncio.open_unix_connection(str(door.path))
        writer.write(long)
        try:
            answer = await asyncio.wait_for(reader.read(), 10)
        except (BrokenPipeError, ConnectionResetError):
            answer = b"400"  # hung up on before all of it was sent
        assert b"400" in answer, "headers without end are refused"
        writer.close()
        assert (await door.get("/v1/views/status")).status == 200


async def test_errors_of_the_project_keep_their_sentence_and_class(tmp_path: Path) -> None:
    async with opened(tmp_path) as door:
        token = await door.unlock("alice")
        answer = await door.post("thing.lend", {"thing": "kite"}, commons_session=token)
        assert (answer.status, answer.code) == (404, "no_thing")
        assert answer.json["error"]["message"] == "There is no thing called kite."
        assert answer.json["error"]["hint"] == "commons-node thing list"
        locked = await door.post("thing.lend", {"thing": "drill"})
        assert (locked.status, locked.code) == (403, "locked")
        wrong = await door.post("member.unlock", {"member": "alice", "passphrase": "guess"})
        assert (wrong.status, wrong.code) == (403, "wrong_passphrase")


async def test_a_refusal_can_carry_a_report(tmp_path: Path) -> None:
    async with opened(tmp_path) as door:
        file = {"name": "x", "data": "b2sgPyBvaw=="}  # ok ? ok
        answer = await door.post("thing.import", {"file": file})
        assert (answer.status, answer.code) == (409, "not_imported")
        assert answer.json["error"]["report"]["rows"] == [{"row": 1, "outcome": "failed"}]


@pytest.mark.parametrize("verb", ["thing.stumble", "thing.timeout"])
async def test_a_fault_is_logged_and_never_shown(tmp_path: Path, verb: str) -> None:
    async with opened(tmp_path) as door:
        with capture_logs() as lines:
            answer = await door.post(verb)
        assert (answer.status, answer.code) == (500, "internal")
        assert b"secret" not in answer.body
        assert b"Traceback" not in answer.body
        (line,) = [one for one in lines if one["event"] == "a request failed"]
        assert line["exc_info"] is True
        assert line["reference"] in answer.json["error"]["hint"], "so the log line can be found"


async def test_a_call_ends_when_its_time_is_over(tmp_path: Path) -> None:
    async with opened(tmp_path) as door:
        async with asyncio.timeout(15):
            answer = await door.post("thing.nap", {"seconds": 20}, commons_timeout="0.2")
        assert (answer.status, answer.code) == (504, "timeout")
        for wrong in ("soon", "0", "-1", "nan", "inf"):
            answer = await door.post("thing.nap", {"seconds": 0}, commons_timeout=wrong)
            assert (answer.status, answer.code) == (400, "bad_argument"), wrong


async def test_a_body_that_never_comes_does_not_wait_for_ever(tmp_path: Path) -> None:
    async with opened(tmp_path) as door:
        head = b"POST /v1/commands/thing.nap HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n"
        answer = await door.raw(head + b"Commons-Timeout: 0.2\r\n\r\n{")
        assert (answer.status, answer.code) == (504, "timeout")


async def test_selectors_travel_in_any_script(tmp_path: Path) -> None:
    async with opened(tmp_path) as door:
        token = await door.unlock("alice")
        answer = await door.post(
            "thing.lend",
            {"thing": "drill"},
            commons_session=token,
            commons_community="S%C3%B6der%20%E5%8C%BA",
            commons_as="alice",
        )
        assert answer.json["community"] == "Söder 区"
        assert answer.json["borrower"] == ALICE


async def test_two_terminals_of_one_socket_do_not_share_an_unlock(tmp_path: Path) -> None:
    async with opened(tmp_path) as door:
        home, kiosk = await door.unlock("alice"), await door.unlock("bob")
        assert home != kiosk
        for token, member in ((home, ALICE), (kiosk, BOB)):
            answer = await door.post("thing.lend", {"thing": "drill"}, commons_session=token)
            assert answer.json["borrower"] == member
        stolen = await door.post(
            "thing.lend", {"thing": "drill"}, commons_session=home, commons_as="bob"
        )
        assert stolen.status == 403, "bob is unlocked at the kiosk, not here"
        assert await door.unlock("bob", kiosk) == kiosk, "a terminal keeps its session"
        await door.unlock("alice", kiosk)
        unclear = await door.post("thing.lend", {"thing": "drill"}, commons_session=kiosk)
        assert (unclear.status, unclear.code) == (400, "which_member")
        await door.post("member.lock", {}, commons_session=kiosk)
        locked = await door.post("thing.lend", {"thing": "drill"}, commons_session=kiosk)
        assert locked.status == 403


async def test_verbs_and_openapi_are_served(tmp_path: Path) -> None:
    async with opened(tmp_path) as door:
        verbs = (await door.get("/v1/verbs")).json
        assert verbs["ok"] is True
        assert {one["name"] for one in verbs["verbs"]} == {one.name for one in REGISTRY.verbs()}
        assert (await door.get("/v1/openapi.json")).json["openapi"] == "3.1.0"
