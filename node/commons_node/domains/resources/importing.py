"""Carries out an import: plan, refuse or write, report on every row.

All things of a file appear in one commit. Their specifications are written just before, because a
thing names its specification by an id that is only known then; specifications without things are
seen nowhere and are used by the next import, so that a crash in between leaves nothing half done.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from commons_crdt.errors import CommonsError
from commons_crdt.ids import DocumentId
from commons_crdt.texts import _, ngettext
from commons_node.community import Actor, Community
from commons_node.domains.closing import needs_open
from commons_node.domains.resources.csv_import import Row, read_rows
from commons_node.domains.resources.drafts import changes, creations
from commons_node.domains.resources.facts import ITEM, SPECIFICATION, SPECIFICATION_SCHEMA
from commons_node.domains.resources.import_plan import Key, Kinds, Plan, key_of, plan
from commons_node.domains.resources.things import things

_SHOWN = 3


class NotImported(CommonsError):
    """Nothing was imported: {failed} of {read} rows are wrong. {first}"""

    code = "import"
    hint = "correct these rows, or import the others with --partial"


async def import_file(
    community: Community,
    actor: Actor,
    data: bytes,
    columns: Mapping[str, str] | None,
    *,
    dry_run: bool,
    partial: bool,
) -> dict[str, object]:
    """The answer of ``resource import``. Raises BadFile, NotImported (with the same report)."""
    rows = await asyncio.to_thread(read_rows, data, columns)
    made = await _plan(community, rows)
    failed = made.count("failed")
    if failed and not partial and not dry_run:
        first = " ".join(
            (
                _("Row {row} (number {number}): {reason}.")
                if step.row.number
                else _("Row {row}: {reason}.")
            ).format(row=step.row.row, number=step.row.number, reason=step.reason)
            for step in [one for one in made.steps if one.outcome == "failed"][:_SHOWN]
        )
        rest = failed - _SHOWN
        more = ngettext("And {count} more.", "And {count} more.", rest).format(count=rest)
        for step in made.steps:
            if step.outcome != "failed":
                step.outcome, step.reason = _("not imported"), _("other rows of the file are wrong")
        report = {**_report(made, 0), "dry_run": False}
        raise NotImported(
            failed=failed,
            read=len(rows),
            first=f"{first} {more}" if rest > 0 else first,
            report=report,
        )
    operations = 0 if dry_run else await _write(community, actor, made)
    return {**_report(made, operations), "dry_run": dry_run}


async def known_kinds(community: Community) -> Kinds:
    """The specifications that are here; of two with one key the one with the lower id."""
    names = tuple(SPECIFICATION_SCHEMA.fields)
    query = f"SELECT key, {', '.join(names)} FROM v_specifications ORDER BY key DESC"  # noqa: S608 - our names
    found: dict[Key, tuple[DocumentId, Mapping[str, object]]] = {}
    for row in await community.query(query):
        fields = dict(zip(names, row[1:], strict=True))
        found[key_of(fields)] = (DocumentId(row[0]), fields)
    return found


async def _plan(community: Community, rows: Sequence[Row]) -> Plan:
    here, kinds = await things(community), await known_kinds(community)
    return await asyncio.to_thread(plan, rows, here, kinds)


async def _write(community: Community, actor: Actor, made: Plan) -> int:
    """Write what is planned; how many operations it took."""
    if made.items:
        await needs_open(community)
    kinds = {key: ident for key, (ident, _) in (await known_kinds(community)).items()}
    drafts = await creations(community, actor, SPECIFICATION, list(made.kinds.values()))
    written = await community.write(actor, *drafts) if drafts else []
    kinds |= {key: DocumentId(one.id) for key, one in zip(made.kinds, written, strict=True)}
    rows = [{**fields, "specification": kinds[key].hex()} for _, key, fields in made.items]
    items = await creations(community, actor, ITEM, rows)
    for ident, key in made.moves.items():
        fields = made.item_changes.setdefault(ident, {})
        fields["specification"] = kinds[key].hex()
    others = [
        *await changes(community, actor, SPECIFICATION, made.kind_changes),
        *await changes(community, actor, ITEM, made.item_changes),
    ]
    if not items and not others:
        return len(written)
    result = await community.write(actor, *items, *others)
    for (step, _draft, _part), one in zip(made.items, result, strict=False):
        step.resource = DocumentId(one.id)
    return len(written) + len(result)


def _report(made: Plan, operations: int) -> dict[str, object]:
    rows = [
        {
            "row": step.row.row,
            "number": step.row.number or None,
            "outcome": step.outcome,
            "reason": step.reason or None,
            "resource": step.resource.hex() if step.resource else None,
        }
        for step in made.steps
    ]
    return {
        "read": len(rows),
        "created": made.count("created"),
        "updated": made.count("updated"),
        "unchanged": made.count("unchanged"),
        "failed": made.count("failed"),
        "operations": operations,
        "rows": rows,
        "failures": [row for row in rows if row["outcome"] == "failed"],
    }
