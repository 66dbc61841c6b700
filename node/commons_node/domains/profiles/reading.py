"""Profiles as verbs see them: each word on every field, opened as far as keys are here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from commons_crdt.authority.judge import Standing
from commons_crdt.device import DeviceSecrets
from commons_crdt.errors import Refused
from commons_crdt.ids import MemberId, OperationId
from commons_crdt.kinds import decode_fact
from commons_crdt.operation import content
from commons_node.community import Community
from commons_node.domains.profiles.facts import FIELD, PICTURE, SEALED, TEXT, Field
from commons_node.domains.profiles.sealing import open_sealed
from commons_node.store.large_parts import LargePart


@dataclass(frozen=True, slots=True)
class Word:
    """One word on a field. ``text`` is None where it is sealed, erased, absent, or a picture.

    ``part``: the picture, where that is what it is.
    """

    field: str
    operation: OperationId
    standing: Standing
    form: str
    text: str | None
    part: LargePart | None

    @property
    def state(self) -> str:
        """``readable``, ``sealed`` (not to a key at hand), ``picture``, or ``absent``."""
        if self.text is not None:
            return "readable"
        if self.form in {"jpeg", "png", "webp"}:
            return "picture" if self.part is not None else "absent"
        return "absent" if self.form == "text" else "sealed"


async def words_of(
    community: Community, member: MemberId, device: DeviceSecrets | None = None
) -> list[Word]:
    """The words that stand on the fields of a member's profile; not those that were taken back.

    ``device``: of the unlocked reader, for what is sealed to members.
    """
    rows = await community.query(
        "SELECT operations FROM v_fields WHERE member = ? ORDER BY field", (member,)
    )
    ids = [
        OperationId(packed[at : at + 32]) for (packed,) in rows for at in range(0, len(packed), 32)
    ]
    found = [await _word(community, one, device) for one in ids]
    return [one for one in found if one is not None]


async def _word(
    community: Community, ident: OperationId, device: DeviceSecrets | None
) -> Word | None:
    standing, body = await _read(community, ident)
    if standing is None or body is None or ident in community.realm.judge.erased:
        return None
    parts = dict(
        await community.query(
            "SELECT p.name, p.bytes FROM parts p JOIN operations o ON o.n = p.operation"
            " WHERE o.id = ?",
            (ident,),
        )
    )
    if not parts:  # taken back
        return None
    text, part = None, None
    if (plain := parts.get(TEXT)) is not None:
        text = content(plain).decode("utf-8", "replace")
    elif (sealed := parts.get(SEALED)) is not None:
        opened = open_sealed(content(sealed), community.realm.epoch_keys, device)
        text = opened.decode("utf-8", "replace") if opened is not None else None
    elif PICTURE in parts:
        part = next((p for p in await community.realm.parts.of(ident) if p.name == PICTURE), None)
    return Word(body.name, ident, standing, body.form, text, part)


async def heads_of(community: Community, member: MemberId, name: str) -> Sequence[OperationId]:
    """The facts that stand on one field, ascending: what the next word replaces."""
    rows = await community.query(
        "SELECT operations FROM v_fields WHERE key = ?", (member + name.encode(),)
    )
    packed = rows[0][0] if rows else b""
    return [OperationId(packed[at : at + 32]) for at in range(0, len(packed), 32)]


async def field_of(community: Community, ident: bytes) -> str | None:
    """Which field a fact is about."""
    _standing, body = await _read(community, OperationId(ident))
    return body.name if body is not None else None


async def _read(community: Community, ident: OperationId) -> tuple[Standing | None, Field | None]:
    for standing, operation in await community.realm.store.everything(
        "o.id = ? AND o.kind = ?", (ident, FIELD)
    ):
        if operation.body is not None:
            try:
                return standing, decode_fact(Field, content(operation.body))
            except Refused:
                break
    return None, None
