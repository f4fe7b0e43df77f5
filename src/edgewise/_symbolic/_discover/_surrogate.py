"""A smooth stand-in for the target: a polynomial in all inputs, with derivatives.

Chebyshev polynomials of the inputs (of their logarithms where these are positive and far apart) up
to the total degree, or with as many inputs at a time, as brings the least error on rows held out.
For smooth laws of few inputs its error falls faster than any power of the degree, and so do the
errors of its derivatives, from which the structure is read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import combinations
from math import comb

import numpy as np

from edgewise._symbolic._discover._tree import Array

_SHARE = 0.45
"""Terms for each row to fit, at most."""


@dataclass(frozen=True)
class Surrogate:
    """A polynomial fitted to rows.

    Attributes:
        error: The weighted root mean square error on rows held out.
        values: Its values on all rows, (batch,).
        gradient: Its derivatives in the inputs on all rows, (batch, inputs).
        powers: Its terms, (terms, inputs).
        coef: Their coefficients.
    """

    error: float
    values: Array
    gradient: Array
    powers: Array
    coef: Array
    _t: Array
    _dt: Array

    def second(self, i: int, j: int) -> Array:
        """The second derivatives in two inputs, i not j, (batch,)."""
        tables = [_chebyshev(self._t[:, k], int(self.powers.max(initial=0))) for k in (i, j)]
        kinds = {i: tables[0][1] * self._dt[:, i, None], j: tables[1][1] * self._dt[:, j, None]}
        return _design(self._t, self.powers, kinds) @ self.coef

    def part(self, inputs: Sequence[int]) -> Array:
        """The sum of its terms that have only these inputs, without the constant, (batch,)."""
        others = [i for i in range(self.powers.shape[1]) if i not in inputs]
        rows = (self.powers[:, others] == 0).all(1) & (self.powers.sum(1) > 0)
        return _design(self._t, self.powers[rows], {}) @ self.coef[rows]


def fit_surrogate(
    x: Array,
    y: Array,
    weights: Array,
    blocks: Sequence[Sequence[int]] | None = None,
    linear: int | None = None,
    most: int = 400,
) -> Surrogate | None:
    """Fit polynomials of growing degree and take the best on every fifth row.

    Args:
        x: Inputs, (batch, inputs).
        y: Targets, (batch,).
        weights: What an error counts, (batch,).
        blocks: Groups of inputs that do not appear together in a term; all may by default.
        linear: An input that appears to the first power only.
        most: How many terms at most.

    Returns:
        The polynomial, or None if the rows are too few.
    """
    n, d = x.shape
    held = np.arange(n) % 5 == 0
    if n < 10 or not (np.isfinite(weights).all() and np.isfinite(y).all()):
        return None
    weights = np.maximum(weights, 1e-9 * weights.max())
    t, dt = _coordinates(x, linear)
    terms = min(int(_SHARE * (~held).sum()), most)
    best: tuple[float, Array] | None = None
    for powers, cuts in _families(d, terms, blocks, linear):
        error, cut = _best_cut(_design(t, powers, {}) * weights[:, None], y * weights, held, cuts)
        if best is None or error < best[0]:
            best = (error, powers[:cut])
    if best is None:
        return None
    error, powers = best
    A = _design(t, powers, {})
    W = A * weights[:, None]
    if not np.isfinite(W).all():
        return None
    coef = np.linalg.lstsq(W[~held], (y * weights)[~held], rcond=1e-13)[0]
    r = (W @ coef - y * weights)[held]
    error = float(np.sqrt(np.mean(r * r)))
    top = int(powers.max(initial=0))
    gradient = np.empty_like(x)
    for i in range(d):
        slope = _chebyshev(t[:, i], top)[1] * dt[:, i, None]
        gradient[:, i] = _design(t, powers, {i: slope}) @ coef
    return Surrogate(error, A @ coef, gradient, powers, coef, t, dt)


def _coordinates(x: Array, linear: int | None) -> tuple[Array, Array]:
    """Inputs on [-1, 1], by logarithms where they span a factor of three, and the slopes."""
    t, dt = np.empty_like(x), np.empty_like(x)
    for i in range(x.shape[1]):
        column = x[:, i]
        u, du = column, np.ones_like(column)
        if i != linear and column.min() > 0 and column.max() > 3 * column.min():
            u, du = np.log(column), 1 / column
        low, high = u.min(), u.max()
        half = (high - low) / 2 or 1.0
        t[:, i], dt[:, i] = (u - (low + high) / 2) / half, du / half
    return t, dt


def _families(
    d: int, terms: int, blocks: Sequence[Sequence[int]] | None, linear: int | None
) -> list[tuple[Array, list[int]]]:
    """Sets of terms that grow with the degree: the largest set, and where to cut it."""
    if linear is not None:
        rest = [i for i in range(d) if i != linear]
        families = []
        for inner, cuts in _families(d - 1, terms // 2, None, None):
            full = np.zeros((2 * len(inner), d), dtype=int)
            full[:, rest] = np.repeat(inner, 2, axis=0)
            full[1::2, linear] = 1
            families.append((full, [2 * cut for cut in cuts]))
        return families
    if blocks is not None:
        return [_growing(d, blocks, terms)]
    if d == 0:
        return [(np.zeros((1, 0), dtype=int), [1])]
    families = [_growing(d, [range(d)], terms)]
    for most in (1, 2, 3):
        if most < d:
            families.append(_growing(d, list(combinations(range(d), most)), terms))
    return families


def _growing(d: int, blocks: Sequence[Sequence[int]], terms: int) -> tuple[Array, list[int]]:
    """Exponents in which only inputs of one block appear together, by their sum."""
    found: dict[tuple[int, ...], None] = {(0,) * d: None}
    cuts = []
    for degree in range(1, 61):
        for block in blocks:
            if (len(block) == 1 and d > 1 and degree > 40) or comb(
                len(block) + degree, degree
            ) > 2 * terms:
                continue
            for powers in _exactly(len(block), degree):
                full = [0] * d
                for i, p in zip(block, powers, strict=True):
                    full[i] = p
                found[tuple(full)] = None
        if len(found) > terms or (cuts and len(found) == cuts[-1]):
            break
        cuts.append(len(found))
    if not cuts:
        cuts = [1]
    return np.array(list(found))[: cuts[-1]], cuts


@cache
def _exactly(d: int, degree: int) -> tuple[tuple[int, ...], ...]:
    """All exponents of d inputs with this sum."""
    if d == 0:
        return ((),) if degree == 0 else ()
    if d == 1:
        return ((degree,),)
    return tuple((p, *rest) for p in range(degree + 1) for rest in _exactly(d - 1, degree - p))


def _best_cut(W: Array, z: Array, held: Array, cuts: list[int]) -> tuple[float, int]:
    """The cut with the least error on rows held out, by normal equations."""
    G = W[~held].T @ W[~held]
    b = W[~held].T @ z[~held]
    G[np.diag_indices_from(G)] *= 1 + 1e-14
    best = (np.inf, cuts[0])
    rises = 0
    for cut in cuts:
        try:
            L = np.linalg.cholesky(G[:cut, :cut])
            coef = np.linalg.solve(L.T, np.linalg.solve(L, b[:cut]))
        except np.linalg.LinAlgError:
            break
        r = W[held, :cut] @ coef - z[held]
        error = float(np.sqrt(np.mean(r * r)))
        if error < best[0]:
            best, rises = (error, cut), 0
        else:
            rises += 1
            if rises > 3:
                break
    return best


def _chebyshev(t: Array, degree: int) -> tuple[Array, Array]:
    """T_0 ... T_degree and their derivatives, (batch, degree + 1)."""
    T = np.empty((len(t), degree + 1))
    D = np.zeros_like(T)
    T[:, 0] = 1
    if degree:
        T[:, 1], D[:, 1] = t, 1
    for k in range(2, degree + 1):
        T[:, k] = 2 * t * T[:, k - 1] - T[:, k - 2]
        D[:, k] = 2 * T[:, k - 1] + 2 * t * D[:, k - 1] - D[:, k - 2]
    return T, D


def _design(t: Array, powers: Array, tables: dict[int, Array]) -> Array:
    """Products of the polynomials of each input, (batch, terms); of other tables where given."""
    A = np.ones((len(t), len(powers)))
    for i in range(t.shape[1]):
        p = powers[:, i]
        used = p > 0 if i not in tables else p >= 0
        if used.any():
            table = tables[i] if i in tables else _chebyshev(t[:, i], int(p.max()))[0]
            A[:, used] *= table[:, p[used]]
    return A
