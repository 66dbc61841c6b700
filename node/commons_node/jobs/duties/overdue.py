"""What should have come back: one notice for each community, once a day, with who has what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from commons_node.jobs.catalogue import notice
from commons_node.jobs.handler import Host

LISTED: Final = 10
"""Loans that a notice names; more are counted."""


def run(host: Host) -> dict[str, int]:
    """Every community that this node keeps."""
    overdue = 0
    day = datetime.fromtimestamp(host.scheduled_ms / 1000, UTC).date().isoformat()
    for community in host.call("view", name="status")["communities"]:
        ident = str(community["community"])
        found = host.call("view", name="loan.list", community=ident, args={"overdue": True})
        loans: Sequence[Mapping[str, Any]] = found["loans"]
        overdue += len(loans)
        host.log(f"{community['name']}: {len(loans)} overdue")
        if not loans:
            continue
        named = [f"{one['name']} ({one['borrower_name']}, {one['due_day']})" for one in loans]
        listed = "; ".join(named[:LISTED])
        code = "overdue" if len(loans) <= LISTED else "overdue_many"
        more = len(loans) - LISTED
        told = notice(code, community=community["name"], count=len(loans), loans=listed, more=more)
        host.effect("notice", f"{ident}/{day}", **told)
        letter = {"community": ident, "count": len(loans)}
        host.effect("outbox", f"{ident}/{day}/told", to="event", body=letter)
    return {"overdue": overdue}
