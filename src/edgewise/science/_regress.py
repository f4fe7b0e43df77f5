"""One variable as a sum of functions of one or two others, by least squares on rows held out."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from edgewise.science._contrast import Features

_FOLDS = 4
_RIDGE = 1e-12


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
        self._whole = sum(self._moments, torch.zeros_like(self._moments[0]))
        self._rows = len(x)

    def left(self, target: int, variables: Sequence[int]) -> float:
        """The share of a variable's variance that functions of others leave, on rows held out."""
        count = len(self._features.of)
        columns = [*self._features.within(variables), len(self._whole) - 1]
        index, at = torch.tensor(columns), count + target
        squares = 0.0
        for mine in self._moments:
            fitted = self._whole - mine
            A, b = fitted[index][:, index], fitted[index, at]
            A = A + _RIDGE * A.diagonal().mean() * torch.eye(len(A), dtype=A.dtype)
            c = torch.linalg.solve(A, b)
            squares += float(mine[at, at] - 2 * c @ mine[index, at] + c @ mine[index][:, index] @ c)
        return max(squares / self._rows, 0.0)

    def best(self, variables: Sequence[int], enough: float) -> tuple[int, tuple[int, ...], float]:
        """The variable that the others leave least of, those that it needs, and what is left.

        Args:
            variables: Those to choose from.
            enough: What is small enough to need no comparison.
        """
        rest = {i: tuple(k for k in variables if k != i) for i in variables}
        target = min(variables, key=lambda i: self.left(i, rest[i]))
        needed, share = rest[target], self.left(target, rest[target])
        while len(needed) > 1:
            tries = [tuple(k for k in needed if k != i) for i in needed]
            fewer = min(tries, key=lambda t: self.left(target, t))
            without = self.left(target, fewer)
            if without > max(1.5 * share, enough):
                break
            needed, share = fewer, without
        return target, needed, share
