"""Models that a test registers: a small real one, and some that misbehave."""

from __future__ import annotations

import csv
import math
import os
import sys
import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

_INVENTORY = Path(__file__).parents[2] / "examples" / "tool_library_inventory.csv"


class NaiveBayes:
    """Which category a thing belongs to, by the words of its name; trained when it is loaded.

    Multinomial, with add-one smoothing.
    """

    def __init__(self, path: Path) -> None:
        self.words: dict[str, Counter[str]] = defaultdict(Counter)
        self.classes: Counter[str] = Counter()
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                category = (row.get("Categories") or row.get("categories") or "").split(",")[0]
                self.classes[category] += 1
                self.words[category].update(self._split(next(iter(self._names(row)))))
        self.vocabulary = {word for words in self.words.values() for word in words}

    @staticmethod
    def _names(row: dict[str, str]) -> list[str]:
        return [value for name, value in row.items() if "name" in name.lower() and value] or [""]

    @staticmethod
    def _split(text: str) -> list[str]:
        return text.casefold().replace(",", " ").split()

    def predict(self, given: list[str]) -> list[str]:
        return [self._best(one) for one in given]

    def _best(self, name: str) -> str:
        def score(category: str) -> float:
            words, size = self.words[category], len(self.vocabulary)
            total = words.total() + size
            prior = math.log(self.classes[category] / self.classes.total())
            return prior + sum(math.log((words[w] + 1) / total) for w in self._split(name))

        return max(sorted(self.classes), key=score)


kinds = NaiveBayes(_INVENTORY)


def twice(given: Any) -> Any:
    """A plain callable; what it prints is no answer."""
    sys.stdout.write("thinking\n")
    return given * 2


def fails(_given: Any) -> Any:
    """A fault of the model."""
    raise ValueError("I do not know")


def eats(given: Any) -> Any:
    """So many MiB."""
    return len(bytearray(given << 20))


def dies(_given: Any) -> Any:
    """Its process ends."""
    os._exit(3)


def hangs(_given: Any) -> Any:
    """It never answers."""
    time.sleep(1000)


def loud(_given: Any) -> Any:
    """More than a line holds."""
    return "x" * (3 << 20)


NOT_CALLABLE = 7
