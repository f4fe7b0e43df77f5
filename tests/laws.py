"""Equations that tests go through: names and ranges of the variables stand with each of them."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import NamedTuple

import numpy as np

_FOLDER = Path(__file__).parent / "data"


class Law(NamedTuple):
    """An equation of a benchmark."""

    name: str
    formula: str
    variables: tuple[str, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]

    def rows(self, count: int, seed: int = 0) -> np.ndarray:
        """Draw inputs from its ranges."""
        rng = np.random.default_rng(seed)
        return rng.uniform(self.low, self.high, (count, len(self.low)))


def laws() -> list[Law]:
    """The Feynman equations and the classic ones of symbolic regression."""
    with (_FOLDER / "equations.csv").open(encoding="utf-8") as file:
        return [
            Law(
                row["name"],
                row["formula"],
                tuple(row["variables"].split(";")),
                tuple(map(float, row["low"].split(";"))),
                tuple(map(float, row["high"].split(";"))),
            )
            for row in csv.DictReader(file)
        ]
