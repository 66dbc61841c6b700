"""Somebody who writes at their own node, whatever happens to it, and remembers what was answered.

A deed is a method, known by its name. What cannot be done now (nothing is lent, the node is away)
is counted by the error's code; only what the node has acknowledged is handed on.
"""

from __future__ import annotations

import base64
import random
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from tests.e2e.neighbourhood import PASSPHRASE, House

from commons_node.api.client import ApiError, Client

Wrote = Callable[[str, str, Iterable[str]], None]
"""Told of acknowledged operations: the node's name, the verb, the ids."""

MOST_LISTED = 200
_JOIN_S = 6


class Nothing(ApiError):
    """There is nothing that this could be done to."""

    def __init__(self) -> None:
        super().__init__("nothing", "", "", 1)  # type: ignore[arg-type]  # counted, no more


class Resident:
    """Lives in a house. Not for threads: one deed at a time."""

    def __init__(self, house: House, others: list[House], wrote: Wrote) -> None:
        """``others``: whom they cut off and let in again, and who welcomes their lodgers."""
        self.house = house
        self.others = others
        self.rng = random.Random(0)
        self.did: Counter[str] = Counter()
        self.errors: Counter[str] = Counter()
        self.named: Callable[[str], None] = lambda _name: None
        self.by_cli = False
        self._wrote = wrote
        self._number = 0
        self.pass_on: Callable[[str], None] = self.told
        """Who gets the code of an invite that was made here: this resident, if nobody says."""
        self._codes: list[str] = []

    def act(self, what: str, rng: random.Random, *, by_cli: bool = False) -> None:
        """Do one deed, as chance has it; an error is counted."""
        self.rng, self.by_cli = rng, by_cli
        try:
            getattr(self, what)()
        except ApiError as error:
            self.errors[error.code] += 1

    def _writes(self, verb: str, what: str = "", **arguments: Any) -> dict[str, Any]:
        """``what``: the argument that the command line takes without a name, if it has one."""
        if self.by_cli:
            answer = self._types(verb, what, arguments)
        else:
            answer = self.house.do(verb, **arguments)
        self._wrote(self.house.name, verb, [answer["operation"]])
        self.did[f"{verb} by cli" if self.by_cli else verb] += 1
        return answer

    def _types(self, verb: str, what: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """The same at the command line."""
        words = [*verb.split("."), *([str(arguments.pop(what))] if what else [])]
        for name, value in arguments.items():
            words += [f"--{name.replace('_', '-')}", str(value)]
        who = ["--as", self.house.name, "--passphrase-file", str(self.house.passphrase_file)]
        said = self.house.cli(*words, *who)
        if said.code:
            error = said.error
            raise ApiError(error["code"], error["message"], error["hint"], said.code)  # type: ignore[arg-type]  # counted, no more
        return said.json

    def _thing(self) -> str:
        found = self.house.see("resource.list", limit=MOST_LISTED)["resources"]
        if not found:
            raise Nothing
        thing: str = self.rng.choice(found)["resource"]
        return thing

    def _loan(self, state: str) -> str:
        found = self.house.see("loan.list", state=state)["loans"]
        if not found:
            raise Nothing
        loan: str = self.rng.choice(found)["loan"]
        return loan

    def _numbers(self, count: int) -> list[str]:
        self._number += count
        return [f"{self.house.name}-{self._number - n}" for n in range(count)]

    # -- things --------------------------------------------------------------------------------

    def imports(self) -> None:
        """A small inventory: all of its things are acknowledged together."""
        rows = "".join(f"{number},Thing of {self.house.name}\n" for number in self._numbers(8))
        data = base64.b64encode(f"number,name\n{rows}".encode()).decode()
        report = self.house.do("resource.import", file={"name": "x.csv", "data": data})
        assert report["created"] == 8, report
        made = [row["resource"] for row in report["rows"]]
        self._wrote(self.house.name, "resource.import", made)
        self.did["resource.import"] += 1

    def adds(self) -> None:
        (number,) = self._numbers(1)
        self._writes("resource.add", "name", name=f"Lamp of {self.house.name}", number=number)

    def edits(self) -> None:
        notice = self.rng.randbytes(6).hex()
        self._writes("resource.edit", "resource", resource=self._thing(), notice=notice)

    def erases(self) -> None:
        self._writes("resource.erase", "resource", resource=self._thing())

    # -- lending -------------------------------------------------------------------------------

    def asks(self) -> None:
        days = self.rng.randint(1, 5)
        self._writes("loan.request", "resource", resource=self._thing(), days=days)

    def decides(self) -> None:
        verb = self.rng.choice(["loan.approve", "loan.approve", "loan.decline"])
        self._writes(verb, "loan", loan=self._loan("requested"))

    def hands_over(self) -> None:
        self._writes("loan.handover", "loan", loan=self._loan("approved"))

    def takes(self) -> None:
        self._writes("loan.accept", "loan", loan=self._loan("offered"))

    def returns(self) -> None:
        self._writes("loan.return", "loan", loan=self._loan("on_loan"))

    def receives(self) -> None:
        self._writes("loan.receive", "loan", loan=self._loan("returning"))

    # -- people --------------------------------------------------------------------------------

    def invites(self) -> None:
        """An invite, for a lodger here or at one of the others'."""
        self.pass_on(self._writes("invite.create", uses=2)["code"])

    def welcomes(self) -> None:
        """A lodger joins at this house, by an invite of this house or of another."""
        if not self._codes:
            raise Nothing
        name = f"Lodger {self.rng.randrange(1 << 32):08x}"
        code = self.rng.choice(self._codes)
        lodger = Client(self.house._socket)  # a terminal of their own
        joined = lodger.command(
            "join",
            {"code": code, "member": name, "passphrase": PASSPHRASE, "wait": _JOIN_S},
            2 * _JOIN_S,
        )
        self.did[f"join: {joined['state']}"] += 1
        if joined["state"] == "joined":
            self._wrote(self.house.name, "join", [joined["operation"]])
            self.named(name)

    def told(self, code: str) -> None:
        """Another resident passed the code of an invite on."""
        self._codes.append(code)

    # -- neighbours ----------------------------------------------------------------------------

    def blocks(self) -> None:
        if self.rng.random() < 0.3:
            self.house.do("peer.block", node=self.rng.choice(self.others).node)
            self.did["peer.block"] += 1

    def unblocks(self) -> None:
        self.house.do("peer.unblock", node=self.rng.choice(self.others).node)
        self.did["peer.unblock"] += 1
