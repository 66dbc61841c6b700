"""What goes to a worker and back arrives as it was sent."""

from __future__ import annotations

import pickle

import pytest

from commons_crdt.operation import Commitment, PartRef
from commons_node.verifier.packing import Packed, packed
from commons_node.verifier.work import Check, Checked, DocumentJob, Proposed, Read

PART = PartRef("photo", 40, b"p" * 32)
ITEMS = {
    "a check": Check(
        b"h", b"s" * 64, None, (None, b"x"), b"k" * 32, Commitment(b"b" * 32, 40, (PART,)), True
    ),
    "an answer": Checked("", "", b"c" * 32, (b"d" * 32,)),
    "a refusal": Checked("signature"),
    "a document": DocumentJob(
        "page", [b"old"],
        [Proposed(b"new", b"d" * 32, frozenset({"title"})), Proposed(b"", b"", None)],
    ),
    "fields": Read(("", "role"), {"a": "å", "b": 2**53 - 1, "c": True, "d": None, "e": -1}),
}  # fmt: skip


@pytest.mark.parametrize("name", ITEMS)
def test_named_tuples_arrive_as_they_were(name: str) -> None:
    sent = [ITEMS[name]] * 3
    on_the_way = packed(sent)
    assert isinstance(on_the_way, Packed)
    (one, *others) = pickle.loads(pickle.dumps(on_the_way))  # noqa: S301 - our own
    assert one == ITEMS[name]
    assert type(one) is type(ITEMS[name])
    assert len(others) == 2


@pytest.mark.parametrize("items", [[], [1, 2], [b"x"], range(3)])
def test_whatever_else_goes_as_it_is(items: object) -> None:
    assert packed(items) is items  # type: ignore[arg-type]  # that is the point
