"""What is documented is what the program does: held together by reading both.

A name counts as documented when it stands in backquotes somewhere in README, HACKING, docs or the
pages of examples. It is collected from the code itself, so what is added must be written about.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path

import pytest

from commons_cli.help import ENVIRONMENT
from commons_cli.local import LOCAL
from commons_crdt.authority.kinds import CORE
from commons_crdt.errors import CommonsError
from commons_crdt.sentences import SENTENCES
from commons_crdt.verdict import Verdict
from commons_node import config
from commons_node.api.events import EVENTS
from commons_node.api.types import API_CODES, EXIT_MEANING
from commons_node.domains import RULES
from commons_protocol.status import ORDER

ROOT = Path(__file__).parents[2]
PACKAGES = ("crdt", "protocol", "node", "cli")
PAGES = sorted(
    [
        ROOT / "README.md",
        ROOT / "HACKING.md",
        ROOT / "CHANGELOG.md",
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "examples").rglob("*.md"),
    ]
)
VERBS = json.loads((ROOT / "cli" / "commons_cli" / "verbs.json").read_text(encoding="utf-8"))

LINK = re.compile(r"\[[^\]\n]*\]\(([^)\s]+)\)")
VARIABLE = re.compile(r"^_?(?:COMMONS|XDG|LIBP2P)_[A-Z_]*[A-Z]\Z")
NAMED_FILE = re.compile(r"`((?:crdt|protocol|node|cli|tui|tests|docs|scripts)/[\w./-]+\.\w+)`")
FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def test_a_host_needs_no_variable_that_only_the_tests_set() -> None:
    for page in [ROOT / "README.md", ROOT / "docs" / "host.md", *(ROOT / "docs/host").glob("*.md")]:
        assert not re.search(r"\$\{?COMMONS_", page.read_text(encoding="utf-8")), page.name


def texts() -> str:
    return "\n".join(page.read_text(encoding="utf-8") for page in PAGES)


@pytest.fixture(scope="module")
def quoted() -> frozenset[str]:
    """Everything in backquotes, and each word of it."""
    found: set[str] = set()
    for span in re.findall(r"`([^`\n]+)`", texts()):
        found.add(span)
        found.update(re.split(r"[\s,.…\[\]()/|]+", span))
    return frozenset(found)


def section(title: str) -> frozenset[str]:
    """Every word in backquotes of one section of the reference."""
    reference = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")
    text = reference.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    return frozenset(re.findall(r"`([a-z_-]+)`", text))


def sources() -> Iterator[tuple[Path, ast.AST]]:
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                yield path, node


def words_in(node: ast.AST) -> Iterator[str]:
    """Codes written as literals in an expression: no blanks, no format."""
    if isinstance(node, ast.JoinedStr):
        return
    if isinstance(node, ast.Constant):
        if isinstance(node.value, str) and re.fullmatch(r"[a-z][a-z_-]*", node.value):
            yield node.value
        return
    for child in ast.iter_child_nodes(node):
        yield from words_in(child)


REFUSING = frozenset(
    {"Refused", "refuse", "_refuse", "Close", "Count", "Checked", "MalformedChange"}
)
"""Calls whose first literal is a code that ``status`` counts or ``explain`` shows."""


def refusal_codes() -> set[str]:
    found: set[str] = set()
    for path, node in sources():
        if isinstance(node, ast.Call) and node.args:
            name = called(node)
            if name in REFUSING or (name == "count" and "peering" in path.parts):
                second = name == "_refuse" and len(node.args) > 1  # what was refused comes first
                found.update(words_in(node.args[1 if second else 0]))
        if isinstance(node, ast.Subscript) and ast.unparse(node.value).endswith(".refused"):
            found.update(words_in(node.slice))
    return found


def called(node: ast.Call) -> str:
    return ast.unparse(node.func).rpartition(".")[2]


def error_codes() -> set[str]:
    """Codes of all errors that a person can be shown: API, command line and domains."""
    found = set(API_CODES)
    for path, node in sources():
        if "testing" in path.parts:
            continue  # a lie says by which code it is refused, and is no error
        for line in node.body if isinstance(node, ast.ClassDef) else ():
            target: ast.expr | None = None
            if isinstance(line, ast.AnnAssign):
                target = line.target
            elif isinstance(line, ast.Assign):
                target = line.targets[0]
            if isinstance(line, ast.AnnAssign | ast.Assign) and line.value is not None:
                found.update(words_in(line.value) if named(target, "code") else ())
    return found


def named(target: ast.expr | None, name: str) -> bool:
    return isinstance(target, ast.Name) and target.id == name


def undocumented(names: Iterable[str], quoted: frozenset[str]) -> list[str]:
    return sorted(name for name in names if name not in quoted)


def test_every_verb_is_documented() -> None:
    everything = texts()
    missing = []
    for verb in VERBS["verbs"]:
        words = verb["name"].replace(".", " ")
        if f"`{words}`" not in everything and f"`{words} " not in everything:
            missing.append(words)
    missing += [f"{name} (local)" for name in LOCAL if f"`{name}`" not in everything]
    assert not missing, "each command stands in docs/reference.md"


def test_every_option_of_every_verb_is_shown_somewhere() -> None:
    everything = texts()
    described = {"resource.add", "resource.edit"}  # one option a field: --help lists them
    missing = [
        f"{verb['name']} --{argument['name']}"
        for verb in VERBS["verbs"]
        if verb["name"] not in described
        for argument in verb["args"]
        if not argument.get("positional") and "passphrase" not in argument["kind"]
        if f"--{argument['name'].replace('_', '-')}" not in everything
    ]
    assert not missing


def test_every_setting_is_documented_with_its_default() -> None:
    reference = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")
    for setting in config.describe():
        default = json.dumps(setting["default"])
        cells = [f"`{setting['key']}`", f"`{setting['environment']}`", f"`{default}`"]
        row = f"| {' | '.join(cells)} | {setting['help']} |"
        assert row in reference, "the table of settings is the program's own"


def test_every_variable_is_documented(quoted: frozenset[str]) -> None:
    variables = set(ENVIRONMENT)
    for path, node in sources():
        if path.name == "texts.py":
            continue  # LANG and its relatives, as gettext wants them
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            variables.update(VARIABLE.findall(node.value))
    assert not undocumented(variables, quoted)


def test_every_exit_code_is_documented() -> None:
    reference = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")
    for code, meaning in EXIT_MEANING.items():
        assert f"| {int(code)} | {meaning} |" in reference


def test_every_event_is_documented(quoted: frozenset[str]) -> None:
    events = {"ready"}
    for _path, node in sources():
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("events.publish"):
            events.update(words_in(node.args[0]))
        if isinstance(node, ast.Assign) and named(node.targets[0], "ChangeKind"):
            events.update(words_in(node.value))
    assert events == EVENTS | {"ready"}, "what an agent may wait for is what is told"
    assert not undocumented(events, quoted)


def test_every_verdict_and_reason_is_documented_with_its_sentence() -> None:
    reference = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")
    for reason, sentence in SENTENCES.items():
        assert sentence in reference, f"{reason or 'accepted'}: {sentence}"
        assert not reason or f"`{reason}`" in reference
    for verdict in Verdict:
        assert f"`{verdict.name.lower()}`" in reference


def test_every_refusal_is_documented() -> None:
    codes = refusal_codes()
    assert {"signature", "budget", "stranger", "flood", "handshake", "gossip_seal"} <= set(codes)
    missing = undocumented(codes, section("Refusals") | section("Document refusals"))
    assert not missing, f"say in docs/reference.md what is refused as {missing}"


def test_every_error_is_documented() -> None:
    codes = error_codes()
    assert {"locked", CommonsError.code, "copied_home", "join"} <= codes
    missing = undocumented(codes, section("Errors"))
    assert not missing, f"say in docs/reference.md when people meet {missing}"


def test_every_sync_state_is_documented(quoted: frozenset[str]) -> None:
    assert not undocumented([*ORDER, "alone"], quoted)


def test_every_kind_of_the_core_is_documented(quoted: frozenset[str]) -> None:
    assert set(RULES.kinds) >= {kind.name for kind in CORE}
    everything = texts()
    assert not [kind.name for kind in CORE if f"`{kind.name}`" not in everything]


def test_the_bounds_of_every_kind_of_the_core_are_on_the_page() -> None:
    page = (ROOT / "docs" / "protocol" / "authority.md").read_text(encoding="utf-8")
    table = page[page.index("| kind | bytes | by | at least |") :].split("\n\n")[0]
    said: dict[str, tuple[str, ...]] = {}
    for row in table.splitlines()[2:]:
        kinds, *bounds = (cell.strip() for cell in row.strip("|").split("|"))
        said |= dict.fromkeys(re.findall(r"`([^`]+)`", kinds), tuple(bounds))
    by = {None: "both", False: "persons", True: "nodes"}
    log_0 = [kind for kind in CORE if kind.log == 0]
    assert said == {k.name: (f"{k.max_body:,}", by[k.unattended], k.role.word) for k in log_0}
    assert not any(kind.parts for kind in log_0)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    text = FENCED.sub("", page.read_text(encoding="utf-8"))
    for target in LINK.findall(text):
        if re.match(r"[a-z]+:", target):
            continue
        where, _, anchor = target.partition("#")
        found = (page.parent / where).resolve() if where else page
        assert found.exists(), f"{page.name} links to {target}"
        assert found.is_relative_to(ROOT), f"{page.name} links out of the repository: {target}"
        if anchor and found.suffix == ".md":
            assert anchor in anchors(found), f"{page.name}: {target} has no such heading"


def anchors(page: Path) -> set[str]:
    text = FENCED.sub("", page.read_text(encoding="utf-8"))
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}


def test_the_folder_map_is_the_tree() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    mapped = re.findall(r"^\| `([^`]+)/` \|", readme, re.MULTILINE)
    assert mapped, "README has a folder map"
    folders = {path.parent.name for path in ROOT.glob("[a-z]*/*") if path.parent.is_dir()}
    assert folders - {"dist", "build", "htmlcov"} == set(mapped), "every folder has its line"
    packages = {path.parent.name for path in ROOT.glob("*/commons_*/__init__.py")}
    top = {path.parent.parent.name for path in ROOT.glob("*/commons_*/__init__.py")}
    assert len(packages) == 5
    assert top <= set(mapped)


def test_the_walk_names_what_is_there() -> None:
    page = (ROOT / "docs" / "ARCHITECTURE.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| \d+ \|.*\| `([\w/]+\.py)` `([\w.]+)` \|$", page, re.MULTILINE)
    assert len(rows) >= 20, "the walk has its steps"
    for file, name in rows:
        tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
        assert name in set(defined(tree)), f"{file} has no {name}"


def defined(tree: ast.Module) -> Iterator[str]:
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        if isinstance(node, ast.ClassDef):
            for method in node.body:
                if isinstance(method, ast.FunctionDef | ast.AsyncFunctionDef):
                    yield f"{node.name}.{method.name}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_files_that_pages_name_are_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for path in NAMED_FILE.findall(text):
        assert (ROOT / path).exists(), f"{page.name} names {path}"


def test_every_line_of_the_threats_is_proved_by_tests_that_exist() -> None:
    page = (ROOT / "docs" / "THREATS.md").read_text(encoding="utf-8")
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", page)
    assert len(named) > 80, "the page names its tests"
    for path, name in named:
        tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
        assert name.startswith("test_"), f"{name} is run"
        assert name in set(defined(tree)), f"{path} has no {name}"
    attackers = page[page.index("## Attackers") : page.index("## What each limit is")]
    lines = [line for line in attackers.splitlines() if line.startswith("| ")]
    rows = [line for line in lines if "| shown by |" not in line]
    assert len(rows) > 50
    for row in rows:
        assert "::test_" in row.rsplit("|", 2)[1], f"no test proves: {row}"


def test_pages_name_no_machine() -> None:
    for page in chain(PAGES, [ROOT / "Makefile"]):
        text = page.read_text(encoding="utf-8")
        assert not re.search(r"(?<![\w.])/(?:home|root|Users|work|tmp)/\w", text), page.name


def test_decisions_are_numbered_without_gaps() -> None:
    numbers = sorted(int(path.name[:4]) for path in (ROOT / "docs" / "decisions").glob("*.md"))
    assert numbers == list(range(1, len(numbers) + 1))
