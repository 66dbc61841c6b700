"""`agent new`, `check`, `pack`, `sign`: what an author does with a folder of their own."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import msgspec

from commons_crdt.texts import _, ngettext
from commons_node.agents.checking import findings, of_rehearsal
from commons_node.agents.folders import NoPackage, begin, named, read_folder
from commons_node.agents.keys import publisher_key
from commons_node.agents.manifest import Manifest, parse
from commons_node.agents.package import MAX_PACKAGE, Package, pack, read, sign
from commons_node.agents.refusals import BadPackage
from commons_node.agents.wording import in_words
from commons_node.api.events import EVENTS
from commons_node.capabilities.rehearsing import rehearse
from commons_node.keystore.sessions import pick
from commons_node.keystore.unlocked import Unlocked
from commons_node.registry import (
    Column,
    Command,
    Reading,
    Registry,
    Request,
    Table,
    View,
    folder,
    option,
    path_in,
    path_out,
)
from commons_node.service.veils import refuse_veiled
from commons_node.whole_file import checked_path, whole_file

if TYPE_CHECKING:
    from commons_node.daemon import Daemon

_NOBODY: Final = "0" * 64
"""Stands for the publisher where a folder names none, and none is asked for."""


class New(msgspec.Struct):
    """Arguments of ``agent new``."""

    folder: Annotated[str, folder("a new folder; its name is the agent's")]


class Check(msgspec.Struct):
    """Arguments of ``agent check``."""

    folder: Annotated[str, folder("the agent's folder")]
    run: Annotated[
        bool, option("run it once in the sandbox as well, before made-up neighbours and devices")
    ] = False


class Pack(msgspec.Struct):
    """Arguments of ``agent pack``."""

    folder: Annotated[str, folder("the agent's folder")]
    file: Annotated[
        str | None,
        path_out("where the package goes; beside the folder, as NAME-VERSION.agent, if left out"),
    ] = None


class Sign(msgspec.Struct):
    """Arguments of ``agent sign``."""

    file: Annotated[str, path_in("the package; the node reads it and writes it anew")]


async def _acting(request: Request[Daemon]) -> Unlocked:
    """The unlocked member whose key signs. Raises ``Locked`` and the like."""
    member = None
    if request.member is not None:
        community = await request.node.community(request)
        member = (await community.member(request.member)).hex()
    return pick(request.session, member)


async def _key(request: Request[Daemon]) -> str:
    key = await publisher_key(request.node.keystore, await _acting(request))
    return bytes(key.verify_key).hex()


async def new(request: Request[Daemon], args: New) -> Mapping[str, object]:
    """A folder with an agent that works, and your key in it."""
    publisher = await _key(request)
    place = Path(args.folder)
    refuse_veiled(place, write=True)
    files = await asyncio.to_thread(begin, place, publisher)
    return {
        "folder": str(place),
        "name": place.name,
        "publisher": publisher,
        "files": [str(path.relative_to(place)) for path in files],
    }


async def check(request: Request[Daemon], args: Check) -> Reading:
    """What can be said of a folder without running it; or by running it where nothing is real."""
    refuse_veiled(Path(args.folder), write=False)
    toml, code = await asyncio.to_thread(read_folder, Path(args.folder))
    manifest = parse(toml, publisher=_NOBODY)
    data = pack(named(toml, _NOBODY) if manifest.publisher == _NOBODY else toml, code)
    found = await asyncio.to_thread(findings, manifest, code, EVENTS)
    rehearsed = await rehearse(request.node, read(data)) if args.run else None
    if rehearsed is not None:
        found = [*found, *of_rehearsal(manifest, rehearsed)]
    faults = sum(one.weight == "fault" for one in found)
    count = ngettext("{n} fault", "{n} faults", faults).format(n=faults)
    return Reading(
        {
            "name": manifest.name,
            "version": manifest.version,
            "files": len(code),
            "faults": faults,
            "count": count if faults else None,
            "findings": [msgspec.to_builtins(one) for one in found],
            "run": msgspec.to_builtins(rehearsed),
            "ran": in_words(rehearsed) if rehearsed is not None else None,
        }
    )


async def make(request: Request[Daemon], args: Pack) -> Mapping[str, object]:
    """A package of a folder, not yet signed."""
    refuse_veiled(Path(args.folder), write=False)
    toml, code = await asyncio.to_thread(read_folder, Path(args.folder))
    if parse(toml, publisher=_NOBODY).publisher == _NOBODY:
        toml = named(toml, await _key(request))
    data = pack(toml, code)
    package = read(data)
    name = f"{package.manifest.name}-{package.manifest.version}.agent"
    path = checked_path(args.file or str(Path(args.folder).parent / name))
    await asyncio.to_thread(_write, path, data)
    return _told(path, package, len(data))


async def seal(request: Request[Daemon], args: Sign) -> Mapping[str, object]:
    """Sign a package with the key of the member who is unlocked here."""
    key = await publisher_key(request.node.keystore, await _acting(request))
    path = Path(args.file)
    data = sign(await asyncio.to_thread(_read, path), key)
    await asyncio.to_thread(_write, checked_path(args.file), data)
    return _told(path, read(data, signed=True), len(data))


def _told(path: Path, package: Package, size: int) -> dict[str, object]:
    manifest: Manifest = package.manifest
    return {
        "file": str(path),
        "agent": manifest.agent,
        "name": manifest.name,
        "version": manifest.version,
        "publisher": manifest.publisher,
        "package": package.hash.hex(),
        "signed": package.signed,
        "bytes": size,
    }


def _read(path: Path) -> bytes:
    refuse_veiled(path, write=False)
    try:
        with path.open("rb") as file:
            data = file.read(MAX_PACKAGE + 1)
    except OSError as error:
        raise NoPackage(file=path, why=error.strerror or error) from error
    if len(data) > MAX_PACKAGE:
        raise BadPackage(why=_("it is larger than 5 MiB"))
    return data


def _write(path: Path, data: bytes) -> None:
    with whole_file(path) as file:
        file.write(data)


REGISTRY = Registry(
    commands=(
        Command("agent.new", "Begin an agent: a folder with one that works.", New, new,
                says="{folder} holds an agent that works.\nnext: commons-node agent check {folder}",
                member=True),
        Command("agent.pack", "Make a package of an agent's folder.", Pack, make,
                says="{file}: {name} {version}, {bytes} bytes, not yet signed.\n"
                "next: commons-node agent sign {file}"),
        Command("agent.sign", "Sign a package as its publisher.", Sign, seal,
                says="{file} is signed by the publisher {publisher}.\n"
                     "next: commons-node agent install {file}", member=True),
    ),
    views=(
        View("agent.check", "Say what is wrong with an agent's folder, or rehearse it.", Check,
             check, timeout_s=60.0,
             says=("{name} {version}: {count}\n{ran:lines}", "{name} {version}: {count}",
                   "{name} {version} can be packed.\n{ran:lines}",
                   "{name} {version} can be packed."),
             table=Table("findings", (Column("weight", "Weight", "word"), Column("file", "File"),
                                      Column("line", "Line", "number"), Column("text", "What")),
                         "Nothing was found.")),
    ),
)  # fmt: skip
