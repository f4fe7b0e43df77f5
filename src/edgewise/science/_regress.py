"""One variable as a sum of functions of one or two others, by least squares on rows held out."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from edgewise.science._budget import Budget
from edgewise.science._contrast import Features

_FOLDS = 4
_RIDGE = 1e-12
_AS_GOOD = 1.5
"""How much larger what is left may be with fewer variables."""


class Regression:
    """Regress columns on features of other columns, from the moments of both.

    Args:
        features: Features of one variable or two.
        x: The variables.
        generator: What deals the rows into folds.
    """

    def __init__(
        self, features: Features, x: Float[Tensor, "batch variables"], generator: torch.Generator
    ) -> None:
        self._features = features
        scaled = (x - x.mean(0)) / x.std(0)
        both = torch.cat([features.values, scaled, torch.ones_like(x[:, :1])], 1)
        fold = torch.randperm(len(x), generator=generator) % _FOLDS
        parts = [both[fold == k] for k in range(_FOLDS)]
        self._moments = [part.T @ part for part in parts]
        whole = sum(self._moments, torch.zeros_like(self._moments[0]))
        self._fitted = [whole - mine for mine in self._moments]
        self._rows = len(x)

    def left(self, target: int, variables: Sequence[int]) -> float:
        """The share of a variable's variance that functions of others leave, on rows held out."""
        count = len(self._features.of)
        columns = [*self._features.within(variables), len(self._moments[0]) - 1]
        index, at = torch.tensor(columns), count + target
        block = index[:, None], index
        squares = 0.0
        for mine, fitted in zip(self._moments, self._fitted, strict=True):
            A, b = fitted[block], fitted[index, at]
            A.diagonal().add_(_RIDGE * A.diagonal().mean())
            c = torch.linalg.solve(A, b)
            squares += float(mine[at, at] - 2 * c @ mine[index, at] + c @ mine[block] @ c)
        return max(squares / self._rows, 0.0)

    def best(
        self, variables: Sequence[int], enough: float, budget: Budget
    ) -> tuple[int, tuple[int, ...], float]:
        """The variable that the others leave least of, those that it needs, and what is left.

        Of variables that are explained exactly the one that needs the fewest is taken, then the
        last, since results stand behind what they come from.

        Args:
            variables: Those to choose from.
            enough: What is small enough to need no comparison.
            budget: The time, after which OutOfTime is raised.
        """
        shares = {}
        for i in variables:
            budget.check()
            shares[i] = self.left(i, [k for k in variables if k != i])
        most = max(min(shares.values()), enough)
        found = [
            (i, *self._needed(i, [k for k in variables if k != i], shares[i], enough, budget))
            for i in variables
            if shares[i] <= most
        ]
        return min(found, key=lambda one: (len(one[1]), -one[0]))

    def _needed(
        self, target: int, others: Sequence[int], share: float, enough: float, budget: Budget
    ) -> tuple[tuple[int, ...], float]:
        """Leave variables out while the rest explains a target as well."""
        needed = tuple(others)
        while len(needed) > 1:
            tries = {}
            for i in needed:
                budget.check()
                fewer = tuple(k for k in needed if k != i)
                tries[fewer] = self.left(target, fewer)
            fewer, without = min(tries.items(), key=lambda one: one[1])
            if without > max(_AS_GOOD * share, enough):
                break
            needed, share = fewer, without
        return needed, share
