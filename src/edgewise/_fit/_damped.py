"""Damped Gauss–Newton steps, whatever way their linear systems are solved."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from edgewise._errors import ConfigError
from edgewise._fit._gauss_newton import ParameterVector, Penalty
from edgewise._fit._problem import Problem
from edgewise._fit._solver import Solver, check_positive

_HOLD = 1e-2
"""The weight that holds a coefficient where it was before a continual fit, as a share of what the
rows weigh on its edge and of what the network does not explain: where rows touch only the foot of a
basis function, noise would throw its coefficient far off."""


class Quadratic(ABC):
    """A loss near the present parameters: value + g·step + step·H·step / 2.

    Attributes:
        value: The loss.
        g: Its gradient.
    """

    value: float
    g: Tensor

    @property
    @abstractmethod
    def diagonal(self) -> Tensor:
        """The diagonal of H."""

    @abstractmethod
    def add(self, penalty: Penalty) -> None:
        """Add a penalty's second derivatives to H and to its diagonal."""

    @abstractmethod
    def step(self, g: Tensor, damping: Tensor) -> tuple[Tensor, Tensor] | None:
        """Solve (H + diag(damping)) step = -g.

        Returns:
            The step, and H times the step; None where it cannot be solved without more damping.
        """


@dataclass(frozen=True)
class DampedGaussNewton(Solver):
    """Gauss–Newton steps whose damping follows the gain ratio, on the whole data."""

    steps: int = 50
    damping: float = 1e-2
    tolerance: float = 1e-2
    patience: int = 12
    smoothness: float = 1e-6
    shrinkage: float = 1e-2
    least_damping: ClassVar[float] = 1e-15

    def __post_init__(self) -> None:
        check_positive(self, "steps", "damping", "tolerance", "patience")
        if self.smoothness < 0 or self.shrinkage < 0:
            raise ConfigError(
                "smoothness and shrinkage cannot be negative, "
                f"got {self.smoothness} and {self.shrinkage}."
            )

    @abstractmethod
    def look(self, problem: Problem) -> Quadratic:
        """Look at the loss near the present parameters of `problem.model`."""

    def solve(self, problem: Problem, *, fresh: bool) -> None:
        """Take steps until five of them bring nothing more."""
        rounds = min(4, self.steps) if fresh or problem.continual else 1
        damping = self.damping if fresh else 1e-3 * self.damping
        origin = ParameterVector(problem.model).read() if problem.continual else None
        for _ in range(rounds):
            problem.adapt()
            damping = self.descend(problem, self.steps // rounds, damping, origin)

    def descend(
        self, problem: Problem, steps: int, damping: float, origin: Tensor | None = None
    ) -> float:
        """Take up to `steps` steps on the grids as they are; give the damping to go on with.

        With an origin no more is changed from there than the rows ask for, and nothing that no row
        touches; the splines' own penalties, which would carry changes over, are left out.
        """
        vector = ParameterVector(problem.model)
        start = vector.read()
        if vector.size == 0:
            return damping
        near = self.look(problem)
        unexplained = min(1.0, problem.unexplained())
        if origin is None:
            origin = torch.zeros_like(start)
            shrinkage = self.shrinkage * unexplained
            penalty = vector.penalty(near.diagonal, self.smoothness, shrinkage)
        else:
            penalty = vector.hold(near.diagonal, _HOLD * unexplained)
        near.add(penalty)
        value = near.value + penalty.value(start - origin)
        values, growth, best, waited = [value], 2.0, problem.best_value, 0
        while len(values) <= steps and value > 0 and damping < 1e12:
            problem.monitor.check_time()
            g = near.g + penalty.gradient(start - origin)
            solution = near.step(g, damping * vector.lift(near.diagonal))
            if solution is None:
                damping *= 10
                continue
            step, bent = solution
            there = start + step
            vector.write(there)
            loss = problem.value()
            new = loss + penalty.value(there - origin)
            if not new < value:
                damping, growth = damping * growth, 2 * growth
                continue
            foreseen = -float(g @ step + 0.5 * step @ bent)
            gain = min((value - new) / max(foreseen, 1e-300), 1e3)  # rounding may foresee nothing
            damping = max(damping * max(0.1, 1 - (2 * gain - 1) ** 3), self.least_damping)
            start, value, growth = there, new, 2.0
            del near  # it may hold much memory
            near = self.look(problem)
            near.add(penalty)
            values.append(value)
            problem.accept(loss)
            if problem.best_value < best:
                best, waited = problem.best_value, 0
            else:
                waited += 1
            slow = len(values) > 5 and values[-6] - value < self.tolerance * value
            if slow or waited >= self.patience:
                break
        vector.write(start)
        return min(damping, self.damping)
