"""The data that a formula is held against: refit a network to them, and weigh what comes out."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from edgewise._errors import DataError
from edgewise._fit import Data, LevenbergMarquardt, Monitor, Problem, Squared, normal_equations
from edgewise._layer import Lock
from edgewise._network import KAN
from edgewise._types import Edge

_NATS = 3.0
"""What a unit of complexity or a constant has to be worth in log-likelihood."""
_ROUNDING = 1e-28
"""The mean square, as a share of that of y, that is no more than rounding."""


class Place(NamedTuple):
    """Where a constant of a locked edge is: 0 to 3 for a, b, c, d."""

    edge: Edge
    which: int


class Estimate(NamedTuple):
    """A fitted constant and its standard error."""

    place: Place
    value: float
    error: float


class Evidence:
    """Rows to fit formulas to, and the network that was fitted to them.

    Args:
        model: The network that is read; its error is what a formula is held against.
        data: Rows to fit and rows held out.
        monitor: The clock.

    Raises:
        DataError: If the network explains less than half of the data.
    """

    def __init__(self, model: KAN, data: Data, monitor: Monitor) -> None:
        self.model = model
        self.data = data
        self.monitor = monitor
        self._solver = LevenbergMarquardt(tolerance=1e-3, patience=10**6)
        self.spread = float((data.y - data.y.mean(0)).square().sum(-1).mean())
        self.loss = self.loss_of(model)
        if not self.loss < 0.25 * self.spread:
            raise DataError(
                "The network does not explain these data: its error is as large as the spread "
                "of y. Fit it first: ew.fit(model, x, y).model is what to read."
            )
        self._floor = max(self.loss, _ROUNDING * self.spread)

    @property
    def resolution(self) -> float:
        """The share of an edge's variance below which matches cannot be told apart."""
        return max(1e-14, 1e-3 * self._floor / self.spread)

    def refit(self, model: KAN, steps: int, damping: float = 1e-4) -> tuple[KAN, float]:
        """Fit all constants and splines of a network; give the network and its mean loss."""
        self.monitor.check_time()
        problem = self._problem(model)
        self._solver.descend(problem, steps, damping)
        return problem.model, problem.value()

    def loss_of(self, model: KAN) -> float:
        """Give a network's mean loss over the rows to fit."""
        return self._problem(model).value()

    def misfit(self, loss: float) -> float:
        """Give the log-likelihood that a loss has lost against the numeric network, in nats."""
        loss = max(loss, self._floor) if math.isfinite(loss) else math.inf
        return 0.5 * self.data.y.numel() * math.log(loss / self._floor)

    def cost(self, model: KAN, loss: float) -> float:
        """Weigh error and complexity of a network together, in nats; less is better."""
        complexity = 0
        for layer, _ in model.parts():
            for _, lock in layer.locked():
                complexity += lock.primitive.complexity + lock.primitive.constants
            complexity += int(layer.mask.sum()) * layer.basis.size
        return self.misfit(loss) + _NATS * complexity

    def is_as_good(self, loss: float, before: float) -> bool:
        """Whether a constant less costs no more than chance explains: 4.5 nats are three sigma."""
        rounding = 100 * _ROUNDING * self.spread
        ratio = max(loss, rounding) / max(before, rounding)
        return 0.5 * self.data.y.numel() * math.log(ratio) < 4.5

    def estimates(self, model: KAN) -> list[Estimate]:
        """Give the constants that are still fitted, with standard errors from the curvature."""
        data = self.data
        equations = normal_equations(model, data.x, data.y, Squared())
        freedom = max(data.y.numel() - len(equations.g), 1)
        variance = 2 * equations.value * len(data.x) / freedom
        scale = equations.H.diagonal().clamp_min(1e-300).rsqrt()
        correlation = scale.unsqueeze(1) * equations.H * scale
        inverse = torch.linalg.pinv(correlation, rtol=1e-13, hermitian=True)
        errors = (variance / len(data.x) * inverse.diagonal().clamp_min(0)).sqrt() * scale
        found, start = [], 0
        for depth, (layer, _) in enumerate(model.parts()):
            start += int(layer.mask.sum()) * layer.basis.size
            for (o, i), lock in layer.locked():
                values = lock.constants.tolist()
                for which in lock.free.nonzero().flatten().tolist():
                    place = Place(Edge(depth, i, o), which)
                    found.append(Estimate(place, values[which], float(errors[start])))
                    start += 1
        return found

    def rmse(self, prediction: Tensor) -> float:
        """Give the error of a prediction for the rows held out."""
        return float((prediction.detach() - self.data.y_held).square().mean().sqrt())

    def _problem(self, model: KAN) -> Problem:
        return Problem(model, self.data, Squared(), self.monitor)


def locks(model: KAN) -> dict[Edge, Lock]:
    """List the locked edges of a network."""
    return {
        Edge(depth, i, o): lock
        for depth, (layer, _) in enumerate(model.parts())
        for (o, i), lock in layer.locked()
    }


def numeric_edges(model: KAN) -> tuple[Edge, ...]:
    """List the numeric edges of a network."""
    return tuple(edge for edge in model.edges() if edge not in locks(model))
