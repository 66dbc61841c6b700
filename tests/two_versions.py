"""`make two-versions OLDER=COMMIT`: a real earlier release and this program in one community.

The commit is checked out into a temporary worktree and set up from its own lock, so its daemon is
that release's, with the libraries of its day. One JSON object on stdout; exit code 1 where
something did not hold.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.e2e.neighbourhood import House, Street, agree, cli, meet, until

from commons_node.api.client import ApiError
from commons_node.verbs import VERSION

SETTINGS = "verifier_workers = 1\nsync_interval_s = 5\n"
"""Those that there have always been."""
ROOT = Path(__file__).resolve().parents[1]


@contextmanager
def release(commit: str, folder: Path) -> Iterator[Path]:
    """The Python of an earlier commit, set up as its makers meant it."""
    subprocess.run(
        ["git", "worktree", "add", "--quiet", "--force", "--detach", str(folder), commit],
        cwd=ROOT, check=True,
    )  # fmt: skip
    try:
        subprocess.run(["make", "--silent", "setup"], cwd=folder, check=True, stdout=sys.stderr)
        yield folder / ".venv/bin/python"
    finally:
        subprocess.run(["git", "worktree", "remove", "--force", str(folder)], cwd=ROOT, check=True)


def told(house: House) -> str | None:
    """Which version the one neighbour says it is."""
    (peer,) = house.see("peer.list")["peers"]
    version: str | None = peer.get("version")
    return version


def held(house: House) -> int:
    """How much it keeps aside because it does not know the rules."""
    count: int = house.see("status")["communities"][0]["held"].get("rules", 0)
    return count


def equal(one: House, other: House) -> bool:
    """Whether both hold the same, and make the same of it."""
    return one.verdicts() == other.verdicts() and one.hashes() == other.hashes()


def play(python: Path, street: Street) -> dict[str, Any]:
    """What was seen, in the order in which it happened."""

    class Older(House):
        pass

    Older.python = python
    seen: dict[str, Any] = {}
    # a newer node comes into an older one's community
    bob = Older("bob", street.folder / "bob", config=SETTINGS)
    street.houses.append(bob)
    bob.ready()
    (alice,) = street.build("alice")
    bob.found()
    seen["newer_joins_older"] = alice.join(bob.invite())["state"] == "joined"
    agree(bob, alice)
    bob.do("member.role", who="alice", role="member")
    agree(bob, alice)
    for house in (bob, alice):
        house.do("invite.create", uses=1)
        bob.do("resource.add", name=f"Of {house.name}", number=house.name)
        agree(bob, alice)
    seen["equal_both_ways"] = equal(alice, bob)
    seen["older_says"] = told(alice)
    seen["older_refused"] = bob.see("status")["refusals"]
    seen["newer_refused"] = alice.see("status")["refusals"]
    # an older one comes into a newer one's
    (carol,) = street.build("carol")
    dan = Older("dan", street.folder / "dan", config=SETTINGS)
    street.houses.append(dan)
    dan.ready()
    carol.found("Oak Street")
    try:
        seen["older_joins_newer"] = dan.join(carol.invite())["state"]
        carol.do("resource.add", name="Drill", number="1")
        meet(carol, dan)
        until(lambda: equal(carol, dan) or held(dan), "it has all, or keeps it aside")
        seen["older_in_newer"] = {"equal": equal(carol, dan), "held_rules": held(dan)}
    except ApiError as error:
        seen["older_joins_newer"] = f"{error.code}: {error}"
    # the older one is upgraded, on its home
    before = bob.hashes()
    bob.stop()
    bob.python = sys.executable
    bob.again()
    seen["same_after_the_upgrade"] = bob.hashes() == before
    bob.unlock()
    meet(bob, alice)
    bob.do("resource.add", name="Saw", number="2")
    agree(bob, alice)
    seen["equal_after_the_upgrade"] = equal(alice, bob)
    until(lambda: told(alice) == VERSION, "it says which program it is now")
    # and back, on what the newer one has written
    bob.stop()
    bob.python = python
    back = subprocess.run(
        [python, "-m", "commons_node", "doctor", "--quick", "--json", "--home", str(bob.home)],
        capture_output=True, text=True, check=False, timeout=240, cwd=ROOT,
    )  # fmt: skip
    bob.process = bob.start()
    try:
        bob.ready()
    except RuntimeError:
        seen["downgrade"] = "refused"
    else:
        seen["downgrade"] = "equal" if bob.hashes() == alice.hashes() else "other"
    seen["doctor_of_the_older"] = json.loads(back.stdout)["state"] if back.stdout else back.stderr
    seen["doctor_of_the_newer"] = cli(alice.home, "doctor", "--quick", "--json").json["state"]
    return seen


def main(words: list[str]) -> int:
    """1 where something did not hold."""
    (commit,) = words
    with (
        tempfile.TemporaryDirectory(prefix="release-") as folder,
        release(commit, Path(folder) / "older") as python,
        tempfile.TemporaryDirectory(prefix="street-") as homes,
        Street(Path(homes)) as street,
    ):
        seen = play(python, street)
    said = {"v": 1, "name": "two-versions", "older": commit, **seen}
    sys.stdout.write(json.dumps(said) + "\n")
    return 1 if False in seen.values() or seen["downgrade"] == "other" else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
