"""The answer: a function with derivatives, its residual, and an estimate of its error."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from edgewise._arrays import tensor_of
from edgewise._errors import ConfigError, DataError, ShapeError
from edgewise._fit import Status
from edgewise._jets import Jet, Leibniz
from edgewise._network import KAN
from edgewise.pde._fields import fields_of
from edgewise.pde._problem import Problem
from edgewise.pde._rows import System, interior
from edgewise.pde._trial import Trial


@dataclass(frozen=True)
class Progress:
    """One step of a solver.

    Attributes:
        window: The number of the window of time, from 0.
        grid: The largest number of intervals of the splines.
        unknowns: How many numbers were to be found.
        residual: The root mean square of all residuals at the collocation points.
        fresh: The same of the equation at fresh points, where it was measured.
        seconds: The time since the beginning.
    """

    window: int
    grid: int
    unknowns: int
    residual: float
    fresh: float | None
    seconds: float


@dataclass(frozen=True, eq=False)
class Solution:
    """The solution of a problem.

    Attributes:
        problem: What was solved.
        trials: The trial function of each window of time, from first to last.
        status: How the work ended.
        residual: The root mean square of the equation's residual at fresh points; for an energy,
            its mean there.
        constants: The constants of the equation that were found.
        history: The steps.
        seconds: The time it took.
        standard_errors: Those of the constants, where they were found over several windows.
        coarser: The solution on the grid before the last refinement, where there was one.
    """

    problem: Problem
    trials: tuple[Trial, ...] = field(repr=False)
    status: Status
    residual: float
    constants: Mapping[str, float]
    history: tuple[Progress, ...] = field(repr=False)
    seconds: float
    standard_errors: Mapping[str, float] = field(default_factory=dict)
    coarser: Solution | None = field(default=None, repr=False)

    @property
    def model(self) -> KAN:
        """The network of the last window."""
        return self.trials[-1].model

    def __call__(self, x: Any) -> Float[Tensor, "points outputs"]:
        """Evaluate the solution.

        Raises:
            ShapeError: If x is not of shape (points, inputs).
            ConfigError: If a time is outside of the problem's.
        """
        return self.jet(x, 1).value

    def jet(self, x: Any, order: int = 2, *, mixed: bool = False) -> Jet:
        """Evaluate the solution with its derivatives up to an order (see `edgewise.jet`).

        Raises:
            ShapeError: If x is not of shape (points, inputs).
            ConfigError: If a time is outside of the problem's.
        """
        x = self._checked(x)
        if self.problem.time is None:
            return self.trials[0].jet(x, order, mixed)
        rule = Leibniz.of(self.problem.inputs, order, mixed)
        result = x.new_empty(len(x), self.problem.outputs, len(rule.partials))
        number = self._window_of(x)
        for n, trial in enumerate(self.trials):
            at = number == n
            if bool(at.any()):
                result[at] = trial.jet(x[at], order, mixed).components
        return Jet(result, rule.partials, rule.inputs)

    def fields(self, x: Any, order: int = 2, *, mixed: bool = False) -> Any:
        """Give the solution as the field, or fields, that an equation takes.

        Example:
            >>> pde = ew.pde
            >>> unit = pde.Interval(0, 1)
            >>> line = pde.Problem(unit, lambda u, x: pde.dx(u, 2) + 1, [pde.Dirichlet()])
            >>> solution = pde.solve(line, seed=0, progress=False)
            >>> x = torch.tensor([[0.0], [0.25]], dtype=torch.float64)
            >>> slope = pde.dx(solution.fields(x))
            >>> torch.allclose(slope, 0.5 - x[:, 0], atol=1e-9)
            True
        """
        jet = self.jet(x, order, mixed=mixed)
        return fields_of(jet.components, jet.partials, self.problem.domain.space)

    def residuals(self, x: Any) -> Float[Tensor, "points rows"]:
        """Evaluate the equation's residual: the map of where the solution is not yet right."""
        x = self._checked(x)
        number = self._window_of(x)
        result = None
        for n, trial in enumerate(self.trials):
            at = number == n
            if not bool(at.any()):
                continue
            rows = interior(trial, x[at])
            bare = replace(rows, root=torch.ones_like(rows.root))
            found = System(trial, [bare]).residuals(trial.model, self.constants)[0]
            if result is None:
                result = x.new_zeros(len(x), found.shape[1])
            result[at] = found
        assert result is not None
        return result

    def error_estimate(self, count: int = 4096, seed: int = 0) -> float:
        """Estimate the relative L2 error by the difference from the solution on the coarser grid.

        It is an estimate of the coarser one's error, hence on the safe side for this one.

        Raises:
            ConfigError: If the grid was not refined, so that there is nothing to compare with.
        """
        if self.coarser is None:
            raise ConfigError(
                "There is no solution on a coarser grid to compare with. Solve with refine=True, "
                "or compare with a solution on another grid: (a(x) - b(x)).norm() / b(x).norm()."
            )
        x = self.problem.points(count, seed)
        mine = self(x)
        return float((mine - self.coarser(x)).norm() / mine.norm().clamp_min(1e-300))

    def _window_of(self, x: Tensor) -> Tensor:
        if self.problem.time is None:
            return torch.zeros(len(x), dtype=torch.int64)
        ends = [trial.window[1] for trial in self.trials if trial.window is not None]
        borders = torch.tensor(ends[:-1], dtype=torch.float64)
        return torch.searchsorted(borders, x[:, -1].contiguous())

    def _checked(self, x: Any) -> Tensor:
        inputs = self.problem.inputs
        x = tensor_of("x", x).to(torch.float64)
        if x.ndim != 2 or x.shape[1] != inputs:
            raise ShapeError(
                f"The solution takes points of shape (points, {inputs}), got {tuple(x.shape)}."
            )
        if not bool(x.isfinite().all()):
            raise DataError("x has missing or infinite values.")
        if self.problem.time is not None and len(x):
            assert self.trials[-1].window is not None
            first, last = self.problem.time[0], self.trials[-1].window[1]
            begin, end = float(x[:, -1].min()), float(x[:, -1].max())
            slack = 1e-9 * (last - first)
            if begin < first - slack or end > last + slack:
                raise ConfigError(
                    f"The solution is known from t = {first} to {last}, got {begin} to {end}."
                )
        return x

    def __str__(self) -> str:
        found = "".join(f"\n{name} = {value:.6g}" for name, value in self.constants.items())
        return (
            f"{self.model!r}, {len(self.trials)} window(s)\n"
            f"residual {self.residual:.3g} at fresh points ({self.seconds:.1f} s){found}\n"
            f"{self.status}"
        )


def windows_of(time: tuple[float, float] | None, windows: int | Sequence[float]) -> list[Any]:
    """Give the begin and end of each window."""
    if time is None:
        return [None]
    if isinstance(windows, int):
        if windows < 1:
            raise ConfigError(f"windows must be at least 1, got {windows}.")
        borders = torch.linspace(*time, windows + 1, dtype=torch.float64).tolist()
    else:
        borders = [float(t) for t in windows]
        rising = all(a < b for a, b in zip(borders[:-1], borders[1:], strict=True))
        if not rising or len(borders) < 2 or (borders[0], borders[-1]) != tuple(map(float, time)):
            raise ConfigError(
                f"windows must rise from {time[0]} to {time[1]}, got {list(windows)}."
            )
    return list(zip(borders[:-1], borders[1:], strict=True))
