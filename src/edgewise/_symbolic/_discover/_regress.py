"""Sums and products of few expressions: least squares of a linked target on all pairs of a library.

Under a link T the target is T(y) = b_1 f_1 + b_2 f_2 + ... with f from a library; under the
logarithm it is c x^p f_1^b_1 f_2^b_2 ..., with real exponents. Singles, pairs and triples are
ranked at once through the matrix of correlations, with the error weighed as it counts in y.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from edgewise._symbolic._discover._library import Library
from edgewise._symbolic._discover._problem import LINKS, Link, Problem, keeps_sign
from edgewise._symbolic._discover._tree import Array, Tree, add, evaluate, multiply, plain, power

_NATS = 3.0
_TINY = 1e-24
_OPEN = 40
_NEAR = 15.0
"""How many single expressions of one input are offered in noise, which leaves many of them nearly
as good as the best one, and up to how many nats from it; a third as many of several inputs."""
_DROPPED = 30.0
"""What factors that are left out may cost in nats; rows of little y are not in this count."""


@dataclass(frozen=True)
class _Cost:
    """What is left and how long it is, in nats."""

    rows: int
    floor: float

    def __call__(self, left: Any, lengths: Any) -> Any:
        fit = np.log(np.maximum(left, 0) + self.floor)
        return 0.5 * self.rows * fit + _NATS * lengths


@dataclass(frozen=True)
class _Columns:
    """Projected columns and what they are columns of."""

    F: Array  # (batch, features), unit length, free of the base
    z: Array  # (batch,), free of the base
    index: Array  # (features,) places in the library
    sizes: Array
    kinds: Array | None


def regress(
    problem: Problem,
    library: Library,
    rows: Array,
    links: tuple[str, ...],
    *,
    pairs: int = 2500,
    offers: int = 6,
    deep: int = 0,
) -> None:
    """Offer the best sums and products of one, two (and with `deep`, more) expressions.

    Args:
        problem: The problem.
        library: The expressions, evaluated on some rows.
        rows: Which rows.
        links: The links to try.
        pairs: How many expressions are paired.
        offers: How many sets to offer for each link.
        deep: From how many sets to go on to the next larger, up to five expressions.
    """
    for name in links:
        problem.pool.clock.check()
        link = LINKS[name]
        columns = _project(problem, library, rows, link)
        if columns is None:
            continue
        for chosen in _rank(problem, columns, pairs, offers, deep):
            trees = [library.tree(int(columns.index[k])) for k in chosen]
            _offer(problem, link, trees)


def _base(problem: Problem, link: Link, x: Array) -> Array:
    if link.name == "log":
        with np.errstate(all="ignore"):
            logs = np.log(np.abs(x))
        return np.column_stack([np.ones(len(x)), logs])
    return np.ones((len(x), 1))


def _project(problem: Problem, library: Library, rows: Array, link: Link) -> _Columns | None:
    """Free the target and all expressions of the base columns, with weights."""
    y, gain = problem.y[rows], problem.gain[rows]
    with np.errstate(all="ignore"):
        z = link.ahead(y)
        w = gain * link.slope(y)
        good = np.isfinite(z) & np.isfinite(w)
        if link.name in ("log", "inv", "invsquare"):
            good &= gain * np.abs(y) > 3 * math.sqrt(problem.noise)
    if good.mean() < (0.8 if link.name != "log" or problem.noise == 0 else 0.15):
        return None
    if link.name in ("square", "invsquare") and not keeps_sign(problem, link):
        return None
    B = _base(problem, link, problem.x[rows])
    good &= np.isfinite(B).all(1)
    if good.sum() < B.shape[1] + 10:
        return None
    w = w[good] / w[good].max()
    w = np.maximum(w, 1e-6)
    Q, _ = np.linalg.qr(B[good] * w[:, None])
    z = z[good] * w
    before = float(np.linalg.norm(z))
    z = z - Q @ (Q.T @ z)
    size = float(np.linalg.norm(z))
    if size <= 1e-13 * before:
        return None
    V = library.values[:, good]
    with np.errstate(all="ignore"):
        if link.name == "log":
            V = np.log(np.abs(V))
        finite = np.isfinite(V).all(1)
    index = np.flatnonzero(finite)
    F = V[finite].T * w[:, None]
    norms = np.linalg.norm(F, axis=0)
    F = F - Q @ (Q.T @ F)
    F = F - Q @ (Q.T @ F)
    after = np.linalg.norm(F, axis=0)
    kept = after > 1e-7 * norms
    F, index = F[:, kept] / after[kept], index[kept]
    if not len(index):
        return None
    keys = np.round(F * np.sign(F[np.abs(F).argmax(0), np.arange(len(index))]), 8) + 0.0
    _, first = np.unique(keys[: min(len(keys), 24)], axis=1, return_index=True)
    first.sort()
    F, index = F[:, first], index[first]
    kinds = None if library.kinds is None else library.kinds[index]
    return _Columns(F, z / size, index, library.sizes[index], kinds)


def _rank(
    problem: Problem, columns: _Columns, pairs: int, offers: int, deep: int
) -> list[tuple[int, ...]]:
    """The sets of expressions that leave least, weighed with their lengths."""
    F, z, sizes = columns.F, columns.z, columns.sizes
    n = len(problem.y)
    noise = problem.noise / max(problem.pool.scale**2, 1e-300)
    floor = max(_TINY, noise)

    cost = _Cost(n, floor)
    c = F.T @ z
    found: list[tuple[float, tuple[int, ...]]] = []
    single = cost(1 - c * c, sizes + 1)
    many = (_OPEN if problem.width == 1 else _OPEN // 3) if problem.noise else offers
    top = np.argsort(single, kind="stable")[: max(many, offers)]
    top = top[(np.arange(len(top)) < offers) | (single[top] < single[top[0]] + _NEAR)]
    near: list[tuple[int, ...]] = [(int(k),) for k in top]
    found += [(float(single[k]), (int(k),)) for k in top[:offers]]
    singles: list[tuple[int, ...]] = [(int(k),) for k in top[:3]]
    if columns.kinds is not None:
        order = np.argsort(single, kind="stable")
        for kind in dict.fromkeys(columns.kinds[order].tolist()):
            alike = order[columns.kinds[order] == kind]  # starts on both sides of the best
            singles += [(int(alike[k]),) for k in (0, 2, 5) if k < len(alike)]
    m = min(pairs, len(c))
    G = F[:, :m].T @ F[:, :m]
    best: list[tuple[float, tuple[int, int]]] = []
    wide = max(offers, deep)
    for start in range(0, m, 500):
        block = slice(start, min(start + 500, m))
        g = G[block]
        with np.errstate(all="ignore"):
            gone = c[block, None] ** 2 + c[None, :m] ** 2 - 2 * c[block, None] * c[None, :m] * g
            gone /= 1 - g * g
        gone[g * g > 1 - 1e-7] = 0
        gone[np.arange(block.stop - start)[:, None] + start >= np.arange(m)[None]] = 0
        price = cost(1 - gone, sizes[block, None] + sizes[None, :m] + 2)
        flat = np.argpartition(price.ravel(), min(3 * wide, price.size - 1))[: 3 * wide]
        for place in flat:
            i, j = divmod(int(place), m)
            if gone[i, j] > 0:
                best.append((float(price[i, j]), (start + i, j)))
    best = sorted(best)[: 3 * wide]
    best = sorted((_exact_cost(columns, chosen, cost), chosen) for _, chosen in best)
    found += best[:offers]
    front: list[tuple[float, tuple[int, ...]]] = sorted([*found, *best])[:deep]
    for _ in range(3):
        front = _longer(columns, front, cost, deep)
        found += front[:offers]
    found.sort()
    return list(dict.fromkeys([chosen for _, chosen in found[: 2 * offers]] + singles + near))


def _exact_cost(columns: _Columns, chosen: tuple[int, ...], cost: _Cost) -> float:
    A = columns.F[:, list(chosen)]
    Q, _ = np.linalg.qr(A)
    r = columns.z - Q @ (Q.T @ columns.z)
    length = columns.sizes[list(chosen)].sum() + len(chosen)
    return float(cost(r @ r, length))


def _longer(
    columns: _Columns, front: list[tuple[float, tuple[int, ...]]], cost: _Cost, deep: int
) -> list[tuple[float, tuple[int, ...]]]:
    """The best sets with one expression more."""
    F, z = columns.F, columns.z
    found: dict[tuple[int, ...], float] = {}
    for _, chosen in front:
        Q, _ = np.linalg.qr(F[:, list(chosen)])
        r = z - Q @ (Q.T @ z)
        inner = Q.T @ F
        norms = 1 - (inner * inner).sum(0)
        with np.errstate(all="ignore"):
            gone = (F.T @ r) ** 2 / norms
        gone[norms < 1e-7] = 0
        length = columns.sizes[list(chosen)].sum() + columns.sizes + len(chosen) + 1
        price = cost(float(r @ r) - gone, length)
        for k in np.argsort(price, kind="stable")[:6]:
            more = tuple(sorted((*chosen, int(k))))
            if len(set(more)) == len(more):
                found[more] = float(price[k])
    ranked = sorted((p, chosen) for chosen, p in found.items())[: 2 * deep]
    return sorted((_exact_cost(columns, chosen, cost), chosen) for _, chosen in ranked)[:deep]


def _offer(problem: Problem, link: Link, trees: list[Tree]) -> None:
    """Fit the coefficients on all rows, drop what is nothing, offer what is left."""
    if link.name == "log":
        _offer_product(problem, trees)
        return
    with np.errstate(all="ignore"):
        z = link.ahead(problem.y)
        w = problem.gain * link.slope(problem.y)
    A = np.column_stack([np.ones(len(z)), *(evaluate(t, problem.x) for t in trees)])
    good = np.isfinite(A).all(1) & np.isfinite(z) & np.isfinite(w)
    coef, errors = least_squares(A[good], z[good], w[good])
    size = np.abs(coef) * np.abs(A[good]).mean(0)
    keep = (size > 1e-9 * size.max()) & (np.abs(coef) > 2 * errors)
    keep[1:] |= not keep[1:].any()
    terms = [("c", float(c)) for c, k in zip(coef[:1], keep[:1], strict=True) if k]
    terms += [
        multiply(("c", float(c)), t) for c, t, k in zip(coef[1:], trees, keep[1:], strict=True) if k
    ]
    signs = np.sign(problem.y)
    sign = 1 if signs.sum() >= 0 else -1
    problem.offer(link.back(add(*terms), sign))


def _offer_product(problem: Problem, trees: list[Tree]) -> None:
    x, y = problem.x, problem.y
    values = [evaluate(t, x) for t in trees]
    with np.errstate(all="ignore"):
        A = np.column_stack(
            [np.ones(len(y)), *np.log(np.abs(x)).T, *(np.log(np.abs(v)) for v in values)]
        )
        z = np.log(np.abs(y))
    w = problem.gain * np.abs(y)
    good = np.isfinite(A).all(1) & np.isfinite(z)
    if problem.noise:
        good &= w > 3 * math.sqrt(problem.noise)
    if good.sum() < A.shape[1] + 5:
        return
    bases = [("x", i) for i in range(x.shape[1])] + trees
    columns = [*x.T, *values]
    every = list(range(len(bases)))
    kept = [every]
    if problem.noise:
        kept += _fewer(A[good], z[good], w[good])
    for places in kept:
        B = A[good][:, [0, *(k + 1 for k in places)]]
        coef, errors = least_squares(B, z[good], w[good])
        _offer_powers(
            problem, coef, errors, [bases[k] for k in places], [columns[k] for k in places]
        )


def _fewer(A: Array, z: Array, w: Array) -> list[list[int]]:
    """The factors that are left when those that are worth least are dropped one by one."""
    places = list(range(A.shape[1] - 1))

    def left(chosen: list[int]) -> float:
        B = A[:, [0, *(k + 1 for k in chosen)]]
        r = (B @ least_squares(B, z, w)[0] - z) * w
        return float(r @ r)

    now, found = left(places), []
    while len(places) > 1:
        rest = [[k for k in places if k != drop] for drop in places]
        losses = [left(chosen) for chosen in rest]
        best = int(np.argmin(losses))
        if 0.5 * len(z) * math.log(losses[best] / now) > _DROPPED:
            break
        places = rest[best]
        found.append(places)
    return found


def _offer_powers(
    problem: Problem, coef: Array, errors: Array, bases: list[Tree], columns: list[Array]
) -> None:
    """Offer the product of powers, with plain exponents where the errors allow it."""
    x, y = problem.x, problem.y
    for factor in (4.0, 0.0):
        factors: list[Tree] = []
        product = np.ones(len(y))
        for p, e, base, column in zip(coef[1:], errors[1:], bases, columns, strict=True):
            near = plain(float(p), min(max(factor * float(e), 1e-6), 0.2)) if factor else None
            if near == 0:
                continue
            exponent = float(p) if near is None else near
            if column.min() <= 0 and not (
                isinstance(exponent, Fraction) and exponent.denominator == 1
            ):
                base = ("Abs", base) if column.max() > 0 else multiply(("k", -1), base)
            factors.append(power(base, exponent))
            with np.errstate(all="ignore"):
                product = product * evaluate(factors[-1], x)
        if not factors:
            continue
        with np.errstate(all="ignore"):
            signs = np.sign(y * product)
        sign = 1.0 if np.where(np.isfinite(signs), signs, 0).sum() >= 0 else -1.0
        problem.offer(multiply(("c", sign * math.exp(min(float(coef[0]), 700.0))), *factors))
        if all((isinstance(f[-1], tuple) and f[-1][0] == "k") or f[0] != "^" for f in factors):
            break


def least_squares(A: Array, z: Array, w: Array) -> tuple[Array, Array]:
    """Weighted least squares: coefficients and their standard errors."""
    w = w / (w.max() or 1.0)
    scale = np.sqrt(((A * w[:, None]) ** 2).mean(0))
    scale = np.where(scale > 0, scale, 1.0)
    W = A * w[:, None] / scale
    coef, _, _, _ = np.linalg.lstsq(W, z * w, rcond=1e-13)
    r = W @ coef - z * w
    variance = float(r @ r) / max(len(z) - len(coef), 1)
    diagonal = np.diag(np.linalg.pinv(W.T @ W, rcond=1e-13))
    return coef / scale, np.sqrt(np.maximum(variance * diagonal, 0)) / scale
