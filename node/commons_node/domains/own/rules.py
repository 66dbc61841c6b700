"""Anybody who is in a realm may write entries and doors in it; both are erased whole."""

from __future__ import annotations

from commons_crdt.kinds import Kind
from commons_crdt.roles import Role
from commons_node.domains.own.facts import DOOR, ENTRY, SINCE, Door, Entry

KINDS = (
    Kind(ENTRY, Entry, Role.NEWCOMER, max_body=2048, erased="body", since=SINCE),
    Kind(DOOR, Door, Role.NEWCOMER, max_body=4096, erased="body", since=SINCE),
)
