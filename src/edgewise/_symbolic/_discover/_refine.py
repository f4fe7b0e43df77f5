"""Fit all constants of a tree to the rows together, to rounding: Levenberg–Marquardt."""

from __future__ import annotations

import math

import numpy as np

from edgewise._symbolic._discover._tree import (
    Array,
    Tree,
    constants,
    derivatives,
    evaluate,
    with_constants,
)


def mean_square(tree: Tree, x: Array, y: Array) -> float:
    """The mean square error of a tree; infinite where it has no value."""
    with np.errstate(all="ignore"):
        error = float(np.mean((evaluate(tree, x) - y) ** 2))
    return error if math.isfinite(error) else math.inf


def refine(tree: Tree, x: Array, y: Array, steps: int = 30) -> tuple[Tree, float]:
    """Fit the constants; a step is taken only if it lowers the error.

    Args:
        tree: The tree; its constants are where the fit starts.
        x: Inputs, (batch, inputs).
        y: Targets, (batch,).
        steps: How many steps at most.

    Returns:
        The tree with its new constants and its mean square error.
    """
    theta = np.array(constants(tree))
    best = mean_square(tree, x, y)
    if not len(theta) or not math.isfinite(best):
        return tree, best
    damping, small = 1e-4, 0
    for _ in range(steps):
        value, J = derivatives(tree, x)
        if not np.isfinite(J).all():
            break
        with np.errstate(all="ignore"):
            scale = np.sqrt((J * J).sum(0))
            scale = np.where((scale > 0) & np.isfinite(scale), scale, 1.0)
            r = y - value
        step = None
        for _ in range(6):
            rows = np.vstack([J / scale, math.sqrt(damping) * np.eye(len(theta))])
            try:
                move = np.linalg.lstsq(rows, np.append(r, np.zeros(len(theta))), rcond=None)[0]
            except np.linalg.LinAlgError:
                break
            trial = _moved(tree, theta + move / scale)
            error = mean_square(trial, x, y)
            if error < best:
                step = (trial, theta + move / scale, error)
                damping = max(damping / 10, 1e-15)
                break
            damping *= 10 if damping > 1e-10 else 1e4
        if step is None:
            break
        gain = best - step[2]
        tree, theta, best = step
        small = small + 1 if gain < 1e-3 * best else 0
        if small >= 3 or best == 0:
            break
    return tree, best


def _moved(tree: Tree, theta: Array) -> Tree:
    return with_constants(tree, iter([("c", float(t)) for t in theta]))


def standard_errors(tree: Tree, x: Array, y: Array) -> Array:
    """The standard errors of the constants, infinite where the data do not determine one."""
    value, J = derivatives(tree, x)
    count = J.shape[1]
    scale = np.sqrt((J * J).sum(0))
    if not (np.isfinite(J).all() and (scale > 0).all()):
        return np.full(count, math.inf)
    _, s, V = np.linalg.svd(J / scale, full_matrices=False)
    kept = s > 1e-9 * s[0]
    variance = float(((y - value) ** 2).sum()) / max(len(y) - count, 1)
    diagonal = (V[kept].T ** 2 / s[kept] ** 2).sum(1)
    diagonal[(V[~kept].T ** 2).sum(1) > 1e-6] = math.inf
    return np.sqrt(variance * diagonal) / scale
