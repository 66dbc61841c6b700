"""The verbs of leaving: export, settle, forgive, erase, receipts, goodbye; closing a community."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Final

import msgspec

from commons_crdt.author import Draft
from commons_crdt.authority.identity_facts import Close
from commons_crdt.authority.kinds_identity import CLOSE
from commons_crdt.ids import DocumentId
from commons_crdt.roles import Role
from commons_crdt.texts import N_, _
from commons_node.community import Actor, Community, written
from commons_node.domains.closing import closing
from commons_node.domains.identity.whose import own_member
from commons_node.domains.leaving.exporting import export
from commons_node.domains.leaving.facts import (
    CLOSING,
    FORGIVEN,
    GOODBYE,
    REASON,
    SINCE,
    Closing,
    Forgiven,
    Goodbye,
)
from commons_node.domains.leaving.listing import erasures_of, nodes_of
from commons_node.domains.leaving.personal import chosen, erase, row_of, texts_of
from commons_node.domains.leaving.settling import (
    check_forgivable,
    check_role,
    refuse_open,
    unsettled,
)
from commons_node.domains.lending.deciding import part
from commons_node.domains.lending.loans import find_loan, here
from commons_node.domains.needed import needs_rules
from commons_node.membership.identities import tip
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
    path_out,
)
from commons_node.whole_file import checked_path

if TYPE_CHECKING:
    from commons_node.daemon import Daemon

_MEMBERS = Complete("member.list", "members", "name")
_LOANS = Complete("loan.list", "loans", "loan")
_TEXTS = Complete("member.texts", "texts", "what")


_RECEIPTS_NEED: Final = N_(
    "The community's rules do not know receipts yet. When all nodes are new enough: commons-node"
    " community propose rules --version {version}"
)


class Nothing(msgspec.Struct):
    """No arguments."""


class Export(msgspec.Struct):
    """Arguments of ``member export``."""

    file: Annotated[str, path_out("where the zip goes; the node writes it")]


async def run_export(request: Request[Daemon], args: Export) -> Mapping[str, object]:
    """Write everything about you to a zip that opens without this program."""
    community = await request.node.community(request)
    actor = await request.node.actor(request, community)
    path = checked_path(args.file)
    found = await export(request.node, community, actor, path)
    return {"file": str(path), **found}


async def list_texts(request: Request[Daemon], _args: Nothing) -> Reading:
    """Your texts and photos that an erasure can take."""
    community = await request.node.community(request)
    member = await own_member(request, community)
    rows = [row_of(one, moment(one.time_ms)) for one in await texts_of(community, member)]
    return await community.reading({"member": member.hex(), "texts": rows})


class Erase(msgspec.Struct):
    """Arguments of ``member erase``."""

    what: Annotated[
        str | None,
        argument("name, about, contact and so on, or a text by its id; all that is yours if left"
                 " out", complete=_TEXTS),
    ] = None  # fmt: skip
    dry_run: Annotated[bool, option("only say what would be erased")] = False


async def run_erase(request: Request[Daemon], args: Erase) -> Mapping[str, object]:
    """Erase your texts and photos, or some of them, on every node."""
    community = await request.node.community(request)
    actor = await request.node.actor(request, community)
    found = chosen(await texts_of(community, actor.member), args.what)
    answer: dict[str, object] = {
        "member": actor.member.hex(),
        "texts": [row_of(one, moment(one.time_ms)) for one in found],
        "erased": 0,
        "erasures": [],
        "dry_run": args.dry_run,
    }
    if args.dry_run:
        return {**answer, "would": len(found)}
    results, why = await erase(community, actor, found)
    last = written(results[-1]) if results else {}
    more = {} if why is None else {"left": len(found) - len(results), "why": str(why)}
    return {
        **answer,
        **last,
        **more,
        "erased": len(results),
        "erasures": [one.id.hex() for one in results],
    }


class Whose(msgspec.Struct):
    """Arguments of ``member erasure show``."""

    who: Annotated[str | None, argument("the member, by name or id", complete=_MEMBERS)] = None


async def show_erasure(request: Request[Daemon], args: Whose) -> Reading:
    """Which nodes have confirmed that they hold nothing more of what a member had erased."""
    community = await request.node.community(request)
    member = await own_member(request, community, args.who)
    own = community.realm.own_credential
    found = await erasures_of(community, member)
    rows = await nodes_of(community, found, own.device if own is not None else None)
    waiting = [row for row in rows if row["state"] == "waiting"]
    names = await community.names()
    return await community.reading(
        {
            "member": member.hex(),
            "name": names.get(member, member.hex()[:8]),
            "erasures": [one.id.hex() for one in found],
            "count": len(found),
            "nodes": rows,
            "confirmed": len(rows) - len(waiting),
            "of": len(rows),
            "waiting": ", ".join(str(row["name"]) for row in waiting) or None,
            "advice": _(_RECEIPTS_NEED).format(version=SINCE) if _older(community) else None,
        },
        missing=[{"node": row["node"], "since": row["since"]} for row in waiting],
    )


def _older(community: Community) -> bool:
    return community.realm.judge.authority.council.rules < SINCE


class Leave(msgspec.Struct):
    """Arguments of ``member leave``."""

    dry_run: Annotated[bool, option("only say what is still open, and what ends it")] = False
    anyway: Annotated[
        bool, option("leave although something is open: the other party records how it ends")
    ] = False
    erase: Annotated[bool, option("erase your texts and photos first")] = False
    keep_keys: Annotated[bool, option("keep the key file of this device, which ends here")] = False


async def run_leave(request: Request[Daemon], args: Leave) -> Mapping[str, object]:
    """Leave the community: what is open is settled first, then this device of yours ends."""
    community = await request.node.community(request)
    actor = await request.node.actor(request, community)
    name = (await community.names())[actor.member]
    rows = await unsettled(community, actor)
    answer = {"member": actor.member.hex(), "name": name, "dry_run": args.dry_run, "rows": rows}
    if args.dry_run:
        return {**answer, "open": sum(bool(row["open"]) for row in rows)}
    check_role(community, actor, name)
    if not args.anyway:
        refuse_open(rows)
    erased = 0
    if args.erase:
        results, why = await erase(community, actor, await texts_of(community, actor.member))
        if why is not None:
            raise why
        erased = len(results)
    result = await _goodbye(community, actor)
    if request.session is not None:
        request.session.lock(actor.member.hex())
    if not args.keep_keys:
        await request.node.keystore.destroy(actor.member.hex())
    return {**result, **answer, "left": True, "erased": erased, "device": actor.device.hex()}


async def _goodbye(community: Community, actor: Actor) -> dict[str, object]:
    """Say so, where the rules know the word, and end the chains of the device that says it."""
    if not _older(community):
        draft = Draft.fact(GOODBYE, Goodbye(), document=DocumentId(actor.member))
        await community.write(actor, draft)
    body = Close(tip(community.realm, actor.device, 1))
    close = Draft.fact(CLOSE, body, log=0, document=DocumentId(actor.member))
    return written((await community.write(actor, close))[0])


class Forgive(msgspec.Struct):
    """Arguments of ``loan forgive``."""

    loan: Annotated[str, argument("the loan's id, or the thing's number", complete=_LOANS)]
    reason: Annotated[str | None, option("why, in your own words; can be erased later")] = None


async def forgive(request: Request[Daemon], args: Forgive) -> Mapping[str, object]:
    """Forgive a loan: the thing need not come back, and its borrower owes nothing for it."""
    community = await request.node.community(request)
    actor = await request.node.actor(request, community)
    actor.needs(Role.STEWARD)
    needs_rules(community, SINCE, N_("forgiving a loan"))
    found = await find_loan(community, args.loan)
    borrower = check_forgivable(found, actor)
    parts = [(REASON, part(args.reason))] if args.reason else []
    draft = Draft.fact(
        FORGIVEN,
        Forgiven(borrower),
        document=DocumentId(found.id),
        refs=await here(community, found.operation("request")),
        parts=parts,
    )
    (result,) = await community.write(actor, draft)
    names = await community.names()
    return {
        **written(result),
        "loan": found.id.hex(),
        "name": found.label,
        "borrower": borrower.hex(),
        "borrower_name": names.get(borrower, borrower.hex()[:8]),
    }


class CloseIt(msgspec.Struct):
    """Arguments of ``community close``."""

    reopen: Annotated[bool, option("be for closing it no more")] = False


async def close_community(request: Request[Daemon], args: CloseIt) -> Mapping[str, object]:
    """Be for closing the community; it closes when more than half of its coordinators are."""
    community = await request.node.community(request)
    actor = await request.node.actor(request, community)
    actor.needs(Role.COORDINATOR)
    needs_rules(community, SINCE, N_("closing a community"))
    draft = Draft.fact(
        CLOSING, Closing(not args.reopen), document=DocumentId(community.realm.realm)
    )
    (result,) = await community.write(actor, draft)
    state = await _closing(community)
    archive = "commons-node community archive FILE --script"
    return {**written(result), **state, "archive": archive if state["closed"] else None}


async def show_closing(request: Request[Daemon], _args: Nothing) -> Reading:
    """Whether the community closes, and which coordinators are for it."""
    community = await request.node.community(request)
    return await community.reading(await _closing(community))


async def _closing(community: Community) -> dict[str, object]:
    found, names = await closing(community), await community.names()
    coordinators = [
        {"member": one.hex(), "name": names.get(one, one.hex()[:8]), "closes": one in found.by}
        for one in found.seats
    ]
    return {
        "name": await community.name(),
        "coordinators": coordinators,
        "count": len(found.by),
        "of": len(found.seats),
        "closed": found.closed,
    }


VERBS = Registry(
    commands=(
        Command("member.export", "Write everything about you to a zip file.", Export, run_export,
                says="{operations} operations, {loans} loans and {photos} photos of yours are in"
                     " {file}. It opens without this program.", member=True, timeout_s=600.0),
        Command("member.erase", "Erase your texts and photos, on every node.", Erase, run_erase,
                says=("{would} would be erased; nothing is yet.",
                      "{erased} are erased, {left} are left: {why}",
                      ("{erased} are erased. Who has confirmed it: commons-node member erasure"
                      " show")), member=True,
                table=Table("texts", (Column("what", "What", "word"),
                                      Column("time", "Since", "time"), Column("kind", "Kind"),
                                      Column("operation", "Id", "id")), "Nothing of yours."),
                asks="Erase this on every node? It cannot be undone."),
        Command("member.leave", "Leave the community, once all is settled.", Leave, run_leave,
                says=(("{name} has left: the device {device:id} writes nothing more. Let this node"
                      " run until others have heard: commons-node sync wait"),
                      "To be settled before you can leave: {open}"), member=True,
                table=Table("rows", (Column("what", "What", "word"), Column("about", "About"),
                                     Column("open", "Open", "yes"), Column("next", "What ends it")),
                            "Nothing is open."),
                asks="Leave for good? This device of yours ends. It cannot be undone.",
                timeout_s=120.0),
        Command("loan.forgive", "Forgive a loan: it need not come back.", Forgive, forgive,
                says="{borrower_name} owes nothing more for {name}.", member=True,
                asks="Forgive this loan?"),
        Command("community.close", "Be for closing the community, as a coordinator.", CloseIt,
                close_community,
                says=(("{name} is closed: {count} of {of} coordinators are for it. Let everybody"
                      " export what is theirs, and keep an archive: {archive}"),
                      ("{count} of {of} coordinators are for closing {name}; it takes more than"
                      " half.")), member=True,
                asks="Be for closing the community?"),
    ),
    views=(
        View("member.texts", "Your texts and photos that an erasure can take.", Nothing,
             list_texts,
             table=Table("texts", (Column("what", "What", "word"),
                                   Column("time", "Since", "time"), Column("kind", "Kind"),
                                   Column("operation", "Id", "id")),
                         "Nothing of yours.")),
        View("member.erasure.show", "Which nodes have confirmed what was erased.", Whose,
             show_erasure,
             says=(("{confirmed} of {of} nodes hold nothing more of what {name} had erased.\n"
                    "{advice}"),
                   ("{confirmed} of {of} nodes hold nothing more of what {name} had erased. Not"
                   " confirmed yet: {waiting}"),
                   "{confirmed} of {of} nodes hold nothing more of what {name} had erased."),
             table=Table("nodes", (Column("name", "Whose node"), Column("state", "State"),
                                   Column("confirmed", "Confirmed", "number"),
                                   Column("asked", "Of", "number"),
                                   Column("since", "Waited for since", "time"),
                                   Column("at", "Confirmed at", "time"),
                                   Column("node", "Id", "id")), "Nothing was erased.")),
        View("community.closing", "Whether the community closes.", Nothing, show_closing,
             says="{count} of {of} coordinators are for closing {name}.",
             table=Table("coordinators", (Column("name", "Coordinator"),
                                          Column("closes", "For closing", "yes"),
                                          Column("member", "Id", "id")))),
    ),
    nouns={"community": "the community as a whole", "loan": "borrowing and returning things",
           "member": "members, roles, and who acts at this terminal",
           "member.erasure": "what was erased, and who has confirmed it"},
)  # fmt: skip
