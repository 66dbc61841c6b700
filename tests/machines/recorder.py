"""Watches objects of the product while they live, and notes every change of their states."""

from __future__ import annotations

import functools
import inspect
import itertools
import weakref
from collections import defaultdict
from collections.abc import Callable, Hashable
from typing import Any

from tests.machines.drawings import OUTSIDE, Move


class Recorder:
    """The moves of each machine, by its name. Patches are undone by pytest's ``MonkeyPatch``."""

    def __init__(self) -> None:
        """Nothing was seen."""
        self.moves: defaultdict[str, set[Move]] = defaultdict(set)
        self._at: dict[tuple[str, Hashable], str] = {}
        self._numbers: dict[int, tuple[Callable[[], object], int]] = {}
        self._next = itertools.count()

    def number(self, one: object) -> int:
        """Which object it is; ``id`` would give one that is gone and a later one the same."""
        get, number = self._numbers.get(id(one), (lambda: None, 0))
        if get() is one:
            return number
        try:
            get = weakref.ref(one)
        except TypeError:
            get = functools.partial(_itself, one)  # it stays, and nobody gets its id
        self._numbers[id(one)] = get, next(self._next)
        return self._numbers[id(one)][1]

    def move(self, machine: str, who: Hashable, state: str) -> None:
        """One of a machine is in this state now."""
        before = self._at.get((machine, who), OUTSIDE)
        if before != state:
            self.moves[machine].add((before, state))
            self._at[machine, who] = state

    def end(self, machine: str, who: Hashable) -> None:
        """One of a machine is no more."""
        if (machine, who) in self._at:
            self.move(machine, who, OUTSIDE)
            del self._at[machine, who]

    def watch(
        self, patch: Any, machine: str, cls: type, state: Callable[[Any], str], *methods: str
    ) -> None:
        """Look at objects of ``cls`` after each of these methods; without any, at each attribute.

        Methods are looked behind, not into: what lies between is no state.
        """
        recorder = self

        def look(one: object) -> None:
            recorder.move(machine, recorder.number(one), state(one))

        if not methods:
            set_it: Callable[[object, str, object], None] = cls.__setattr__  # type: ignore[assignment]  # bound to no object

            def set_and_look(one: object, name: str, value: object) -> None:
                set_it(one, name, value)
                try:
                    look(one)
                except AttributeError:
                    return  # it is being made

            patch.setattr(cls, "__setattr__", set_and_look, raising=False)
            return
        for name in ("__init__", *methods):
            patch.setattr(cls, name, _looked(getattr(cls, name), look))


def _itself(one: object) -> object:
    return one


def _looked(method: Callable[..., Any], look: Callable[[Any], None]) -> Callable[..., Any]:
    if inspect.iscoroutinefunction(method):

        @functools.wraps(method)
        async def later(one: Any, *arguments: Any, **named: Any) -> Any:
            try:
                return await method(one, *arguments, **named)
            finally:
                look(one)

        return later

    @functools.wraps(method)
    def now(one: Any, *arguments: Any, **named: Any) -> Any:
        try:
            return method(one, *arguments, **named)
        finally:
            look(one)

    return now
