r"""Self-scaled Broyden steps with a full matrix, for energies and other sums that are no squares.

The inverse Hessian H changes with the step s and the change y of the gradient as

.. math:: H' = \frac{1}{\tau} \left[ H - \frac{H y y^T H}{y^T H y} + \phi\, v v^T \right]
               + \frac{s s^T}{y^T s}, \qquad
          v = \sqrt{y^T H y} \left[ \frac{s}{y^T s} - \frac{H y}{y^T H y} \right],

with :math:`\tau` and :math:`\phi` after Al-Baali (1998), as Urbán, Stefanou and Pons (J. Comput.
Phys. 523, 2025) use it for differential equations.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from edgewise._errors import ConfigError
from edgewise.pde._newton import Steps
from edgewise.pde._rows import System
from edgewise.pde._unknowns import Unknowns

Function = Callable[[Tensor], tuple[float, Tensor]]
"""A value and its gradient at a vector."""


@dataclass(frozen=True)
class SelfScaledBroyden(Steps):
    """Quasi-Newton steps with the whole inverse Hessian (SSBroyden).

    The way for problems with `energy=True`, and where residuals are many and a Gauss–Newton matrix
    costs too much.

    Args:
        steps: The largest number of steps on one grid.
        tolerance: It stops when twenty steps lower the value by less than this share of it, or the
            gradient vanishes.
    """

    steps: int = 1000
    tolerance: float = 1e-12

    def __post_init__(self) -> None:
        if self.steps < 1 or not self.tolerance > 0:
            raise ConfigError(
                "SelfScaledBroyden's steps and tolerance must be positive, got "
                f"{self.steps} and {self.tolerance}."
            )

    def descend(self, system: System, unknowns: Unknowns, accept: Callable[[float], None]) -> float:
        """Take steps until they bring nothing more."""

        def function(vector: Tensor) -> tuple[float, Tensor]:
            unknowns.write(vector)
            return system.gradient(unknowns)

        found, value = minimize(function, unknowns.read(), self.steps, self.tolerance, accept)
        unknowns.write(found)
        return value


def minimize(
    function: Function,
    start: Float[Tensor, " unknowns"],
    steps: int,
    tolerance: float = 1e-12,
    accept: Callable[[float], None] = lambda value: None,
) -> tuple[Float[Tensor, " unknowns"], float]:
    """Make a smooth function smaller; give where it is least, and its value there."""
    x = start
    value, g = function(x)
    H = torch.eye(len(x), dtype=x.dtype)
    scaled, values = False, [value]
    for _ in range(steps):
        direction = -(H @ g)
        slope = float(g @ direction)
        if not slope < 0:
            if float(g.norm()) == 0 or not scaled:
                break
            H, scaled = torch.eye(len(x), dtype=x.dtype), False
            continue
        first = 1.0 if scaled else min(1.0, 1.0 / float(g.norm()))
        share, new, g_new = _search(function, x, value, direction, slope, first)
        if share == 0:
            if not scaled:
                break
            H, scaled = torch.eye(len(x), dtype=x.dtype), False
            continue
        s, y = share * direction, g_new - g
        if float(y @ s) > 0:
            if not scaled:
                H, scaled = H * float(y @ s) / float(y @ y), True
                b = float(s @ s) / float(y @ s) * float(y @ y) / float(y @ s)
            else:
                b = -share * float(s @ g) / float(y @ s)
            H = _updated(H, s, y, b)
        x, value, g = x + s, new, g_new
        values.append(value)
        accept(value)
        if len(values) > 20 and values[-21] - value < tolerance * max(abs(value), 1e-300):
            break
    return x, value


def _updated(H: Tensor, s: Tensor, y: Tensor, b: float) -> Tensor:
    """The next inverse Hessian; b is s·B s / y·s."""
    ys, Hy = float(y @ s), H @ y
    yHy = float(y @ Hy)
    h = yHy / ys
    a = max(h * b - 1, 1e-16)
    c = math.sqrt(a / (1 + a))
    low = min(1.0, h * (1 - c))
    theta = max((low - 1) / a, min(1 / low, (1 - b) / b))
    sigma = max(1 + theta * a, 1e-16)
    phi = (1 - theta) / (1 + a * theta)
    least = sigma ** (-1 / max(len(s) - 1, 1))
    tau = min(1.0, 1 / b)
    tau = tau * min(least, 1 / theta) if theta > 0 else min(tau * least, sigma)
    v = math.sqrt(yHy) * (s / ys - Hy / yHy)
    inner = H - torch.outer(Hy, Hy) / yHy + phi * torch.outer(v, v)
    return inner / tau + torch.outer(s, s) / ys


def _search(
    function: Function, x: Tensor, value: float, direction: Tensor, slope: float, first: float
) -> tuple[float, float, Tensor]:
    """Bisect for a step that meets the weak Wolfe conditions; zero if there is none."""
    low, high, share = 0.0, math.inf, first
    best = (0.0, value, direction)
    for _ in range(40):
        new, g = function(x + share * direction)
        if not new <= value + 1e-4 * share * slope:
            high = share
        elif float(g @ direction) < 0.9 * slope:
            low, best = share, (share, new, g)
        else:
            return share, new, g
        share = 2 * low if math.isinf(high) else (low + high) / 2
    return best
