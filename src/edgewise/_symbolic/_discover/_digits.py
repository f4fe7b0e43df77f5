"""What the digits of a table leave open: values are rounded where they were written down.

A law is then right to rounding when it misses y by what the digits of the inputs and of y account
for, and no formula that comes closer is any better.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

import numpy as np

from edgewise._symbolic._discover._tree import Array, Tree, evaluate

_LEAST, _MOST = 5, 12
"""Digits of a column that was rounded. What has fewer is a setting or a count, or so rough that
what it lost is told from the rows, as noise; what has more has all that float64 can hold."""
_SAMPLE = 1000
_SPARE = 1.5
"""How much more than what was lost, in the mean square, is still no more than that."""
_STEP = 1e-6


@dataclass(frozen=True)
class Lost:
    """The standard deviations of what was lost by rounding, for inputs and target.

    Attributes:
        x: Those of the inputs, (batch, inputs).
        y: Those of the target, (batch,).
    """

    x: Array
    y: Array

    @classmethod
    def of(cls, x: Array, y: Array) -> Lost | None:
        """Read them off a table; None if its target has all digits, or too few."""
        target = lost(y)
        if not target.any():
            return None
        return cls(np.column_stack([lost(column) for column in x.T]), target)

    def take(self, rows: Array | slice) -> Lost:
        """Those of some rows."""
        return Lost(self.x[rows], self.y[rows])

    def scaled(self, inputs: Array, target: float) -> Lost:
        """Those of the inputs and of the target in other units."""
        return Lost(self.x * inputs, self.y * target)

    def share(self, x: Array, y: Array) -> float:
        """The largest share of the size of a column that was lost."""
        columns = [(self.y, y), *zip(self.x.T, x.T, strict=True)]
        return max(float(np.sqrt(np.mean(off**2) / np.mean(v**2))) for off, v in columns if v.any())

    def limit(self, tree: Tree, x: Array) -> float:
        """The mean square error up to which a tree is right to the digits of x and y."""
        variance = self.y**2
        for i in np.flatnonzero(self.x.any(0)):
            step = _STEP * float(np.abs(x[:, i]).max())
            ahead, back = x.copy(), x.copy()
            ahead[:, i] += step
            back[:, i] -= step
            slope = (evaluate(tree, ahead) - evaluate(tree, back)) / (2 * step)
            variance = variance + (np.nan_to_num(slope, posinf=0, neginf=0) * self.x[:, i]) ** 2
        return _SPARE * float(variance.mean())


def lost(values: Array) -> Array:
    """The standard deviation of what each value lost to rounding; zeros if that is nothing.

    Values are rounded to decimals, to digits, or to float32.
    """
    sample = values[:: max(1, len(values) // _SAMPLE)]
    written = [Decimal(repr(float(value))).normalize().as_tuple() for value in sample]
    digits = max(len(number.digits) for number in written)
    single = np.abs(values).astype(np.float32)
    if digits > _MOST and np.array_equal(single, np.abs(values)):
        return np.spacing(single).astype(float) / 12**0.5
    if not _LEAST <= digits <= _MOST:
        return np.zeros(len(values))
    decimals = max(-int(number.exponent) for number in written)
    size = np.floor(np.log10(np.abs(values), where=values != 0, out=np.zeros(len(values)))) + 1
    return np.maximum(10.0**-decimals, 10.0 ** (size - digits)) / 12**0.5
