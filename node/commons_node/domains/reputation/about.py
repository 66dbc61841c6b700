"""Words of a member and about them, what they sealed opened by their own key; and vouches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from commons_crdt.ids import MemberId
from commons_crdt.texts import N_
from commons_node.community import Actor, Community
from commons_node.domains.domain import About
from commons_node.domains.lending.loans import fact
from commons_node.domains.reputation.counting import Word, words_about
from commons_node.domains.reputation.facts import ATTEST, Attest
from commons_node.domains.reputation.reading import (
    exchanges_of,
    sealed_note,
    vouches,
    word_row,
)
from commons_node.domains.reputation.sealing import find, salt_of
from commons_node.moments import moment

if TYPE_CHECKING:
    from commons_node.daemon import Daemon


async def _words(_daemon: Daemon, community: Community, actor: Actor) -> Sequence[object]:
    names, rows = await community.names(), list[object]()
    for one in await exchanges_of(community, actor.member):
        side = one.side(actor.member)
        if side is None:
            continue
        other = one.other(side)
        for about in (actor.member, other):
            for word in words_about(about, [one]):
                row = {"about": about, **await word_row(community, word, names)}
                if word.opening is None and word.author == actor.member:
                    row |= await _own(community, actor, word, about)
                rows.append(row)
    return rows


async def _own(
    community: Community, actor: Actor, word: Word, about: bytes
) -> Mapping[str, object]:
    """What the member sealed with this device, and nobody else can open yet."""
    found = await fact(community, word.attestation, ATTEST, Attest)
    salt = salt_of(actor.secrets.signing, word.loan, about)
    said = None
    if found is not None:
        said = find(found[1].commitment, salt, word.loan, actor.member, about)
    if said is None:
        return {}
    return {
        "on_time": said.on_time,
        "condition": said.condition,
        "communication": said.communication,
        "note": await sealed_note(community, word.attestation, salt),
    }


async def _vouches(daemon: Daemon, community: Community, actor: Actor) -> Sequence[object]:
    names = await community.names()
    found, _here = await vouches(community, daemon.now_ms())
    return [
        {
            "operation": one.given.id,
            "voucher": one.given.voucher,
            "voucher_name": names.get(MemberId(one.given.voucher)),
            "member": one.given.vouchee,
            "name": names.get(MemberId(one.given.vouchee)),
            "standing": one.standing,
            "given": moment(one.given.time_ms),
            "until": moment(one.until_ms),
        }
        for one in found
        if actor.member in {one.given.voucher, one.given.vouchee}
    ]


ABOUT = (
    About(
        "words.json",
        N_("what {name} said of others after loans, and they of {name}"),
        "about, attestation, loan, author, author_name, state, on_time, condition,"
        " communication, note, reply, returned",
        _words,
    ),
    About(
        "vouches.json",
        N_("for whom {name} vouched, and who for {name}"),
        "operation, voucher, voucher_name, member, name, standing, given, until",
        _vouches,
    ),
)
