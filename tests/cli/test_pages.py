"""Every page with commands is run, and the runner is held to its word."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.cli.pages import Step, differences, matches, steps_of

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "examples" / "cli").glob("*.md"))
PAGES += [ROOT / "docs" / "agents.md", ROOT / "docs" / "jobs.md"]
PAGES += [
    page
    for folder in ("guide", "host")
    for page in sorted((ROOT / "docs" / folder).glob("*.md"))
    if steps_of(page.read_text(encoding="utf-8"))
]


LONG = {
    "access", "agents", "another-host", "backup", "first-evening", "jobs", "leaving",
    "lost-phone", "moved", "not-in-sync", "peers", "reputation", "someone-must-go", "spaces",
    "two-stories", "usb-stick", "we-disagree",
}  # fmt: skip
"""Pages that start and stop many nodes, or prepare a sandbox."""


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, id=page.stem, marks=[pytest.mark.long] if page.stem in LONG else [])
        for page in PAGES
    ],
)
def test_a_page_prints_what_it_says(page: Path, tmp_path: Path) -> None:
    for difference in differences(page, tmp_path):
        pytest.fail(difference, pytrace=False)


def page(folder: Path, text: str) -> Path:
    path = folder / "page.md"
    path.write_text(text)
    return path


def test_commands_and_their_output_are_found() -> None:
    text = """\
Some words.

```console
$ commons-node one \\
> --two
out
$ commons-node three
```

```python
$ not this
```

```console (exit=4)
$ commons-node four
```
"""
    assert steps_of(text) == [
        Step(4, "commons-node one --two", ["out"], 0),
        Step(7, "commons-node three", [], 0),
        Step(15, "commons-node four", [], 4),
    ]


def test_a_block_without_end_or_command_is_refused() -> None:
    for text in ("```console\n$ x\n", "```console\nout\n```\n"):
        with pytest.raises(ValueError, match=r"block|command"):
            steps_of(text)


def test_wildcards_stand_for_what_they_say_and_no_more() -> None:
    assert matches(["a [..] c"], ["a b b c"])
    assert matches(["[..]"], [""])
    assert not matches(["a.c"], ["abc"]), "a dot is a dot"
    assert not matches(["a"], ["a", "b"])
    assert matches(["a", "...", "z"], ["a", "b", "c", "z"])
    assert matches(["..."], [])
    assert not matches(["a", "...", "z"], ["a", "b"])


def test_a_page_that_is_right(tmp_path: Path) -> None:
    right = page(
        tmp_path,
        """\
```console
$ commons-node help exit-codes
   0  it worked
...
 130  [..]
$ commons-node paths
home [..]/home
...
```

```console (exit=3)
$ commons-node status
error: commons-node status did not work
  why: No node runs here: [..]
  try: commons-node run
```
""",
    )
    assert list(differences(right, tmp_path)) == []


@pytest.mark.parametrize(
    ("block", "says"),
    [
        ("```console\n$ commons-node version\nwrong\n```\n", "it printed (exit 0)"),
        ("```console\n$ commons-node status\n...\n```\n", "it printed (exit 3)"),
        ("```console (exit=2)\n$ commons-node version\n...\n```\n", "the page says (exit 2)"),
    ],
)
def test_a_page_that_is_wrong_is_told_where(tmp_path: Path, block: str, says: str) -> None:
    (found,) = differences(page(tmp_path, block), tmp_path)
    assert found.startswith("page.md:2: $ commons-node")
    assert says in found


def test_a_daemon_of_a_page_is_started_and_stopped(tmp_path: Path) -> None:
    alone = page(
        tmp_path,
        """\
```console
$ commons-node run &
$ commons-node status
...
```

```console (exit=1)
$ commons-node run
...
```
""",
    )
    assert list(differences(alone, tmp_path)) == []
    assert not (tmp_path / "home" / "run" / "api.sock").exists(), "it stopped in good order"
