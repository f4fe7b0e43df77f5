"""Gauss–Newton steps by conjugate gradients: products with the matrix, never the matrix."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from edgewise._fit._curvature import Curvature
from edgewise._fit._damped import DampedGaussNewton, Quadratic
from edgewise._fit._gauss_newton import Penalty
from edgewise._fit._monitor import Monitor
from edgewise._fit._problem import Problem
from edgewise._fit._solver import check_positive

_COARSE = 0.1
"""The share of the residual that is left, at most: more exact steps are not worth their products
far from the minimum."""


@dataclass(frozen=True)
class GaussNewtonCG(DampedGaussNewton):
    r"""Damped Gauss–Newton steps by preconditioned conjugate gradients, on the whole data.

    For networks whose normal equations do not fit in memory or in time: a product with their matrix
    costs about as much as a gradient (Schraudolph 2002; Martens 2010). The preconditioner is the
    matrix without what ties the edges of one sum to those of another. The systems are solved more
    exactly where the gradient is small (Eisenstat and Walker 1996; Nocedal and Wright 2006, ch.
    7.1); damping and stopping are those of `LevenbergMarquardt`.

    Args:
        steps: The largest number of steps on one grid.
        damping: The first damping of a fresh network.
        tolerance: The solver stops when five steps lower the loss by less than this share of it.
        patience: It stops as well when the held-out loss has not fallen for so many steps.
        smoothness: The weight of the splines' roughness, as in `LevenbergMarquardt`.
        shrinkage: The weight of the splines' variation, as in `LevenbergMarquardt`.
        iterations: The largest number of products for one step.

    Example:
        >>> y = torch.sin(3 * x[:, :1]) + x[:, 1:] ** 2
        >>> solver = ew.GaussNewtonCG(steps=20)
        >>> ew.fit(ew.KAN([2, 1]), x, y, solver=solver, seed=0, progress=False).held_out < 1e-3
        True
    """

    steps: int = 100
    iterations: int = 50
    name: ClassVar[str] = "Gauss-Newton-CG"
    cheap_starts: ClassVar[bool] = False
    least_damping: ClassVar[float] = 1e-8  # with less, conjugate gradients do not converge better

    def __post_init__(self) -> None:
        super().__post_init__()
        check_positive(self, "iterations")

    def look(self, problem: Problem) -> Quadratic:
        """Sum the gradient and the blocks of the preconditioner."""
        return _Products(problem.curvature(), self.iterations, problem.monitor)


class _Products(Quadratic):
    """A loss near the present parameters, with products instead of its matrix."""

    def __init__(self, curvature: Curvature, iterations: int, monitor: Monitor) -> None:
        self._curvature, self._iterations, self._monitor = curvature, iterations, monitor
        self._penalty = Penalty([])
        self.value, self.g = curvature.value, curvature.g

    @property
    def diagonal(self) -> Tensor:
        return self._curvature.diagonal

    def add(self, penalty: Penalty) -> None:
        self._penalty = penalty
        self._curvature.add_to_blocks(penalty)

    def step(self, g: Tensor, damping: Tensor) -> tuple[Tensor, Tensor] | None:
        """Solve by conjugate gradients (Nocedal and Wright 2006, algorithm 5.3)."""
        preconditioner = _Preconditioner(self._curvature.blocks, damping)
        if preconditioner.failed:
            return None
        step, left = torch.zeros_like(g), -g  # left = -g - (H + damping) step
        direction = preconditioner.solve(left)
        size = first = float(left @ direction)
        # the gradient's size in units of the loss: 1 far away, 0 at the minimum
        share = math.sqrt(max(first, 0.0) / max(2 * self.value, 1e-300))
        target = min(_COARSE, math.sqrt(share)) ** 2 * first
        for _ in range(self._iterations):
            if not size > target:
                break
            self._monitor.check_time()
            product = self._curvature @ direction + self._penalty.gradient(direction)
            product += damping * direction
            bend = float(direction @ product)
            if not bend > 0:  # rounding has used up the curvature: what there is has to do
                break
            length = size / bend
            step = step + length * direction
            left = left - length * product
            ahead = preconditioner.solve(left)
            size, before = float(left @ ahead), size
            direction = ahead + size / before * direction
        return step, -g - left - damping * step


class _Preconditioner:
    """The damped blocks on the diagonal of a matrix, factored."""

    def __init__(self, blocks: list[Tensor], damping: Tensor) -> None:
        self._sizes = [len(block) for block in blocks]
        pairs = zip(blocks, damping.split(self._sizes), strict=True)
        found = [torch.linalg.cholesky_ex(block + torch.diag(own)) for block, own in pairs]
        self._factors = [factor for factor, _ in found]
        self.failed = any(bool(failed) for _, failed in found)

    def solve(self, vector: Tensor) -> Tensor:
        """Multiply the inverse with a vector."""
        pairs = zip(vector.split(self._sizes), self._factors, strict=True)
        return torch.cat(
            [torch.cholesky_solve(own.unsqueeze(-1), L).squeeze(-1) for own, L in pairs]
        )
