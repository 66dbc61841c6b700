"""Where an operation of log 1 stands: against positions that are here, missing, or on a branch."""

import pytest

from commons_crdt.authority.cuts import Ruling
from commons_crdt.authority.endings import NOTHING, Position
from commons_crdt.authority.flips import Anchor
from commons_crdt.authority.records import Records, Spot, place, upto
from commons_crdt.ids import DeviceId, OperationId

DEVICE = DeviceId(b"d" * 32)


def ident(seq: int, branch: str = "a") -> OperationId:
    """The operation at a place of a branch."""
    return OperationId(branch.encode() * 16 + seq.to_bytes(16, "big"))


def spot(seq: int, branch: str = "a", behind: str = "", *, forked: bool = False) -> Spot:
    return Spot(DEVICE, seq, ident(seq, branch), ident(seq - 1, behind or branch), forked)


def at(seq: int, branch: str = "a") -> Position:
    return Position(seq, ident(seq, branch))


def ruled(position: Position, *, names: bool = True) -> Ruling:
    return Ruling(1, -1, position, names)


def known(*lines: tuple[int, str, int], fork: int | None = None) -> Records:
    """Answers: (last seq, branch, first seq of the branch)."""
    records = Records()
    if fork is not None:
        records.forks[DEVICE] = fork
    for seq, branch, first in lines:
        line = [ident(n, branch) for n in range(min(first, seq), seq + 1)]
        records.put(Anchor(DEVICE, seq, ident(seq, branch)), line)
    return records


@pytest.mark.parametrize(("seq", "where"), [(1, ""), (3, ""), (4, "cut"), (9, "cut")])
def test_a_cut_ends_a_chain_behind_what_it_names(seq: int, where: str) -> None:
    assert place(known((3, "a", 3)), spot(seq), [ruled(at(3))], ()) == where


@pytest.mark.parametrize(("seq", "where"), [(1, "pending"), (3, "pending"), (4, "cut")])
def test_up_to_what_is_not_here_everything_waits(seq: int, where: str) -> None:
    assert place(Records(), spot(seq), [ruled(at(3))], ()) == where


def test_a_position_that_is_another_operation_is_nothing() -> None:
    records = Records()
    records.put(Anchor(DEVICE, 3, ident(3)), ())
    assert place(records, spot(1), [ruled(at(3))], ()) == "cut"
    assert place(records, spot(1), [ruled(NOTHING)], ()) == "cut"


def test_of_several_cuts_the_common_prefix_stands() -> None:
    records = known((3, "a", 3), (5, "a", 5))
    found = [place(records, spot(n), [ruled(at(5)), ruled(at(3))], ()) for n in (3, 4, 6)]
    assert found == ["", "cut", "cut"]


def test_a_fork_freezes_until_a_branch_is_named() -> None:
    assert [place(known(fork=2), spot(n), [], ()) for n in (1, 2, 3)] == ["", "fork", "fork"]
    records = known((3, "b", 2), fork=2)
    named = [ruled(at(3, "b"))]
    assert place(records, spot(2, "b", "a"), named, ()) == ""
    assert place(records, spot(3, "b"), named, ()) == ""
    assert place(records, spot(4, "b"), named, ()) == "cut", "the named branch ends there"
    assert place(records, spot(2), named, ()) == "fork", "the other one stays contested"
    assert place(records, spot(3, forked=True), named, ()) == "fork"
    assert place(records, spot(1), named, ()) == ""


def test_who_leaves_the_named_branch_below_its_end_is_beside_it() -> None:
    records = known((4, "b", 2), fork=2)
    assert place(records, spot(4, "c", "b"), [ruled(at(4, "b"))], ()) == "fork"
    assert place(records, spot(5, "c", "b"), [ruled(at(4, "b"))], ()) == "cut"


def test_whoever_may_not_name_a_branch_ends_the_chain_below_the_fork() -> None:
    records = known((3, "b", 2), fork=2)
    own = [ruled(at(3, "b"), names=False)]
    assert place(records, spot(2, "b", "a"), own, ()) == "fork"
    both = [*own, ruled(at(3, "b"))]
    assert place(records, spot(2, "b", "a"), both, ()) == "cut"
    assert place(records, spot(1), both, ()) == ""


def test_two_named_branches_leave_what_they_share() -> None:
    records = known((3, "b", 2), (3, "c", 2), fork=2)
    both = [ruled(at(3, "b")), ruled(at(3, "c"))]
    assert place(records, spot(1), both, ()) == ""
    assert place(records, spot(2, "b", "a"), both, ()) == "fork"


def test_a_closing_ends_log_1_and_never_beyond_a_fork() -> None:
    records = known((3, "a", 3))
    assert [place(records, spot(n), [], [at(3)]) for n in (3, 4)] == ["", "closed"]
    records = known((3, "b", 2), fork=2)
    assert place(records, spot(3, "b"), [ruled(at(3, "b"))], [at(3, "b")]) == "closed"


def test_beyond_a_sealed_tip_only_what_descends_from_it_counts() -> None:
    records = known((3, "b", 2), fork=2)
    records.set_tops({DEVICE: at(3, "b")})
    assert place(records, spot(2, "b", "a"), [], ()) == "", "the seal names its branch"
    assert place(records, spot(2), [], ()) == "fork"
    records.note(spot(4, "b"))
    records.note(spot(4, "a", forked=True))
    assert place(records, spot(4, "b"), [], ()) == "", "and does not end it"
    assert place(records, spot(4, "a", forked=True), [], ()) == "fork"
    assert records.note(spot(4, "c", "b")), "a fork above the tip is news"
    assert place(records, spot(4, "b"), [], ()) == "fork"


def test_a_lower_fork_puts_an_answer_in_doubt() -> None:
    records = known((5, "a", 5), (2, "a", 2))
    assert records.doubted(DEVICE, 4) == [Anchor(DEVICE, 5, ident(5))]
    assert upto(records, spot(5), at(5)) is True
