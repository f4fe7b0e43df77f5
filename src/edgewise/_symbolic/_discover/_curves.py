"""Functions of one input with constants inside: exp(c u), sin(c u + d), (u + s)^p and sums of them.

Inner constants start on a grid that is fine enough for the fit that follows to find the way.
"""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np

from edgewise._symbolic._discover._library import Library
from edgewise._symbolic._discover._tree import Array, Tree, add, multiply, power

_HALF = Fraction(1, 2)


def curves(x: Array, input_: int = 0, waves: int = 60, products: bool = False) -> Library:
    """A library of functions of one column with free inner constants on a grid."""
    u = x[:, input_]
    reach = float(np.ptp(u)) or 1.0
    v: Tree = ("x", input_)
    trees: list[Tree] = [v, power(v, 2), power(v, 3), power(v, -1), power(v, -2)]
    if u.min() > 0:
        trees += [("log", v), power(v, _HALF), power(v, -_HALF)]
    rates = [s * k / reach for k in (0.25, 0.5, 1, 2, 4, 8, 16, 32) for s in (1, -1)]
    exps: list[Tree] = [("exp", multiply(("c", c), v)) for c in rates]
    sines: list[Tree] = [
        (f, multiply(("c", math.pi / 2 * k / reach), v))
        for k in range(1, waves + 1)
        for f in ("sin", "cos")
    ]
    trees += exps + sines
    trees += [("tanh", multiply(("c", abs(c)), v)) for c in rates[::2]]
    square = float(np.abs(u).max()) ** 2 or 1.0
    trees += [("exp", multiply(("c", -k / square), power(v, 2))) for k in (0.5, 1, 2, 4, 8, 16)]
    trees += [
        (f, multiply(("c", math.pi / 2 * k / square), power(v, 2)))
        for k in range(1, waves // 2)
        for f in ("sin", "cos")
    ]
    for k in (-0.8, -0.5, -0.2, 0.01, 0.05, 0.2, 0.5, 1, 2, 5, 10):
        for edge in (-float(u.min()), float(u.max())):
            shift: Tree = ("c", edge + k * reach)
            from_below = edge == -float(u.min())
            shifted = add(v, shift) if from_below else add(shift, multiply(("k", -1), v))
            trees += [shifted, power(shifted, -1)]
            if k > 0:
                trees += [("log", shifted), power(shifted, _HALF)]
    for k in (0.1, 0.3, 1, 3, 10):
        trees += [power(add(power(v, 2), ("c", k * square / 4)), p) for p in (-1, _HALF)]
    for c in rates:
        trees += [add(("exp", multiply(("c", c), v)), ("k", s)) for s in (1, -1)]
    if products:
        trees += [multiply(e, s) for e in exps[1:12:2] for s in sines]
        trees += [multiply(v, t) for t in exps + sines]
    return Library.of(trees, x)
