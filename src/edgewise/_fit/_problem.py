"""A network, its data and its loss: what a solver makes smaller."""

from __future__ import annotations

import copy
import math

import torch
from torch import Tensor

from edgewise._fit._data import Data
from edgewise._fit._gauss_newton import NormalEquations, ParameterVector, normal_equations
from edgewise._fit._losses import Loss
from edgewise._fit._monitor import Monitor
from edgewise._fit._result import Step
from edgewise._grid import adapt, refine, relocate
from edgewise._network import KAN


class Problem:
    """A network on its way: solvers change `model`; the best state on held-out rows is kept.

    Args:
        model: The network to begin with; the problem works on a copy.
        data: Rows to fit and rows held out.
        loss: What is made small.
        monitor: The fit's clock.

    Attributes:
        grid: The finest grid that was tried.
        failures: How many refinements in a row have not lowered the held-out loss.
    """

    def __init__(self, model: KAN, data: Data, loss: Loss, monitor: Monitor) -> None:
        self.model = copy.deepcopy(model)
        self.data = data
        self.loss = loss
        self.monitor = monitor
        self.history: list[Step] = []
        self.grid = model.grid
        self.failures = 0
        self.best = self.model
        self.best_value = math.inf
        self._note_best()

    @property
    def size(self) -> int:
        """The number of trained parameters."""
        return ParameterVector(self.model).size

    @torch.no_grad()
    def value(self) -> float:
        """Give what is made small over the rows to fit; infinite where the network has no value."""
        value = float(self.loss.value(self.model(self.data.x), self.data.y))
        return value if math.isfinite(value) else math.inf

    def null_value(self) -> float:
        """Give the held-out loss of the best constant."""
        return self._null(self.data.y_held)

    def unexplained(self) -> float:
        """Give the share of the best constant's loss that is left over the rows to fit."""
        return self.value() / max(self._null(self.data.y), 1e-300)

    def normal_equations(self) -> NormalEquations:
        """Sum loss, gradient and Gauss–Newton matrix over the rows to fit."""
        return normal_equations(self.model, self.data.x, self.data.y, self.loss)

    def held_out_samples(self) -> Tensor:
        """Give the loss of the best state for each row held out."""
        return self._held_out(self.best)

    def accept(self, value: float) -> None:
        """Record the present state as a step with this mean loss, and keep it if it is the best."""
        held = self._note_best()
        outputs = self.model.out_features
        held_error = self.loss.error(held, outputs)
        self.monitor.step(self.model.grid, held_error, self.loss.measure)
        self.history.append(
            Step(
                index=len(self.history) + 1,
                grid=self.model.grid,
                parameters=self.size,
                train=self.loss.error(value, outputs),
                held_out=held_error,
                seconds=self.monitor.seconds,
            )
        )

    def adapt(self) -> None:
        """Lay the grids over what comes through them."""
        self.model = adapt(self.model, self.data.x)

    def refine(self, grid: int, degree: int | None = None) -> None:
        """Go on from the best state on a finer grid, or with splines of another degree."""
        self.model = refine(self.best, grid, degree=degree)
        self.grid = grid

    def relocate(self) -> None:
        """Go on from the best state with its knots where its error is."""
        self.model = relocate(self.best, self.data.x)

    def _note_best(self) -> float:
        value = float(self._held_out(self.model).mean())
        value = value if math.isfinite(value) else math.inf
        if value < self.best_value:
            self.best, self.best_value = copy.deepcopy(self.model), value
        return value

    def _null(self, y: Tensor) -> float:
        constant = self.loss.constant(self.data.y, self.model.out_features)
        return float(self.loss.samples(constant.expand(len(y), -1), y).mean())

    @torch.no_grad()
    def _held_out(self, model: KAN) -> Tensor:
        return self.loss.samples(model(self.data.x_held), self.data.y_held)
