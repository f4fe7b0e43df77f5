"""What ties variables together, one relation after the other: the plainest kinds first."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from edgewise.science._budget import Budget, OutOfTime
from edgewise.science._contrast import (
    Contrast,
    Features,
    log_features,
    pair_features,
    product_features,
    spline_features,
)
from edgewise.science._regress import Regression

_GRIDS = (3, 6, 12)
_ROWS = 3  # for each feature
_EXACT = 1e-10
"""A ratio that is as good as zero: variables may be left out up to it."""
_TIED = 100.0
"""How much more than the relation before others leave that count as well."""
_NEAR = 1e-6
"""A ratio below which others count in any case."""
_MOST = 1000
"""Products that are tried together, at most."""
_AS_GOOD = 10.0
"""How much more a plainer kind of relation may leave than the best."""


@dataclass(frozen=True)
class Hit:
    """A relation that was found, before it has a formula.

    Attributes:
        columns: Its variables.
        left: The share of the variance that it leaves.
        parts: Its functions of one variable, (batch, columns), whose sum is a constant; None where
            it has products.
        target: The variable that products of the others give, if any.
    """

    columns: tuple[int, ...]
    left: float
    parts: Tensor | None
    target: int | None = None


def search(x: Tensor, threshold: float, seed: int, first: Budget, rest: Budget) -> list[Hit]:
    """Relations in turn, the plainest that is about as good as any: sums, powers, products."""
    families = _Families(x, seed, threshold, first)
    hits: list[Hit] = []
    left = tuple(range(x.shape[1]))
    while len(left) > 1:
        if families.budget.left <= 0:
            first.miss("more relations")
            break
        hit = families.plainest(left)
        if hit is None:
            break
        hits += [] if _follows(hit, hits) else [hit]
        families.budget = rest
        left = families.aside(left, hit)
    return hits


def _follows(hit: Hit, hits: list[Hit]) -> bool:
    """Whether a relation is what is left of a better one without one of its variables."""
    return any(
        set(hit.columns) < set(better.columns) and hit.left > _AS_GOOD * better.left + _EXACT
        for better in hits
    )


class _Families:
    """What relations are made of: functions of one variable, powers, and products."""

    def __init__(self, x: Tensor, seed: int, threshold: float, budget: Budget) -> None:
        self._x, self._seed, self._threshold, self.budget = x, seed, threshold, budget
        splines = [spline_features(x, grid) for grid in _GRIDS]
        fit = [f for f in splines if _ROWS * f.values.shape[1] <= len(x)] or splines[:1]
        self._sums = [Contrast(f, self._generator()) for f in fit]
        self._powers = Contrast(log_features(x), self._generator())
        self._made: dict[str, Regression] = {}
        self._seen: dict[tuple[int, ...], Hit | None] = {}

    def _generator(self) -> torch.Generator:
        return torch.Generator().manual_seed(self._seed)

    def plainest(self, left: tuple[int, ...]) -> Hit | None:
        """The plainest relation of these variables that is about as good as the best."""
        sums = min(self._sums, key=lambda c: c.least(left).ratio)
        found = [sums.least(left).ratio, self._powers.least(left).ratio, math.inf]
        hit = None
        if min(found) > _EXACT and len(left) > 2:
            hit = self._product(left)
            if hit is not None:
                found[2] = hit.left
        most = min(_AS_GOOD * min(found) + _EXACT, self._threshold)
        way = next((n for n, ratio in enumerate(found) if ratio <= most), None)
        if way is None or way == 2:
            return None if way is None else hit
        contrast = self._powers if way == 1 else sums
        columns, direction = contrast.fewest(left, _EXACT, self.budget)
        if direction.ratio > self._threshold:
            return None
        parts = contrast.parts(direction, columns) if way == 0 else None
        return Hit(columns, direction.ratio, parts)

    def aside(self, left: tuple[int, ...], hit: Hit) -> tuple[int, ...]:
        """The variables without one of a relation: where the next is plainest.

        The one that a product gives, or else the one without which most is tied of the rest, then
        that where the next relation is of the fewest variables; and of these the last.
        """
        if hit.target is not None:
            return tuple(k for k in left if k != hit.target)
        rests = {i: tuple(k for k in left if k != i) for i in hit.columns}
        most = min(max(_TIED * hit.left, _NEAR), self._threshold)  # what is much worse is no law
        contrasts = [*self._sums, self._powers]
        tied = {i: sum(c.tied(r, most, _EXACT) for c in contrasts) for i, r in rests.items()}
        exact = hit.left <= _EXACT  # else it is not worth the time to ask products
        sizes = {
            i: self._size(rest, most, any(tied.values()) or not exact) for i, rest in rests.items()
        }
        return rests[min(rests, key=lambda i: (-round(tied[i]), sizes[i], -i))]

    def _size(self, rest: tuple[int, ...], most: float, plain: bool) -> int:
        """How many variables the next relation has; all, if none leaves so little."""
        if self.budget.left <= 0:
            return len(rest)
        if not plain:
            hit = self._product(rest) if len(rest) > 2 else None
            return len(rest) if hit is None or hit.left > most else len(hit.columns)
        best = min([*self._sums, self._powers], key=lambda c: c.least(rest).ratio)
        if best.least(rest).ratio > most:
            return len(rest)
        return len(best.fewest(rest, _EXACT, self.budget)[0])

    def _product(self, left: tuple[int, ...]) -> Hit | None:
        """The variable that products of the others explain best, if they need two or more."""
        if left not in self._seen:
            self._seen[left] = self._best_product(left)
        return self._seen[left]

    def _best_product(self, left: tuple[int, ...]) -> Hit | None:
        ways = []
        for name, size, make in self._products():
            if size > min(_MOST, len(self._x) // _ROWS):
                self.budget.miss(f"{name} ({size:,} of them, for {len(self._x):,} rows)")
                continue
            try:
                self.budget.check()
                if name not in self._made:
                    self._made[name] = Regression(make(), self._x, self._generator())
                ways.append(self._made[name].best(left, _EXACT, self.budget))
            except OutOfTime:
                self.budget.miss(name)
        target, needed, share = min(ways, key=lambda way: way[2], default=(0, (), 0.0))
        if len(needed) < 2:  # with one variable it is a sum
            return None
        return Hit(tuple(sorted((target, *needed))), share, None, target)

    def _products(self) -> Iterator[tuple[str, int, Callable[[], Features]]]:
        """Kinds of products, their number, and how they are made."""
        x, count = self._x, self._x.shape[1]
        pairs = math.comb(count, 2)
        yield "products of two", count + pairs, lambda: pair_features(x, 1)
        yield "products of two squares", 2 * count + 4 * pairs, lambda: pair_features(x, 2)
        yield "products of two cubes", 3 * count + 9 * pairs, lambda: pair_features(x, 3)
        if count > 3:
            size = count + pairs + math.comb(count, 3)
            yield "products of three", size, lambda: product_features(x)
