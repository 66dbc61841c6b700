"""Why an operation of log 0 has the verdict that it has: the operations that it rests on."""

from __future__ import annotations

from commons_crdt.authority.book import Entry
from commons_crdt.authority.identity_facts import AddDevice, Pick, Recover, SetGuardians
from commons_crdt.authority.strata import Polity
from commons_crdt.ids import DeviceId


def causes(polity: Polity, n: int) -> tuple[int, ...]:
    """What a verdict rests on besides the operation itself, by numbers."""
    entry, judged = polity.book.entries[n], polity.verdict(n)
    stage = polity.b if polity.is_of_c(n) else polity.strata.identities
    match judged.reason:
        case "fork":
            forked = siblings(polity, entry.device)
            return (*forked, *(r.act for r in stage.rulings(entry.grant) if r.names))
        case "cut":
            return tuple(sorted({r.act for r in stage.rulings(entry.grant)}))
        case "closed":
            return stage.closings(entry.device)
        case "grant":
            return (entry.grant,)
        case "identity" | "base":
            return tuple(one for one in rivals(polity, entry) if one != n)
        case _:
            return ()


def siblings(polity: Polity, device: DeviceId) -> tuple[int, ...]:
    """The operations of log 0 at the lowest doubled place of a device, and its proofs."""
    fork = polity.ground.fork(device)
    if fork is None:
        return ()
    proofs = (
        n
        for n in polity.book.proofs
        if any((one.device, one.seq) == (device, fork) for one in polity.ledger.shown(n))
    )
    return (*polity.book.places.get((device, fork), ()), *proofs)


def rivals(polity: Polity, entry: Entry) -> tuple[int, ...]:
    """The acts at the base of an identity act."""
    body = entry.body
    if not isinstance(body, AddDevice | Recover | SetGuardians | Pick):
        return ()
    base = polity.book.number(body.base, entry.past)
    return tuple(polity.book.identity_acts.get(base, ()))
