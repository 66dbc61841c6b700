"""Where a passphrase comes from, and that changing it survives a kill at any moment."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from tests.e2e.neighbourhood import PASSPHRASE, clean_environment, cli, street

from commons_node.keystore.sealing import WrongPassphrase
from commons_node.keystore.store import Keystore

MEMBER = "ab" * 32
OLD, NEW = "the old passphrase", "the new passphrase"
CHANGING = """
    import asyncio, os, sys
    from pathlib import Path
    from commons_node.keystore import sealing
    from commons_node.keystore.store import Keystore
    sealing.MEMORY, sealing.PASSES = 1 << 16, 1
    calls = 0
    def dying(what):
        def call(*given, **more):
            global calls
            calls += 1
            if calls == int(sys.argv[2]):
                os.kill(os.getpid(), 9)
            return what(*given, **more)
        return call
    for name in ("open", "fsync", "fdopen"):
        setattr(os, name, dying(getattr(os, name)))
    Path.rename = dying(Path.rename)
    keystore = Keystore(Path(sys.argv[1]))
    asyncio.run(keystore.change_passphrase("MEMBER", "the old passphrase", "the new passphrase"))
"""


def opens(keystore: Keystore, passphrase: str) -> bool:
    try:
        unlocked = asyncio.run(keystore.unlock(MEMBER, passphrase))
    except WrongPassphrase:
        return False
    return unlocked.get("device") == b"a secret" * 4


def test_a_kill_in_the_midst_of_a_change_leaves_the_old_or_the_new(tmp_path: Path) -> None:
    """Killed before each call that touches the disk: one passphrase opens it, never none."""
    code = textwrap.dedent(CHANGING).replace("MEMBER", MEMBER)
    seen = []
    for moment in range(1, 12):
        folder = tmp_path / str(moment)
        asyncio.run(Keystore(folder).create(MEMBER, {"device": b"a secret" * 4}, OLD))
        ended = subprocess.run(
            [sys.executable, "-c", code, str(folder), str(moment)], timeout=60, check=False
        )
        old, new = opens(Keystore(folder), OLD), opens(Keystore(folder), NEW)
        assert old != new, f"killed at {moment}: exactly one opens it"
        assert Keystore(folder).members() == (MEMBER,), "what is half written is nobody's key"
        seen.append((ended.returncode, new))
        if ended.returncode == 0:
            break
    assert [code for code, _new in seen[:-1]] == [-9] * (len(seen) - 1), "each was killed"
    assert seen[-1] == (0, True)
    assert {new for _code, new in seen[:-1]} == {False, True}, "before the rename, and after it"


DESKTOP = ("dbus-run-session", "gnome-keyring-daemon")


@pytest.mark.long
def test_the_keyring_of_a_desktop_holds_a_passphrase(tmp_path: Path) -> None:
    """A real Secret Service on a bus of its own, unlocked as a login does it."""
    if missing := [name for name in DESKTOP if shutil.which(name) is None]:
        assert not os.environ.get("CI"), f"with CI=true this must run; not installed: {missing}"
        pytest.skip(f"not installed here: {missing}")
    with street() as elm_street:
        (alice,) = elm_street.build("alice")
        alice.found()
        words = f"{sys.executable} -m commons_cli.main --json"
        script = f"""
            set -e
            printf 'login' | gnome-keyring-daemon --unlock --components=secrets >/dev/null
            {words} keyring show
            {words} keyring store alice --passphrase-file {alice.passphrase_file}
            {words} member unlock alice --keyring
            {words} invite create --as alice --keyring
            {words} keyring forget alice
            {words} member unlock alice --keyring && exit 9
            exit 0
        """
        environment = clean_environment(alice.home) | {
            "HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path),
        }  # fmt: skip
        ran = subprocess.run(
            ["dbus-run-session", "--", "sh", "-c", textwrap.dedent(script)],
            env=environment, capture_output=True, text=True, timeout=120, check=False,
            start_new_session=True,
        )  # fmt: skip
        assert ran.returncode == 0, ran
        assert "SecretService" in ran.stdout
        assert '"stored": true' in ran.stdout
        assert ran.stdout.count('"verdict": "accepted"') == 1, "she acted by it"
        assert '"code": "not_in_keyring"' in ran.stderr, "and no more when it was taken out"
        assert PASSPHRASE not in ran.stdout + ran.stderr
        for file in tmp_path.rglob("*"):
            assert not file.is_file() or PASSPHRASE.encode() not in file.read_bytes(), file.name
        assert PASSPHRASE not in (alice.home / "audit.jsonl").read_text()


def test_without_a_keyring_it_says_what_to_do_instead(tmp_path: Path) -> None:
    """What would keep it in a plain file, or nowhere, is refused."""
    with street() as elm_street:
        (alice,) = elm_street.build("alice")
        alice.found()
        ran = subprocess.run(
            [sys.executable, "-m", "commons_cli.main", "member", "unlock", "alice", "--keyring"],
            env={**clean_environment(alice.home), "HOME": str(tmp_path),
                 "PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring"},
            capture_output=True, text=True, timeout=60, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert ran.returncode == 1
        assert "no keyring that would keep a passphrase safe" in ran.stderr
        assert "--passphrase-file F" in ran.stderr
        wrong = tmp_path / "wrong"
        wrong.touch(0o600)
        wrong.write_text("not hers at all\n")
        stored = cli(alice.home, "keyring", "store", "alice", "--passphrase-file", str(wrong))
        assert stored.code != 0, "what does not open the key is not stored"
        assert os.environ.get("PYTHON_KEYRING_BACKEND") is None
