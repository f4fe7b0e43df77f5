"""Functions of one input with constants inside: exp(c u), sin(c u + d), (u + s)^p, sums, waves.

Inner constants start on a grid that is fine enough for the fit that follows to find the way.
"""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np

from edgewise._symbolic._discover._library import Library
from edgewise._symbolic._discover._problem import Problem
from edgewise._symbolic._discover._tree import Array, Tree, add, multiply, power

_HALF = Fraction(1, 2)
_WAVE_ROWS = 200
_RATES = tuple(s * k for k in (0.5, 1, 2, 4, 8) for s in (-1, 1))
"""How much a wave may grow or fall over the range of its input, in natural logarithms."""


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


def waves(problem: Problem, input_: int, grows: bool = False) -> None:
    """Offer the wave in one input that explains most, exp(r u) cos(w u + p), of any frequency.

    Phase and size are found by least squares at each frequency (Lomb 1976), up to two periods for
    each row and four to a period of the whole range.

    Args:
        problem: The problem.
        input_: The input.
        grows: Whether its size may grow or fall; otherwise it has a mean.
    """
    rows = np.linspace(0, len(problem.y) - 1, min(len(problem.y), _WAVE_ROWS)).astype(int)
    u, y = problem.x[rows, input_], problem.y[rows]
    low, reach = float(u.min()), float(np.ptp(u))
    if not reach > 0:
        return
    frequencies = math.pi / 4 / reach * np.arange(1, 16 * len(rows))
    angles = np.outer(u - low, frequencies)
    c, s = np.cos(angles), np.sin(angles)
    best, tree = 0.5, None
    for rate in _RATES if grows else (0.0,):
        e = np.exp(rate * (u - low) / reach)
        mean = float(y.mean()) if rate == 0 else 0.0
        cc, ss, cs = (e * e) @ (c * c), (e * e) @ (s * s), (e * e) @ (c * s)
        yc, ys = (e * (y - mean)) @ c, (e * (y - mean)) @ s
        determinant = cc * ss - cs * cs
        explained = (yc * yc * ss - 2 * yc * ys * cs + ys * ys * cc) / determinant
        explained = np.where(determinant > 1e-6 * cc * ss, explained, 0.0)
        at = int(np.argmax(explained))
        left = 1 - float(explained[at]) / (float(np.sum((y - mean) ** 2)) or 1.0)
        if left < best:
            a = (yc[at] * ss[at] - ys[at] * cs[at]) / determinant[at]
            b = (ys[at] * cc[at] - yc[at] * cs[at]) / determinant[at]
            w, r = float(frequencies[at]), rate / reach
            best, tree = left, _wave(input_, a, b, w, r, low, mean)
    if tree is not None:
        problem.offer(tree, 60)


def _wave(input_: int, a: float, b: float, w: float, r: float, low: float, mean: float) -> Tree:
    """The wave exp(r (u - low)) (a cos(w (u - low)) + b sin(w (u - low))) + mean."""
    v: Tree = ("x", input_)
    phase = -math.atan2(b, a) - w * low
    size = math.hypot(a, b) * math.exp(-r * low)
    turned: Tree = ("cos", add(multiply(("c", w), v), ("c", math.remainder(phase, 2 * math.pi))))
    if r == 0:
        return add(multiply(("c", size), turned), ("c", mean))
    return multiply(("c", size), multiply(("exp", multiply(("c", r), v)), turned))
