"""Time to keep to, and what there was none for."""

from __future__ import annotations

import time as clock


class OutOfTime(Exception):
    """A step was left because its time is over."""


class Budget:
    """Seconds from now on.

    Args:
        seconds: How many.
        missed: What there was no time for, a list to write to.
    """

    def __init__(self, seconds: float, missed: list[str] | None = None) -> None:
        self._end = clock.perf_counter() + seconds
        self.missed: list[str] = [] if missed is None else missed

    @property
    def left(self) -> float:
        """Seconds that are left."""
        return self._end - clock.perf_counter()

    def share(self, share: float) -> Budget:
        """A share of what is left."""
        return Budget(share * self.left, self.missed)

    def check(self) -> None:
        """Raise OutOfTime when the time is over."""
        if self.left <= 0:
            raise OutOfTime

    def miss(self, what: str) -> None:
        """Note once what there was no time for."""
        if what not in self.missed:
            self.missed.append(what)
