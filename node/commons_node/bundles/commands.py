"""The verbs of bundles: ``bundle export`` and ``bundle import``."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, ClassVar

import msgspec

from commons_crdt.errors import CommonsError
from commons_crdt.ids import MemberId, RealmId
from commons_crdt.texts import _, ngettext
from commons_node.bundles import importing
from commons_node.bundles.carried import ends_of, makers, member_of, wants_of
from commons_node.bundles.exporting import LIFETIME_MS, Wish, export_bundle
from commons_node.bundles.files import CannotRead, FileSource, opened
from commons_node.bundles.importing import Import, Report
from commons_node.bundles.rehearsing import rehearsal
from commons_node.community import Community, Unknown
from commons_node.registry import (
    Column,
    Command,
    Count,
    Registry,
    Request,
    Seconds,
    Table,
    option,
    path_in,
    path_out,
)
from commons_node.whole_file import checked_path, whole_file
from commons_protocol.bundles.errors import BadBundle
from commons_protocol.bundles.reader import Unlocked, unlock
from commons_protocol.ends import ChainEnd
from commons_protocol.replica import Ingested, Range

if TYPE_CHECKING:
    from commons_node.daemon import Daemon

_PROGRESS_S = 0.2
_PREFIX = 8


class NotWhole(CommonsError):
    """The bundle is not whole: {new} operations came in, missing: {missing} ({why})."""

    code: ClassVar[str] = "bundle_incomplete"
    hint: ClassVar[str] = "import it again from a whole copy: what came in stays, it goes on there"


class Export(msgspec.Struct):
    """Arguments of ``bundle export``."""

    file: Annotated[str, path_out("where the bundle goes; the node writes it")]
    for_: Annotated[
        str | None,
        option("only what this member or node was last known to lack", metavar="MEMBER|NODE"),
    ] = msgspec.field(default=None, name="for")
    since: Annotated[
        datetime | None, option("only what came here from the first act of this time on")
    ] = None
    lifetime: Annotated[Seconds, option("how long it is taken in without a question")] = (
        LIFETIME_MS // 1000
    )
    parts_up_to: Annotated[
        Count | None,
        option("leave longer texts, photos and other large parts behind", metavar="BYTES"),
    ] = None


class Take(msgspec.Struct):
    """Arguments of ``bundle import``."""

    file: Annotated[str, path_in("the bundle; the node reads it")]
    dry_run: Annotated[bool, option("say what it would bring, and change nothing")] = False
    even_expired: Annotated[bool, option("take it in though its time is over")] = False


async def export(request: Request[Daemon], args: Export) -> Mapping[str, object]:
    """Write a bundle."""
    daemon = request.node
    community = await daemon.community(request)
    path = checked_path(args.file)
    made_for = await _made_for(community, args.for_) if args.for_ is not None else None
    asked = [await wants_of(community.realm, device) for device in made_for or ()]
    since = int(args.since.timestamp() * 1000) if args.since is not None else 0
    wish = Wish(
        daemon.now_ms(), args.lifetime * 1000, max(since, 0), made_for,
        frozenset().union(*asked), args.parts_up_to,
    )  # fmt: skip
    tell = _progress(daemon, "export", None)
    with whole_file(path) as out:
        written = 0

        async def put(data: bytes) -> None:
            nonlocal written
            await asyncio.to_thread(out.write, data)
            written += len(data)
            tell(written)

        done = await export_bundle(community.realm, bytes.fromhex(daemon.node), wish, put)
    return {
        "community": community.id,
        "file": str(path),
        "operations": done.operations,
        "bytes": done.bytes,
        "devices": done.devices,
        "whole": not since and not made_for,
        "for": [device.hex() for device in made_for or ()],
        "expires": _moment(done.expires_ms),
        "parts_left": done.parts_left,
        "large_parts": done.large_parts,
        "wanted": done.wanted,
    }


async def _made_for(community: Community, selector: str) -> dict[bytes, list[ChainEnd]]:
    """The last known ends of a member's nodes, or of one node; none: nothing is known of it."""
    wanted = selector.strip().lower()
    known = await makers(community.realm)
    if len(wanted) >= _PREFIX:
        found = [one for one in known if one.node.hex().startswith(wanted)]
        if len(found) == 1:
            return {found[0].device: await ends_of(community.realm, found[0].device)}
    try:
        member = await community.member(selector)
    except Unknown as error:
        where = _("commons-node member list, or peer list")
        raise Unknown(what=_("member or node"), name=selector, list=where) from error
    devices = [one.device for one in known if member_of(community.realm, one.device) == member]
    return {device: await ends_of(community.realm, device) for device in devices}


async def take(request: Request[Daemon], args: Take) -> Mapping[str, object]:
    """Take a bundle in, or say what it would bring."""
    daemon = request.node
    with opened(args.file) as source:
        try:
            header = await importing.header_of(source)
        except OSError as error:
            raise CannotRead(file=args.file, why=error.strerror or error) from error
        community, unlocked = await _whose(request, header)
        if not args.dry_run:
            return await _take(daemon, community, source, unlocked, args)
        from commons_node.domains import VIEWS  # it names this module's verbs  # noqa: PLC0415

        async with rehearsal(community.realm, VIEWS, daemon.now_ms(), daemon.room) as realm:
            return await _take(daemon, Community(realm), source, unlocked, args)


async def _whose(request: Request[Daemon], header: bytes) -> tuple[Community, Unlocked]:
    """The community of this node that a bundle is for."""
    daemon = request.node
    asked = [await daemon.community(request)] if request.community else daemon.communities.values()
    devices = [(c, node) for c in asked if (node := daemon.standing.device(c.realm.realm))]
    secrets = [node.sealing for _, node in devices]
    unlocked = await asyncio.to_thread(unlock, header, secrets)
    return devices[unlocked.by][0], unlocked


async def _take(
    daemon: Daemon,
    community: Community,
    source: FileSource,
    unlocked: Unlocked,
    args: Take,
) -> Mapping[str, object]:
    tell = _progress(daemon, "import", source.size)
    realm, now = community.realm, daemon.now_ms()
    work = Import(
        realm, source, unlocked, now, daemon.parts, even_expired=args.even_expired, tell=tell
    )
    try:
        report = await work.run()
    except BadBundle as error:
        if work.report.read:
            error.details["report"] = await _told(community, work.report, args)
        raise
    finally:
        if not args.dry_run:
            daemon.peering.learned(realm.realm, Ingested(work.report.new))
    told = await _told(community, report, args)
    if report.damage is not None:
        missing = report.missing if report.ends is not None else "all that follows"
        why = report.damage.details["why"]
        raise NotWhole(new=report.new, missing=missing, why=why, report=told)
    if not args.dry_run and _since_start(daemon, report, now):
        daemon.signing.met(realm.realm)
    return told


def _since_start(daemon: Daemon, report: Report, now_ms: int) -> bool:
    """Whether another node made it while this one ran already: then it is as good as a meeting."""
    manifest = report.manifest
    assert manifest is not None
    realm = daemon.communities[RealmId(manifest.realm)].realm
    credential = realm.own_credential
    ours = credential is not None and credential.device == manifest.signer.id
    ran_ms = (time.monotonic() - daemon.started) * 1000
    return not ours and manifest.created_ms > now_ms - ran_ms


async def _told(community: Community, report: Report, args: Take) -> dict[str, object]:
    names = await community.names()
    manifest, damage = report.manifest, report.damage
    member = member_of(community.realm, manifest.signer.id) if manifest else None
    maker = names.get(member, member.hex()[:_PREFIX]) if member else None
    node = manifest.node.hex() if manifest else None
    reply = f"commons-node bundle export FILE --for {node[:_PREFIX]}" if node else None
    return {
        "community": community.id,
        "file": args.file,
        "dry_run": args.dry_run,
        "maker": maker,
        "node": node,
        "created": _moment(manifest.created_ms) if manifest else None,
        "expires": _moment(manifest.expires_ms) if manifest else None,
        "read": report.read,
        "new": report.new,
        "known": report.known,
        "skipped": report.skipped,
        "parts": report.parts,
        "large_parts": {
            "new": report.large.new,
            "known": report.large.known,
            "bytes": report.large.bytes,
            "left": dict(sorted(report.large.left.items())),
            "lacking": report.large.lacking,
        },
        "refused": [{"operation": o.hex(), "reason": why} for o, why in report.turned],
        "refusals": dict(sorted(report.refused.items())),
        "held": dict(sorted(report.held.items())),
        "missing": report.missing if report.ends is not None else None,
        "gaps": [_gap(community, names, gap) for gap in report.gaps[: importing.MOST_SHOWN]],
        "damage": {"code": damage.code, "why": damage.details["why"], "at_byte": report.damaged_at}
        if damage
        else None,
        "other_council": report.other_council,
        "reply": reply if damage is None else None,
        "would_bring": report.new if args.dry_run else None,
        "warning": _warning(report),
        "besides": "\n".join(filter(None, (_large(report), _warning(report)))) or None,
    }


def _large(report: Report) -> str | None:
    """What became of photos, agents and other large parts."""
    large = report.large
    if not (large.new or large.known or large.left.total() or large.lacking):
        return None
    return _(
        "Photos and other large parts: {new} new, {known} were here already, {lacking} are missing."
    ).format(new=large.new, known=large.known, lacking=large.lacking)


def _warning(report: Report) -> str | None:
    """What a person should know besides; the graver thing alone."""
    if report.other_council:
        return _("Its maker follows another council: commons-node council acts")
    left = report.large.left
    if left["quota"]:
        return ngettext(
            "{count} photo did not fit the quota: commons-node part policy --quota MIB, then"
            " import it again.",
            "{count} photos did not fit the quota: commons-node part policy --quota MIB, then"
            " import it again.",
            left["quota"],
        ).format(count=left["quota"])
    if left["disk"]:
        return ngettext(
            "{count} photo did not come, for the disk is nearly full: make room, then import it"
            " again.",
            "{count} photos did not come, for the disk is nearly full: make room, then import it"
            " again.",
            left["disk"],
        ).format(count=left["disk"])
    return None


def _gap(community: Community, names: Mapping[MemberId, str], gap: Range) -> dict[str, object]:
    member = member_of(community.realm, gap.device)
    return {
        "device": gap.device.hex(),
        "member": member.hex() if member else None,
        "name": names.get(member) if member else None,
        "log": gap.log,
        "first": gap.first,
        "last": gap.last,
    }


def _progress(daemon: Daemon, what: str, total: int | None) -> Callable[[int], None]:
    """Tells who listens how far it is, some times a second."""
    last = 0.0

    def tell(done: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= _PROGRESS_S:
            last = now
            daemon.events.publish("bundle", {"what": what, "bytes": done, "total": total})

    return tell


def _moment(ms: int) -> str:
    moment = datetime.fromtimestamp(min(ms, 253_402_300_799_000) / 1000, UTC)
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")


_WOULD = "Nothing was changed. {would_bring} operations would be new, {known} are here already."
_CAME = "{new} new operations came in, {known} were here already."
_BACK = "It is what {maker} had, {created:time}. For the way back: {reply}"

REGISTRY = Registry(
    commands=(
        Command("bundle.export", "Write what this node holds to a file that devices of the"
                " community alone can open.", Export, export, timeout_s=3600.0, progress="bundle",
                says="{operations} operations, {large_parts} photos and other large parts, {bytes}"
                     " bytes, are in {file}. {devices} devices can open it, until {expires:time}."),
        Command("bundle.import", "Take in what a bundle holds.", Take, take, timeout_s=3600.0,
                progress="bundle",
                says=(f"{_WOULD}\n\n{{besides}}",
                      _WOULD,
                      f"{_CAME} {_BACK}\n\n{{besides}}",
                      f"{_CAME} {_BACK}",
                      _CAME),
                table=Table("gaps", (Column("name", "Missing of"), Column("device", "Device", "id"),
                                     Column("log", "Log", "number"),
                                     Column("first", "From", "number"),
                                     Column("last", "To", "number")))),
    ),
    nouns={"bundle": "the community on a stick, where there is no network"},
)  # fmt: skip
