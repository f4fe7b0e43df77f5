"""How sure a fitted network is: the posterior that its data leave (Laplace's approximation)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from edgewise._arrays import like_tensor
from edgewise._errors import ConfigError, DataError
from edgewise._fit._bounded import Bounds
from edgewise._fit._chunk import Chunk
from edgewise._fit._data import check, check_weights
from edgewise._fit._gauss_newton import ParameterVector, linearize, normal_equations
from edgewise._fit._levenberg_marquardt import LevenbergMarquardt
from edgewise._fit._losses import Squared
from edgewise._network import KAN, check_sample

_ENTRIES = 8_000_000
"""The size of a Jacobian: 64 MB in float64."""


@dataclass(frozen=True)
class Prediction:
    """Outputs and where they may lie.

    Attributes:
        mean: What the network gives, (batch, outputs).
        low: The lower end of the interval, (batch, outputs).
        high: The upper end.
    """

    mean: Tensor
    low: Tensor
    high: Tensor


class Posterior:
    r"""A network and what its data leave open about it, made by `posterior`.

    The parameters are normal around the fitted ones, with the covariance
    :math:`\sigma^2 (J^T J + P)^{-1}`: J is the Jacobian, P the penalty of the fit, and the variance
    of the noise is the sum of squared residuals over the degrees of freedom that they have left
    (MacKay 1992; for networks, Daxberger et al. 2021, arXiv 2106.14806). Coefficients that stand at
    a bound are taken for known.

    Attributes:
        noise: The standard deviation of the noise in each output, in units of y.
        freedom: How many parameters the data determine.
    """

    def __init__(
        self,
        model: KAN,
        factor: Tensor,
        noise: Tensor,
        freedom: float,
        rows: float,
        free: Tensor | None = None,
    ) -> None:
        self._model, self._factor, self._rows, self._free = model, factor, rows, free
        self.noise, self.freedom = noise, freedom

    @torch.no_grad()
    def predict(self, x: Any, *, interval: float = 0.95, noise: bool = True) -> Prediction:
        """Give the network's outputs with intervals.

        Args:
            x: Inputs, (batch, inputs): a tensor or a NumPy array.
            interval: The probability that an interval is to hold its value, between 0 and 1.
            noise: Whether the intervals are for new measurements, or, without noise, for the
                function itself.

        Returns:
            Means and the ends of the intervals, in float64.

        Raises:
            ConfigError: If `interval` is not between 0 and 1.
            ShapeError: If x is not of shape (batch, inputs).
            DataError: If x does not hold numbers.
        """
        if not 0 < interval < 1:
            raise ConfigError(f"interval is a probability between 0 and 1, got {interval}.")
        x = like_tensor("x", x, self._factor).to(torch.float64)
        mean = self._model(x)
        spread = self._spread(x)  # (batch, outputs), in units of the noise
        if noise:
            spread = (1 + spread.square()).sqrt()
        reach = _quantile(interval, self._rows - self.freedom) * self.noise * spread
        return Prediction(mean, mean - reach, mean + reach)

    def _spread(self, x: Tensor) -> Tensor:
        outputs = self._model.out_features
        rows = max(1, _ENTRIES // max(1, outputs * len(self._factor)))
        pieces = []
        for part in x.split(rows):
            chunk = Chunk(part, part.new_zeros(len(part), outputs))
            columns, _, _ = linearize(self._model, chunk, Squared())
            J = torch.cat([piece.dense() for piece in columns], -1)  # (batch, outputs, parameters)
            J = J if self._free is None else J @ self._free
            solved = torch.linalg.solve_triangular(self._factor, J.flatten(0, 1).T, upper=False)
            pieces.append(solved.square().sum(0).sqrt().reshape(-1, outputs))
        return torch.cat(pieces)


def posterior(model: KAN, x: Any, y: Any, *, weights: Any = None) -> Posterior:
    """Tell how sure a fitted network is, from the data that it was fitted to.

    Args:
        model: The network, at the optimum of its squared loss: what `fit` returns.
        x: Inputs, (batch, inputs).
        y: Targets, (batch, outputs) or, for one output, (batch,).
        weights: How much each row counts, as in `fit`.

    Returns:
        The posterior; its `predict` gives intervals.

    Raises:
        ShapeError: If the shapes of x and y do not go with the network.
        DataError: If values are missing, or the rows do not outnumber what they determine.

    Example:
        >>> y = torch.sin(3 * x[:, :1]) + 0.1 * torch.randn(100, 1, dtype=torch.float64)
        >>> fitted = ew.fit(ew.KAN([2, 1]), x, y, seed=0, progress=False).model
        >>> prediction = ew.posterior(fitted, x, y).predict(x, interval=0.95)
        >>> inside = (prediction.low <= y) & (y <= prediction.high)
        >>> bool(inside.double().mean() > 0.9)
        True
    """
    x, y = check(model, x, y, Squared())
    x = check_sample(model, x, "posterior")
    weights = None if weights is None else check_weights(weights, len(x)).to(x.device)
    rows = len(x) if weights is None else int((weights > 0).sum())
    if weights is not None:  # only their ratios matter
        weights = weights * rows / weights.sum()
    model = model.to(torch.float64)
    vector = ParameterVector(model)
    equations = normal_equations(model, x, y, Squared(), weights)
    penalty = vector.penalty(equations.H.diagonal(), LevenbergMarquardt.smoothness, 0.0)
    precision = equations.H.clone()
    penalty.add_to(precision)
    # directions that neither data nor penalty determine do not reach the outputs
    precision += torch.diag(1e-12 * vector.lift(precision.diagonal()))
    free, H = None, equations.H
    bounds = Bounds(model)
    if len(bounds):
        free = bounds.directions(vector.read())
        precision, H = free.T @ precision @ free, free.T @ H @ free
    factor, failed = torch.linalg.cholesky_ex(rows * precision)
    if int(failed):
        raise DataError("The normal equations of this network are singular: fit it first.")
    freedom = float(torch.cholesky_solve(rows * H, factor).diagonal().sum())
    outputs = model.out_features
    if rows * outputs <= freedom + 1:
        raise DataError(
            f"{rows} rows determine {freedom:.0f} parameters and leave nothing to tell the noise "
            "from. Give more rows, or a network with fewer parameters."
        )
    with torch.no_grad():
        squares = (model(x) - y).square()
    squares = squares.sum(0) if weights is None else weights @ squares
    noise = (squares / (rows - freedom / outputs)).sqrt()
    return Posterior(model, factor, noise, freedom / outputs, rows, free)


def _quantile(interval: float, freedom: float) -> float:
    """The quantile of Student's distribution (Abramowitz and Stegun 26.7.5)."""
    z = float(torch.special.ndtri(torch.tensor(0.5 + interval / 2, dtype=torch.float64)))
    first = (z**3 + z) / 4
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + first / freedom + second / freedom**2 + third / freedom**3
