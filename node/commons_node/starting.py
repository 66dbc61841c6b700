"""Starting a daemon from flags: home, configuration, logs, signals, the ready line."""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import signal
import sys
from pathlib import Path

from commons_crdt.errors import CommonsError
from commons_crdt.texts import N_, _, reading
from commons_node.api.language import catalogue, of_environment, speak
from commons_node.api.paths import home_path
from commons_node.api.types import HTTP_STATUS, ExitCode
from commons_node.backup import process as backup_process
from commons_node.config import load
from commons_node.daemon import Daemon
from commons_node.home import Home, ready_line, write_ready
from commons_node.logs import set_up
from commons_node.rotating import RotatingFile
from commons_node.service import handing
from commons_node.service.asking import ask, declare
from commons_node.service.notifying import Manager
from commons_node.telling import tell_error, tell_failure
from commons_protocol.network import NetworkError

_FAILED = N_("the node did not start")
_READY = N_(
    "The node of {home} runs, as process {pid}. Ctrl-C stops it; give commands in another"
    " terminal.\nOther nodes reach it at:\n  {addresses}"
)
_YOUNG = 50_000
"""New objects before Python looks for cycles among them: a batch of operations makes thousands and
no cycle, and what was imported and loaded stays anyway."""


def main(arguments: list[str]) -> int:
    """Run a verb of this module; the exit code as CONTRACT.md has it."""
    parser = argparse.ArgumentParser(prog=_("python -m commons_node"))
    verbs = parser.add_subparsers(dest="verb", required=True)
    run = verbs.add_parser("run")
    run.add_argument("--home")
    run.add_argument("--listen", action="append", default=[])
    run.add_argument("--no-lan", action="store_true")
    run.add_argument("--ready-file", type=Path)
    run.add_argument("--json", action="store_true")
    run.add_argument("--until-stdin-closes", action="store_true")
    demo = verbs.add_parser("demo")
    demo.add_argument("--json", action="store_true")
    verify = verbs.add_parser("verify")
    verify.add_argument("file", type=Path)
    verify.add_argument("--json", action="store_true")
    doctor = verbs.add_parser("doctor")
    doctor.add_argument("--home")
    doctor.add_argument("--report", type=Path)
    doctor.add_argument("--quick", action="store_true")
    doctor.add_argument("--json", action="store_true")
    backup = verbs.add_parser("backup")
    backup_process.declare(backup)
    declare(verbs)
    given = parser.parse_args(arguments)
    found = catalogue(of_environment(os.environ))
    reading.set(found)
    speak(found)
    if given.verb == "demo":
        from commons_node.demo.play import play  # noqa: PLC0415 - the daemon does without it

        return play(as_json=given.json)
    if given.verb == "verify":
        from commons_node.archive.checking import check  # noqa: PLC0415 - likewise

        return check(given.file, as_json=given.json)
    if given.verb == "doctor":
        from commons_node.doctor.seeing import see  # noqa: PLC0415 - likewise

        home = Home(home_path(given.home, os.environ))
        return see(home, given.report, quick=given.quick, as_json=given.json)
    if given.verb == "backup":
        return backup_process.run(given)
    if given.verb == "service":
        return ask(given)
    try:
        return asyncio.run(_run(given))
    except CommonsError as error:
        return tell_error(_(_FAILED), error, as_json=given.json)
    except NetworkError as error:
        code, hint = "network", _(error.hint)
        return tell_failure(
            _(_FAILED), code, str(error), hint, HTTP_STATUS["failed"], as_json=given.json
        )
    except OSError as error:
        hint = _("check that the disk has room, and that all in the home is yours to write")
        return tell_failure(
            _(_FAILED), "failed", str(error), hint, HTTP_STATUS["failed"], as_json=given.json
        )
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED


def _closed(loop: asyncio.AbstractEventLoop, ended: asyncio.Event) -> None:
    """Nobody is at the other end any more; asked again, it would say so again without end."""
    loop.remove_reader(sys.stdin.fileno())
    ended.set()


async def _run(given: argparse.Namespace) -> int:
    home = Home(home_path(given.home, os.environ))
    with home:
        handing.check(home)
        flags: dict[str, object] = {}
        if given.listen:
            flags["listen"] = given.listen
        if given.no_lan:
            flags["lan"] = False
        config = load(home.path, os.environ, flags)
        file = (
            RotatingFile(Path(config.log_file), config.log_file_mib << 20, config.log_files)
            if config.log_file
            else None
        )
        set_up(config.log_level, config.log_format, of=config.log_levels, file=file)
        ready = _(_READY)
        reading.set(None)  # what goes on by itself is logged, in English
        manager = Manager(os.environ)
        daemon = Daemon(home, config, os.environ)
        ended = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, ended.set)
        if given.until_stdin_closes:
            loop.add_reader(sys.stdin.fileno(), _closed, loop, ended)
        await daemon.start()
        gc.freeze()
        gc.set_threshold(_YOUNG)
        line = ready_line(
            node=daemon.node, pid=os.getpid(), socket=daemon.socket, addresses=daemon.addresses
        )
        told = line
        if sys.stdout.isatty() and not given.json:
            addresses = "\n  ".join(daemon.addresses)
            told = ready.format(home=home.path, pid=os.getpid(), addresses=addresses)
        sys.stdout.write(told + "\n")
        sys.stdout.flush()
        if given.ready_file:
            write_ready(given.ready_file, line)
        manager.ready(f"node {daemon.node[:8]} answers")
        async with asyncio.TaskGroup() as beside:
            living = [
                beside.create_task(manager.live()),
                beside.create_task(daemon.unattended.stay()),
            ]
            await ended.wait()
            for task in living:
                task.cancel()
        manager.stopping()
        await daemon.stop()
    return 0
