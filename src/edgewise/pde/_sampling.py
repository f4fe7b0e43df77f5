"""Where an equation is asked for: points of a domain, with weights."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from edgewise._errors import ConfigError
from edgewise.bases import BSpline
from edgewise.pde._networks import inner_knots
from edgewise.pde._rows import System, interior, problem_points
from edgewise.pde._trial import Trial


class Sampling(ABC):
    """A way to choose collocation points."""

    @abstractmethod
    def points(self, trial: Trial, unknowns: int, seed: int) -> tuple[Tensor, Tensor]:
        """Give points (points, inputs) and their weights.

        Args:
            trial: The trial function, whose knots may tell where points are needed.
            unknowns: How many numbers are to be found: several times as many points are needed.
            seed: A number that is another in each round.
        """


@dataclass(frozen=True)
class Gauss(Sampling):
    """Gauss points in the cells between the knots of the first layer, with their weights.

    Outside of boxes the points that are not in the domain are left out.

    Args:
        points_per_cell: How many for each cell and input; by default 3, or as many as give more
            points on a line than splines, and three for each unknown number (ten, where the network
            has hidden splines).
    """

    points_per_cell: int | None = None

    def points(self, trial: Trial, unknowns: int, seed: int) -> tuple[Tensor, Tensor]:
        """Lay a product of Gauss rules over the cells, and leave out what is outside."""
        basis = trial.splines
        knots = inner_knots(basis, trial.bounds)
        wanted = (
            10 if trial.is_deep else 3
        ) * unknowns  # splines of splines need more to be told apart
        counts = self._counts(
            [len(row) - 1 for row in knots], basis.degree, wanted, trial.problem.energy
        )
        lines, sizes = [], []
        for row, count in zip(knots, counts, strict=True):
            nodes, weights = (torch.from_numpy(a) for a in np.polynomial.legendre.leggauss(count))
            cell = row.diff().unsqueeze(-1)
            lines.append((row[:-1, None] + cell * (nodes + 1) / 2).flatten())
            sizes.append((cell * weights / 2).flatten())
        x = torch.cartesian_prod(*lines).reshape(-1, len(lines))
        w = torch.cartesian_prod(*sizes).reshape(-1, len(lines)).prod(-1)
        space = trial.problem.domain.space
        inside = trial.problem.domain.level(x[:, :space]) > 1e-12
        return x[inside], w[inside]

    def _counts(self, cells: list[int], degree: int, wanted: int, energy: bool) -> list[int]:
        """How many points for each cell of each input."""
        if self.points_per_cell is not None:
            return [self.points_per_cell] * len(cells)
        if energy:  # a rule that is not exact for squares is a hole that the energy falls through
            return [degree + 2] * len(cells)
        # more than the splines on a line have coefficients
        counts = [max(3, math.ceil(1.3 * (n + degree) / n)) for n in cells]
        while math.prod(n * c for n, c in zip(cells, counts, strict=True)) < wanted:
            counts = [count + 1 for count in counts]
        return counts


@dataclass(frozen=True)
class Sobol(Sampling):
    """Points of a scrambled Sobol sequence, others in each round.

    Args:
        count: How many; five for each unknown number by default.
    """

    count: int | None = None

    def __post_init__(self) -> None:
        if self.count is not None and self.count < 1:
            raise ConfigError(f"Sobol takes a positive number of points, got {self.count}.")

    def points(self, trial: Trial, unknowns: int, seed: int) -> tuple[Tensor, Tensor]:
        """Draw points."""
        count = self.count or max(2000, 5 * unknowns)
        x = problem_points(trial.problem, trial, count, seed)
        return x, torch.ones_like(x[:, 0])


@dataclass(frozen=True)
class Adaptive(Sampling):
    """Points of a Sobol sequence, more of them where the residual is large.

    Points are drawn from a denser set with a chance that goes with one plus the residual's size in
    units of its mean (Wu et al. 2023), and weighted with its inverse, so that the sum still
    estimates the same integral.

    Args:
        count: How many; five for each unknown number by default.
        denser: How many more are looked at.
    """

    count: int | None = None
    denser: int = 8

    def points(self, trial: Trial, unknowns: int, seed: int) -> tuple[Tensor, Tensor]:
        """Draw points by the residual of the trial function as it is."""
        count = self.count or max(2000, 5 * unknowns)
        x = problem_points(trial.problem, trial, count * self.denser, seed)
        rows = System(trial, [interior(trial, x)])
        constants = {name: float(v) for name, v in trial.problem.unknowns.items()}
        size = rows.residuals(trial.model, constants)[0].norm(dim=-1)
        chance = 1 + size / size.mean().clamp_min(1e-300)
        generator = torch.Generator().manual_seed(seed)
        at = torch.multinomial(chance, count, generator=generator)
        return x[at], 1 / chance[at]


def marked(
    trial: Trial, x: Tensor, weights: Tensor, constants: Mapping[str, float]
) -> list[Tensor]:
    """Tell which cells of each input hold four fifths of the squared residual (Dörfler 1996)."""
    rows = System(trial, [interior(trial, x, weights)]).residuals(trial.model, constants)[0]
    energy = rows.square().sum(-1)
    basis = trial.model.parts()[0][0].basis
    assert isinstance(basis, BSpline)
    found = []
    for i, knots in enumerate(inner_knots(basis, trial.bounds)):
        cell = torch.searchsorted(knots[1:-1].contiguous(), x[:, i].contiguous())
        share = energy.new_zeros(len(knots) - 1).index_add(0, cell, energy)
        ordered, place = share.sort(descending=True)
        enough = ordered.cumsum(0) - ordered < 0.8 * ordered.sum()
        chosen = torch.zeros(len(share), dtype=torch.bool)
        chosen[place[enough]] = True
        found.append(chosen)
    return found
