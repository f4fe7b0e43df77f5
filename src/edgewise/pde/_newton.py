"""Damped Gauss–Newton steps on the residuals of a problem."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import torch

from edgewise._errors import ConfigError
from edgewise.pde._rows import System
from edgewise.pde._unknowns import Unknowns


@dataclass(frozen=True)
class Steps(ABC):
    """A way to make the residuals of a problem smaller on one grid.

    Args:
        steps: The largest number of steps.
    """

    steps: int = 100

    @abstractmethod
    def descend(self, system: System, unknowns: Unknowns, accept: Callable[[float], None]) -> float:
        """Take steps, tell the value after each, and give the last; `unknowns` holds the result."""


@dataclass(frozen=True)
class GaussNewton(Steps):
    """Levenberg–Marquardt steps (natural gradient descent) with gain-ratio damping (Nielsen 1999).

    Where a step does not lower the residual it is halved once, then damped more.

    Args:
        steps: The largest number of steps on one grid.
        damping: The first damping, as a share of the diagonal.
        tolerance: It stops when five steps lower the residual (not squared) by less than this
            share of it, or when a step was foreseen to bring nothing.
    """

    steps: int = 100
    damping: float = 1e-3
    tolerance: float = 0.05

    def __post_init__(self) -> None:
        if self.steps < 1 or not self.damping > 0 or not self.tolerance > 0:
            raise ConfigError(
                "GaussNewton's steps, damping and tolerance must be positive, got "
                f"{self.steps}, {self.damping}, {self.tolerance}."
            )

    def descend(self, system: System, unknowns: Unknowns, accept: Callable[[float], None]) -> float:
        """Take steps until five of them bring little; tell each, and give the last value."""
        start = unknowns.read()
        unknowns.write(start)

        value, g, H = system.normal_equations(unknowns)
        values, damping, growth = [value], self.damping, 2.0
        while len(values) <= self.steps and value > 0 and damping < 1e10:
            diagonal = H.diagonal()
            scale = diagonal.clamp_min(1e-12 * float(diagonal.max()))
            L, failed = torch.linalg.cholesky_ex(H + torch.diag(damping * scale))
            if int(failed):
                damping = 10 * max(damping, 1e-15)
                continue
            step = torch.cholesky_solve(-g.unsqueeze(-1), L).squeeze(-1)
            unknowns.write(start + step)
            new = system.value(unknowns.model, unknowns.constants)
            if not new < value:
                unknowns.write(start)
                damping, growth = damping * growth, 2 * growth
                accept(value)
                continue
            foreseen = -float(g @ step + 0.5 * step @ (H @ step))
            gain = (value - new) / max(foreseen, 1e-300)
            damping = max(damping * max(0.1, 1 - (2 * gain - 1) ** 3), 1e-15)
            start, growth = start + step, 2.0
            value, g, H = system.normal_equations(unknowns)
            values.append(value)
            accept(value)
            if foreseen < 1e-5 * value:
                break
            if len(values) > 5 and value > (1 - self.tolerance) ** 2 * values[-6]:
                break
        unknowns.write(start)
        return value
