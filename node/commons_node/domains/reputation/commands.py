"""The verbs of reputation: speak about a loan, answer, open what is sealed, look at a member."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec

from commons_crdt.ids import MemberId
from commons_crdt.roles import Role
from commons_crdt.texts import N_
from commons_node.community import Unknown, find, written
from commons_node.domains.lending.deciding import part
from commons_node.domains.lending.loans import find_loan
from commons_node.domains.needed import needs_rules
from commons_node.domains.reputation import attesting, telling, vouches
from commons_node.domains.reputation.counting import among, counts, within, words_about
from commons_node.domains.reputation.facts import BLIND_MS
from commons_node.domains.reputation.opening import open_due
from commons_node.domains.reputation.reading import (
    exchanges_of,
    founders,
    lent,
    word_row,
)
from commons_node.domains.reputation.rules import SINCE
from commons_node.domains.reputation.sealing import Said
from commons_node.domains.reputation.telling import about_trust, in_words
from commons_node.domains.reputation.trusting import Trust, graph_of, trust
from commons_node.moments import moment
from commons_node.registry import (
    Column,
    Command,
    Complete,
    Reading,
    Registry,
    Request,
    Table,
    View,
    argument,
    option,
)

if TYPE_CHECKING:
    from commons_node.daemon import Daemon

_LOANS = Complete("loan.list", "loans", "loan")
_MEMBERS = Complete("member.list", "members", "name")
_WORDS = Complete("reputation.show", "words", "attestation")
Level = Annotated[int, msgspec.Meta(ge=1, le=3)]


class Speaking(msgspec.Struct):
    """Arguments of ``reputation attest``."""

    loan: Annotated[str, argument("the loan's id, or the thing's number", complete=_LOANS)]
    on_time: Annotated[Literal["yes", "no"], option("was the other on time")]
    condition: Annotated[
        Literal["1", "2", "3"], option("how the thing was: 3 as it should, 2 so-so, 1 bad")
    ]
    communication: Annotated[
        Literal["1", "2", "3"], option("how it was to deal with the other: 3 good, 2 so-so, 1 bad")
    ]
    note: Annotated[str | None, option("in your own words; sealed as the rest")] = None


async def attest(request: Request[Daemon], args: Speaking) -> Mapping[str, object]:
    """Say how a loan went that is over, once; sealed until the other has spoken, or a week."""
    community = await request.node.community(request)
    actor = await request.node.actor(request, community)
    needs_rules(community, SINCE, N_("words about a loan"))
    part(args.note or "")
    found = await find_loan(community, args.loan, ended=True)
    said = Said(args.on_time == "yes", int(args.condition), int(args.communication))
    result, one, side = await attesting.attest(community, actor, found, said, args.note or "")
    opened = await open_due(community, actor, request.node.now_ms())
    about = MemberId(one.other(side))
    name = (await community.names()).get(about, about.hex()[:8])
    return {
        **written(result),
        "attestation": result.id.hex(),
        "loan": found.id.hex(),
        "about": about.hex(),
        "about_name": name,
        "sealed": not opened,
        "opens": moment(request.node.now_ms() + BLIND_MS) if not opened else None,
    }


class Answering(msgspec.Struct):
    """Arguments of ``reputation reply``."""

    attestation: Annotated[
        str, argument("what was said about you, by its id or the loan's", complete=_WORDS)
    ]
    text: Annotated[str, argument("your answer; there is one")]


async def reply(request: Request[Daemon], args: Answering) -> Mapping[str, object]:
    """Answer what was said about you, once."""
    community = await request.node.community(request)
    actor = await request.node.actor(request, community)
    needs_rules(community, SINCE, N_("replies"))
    found = words_about(actor.member, await exchanges_of(community, actor.member))
    wanted = args.attestation.strip().lower()
    fit = [
        word for word in found
        if word.opening is not None and len(wanted) >= _PREFIX
        if word.attestation.hex().startswith(wanted) or word.loan.hex().startswith(wanted)
    ]  # fmt: skip
    if len(fit) != 1:
        raise Unknown(
            what="open word about you", name=args.attestation,
            list=f"commons-node reputation show {actor.member.hex()[:12]}",
        )  # fmt: skip
    result = await attesting.reply(community, actor, fit[0], part(args.text))
    names = await community.names()
    return {
        **written(result),
        "reply": result.id.hex(),
        "attestation": fit[0].attestation.hex(),
        "author_name": names.get(MemberId(fit[0].author), fit[0].author.hex()[:8]),
    }


class Nothing(msgspec.Struct):
    """No arguments."""


async def open_now(request: Request[Daemon], _args: Nothing) -> Mapping[str, object]:
    """Open what you have sealed, where both have spoken or a week has passed."""
    community = await request.node.community(request)
    actor = await request.node.actor(request, community)
    done = await open_due(community, actor, request.node.now_ms())
    return {"opened": len(done), "openings": [one.id.hex() for one in done]}


class Looking(msgspec.Struct):
    """Arguments of ``reputation show``."""

    who: Annotated[str, argument("the member, by name or id", complete=_MEMBERS)]


async def show(request: Request[Daemon], args: Looking) -> Reading:
    """What others say of a member, with its context, and how you know them."""
    community = await request.node.community(request)
    now = request.node.now_ms()
    names = await community.names()
    member = _named(names, args.who)
    members = community.realm.judge.authority.members()
    viewer = _viewer(request, names, members)
    told = within(await exchanges_of(community, member), now)
    counted = counts(member, told)
    role = members.get(member)
    pairs = await lent(community, now)
    graph = graph_of(pairs, members)
    starts = founders(community, members)
    known = trust(graph, pairs, viewer, starts, member)
    weighed = counts(member, among(member, told, known.witnesses))
    newcomer = role is Role.NEWCOMER or not told
    name = names.get(member, member.hex()[:8])
    sentences = in_words(name, counted, newcomer=newcomer)
    trusted = about_trust(name, known, names, viewer, member, starts)
    if viewer != member and not known.capped:
        trusted[0] += telling.weight(counted, weighed)
    rows = [await word_row(community, word, names) for word in words_about(member, told)]
    return await community.reading(
        {
            "member": member.hex(),
            "name": name,
            "role": role.word if role is not None else None,
            "newcomer": newcomer,
            "counts": counted,
            "weighed": weighed,
            "says": " ".join(sentences),
            "trust": {**_trust(known, names), "sentence": trusted[0], "paths_say": trusted[1:]},
            "trust_says": "\n".join(trusted),
            "words": rows,
        }
    )


def _trust(known: Trust, names: Mapping[MemberId, str]) -> dict[str, object]:
    return {
        "known": [{"member": one.hex(), "name": names.get(MemberId(one))} for one in known.known],
        "ways": len(known.ways),
        "capped": known.capped,
        "own": known.own,
        "paths": [[one.hex() for one in way] for way in known.ways],
    }


def _viewer(
    request: Request[Daemon], names: Mapping[MemberId, str], members: Collection[MemberId]
) -> MemberId | None:
    """Whoever is unlocked at this terminal; nobody where that is not one."""
    if request.member is not None:
        return _named(names, request.member)
    here = request.session.members() if request.session is not None else ()
    fit = [one for one in (MemberId(bytes.fromhex(m)) for m in here) if one in members]
    return fit[0] if len(fit) == 1 else None


def _named(names: Mapping[MemberId, str], selector: str) -> MemberId:
    choices = [(member, (name,)) for member, name in names.items()]
    return MemberId(find("member", selector, choices, "commons-node member list"))


_PREFIX = 8

VERBS = Registry(
    commands=(
        Command("reputation.attest", "Say how a loan went that is over.", Speaking, attest,
                says=(("What you say of {about_name} is sealed until {about_name} has spoken too, "
                       "or until {opens:time}."),
                      "What you say of {about_name} is written, and open: both have spoken."),
                member=True),
        Command("reputation.reply", "Answer what was said about you.", Answering, reply,
                says="Your answer to {author_name} is written.", member=True),
        Command("reputation.open", "Open what you have sealed, where it is time.", Nothing,
                open_now, says="Opened: {opened}.", member=True),
        *vouches.COMMANDS,
    ),
    views=(
        View("reputation.show", "What others say of a member, and how you know them.", Looking,
             show, says="{says}\n{trust_says}",
             table=Table("words", (Column("author_name", "By"), Column("state", "State"),
                                   Column("on_time", "On time", "yes"),
                                   Column("condition", "Condition", "number"),
                                   Column("communication", "Dealing", "number"),
                                   Column("note", "Note"), Column("reply", "Answer"),
                                   Column("attestation", "Id", "id")), "Nobody has said anything."),
             ),
        *vouches.VIEWS,
    ),
    nouns={"reputation": "what people say of loans between them, and whom one may trust"},
)  # fmt: skip
