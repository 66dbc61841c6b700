"""Every sentence that explains a verdict with names and days: one table for each place.

Written to be translated: whole sentences with named gaps, none of them glued together from words.
The gaps: ``author`` wrote what is explained, ``who`` did what decided it, ``whom`` that was done
to; ``day`` is a ``DAY``, ``until`` a ``MOMENT``, ``after`` one of ``AFTER``. A missing sentence
falls back on the one without names (``commons_crdt.sentences``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final

from commons_crdt.texts import N_, Spoken, _, ngettext

DAY: Final = N_("on {day} {month} {year}")
MOMENT: Final = N_("{day} {month} {year} at {hour:02}:{minute:02}")
MONTHS: Final = Spoken(dict(enumerate((
    "January", "February", "March", "April", "May", "June", "July", "August", "September",
    "October", "November", "December",
), 1)))  # fmt: skip
COUNCIL: Final = N_("the council")
NODE: Final = N_("{name}'s node")
SOMEBODY: Final = N_("somebody who is not known here")

AFTER: Final = Spoken({
    "known": "this was written after that",
    "dated": "this is dated after that",
    "beyond": "this comes after the last act that it lets stand",
})  # fmt: skip
"""How what is explained lies to the act that ended its chain: it knew of it, says a later time,
or is older, or says so, and beyond the end that the act names."""

NAMED: Final = Spoken({
    ("cut", "removal"): "{author} was removed by {who} {day}; {after}.",
    ("cut", "suspension"): "{author} was suspended by {who} {day}, until {until}; {after}.",
    ("cut", "dismissal"): "{author} was removed by the council {day}; {after}.",
    ("cut", "branch"): "The device told two stories; {who} said {day} which one counts, and this "
    "is not part of it.",
    ("cut", "revocation"): "{who} took the node's right to write away {day}; {after}.",
    ("cut", "recovery"): "The device was ended for {author} {day}; {after}.",
    ("closed", "closing"): "{who} closed the device {day}, for good; {after}.",
    ("fork", "sibling"): "{author}'s device wrote two different things at one place. Nothing of "
    "that device counts from there on until a coordinator says which of the two does; {author} can "
    "write the rest again from another device.",
    ("fork", "proof"): "{author}'s device wrote two different things at one place, which {who} "
    "showed {day}. Nothing of that device counts from there on until a coordinator says which of "
    "the two does; {author} can write the rest again from another device.",
    ("fork", "seal"): "{author}'s device told two stories, and the council sealed the other one "
    "{day}.",
    ("grant", "grant"): "The device was let in by {who} {day}, and that does not count.",
    ("grant", "root"): "{author} was let in {day}, and that does not count.",
    ("role", "demotion"): "{who} gave {whom} a lower role {day}; this takes a {needed}.",
    ("role", "role"): "{whom} was a {role} when this was written, by {who} {day}; this takes a "
    "{needed}.",
    ("role", "council"): "{author} was no coordinator by what the council had decided; this takes "
    "a coordinator.",
    ("role", "root"): "{author} was a newcomer when this was written; this takes a {needed}.",
    ("role", "grant"): "This takes a {needed}, or another device than this one, which {who} let "
    "in {day}.",
    ("limit", "grant"): "{who} let this device in {day} for some kinds of acts, so many, until a "
    "day; this is beyond that.",
    ("expired", "invite"): "The invite that {who} wrote {day} had expired.",
    ("spent", "invite"): "The invite that {who} wrote {day} had been used up.",
    ("revoked", "removal"): "{whom}, who had invited, was removed by {who} {day}, before anybody "
    "there knew of this admission.",
    ("revoked", "suspension"): "{whom}, who had invited, was suspended by {who} {day}, before "
    "anybody there knew of this admission.",
    ("revoked", "dismissal"): "{whom}, who had invited, was removed by the council {day}, before "
    "anybody there knew of this admission.",
    ("revoked", "revocation"): "{who} took the invite back {day}, before anybody there knew of "
    "this admission.",
    ("removed", "removal"): "{whom} was removed by {who} {day}; only the council can undo that.",
    ("removed", "suspension"): "{whom} was suspended by {who} {day}, until {until}, and that was "
    "not over.",
    ("removed", "dismissal"): "{whom} was removed by the council {day}; only the council can undo "
    "that.",
    ("subject", "seat"): "The council made {whom} a coordinator {day}: no coordinator acts alone "
    "on another.",
    ("identity", "rival"): "It contradicts another act on the same identity, by {who} {day}; "
    "neither counts until the recovery key, the guardians or a coordinator pick one.",
    ("base", "chosen"): "Another act on the same identity came first: by {who} {day}.",
    ("base", "rival"): "It is not as strong as another act on the same identity, by {who} {day}.",
    ("ballot", "earlier"): "{author} had promised or endorsed otherwise before, {day}.",
    ("ballot", "ballot"): "It endorses a ballot that does not count, by {who} {day}.",
    ("council", "chosen"): "The council has decided otherwise {day}; this came too late.",
    ("seal", "seal"): "The council sealed {day} what stands, and this node has not received all "
    "of it yet.",
})  # fmt: skip
"""By reason, and the part that the first cause played."""

PENDING: Final = Spoken({
    (
        "cut",
        "removal",
    ): "{author} was removed by {who} {day}; the last act that this lets stand "
    "has not come here yet.",
    ("cut", "suspension"): "{author} was suspended by {who} {day}; the last act that this lets "
    "stand has not come here yet.",
    (
        "cut",
        "dismissal",
    ): "{author} was removed by the council {day}; the last act that this lets "
    "stand has not come here yet.",
})  # fmt: skip
"""The same for what waits."""

CAUSES: Final = Spoken({
    "admission": "By {who} {day} somebody else was let in with it.",
    "ballot": "The ballot that it answers, by {who} {day}.",
    "base": "What it goes on from, by {who} {day}.",
    "branch": "{who} said {day} which story of a forked device counts.",
    "chosen": "What came first, by {who} {day}.",
    "closing": "{who} closed the device {day}.",
    "council": "What the council had decided, {day}.",
    "demotion": "{who} gave {whom} a lower role {day}.",
    "dismissal": "The council dismissed {whom} {day}.",
    "earlier": "The same key had said otherwise {day}.",
    "grant": "{who} let the device in {day}.",
    "invite": "{who} invited {day}.",
    "missing": "An act that is named there has not come here yet.",
    "pin": "This node starts from this decision of the council, which has not come here yet.",
    "proof": "{who} showed the fork {day}.",
    "recovery": "A device of {whom} was ended {day}.",
    "removal": "{who} removed {whom} {day}.",
    "revocation": "{who} took a node or an invite back {day}.",
    "rival": "Another act on the same identity, by {who} {day}.",
    "role": "{who} gave {whom} the role of {role} {day}.",
    "root": "{whom} came in {day}.",
    "rules": "The rules of then were decided {day}.",
    "seal": "The council sealed {day} what stands.",
    "seat": "The council made {whom} a coordinator {day}.",
    "sibling": "One of the two at one place, by {who} {day}.",
    "suspension": "{who} suspended {whom} {day}, until {until}.",
})  # fmt: skip
"""What each cause did."""
ABSENT: Final = N_("It is named there, and has not come here yet.")

HELD: Final = Spoken({
    "missing": "It waits for operations that this node has not received yet.",
    "clock": "It is dated later than this machine's clock, and waits for that time.",
    "verifier": "The worker that checks it failed; it is tried again.",
    "rules": "It was written under newer rules than this program has.",
})  # fmt: skip
"""What keeps an operation aside that has no verdict here yet."""

TOUCHED: Final = N_("It builds on something that does not count any more: {what}.")
"""To somebody whose act stands, but rests on another's that fell."""

GONE: Final = Spoken({
    "removed": "{whom} was removed by {who} {day}. What {whom} writes counts nowhere any more.",
    "suspended": "{whom} was suspended by {who} {day}, until {until}. What {whom} writes until "
    "then counts nowhere.",
})  # fmt: skip
WITH: Final = Spoken({
    "removed": "{name}, who was removed",
    "suspended": "{name}, who is suspended",
})  # fmt: skip
OWED: Final = N_(
    "When it is brought back, a steward records that alone: commons-node loan receive {loan}"
)

FORK_OWNER: Final = N_(
    "{name}: what the device wrote on the other branch does not count ({count}). It is kept, and "
    "explained; {name} can write it again from another device."
)
FORK_TOUCHED: Final = N_(
    "{name}: {count} of what {name} did rests on what does not count. It stands itself, and what "
    "others signed with {name} stays their word; a thing that changed hands on the other branch is "
    "where the last hand-over that counts says."
)

SPLIT: Final = N_(
    "The community is split: the key of {keys} endorsed two decisions that exclude each other "
    "({acts}), and both hold. Everything goes on by what was decided before; the council can "
    "decide nothing more. No program can mend this. Talk with each other about which of the two "
    "you stand by; who goes on together tells each node `commons-node community follow ACT`, for "
    "good, and gives the key that endorsed both no seat any more. Who follows the other goes "
    "another way from there on."
)

DIFFERS: Final = N_(
    "A seal does not fit: folded here, what it settles amounts to something else than {keys} "
    "signed. What is shown is what this node worked out itself, and counts as provisional."
)
DIFFERS_NEXT: Final = N_(
    "Compare `commons-node status` with theirs. If the versions differ, update the older one and "
    "start it again. If not, the hash is wrong or a file is: show them `commons-node explain "
    "{seal}`, and have the council seal again with `commons-node community propose seal`."
)
WITHHELD: Final = N_(
    "A seal lists act {seq} of {name}'s device {device}, which has not come here: what no earlier "
    "seal settles waits for it."
)
WITHHELD_BY: Final = N_("It was not to be had from {nodes}.")
WITHHELD_NEXT: Final = N_(
    "Ask {name}, or a coordinator, to come online, or reach another node: "
    "`commons-node peer connect ADDRESS`."
)
UNCOMPARED: Final = N_(
    "What the last seal settles cannot be folded here: something of it was erased since, or its "
    "contents were never here. It counts as provisional."
)
UNCOMPARED_NEXT: Final = N_("Wait: the next seal settles the erasure, too.")
"""What speaks against a seal, and what to do."""

ALONE: Final = N_(
    "There is one coordinator only: if that device is lost, the council decides nothing any more, "
    "not even who else is in it. When others are in: commons-node community propose coordinators "
    "--add NAME"
)
"""To whoever founds a community, and while others live there and none of them has a seat."""


OF: Final = N_("{what} by {name}")
NOW: Final = Spoken({
    "fallen": "counts no more",
    "never": "does not count",
    "again": "counts again",
    "touched": "rests on what fell",
    "differs": "does not fit",
    "ready": "waits for a coordinator",
})  # fmt: skip
"""How an act counts otherwise than its author knew."""
WHERE: Final = N_("What and why: commons-node notice list")
COUNTED: Final[Mapping[str, Callable[[int], str]]] = {
    "fallen": lambda n: ngettext(
        "One thing you did does not count any more.",
        "{count} things you did do not count any more.",
        n,
    ),
    "never": lambda n: ngettext(
        "One thing you did turned out not to count.",
        "{count} things you did turned out not to count.",
        n,
    ),
    "again": lambda n: ngettext(
        "One thing you did counts again.",
        "{count} things you did count again.",
        n,
    ),
    "touched": lambda n: ngettext(
        "One thing you did rests on something that does not count any more.",
        "{count} things you did rest on something that does not count any more.",
        n,
    ),
    "differs": lambda n: ngettext(
        "A seal of the council does not fit what this node holds.",
        "{count} seals of the council do not fit what this node holds.",
        n,
    ),
    "ready": lambda n: ngettext(
        "For a newcomer enough members vouch.",
        "For {count} newcomers enough members vouch.",
        n,
    ),
}
"""How many act otherwise in each of these ways; the gap is ``count``."""

ACTS: Final = Spoken({
    "council.genesis.1": "the founding",
    "council.act.1": "a proposal to the council",
    "council.promise.1": "a promise to the council",
    "council.ballot.1": "a proposal, repeated",
    "council.endorse.1": "an endorsement",
    "identity.device.1": "another device",
    "identity.recover.1": "a recovery",
    "identity.guardians.1": "a choice of guardians",
    "identity.pick.1": "a choice between two acts",
    "identity.endorse.1": "a word as guardian",
    "identity.close.1": "the closing of a device",
    "identity.label.1": "a device's name",
    "identity.request.1": "a request to guardians",
    "membership.role.1": "a role",
    "membership.demotion.1": "a lower role",
    "membership.removal.1": "a removal or suspension",
    "membership.revocation.1": "a revocation",
    "membership.branch.1": "an end to a fork",
    "membership.readmit.1": "a return",
    "membership.invite.1": "an invite",
    "membership.admit.1": "an admission",
    "membership.node.1": "a node",
    "membership.epoch.1": "new keys for the nodes",
    "membership.profile.1": "a name",
    "membership.community.1": "the community's name",
    "fork.proof.1": "the proof of a fork",
    "record.erasure.1": "an erasure",
    "sanctions.note.1": "a reason",
    "resource.specification.1": "a kind of thing",
    "resource.item.1": "a thing",
    "resource.photo.1": "a photo of a thing",
    "agent.package.1": "an agent",
    "lending.request.1": "a request for a loan",
    "lending.request.2": "a request for a loan",
    "lending.decision.1": "an answer to a request",
    "lending.handover.1": "a hand-over",
    "lending.accept.1": "the taking of a thing",
    "lending.return.1": "a return",
    "lending.receive.1": "the receipt of a return",
    "profile.field.1": "a field of a profile",
    "leaving.receipt.1": "a node's receipt for erasures",
    "leaving.goodbye.1": "a goodbye",
    "leaving.forgiven.1": "the forgiving of a loan",
    "leaving.closing.1": "a word on closing the community",
    "reputation.attest.1": "a sealed word about a loan",
    "reputation.opening.1": "the opening of a word about a loan",
    "reputation.reply.1": "a reply to a word about a loan",
    "reputation.vouch.1": "a word for a newcomer",
    "own.entry.1": "a private entry",
    "own.door.1": "a door for own machines",
    "space.place.1": "a space",
    "space.attendance.1": "a token that somebody came",
    "space.presence.1": "word of where somebody is",
})  # fmt: skip
"""What each kind is, in some words."""


def day(moment: datetime) -> str:
    """A day as a sentence says it; ``moment`` is in the reader's time zone."""
    return _(DAY).format(day=moment.day, month=MONTHS[moment.month], year=moment.year)


def until(moment: datetime) -> str:
    """The end of a time; ``moment`` is in the reader's time zone."""
    return _(MOMENT).format(
        day=moment.day,
        month=MONTHS[moment.month],
        year=moment.year,
        hour=moment.hour,
        minute=moment.minute,
    )


def act(kind: str) -> str:
    """What somebody did, in some words; the kind itself where this program is older."""
    return ACTS.get(kind, kind)


def sentence(template: str, **gaps: str) -> str:
    """A sentence with its gaps filled. Names stay as people write them, at its beginning too."""
    filled = _(template).format(**gaps)
    ours = (_(COUNCIL), _(SOMEBODY))
    return filled[0].upper() + filled[1:] if filled.startswith(ours) else filled
