"""Reading what the folds of reputation hold, and what log 0 says of who is here."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from commons_crdt.ids import MemberId
from commons_crdt.kinds import decode_fact
from commons_crdt.operation import content
from commons_crdt.roles import Role
from commons_node.community import Community
from commons_node.domains.reputation.counting import WINDOW_MS, Exchange, Word
from commons_node.domains.reputation.facts import NOTE, TEXT, Opening
from commons_node.domains.reputation.sealing import open_note
from commons_node.domains.reputation.trusting import Lent
from commons_node.domains.reputation.views import COLUMNS
from commons_node.domains.reputation.vouching import Given, Judged, Street, judged
from commons_node.explaining.gone import all_gone
from commons_node.moments import moment

_COLUMNS = ", ".join(COLUMNS)
_PAIRS = "SELECT giver, receiver, borrower FROM v_exchanges WHERE back_ms > ?"


async def exchanges(
    community: Community, where: str, arguments: Sequence[object]
) -> list[Exchange]:
    """Loans that two people signed out and back."""
    rows = await community.query(
        f"SELECT key, {_COLUMNS} FROM v_exchanges WHERE {where}",  # noqa: S608 - our own words
        arguments,
    )
    return [Exchange.of(row) for row in rows]


async def exchanges_of(community: Community, member: bytes) -> list[Exchange]:
    """Those that a member had a part in."""
    return await exchanges(community, "borrower = ?1 OR receiver = ?1 OR giver = ?1", (member,))


async def lent(community: Community, now_ms: int) -> set[Lent]:
    """Who lent to whom in the time that is told."""
    rows = await community.query(_PAIRS, (now_ms - WINDOW_MS,))
    given = {(giver, borrower) for giver, _, borrower in rows}
    return given | {(receiver, borrower) for _, receiver, borrower in rows}


def founders(community: Community, members: Collection[bytes]) -> list[bytes]:
    """Where the community's own trust starts: who founded it, or who coordinates it since."""
    authority = community.realm.judge.authority
    if authority.founder is not None and authority.founder in members:
        return [authority.founder]
    return [member for member, _ in authority.council.seats if member in members]


async def note_of(community: Community, word: Word) -> str | None:
    """What was said in the author's own words; None while sealed, absent or erased."""
    if word.opening is None:
        return None
    rows = await community.query(
        "SELECT o.body, p.bytes FROM operations o, operations a JOIN parts p ON p.operation = a.n"
        " AND p.name = ? WHERE o.id = ? AND a.id = ?",
        (NOTE, word.opening, word.attestation),
    )
    if not rows or rows[0][0] is None or rows[0][1] is None:
        return None
    opening = decode_fact(Opening, content(rows[0][0]))
    return open_note(opening.salt, content(rows[0][1])) or None


async def sealed_note(community: Community, attestation: bytes, salt: bytes) -> str | None:
    """The note of an attestation, by the secret that its author's device has."""
    rows = await community.query(
        "SELECT p.bytes FROM operations o JOIN parts p ON p.operation = o.n AND p.name = ?"
        " WHERE o.id = ? AND p.bytes IS NOT NULL",
        (NOTE, attestation),
    )
    return (open_note(salt, content(rows[0][0])) or None) if rows else None


async def reply_of(community: Community, word: Word) -> str | None:
    """What the one who was attested answered."""
    return None if word.reply is None else await community.part(word.reply, TEXT)


async def word_row(
    community: Community, word: Word, names: Mapping[MemberId, str]
) -> dict[str, object]:
    """A word as lists show it."""
    return {
        "attestation": word.attestation.hex(),
        "operation": word.attestation.hex(),
        "loan": word.loan.hex(),
        "author": word.author.hex(),
        "author_name": names.get(MemberId(word.author), word.author.hex()[:8]),
        "state": "sealed" if word.opening is None else "open",
        "on_time": word.on_time,
        "condition": word.condition,
        "communication": word.communication,
        "note": await note_of(community, word),
        "reply": await reply_of(community, word),
        "returned": moment(word.back_ms),
    }


async def street(community: Community) -> Street:
    """Who is here, since when, and who was removed when."""
    authority = community.realm.judge.authority
    since: dict[bytes, int] = {}
    if authority.polity is not None:
        book = authority.polity.book
        for member, roots in book.roots.items():
            times = [book.entries[n].time_ms for n in roots if authority.polity.root_stands(n)]
            if times:
                since[member] = min(times)
    gone = {member: one.act for member, one in all_gone(community).items() if not one.until_ms}
    acts = await community.realm.store.standings(list(gone.values()))
    removed: dict[bytes, int] = {
        member: acts[act].time_ms for member, act in gone.items() if act in acts
    }
    roles: dict[bytes, Role] = dict(authority.members().items())
    return Street(roles, since, removed)


async def vouches(community: Community, now_ms: int) -> tuple[list[Judged], Street]:
    """All vouches with how they stand, and who is here."""
    rows = await community.query(
        "SELECT key, voucher, vouchee, stands, device, seq, time_ms FROM v_vouches"
    )
    given = [Given(key, by, of, bool(on), *rest) for key, by, of, on, *rest in rows]
    here = await street(community)
    limits = community.realm.judge.authority.constitution
    return judged(given, here, limits, now_ms), here
