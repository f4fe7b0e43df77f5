"""Functions of one input with constants inside: exp(c u), sin(c u + d), (u + s)^p, sums, waves.

Inner constants start on a grid that is fine enough for the fit that follows to find the way.
"""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import combinations, product

import numpy as np

from edgewise._symbolic._discover._library import Library
from edgewise._symbolic._discover._problem import Problem
from edgewise._symbolic._discover._tree import ONE, Array, Tree, add, multiply, power

_HALF = Fraction(1, 2)
_WAVE_ROWS = 200
_TURNS = (-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0)
"""What the inner coefficients of a wave of a bilinear form start from."""
_TERMS = 8
_WAVE_STARTS = 6
_RATES = tuple(s * k for k in (0.5, 1, 2, 4, 8) for s in (-1, 1))
"""How much a wave may grow or fall over the range of its input, in natural logarithms."""


def curves(x: Array, input_: int = 0, waves: int = 60, mixed: bool = False) -> Library:
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
    if mixed:
        trees += [multiply(e, s) for e in exps[1:12:2] for s in sines]
        trees += [multiply(v, t) for t in exps + sines]
        trees += _mixed(v)
    return Library.of(trees, x)


def _mixed(v: Tree) -> list[Tree]:
    """Products of functions of powers, and of powers, exponentials, sines and cosines."""
    inner = [power(v, p) for p in (1, 2, 3)]
    words = [(f, u) for f in ("sin", "cos") for u in inner]
    found = [multiply(a, b) for a, b in combinations(words, 2)]
    found += [multiply(("exp", multiply(("k", -1), u)), w) for u in inner[:2] for w in words]
    sine, cosine = ("sin", v), ("cos", v)
    for p, rate, a, b in product(range(4), (-1, 0), range(4), range(4)):
        if 1 <= a + b <= 5 and p + a + b > 1:
            growth = ("exp", multiply(("k", rate), v)) if rate else ONE
            found.append(multiply(power(v, p), growth, power(sine, a), power(cosine, b)))
    return found


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


def bilinear_waves(problem: Problem) -> None:
    """Offer a x y + b x + c y + d plus a wave of such a form, for two inputs.

    So comes sin((x - 1) (y - 1)) out, whose phase depends on both inputs. For each choice of
    inner coefficients the others are found by least squares; the best choices are refined.
    """
    rows = np.linspace(0, len(problem.y) - 1, min(len(problem.y), _WAVE_ROWS)).astype(int)
    x, y = problem.x[rows], problem.y[rows]
    if len(y) < 2 * _TERMS:
        return
    u, v = x.T
    base = np.column_stack([np.ones(len(y)), u, v, u * v])
    Q, _ = np.linalg.qr(base)
    z = y - Q @ (Q.T @ y)
    left = np.full((len(_TURNS), len(_TURNS), len(_TURNS)), np.inf)
    for place in np.ndindex(left.shape):
        p, q, r = (_TURNS[k] for k in place)
        if r <= 0:  # a wave turned around is another phase
            continue
        angle = r * u * v + p * u + q * v
        W = np.column_stack([np.cos(angle), np.sin(angle)])
        W -= Q @ (Q.T @ W)
        rest = z - W @ np.linalg.lstsq(W, z, rcond=1e-10)[0]
        left[place] = rest @ rest
    for flat in np.argsort(left, axis=None)[:_WAVE_STARTS]:
        place = np.unravel_index(flat, left.shape)
        p, q, r = (_TURNS[k] for k in place)
        angle = r * u * v + p * u + q * v
        A = np.column_stack([base, np.cos(angle), np.sin(angle)])
        coef = np.linalg.lstsq(A, y, rcond=1e-10)[0]
        problem.offer(_bilinear_wave(coef, (p, q, r)), 40)


def _bilinear_wave(coef: Array, inner: tuple[float, float, float]) -> Tree:
    """The tree of a bilinear form and a wave of one."""
    u, v = ("x", 0), ("x", 1)
    terms = (u, v, multiply(u, v))
    size, phase = math.hypot(coef[4], coef[5]), math.atan2(-coef[5], coef[4])
    angle = add(*(multiply(("c", c), t) for c, t in zip(inner, terms, strict=True)), ("c", phase))
    outer = [multiply(("c", float(c)), t) for c, t in zip(coef[1:4], terms, strict=True)]
    return add(multiply(("c", size), ("cos", angle)), *outer, ("c", float(coef[0])))


def _wave(input_: int, a: float, b: float, w: float, r: float, low: float, mean: float) -> Tree:
    """The wave exp(r (u - low)) (a cos(w (u - low)) + b sin(w (u - low))) + mean."""
    v: Tree = ("x", input_)
    phase = -math.atan2(b, a) - w * low
    size = math.hypot(a, b) * math.exp(-r * low)
    turned: Tree = ("cos", add(multiply(("c", w), v), ("c", math.remainder(phase, 2 * math.pi))))
    if r == 0:
        return add(multiply(("c", size), turned), ("c", mean))
    return multiply(("c", size), multiply(("exp", multiply(("c", r), v)), turned))
