"""Read the structure of a target off the derivatives of its surrogate, and reduce the problem.

With f the target: x_i f_i / f constant for a power of x_i as a factor; w . (x f_x / f) constant for
a symmetry under scaling x_i by s^w_i (what units bring about); f_i / f_j constant for a sum or
difference; log |f_i / f_j| linear in log |x_i| and log |x_j| for a sum of powers inside. The last
two do not depend on what function is around them. Each finding is a hypothesis until the
surrogate of the reduced problem, which has fewer inputs, fits no worse.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import combinations, product
from typing import NamedTuple

import numpy as np

from edgewise._symbolic._discover._problem import LINKS, Problem, keeps_sign, linked
from edgewise._symbolic._discover._surrogate import fit_surrogate
from edgewise._symbolic._discover._tree import Array, Tree, add, multiply, plain, power

_DOUBT = 0.9
"""The relative spread above which a quantity is not taken for constant."""
_TRIED = 10
"""Hypotheses that are put to the test."""


@dataclass(frozen=True)
class View:
    """The surrogate of a problem, in y.

    Attributes:
        error: Its error on rows held out, in units of the pool's target.
        values: Its values of y, (batch,).
        gradient: Their derivatives, (batch, inputs).
        link: The function of y that the polynomial was fitted to.
    """

    error: float
    values: Array
    gradient: Array
    link: str


_VIEWS = ("id", "log", "square", "inv", "invsquare")


def view(problem: Problem, links: tuple[str, ...] = _VIEWS) -> View | None:
    """Fit the surrogate to functions of y; keep the best."""
    y, gain = problem.y, problem.gain
    held = np.arange(len(y)) % 5 == 0
    best = None
    for name in dict.fromkeys(links):
        problem.pool.clock.check()
        target = linked(problem, LINKS[name])
        if target is None or (name == "inv" and not keeps_sign(problem, LINKS[name])):
            continue
        s = fit_surrogate(target.x, target.y, target.gain)
        if s is None:
            continue
        values, slope = _UNLINK[name](s.values)
        sign = 1.0 if name == "id" else 1.0 if np.sign(y).sum() >= 0 else -1.0
        values = sign * values
        r = np.where(np.isfinite(values), values - y, y)
        error = float(np.sqrt(np.mean((gain * r)[held] ** 2)))
        if best is None or error < best.error:
            slope = slope if name == "inv" else sign * slope
            best = View(error, values, s.gradient * slope[:, None], name)
    return best


_UNLINK = {
    "id": lambda t: (t, np.ones_like(t)),
    "log": lambda t: (np.exp(t), np.exp(t)),
    "square": lambda t: (np.sqrt(t), 0.5 / np.sqrt(t)),
    "inv": lambda t: (1 / np.abs(t), -1 / (t * t)),
    "invsquare": lambda t: (1 / np.sqrt(t), -0.5 * t**-1.5),
}
"""|y| and its slope, for t = T(y)."""


class Idea(NamedTuple):
    """A hypothesis.

    Attributes:
        doubt: The spread of what should be constant, relative to its size.
        what: The hypothesis, in short.
        simple: Whether it is worth a test even where the derivatives do not speak for it.
        problem: The problem that it leaves, or None if it cannot be.
    """

    doubt: float
    what: str
    simple: bool
    problem: Problem | None


@dataclass(frozen=True)
class Move:
    """A reduced problem, and what its surrogate's error is."""

    problem: Problem
    view: View
    what: str


def reductions(problem: Problem, seen: View) -> list[Move]:
    """The hypotheses that pass the test, the best first.

    Those that the derivatives speak for are tested first. Where none of them passes, which is so
    where the surrogate is poor, all simple ones are.
    """
    ideas = sorted(_ideas(problem, seen), key=lambda idea: idea.doubt)
    likely = [idea for idea in ideas if idea.doubt <= _DOUBT][:_TRIED]
    moves = _tested(likely, seen, (seen.link, "id", "log"))
    if not moves and problem.width <= 6:
        simple = [idea for idea in ideas if idea.simple and idea not in likely]
        moves = _tested(simple[:40], seen, (seen.link,))
    return sorted(moves, key=lambda move: move.view.error)


def _tested(ideas: list[Idea], seen: View, links: tuple[str, ...]) -> list[Move]:
    moves: list[Move] = []
    for doubt, what, _, reduced in ideas:
        if reduced is None or not (np.isfinite(reduced.x).all() and np.isfinite(reduced.y).all()):
            continue
        reduced.pool.clock.check()
        poor = seen.error > 0.05 * reduced.pool.scale and not reduced.noise
        limit = max((0.8 if poor else 1.02) * seen.error, 1e-9 * reduced.pool.scale)
        after = view(reduced, links)
        if after is not None and after.error <= limit:
            moves.append(Move(reduced, after, what))
            if doubt < 1e-4 and after.error < 0.5 * seen.error:
                break
    return moves


def lumped(problem: Problem, seen: View) -> Move | None:
    """The product of powers that y is a function of by itself, where there is one.

    A wave of many periods is beyond a polynomial of several inputs, not of one.
    """
    d = problem.width
    if d > 5 or (problem.x == 0).any():
        return None
    best: Move | None = None
    exponents = (0, 1, -1, 2, -2) if d <= 3 else (0, 1, -1)
    for powers in product(exponents, repeat=d):
        lead = next((p for p in powers if p), 0)
        if lead <= 0 or math.gcd(*(abs(p) for p in powers)) > 1 or sum(map(bool, powers)) < 2:
            continue
        factors = [power(("x", i), Fraction(p)) for i, p in enumerate(powers) if p]
        reduced = problem.with_inputs([multiply(*factors)])
        after = view(reduced, ("id",))
        if after is not None and (best is None or after.error < best.view.error):
            best = Move(reduced, after, f"alone {powers}")
    if best is None or best.view.error > 0.3 * seen.error:
        return None
    return best


def _ideas(problem: Problem, seen: View) -> Iterator[Idea]:
    yield from _idle(problem, seen)
    yield from _growths(problem, seen)
    yield from _scalings(problem, seen)
    yield from _inner_sums(problem, seen)


def _idle(problem: Problem, seen: View) -> Iterator[Idea]:
    """Inputs that do not matter."""
    moved = np.abs(seen.gradient) * problem.x.std(0) * problem.gain[:, None]
    middle = np.nanmedian(moved, 0) if np.isfinite(moved).any(0).all() else np.ones(problem.width)
    share = middle / max(middle.max(), 1e-300)
    for i in range(problem.width):
        if share[i] < 0.03:
            rest = [("x", k) for k in range(problem.width) if k != i]
            yield Idea(share[i] / 10, f"drop {i}", False, problem.with_inputs(rest))


def _growths(problem: Problem, seen: View) -> Iterator[Idea]:
    """Factors exp(a x_i): the inputs along which log y is a line."""
    weight = (problem.gain * seen.values) ** 2
    for i in range(problem.width):
        slope = seen.gradient[:, i] / seen.values
        good = np.isfinite(slope) & (weight > 0)
        if good.sum() < 20:
            continue
        w = weight[good] / weight[good].sum()
        a = float(w @ slope[good])
        rest = math.sqrt(float(w @ (slope[good] - a) ** 2))
        if abs(a) * float(np.ptp(problem.x[:, i])) < 0.2:
            continue
        near = plain(a, 0.05)
        rate: Tree = ("c", a) if near is None or near == 0 else ("k", near)
        others: list[Tree] = [("x", k) for k in range(problem.width) if k != i]
        factor: Tree = ("exp", multiply(rate, ("x", i)))
        reduced = problem.divided(factor).with_inputs(others)
        if rate[0] == "c":
            reduced = noisier(reduced, seen.error)
        yield Idea(rest / abs(a) + 0.001, f"exp({a:.4g} x{i}) *", False, reduced)


def _scalings(problem: Problem, seen: View) -> Iterator[Idea]:
    x, d = problem.x, problem.width
    if (x == 0).any():
        return
    values = np.where(seen.values == 0, np.nan, seen.values)
    with np.errstate(all="ignore"):
        L = x * seen.gradient / values[:, None]
    weight = (problem.gain * values) ** 2  # so that the spread is that of x_i f_i - a f
    good = np.isfinite(L).all(1) & np.isfinite(weight)
    if good.sum() < 20:
        return
    L, weight = L[good], weight[good] / weight[good].sum()
    mean = weight @ L
    C = (L - mean).T @ ((L - mean) * weight[:, None])
    spread = np.sqrt(np.maximum(np.diag(C), 0))
    for w in _directions(d):
        a = float(w @ mean)
        size = float(np.sqrt((w * w * spread**2).sum()))
        rest = float(np.sqrt(max(w @ C @ w, 0)))
        count = np.count_nonzero(w)
        if count == 1:
            i = int(np.flatnonzero(w)[0])
            doubt = rest / max(abs(a), 0.2)
            near = plain(a, 0.15)
            if near is None or near == 0:
                continue
            if near.denominator > 1 and x[:, i].min() < 0:
                continue
            if near.denominator > 2 and abs(a - near) > 0.02:
                continue
            others = [("x", k) for k in range(d) if k != i]
            peeled = problem.divided(power(("x", i), near))
            simple = abs(near) == 1
            yield Idea(doubt, f"x{i}^{near} *", simple, peeled.with_inputs(others))
            continue
        if min(spread[w != 0]) < 1e-3 * max(1e-6, spread.max()):
            continue
        weight_of = float(np.abs(w).sum())
        doubt = rest / max(size, 1e-300) * (0.4 + 0.3 * weight_of)
        if doubt > _DOUBT and weight_of > 2:
            continue
        near = plain(a, 0.12)
        if near is None or near.denominator > 2:
            continue
        simple = weight_of == 2
        yield Idea(doubt, f"scale {w.tolist()} {near}", simple, _scaled(problem, w, near))


def _directions(d: int) -> Iterator[Array]:
    """Small whole vectors, the sparsest first."""
    for i in range(d):
        w = np.zeros(d)
        w[i] = 1
        yield w
    for count in range(2, min(d, 4 if d <= 6 else 3) + 1):
        entries = (1, -1, 2, -2, 3, -3) if count == 2 else (1, -1, 2, -2)
        for places in combinations(range(d), count):
            for values in product(entries, repeat=count):
                if values[0] < 0 or math.gcd(*(abs(v) for v in values)) > 1:
                    continue
                w = np.zeros(d)
                w[list(places)] = values
                yield w


def _scaled(problem: Problem, w: Array, a: Fraction) -> Problem | None:
    """Divide by powers of one input so that a scaling symmetry takes it out."""
    x = problem.x
    places = np.flatnonzero(w)

    def price(i: int) -> tuple[float, ...]:
        ratios = [Fraction(int(w[k])) / int(w[i]) for k in places if k != i]
        parts = [*ratios, a / int(w[i])]
        return (sum(p.denominator > 1 for p in parts), float(sum(abs(p) for p in parts)), i)

    for i in sorted(places.tolist(), key=price):
        factor = a / int(w[i])
        ratios = {int(k): Fraction(int(w[k])) / int(w[i]) for k in places if k != i}
        if x[:, i].min() < 0 and any(p.denominator > 1 for p in (factor, *ratios.values())):
            continue
        inputs = [
            multiply(("x", k), power(("x", int(i)), -ratios[k])) if k in ratios else ("x", k)
            for k in range(problem.width)
            if k != i
        ]
        reduced = problem if factor == 0 else problem.divided(power(("x", int(i)), factor))
        return reduced.with_inputs(inputs)
    return None


def _inner_sums(problem: Problem, seen: View) -> Iterator[Idea]:
    """Pairs of inputs that enter through k x_i^p + x_j^q."""
    x, g = problem.x, seen.gradient
    size = np.abs(g) * problem.gain[:, None]
    for i, j in combinations(range(problem.width), 2):
        with np.errstate(all="ignore"):
            ratio = g[:, i] / g[:, j]
            logs = np.column_stack(
                [np.ones(len(x)), np.log(np.abs(x[:, i])), np.log(np.abs(x[:, j]))]
            )
            z = np.log(np.abs(ratio))
        weight = np.minimum(size[:, i] / (np.median(size[:, i]) or 1), 1) * np.minimum(
            size[:, j] / (np.median(size[:, j]) or 1), 1
        )
        good = np.isfinite(z) & np.isfinite(logs).all(1) & (weight > 0.05)
        if good.sum() < 20:
            continue
        # differences and sums, also of inputs of both signs
        r, w = ratio[good], weight[good]
        middle = float(np.median(r))
        doubt = float(np.median(np.abs(r - middle))) / max(abs(middle), 1e-300)
        near = _plain_or_inverse(middle)
        factors: list[tuple[float, Fraction | float]] = [(doubt, near)] if near else []
        factors += [(1.0, Fraction(k)) for k in (1, -1) if near != k]
        if not near and doubt < 0.05:
            factors.append((2 * doubt + 0.01, 1 / middle))
        for unsure, k in factors:
            k = 1 / k if isinstance(k, Fraction) else k
            total = _summed(problem, i, j, ("x", i), ("x", j), k)
            yield Idea(unsure, f"x{i} {float(k):+.4g} x{j}", abs(k) == 1, total)
        # sums of powers
        A = logs[good] * w[:, None]
        coef = np.linalg.lstsq(A, z[good] * w, rcond=1e-10)[0]
        left = np.abs(logs[good] @ coef - z[good])
        doubt = float(np.median(left)) * 1.5
        p, q = (_half(float(c)) for c in (coef[1] + 1, 1 - coef[2]))
        if doubt > _DOUBT or p is None or q is None or p == 0 or q == 0 or (p == 1 and q == 1):
            continue
        if any(e.denominator > 1 and x[:, k].min() < 0 for e, k in ((p, i), (q, j))):
            continue
        with np.errstate(all="ignore"):
            shape = float(p) * x[:, i] ** float(p - 1) / (float(q) * x[:, j] ** float(q - 1))
            k = float(np.median((shape / ratio)[good]))
        snapped = _plain_or_inverse(k)
        if snapped is not None and abs(float(snapped) - k) > 0.05 * abs(k):
            snapped = None
        total = _summed(problem, i, j, power(("x", i), p), power(("x", j), q), snapped or k)
        yield Idea(doubt, f"x{i}^{p} {k:+.3g} x{j}^{q}", False, total)


def _plain_or_inverse(value: float) -> Fraction | None:
    """A plain fraction near a value, or one over which it is; None if there is none."""
    if not math.isfinite(value) or value == 0:
        return None
    near = plain(value if abs(value) >= 1 else 1 / value, 0.1)
    return None if not near else near if abs(value) >= 1 else 1 / near


def _half(value: float) -> Fraction | None:
    near = Fraction(round(2 * value), 2)
    return near if abs(float(near) - value) < 0.25 and abs(near) <= 4 else None


def _summed(
    problem: Problem, i: int, j: int, first: Tree, second: Tree, k: Fraction | float
) -> Problem:
    factor: Tree = ("k", Fraction(k)) if isinstance(k, Fraction | int) else ("c", float(k))
    total = add(first, multiply(factor, second))
    rest: list[Tree] = [("x", n) for n in range(problem.width) if n not in (i, j)]
    return problem.with_inputs([total, *rest])


def noisier(problem: Problem, error: float) -> Problem:
    """The same problem, with the error of an approximation in it."""
    return replace(problem, noise=max(problem.noise, error * error))
