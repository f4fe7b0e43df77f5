"""The solvers: each makes a problem's loss smaller from where its model stands."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from edgewise._errors import ConfigError
from edgewise._fit._bounded import Bounds
from edgewise._fit._gauss_newton import ParameterVector
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


def _check_positive(settings: object, *names: str) -> None:
    for name in names:
        if not getattr(settings, name) > 0:
            raise ConfigError(
                f"{type(settings).__name__}'s {name} must be positive, "
                f"got {getattr(settings, name)}."
            )


@dataclass(frozen=True)
class LevenbergMarquardt(Solver):
    """Damped Gauss–Newton steps on the whole data (Levenberg 1944, Marquardt 1963).

    The damping scales with the diagonal of the normal equations and follows the gain ratio (Nielsen
    1999). A step is taken only if it lowers the loss. Where edges have bounds, it minimizes the
    damped quadratic model within them.

    Args:
        steps: The largest number of steps on one grid.
        damping: The first damping of a fresh network.
        tolerance: The solver stops when five steps lower the loss by less than this share of it.
        patience: It stops as well when the held-out loss has not fallen for so many steps.
        smoothness: The weight of the splines' roughness, as a share of each edge's weight in the
            data: just enough to carry splines smoothly over cells that hold no data.
        shrinkage: The weight of the splines' variation, as a share of each edge's weight in the
            data and of what the network does not explain: it holds back noise, and vanishes where
            there is none.
    """

    steps: int = 50
    damping: float = 1e-2
    tolerance: float = 1e-2
    patience: int = 12
    smoothness: float = 1e-6
    shrinkage: float = 1e-2
    name: ClassVar[str] = "Levenberg-Marquardt"
    cheap_starts: ClassVar[bool] = True
    keeps_bounds: ClassVar[bool] = True

    def __post_init__(self) -> None:
        _check_positive(self, "steps", "damping", "tolerance", "patience")
        if self.smoothness < 0 or self.shrinkage < 0:
            raise ConfigError(
                "smoothness and shrinkage cannot be negative, "
                f"got {self.smoothness} and {self.shrinkage}."
            )

    def solve(self, problem: Problem, *, fresh: bool) -> None:
        """Take steps until five of them bring nothing more."""
        rounds = min(4, self.steps) if fresh else 1
        damping = self.damping if fresh else 1e-3 * self.damping
        for _ in range(rounds):
            problem.adapt()
            damping = self.descend(problem, self.steps // rounds, damping)

    def descend(self, problem: Problem, steps: int, damping: float) -> float:
        """Take up to `steps` steps on the grids as they are; give the damping to go on with."""
        vector = ParameterVector(problem.model)
        start = vector.read()
        if vector.size == 0:
            return damping
        bounds = Bounds(problem.model)
        equations = problem.normal_equations()
        shrinkage = self.shrinkage * min(1.0, problem.unexplained())
        penalty = vector.penalty(equations.H.diagonal(), self.smoothness, shrinkage)
        penalty.add_to(equations.H)
        value = equations.value + penalty.value(start)
        values, growth, best, waited = [value], 2.0, problem.best_value, 0
        while len(values) <= steps and value > 0 and damping < 1e12:
            problem.monitor.check_time()
            g, H = equations.g + penalty.gradient(start), equations.H
            scale = vector.lift(H.diagonal())
            step = _step(H + torch.diag(damping * scale), g, start, bounds)
            if step is None:
                damping *= 10
                continue
            there = start + step
            vector.write(there)
            loss = problem.value()
            new = loss + penalty.value(there)
            if not new < value:
                damping, growth = damping * growth, 2 * growth
                continue
            foreseen = -float(g @ step + 0.5 * step @ (H @ step))
            gain = min((value - new) / max(foreseen, 1e-300), 1e3)  # rounding may foresee nothing
            damping = max(damping * max(0.1, 1 - (2 * gain - 1) ** 3), 1e-15)
            start, value, growth = there, new, 2.0
            equations = problem.normal_equations()
            penalty.add_to(equations.H)
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


def _step(M: Tensor, g: Tensor, start: Tensor, bounds: Bounds) -> Tensor | None:
    """The least g·s + s·M·s / 2 within bounds, or None where M is not positive definite."""
    if len(bounds):
        return bounds.step(M, g, start)
    L, failed = torch.linalg.cholesky_ex(M)
    return None if int(failed) else torch.cholesky_solve(-g.unsqueeze(-1), L).squeeze(-1)


@dataclass(frozen=True)
class LBFGS(Solver):
    """Limited-memory BFGS with a strong Wolfe line search, on the whole data (torch.optim.LBFGS).

    Args:
        steps: The largest number of steps on one grid, of up to 20 evaluations each.
        history: How many past steps the inverse Hessian is made of.
        tolerance: The solver stops when five steps lower the loss by less than this share of it.
    """

    steps: int = 100
    history: int = 20
    tolerance: float = 1e-2
    name: ClassVar[str] = "L-BFGS"
    cheap_starts: ClassVar[bool] = False

    def __post_init__(self) -> None:
        _check_positive(self, "steps", "history", "tolerance")

    def solve(self, problem: Problem, *, fresh: bool) -> None:
        """Take steps until five of them bring nothing more."""
        rounds = min(4, self.steps) if fresh else 1
        for _ in range(rounds):
            problem.adapt()
            self._descend(problem, self.steps // rounds)

    def _descend(self, problem: Problem, steps: int) -> None:
        model = problem.model
        optimizer = torch.optim.LBFGS(
            model.parameters(), history_size=self.history, line_search_fn="strong_wolfe"
        )

        def evaluate() -> torch.Tensor:
            optimizer.zero_grad()
            return torch.tensor(problem.backward(), dtype=torch.float64)

        values = [problem.value()]
        for _ in range(steps):
            problem.monitor.check_time()
            before = ParameterVector(model).read()
            optimizer.step(evaluate)
            value = problem.value()
            if not value < values[-1]:
                ParameterVector(model).write(before)
                break
            values.append(value)
            problem.accept(value)
            if len(values) > 5 and values[-6] - value < self.tolerance * value:
                break
        optimizer.zero_grad()


@dataclass(frozen=True)
class Adam(Solver):
    """Adam on mini-batches, with a learning rate that falls along a cosine (torch.optim.Adam).

    Args:
        epochs: How often each grid sees the data.
        batch: The rows of a mini-batch.
        learning_rate: The first learning rate.
    """

    epochs: int = 100
    batch: int = 256
    learning_rate: float = 1e-2
    name: ClassVar[str] = "Adam"
    cheap_starts: ClassVar[bool] = False

    def __post_init__(self) -> None:
        _check_positive(self, "epochs", "batch", "learning_rate")

    def solve(self, problem: Problem, *, fresh: bool) -> None:
        """Go through the data `epochs` times."""
        problem.adapt()
        model = problem.model
        if problem.data.team.size > 1:
            raise ConfigError(
                "Adam does not fit over several processes: take LevenbergMarquardt or LBFGS."
            )
        rate = self.learning_rate if fresh else 0.3 * self.learning_rate
        optimizer = torch.optim.Adam(model.parameters(), lr=rate)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, self.epochs)
        generator = torch.Generator().manual_seed(problem.monitor.steps)
        for _ in range(self.epochs):
            problem.monitor.check_time()
            for x, y, weights in problem.data.chunks():
                order = torch.randperm(len(x), generator=generator).to(x.device)
                for rows in order.split(self.batch):
                    optimizer.zero_grad()
                    own = None if weights is None else weights[rows]
                    problem.loss.value(model(x[rows]), y[rows], own).backward()
                    optimizer.step()
            schedule.step()
            problem.accept(problem.value())
        optimizer.zero_grad()


SOLVERS: dict[str, Solver] = {
    "levenberg-marquardt": LevenbergMarquardt(),
    "lbfgs": LBFGS(),
    "adam": Adam(),
}


def choose(parameters: int, rows: int, *, bounded: bool = False) -> Solver:
    """Take the most exact solver that the size of the problem allows, and that keeps bounds."""
    if bounded or (parameters <= 2_000 and rows * parameters**2 <= 1e12):
        return LevenbergMarquardt()
    return LBFGS() if rows <= 20_000 else Adam()
