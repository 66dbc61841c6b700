"""Operations as ``member export`` has them: a member's, and those of others that name them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from commons_crdt.errors import Refused
from commons_crdt.ids import MemberId
from commons_crdt.kinds import decode_fact
from commons_crdt.operation import content, decode_header
from commons_node.community import Community
from commons_node.moments import moment
from commons_node.store.database import placeholders

Row = dict[str, object]


async def wrote(
    community: Community, member: MemberId, files: Mapping[bytes, Sequence[str]]
) -> list[Row]:
    """All that the member's devices and nodes wrote; ``files``: by operation, what came of it."""
    own = community.grants_of(member)
    return await _rows(community, f"o.origin IN ({placeholders(len(own))})", own, files)


async def said(community: Community, member: MemberId) -> list[Row]:
    """What others wrote of the member: it is about their id, or holds it in its body.

    So whatever a later domain writes is found without a word here, as long as it names members by
    their ids.
    """
    own = community.grants_of(member)
    where = (
        f"o.origin NOT IN ({placeholders(len(own))}) AND (o.document = ? OR instr(o.body, ?) > 0)"
    )
    return await _rows(community, where, [*own, member, member], {})


async def _rows(
    community: Community,
    where: str,
    arguments: Sequence[bytes],
    files: Mapping[bytes, Sequence[str]],
) -> list[Row]:
    """In a causal order."""
    grants = community.realm.judge.authority.grants
    texts: dict[bytes, dict[str, str]] = {}
    for ident, name, data in await community.query(
        "SELECT o.id, p.name, p.bytes FROM parts p JOIN operations o ON o.n = p.operation"  # noqa: S608 - own clauses
        f" WHERE p.bytes IS NOT NULL AND {where}",
        arguments,
    ):
        texts.setdefault(ident, {})[name] = _text(content(data))
    found: list[Row] = []
    for standing, operation in await community.realm.store.everything(where, arguments):
        header = decode_header(operation.header)
        found.append(
            {
                "operation": standing.id,
                "kind": standing.kind,
                "member": grants[standing.grant].member if standing.grant in grants else None,
                "device": standing.device,
                "log": standing.log,
                "seq": standing.seq,
                "time": moment(standing.time_ms),
                "verdict": standing.judgement.verdict.name.lower(),
                "reason": standing.judgement.reason,
                "document": standing.document,
                "refs": list(header.refs),
                "header": operation.header,
                "signature": operation.signature,
                "body": operation.body,
                "says": _says(community, standing.kind, operation.body),
                "texts": texts.get(standing.id, {}),
                "files": list(files.get(standing.id, ())),
            }
        )
    return found


def _text(data: bytes) -> str:
    """Text as text, anything else (a sealed part) as hex digits."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.hex()


def _says(community: Community, name: str, body: bytes | None) -> object:
    """A fact's fields by name; None for edits and what is absent."""
    kind = community.realm.rules.kinds.get(name)
    if kind is None or kind.schema is not None or body is None:
        return None
    try:
        fact = decode_fact(kind.body, content(body), kind.max_body)  # type: ignore[arg-type]  # a fact's body is a Struct
    except Refused:
        return None
    return _fields(fact)


def _fields(value: object) -> object:
    if isinstance(value, msgspec.Struct):
        return {name: _fields(getattr(value, name)) for name in value.__struct_fields__}
    if isinstance(value, (tuple, list)):
        return [_fields(one) for one in value]
    return value
