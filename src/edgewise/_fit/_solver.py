"""What every solver owes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from edgewise._errors import ConfigError
from edgewise._fit._problem import Problem


class Solver(ABC):
    """A way to make a loss smaller."""

    name: ClassVar[str]
    cheap_starts: ClassVar[bool]
    """Whether several starts on a coarse grid cost little beside the fit itself."""
    keeps_bounds: ClassVar[bool] = False
    """Whether every step keeps the bounds of edges (see `bound`)."""

    @abstractmethod
    def solve(self, problem: Problem, *, fresh: bool) -> None:
        """Improve `problem.model` in place until it gets no better.

        Every accepted step is told to `problem.accept`, which keeps the best on held-out rows.

        Args:
            problem: The network, its data and its loss.
            fresh: Whether the network is a random start, far from any solution.
        """


def check_positive(settings: object, *names: str) -> None:
    """Refuse settings that are not above zero."""
    for name in names:
        if not getattr(settings, name) > 0:
            raise ConfigError(
                f"{type(settings).__name__}'s {name} must be positive, "
                f"got {getattr(settings, name)}."
            )
