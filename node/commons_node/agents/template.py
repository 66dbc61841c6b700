"""The agent that an author begins with: it works as it is, and says how one is made."""

from __future__ import annotations

from typing import Final

TEMPLATE_TOML: Final = """\
[agent]
name = "{name}"
version = "0.1.0"
api = "{api}"
runtime = "python"
entry = "agent.py:main"
publisher = "{key}{publisher}"
summary = "Says what is overdue"

[[trigger]]
cron = "0 9 * * *"

[capabilities]
"docs.query" = {{ collections = ["loan"], fields = ["name", "borrower_name", "due", "overdue"] }}
"notify.send" = {{ rate = "10/day" }}

[limits]
memory = "64MiB"
wall = "10s"

[settings]
greeting = "Good morning"
"""
TEMPLATE_CODE: Final = '''\
"""Says every morning what is overdue."""


def main(event, host):
    """Called for each run; what it returns stands in `job show`."""
    rows = host.call("docs.query", collection="loan", where={"overdue": True})["rows"]
    host.log(f"overdue: {len(rows)}")
    if rows:
        names = ", ".join(str(row.get("name")) for row in rows)
        host.call("notify.send", text=f"{event['settings']['greeting']}: {names}")
    return {"overdue": len(rows)}
'''
