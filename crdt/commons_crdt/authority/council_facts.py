"""The typed bodies of a council: acts, promises, ballots, endorsements.

Source: docs/protocol/authority.md "Bodies".
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from commons_crdt.authority.endings import Ending
from commons_crdt.authority.facts import Setting
from commons_crdt.operation import Hash

Round = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]
Index = Annotated[int, msgspec.Meta(ge=0, le=31)]


class Dismissal(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """What becomes of a member by a council act.

    ``role`` 0 ends the member's chains at ``endings``; 1 to 4 is a demotion from there on; 5
    names the branch of a coordinator's forked device and takes nothing else away.
    """

    member: Hash
    role: Annotated[int, msgspec.Meta(ge=0, le=5)]
    endings: Annotated[tuple[Ending, ...], msgspec.Meta(max_length=128)]


class Coordinators(
    msgspec.Struct,
    array_like=True,
    frozen=True,
    forbid_unknown_fields=True,
    tag="coordinators",
):
    """The new list: (member, endorsing device) each; who is dropped is dismissed."""

    seats: Annotated[tuple[tuple[Hash, Hash], ...], msgspec.Meta(min_length=1, max_length=32)]
    dismissals: Annotated[tuple[Dismissal, ...], msgspec.Meta(max_length=32)]


class Members(
    msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True, tag="members"
):
    """The council acts on members, coordinators among them, without changing its list."""

    dismissals: Annotated[tuple[Dismissal, ...], msgspec.Meta(min_length=1, max_length=32)]


class Settings(
    msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True, tag="constitution"
):
    """These settings of the constitution change (names ascending), the others stay."""

    settings: Annotated[tuple[Setting, ...], msgspec.Meta(min_length=1, max_length=64)]


class RulesVersion(
    msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True, tag="rules"
):
    """The rules version of every operation that has this act in its view."""

    version: Annotated[int, msgspec.Meta(ge=1, le=65535)]


class Lift(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True, tag="lift"):
    """A cut is as if it had not been written."""

    cut: Hash


class Tip(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True, order=True):
    """The last operation of a chain that a seal lists."""

    device: Hash
    log: Annotated[int, msgspec.Meta(ge=0, le=1)]
    seq: Annotated[int, msgspec.Meta(ge=1, le=2**53 - 1)]
    id: Hash


class Seal(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True, tag="seal"):
    """The closure of ``tips`` (ascending) is settled; ``state`` is its state hash."""

    tips: Annotated[tuple[Tip, ...], msgspec.Meta(min_length=1, max_length=384)]
    state: Hash


CouncilContent = Coordinators | Members | Settings | RulesVersion | Lift | Seal


class CouncilAct(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """A new act and the ballot (``round``, its author's index at ``base``) that it is put to."""

    base: Hash
    round: Round
    act: CouncilContent


class Promise(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """Not to endorse at ``base`` in a lower ballot than (``round``, ``index``) any more."""

    base: Hash
    round: Round
    index: Index


class Ballot(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """Puts an earlier ``act`` (its operation) to a new ballot."""

    base: Hash
    round: Round
    act: Hash


class Endorse(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """Endorses what ``ballot`` (a council act or ballot operation) puts to the vote."""

    base: Hash
    ballot: Hash
