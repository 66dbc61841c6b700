"""How things are, as every place needs it: is the node there, which community, who acts.

Read with two calls, kept until the next reading. Values only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from commons_cli.texts import _, ngettext
from commons_tui.bridge import ApiError, Bridge
from commons_tui.words import SYNC, Look, look

ROLES: Final = ("newcomer", "member", "steward", "host", "coordinator")
"""From the least to the most, as the node orders them."""


@dataclass(frozen=True, slots=True)
class Now:
    """``here``: False while the node does not answer, None before the first answer.

    ``community``: its row in ``status``, None while there is none. ``members``: who lives on this
    node (``member.here``). ``acting``: id or name of who was chosen to act.
    """

    here: bool | None = None
    error: ApiError | None = None
    community: Mapping[str, Any] | None = None
    communities: Sequence[Mapping[str, Any]] = ()
    peers: int = 0
    node: str = ""
    members: Sequence[Mapping[str, Any]] = ()
    acting: str | None = None

    @property
    def me(self) -> Mapping[str, Any] | None:
        """Who acts: the one who was chosen, or the only one who is unlocked."""
        open_now = [one for one in self.members if one["unlocked"]]
        acting = (self.acting or "").casefold()
        chosen = [one for one in open_now if acting in {one["member"], one["name"].casefold()}]
        fit = chosen or open_now
        return fit[0] if fit else None

    def at_least(self, role: str) -> bool:
        """Whether whoever acts has this role, or a higher one."""
        mine = self.me["role"] if self.me else None
        return mine in ROLES and ROLES.index(mine) >= ROLES.index(role)

    def is_me(self, member: object) -> bool:
        """Whether this is the id of who acts."""
        return self.me is not None and self.me["member"] == member

    @property
    def today(self) -> date:
        """The day it is where the community is; that is where its loans end."""
        zone = str((self.community or {}).get("timezone") or "")
        try:
            return datetime.now(ZoneInfo(zone)).date()
        except (ValueError, OSError):  # no community yet, or no zone that this machine knows
            return datetime.now().astimezone().date()

    @property
    def sync(self) -> Look:
        """How this node stands with the others."""
        if self.here is False:
            return Look("✕", "node away", "bad")
        return look(SYNC, self.community["sync"] if self.community else "alone")

    @property
    def split(self) -> str:
        """The words of a split; empty where there is none."""
        return str((self.community or {}).get("split") or "")

    def sentence(self) -> str:
        """How the node stands with its peers, in a sentence."""
        if self.here is False:
            return _("The node does not run; what you see is what it said last.")
        row = self.community or {}
        state = str(row.get("sync") or "alone")
        words = {
            "synced": ngettext(
                "In step with the one other node that is connected.",
                "In step with {peers} other nodes.",
                self.peers,
            ).format(peers=self.peers),
            "alone": _("No other node is connected; everything works, and is told later."),
            "unreachable": _("No other node can be reached now; everything works meanwhile."),
            "syncing": _("Catching up with other nodes."),
            "behind": _("Others have something new; it is being fetched."),
            "ahead": _("Others are being told what is new here."),
        }
        return words.get(state) or f"{self.sync}. {row.get('reason') or ''}".strip()


async def ask_now(bridge: Bridge, acting: str | None) -> Now:
    """Ask the node. Never raises ApiError: that the node is away is an answer, too."""
    try:
        status = await bridge.view("status")
        members = (await bridge.view("member.here"))["members"]
    except ApiError as error:
        return Now(here=False, error=error, acting=acting)
    rows = status["communities"]
    wanted = (bridge.community or "").casefold()
    fit = [
        row
        for row in rows
        if wanted and (row["community"].startswith(wanted) or row["name"].casefold() == wanted)
    ]
    community = (fit or rows or [None])[0]
    mine = [one for one in members if community and one["community"] == community["community"]]
    return Now(
        here=True,
        community=community,
        communities=rows,
        peers=status["peers"],
        node=status["node"],
        members=mine,
        acting=acting,
    )
