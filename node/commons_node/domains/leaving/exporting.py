"""Everything about one member, as a zip of JSON and pictures that opens without this program.

What the member wrote and what others wrote of them, with every signature; what the views say about
them; what each domain adds (``domain.About``); what was erased, and who confirmed it.
``README.txt`` in it says what stands where. Nothing of it is encrypted: it is the member's own, and
meant to be read.
"""

from __future__ import annotations

import asyncio
import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from commons_crdt.errors import CommonsError
from commons_crdt.ids import MemberId
from commons_crdt.operation import content
from commons_crdt.texts import N_, _, ngettext
from commons_node.community import Actor, Community
from commons_node.domains.leaving.listing import erasures_of, nodes_of
from commons_node.domains.leaving.wrote import said, wrote
from commons_node.domains.resources.photos import MEDIA_TYPES
from commons_node.membership.identities import machines
from commons_node.moments import moment
from commons_node.store.database import placeholders
from commons_node.store.large_parts import LargePart
from commons_node.whole_file import whole_file

if TYPE_CHECKING:
    from commons_node.daemon import Daemon

FORMAT: Final = 1
README: Final = N_(
    """\
Everything about {name} in the community {community}, as one node had it at {time}.

It opens with any program that reads zip files and JSON. Ids are hex digits, times RFC 3339 in UTC.

  me.json          who this is about: ids, name, role, devices
  operations.json  all that {name}'s devices and nodes wrote, signed: each with header, signature
                   and body as they are stored (hex), the body in words where it is a plain fact,
                   and its texts; erased texts are absent here as everywhere
  said.json        what others wrote that names {name}, in the same form
{domains}
  notices.json     what this node had to tell {name}
  about.json       the rows of every view of the community that name {name}, view by view
  erasures.json    what of it was erased, and which nodes confirmed that
  files/           photos and other files, each named after the operation that brought it
  schema.json      the fields of these files

Each signature is Ed25519 over BLAKE2b-256 digests, as docs/protocol/README.md of commons-node says;
the id of an operation is a digest of its header. {missing}
"""
)
_OPERATIONS: Final = (
    "list of {operation, kind, member, device, log, seq, time, verdict, reason, document, refs,"
    " header, signature, body, says, texts, files}"
)
SCHEMA: Final[Mapping[str, object]] = {
    "me.json": {"member": "id", "community": "id", "name": "text", "role": "text",
                "exported": "time", "format": "1", "devices": "list of {device, name, since, why}"},
    "operations.json": _OPERATIONS,
    "said.json": _OPERATIONS,
    "notices.json": "list of {operation, was, rests_on, time, read}",
    "about.json": "by view, list of its columns",
    "erasures.json": "{erasures: list of {operation, target, time}, nodes: list of {node, name,"
    " asked, confirmed, state, since, at}}",
}  # fmt: skip


async def export(
    daemon: Daemon, community: Community, actor: Actor, path: Path
) -> dict[str, object]:
    """Write the file, whole or not at all; what it holds. Raises ``CannotWrite``."""
    with whole_file(path) as out, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as packed:
        found = await _pack(daemon, community, actor, packed)
        packed.close()
        return {**found, "bytes": out.tell()}


async def _pack(
    daemon: Daemon, community: Community, actor: Actor, packed: zipfile.ZipFile
) -> dict[str, object]:
    from commons_node.domains import DOMAINS  # noqa: PLC0415 - they hold this one as well

    member = actor.member
    names = await community.names()
    about = [one for domain in DOMAINS for one in domain.files]
    now = moment(daemon.now_ms())
    files, absent = await _add_files(daemon, community, member, packed)
    operations = await wrote(community, member, files)
    documents: dict[str, object] = {
        "me.json": await _me(community, actor, names, now),
        "operations.json": operations,
        "said.json": await said(community, member),
        **{one.file: await one.read(daemon, community, actor) for one in about},
        "notices.json": await _notices(community, member),
        "about.json": await _rows_about(community, member),
        "erasures.json": await _erasures(community, member),
        "schema.json": {
            **SCHEMA,
            **{one.file: f"list of {{{one.fields}}}" for one in about},
        },
    }
    missing = ngettext(
        "{count} photo is not on this node, and not in here.",
        "{count} photos are not on this node, and not in here.",
        absent,
    ).format(count=absent)
    lines = [f"  {one.file:<16} {_(one.says).format(name=names[member])}" for one in about]
    readme = _(README).format(
        name=names[member],
        community=await community.name(),
        time=now,
        missing=missing if absent else "",
        domains="\n".join(lines),
    )
    await asyncio.to_thread(_add_documents, packed, readme, documents)
    return {
        "member": member.hex(),
        "name": names[member],
        "operations": len(operations),
        "photos": sum(map(len, files.values())),
        "photos_missing": absent,
        "loans": len(documents["loans.json"]),  # type: ignore[arg-type]  # a list
    }


def _add_documents(packed: zipfile.ZipFile, readme: str, documents: Mapping[str, object]) -> None:
    packed.writestr("README.txt", readme)
    for name, document in documents.items():
        text = json.dumps(plain(document), ensure_ascii=False, indent=1, sort_keys=True)
        packed.writestr(name, text + "\n")


def plain(value: object) -> object:
    """A value as JSON says it: bytes as hex digits."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, (list, tuple)):
        return [plain(one) for one in value]
    if isinstance(value, dict):
        return {str(name): plain(one) for name, one in value.items()}
    return value


async def _me(
    community: Community, actor: Actor, names: Mapping[MemberId, str], now: str | None
) -> dict[str, object]:
    return {
        "format": FORMAT,
        "member": actor.member,
        "community": community.id,
        "community_name": await community.name(),
        "name": names[actor.member],
        "role": actor.role.word,
        "exported": now,
        "devices": [
            {"device": one.device, "name": one.label, "since": moment(one.since_ms),
             "why": one.why or "good"}
            for one in await machines(community, actor.member)
        ],
    }  # fmt: skip


async def _rows_about(community: Community, member: MemberId) -> dict[str, list[dict[str, object]]]:
    """By view, the rows that hold the member's id in any column.

    So whatever a later domain folds is found without a word here, as long as it names members by
    their ids.
    """
    found: dict[str, list[dict[str, object]]] = {}
    for view in community.realm.folding.views:
        names = ["key", *view.columns]
        blobs = ["key", *(name for name, kind in view.columns.items() if kind.startswith("BLOB"))]
        where = " OR ".join(f"instr({name}, ?) > 0" for name in blobs)
        rows = await community.query(
            f"SELECT {', '.join(names)} FROM v_{view.name} WHERE {where} ORDER BY key",  # noqa: S608 - declared names
            [member] * len(blobs),
        )
        if rows:
            found[view.name] = [dict(zip(names, row, strict=True)) for row in rows]
    return found


async def _erasures(community: Community, member: MemberId) -> dict[str, object]:
    erased = await erasures_of(community, member)
    own = community.realm.own_credential
    return {
        "erasures": [
            {"operation": one.id, "target": one.target, "time": moment(one.time_ms)}
            for one in erased
        ],
        "nodes": await nodes_of(community, erased, own.device if own is not None else None),
    }


async def _notices(community: Community, member: MemberId) -> list[dict[str, object]]:
    return [
        {"operation": one.operation, "was": one.was.name.lower(), "rests_on": one.rests_on,
         "time": moment(one.at_ms), "read": one.read}
        for one in await community.realm.notices.of(member, unread=False)
    ]  # fmt: skip


async def _add_files(
    daemon: Daemon, community: Community, member: MemberId, packed: zipfile.ZipFile
) -> tuple[dict[bytes, list[str]], int]:
    """Put the member's photos and other large parts in, one in memory at a time.

    By operation, their names; and how many could not be had.
    """
    own = community.grants_of(member)
    found: Sequence[LargePart] = await community.realm.store.large.parts(
        f"o.origin IN ({placeholders(len(own))})", own
    )
    files: dict[bytes, list[str]] = {}
    absent = 0
    for part in found:
        if not community.realm.parts.wants(part):
            continue
        try:
            data = content(await daemon.parts.look(community.realm, part))
        except CommonsError:
            absent += 1
            continue
        name = f"files/{part.operation.hex()}-{part.position}.{_ending(data)}"
        await asyncio.to_thread(packed.writestr, name, data, zipfile.ZIP_STORED)
        files.setdefault(part.operation, []).append(name)
    return files, absent


def _ending(data: bytes) -> str:
    """jpeg, png or webp by its first bytes, bin otherwise."""
    starts = {"jpeg": b"\xff\xd8", "png": b"\x89PNG", "webp": b"RIFF"}
    return next((one for one in MEDIA_TYPES if data.startswith(starts[one])), "bin")
