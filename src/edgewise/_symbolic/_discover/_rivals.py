"""Which other laws the rows cannot tell from the best one: then none of them is claimed."""

from __future__ import annotations

import numpy as np

from edgewise._symbolic._discover._pool import Candidate
from edgewise._symbolic._discover._refine import mean_square, refine
from edgewise._symbolic._discover._tree import Array, Tree, evaluate, with_free_constants

_APART = 6.0
"""Nats of cost between two laws from which the rows, and the lengths, tell them apart."""
_SHORT = 12
_FOR_EACH = 0.5
"""Nats more for each symbol of a law that is longer than that: there are more laws like it."""
_SAME = 1e-8
"""The difference, as a share of the size of y, of two ways to write one law."""


def rivals(ranked: list[tuple[float, Candidate]], x: Array) -> list[Candidate]:
    """The candidates of nearly the least cost that are other laws than the best.

    Two are one law if one becomes the other with other constants: then the longer one holds the
    shorter.

    Args:
        ranked: Costs and candidates, the least cost first.
        x: Inputs, (batch, inputs).

    Returns:
        The others, the best first.
    """
    least, best = ranked[0]
    apart = _APART + _FOR_EACH * max(best.size + best.numbers - _SHORT, 0)
    found: list[Candidate] = []
    for cost, other in ranked[1:]:
        if cost > least + apart:
            break
        if not any(_is_one_law(other.tree, known.tree, x) for known in [best, *found]):
            found.append(other)
    return found


def _is_one_law(first: Tree, second: Tree, x: Array) -> bool:
    return _becomes(first, second, x) or _becomes(second, first, x)


def _becomes(tree: Tree, other: Tree, x: Array) -> bool:
    """Whether a tree has the values of another for some constants."""
    values = evaluate(other, x)
    if not np.isfinite(values).all():
        return False
    small = (_SAME * float(np.sqrt(np.mean(values * values)))) ** 2
    free = with_free_constants(tree)
    if mean_square(free, x, values) <= small:
        return True
    return refine(free, x, values, 40)[1] <= small
