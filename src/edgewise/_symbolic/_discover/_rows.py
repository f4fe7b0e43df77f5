"""A table as it is searched: rows to fit and rows held out, in sizes near one."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import torch

from edgewise._arrays import tensor_of
from edgewise._errors import DataError, ShapeError
from edgewise._symbolic._discover._digits import Lost
from edgewise._symbolic._discover._tree import Array, Tree, multiply, substitute

_LEAST = 10
_HELD = 0.2


@dataclass(frozen=True)
class Rows:
    """Rows to fit and rows held out, with inputs and target brought to sizes near one.

    Attributes:
        x: Inputs to fit, (batch, inputs), divided by powers of ten.
        y: Their targets.
        held_x: Inputs of the rows held out.
        held_y: Their targets.
        scales: The powers of ten of the inputs.
        scale: That of y.
        kept: The inputs that vary and are not the same as an earlier one.
        lost: What rounding took from the rows to fit, where y was rounded.
        held_lost: The same for the rows held out.
    """

    x: Array
    y: Array
    held_x: Array
    held_y: Array
    scales: list[int]
    scale: int
    kept: list[int]
    lost: Lost | None = None
    held_lost: Lost | None = None

    @classmethod
    def split(cls, x: Array, y: Array, seed: int) -> Rows:
        order = np.random.default_rng(seed).permutation(len(y))
        count = max(2, round(_HELD * len(y)))
        scales = [_power_of_ten(column) for column in x.T]
        scale = _power_of_ten(y)
        kept: list[int] = []
        for i in range(x.shape[1]):
            same = any(np.array_equal(x[:, i], x[:, k]) for k in kept)
            if np.ptp(x[:, i]) > 0 and not same:
                kept.append(i)
        factors = np.array([10.0**-s for s in scales])
        u, v = x * factors, y * 10.0**-scale
        held, fit = order[:count], order[count:]
        lost = Lost.of(x, y)
        if lost is not None:
            lost = lost.scaled(factors, 10.0**-scale)
        parts = [None if lost is None else lost.take(rows) for rows in (fit, held)]
        return cls(u[fit], v[fit], u[held], v[held], scales, scale, kept, *parts)

    def plain(self, tree: Tree) -> Tree:
        """A tree for y in the inputs as they were given."""
        inputs: list[Tree] = [
            multiply(("k", Fraction(10) ** -s), ("x", i)) if s else ("x", i)
            for i, s in enumerate(self.scales)
        ]
        tree = substitute(tree, inputs)
        return multiply(("k", Fraction(10) ** self.scale), tree) if self.scale else tree

    def scaled(self, tree: Tree) -> Tree:
        """A tree for y divided by its power of ten, in inputs that are so, from one for y."""
        inputs: list[Tree] = [
            multiply(("k", Fraction(10) ** s), ("x", i)) if s else ("x", i)
            for i, s in enumerate(self.scales)
        ]
        tree = substitute(tree, inputs)
        return multiply(("k", Fraction(10) ** -self.scale), tree) if self.scale else tree

    def unscaled(self) -> Rows:
        """The rows as they were given."""
        u, v = 10.0 ** np.array(self.scales), 10.0**self.scale
        lost = [None if part is None else part.scaled(u, v) for part in (self.lost, self.held_lost)]
        fit, held = (self.x * u, self.y * v), (self.held_x * u, self.held_y * v)
        return Rows(*fit, *held, [], 0, self.kept, *lost)


def _power_of_ten(values: Array) -> int:
    """The power of ten of a column that is far from one, else zero."""
    middle = float(np.median(np.abs(values[values != 0]))) if np.any(values) else 1.0
    exponent = math.floor(math.log10(middle))
    return exponent if not -3 <= exponent <= 4 else 0


def read(x: Any, y: Any) -> tuple[Array, Array]:
    arrays = []
    for name, values in (("x", x), ("y", y)):
        tensor = tensor_of(name, values).detach().cpu()
        arrays.append(np.array(tensor.to(torch.float64).numpy()))
    x, y = arrays
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if x.ndim != 2 or x.shape[1] == 0:
        raise ShapeError(f"x must have the shape (batch, inputs), got {x.shape}.")
    if y.shape != (len(x),):
        raise ShapeError(
            f"y must have the shape ({len(x)},), one target for each row of x, got {y.shape}. For "
            "several targets call discover for each."
        )
    if len(x) < _LEAST:
        raise DataError(f"A search needs at least {_LEAST} rows, got {len(x)}.")
    for name, array in (("x", x), ("y", y)):
        if not np.isfinite(array).all():
            raise DataError(
                f"{name} has {int((~np.isfinite(array)).sum())} missing or infinite values: "
                "remove those rows first."
            )
    return x, y
