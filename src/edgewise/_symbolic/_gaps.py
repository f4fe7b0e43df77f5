"""Where a formula has no value: poles, and roots and logarithms of what has none there.

Only what can be known without the law is said: whether the formula itself breaks down in the box of
the rows, and in a wider one. Each part that may is evaluated on points of the box and its corners.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np

_POINTS = 2000
_CORNERS = 8
"""Inputs up to which all corners of the box are looked at."""


def gaps(expr: Any, symbols: Sequence[Any], ranges: Any, beyond: float) -> tuple[str, ...]:
    """Say which parts of an expression have a pole or no value, in the box and beyond it.

    Args:
        expr: A SymPy expression.
        symbols: The symbols of the inputs.
        ranges: From where to where each input goes, (inputs, 2).
        beyond: The share of its range by which each input is let go further on both sides; one
            that is positive stays so.

    Returns:
        Sentences, what happens inside first.
    """
    inner = np.asarray(ranges, dtype=float).reshape(-1, 2)
    wide = _wider(inner, beyond)
    said: list[tuple[bool, str]] = []
    parts = _delicate(expr)
    for argument, text, breaks in parts:
        for outside, box in ((False, inner), (True, wide)):
            if breaks(_values(argument, symbols, box)):
                where = "beyond the range of the rows" if outside else "between the rows"
                said.append((outside, f"{text} {where}."))
                break
    return tuple(text for _, text in sorted(dict.fromkeys(said), key=lambda s: s[0]))


def _wider(box: np.ndarray, share: float) -> np.ndarray:
    reach = share * np.ptp(box, axis=1)
    low, high = box[:, 0] - reach, box[:, 1] + reach
    low = np.where((box[:, 0] > 0) & (low <= 0), box[:, 0] / (1 + 2 * share), low)
    return np.column_stack([low, high])


def _values(expr: Any, symbols: Sequence[Any], box: np.ndarray) -> np.ndarray:
    """The values of a part in a box; those that are not real numbers are left out."""
    import sympy

    x = np.random.default_rng(0).uniform(box[:, 0], box[:, 1], (_POINTS, len(box)))
    if len(box) <= _CORNERS:
        x = np.vstack([x, *product(*box)])
    with np.errstate(all="ignore"):
        v = np.broadcast_to(sympy.lambdify(symbols, expr, ["numpy", "scipy"])(*x.T), (len(x),))
        return np.real(v[np.isfinite(v) & (np.imag(v) == 0)]).astype(float)


def _delicate(expr: Any) -> list[tuple[Any, str, Any]]:
    """The arguments that decide whether there is a value: what it is told by, and when."""
    import sympy
    from sympy.core.function import AppliedUndef

    from edgewise._symbolic._formula import shorten

    found: list[tuple[Any, str, Any]] = []
    for part in sympy.preorder_traversal(expr):
        if not part.free_symbols or part.atoms(AppliedUndef):
            continue
        inner, shown = part.args[0] if part.args else None, shorten(part)
        none, pole = f"{shown} has no value for some inputs", f"{shown} has a pole"
        if isinstance(part, sympy.Pow) and part.exp.is_number:
            if not part.exp.is_integer:
                found.append((inner, none, _is_negative))
            if part.exp.is_negative:
                found.append((inner, pole, _is_zero))
        elif isinstance(part, sympy.log):
            found.append((inner, none, _is_negative))
        elif isinstance(part, sympy.asin | sympy.acos | sympy.atanh):
            found.append((inner, none, _is_above_one))
        elif isinstance(part, sympy.tan):
            found.append((sympy.cos(inner), pole, _is_zero))
    return found


def _is_negative(v: np.ndarray) -> bool:
    return bool((v < 0).any())


def _is_zero(v: np.ndarray) -> bool:
    """Whether it is zero somewhere, or goes through it."""
    return bool((v == 0).any() or ((v < 0).any() and (v > 0).any()))


def _is_above_one(v: np.ndarray) -> bool:
    return bool((np.abs(v) > 1 + 1e-12).any())
