"""A sentence for every reason of a verdict, as a member understands it.

Everything is in this one table, so that it can be translated; the sentences that name people and
days are in ``commons_node.explaining.catalogue``, which falls back on these.
"""

from __future__ import annotations

from commons_crdt.texts import Spoken

SENTENCES = Spoken({
    "": "It stands: the author was allowed to write it, and everything that it builds on is here.",
    "missing": "It waits for operations that this node has not received yet.",
    "contents": "Its contents have not arrived, and nobody has erased them.",
    "fork": "Its author's device wrote two different operations at one place; "
    "nothing of that device counts from there on until a coordinator names one branch.",
    "grant": "The device that wrote it was never let in, or the letting in does not stand.",
    "kind": "The rules of this community do not know this kind of act.",
    "role": "The author's role did not allow this act when it was written.",
    "oversize": "Its contents are larger than the rules allow.",
    "malformed": "Its contents are not what its kind asks for.",
    "part": "It carries a part that its kind does not allow.",
    "log": "It stands in the wrong log of its author's chain.",
    "invite": "The invite that it uses is not known to its author, or never was a valid one.",
    "expired": "The invite had expired when the newcomer was let in.",
    "spent": "The invite had been used up when the newcomer was let in.",
    "possession": "The newcomer did not prove to hold the invite.",
    "consent": "The device that is let in did not sign for it.",
    "keys": "The device that is let in has a key to which nothing can be sealed.",
    "subject": "It acts on somebody who is not a member, or on an equal.",
    "document": "It names a document that it may not name.",
    "target": "What it would erase or take back is not the author's, or cannot be taken back.",
    "reference": "It does not refer to what it depends on.",
    "self": "It speaks about its own author.",
    "party": "Only the two who signed a loan out and back may speak about each other.",
    "terms": "Its terms contradict themselves.",
    "pin": "This node waits for the decision of the council that it was told to start from.",
    "seal": "The council has sealed what stands, and this node has not received all of it yet.",
    "cut": "A decision that ended its author's device names the last act that stands; "
    "this one lies beyond it.",
    "closed": "Its author's device was closed before it was written.",
    "limit": "The device may write only what it was granted for.",
    "council": "It is no message of a coordinator to the decision that it names.",
    "ballot": "Its author had promised otherwise, or too few had promised before it.",
    "tip": "The seal lists something that is not settled.",
    "base": "Another act on the same identity came first.",
    "identity": "Two acts on one identity contradict each other; "
    "nothing of them counts until somebody picks one.",
    "warrant": "Neither the member's own device, nor the recovery key, nor enough guardians stand "
    "behind it.",
    "release": "The old device did not release the member.",
    "removed": "The member was removed, or is still suspended.",
    "revoked": "Who invited, or the invite itself, was taken back before anybody knew of it.",
    "proof": "It proves no fork.",
    "unlisted": "It needs a newer version of this program to be understood.",
})  # fmt: skip
"""A sentence that a member understands for every reason; the empty reason is an accepted one."""

UNSURE = Spoken({
    "cut": "A decision that ended its author's device names an act that this node has not "
    "received yet; nobody can say whether this one comes before it.",
})  # fmt: skip
"""Sentences for reasons that say something else of an operation that waits (pending)."""
