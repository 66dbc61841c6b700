"""What somebody did, as a line of a history: one sentence for each kind of operation.

Whole sentences with two gaps, to be translated: ``author`` wrote it, ``about`` is the thing or the
member that it is about. Says nothing about verdicts; that is for ``explained``.
"""

from __future__ import annotations

from typing import Final

from commons_crdt.texts import N_, Spoken, _
from commons_node.explaining import catalogue

DID: Final = Spoken({
    "council.genesis.1": "{author} founded the community.",
    "council.act.1": "{author} proposed something to the council.",
    "council.promise.1": "{author} promised the council to hear a proposal.",
    "council.ballot.1": "{author} repeated a proposal to the council.",
    "council.endorse.1": "{author} endorsed a proposal.",
    "identity.device.1": "{author} added a device.",
    "identity.recover.1": "{author} came back after a loss.",
    "identity.guardians.1": "{author} chose guardians.",
    "identity.pick.1": "{author} said which of two acts counts.",
    "identity.endorse.1": "{author} stood for somebody as guardian.",
    "identity.close.1": "{author} closed a device.",
    "identity.label.1": "{author} named a device.",
    "identity.request.1": "{author} asked the guardians.",
    "membership.role.1": "{author} gave {about} a role.",
    "membership.demotion.1": "{author} gave {about} a lower role.",
    "membership.removal.1": "{author} removed or suspended {about}.",
    "membership.revocation.1": "{author} took back an invite or a node.",
    "membership.branch.1": "{author} ended a fork.",
    "membership.readmit.1": "{about} came back.",
    "membership.invite.1": "{author} wrote an invite.",
    "membership.admit.1": "{author} let {about} in.",
    "membership.node.1": "{author} let a node in.",
    "membership.epoch.1": "{author} made new keys for the nodes.",
    "membership.profile.1": "{author} said what to be called.",
    "membership.community.1": "{author} named the community.",
    "fork.proof.1": "{author} proved a fork.",
    "record.erasure.1": "{author} erased something.",
    "sanctions.note.1": "{author} gave a reason.",
    "resource.specification.1": "{author} described a kind of thing: {about}.",
    "resource.item.1": "{author} described a thing: {about}.",
    "resource.photo.1": "{author} changed the photos of {about}.",
    "lending.request.1": "{author} asked for {about}.",
    "lending.request.2": "{author} asked for {about}.",
    "lending.decision.1": "{author} answered a request for {about}.",
    "lending.handover.1": "{author} handed over {about}.",
    "lending.accept.1": "{author} took {about}.",
    "lending.return.1": "{author} offered {about} back.",
    "lending.receive.1": "{author} received {about} back.",
    "lending.cancel.1": "{author} does not want {about} any more.",
    "lending.extend.1": "{author} asked to keep {about} longer.",
    "lending.extended.1": "{author} answered a wish to keep {about} longer.",
    "space.place.1": "{author} described a space: {about}.",
    "space.attendance.1": "{author} counted a visitor of {about}.",
    "space.presence.1": "{author} let others see where they are.",
    "profile.field.1": "{author} said something about themselves.",
    "leaving.receipt.1": "{author} confirmed that erased things are gone.",
    "leaving.goodbye.1": "{author} left.",
    "leaving.forgiven.1": "{author} forgave the loan of {about}.",
    "agent.package.1": "{author} offered an agent, or took one back.",
    "leaving.closing.1": "{author} said whether the community shall close.",
    "reputation.attest.1": "{author} said how the loan of {about} went, sealed for now.",
    "reputation.opening.1": "{author} opened what was said of the loan of {about}.",
    "reputation.reply.1": "{author} answered what was said of the loan of {about}.",
    "reputation.vouch.1": "{author} said whether to vouch for {about}.",
})  # fmt: skip
SOMETHING: Final = N_("something")
_OTHERWISE: Final = N_("{author}: {what}.")


def did(kind: str, author: str, about: str | None) -> str:
    """One line; a kind that this program does not know is named as it is."""
    template = DID.get(kind, _OTHERWISE)
    return catalogue.sentence(
        template, author=author, about=about or _(SOMETHING), what=catalogue.act(kind)
    )
