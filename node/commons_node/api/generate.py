"""Write the description of all verbs from which the command line is built.

    python -m commons_node.api.generate cli/commons_cli/verbs.json
    python -m commons_node.api.generate --check cli/commons_cli/verbs.json

The command line cannot ask for it at start: that would cost a call, and need a running node.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from commons_node import config

if TYPE_CHECKING:
    from commons_node.registry import Registry


def verbs_json(registry: Registry) -> str:
    """The text of ``verbs.json``: one verb a line, so that a change reads well in a diff."""
    described = registry.describe()
    verbs = described["verbs"]
    assert isinstance(verbs, list)
    parts = [f'"{key}": {json.dumps(one)}' for key, one in described.items() if key != "verbs"]
    parts += [_lines("settings", config.describe()), _lines("verbs", verbs)]
    return "{\n" + ",\n".join(parts) + "\n}\n"


def _lines(name: str, rows: list[dict[str, object]]) -> str:
    if not rows:
        return f'"{name}": []'
    return f'"{name}": [\n' + ",\n".join(json.dumps(row) for row in rows) + "\n]"


def main(arguments: list[str]) -> int:
    """Write the file, or with ``--check`` only say whether it is fresh; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m commons_node.api.generate")
    parser.add_argument("--check", action="store_true", help="write nothing")
    parser.add_argument("file", type=Path)
    given = parser.parse_args(arguments)
    from commons_node.domains import registry  # noqa: PLC0415 -- all domains, only to describe them

    text = verbs_json(registry())
    if not given.check:
        given.file.write_text(text, encoding="utf-8")
        return 0
    if given.file.is_file() and given.file.read_text(encoding="utf-8") == text:
        return 0
    sys.stderr.write(f"{given.file} is not what the registry says; write it anew without --check\n")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
