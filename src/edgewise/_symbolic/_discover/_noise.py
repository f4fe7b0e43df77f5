"""Tell noise from what a formula has missed."""

from __future__ import annotations

import numpy as np

from edgewise._symbolic._discover._surrogate import fit_surrogate
from edgewise._symbolic._discover._tree import Array

_SIGMAS = 4.0


def is_noise(x: Array, residual: Array, numbers: int = 0) -> bool:
    """Whether the inputs tell nothing about a residual.

    Neither do neighbors have similar residuals, nor does a polynomial in the inputs predict those
    of rows that it was not fitted to.

    Args:
        x: Inputs, (batch, inputs).
        residual: What a formula leaves, (batch,).
        numbers: How many constants were fitted.

    Returns:
        Whether it looks like noise.
    """
    r = residual - residual.mean()
    size = float(np.sqrt(np.mean(r * r)))
    if not np.isfinite(size) or size == 0:
        return bool(size == 0)
    r = np.clip(r / size, -5, 5)
    n = len(r)
    if x.shape[1] and abs(_alike(x, r)) > _SIGMAS + numbers / 5:
        return False
    for column in x.T:
        if (
            np.ptp(column) > 0
            and _in_a_row(np.sign(r[np.argsort(column, kind="stable")])) > _SIGMAS
        ):
            return False
    for most in (6, 20, 60):
        if 4 * most < n:
            s = fit_surrogate(x, r, np.ones(n), most=most)
            held = np.arange(n) % 5 == 0
            gain = float(np.mean(r[held] ** 2)) - (s.error**2 if s is not None else np.inf)
            if gain > _SIGMAS * np.sqrt(2 * most / n) / np.sqrt(0.2 * n) + 0.02:
                return False
    return True


def _in_a_row(signs: Array) -> float:
    """How much more often neighbors have one sign than chance brings, in standard deviations."""
    return float((signs[1:] * signs[:-1]).sum() / np.sqrt(len(signs) - 1))


def _alike(x: Array, r: Array) -> float:
    """How alike neighbors are, in standard deviations of what chance brings."""
    n = min(len(r), 1000)
    u = x[:n] / np.where(x.std(0) > 0, x.std(0), 1)
    squares = (u * u).sum(1)
    distance = squares[:, None] + squares[None] - 2 * u @ u.T
    np.fill_diagonal(distance, np.inf)
    near = distance.argmin(1)
    products = r[:n] * r[near]
    return float(products.sum() / np.sqrt((products**2).sum()))
