"""The rules of the house are written down, and are what the tools really enforce."""

import ast
import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = {
    "commons_crdt": ROOT / "crdt",
    "commons_protocol": ROOT / "protocol",
    "commons_node": ROOT / "node",
    "commons_cli": ROOT / "cli",
    "commons_tui": ROOT / "tui",
}
HEAVY = {"aiohttp", "automerge", "httpcore", "httpx", "libp2p", "requests", "starlette", "textual"}


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def toml(name: str) -> dict[str, Any]:
    return tomllib.loads(read(name))


def array_lines(text: str, name: str) -> list[str]:
    """The lines of the multi-line TOML array `name`, comment lines left out."""
    found = re.search(rf"^{re.escape(name)} = \[\n(.*?)^\]", text, re.MULTILINE | re.DOTALL)
    assert found, f"pyproject.toml has an array {name}"
    lines = [line.strip() for line in found[1].splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


# --- dependencies -------------------------------------------------------------------------------


@pytest.mark.parametrize("array", ["dependencies", "dev", "ignore", "filterwarnings"])
def test_every_dependency_and_every_exception_gives_its_reason(array: str) -> None:
    for line in array_lines(read("pyproject.toml"), array):
        entry, _, reason = line.partition("# ")
        assert len(reason.split()) >= 3, f"{entry.strip()} says why it is there"


def test_the_lock_names_the_public_registry_only() -> None:
    lock = toml("uv.lock")
    for package in lock["package"]:
        source = package["source"]
        if package["name"] == "commons-node":
            assert source == {"editable": "."}, "this project is taken from the checkout"
        else:
            assert source == {"registry": "https://pypi.org/simple"}, package["name"]
    hosts = {urlsplit(url).hostname for url in re.findall(r"\w+://[^\"\s]+", read("uv.lock"))}
    assert hosts == {"pypi.org", "files.pythonhosted.org"}, "no mirror, no path of one machine"


def test_hosts_get_the_same_override_as_developers() -> None:
    lines = [line for line in read("overrides.txt").splitlines() if not line.startswith("#")]
    assert lines == toml("pyproject.toml")["tool"]["uv"]["override-dependencies"]


def test_pip_gets_the_same_versions_as_uv_each_with_hashes() -> None:
    locked = {package["name"]: package["version"] for package in toml("uv.lock")["package"]}
    entries = re.split(r"\n(?=\S)", read("requirements.lock").strip())
    exported = {}
    for entry in entries:
        name, version = entry.split()[0].split("==")
        exported[name] = version
        assert "--hash=sha256:" in entry, f"{name} is hashed"
    assert exported, "requirements.lock lists packages"
    assert exported.items() <= locked.items(), "after a change of pyproject.toml: make lock"
    wanted = {
        re.split(r"[\[<>=! ]", dependency)[0]
        for dependency in toml("pyproject.toml")["project"]["dependencies"]
    }
    assert wanted <= exported.keys(), "after a change of pyproject.toml: make lock"
    assert "pytest" not in exported, "hosts need no test tools"


def test_no_package_that_a_compiler_would_have_to_build_is_without_a_wheel() -> None:
    packages = toml("uv.lock")["package"]
    only_source = {
        package["name"]
        for package in packages
        if not package.get("wheels") and package["name"] != "commons-node"
    }
    assert only_source <= {"python-baseconv", "varint"}, "these two are plain Python"
    refused = set(toml("pyproject.toml")["tool"]["uv"]["no-build-package"])
    for package in packages:
        compiled = not all(wheel["url"].endswith("-any.whl") for wheel in package.get("wheels", []))
        if compiled:
            assert package["name"] in refused, f"{package['name']} is never built from source"


def test_python_is_the_hosts_own() -> None:
    assert not (ROOT / ".python-version").exists(), "a pin would make uv look for a download"
    assert toml("pyproject.toml")["project"]["requires-python"] == ">=3.11,<3.14"


# --- packages and import rules ------------------------------------------------------------------


@pytest.mark.parametrize("package", PACKAGES)
def test_each_package_says_what_it_is_for_and_is_typed(package: str) -> None:
    folder = PACKAGES[package] / package
    tree = ast.parse((folder / "__init__.py").read_text(encoding="utf-8"))
    assert ast.get_docstring(tree), f"{package} opens with a sentence"
    assert (folder / "py.typed").exists(), f"{package} ships its types"
    top_level = {part.name for part in PACKAGES[package].iterdir() if part.is_dir()}
    assert top_level - {"__pycache__"} == {package}, "one package in each folder"


@pytest.mark.parametrize(
    "sentence",
    [
        "Interfaces over node over protocol over crdt",
        "Interfaces know the API of the node, nothing behind it",
        "What is true does no I/O",
        "The state machines do no I/O",
        "The state machines do not reach for the adapters",
        "Only libp2p_host knows libp2p",
        "Only lan knows zeroconf",
        "The CLI starts without libp2p, Textual, Automerge or an HTTP library",
    ],
)
def test_the_import_rule_stands(sentence: str) -> None:
    rules = toml("pyproject.toml")["tool"]["importlinter"]
    assert set(rules["root_packages"]) == set(PACKAGES), "the rules look at all five packages"
    assert sentence in {contract["name"] for contract in rules["contracts"]}


def modules_loaded_by(code: str) -> set[str]:
    """Top-level names of all modules that a fresh interpreter holds after running `code`."""
    report = "import sys; print(*{name.split('.')[0] for name in sys.modules})"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{report}"], capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


def test_no_module_of_the_cli_loads_a_heavy_library() -> None:
    walk = (
        "import importlib, pkgutil, commons_cli\n"
        "for found in pkgutil.walk_packages(commons_cli.__path__, 'commons_cli.'):\n"
        "    if not found.name.endswith('__main__'): importlib.import_module(found.name)"
    )
    loaded = modules_loaded_by(walk)
    assert "commons_cli" in loaded
    assert not loaded & HEAVY, "a command answers in the time of `import click`"


def test_importing_the_node_package_costs_nothing() -> None:
    loaded = modules_loaded_by("import commons_node")
    assert not loaded & (HEAVY | {"asyncio", "sqlite3", "trio"})


# --- commands -----------------------------------------------------------------------------------


def test_the_installed_command_is_the_cli() -> None:
    (script,) = metadata.entry_points(group="console_scripts", name="commons-node")
    assert script.value == "commons_cli.main:main"


def test_the_makefile_explains_each_of_its_targets() -> None:
    makefile = read("Makefile")
    for target in ("demo", "test", "test-long", "bench", "lint", "format", "lock", "clean"):
        assert re.search(rf"^{target}:.* ## \w+", makefile, re.MULTILINE), f"make {target}"


def test_the_sample_inventory_names_its_authors() -> None:
    lines = read("examples/tool_library_inventory.csv").splitlines()
    assert len(lines) == 201, "a header and 200 items"
    attribution = read("examples/README.md")
    assert "© 2020 James Benton, Chicago Tool Library Co., Circulate" in attribution
    assert "MIT" in attribution
