"""``commons-node doctor``: ask everything, print it, and write the report if one is wanted.

A process of its own: it also says why a node does not start.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from commons_crdt.errors import CommonsError
from commons_crdt.texts import Spoken, _
from commons_node.api.client import Client
from commons_node.api.paths import NotYoursError, socket_path
from commons_node.api.types import API_VERSION, HTTP_STATUS
from commons_node.config import Config, load
from commons_node.doctor import data, house, machine, network, sandbox, service
from commons_node.doctor.check import Check, State, worst
from commons_node.doctor.report import report, write_report
from commons_node.home import Home
from commons_node.logs import set_up
from commons_node.service.installing import installed, place
from commons_node.telling import tell_failure
from commons_node.verifier.pool import VerifierPool

_SIGN: Final[Spoken[State]] = Spoken({"ok": "✓ ok  ", "warn": "! warn", "fail": "✗ fail"})
_SUMS: Final[Spoken[State]] = Spoken({
    "ok": "All is well.",
    "warn": "It works; look at what is marked with !.",
    "fail": "Something is broken: see what is marked with ✗.",
})  # fmt: skip


def see(home: Home, file: Path | None, *, quick: bool, as_json: bool) -> int:
    """Examine a home and its machine, and print what was found; the exit code."""
    set_up("error", "json" if as_json else "auto")
    checks, config = asyncio.run(examine(home, os.environ, quick=quick))
    shown: dict[str, object] = {"v": API_VERSION, "ok": True, "state": worst(checks)}
    shown["checks"] = [one.shown() for one in checks]
    if file is not None:
        try:
            write_report(file, report(checks, config, _now_ms()))
        except OSError as error:
            return _not_written(file, error, as_json=as_json)
        shown["report"] = str(file)
    if as_json:
        sys.stdout.write(json.dumps(shown) + "\n")
    else:
        sys.stdout.write(in_words(checks, file))
    return 0


async def examine(
    home: Home, environment: Mapping[str, str], *, quick: bool
) -> tuple[list[Check], Config | None]:
    """Every check, in the order in which a person should look at them."""
    checks = [machine.program(), house.folder(home)]
    config: Config | None = None
    with suppress(CommonsError):  # the check of the configuration says it
        config = load(home.path, environment)
    if home.path.is_dir():
        checks += [guarded("modes", lambda: house.modes(home, config or Config()))]
        checks += [guarded("keys", lambda: house.keys(home))]
        checks += [guarded("config", lambda: house.configuration(home, environment))]
    reserve = (config or Config()).disk_reserve
    seen = data.Seen(None, ())
    if home.path.is_dir():
        pool = VerifierPool(os.cpu_count() or 1)
        try:
            found, seen = await data.examine(home, pool, _now_ms(), quick=quick)
        finally:
            await pool.stop()
        checks += found
        checks += [guarded("forks", lambda: house.forks(home, seen.forked))]
        checks += [guarded("backup", lambda: house.backup(home, config or Config(), _now_ms()))]
        checks += [guarded("disk", lambda: machine.disk(home.path, reserve))]
        checks += [guarded("runner", lambda: sandbox.runner(home))]
    newest, zones = seen.newest_ms, list(seen.zones)
    checks += [
        guarded("clock", lambda: machine.clock(_now_ms(), newest)),
        guarded("zone", lambda: machine.zone(zones)),
        guarded("memory", machine.memory),
        guarded("entropy", machine.entropy),
        guarded("files", machine.files),
        guarded("sandbox", sandbox.sandbox),
    ]
    units = [place(environment, system=system) for system in (False, True)]
    unit = next((one for file in units if (one := installed(file, home.path))), None)
    if unit is not None:
        whose = home.path.stat().st_uid if home.path.is_dir() else os.getuid()
        told = config or Config()
        checks += [guarded("service", lambda: service.service(unit, told, whose=whose))]
    checks += [guarded("doors", lambda: house.doors(config or Config()))]
    checks += _of_the_network(home, config or Config(), environment)
    return checks, config


def _of_the_network(home: Home, config: Config, environment: Mapping[str, str]) -> list[Check]:
    try:
        client = Client(socket_path(home.path, environment))
    except NotYoursError as error:
        return [Check("node", "fail", str(error), error.hint, {"running": False})]
    node, status = network.asked(client)
    running = status is not None
    kept = network.kept_port(home.path / "node.db")
    checks = [
        node,
        guarded("port", lambda: network.port(kept, config.listen, running=running)),
        guarded("multicast", lambda: network.multicast(config)),
    ]
    if status is not None:
        checks.append(guarded("peers", lambda: network.peers(client)))
        checks.append(guarded("versions", lambda: network.versions(client, status)))
        if status["unattended"]:
            checks.append(guarded("unlocking", lambda: network.unlocking(status)))
    return checks


def guarded(name: str, ask: Callable[[], Check]) -> Check:
    """The answer; one question that fails keeps no other from being asked."""
    try:
        return ask()
    except Exception as error:
        told = _("This could not be found out: {kind}: {error}").format(
            kind=type(error).__name__, error=error
        )
        return Check(name, "fail", told, _("report this line"), {"fault": type(error).__name__})


def in_words(checks: list[Check], file: Path | None) -> str:
    """One line for each check, what to do below those that are not well, and a sum."""
    lines = []
    for one in checks:
        lines.append(f"{_SIGN[one.state]}  {one.check}: {one.detail}")
        if one.fix and one.state != "ok":
            lines.append(_("          try: {fix}").format(fix=one.fix))
    lines += ["", _SUMS[worst(checks)]]
    if file is not None:
        lines.append(
            _("The report is in {file}: figures only, no names, keys, paths or addresses.").format(
                file=file
            )
        )
    return "\n".join(lines) + "\n"


def _not_written(file: Path, error: OSError, *, as_json: bool) -> int:
    message = _("The report cannot be written to {file}: {strerror}.").format(
        file=file, strerror=error.strerror or error
    )
    hint = _("choose a file in a folder that is yours to write")
    status = HTTP_STATUS["usage"]
    return tell_failure(_("there is no report"), "bad_file", message, hint, status, as_json=as_json)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
