"""Levenberg–Marquardt: the normal equations are summed and factored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from edgewise._fit._damped import DampedGaussNewton, Quadratic
from edgewise._fit._gauss_newton import NormalEquations, Penalty
from edgewise._fit._problem import Problem


@dataclass(frozen=True)
class LevenbergMarquardt(DampedGaussNewton):
    """Damped Gauss–Newton steps on the whole data (Levenberg 1944, Marquardt 1963).

    The damping scales with the diagonal of the normal equations and follows the gain ratio (Nielsen
    1999). A step is taken only if it lowers the loss.

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

    def look(self, problem: Problem) -> Quadratic:
        """Sum the normal equations."""
        return _Factored(problem.normal_equations())


class _Factored(Quadratic):
    """A loss near the present parameters, with its matrix."""

    def __init__(self, equations: NormalEquations) -> None:
        self.value, self.g, self._H = equations

    @property
    def diagonal(self) -> Tensor:
        return self._H.diagonal()

    def add(self, penalty: Penalty) -> None:
        penalty.add_to(self._H)

    def step(self, g: Tensor, damping: Tensor) -> tuple[Tensor, Tensor] | None:
        L, failed = torch.linalg.cholesky_ex(self._H + torch.diag(damping))
        if int(failed):
            return None
        step = torch.cholesky_solve(-g.unsqueeze(-1), L).squeeze(-1)
        return step, self._H @ step
