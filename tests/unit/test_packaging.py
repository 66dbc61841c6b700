"""What is installed: whole from the lock, without a compiler, on a Raspberry Pi as well."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from commons_node.sandbox.runner import SHA256

ROOT = Path(__file__).parents[2]
CONTAINERFILE = (ROOT / "packaging" / "Containerfile").read_text(encoding="utf-8")
INSTALL = ROOT / "packaging" / "install.sh"
PYTHONS = ("311", "312", "313")
LOCKED = re.compile(r"^([A-Za-z0-9_.-]+)==(\S+)", re.MULTILINE)


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def fits(wheel: str, python: str, machine: str) -> bool:
    """Whether a wheel's name says that it runs on Linux with glibc, for a Python and a machine."""
    tags, abis, platforms = (part.split(".") for part in wheel.removesuffix(".whl").split("-")[-3:])
    there = "any" in platforms or any(
        one.startswith("manylinux") and one.endswith(machine) for one in platforms
    )
    stable = "abi3" in abis and any(
        tag.startswith("cp3") and int(tag[3:]) <= int(python[1:]) for tag in tags
    )
    plain = bool({"py3", f"py{python}"} & set(tags)) and "none" in abis
    return there and (f"cp{python}" in tags or stable or plain)


@pytest.mark.parametrize("machine", ["aarch64", "x86_64"])
@pytest.mark.parametrize("python", PYTHONS)
def test_every_locked_package_has_a_wheel_or_is_plain_python(machine: str, python: str) -> None:
    every = tomllib.loads((ROOT / "uv.lock").read_text(encoding="utf-8"))["package"]
    packages: dict[tuple[str, str], Any] = {(one["name"], one["version"]): one for one in every}
    hosts = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    without = set()
    for name, version in LOCKED.findall(hosts):
        wheels = [
            one["url"].rpartition("/")[2] for one in packages[name, version].get("wheels", ())
        ]
        if not any(fits(wheel, python, machine) for wheel in wheels):
            without.add(name)
    assert without <= {"python-baseconv", "varint"}, "these two are plain Python"


def test_the_search_for_wheels_can_fail() -> None:
    assert fits("x-1-cp311-abi3-manylinux_2_28_aarch64.whl", "313", "aarch64")
    assert fits("x-1-py2.py3-none-any.whl", "312", "aarch64")
    assert fits("x-1-py3-none-manylinux2014_aarch64.manylinux_2_17_aarch64.whl", "311", "aarch64")
    assert not fits("x-1-cp311-cp311-manylinux_2_28_x86_64.whl", "311", "aarch64")
    assert not fits("x-1-cp312-cp312-manylinux_2_28_aarch64.whl", "311", "aarch64")
    assert not fits("x-1-cp311-cp311-musllinux_1_2_aarch64.whl", "311", "aarch64")
    assert not fits("x-1-cp313-abi3-manylinux_2_28_aarch64.whl", "312", "aarch64")


# -- the container's file --------------------------------------------------------------------------


def instructions() -> list[tuple[str, str]]:
    """(word, rest) of each instruction, continued lines joined."""
    text = re.sub(r"\\\n\s*", " ", CONTAINERFILE)
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [(line.partition(" ")[0], line.partition(" ")[2].strip()) for line in lines]


def test_nothing_is_installed_without_its_hash_or_over_the_network_unasked() -> None:
    runs = [rest for word, rest in instructions() if word == "RUN" and "/opt/" in rest]
    assert runs == [
        "sh packaging/install.sh /opt/commons-node",
        "/opt/commons-node/bin/pip uninstall --quiet --yes pip",
    ], "a container is installed as a host is"
    lines = INSTALL.read_text(encoding="utf-8").splitlines()
    pips = [one for one in lines if re.match(r"build (install|wheel) |.* -m pip install ", one)]
    assert len(pips) == 4
    for command in pips:
        assert "--require-hashes" in command or "--no-index" in command, command
        assert "--no-deps" in command, "what is not listed does not come"
    assert all("--no-build-isolation" in one for one in pips if " wheel " in one)
    (environment, *_) = [rest for word, rest in instructions() if word == "ENV"]
    assert "CC=/bin/false" in environment
    build = (ROOT / "packaging" / "build.lock").read_text(encoding="utf-8")
    pinned = {name for name, _version in LOCKED.findall(build)}
    assert all("--hash=sha256:" in entry for entry in re.split(r"\n(?=\S)", build.strip()))
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
    assert {re.split(r"[>=<]", one)[0] for one in wanted} <= pinned


def test_it_runs_as_nobody_much_on_a_volume_and_says_how_it_is() -> None:
    last = instructions()
    last = last[max(i for i, (word, _rest) in enumerate(last) if word == "FROM") :]
    words = [word for word, _rest in last]
    found = dict(last)
    assert found["USER"] == "commons"
    assert words.index("USER") < words.index("CMD")
    assert found["VOLUME"] == "/data"
    assert "COMMONS_HOME=/data" in found["ENV"]
    port = found["EXPOSE"].partition("/")[0]
    assert f"COMMONS_LISTEN=/ip4/0.0.0.0/tcp/{port}" in found["ENV"], "the port is pinned"
    health = json.loads(found["HEALTHCHECK"].partition("CMD ")[2])
    assert health == ["commons-node", "health", "--quiet"]
    assert json.loads(found["CMD"]) == ["commons-node", "run"]
    assert "install -d -m 0700 -o commons" in " ".join(rest for word, rest in last if word == "RUN")


def test_what_is_copied_into_it_is_there() -> None:
    for word, rest in instructions():
        if word == "COPY" and not rest.startswith("--from"):
            for source in rest.split()[:-1]:
                assert (ROOT / source).exists(), source
    kept = (ROOT / ".containerignore").read_text(encoding="utf-8").splitlines()
    assert "*" in kept, "nothing goes in that is not named"
    for line in kept:
        if line.startswith("!"):
            assert (ROOT / line[1:]).exists(), line
    hatch = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"][
        "targets"
    ]
    sources = {one.partition("/")[0] for one in hatch["wheel"]["packages"]}
    assert sources <= {line[1:] for line in kept}


@pytest.mark.long
def test_its_first_stage_builds_a_node_where_there_is_no_compiler(tmp_path: Path) -> None:
    """Each command of it, in a folder instead of a container; the registry must be reachable."""
    source, opt = tmp_path / "src", tmp_path / "opt"
    source.mkdir()
    opt.mkdir()
    environment = {"PATH": f"{Path(sys.executable).resolve().parent}:/usr/bin:/bin"}
    environment |= {k: v for k, v in os.environ.items() if k.startswith(("PIP_", "SSL_", "HTTP"))}
    ran, stage = 0, 0
    for word, rest in instructions():
        stage += word == "FROM"
        if stage != 1:
            continue
        if word == "ENV":
            environment |= dict(one.split("=", 1) for one in shlex.split(rest))
        elif word == "COPY" and rest == ". .":
            for name in ("pyproject.toml", "README.md", "LICENSE"):
                shutil.copy(ROOT / name, source)
            shutil.copy(ROOT / "requirements.lock", source)
            for name in (
                "crdt",
                "protocol",
                "node",
                "cli",
                "tui",
                "examples",
                "scripts",
                "packaging",
            ):
                skip = shutil.ignore_patterns("__pycache__", "*.mo")
                shutil.copytree(ROOT / name, source / name, ignore=skip)
        elif word == "COPY":
            for name in rest.split()[:-1]:
                shutil.copy(ROOT / name, source)
        elif word == "RUN":
            command = rest.replace("/opt/", f"{opt}/")
            try:
                done = subprocess.run(
                    ["sh", "-c", command], cwd=source, env=environment, capture_output=True,
                    text=True, timeout=600, check=False,
                )  # fmt: skip
            except subprocess.TimeoutExpired:
                pytest.skip("the package registry took longer than ten minutes")
            if done.returncode and re.search(r"onnection|resolution|No matching", done.stderr):
                pytest.skip(f"no package registry is reached here: {done.stderr[-200:]}")
            assert done.returncode == 0, f"{command}\n{done.stderr}"
            ran += 1
    assert ran == 2
    assert subprocess.run(environment["CC"], check=False).returncode != 0, "no compiler"
    program = opt / "commons-node" / "bin" / "commons-node"
    home = {"PATH": environment["PATH"], "COMMONS_HOME": str(tmp_path / "home"), "LANG": "C.UTF-8"}
    version = subprocess.run([program, "version"], env=home, capture_output=True, text=True,
                             timeout=60, check=True)  # fmt: skip
    assert version.stdout.startswith("commons-node ")
    asked = subprocess.run([program, "health", "--quiet"], env=home, timeout=60, check=False,
                           capture_output=True)  # fmt: skip
    assert asked.returncode == 3, "as its health check says before a node runs"
    runner = "from commons_node.sandbox import runner; runner.component(); print(runner.SHA256)"
    python = opt / "commons-node" / "bin" / "python"
    held = subprocess.run([python, "-I", "-c", runner], env=home, capture_output=True, text=True,
                          timeout=60, check=True)  # fmt: skip
    assert held.stdout.strip() == SHA256, "what agents run on is in the wheel, and is that one"


@pytest.mark.parametrize("page", ["host.md", "host/first-evening.md", "host/raspberry-pi.md",
                                  "host/service.md"])  # fmt: skip
def test_hosts_are_told_the_way_that_is_held_against_the_hashes(page: str) -> None:
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    blocks = [one for one in re.findall(r"```\n(.*?)```", text, re.DOTALL) if "git clone" in one]
    assert blocks
    for block in blocks:
        assert "sh packaging/install.sh " in block
        assert not re.search(r"\bpip install|uv tool", block), "those resolve anew"


def test_it_replaces_no_folder_that_is_something_else(tmp_path: Path) -> None:
    (tmp_path / "letters").write_text("of my grandmother")
    for words in ([str(tmp_path)], [], [str(tmp_path / "letters")]):
        done = subprocess.run(["sh", str(INSTALL), *words], capture_output=True, timeout=30,
                              check=False)  # fmt: skip
        assert done.returncode == 2, done.stderr
    assert (tmp_path / "letters").read_text() == "of my grandmother"


# -- what is in it, and what is known of that ---------------------------------------------------


def test_the_bill_of_materials_is_held_against_the_lock() -> None:
    locked = script("sbom").locked_packages()
    assert len(locked) > 70
    assert ("automerge", "0.2.0.dev4") in locked


def test_an_audit_that_reached_nobody_is_never_called_clean() -> None:
    judged = script("audit").judged
    nothing = {"reached": False, "asked": 0, "not_asked": 0, "weak": []}
    assert judged("") == nothing
    assert judged("Traceback …") == nothing
    skipped = {"name": "a", "skip_reason": "not found"}
    assert judged(json.dumps({"dependencies": [skipped]})) == nothing | {"not_asked": 1}
    seen = {"name": "b", "version": "1", "vulns": []}
    weak = {"name": "c", "version": "2", "vulns": [{"id": "PYSEC-1", "fix_versions": ["3"]}]}
    assert judged(json.dumps({"dependencies": [skipped, seen, weak]})) == {
        "reached": True, "asked": 2, "not_asked": 1, "weak": ["c 2: PYSEC-1, mended in 3"],
    }  # fmt: skip


def test_an_audit_is_reached_only_where_each_list_was() -> None:
    audit = script("audit")
    assert {"requirements.lock", "packaging/build.lock"} <= set(audit.LISTS)
    assert all((ROOT / name).is_file() for name in audit.LISTS)
    seen = audit.judged(json.dumps({"dependencies": [{"name": "b", "version": "1", "vulns": []}]}))
    found = audit.together({"a": seen, "b": audit.judged("")})
    assert (found["reached"], found["not_reached"], found["asked"]) == (False, ["b"], 1)
    assert audit.together({"a": seen, "b": seen})["reached"]


def test_the_tool_of_the_audit_comes_from_the_lock_with_all_that_it_needs() -> None:
    assert script("audit").TOOL == ("--frozen", "--isolated", "--only-group", "audit", "pip-audit")
    every = tomllib.loads((ROOT / "uv.lock").read_text(encoding="utf-8"))["package"]
    packages: dict[str, Any] = {one["name"]: one for one in every}
    found, left = set[str](), ["pip-audit"]
    while left:
        name = left.pop()
        found.add(name)
        needs = {one["name"] for one in packages[name].get("dependencies", ())}
        left += needs - found
        assert all(file["hash"].startswith("sha256:") for file in packages[name]["wheels"]), name
    assert len(found) > 10
    wanted = packages["commons-node"]["dev-dependencies"]["audit"]
    assert [one["name"] for one in wanted] == ["pip-audit"]


def test_a_strict_audit_fails_where_the_database_is_not_reached(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    audit = script("audit")
    monkeypatch.setattr(audit, "asked", lambda _name: "")
    assert audit.main(["--strict"]) == 1
    assert "nothing is known of requirements.lock, packaging/build.lock" in capsys.readouterr().err
    assert audit.main([]) == 0, "a build does not depend on it"
    assert json.loads(capsys.readouterr().out)["reached"] is False


def test_the_bill_names_the_runner_of_agents_and_the_python_in_it() -> None:
    found = script("sbom").runner_of_agents()
    file = ROOT / "node/commons_node/sandbox/runner.wasm.xz"
    assert found["hashes"][0]["content"] == hashlib.sha256(file.read_bytes()).hexdigest()
    inside = {one["name"]: one["version"] for one in found["components"]}
    assert set(inside) == {"cpython", "componentize-py", "tzdata"}
    assert inside["cpython"].startswith("3.14."), "as decision 29 and the runner itself say"
