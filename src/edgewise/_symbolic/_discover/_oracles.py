"""Closed forms that least squares finds at once: monomials, polynomials, rational functions."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import product

import numpy as np

from edgewise._symbolic._discover._problem import LINKS, Problem, linked
from edgewise._symbolic._discover._tree import (
    Array,
    Tree,
    add,
    multiply,
    plain,
    power,
)

_RATIONAL = (
    (1, 1),
    (2, 1),
    (1, 2),
    (2, 2),
    (3, 1),
    (1, 3),
    (3, 2),
    (2, 3),
    (3, 3),
    (4, 2),
    (5, 2),
    (4, 4),
)
_SPARE = 10.0
"""How many times what the digits of a table lost, as a share, a sum of terms may miss at most."""
_SIGMAS = 5.0
"""Standard errors above which a coefficient of a rounded table is not zero."""


def monomial(problem: Problem) -> None:
    """Offer c x_1^p_1 x_2^p_2 ... by least squares on logarithms."""
    x, y = problem.x, problem.y
    if not ((y != 0).all() and (x != 0).all()):
        return
    A = np.column_stack([np.ones(len(y)), np.log(np.abs(x))])
    w = problem.gain * np.abs(y)
    w = w / (w.max() or 1.0)
    coef = np.linalg.lstsq(A * w[:, None], np.log(np.abs(y)) * w, rcond=None)[0]
    r = (A @ coef - np.log(np.abs(y))) * w
    try:
        inverse = np.linalg.inv((A * w[:, None]).T @ (A * w[:, None]))
    except np.linalg.LinAlgError:
        return
    errors = np.sqrt(np.maximum(np.diag(inverse) * (r * r).mean(), 0))
    for factor in (4.0, 0.0):
        factors: list[Tree] = []
        for i, (p, e) in enumerate(zip(coef[1:], errors[1:], strict=True)):
            near = plain(float(p), min(max(factor * float(e), 1e-7), 0.2)) if factor else None
            if near == 0:
                continue
            base: Tree = ("x", i)
            exponent = float(p) if near is None else near
            if (x[:, i] < 0).any() and not _is_whole(exponent):
                base = ("Abs", base)
            factors.append(power(base, exponent))
        sign = np.sign(np.median(np.sign(y)))
        if factors:
            problem.offer(
                multiply(("c", float(sign or 1.0) * math.exp(min(coef[0], 700))), *factors)
            )


def _is_whole(exponent: float | Fraction) -> bool:
    return isinstance(exponent, Fraction | int) and Fraction(exponent).denominator == 1


def exponents(d: int, degree: int) -> Array:
    """All exponents of d inputs with a sum up to the degree, the lowest first."""
    if d > 6 and degree > 3:
        rows = [p for p in product(range(2), repeat=d) if sum(p) <= degree]
        return np.array(sorted(rows, key=sum))
    rows = _within(d, degree)
    return np.array(sorted(rows, key=sum))


def _within(d: int, degree: int) -> list[tuple[int, ...]]:
    if d == 0:
        return [()]
    return [(p, *rest) for p in range(degree + 1) for rest in _within(d - 1, degree - p)]


def monomials(x: Array, powers: Array) -> Array:
    """Their values, (batch, terms)."""
    A = np.ones((len(x), len(powers)))
    for i in range(x.shape[1]):
        A *= x[:, i, None] ** powers[:, i]
    return A


def as_tree(powers: Array, coef: Array) -> Tree:
    """A polynomial as a tree, with free coefficients."""
    terms = []
    for row, c in zip(powers.tolist(), coef, strict=True):
        factors = [power(("x", i), Fraction(p)) for i, p in enumerate(row) if p]
        terms.append(multiply(("c", float(c)), *factors))
    return add(*terms)


def polynomial(problem: Problem, links: tuple[str, ...], most: int = 260) -> None:
    """Offer sparse polynomials of T(y) where a full one of some degree is exact."""
    d = problem.width
    for name in links:
        target = linked(problem, LINKS[name])
        if target is None:
            continue
        tried = 0
        for degree in range(1, 11):
            powers = exponents(d, degree)
            if len(powers) > min(most, 0.4 * len(problem.y)):
                break
            if len(powers) == tried:
                continue
            tried = len(powers)
            problem.pool.clock.check()
            A = monomials(target.x, powers)
            if (sparse := _terms(target, A)) is not None:
                keep, coef = sparse
                if len(keep) <= 16:
                    target.offer(as_tree(powers[keep], coef))
                if not target.pool.share:  # to a few digits a lower degree may do, and a higher be
                    break


def low_degree(problem: Problem, links: tuple[str, ...]) -> None:
    """Offer full polynomials of low degree for T(y), fitted in y: for rows with noise."""
    for name in links:
        target = linked(problem, LINKS[name])
        if target is None:
            continue
        for degree in range(1, 5):
            powers = exponents(problem.width, degree)
            if len(powers) > 6:
                break
            A = monomials(target.x, powers)
            w = target.gain / (target.gain.max() or 1.0)
            if np.isfinite(A).all() and np.isfinite(w).all():
                coef = np.linalg.lstsq(A * w[:, None], target.y * w, rcond=1e-13)[0]
                target.offer(as_tree(powers, coef))


def _terms(target: Problem, A: Array) -> tuple[Array, Array] | None:
    """The few columns whose sum is T(y), as far as the table's digits go; they count in y."""
    pool = target.pool
    if not pool.share:
        return exact_terms(A, target.y)
    rows = target.gain
    tolerance = max(1e-9, _SPARE * pool.share) * pool.scale
    return exact_terms(A * rows[:, None], target.y * rows, tolerance, _SIGMAS)


def exact_terms(
    A: Array, y: Array, tolerance: float | None = None, sigmas: float = 0.0
) -> tuple[Array, Array] | None:
    """The few columns whose sum is y to rounding, or None.

    Args:
        A: The columns, (batch, terms).
        y: The target, (batch,).
        tolerance: What each row may miss; by default next to nothing beside the size of y.
        sigmas: How many standard errors a coefficient that is not zero has.
    """
    size = math.sqrt(float((y * y).mean())) or 1.0
    tolerance = 1e-9 * size if tolerance is None else tolerance
    scale = np.sqrt((A * A).mean(0))
    held = np.arange(len(y)) % 4 == 0
    if not (np.isfinite(A).all() and (scale > 0).all()):
        return None
    coef = np.linalg.lstsq(A[~held] / scale, y[~held], rcond=1e-14)[0]
    if not np.abs(A[held] / scale @ coef - y[held]).max() < tolerance:
        return None
    least = np.full(len(coef), 1e-7 * np.abs(coef).max())
    if sigmas:
        r = A / scale @ coef - y
        inverse = np.linalg.pinv(A / scale)
        least = np.maximum(least, sigmas * np.sqrt((inverse**2).sum(1) * np.mean(r * r)))
    keep = np.flatnonzero(np.abs(coef) > least)
    coef = np.linalg.lstsq(A[:, keep] / scale[keep], y, rcond=1e-14)[0]
    if not np.abs(A[:, keep] / scale[keep] @ coef - y).max() < tolerance:
        return None
    return keep, coef / scale[keep]


def rational(problem: Problem, links: tuple[str, ...], most: int = 200) -> None:
    """Offer p(x) / q(x) for T(y): the vector (p, q) with p - q T(y) = 0, by SVD."""
    for name in links:
        target = linked(problem, LINKS[name])
        if target is None:
            continue
        for up, down in _RATIONAL:
            P, Q = exponents(target.width, up), exponents(target.width, down)
            if len(P) + len(Q) > min(most, 0.4 * len(target.y)):
                continue
            problem.pool.clock.check()
            tree = _fraction(target, P, Q)
            if tree is not None:
                target.offer(tree)
                break


def _fraction(problem: Problem, P: Array, Q: Array) -> Tree | None:
    x, y = problem.x, problem.y
    A = np.column_stack([monomials(x, P), -y[:, None] * monomials(x, Q)])
    scale = np.sqrt((A * A).mean(0))
    if not (np.isfinite(A).all() and (scale > 0).all()):
        return None
    lost = problem.pool.share
    values = np.linalg.eigvalsh((A / scale).T @ (A / scale) / len(y))
    if values[0] > max(1e-11, lost**2) * values[-1]:
        return None
    _, s, Vt = np.linalg.svd(A / scale, full_matrices=False)
    if s[-1] > max(1e-11, lost) * s[0] or s[-2] < max(1e-10 * s[0], 2 * s[-1]):
        return None
    v = Vt[-1]
    least = np.full(len(v), 1e-6 * np.abs(v).max())
    if lost:  # what small changes of A add to v of the other vectors
        mixed = s[-1] / s[:-1] / math.sqrt(len(y))
        least = np.maximum(least, _SIGMAS * np.sqrt((mixed[:, None] ** 2 * Vt[:-1] ** 2).sum(0)))
    v = np.where(np.abs(v) > least, v, 0) / scale
    top, bottom = v[: len(P)], v[len(P) :]
    if not (top.any() and bottom.any()) or (v != 0).sum() > 16:
        return None
    lead = np.flatnonzero(bottom)[0]
    v = v / bottom[lead]
    top, bottom = v[: len(P)], v[len(P) :]
    kept = np.flatnonzero(bottom)
    denominator = [
        multiply(
            ("k", 1) if k == lead else ("c", float(bottom[k])),
            *(power(("x", i), Fraction(int(p))) for i, p in enumerate(Q[k]) if p),
        )
        for k in kept
    ]
    used = np.flatnonzero(top)
    return multiply(as_tree(P[used], top[used]), power(add(*denominator), -1))
