"""Pages for the printer: whole in themselves, and what people wrote is only words in them."""

from __future__ import annotations

import base64
import gettext
import io
import re
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import segno
from tests.unit.street import homes
from tests.unit.test_lending_nodes import drill

from commons_crdt.texts import reading
from commons_node.community import Community
from commons_node.domains.resources.things import find_thing
from commons_node.membership.admissions import Admissions
from commons_node.printing.join_sheet import join_sheet
from commons_node.printing.page import qr
from commons_node.verifier.pool import VerifierPool


class Reader(HTMLParser):
    """Tags, attributes and words of a page."""

    def __init__(self, data: bytes) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.words = ""
        self.feed(data.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.words += data

    def is_alone(self) -> bool:
        """Nothing is fetched and nothing is run."""
        names = {name for name, _ in self.attributes}
        loads = {"script", "link", "img", "iframe", "object", "image", "use"} & set(self.tags)
        return not loads and not names & {"src", "href", "xlink:href", "onload", "onclick"}


def drawn(data: str) -> str:
    """The modules of a code, as segno draws them."""
    out = io.BytesIO()
    code = segno.make(data, micro=False, error="m")
    code.save(out, kind="svg", xmldecl=False, svgns=False, border=4, omitsize=True)
    return out.getvalue().decode().strip().partition("<path")[2]


async def test_labels_carry_a_code_that_finds_the_thing(tmp_path: Path, pool: VerifierPool) -> None:
    async with homes(tmp_path, pool, "north") as (north,):
        thing = await drill(north)
        await drill(north, "7", model="<script>alert(1)</script>")
        gone = await drill(north, "9", model="Old")
        await north.do("alice", "resource.edit", resource="9", state="retired")
        seen = await north.see("resource.labels", out="labels.html")
        assert seen.value["labels"] == 2, "what is retired has none"
        data = base64.b64decode(seen.value["sheet"])
        page = Reader(data)
        assert page.is_alone()
        assert page.tags.count("svg") == 2
        assert "1622" in page.words
        assert "<script>alert(1)</script>" in page.words, "a name is words, never markup"
        code = thing[:16].upper()
        assert drawn(code) in data.decode()
        assert gone[:16].upper() not in data.decode()
        found = await find_thing(Community(north.realm), code)
        assert found.id.hex() == thing, "what a scanner types finds the thing"
        seen = await north.see("resource.labels", out="labels.html", query="1622")
        assert seen.value["labels"] == 1


async def test_a_sheet_on_the_wall_carries_an_invite(
    tmp_path: Path, pool: VerifierPool, monkeypatch: Any
) -> None:
    async with homes(tmp_path, pool, "north") as (north,):
        node: Any = SimpleNamespace(now_ms=north.now_ms, addresses=())
        monkeypatch.setattr(type(north), "admissions", Admissions(node), raising=False)
        made = await north.do("alice", "invite.sheet", out="join.html", uses=5)
        data = base64.b64decode(made["sheet"])
        page = Reader(data)
        assert page.is_alone()
        assert made["code"] in page.words
        assert drawn(made["code"]) in data.decode()
        assert "Good for 5 people" in page.words


def test_what_a_community_calls_itself_is_words_too() -> None:
    page = Reader(join_sheet('"><img src=x>', "commons1abc", 2, "2026-12-01T00:00:00Z"))
    assert page.is_alone()
    assert '"><img src=x>' in page.words
    assert 'aria-label="a &quot;b&quot;"' in qr("x", 20, 'a "b"')


class Marked(gettext.NullTranslations):
    """A language that shows what went through its catalogue."""

    def gettext(self, message: str) -> str:
        return f"«{message}»"

    def ngettext(self, msgid1: str, msgid2: str, n: int) -> str:
        return f"«{msgid1 if n == 1 else msgid2}»"

    def info(self) -> dict[str, str]:
        return {"language": "xx"}


def test_a_sheet_is_in_the_language_of_who_asks_for_it() -> None:
    token = reading.set(Marked())
    try:
        sheet = join_sheet("Elm", "commons1abc", 1, "2026-12-01T00:00:00Z")
    finally:
        reading.reset(token)
    assert b'<html lang="xx">' in sheet
    said = re.findall(r"<(?:h1|p|li)[^>]*>([^<]+)<", sheet.decode())
    assert len(said) == 6
    assert all(one.startswith("«") and one.endswith("»") for one in said)
    assert "«Good for 1 person" in said[-1]
    assert b'<html lang="en">' in join_sheet("Elm", "commons1abc", 1, "2026-12-01T00:00:00Z")
