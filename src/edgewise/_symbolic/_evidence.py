"""The data that a formula is held against: refit a network to them, and weigh what comes out."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor

from edgewise._errors import DataError
from edgewise._fit import (
    Data,
    LevenbergMarquardt,
    Monitor,
    OutOfTime,
    Problem,
    Squared,
    normal_equations,
)
from edgewise._layer import Lock
from edgewise._network import KAN
from edgewise._types import Edge

_NATS = 3.0
"""What a unit of complexity or a constant has to be worth in log-likelihood."""
_ROUNDING = 1e-28
"""The mean square, as a share of that of y, that is no more than rounding; more where inputs lie
far from zero, such as years."""


class Place(NamedTuple):
    """Where a constant of a locked edge is: 0 to 3 for a, b, c, d."""

    edge: Edge
    which: int


class Estimate(NamedTuple):
    """A fitted constant and its standard error, infinite where the data do not determine it."""

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
        self.stopped = False
        self._solver = LevenbergMarquardt(tolerance=1e-3, patience=10**6)
        self.spread = float((data.y - data.y.mean(0)).square().sum(-1).mean())
        self.loss = self.loss_of(model)
        if not self.loss < 0.25 * self.spread:
            raise DataError(
                "The network does not explain these data: its R^2 over the rows to fit is "
                f"{1 - 2 * self.loss / self.spread:.2g}, a formula needs 0.5. Fit it first: "
                "ew.fit(model, x, y).model is what to read."
            )
        distance = (data.x.abs().amax(0) / data.x.std(0).clamp_min(1e-300)).max()
        rounding = float(4 * 2**-52 * distance.clamp(max=1e5)) ** 2
        self._rounding = max(_ROUNDING, rounding) * self.spread
        self._floor = max(self.loss, self._rounding)

    @property
    def resolution(self) -> float:
        """The share of an edge's variance below which matches cannot be told apart."""
        return max(1e-14, 1e-3 * self._floor / self.spread)

    @contextmanager
    def until_stopped(self) -> Iterator[None]:
        """Leave a search at Ctrl-C and when the time is over; what it has found by then stays."""
        try:
            yield
        except (OutOfTime, KeyboardInterrupt):
            self.stopped = True
            self.monitor.stop()

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
        ratio = max(loss, 100 * self._rounding) / max(before, 100 * self._rounding)
        return 0.5 * self.data.y.numel() * math.log(ratio) < 4.5

    def estimates(self, model: KAN) -> list[Estimate]:
        """Give the constants that are still fitted, with standard errors from the curvature."""
        data = self.data
        equations = normal_equations(model, data.x, data.y, Squared())
        inverse, rank = _inverse_diagonal(equations.H)
        variance = 2 * equations.value / max(data.y.numel() - rank, 1)
        errors = (variance * inverse).sqrt()
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
        """Give the error of a prediction for the rows held out; infinite where it has no value."""
        error = float((prediction.detach() - self.data.y_held).square().mean().sqrt())
        return error if math.isfinite(error) else math.inf

    def extrapolation(self, model: KAN, steps: int) -> float:
        """Fit the constants to the inner rows, and give the error for the outermost fifth.

        Constants that were made exact stay. NaN where it says nothing: with numeric edges, after
        the end of the time, and where there are too few rows.
        """
        data = self.data
        x, y = torch.cat([data.x, data.x_held]), torch.cat([data.y, data.y_held])
        inner = inner_rows(x)
        free = sum(int(lock.free.sum()) for lock in locks(model).values())
        enough = y[inner].numel() >= 2 * free + 2 and not bool(inner.all())
        if self.stopped or numeric_edges(model) or not enough:
            return math.nan
        rows = Data(x[inner], y[inner], x[~inner], y[~inner])
        problem = Problem(copy.deepcopy(model), rows, Squared(), self.monitor)
        with self.until_stopped():
            self._solver.descend(problem, steps, 1e-8)
            with torch.no_grad():
                error = float((problem.model(x[~inner]) - y[~inner]).square().mean().sqrt())
            return error if math.isfinite(error) else math.inf
        return math.nan

    def _problem(self, model: KAN) -> Problem:
        return Problem(model, self.data, Squared(), self.monitor)


def _inverse_diagonal(H: Tensor) -> tuple[Tensor, int]:
    """The diagonal of the inverse, infinite where a direction has no weight, and the rank."""
    scale = H.diagonal().clamp_min(1e-300).rsqrt()
    values, vectors = torch.linalg.eigh(scale.unsqueeze(1) * H * scale)
    shares = vectors.square()  # (parameters, directions)
    weigh = values > 1e-13 * values[-1:]
    diagonal = (shares[:, weigh] / values[weigh]).sum(1) * scale.square()
    diagonal = torch.where(shares[:, ~weigh].sum(1) > 1e-6, math.inf, diagonal)
    return diagonal, int(weigh.sum())


def inner_rows(x: Tensor) -> Tensor:
    """Which rows are among the four fifths that are nearest to the middle of the box, (batch,)."""
    middle, half = x.median(0).values, (x.amax(0) - x.amin(0)) / 2
    far = ((x - middle).abs() / torch.where(half > 0, half, 1.0)).amax(1)
    return far <= torch.quantile(far, 0.8)


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
