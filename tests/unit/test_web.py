"""Where an agent's request may go: to what is listed, and to no address behind it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.unit.bureau import bureau
from tests.unit.servers import certificate, web_server

from commons_crdt.errors import CommonsError
from commons_node.agents.manifest import Grant
from commons_node.web import Allowed, Forbidden, Larger, Web, WebFault, public


class Names:
    """A name service of a test; counts who asks."""

    def __init__(self, **known: Sequence[str]) -> None:
        self.known = known
        self.asked: list[str] = []

    async def __call__(self, host: str, _port: int) -> Sequence[str]:
        self.asked.append(host)
        return self.known.get(host.replace(".", "_"), [host])


def allowed(*lines: str) -> list[Allowed]:
    return [Allowed.of(one) for one in lines]


@pytest.mark.parametrize(
    ("address", "open_"),
    [
        ("93.184.216.34", True), ("2606:2800:220:1::1", True), ("127.0.0.1", False),
        ("10.1.2.3", False), ("192.168.0.1", False), ("172.16.9.9", False), ("0.0.0.0", False),  # noqa: S104 - an address to refuse
        ("169.254.169.254", False), ("100.64.0.1", False), ("224.0.0.1", False), ("::1", False),
        ("fe80::1%eth0", False), ("fd00::1", False), ("::ffff:127.0.0.1", False),
        ("::ffff:93.184.216.34", True), ("64:ff9b::7f00:1", False), ("2002:7f00:1::", False),
        ("2001:0:7f00:1::", False), ("255.255.255.255", False),
    ],
)  # fmt: skip
def test_which_addresses_are_of_the_open_internet(address: str, open_: bool) -> None:
    assert public(address) is open_


def test_a_line_of_the_list_says_protocol_port_and_host() -> None:
    (one,) = allowed("example.org")
    assert one.fits("https", "example.org", 443)
    assert not one.fits("http", "example.org", 80)
    assert not one.fits("https", "example.org", 8443)
    for other in ("www.example.org", "example.org.evil.net", "evilexample.org"):
        assert not one.fits("https", other, 443)
    (any_,) = allowed("*.example.org")
    assert any_.fits("https", "www.example.org", 443)
    assert not any_.fits("https", "example.org", 443)
    assert not any_.fits("https", "evilexample.org", 443)
    assert allowed("local:http://hall:8080")[0] == Allowed("hall", 8080, "http", True)
    for bad in ("*", "https://", "exa mple.org", "user@example.org", "example.org/path", "**.org"):
        with pytest.raises(Forbidden):
            Allowed.of(bad)


@pytest.mark.parametrize(
    "url",
    [
        "http://a.org/", "https://b.org/", "https://a.org:444/", "ftp://a.org/", "//a.org/",
        "https://a.org@b.org/", "https://me:pw@a.org/", "https://a.org\\@b.org/", "https://[::1]/",
        "https://127.0.0.1/", "https://a.org/\r\nX: y", "https://a.org/a b", "file:///etc/passwd",
        "https://\uff41.org/", "https://a.org:99999/", "https:///a.org", "",
    ],
)  # fmt: skip
async def test_whatever_is_not_listed_is_asked_of_nobody(url: str) -> None:
    names = Names()
    with pytest.raises(Forbidden):
        await Web(find=names).fetch(url, allowed("a.org"))
    assert names.asked == [], "not even its name is looked up"


async def test_a_name_that_leads_home_leads_nowhere() -> None:
    async with web_server() as server:
        server.says("/", b"a secret of the host")
        for hidden in (["127.0.0.1"], ["93.184.216.34", "127.0.0.1"], ["::ffff:127.0.0.1"]):
            names = Names(a_org=hidden)
            with pytest.raises(Forbidden, match="private"):
                await Web(find=names).fetch(
                    f"http://a.org:{server.port}/", allowed(f"http://a.org:{server.port}")
                )
        assert server.asked == []


async def test_one_lookup_and_the_address_itself_is_dialled(tmp_path: Path) -> None:
    secure, trust = certificate(tmp_path, ["a.org"])
    async with web_server(secure) as server:
        server.says("/x?y=1", b"hello", more="ETag: 7\r\nSet-Cookie: a=b\r\n")
        names = Names(a_org=["127.0.0.1"], c_org=["127.0.0.1"])
        web = Web(trust, names)
        here = allowed(f"local:a.org:{server.port}", f"local:c.org:{server.port}")
        found = await web.fetch(f"https://a.org:{server.port}/x?y=1#z", here)
        assert (found.status, found.body, found.headers) == (200, b"hello", {"etag": "7"})
        assert names.asked == ["a.org"]
        (asked,) = server.asked
        assert asked.line == "GET /x?y=1 HTTP/1.1"
        assert asked.headers["host"] == f"a.org:{server.port}"
        assert not {"cookie", "authorization"} & asked.headers.keys()
        with pytest.raises(WebFault, match=r"(?i)certificate"):
            await web.fetch(f"https://c.org:{server.port}/", here)
        with pytest.raises(WebFault, match=r"(?i)certificate"):
            await Web(find=names).fetch(f"https://a.org:{server.port}/", here)


async def test_redirects_go_where_the_list_lets_them() -> None:
    async with web_server() as one, web_server() as other:
        other.says("/", b"not for agents")
        here = allowed(f"local:http://127.0.0.1:{one.port}")
        base = f"http://127.0.0.1:{one.port}"
        one.says("/a", status=302, more="Location: /b\r\n")
        one.says("/b", b"there")
        assert (await Web().fetch(f"{base}/a", here, method="POST", body=b"x")).body == b"there"
        assert [asked.line.split()[0] for asked in one.asked] == ["POST", "GET"]
        for place in (f"http://127.0.0.1:{other.port}/", "file:///etc/passwd", "//localhost/"):
            one.says("/out", status=302, more=f"Location: {place}\r\n")
            with pytest.raises(Forbidden):
                await Web().fetch(f"{base}/out", here)
        one.says("/round", status=307, more="Location: /round\r\n")
        with pytest.raises(WebFault, match="redirects"):
            await Web().fetch(f"{base}/round", here)
        assert other.asked == []


async def test_what_is_large_slow_or_no_http_ends() -> None:
    async with web_server() as server:
        here = allowed(f"local:http://127.0.0.1:{server.port}")
        base = f"http://127.0.0.1:{server.port}"
        server.says("/large", b"x" * 50_000)
        with pytest.raises(Larger):
            await Web().fetch(f"{base}/large", here, most=10_000)
        with pytest.raises(WebFault, match="longer"):
            await Web().fetch(f"{base}/slow", here, timeout_s=0.2)
        server.answers["/odd"] = b"\x00" * 400_000
        server.answers["/head"] = b"HTTP/1.1 200 X\r\n" + b"a: b\r\n" * 100_000
        server.answers["/cut"] = b"HTTP/1.1 200 X\r\nContent-Length: 9\r\n\r\nab"
        for path in ("/odd", "/head", "/cut"):
            with pytest.raises(WebFault):
                await Web().fetch(f"{base}{path}", here)


async def test_an_agent_asks_only_where_host_and_grant_say_so(tmp_path: Path) -> None:
    async with web_server() as server, bureau(tmp_path) as house:
        server.says("/", "å".encode())
        server.says("/bytes", b"\xff\xfe")
        url = f"http://127.0.0.1:{server.port}/"
        house.granted = {"http.fetch": Grant(hosts=(f"local:http://127.0.0.1:{server.port}",))}

        async def refused(**params: Any) -> str:
            with pytest.raises(CommonsError) as found:
                await run("http.fetch", **params)
            return found.value.code

        run = await house.run()
        assert await refused(url=url) == "not_set_up", "off unless the host turns it on"
        await run.done()
        await house.close()
        house.web = Web()
        await house.open()
        run = await house.run()
        assert await run("http.fetch", url=url) == {"status": 200, "headers": {}, "body": "å"}
        assert (await run("http.fetch", url=url + "bytes"))["base64"] == "//4="
        assert await refused(url="http://127.0.0.1:1/") == "not_granted"
        assert await refused(url=url, headers={"Cookie": "a"}) == "not_granted"
        assert await refused(url=url, headers={"Accept": "a\r\nX: y"}) == "bad_parameters"
        assert await refused(url=url, method="DELETE") == "bad_parameters"
        house.granted = {"http.fetch": Grant(hosts=(f"http://127.0.0.1:{server.port}",))}
        assert await refused(url=url) == "not_granted", "loopback is granted by name only"
        house.granted = {"http.fetch": Grant()}
        assert await refused(url=url) == "not_granted", "no list allows nothing"
        assert len(server.asked) == 2
