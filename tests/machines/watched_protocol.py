"""What is looked at of `commons_protocol`: conversations, from the first frame to the last."""

from __future__ import annotations

from typing import get_args

import pytest
from tests.machines.recorder import Recorder

from commons_protocol.joining import Host, HostState, Newcomer, NewcomerState
from commons_protocol.parts import Fetch, FetchState, Give, GiveState
from commons_protocol.proof import _Slot
from commons_protocol.pull import Pull
from commons_protocol.serve import Serve
from commons_protocol.session import Session
from commons_protocol.sync import Phase, RealmSync

EXPLICIT = {
    "sync#A sync session of one realm": frozenset(get_args(Phase)),
    "parts#Who asks for a part": frozenset(get_args(FetchState)),
    "parts#Who gives it": frozenset(get_args(GiveState)),
    "joining#The node's side": frozenset(get_args(HostState)),
    "joining#The newcomer's side": frozenset(get_args(NewcomerState)),
}
"""Machines whose states the code names itself."""


def slot(one: _Slot) -> str:
    """Where the proof of one community is."""
    if one.dead or one.proven:
        return "dead" if one.dead else "proven"
    if one.claim is not None:
        return "asking" if one.asked else "deciding"
    return "claimed" if one.claimed else "matched"


def pull(one: Pull) -> str:
    """Where the fetching of a realm is."""
    if not one.active:
        return "resting"
    return "fetching" if one._open else "storing"


def serve(one: Serve) -> str:
    """Where the giving of a realm is."""
    if not one.busy:
        return "resting"
    return "reading" if one._reading else "waiting"


def watch(recorder: Recorder, patch: pytest.MonkeyPatch) -> None:
    """Look at all of them."""

    def session(one: Session) -> str:
        if one.closed:
            for realm in one.realms.values():
                for name, part in (
                    ("sync#A sync session of one realm", realm),
                    ("pull#Fetching from one peer", realm._pull),
                    ("serve#Giving to one peer", realm._serve),
                ):
                    recorder.end(name, recorder.number(part))
            for proof in one._prover.slots.values():
                recorder.end("proof#The proof of one community", recorder.number(proof))
            return "closed"
        if one.realms:
            return "serving"
        if one._prover._ends is None:
            return "greeting"
        return "proving" if one._prover.slots else "matching"

    name = "session#One stream of sync"
    recorder.watch(patch, name, Session, session)
    recorder.watch(patch, name, Session, session, "on_frame", "on_ingested", "tick")
    recorder.watch(patch, "proof#The proof of one community", _Slot, slot)
    recorder.watch(patch, "sync#A sync session of one realm", RealmSync, lambda one: one._phase)
    recorder.watch(
        patch, "pull#Fetching from one peer", Pull, pull,
        "begin", "on_operations", "on_piece", "on_served", "on_ingested",
    )  # fmt: skip
    recorder.watch(
        patch, "serve#Giving to one peer", Serve, serve, "on_want", "on_credit", "on_read"
    )
    for name, end, more in (
        ("parts#Who asks for a part", Fetch, ("want", "ask")),
        ("parts#Who gives it", Give, ("on_found", "on_read", "on_path_ingested")),
    ):
        recorder.watch(patch, name, end, lambda one: str(one.state), "on_frame", "tick", *more)
    recorder.watch(patch, "joining#The node's side", Host, lambda one: one.state)
    recorder.watch(patch, "joining#The newcomer's side", Newcomer, lambda one: one.state)
