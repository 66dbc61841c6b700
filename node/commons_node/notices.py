"""The verbs of notices: what a member did that counts otherwise than before, and why; and news.

A notice is of the member whose act it is: only who is unlocked at this terminal reads it. Members
who were removed read theirs too. News of what a member borrows, and of spaces, stands below: it
follows from how things are, so that what is over is no news; that of spaces can be noted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Annotated, ClassVar

import msgspec

from commons_crdt.errors import CommonsError
from commons_crdt.ids import MemberId
from commons_crdt.roles import Role
from commons_crdt.texts import _
from commons_crdt.verdict import Verdict
from commons_node.community import Community
from commons_node.domains.lending.news import news_of
from commons_node.domains.reputation.vouches import ready_newcomers
from commons_node.domains.spaces.telling import HELD, News, news_of_spaces
from commons_node.explaining import catalogue
from commons_node.explaining.doubting import Doubt, doubt_of
from commons_node.explaining.explained import Explaining, moment
from commons_node.realm.notices import Notice
from commons_node.registry import (
    Column,
    Command,
    Reading,
    Registry,
    Request,
    Table,
    View,
    option,
)

if TYPE_CHECKING:
    from commons_node.daemon import Daemon


class NobodyReads(CommonsError):
    """Nobody is unlocked at this terminal, so that nothing can be told to anybody."""

    code: ClassVar[str] = "locked"
    hint: ClassVar[str] = "commons-node member unlock"
    status = "locked"


class ListNotices(msgspec.Struct):
    """Arguments of ``notice list``."""

    all: Annotated[bool, option("those too that were read")] = False


class Nothing(msgspec.Struct):
    """No arguments."""


async def _readers(request: Request[Daemon]) -> tuple[Community, list[MemberId]]:
    """Who is unlocked here and lives in the community."""
    community = await request.node.community(request)
    unlocked = request.session.members() if request.session is not None else ()
    here = [MemberId(bytes.fromhex(one)) for one in unlocked]
    if request.member is not None:
        named = await community.member(request.member)
        here = [one for one in here if one == named]
    here = [one for one in here if one in community.realm.notices.residents]
    if not here:
        raise NobodyReads
    return community, here


async def list_notices(request: Request[Daemon], args: ListNotices) -> Reading:
    """What counts otherwise than before, and news of loans and spaces."""
    community, members = await _readers(request)
    explaining = await Explaining.of(community)
    now = request.node.now_ms()
    rows: list[dict[str, object]] = [
        await _row(explaining, member, notice)
        for member in members
        for notice in await community.realm.notices.of(member, unread=not args.all)
    ]
    doubt = await doubt_of(community)
    if doubt is not None and doubt.code == "seal_differs":
        explained = await explaining.explain(doubt.seal)
        rows.insert(0, _of_seal(doubt, explained.json))
    roles = community.realm.judge.authority.members()
    if any(roles.get(member) is Role.COORDINATOR for member in members):
        ready = await ready_newcomers(community, now)
        rows += [_of_newcomer(one) for one in ready]
    for member in members:
        told = await news_of(community, member, now)
        rows += [_of_loan(member, one) for one in told]
    of_spaces = [(m, one) for m in members for one in await news_of_spaces(community, m, now)]
    rows += [_of_space(member, one) for member, one in of_spaces if one.quiet_until is None]
    value = {
        "notices": rows,
        "says": summary(row["now"] for row in rows),
        "held": [_held(one) for _member, one in of_spaces if one.quiet_until is not None],
    }
    return await community.reading(value)


async def notice_in_wordss(request: Request[Daemon], _args: Nothing) -> Mapping[str, object]:
    """Take note of all notices."""
    community, members = await _readers(request)
    count = 0
    for member in members:
        unread = await community.realm.notices.of(member)
        await community.realm.notices.mark_read(member, [one.operation for one in unread])
        count += len(unread)
        now = request.node.now_ms()
        for news in await news_of_spaces(community, member, now):
            if news.quiet_until is None:  # what waits has not been seen
                await community.realm.notices.know(member, news.operations, now)
                count += 1
    return {"read": count}


async def _row(explaining: Explaining, member: MemberId, notice: Notice) -> dict[str, object]:
    explained = await explaining.explain(notice.operation)
    sentence = explained.sentence
    because = list(explained.because)
    if notice.rests_on is not None:
        under = await explaining.explain(notice.rests_on)
        sentence = catalogue.sentence(catalogue.TOUCHED, what=_of(under.name, under.standing.kind))
        sentence = f"{sentence} {under.sentence}"
        because = [under.json]
    return {
        **explained.json,
        "about": "act",
        "because": because,
        "member": member.hex(),
        "was": notice.was.name.lower(),
        "now": _now(notice, explained.standing.judgement.verdict),
        "rests_on": notice.rests_on.hex() if notice.rests_on else None,
        "sentence": sentence,
        "found": moment(notice.at_ms),
        "read": notice.read,
    }


def _of_seal(doubt: Doubt, explained: Mapping[str, object]) -> dict[str, object]:
    """A seal that does not fit is everybody's; it is gone when the reason is, not when read."""
    return {
        **explained,
        "about": "seal",
        "member": None,
        "was": explained["verdict"],
        "now": catalogue.NOW["differs"],
        "rests_on": None,
        "sentence": f"{doubt.sentence} {doubt.next_action}",
        "found": None,
        "read": False,
    }


def _of_newcomer(ready: Mapping[str, object]) -> dict[str, object]:
    """A newcomer with enough vouches is every coordinator's; gone when the role is given."""
    return {
        "about": "newcomer",
        "operation": ready["newest"],
        "what": ready["what"],
        "member": ready["member"],
        "author": ready["name"],
        "now": catalogue.NOW["ready"],
        "because": [],
        "sentence": ready["sentence"],
        "next": ready["next"],
        "rests_on": None,
        "found": None,
        "read": False,
    }


def _of_loan(member: MemberId, news: Mapping[str, object]) -> dict[str, object]:
    """News of a loan is its borrower's; gone when the reason is."""
    return {
        "about": "loan",
        "operation": news["loan"],
        "what": f"{news['name']} {news['number'] or ''}".strip(),
        "member": member.hex(),
        "now": catalogue.NOW["loan"],
        "because": [],
        "sentence": news["sentence"],
        "next": news["next"],
        "kind": news["kind"],
        "due_day": news["due_day"],
        "rests_on": None,
        "found": None,
        "read": False,
    }


def _of_space(member: MemberId, news: News) -> dict[str, object]:
    """News of a space is everybody's but its author's; gone when noted, or after two weeks."""
    return {
        "about": "space",
        "operation": news.operations[-1].hex(),
        "what": news.space.name,
        "space": news.space.id.hex(),
        "member": member.hex(),
        "now": catalogue.NOW["space"],
        "because": [],
        "sentence": news.sentence,
        "next": f"commons-node space show {news.space.id.hex()[:12]}",
        "rests_on": None,
        "found": moment(news.at_ms),
        "read": False,
    }


def _held(news: News) -> dict[str, object]:
    assert news.quiet_until is not None
    until = news.quiet_until
    said = catalogue.sentence(HELD, name=news.space.name, time=f"{until:%H:%M}")
    return {
        "space": news.space.id.hex(),
        "name": news.space.name,
        "until": until.isoformat(timespec="seconds"),
        "sentence": said,
    }


def _of(name: str, kind: str) -> str:
    return _(catalogue.OF).format(what=catalogue.act(kind), name=name)


def _now(notice: Notice, verdict: Verdict) -> str:
    if notice.rests_on is not None:
        return catalogue.NOW["touched"]
    if verdict is Verdict.ACCEPTED:
        return catalogue.NOW["again"]
    return catalogue.NOW["fallen" if notice.was is Verdict.ACCEPTED else "never"]


def summary(ways: Iterable[object]) -> str | None:
    """One sentence for each way in which acts count otherwise; None if there are none."""
    counted = Counter(ways)
    told = [
        catalogue.COUNTED[key](counted[word]).format(count=counted[word])
        for key, word in catalogue.NOW.items()
        if counted[word]
    ]
    return " ".join(told) or None


async def told_at_unlock(
    community: Community, member: MemberId, now_ms: int
) -> tuple[int, str | None]:
    """How many notices an unlocking member has not read, and what they and the news amount to."""
    unread = await community.realm.notices.of(member)
    stand = await community.realm.store.standings([one.operation for one in unread])
    ways = [_now(one, stand[one.operation].judgement.verdict) for one in unread]
    doubt = await doubt_of(community)
    if doubt is not None and doubt.code == "seal_differs":
        ways.append(catalogue.NOW["differs"])
    ways += [catalogue.NOW["loan"]] * len(await news_of(community, member, now_ms))
    fresh = await news_of_spaces(community, member, now_ms)
    ways += [catalogue.NOW["space"]] * sum(one.quiet_until is None for one in fresh)
    told = summary(ways)
    return len(unread), told and f"{told} {_(catalogue.WHERE)}"


REGISTRY = Registry(
    commands=(
        Command("notice.read", "Take note of all notices.", Nothing, notice_in_wordss,
                says="Notices that were read: {read}."),
    ),
    views=(
        View("notice.list", "What counts otherwise than before, and what is new.", ListNotices,
             list_notices, says="{says}",
             table=Table("notices", (Column("what", "What"), Column("now", "Now"),
                                     Column("sentence", "Because"),
                                     Column("operation", "Id", "id")),
                         "Nothing is new, and everything that you did counts as before.")),
    ),
    nouns={"notice": "what you should know"},
)  # fmt: skip
