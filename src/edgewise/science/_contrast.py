r"""The contrast between rows and rows of shuffled columns, solved as an eigenvalue problem.

A relation :math:`\sum_i \phi_i(x_i) = 0` makes the sum stay put over the rows, though each term
varies; over shuffled columns its variance is the sum of theirs. So the relation has the least ratio

.. math:: \lambda = \mathrm{Var}(\sum_i \phi_i) / \sum_i \mathrm{Var}(\phi_i),

1 for independent columns, 0 for an exact relation. With splines for the :math:`\phi_i` this is a
one-layer network, and its best is the eigenvector of a matrix: nothing is trained (smallest
principal components of transformed variables: Donnell, Buja and Stuetzle 1994, Ann. Statist. 22).
Functions of two variables are left out here: they can vanish where the rows are and be large
elsewhere, which tells of a dependence, but is no equation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import torch
from jaxtyping import Float
from torch import Tensor

from edgewise.bases import BSpline
from edgewise.science._budget import Budget

_FOLDS = 4
_LEAST = 1e-8
"""The variance of a direction of a basis, relative to the largest, that is worth keeping."""
_AS_GOOD = 1.5
"""How much larger a ratio may be with fewer variables."""


@dataclass(frozen=True)
class Features:
    """Functions of one variable or two: mean 0 and variance 1, and uncorrelated for one variable.

    Attributes:
        values: Their values, (batch, features).
        of: The variables of each.
    """

    values: Float[Tensor, "batch features"]
    of: tuple[tuple[int, ...], ...]

    def within(self, variables: Sequence[int]) -> list[int]:
        """The features of these variables only."""
        return [n for n, of in enumerate(self.of) if set(of) <= set(variables)]


@dataclass(frozen=True)
class Direction:
    """The combination of features that varies least.

    Attributes:
        ratio: Its variance over that with shuffled columns, on rows held out.
        columns: The features.
        weights: Their weights, of length 1.
        shares: The share of each variable, by number, in what varies under shuffling.
    """

    ratio: float
    columns: list[int]
    weights: Float[Tensor, "features"]
    shares: dict[int, float]


def spline_features(x: Float[Tensor, "batch variables"], grid: int) -> Features:
    """Splines of each variable, between even knots and quantiles."""
    even = torch.linspace(0, 1, grid + 1, dtype=x.dtype)
    low, high = x.min(0).values, x.max(0).values
    knots = 0.5 * (low + (high - low) * even[:, None]) + 0.5 * torch.quantile(x, even, dim=0)
    basis = BSpline.on(knots.T.contiguous()).values(x)[0]  # (batch, variables, basis)
    blocks = [_whitened(basis[:, i]) for i in range(x.shape[1])]
    of = [(i,) for i, block in enumerate(blocks) for _ in range(block.shape[1])]
    return Features(torch.cat(blocks, 1), tuple(of))


def log_features(x: Float[Tensor, "batch variables"]) -> Features:
    """The logarithm of the size of each variable, whose sums are products of powers.

    Variables that are zero somewhere, or all of one size, have none.
    """
    sizes = x.abs()
    columns = [i for i in range(x.shape[1]) if float(sizes[:, i].min()) > 0]
    logs = [sizes[:, i].log() for i in columns]
    varies = [float(u.std()) > 1e-6 for u in logs]
    kept = [_whitened(u[:, None]) for u, moves in zip(logs, varies, strict=True) if moves]
    of = [(i,) for i, moves in zip(columns, varies, strict=True) if moves]
    return Features(torch.cat([x[:, :0], *kept], 1), tuple(of))


def product_features(x: Float[Tensor, "batch variables"]) -> Features:
    """Each variable, and the products of two and of three."""
    middle = (x.amax(0) + x.amin(0)) / 2
    z = (x - middle) / (x.amax(0) - middle)
    every = range(x.shape[1])
    of = [subset for size in (1, 2, 3) for subset in combinations(every, size)]
    values = torch.stack([z[:, list(subset)].prod(1) for subset in of], 1)
    values = values - values.mean(0)
    return Features(values / values.std(0).clamp_min(1e-300), tuple(of))


def pair_features(x: Float[Tensor, "batch variables"], degree: int) -> Features:
    """Polynomials of each variable, and products of those of two."""
    middle = (x.amax(0) + x.amin(0)) / 2
    z = (x - middle) / (x.amax(0) - middle)
    powers = torch.stack([z**k for k in range(1, degree + 1)], -1)  # (batch, variables, powers)
    blocks = [_whitened(powers[:, i]) for i in range(x.shape[1])]
    columns = [b[:, k] for b in blocks for k in range(b.shape[1])]
    of = [(i,) for i, block in enumerate(blocks) for _ in range(block.shape[1])]
    for i, j in combinations(range(x.shape[1]), 2):
        products = (blocks[i][:, :, None] * blocks[j][:, None]).flatten(1)
        columns += list(products.T)
        of += [(i, j)] * products.shape[1]
    values = torch.stack(columns, 1)
    return Features(values - values.mean(0), tuple(of))


def _whitened(values: Tensor) -> Tensor:
    """Uncorrelated combinations of columns, of variance 1."""
    values = values - values.mean(0)
    size, directions = torch.linalg.eigh(values.T @ values / len(values))
    kept = size > _LEAST * size[-1]
    return values @ directions[:, kept] / size[kept].sqrt()


class Contrast:
    """Find the least ratio within any set of variables, from the moments of the features.

    Args:
        features: The features.
        generator: What deals the rows into folds.
    """

    def __init__(self, features: Features, generator: torch.Generator) -> None:
        self.features = features
        values = features.values
        fold = torch.randperm(len(values), generator=generator) % _FOLDS
        parts = [values[fold == k] for k in range(_FOLDS)]
        self._second = [part.T @ part for part in parts]
        self._whole = sum(self._second, torch.zeros_like(self._second[0]))
        self._rows = [len(part) for part in parts]

    def least(self, variables: Sequence[int]) -> Direction:
        """The combination of features of these variables that varies least."""
        columns = self.features.within(variables)
        if not columns:
            return Direction(float("inf"), [], self._whole.new_zeros(0), {})
        index = torch.tensor(columns)
        total, rows = self._whole[index][:, index], sum(self._rows)
        held = 0.0
        for second, count in zip(self._second, self._rows, strict=True):
            mine = second[index][:, index]
            v = torch.linalg.eigh((total - mine) / (rows - count))[1][:, 0]
            held += float(v @ mine @ v) / rows  # variance 1 under shuffling, as v has length 1
        v = torch.linalg.eigh(total / rows)[1][:, 0]
        shares = dict.fromkeys(variables, 0.0)
        for n, weight in zip(columns, v.tolist(), strict=True):
            for i in self.features.of[n]:
                shares[i] += weight**2
        return Direction(max(held, 0.0), columns, v, shares)

    def tied(self, variables: Sequence[int], most: float, least: float) -> float:
        """How much is tied: the decades of the ratios below `most`, of all combinations."""
        index = torch.tensor(self.features.within(variables), dtype=torch.int64)
        ratios = torch.linalg.eigvalsh(self._whole[index][:, index] / sum(self._rows))
        return float((most / ratios.clamp(least, most)).log10().sum())

    def fewest(
        self, variables: Sequence[int], ratio: float, budget: Budget
    ) -> tuple[tuple[int, ...], Direction]:
        """The relation of the fewest variables among those that are as good.

        Of two laws that share a variable, a third follows that is without it, but has more others.
        So each variable of what was found is set aside for once.

        Args:
            variables: Those to choose from.
            ratio: What is small enough to need no comparison.
            budget: The time; when it is over, the best so far is taken.
        """
        columns, best = self._minimal(variables, ratio, budget)
        if len(columns) == len(variables):
            return columns, best  # without any of them it is not as good
        again = True
        while again and len(columns) > 2:
            again = False
            for i in columns:
                if budget.left <= 0:
                    budget.miss("laws of fewer variables that say the same")
                    return columns, best
                rest = [k for k in variables if k != i]
                most = max(_AS_GOOD * best.ratio, ratio)
                if self.least(rest).ratio > most:
                    continue
                fewer, tried = self._minimal(rest, ratio, budget)
                if len(fewer) < len(columns) and tried.ratio <= most:
                    columns, best, again = fewer, tried, True
                    break
        return columns, best

    def _minimal(
        self, variables: Sequence[int], ratio: float, budget: Budget
    ) -> tuple[tuple[int, ...], Direction]:
        """Leave variables out while it stays as good, those with the least share first."""
        left = tuple(variables)
        best = self.least(left)
        while len(left) > 2:
            for i in sorted(left, key=lambda i: best.shares[i]):
                if budget.left <= 0:
                    budget.miss("which variables can be left out")
                    return left, best
                rest = tuple(k for k in left if k != i)
                tried = self.least(rest)
                if tried.ratio <= max(_AS_GOOD * best.ratio, ratio):
                    left, best = rest, tried
                    break
            else:
                break
        return left, best

    def parts(self, direction: Direction, variables: Sequence[int]) -> Tensor:
        """The functions of one variable that a combination is the sum of, (batch, variables)."""
        of = [self.features.of[column] for column in direction.columns]
        result = []
        for i in variables:
            mine = [n for n, only in enumerate(of) if only == (i,)]
            columns = [direction.columns[n] for n in mine]
            result.append(self.features.values[:, columns] @ direction.weights[mine])
        return torch.stack(result, 1)
