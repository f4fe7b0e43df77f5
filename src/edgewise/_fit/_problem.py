"""A network, its data and its loss: what a solver makes smaller."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable

import torch
from torch import Tensor

from edgewise._fit._curvature import Curvature
from edgewise._fit._data import Data
from edgewise._fit._gauss_newton import (
    NormalEquations,
    ParameterVector,
    mean_equations,
)
from edgewise._fit._losses import Loss
from edgewise._fit._monitor import Monitor
from edgewise._fit._result import Step
from edgewise._grid import adapt, refine, relocate
from edgewise._network import KAN

_ROWS = 65_536
"""So many rows are evaluated at a time."""


class Problem:
    """A network on its way: solvers change `model`; the best state on held-out rows is kept.

    Args:
        model: The network to begin with; the problem works on a copy.
        data: Rows to fit and rows held out.
        loss: What is made small.
        monitor: The fit's clock.
        continual: Whether what the rows do not touch stays as it is: grids do not move, and nothing
            draws on coefficients but the rows.

    Attributes:
        snapshots: The network at each step of the history, if the monitor asks for them.
        grid: The finest grid that was tried.
        failures: How many refinements in a row have not lowered the held-out loss.
    """

    def __init__(
        self, model: KAN, data: Data, loss: Loss, monitor: Monitor, *, continual: bool = False
    ) -> None:
        self.model = copy.deepcopy(model)
        self.data = data
        self.loss = loss
        self.monitor = monitor
        self.continual = continual
        self.history: list[Step] = []
        self.snapshots: list[KAN] = []
        self.grid = model.grid
        self.failures = 0
        self.best = self.model
        self.best_value = math.inf
        self._copied: KAN | None = None
        self._note_best()

    @property
    def size(self) -> int:
        """The number of trained parameters."""
        return ParameterVector(self.model).size

    @torch.no_grad()
    def value(self) -> float:
        """Give what is made small over the rows to fit; infinite where the network has no value."""
        value = self._mean(lambda x, y: self.loss.objective(self.model(x), y))
        return value if math.isfinite(value) else math.inf

    def null_value(self) -> float:
        """Give the held-out loss of the best constant."""
        data = self.data
        return self._held_mean(self.loss.samples(self._constant(len(data.y_held)), data.y_held))

    def unexplained(self) -> float:
        """Give the share of the best constant's loss that is left over the rows to fit."""
        null = self._mean(lambda x, y: self.loss.samples(self._constant(len(y)), y))
        return self.value() / max(null, 1e-300)

    def normal_equations(self) -> NormalEquations:
        """Sum loss, gradient and Gauss–Newton matrix over the rows to fit."""
        return mean_equations(self.model, self.data.chunks(), self.loss, self.data.team)

    def curvature(self) -> Curvature:
        """Sum loss and gradient over the rows to fit, with products for the Gauss–Newton matrix."""
        return Curvature(self.model, self.data, self.loss)

    def backward(self) -> float:
        """Give the mean over the rows to fit, and leave its gradient in the model's parameters."""
        parameters = [p for p in self.model.parameters() if p.requires_grad]
        total = torch.zeros(2, dtype=torch.float64)
        for whole in self.data.chunks():
            for chunk in whole.split(_ROWS):
                part = chunk.sum(self.loss.objective(self.model(chunk.x), chunk.y))
                part.backward()
                total += torch.tensor([part.item(), chunk.total], dtype=torch.float64)
        value, weight = self.data.team.sum(total).tolist()
        for p in parameters:
            if p.grad is not None:
                p.grad = self.data.team.sum(p.grad) / weight
        return value / weight

    def errors(self) -> tuple[float, float]:
        """Give the errors on the rows to fit and on those held out, in the model's precision."""
        outputs = self.model.out_features
        train = self._mean(lambda x, y: self.loss.samples(self._predict(x), y))
        held = self._held_mean(self.loss.samples(self._predict(self.data.x_held), self.data.y_held))
        return self.loss.error(train, outputs), self.loss.error(held, outputs)

    def excess(self, other: Problem) -> tuple[float, float]:
        """Give how much more the held-out loss is than another's, and its standard error."""
        team = self.data.team
        excess = self._held_out(self.best) - other._held_out(other.best)
        mean = self._held_mean(excess)
        count = team.total(len(excess))
        variance = team.total(float((excess - excess.mean()).square().sum())) / max(count - 1, 1)
        return mean, (variance / count) ** 0.5

    def accept(self, value: float) -> None:
        """Record the present state as a step with this mean loss, and keep it if it is the best."""
        held = self._note_best()
        outputs = self.model.out_features
        held_error = self.loss.error(held, outputs)
        self.monitor.step(self.model.grid, held_error, self.loss.measure)
        step = Step(
            index=len(self.history) + 1,
            grid=self.model.grid,
            parameters=self.size,
            train=self.loss.error(value, outputs),
            held_out=held_error,
            seconds=self.monitor.seconds,
        )
        self.history.append(step)
        if self.monitor.snapshots:
            self.snapshots.append(copy.deepcopy(self.model))
        self.monitor.show(step, self.model)

    def adapt(self) -> None:
        """Lay the grids over what comes through them, unless they are to stay."""
        if not self.continual:
            self.model = adapt(self.model, self.data.x)

    def refine(self, grid: int, degree: int | None = None) -> None:
        """Go on from the best state on a finer grid, or with splines of another degree.

        Hidden values may have drifted since the grids were laid.
        """
        self.model = refine(adapt(self.best, self.data.x), grid, degree=degree)
        self.grid = grid

    def relocate(self) -> None:
        """Go on from the best state with its knots where its error is."""
        self.model = relocate(self.best, self.data.x)

    def _note_best(self) -> float:
        value = self._held_mean(self._held_out(self.model))
        value = value if math.isfinite(value) else math.inf
        if value < self.best_value:
            self._keep()
            self.best_value = value
        return value

    @torch.no_grad()
    def _keep(self) -> None:
        """Make the present state the best. Only numbers have changed since the model was copied."""
        if self._copied is not self.model:
            self.best, self._copied = copy.deepcopy(self.model), self.model
            return
        for best, now in zip(self.best.parameters(), self.model.parameters(), strict=True):
            best.copy_(now)

    @torch.no_grad()
    def _predict(self, x: Tensor) -> Tensor:
        return self.model(x.to(self.model.dtype)).to(x)

    def _constant(self, rows: int) -> Tensor:
        """The best prediction without looking at x."""
        constant = self.loss.constant(self.data.y, self.model.out_features)
        return constant.expand(rows, -1)

    def _mean(self, samples: Callable[[Tensor, Tensor], Tensor]) -> float:
        """The mean over the rows to fit of all processes."""
        total = torch.zeros(2, dtype=torch.float64)
        for whole in self.data.chunks():
            for chunk in whole.split(_ROWS):
                value = float(chunk.sum(samples(chunk.x, chunk.y)))
                total += torch.tensor([value, chunk.total], dtype=torch.float64)
        value, weight = self.data.team.sum(total).tolist()
        return value / weight

    def _held_mean(self, samples: Tensor) -> float:
        """The mean over the rows held out of all processes."""
        held = self.data.held
        total = torch.tensor([float(held.sum(samples)), held.total], dtype=torch.float64)
        value, weight = self.data.team.sum(total).tolist()
        return value / weight

    @torch.no_grad()
    def _held_out(self, model: KAN) -> Tensor:
        x = self.data.x_held
        return self.loss.samples(model(x.to(model.dtype)).to(x), self.data.y_held)
