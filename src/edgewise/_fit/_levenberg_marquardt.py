"""Levenberg–Marquardt: the normal equations are summed and factored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from edgewise._fit._bounded import Bounds
from edgewise._fit._damped import DampedGaussNewton, Quadratic
from edgewise._fit._gauss_newton import NormalEquations, ParameterVector, Penalty
from edgewise._fit._problem import Problem
from edgewise._network import KAN


@dataclass(frozen=True)
class LevenbergMarquardt(DampedGaussNewton):
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

    name: ClassVar[str] = "Levenberg-Marquardt"
    cheap_starts: ClassVar[bool] = True
    keeps_bounds: ClassVar[bool] = True

    def look(self, problem: Problem) -> Quadratic:
        """Sum the normal equations."""
        return _Factored(problem.normal_equations(), problem.model)


class _Factored(Quadratic):
    """A loss near the present parameters, with its matrix."""

    def __init__(self, equations: NormalEquations, model: KAN) -> None:
        self.value, self.g, self._H = equations
        bounded = any(layer.bounds for layer, _ in model.parts())
        self._bounds = Bounds(model) if bounded else None
        self._start = ParameterVector(model).read()

    @property
    def diagonal(self) -> Tensor:
        return self._H.diagonal()

    def add(self, penalty: Penalty) -> None:
        penalty.add_to(self._H)

    def step(self, g: Tensor, damping: Tensor) -> tuple[Tensor, Tensor] | None:
        step = self._solve(self._H + torch.diag(damping), g)
        return None if step is None else (step, self._H @ step)

    def _solve(self, M: Tensor, g: Tensor) -> Tensor | None:
        """The least g·s + s·M·s / 2 within bounds, or None where M is not positive definite."""
        if self._bounds is not None:
            return self._bounds.step(M, g, self._start)
        L, failed = torch.linalg.cholesky_ex(M)
        return None if int(failed) else torch.cholesky_solve(-g.unsqueeze(-1), L).squeeze(-1)
