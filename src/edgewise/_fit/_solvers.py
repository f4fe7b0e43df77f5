"""The solvers by their names, which of them to take, and those that torch brings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from edgewise._errors import ConfigError
from edgewise._fit._conjugate_gradients import GaussNewtonCG
from edgewise._fit._gauss_newton import ParameterVector
from edgewise._fit._levenberg_marquardt import LevenbergMarquardt
from edgewise._fit._problem import Problem
from edgewise._fit._solver import Solver, check_positive


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
        check_positive(self, "steps", "history", "tolerance")

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
        check_positive(self, "epochs", "batch", "learning_rate")

    def solve(self, problem: Problem, *, fresh: bool) -> None:
        """Go through the data `epochs` times."""
        problem.adapt()
        model = problem.model
        if problem.data.team.size > 1:
            raise ConfigError(
                "Adam does not fit over several processes: take LevenbergMarquardt, GaussNewtonCG "
                "or LBFGS."
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
    "gauss-newton-cg": GaussNewtonCG(),
    "lbfgs": LBFGS(),
    "adam": Adam(),
}


def choose(parameters: int, edges: int, rows: int, *, bounded: bool = False) -> Solver:
    """Take the most exact solver that the size of the problem allows, and that keeps bounds.

    The sums of Gauss–Newton take the pairs of edges, whatever their grid; the factors of the matrix
    take the third power of the parameters.
    """
    few = parameters <= 2_000 or (parameters <= 5_000 and edges <= 100)
    if bounded or (few and rows * parameters**2 <= 1e12):
        return LevenbergMarquardt()
    if parameters <= 5_000 and rows <= 20_000:
        return GaussNewtonCG()
    return LBFGS() if rows <= 20_000 else Adam()
