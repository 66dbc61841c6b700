"""The verbs of resources: import, describe, list, show, erase."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec

from commons_crdt.author import Draft
from commons_crdt.authority.facts import Erasure
from commons_crdt.authority.judge import ERASURE
from commons_crdt.document.values import Value
from commons_crdt.errors import CommonsError
from commons_crdt.ids import DocumentId, MemberId, OperationId
from commons_crdt.roles import Role
from commons_crdt.texts import _
from commons_node.certainty import certainty
from commons_node.community import Actor, Community, WrongState, written
from commons_node.domains.closing import needs_open
from commons_node.domains.resources.csv_import import read_map
from commons_node.domains.resources.drafts import changes, creations
from commons_node.domains.resources.facts import (
    IDENTITY,
    ITEM,
    MAX_QUANTITY,
    SPECIFICATION,
    SPECIFICATION_SCHEMA,
    State,
)
from commons_node.domains.resources.import_plan import key_of
from commons_node.domains.resources.importing import import_file, known_kinds
from commons_node.domains.resources.picturing import erasable, erasing, pictures
from commons_node.domains.resources.searching import page
from commons_node.domains.resources.things import (
    Thing,
    details_of,
    find_thing,
    row_of,
    settled_things,
    things,
)
from commons_node.explaining import catalogue
from commons_node.explaining.gone import Gone, all_gone, with_whom
from commons_node.registry import (
    Column,
    Command,
    Complete,
    Count,
    File,
    Reading,
    Registry,
    Request,
    Table,
    View,
    argument,
    option,
)

if TYPE_CHECKING:
    from commons_node.daemon import Daemon

_THINGS = Complete("resource.list", "resources", "number")
_SAID = frozenset(
    {"name", "state", "custodian", "custodian_name", "custodian_gone", "with", "owed", "owner",
     "out", "provisional", "settled", "certainty"}
)  # fmt: skip
"""What the sentence of ``resource show`` says already, or only programs want."""

YesNo = Literal["yes", "no"]
Quantity = Annotated[int, msgspec.Meta(ge=0, le=MAX_QUANTITY)]
Amount = Annotated[int, msgspec.Meta(ge=0)]


class NumberTaken(CommonsError):
    """There is a thing with the number {number} already: {name}."""

    code = "number_taken"
    hint = "choose another number, or change that one: commons-node resource edit {number}"
    status = "usage"


class Import(msgspec.Struct):
    """Arguments of ``resource import``."""

    file: Annotated[File, argument("the inventory, as CSV in UTF-8")]
    map: Annotated[
        File | None, option("TOML or JSON: which of the file's columns holds which of our fields")
    ] = None
    dry_run: Annotated[bool, option("only say what would happen")] = False
    partial: Annotated[bool, option("import the good rows even if others are wrong")] = False


async def import_things(request: Request[Daemon], args: Import) -> Mapping[str, object]:
    """Bring an inventory in: all of it or nothing, unless ``partial``."""
    community = await request.node.community(request)
    actor = await request.node.actor(request, community)
    actor.needs(Role.STEWARD)
    columns = read_map(args.map.name, args.map.data) if args.map else None
    return await import_file(
        community, actor, args.file.data, columns, dry_run=args.dry_run, partial=args.partial
    )


class Listing(msgspec.Struct):
    """Arguments of ``resource list``."""

    query: Annotated[str | None, option("words in number, names, brand, model or categories")] = (
        None
    )
    state: Annotated[
        Literal["available", "on_loan", "maintenance", "pending", "retired"] | None,
        option("only these"),
    ] = None
    limit: Annotated[Count | None, option("at most so many")] = None
    after: Annotated[str | None, option("go on behind this thing", complete=_THINGS)] = None


async def list_things(request: Request[Daemon], args: Listing) -> Reading:
    """What the community has."""
    community = await request.node.community(request)
    after = (await find_thing(community, args.after)).place if args.after else None
    wanted = request.selection
    if wanted is not None and not wanted.looks and args.limit is None:
        shown, more = await page(
            community, args.query, args.state, after, wanted.limit, wanted.skip
        )  # fmt: skip
        return Reading({"resources": await _rows(community, shown)}, community.as_of(), more=more)
    shown, more = await page(community, args.query, args.state, after, args.limit)
    return await community.reading(
        {
            "resources": await _rows(community, shown),
            "next": shown[-1].id.hex() if more else None,
        },
        conflicts=_conflicts(shown),
    )


async def _rows(community: Community, shown: Sequence[Thing]) -> list[dict[str, object]]:
    names, away = await community.names(), all_gone(community)
    certain = await settled_things(community, shown)
    return [
        {**_row(away, row_of(thing, names), thing), "settled": settled}
        for thing, settled in zip(shown, certain, strict=True)
    ]


class Show(msgspec.Struct):
    """Arguments of ``resource show``."""

    resource: Annotated[str, argument("the thing, by number, name or id", complete=_THINGS)]


async def show(request: Request[Daemon], args: Show) -> Reading:
    """Everything that is known of one thing."""
    community = await request.node.community(request)
    thing = await find_thing(community, args.resource)
    (settled,) = await settled_things(community, [thing])
    details = _row(all_gone(community), details_of(thing, await community.names()), thing)
    details |= certainty(settled) | {"photos": len(await pictures(community, thing.id)) or None}
    about = [
        {"field": name.replace("_", " "), "value": value}
        for name, value in details.items()
        if value is not None and name not in _SAID
    ]
    return await community.reading(
        {**details, "resources": [details], "about": about}, conflicts=_conflicts([thing])
    )


def _row(gone: Mapping[MemberId, Gone], row: dict[str, object], thing: Thing) -> dict[str, object]:
    """With who has it in words, and what to do when who has it is gone."""
    who = thing.custodian
    away = gone.get(who) if who is not None else None
    owed = away is not None and thing.loan is not None and thing.single
    loan = thing.number or (thing.loan or b"").hex()[:12]
    return {
        **row,
        "custodian_gone": away.way if away is not None else None,
        "with": with_whom(str(row["custodian_name"]), away) if who is not None else None,
        "owed": _(catalogue.OWED).format(loan=loan) if owed else None,
    }


def _conflicts(found: list[Thing]) -> list[dict[str, object]]:
    """Things that two people were handed at once: who has it stands, the others are named."""
    return [
        {
            "conflict": "custody",
            "resource": thing.id.hex(),
            "number": thing.number or None,
            "stands": thing.move.hex(),
            "others": [ident.hex() for ident in thing.conflicts],
        }
        for thing in found
        if thing.conflicts
    ]


class Described(msgspec.Struct, kw_only=True):
    """What can be said of a thing when it is new, and later: options of both verbs."""

    number: Annotated[str | None, option("the number on its label")] = None
    other_names: Annotated[str | None, option("what else people call it")] = None
    brand: Annotated[str | None, option("its brand")] = None
    model: Annotated[str | None, option("its model")] = None
    size: Annotated[str | None, option("its size")] = None
    strength: Annotated[str | None, option("its strength, such as 18 Volt")] = None
    serial: Annotated[str | None, option("its serial number")] = None
    categories: Annotated[str | None, option("what it belongs to, separated by ;")] = None
    quantity: Annotated[Quantity | None, option("how many there are")] = None
    uncounted: Annotated[YesNo | None, option("whether nobody counts them")] = None
    state: Annotated[State | None, option("whether it can be lent")] = None
    notice: Annotated[str | None, option("what a borrower should know")] = None
    policy: Annotated[str | None, option("the name of its lending policy")] = None
    loan_days: Annotated[Amount | None, option("for how many days it is usually lent")] = None
    needs_approval: Annotated[YesNo | None, option("whether each loan is looked at")] = None
    price_cents: Annotated[Amount | None, option("what it cost, in cents")] = None
    acquired: Annotated[str | None, option("when it came")] = None


class Add(Described, kw_only=True):
    """Arguments of ``resource add``."""

    name: Annotated[str, argument("what it is")]


async def add(request: Request[Daemon], args: Add) -> Mapping[str, object]:
    """Describe a thing that is new here."""
    community = await request.node.community(request)
    actor = await request.node.actor(request, community)
    actor.needs(Role.STEWARD)
    await needs_open(community)
    kind, item = _split(msgspec.structs.asdict(args))
    await _free_number(community, item.get("number"), None)
    specification = await _specification(community, actor, kind)
    fields = {"quantity": 1, "state": "active", **item, "specification": specification.hex()}
    (draft,) = await creations(community, actor, ITEM, [fields])
    (result,) = await community.write(actor, draft)
    return {
        **written(result),
        "resource": result.id.hex(),
        "name": kind["name"],
        "number": item.get("number"),
    }


class Edit(Described, kw_only=True):
    """Arguments of ``resource edit``."""

    resource: Annotated[str, argument("the thing, by number, name or id", complete=_THINGS)]
    name: Annotated[str | None, option("what it is")] = None
    clear: Annotated[
        list[Literal["number", "other_names", "brand", "model", "size", "strength", "serial",
                     "categories", "notice", "policy", "loan_days", "price_cents", "acquired"]],
        option("empty this field; may be repeated"),
    ] = msgspec.field(default_factory=list)  # fmt: skip


async def edit(request: Request[Daemon], args: Edit) -> Mapping[str, object]:
    """Change what is said of a thing; what describes its kind changes for all of that kind."""
    community = await request.node.community(request)
    actor = await request.node.actor(request, community)
    actor.needs(Role.STEWARD)
    thing = await find_thing(community, args.resource)
    given = msgspec.structs.asdict(args)
    del given["resource"], given["clear"]
    kind, item = _split(given)
    for name in args.clear:
        (kind if name in SPECIFICATION_SCHEMA.fields else item)[name] = None
    if not kind and not item:
        raise WrongState(
            why=_("Nothing is said to change."), next="commons-node resource edit --help"
        )
    await _free_number(community, item.get("number"), thing)
    if key_of({**thing.kind, **kind}) != key_of(thing.kind) and not await _alone(community, thing):
        base = {name: value for name, value in thing.kind.items() if value is not None}
        merged: dict[str, Value] = {**base, **kind}  # type: ignore[dict-item]  # no bytes in there
        for flag in ("needs_approval", "consumable"):
            if merged.get(flag) is not None:
                merged[flag] = bool(merged[flag])
        item["specification"] = (await _specification(community, actor, merged)).hex()
        kind = {}
    of_kind = {thing.specification: kind} if kind else {}
    drafts = [
        *await changes(community, actor, SPECIFICATION, of_kind),
        *await changes(community, actor, ITEM, {thing.id: item} if item else {}),
    ]
    if not drafts:
        raise WrongState(why=_("It is like that already."), next="commons-node resource show R")
    results = await community.write(actor, *drafts)
    return {**written(results[-1]), "resource": thing.id.hex(), "name": args.name or thing.name,
            "number": item.get("number", thing.number or None),
            "operations": len(results)}  # fmt: skip


async def erase(request: Request[Daemon], args: Show) -> Mapping[str, object]:
    """Erase what is said of a thing, on every node; its loans stay, without its name."""
    community = await request.node.community(request)
    actor = await request.node.actor(request, community)
    actor.needs(Role.STEWARD)
    thing = await find_thing(community, args.resource)
    if thing.out:
        raise WrongState(
            why=_("{label} is on loan.").format(label=thing.label), next="commons-node loan list"
        )
    creation = OperationId(thing.id)
    draft = Draft.fact(ERASURE, Erasure(creation), document=thing.id, refs=[creation])
    photos = erasable(await pictures(community, thing.id), actor)
    drafts = [draft, *(erasing(thing.id, photo.id) for photo in photos)]
    result, *_rest = await community.write(actor, *drafts)
    return {**written(result), "resource": thing.id.hex(), "name": thing.name,
            "number": thing.number or None, "photos": len(photos)}  # fmt: skip


def _split(given: Mapping[str, object]) -> tuple[dict[str, Value], dict[str, Value]]:
    """What is said of the kind, and of the thing; what was not given is left out."""
    kind: dict[str, Value] = {}
    item: dict[str, Value] = {}
    for name, value in given.items():
        if value is None:
            continue
        told: Value = value if isinstance(value, int) else str(value).strip()
        if name in {"uncounted", "needs_approval"}:
            told = value == "yes"
        (kind if name in SPECIFICATION_SCHEMA.fields else item)[name] = told or (
            told if isinstance(told, int) else None
        )
    return kind, item


async def _specification(
    community: Community, actor: Actor, kind: Mapping[str, Value]
) -> DocumentId:
    """The specification with these fields: the one that is here, made to say so, or a new one."""
    known = (await known_kinds(community)).get(key_of(kind))
    if known is None:
        drafts = await creations(community, actor, SPECIFICATION, [kind])
    else:
        said = {name: value for name, value in kind.items() if name not in IDENTITY}
        drafts = await changes(community, actor, SPECIFICATION, {known[0]: said} if said else {})
    results = await community.write(actor, *drafts) if drafts else []
    return known[0] if known is not None else DocumentId(results[0].id)


async def _alone(community: Community, thing: Thing) -> bool:
    """True if no other thing shares its specification."""
    return len(await things(community, "i.specification = ?", (thing.specification,))) == 1


async def _free_number(community: Community, number: Value, own: Thing | None) -> None:
    if number is None:
        return
    for other in await things(community, "i.number = ?", (number,)):
        if own is None or other.id != own.id:
            raise NumberTaken(number=number, name=other.name)


_ROW = (
    Column("number", "Number"),
    Column("name", "Name"),
    Column("brand", "Brand"),
    Column("state", "State"),
    Column("with", "With"),
    Column("resource", "Id", "id"),
)

VERBS = Registry(
    commands=(
        Command("resource.import", "Bring in an inventory from a CSV file.", Import, import_things,
                says="{read} rows: {created} created, {updated} updated, {unchanged} unchanged,"
                " {failed} failed; {operations} operations.",
                table=Table("failures", (Column("row", "Row", "number"), Column("number", "Number"),
                                         Column("reason", "What is wrong"))),
                member=True, timeout_s=900.0),
        Command("resource.add", "Describe a thing that is new here.", Add, add,
                says=("{name} is here now, as number {number}.", "{name} is here now."),
                member=True, trustable=True),
        Command("resource.edit", "Change what is said of a thing.", Edit, edit,
                says="{name} is changed.", member=True),
        Command("resource.erase", "Erase what is said of a thing, on every node.", Show, erase,
                says="{name} is erased.", member=True,
                asks="Erase {resource} on every node? This cannot be undone."),
    ),
    views=(
        View("resource.list", "What the community has.", Listing, list_things,
             table=Table("resources", _ROW, "Nothing here fits.")),
        View("resource.show", "Everything that is known of a thing.", Show, show,
             says=("{name}: {state}, with {with}\n{owed}", "{name}: {state}, with {with}",
                   "{name}: {state}"),
             table=Table("about", (Column("field", "About it"), Column("value", "")))),
    ),
    nouns={"resource": "the things that the community shares"},
)  # fmt: skip
