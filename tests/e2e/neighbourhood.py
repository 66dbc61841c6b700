"""Real daemons in temporary homes on loopback, as the end-to-end tests see them.

A `House` is the demo's `Neighbour` that can also be killed, started again, copied, asked through
the command line and looked into. A `Street` ends all its houses whatever happens, and adds their
logs to a failure. Nothing here waits without a bound.
"""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.e2e.command_line import Said, Terminal, clean_environment, cli
from tests.e2e.processes import alive, children_of, command_of, kill_9

from commons_node.api import language
from commons_node.api.client import ApiError, Client
from commons_node.demo.neighbour import Neighbour

WAIT_S = 40
SEEN = "keep_out = false\n"
"""For houses at which somebody breaks rules on purpose, many times, to see each counted."""
BY_HAND = 'jobs_at = ["integrity=off", "tidy=off", "overdue=off", "figures=off"]\n'
"""No job begins because an hour of the real clock comes while a test runs."""
QUICK = "verifier_workers = 1\nsync_interval_s = 5\n" + BY_HAND
"""Configuration of most houses: few processes, since many run at once."""

__all__ = [
    "BY_HAND", "LOOPBACK", "PASSPHRASE", "QUICK", "SEEN", "WAIT_S", "House", "Said", "Street",
    "Terminal", "agree", "alive", "children_of", "clean_environment", "cli", "command_of", "cut",
    "heal", "kill_9", "meet", "street", "until",
]  # fmt: skip

_ROOT = Path(__file__).parents[2]
LOOPBACK = "/ip4/127.0.0.1/tcp/0"
PASSPHRASE = "a long enough passphrase"


class House(Neighbour):
    """A neighbour whose daemon can be killed, started again and looked into."""

    module = "commons_node"
    """What is run; a test may have a house of another version."""
    python: str | Path = sys.executable
    """Which Python runs it: that of this tree, or of another release's."""

    def __init__(
        self,
        name: str,
        home: Path,
        *,
        config: str = QUICK,
        lan: bool = False,
        under: Sequence[str] = (),
        listen: str = LOOPBACK,
        surroundings: Mapping[str, str] | None = None,
    ) -> None:
        """Starts the daemon; ``ready`` must follow.

        ``under``: what its command line begins with, to run it in another place;
        ``surroundings``: what else its environment holds, and that of its command lines.
        """
        self.surroundings = surroundings or {}
        self.lan = lan
        self.under = under
        self.listen = listen
        self.pids: list[int] = []
        self.killed = 0
        home.mkdir(mode=0o700, exist_ok=True)
        (home / "config.toml").write_text(config)
        self.passphrase_file = home / "passphrase"
        self.passphrase_file.touch(0o600)
        self.passphrase_file.write_text(PASSPHRASE + "\n")
        self.member = ""
        self.place: str | None = None
        super().__init__(name, home)

    # -- the process ---------------------------------------------------------------------------

    def start(self) -> subprocess.Popen[bytes]:
        """The daemon on this home; it ends with its standard input, so with this process."""
        self._let_go()
        self._file.unlink(missing_ok=True)
        process = subprocess.Popen(
            [
                *self.under,
                self.python, "-m", self.module, "run", "--home", str(self.home),
                "--listen", self.listen, "--ready-file", str(self._file),
                "--until-stdin-closes", *([] if self.lan else ["--no-lan"]),
            ],
            env={**clean_environment(self.home), **self.surroundings}, cwd=_ROOT,
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=self._log,
        )  # fmt: skip
        self.pids.append(process.pid)
        return process

    def _let_go(self) -> None:
        """Close what the last daemon's life hangs on; nobody else does it in time."""
        last: subprocess.Popen[bytes] | None = getattr(self, "process", None)
        if last is not None and last.stdin is not None:
            last.stdin.close()

    def end(self) -> None:
        """Ask the process to stop; make it, if it does not."""
        super().end()
        self._let_go()

    def again(self) -> Self:
        """Start the daemon once more, and wait until it answers."""
        assert self.process.poll() is not None, "the last one has ended"
        self.process = self.start()
        self.ready()
        self.session = None
        return self

    def kill(self) -> None:
        """``kill -9``, and wait until it is gone."""
        assert self.process.poll() is None, f"{self.name}'s node runs, so it can be killed"
        self.process.kill()
        self.process.wait(10)
        self.killed += 1

    def stop(self, seconds: float = 20.0) -> int:
        """SIGTERM, and the exit code."""
        self.process.terminate()
        return self.process.wait(seconds)

    def children(self) -> list[int]:
        """The daemon's own child processes now."""
        return children_of(self.process.pid)

    def workers(self) -> list[int]:
        """Its verifier processes now."""
        return [pid for pid in self.children() if any("spawn_main" in w for w in command_of(pid))]

    def whole_log(self) -> str:
        """Everything that the daemon wrote on stderr."""
        return (self.home / "log").read_text(errors="replace")

    # -- asking --------------------------------------------------------------------------------

    def _client(self) -> Client:
        """Asks in the language that the command line would speak."""
        speaks = language.of_environment(os.environ)
        return Client(self._socket, session=self.session, community=self.place, language=speaks)

    @contextmanager
    def at(self, community: str) -> Iterator[Self]:
        """Whatever is asked in the block is asked of this community."""
        before, self.place = self.place, community
        try:
            yield self
        finally:
            self.place = before

    def cli(self, *words: str, given: str | None = None, session: bool = False) -> Said:
        """The command line on this home, as the house's member where somebody must act."""
        return cli(
            self.home,
            *words,
            "--json",
            given=given,
            session=session,
            surroundings=self.surroundings,
        )

    def acts(self, *words: str, as_member: str | None = None) -> dict[str, Any]:
        """A command that its member gives on the command line, which must work."""
        who = ["--as", as_member or self.name, "--passphrase-file", str(self.passphrase_file)]
        said = self.cli(*words, *who)
        assert said.code == 0, f"{self.name}: {' '.join(words)}: {said}"
        return said.json

    def reads(self, *words: str) -> dict[str, Any]:
        """A view on the command line, with how far it can be trusted."""
        said = self.cli(*words)
        assert said.code == 0, f"{self.name}: {' '.join(words)}: {said}"
        return said.json

    def refused(self, verb: str, /, **arguments: Any) -> ApiError:
        """The error of a call that must not work."""
        try:
            answer = self.do(verb, **arguments)
        except ApiError as error:
            return error
        raise AssertionError(f"{self.name}: {verb} must not work, and answered {answer}")

    def unlock(self, *, name: str | None = None) -> None:
        """Let the member of this house act through ``do``, after a restart too."""
        self.do("member.unlock", member=name or self.member, passphrase=PASSPHRASE)

    # -- acting --------------------------------------------------------------------------------

    def found(self, name: str = "Elm Street", zone: str = "Europe/Stockholm") -> dict[str, Any]:
        """Found a community."""
        answer = self.do(
            "community.init", name=name, member=self.name, timezone=zone, passphrase=PASSPHRASE
        )
        self.member = answer["member"]
        return answer

    def invite(self, uses: int = 1) -> str:
        """The code of a new invite."""
        code: str = self.do("invite.create", uses=uses)["code"]
        return code

    def join(self, code: str, **more: Any) -> dict[str, Any]:
        """Join with a code."""
        answer = self.do("join", code=code, member=self.name, passphrase=PASSPHRASE, **more)
        self.member = answer["member"]
        return answer

    # -- looking -------------------------------------------------------------------------------

    def hashes(self) -> tuple[str, str]:
        """(set_hash, state_hash)."""
        found = self.see("community.hash")
        return found["set_hash"], found["state_hash"]

    def operations(self) -> dict[str, int]:
        """How many operations have which verdict here."""
        found: dict[str, int] = self.see("community.hash")["operations"]
        return found

    def refusal(self, code: str) -> int:
        """How often this node refused something with this code."""
        return self.refusals().get(code, 0)

    def databases(self) -> list[Path]:
        """The files of its realms and its own."""
        return [self.home / "node.db", *(self.home / "realms").glob("*.db")]

    def query(self, sql: str, *arguments: object) -> list[Any]:
        """Rows of its only realm's file, read from outside."""
        (realm,) = (self.home / "realms").glob("*.db")
        with closing(sqlite3.connect(f"file:{realm}?mode=ro", uri=True, timeout=10)) as connection:
            return connection.execute(sql, arguments).fetchall()

    def verdicts(self) -> dict[str, int]:
        """Every stored operation's verdict as a number (1: accepted), by id in hex."""
        return {i.hex(): verdict for i, verdict in self.query("SELECT id, verdict FROM operations")}

    def assert_whole(self) -> None:
        """The files on disk pass SQLite's own check; the daemon should not run."""
        for file in self.databases():
            with closing(sqlite3.connect(file)) as connection:
                (answer,) = connection.execute("PRAGMA integrity_check").fetchone()
            assert answer == "ok", f"{self.name}'s {file.name} is whole"


class Street:
    """Houses that are ended, however a test ends."""

    def __init__(self, folder: Path) -> None:
        """``folder`` exists and is short enough for sockets."""
        self.folder = folder
        self.houses: list[House] = []

    def build(
        self,
        *names: str,
        config: str | Callable[[str], str] = QUICK,
        lan: bool = False,
        prepare: Callable[[Path], object] | None = None,
        under: Callable[[str], Sequence[str]] = lambda _name: (),
        listen: str = LOOPBACK,
    ) -> list[House]:
        """Start houses side by side, and wait until all of them answer.

        ``config``: of all houses, or of each by its name; so is ``under``.
        """
        made = []
        for name in names:
            home = self.folder / name
            if prepare is not None:
                prepare(home)
            text = config if isinstance(config, str) else config(name)
            made.append(House(name, home, config=text, lan=lan, under=under(name), listen=listen))
            self.houses.append(made[-1])
        for house in made:
            house.ready()
        return made

    def community(
        self,
        *names: str,
        roles: Mapping[str, str] | None = None,
        config: str | Callable[[str], str] = QUICK,
        ready: Callable[[House], object] = lambda _house: None,
    ) -> list[House]:
        """Houses in one community: the first founds it, the others join through it.

        ``ready`` is called with each as soon as it answers.
        """
        first, *others = houses = self.build(*names, config=config)
        for house in houses:
            ready(house)
        first.found()
        for house in others:
            joined = house.join(first.invite())
            assert joined["state"] == "joined", f"{house.name} is in: {joined}"
        for name, role in (roles or {}).items():
            first.do("member.role", who=name, role=role)
        agree(*houses)
        return houses

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        with ThreadPoolExecutor(max(1, len(self.houses))) as pool:
            list(pool.map(House.end, self.houses))
        if error is not None:
            for house in self.houses:
                error.add_note(f"--- {house.name}'s log\n{house.log()}")
            return
        for house in self.houses:
            assert "Traceback" not in house.whole_log(), (
                f"{house.name}'s node met no fault of its own:\n{house.whole_log()[-6000:]}"
            )


@contextmanager
def street() -> Iterator[Street]:
    """A street in a folder that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="street-") as folder, Street(Path(folder)) as made:
        yield made


# -- together --------------------------------------------------------------------------------------


def agree(*houses: House, seconds: int = WAIT_S) -> None:
    """Wait until all hold the same, and see that they do. Others may be away meanwhile."""
    deadline = time.monotonic() + seconds
    nodes = {house.node for house in houses}
    while True:
        for house in houses:
            peers = house.see("peer.list")["peers"]
            met = [p["node"] for p in peers if p["node"] in nodes and not p["blocked"]]
            with suppress(ApiError):
                left = max(1, int(deadline - time.monotonic()))
                house.do("sync.wait", peer=met, timeout=left)
        hashes = {house.hashes() for house in houses}
        if len(hashes) == 1:
            return
        if time.monotonic() > deadline:
            found = {house.name: (house.hashes(), house.operations()) for house in houses}
            raise AssertionError(f"all nodes end with the same truth: {found}")


def until(true: Callable[[], object], what: str, seconds: float = 30.0) -> None:
    """Look again and again, for a bounded time."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def misread(code: str, at: int = -1) -> str:
    """A code with one letter that is another: by chance, any letter may be right already."""
    other = "0" if code[at] != "0" else "1"
    return code[:at] + other + code[at:][1:]


def meet(one: House, other: House) -> None:
    """``one`` dials ``other``, and they agree."""
    one.do("peer.connect", address=other.address)
    one.do("sync.wait", peer=[other.node], timeout=WAIT_S)


def cut(one: House, other: House) -> None:
    """Neither lets the other in."""
    one.do("peer.block", node=other.node)
    other.do("peer.block", node=one.node)


def heal(one: House, other: House) -> None:
    """Both let the other in again, and one dials."""
    one.do("peer.unblock", node=other.node)
    other.do("peer.unblock", node=one.node)
    one.do("peer.connect", address=other.address)
