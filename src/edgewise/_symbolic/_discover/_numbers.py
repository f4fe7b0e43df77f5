"""Put exact numbers in the place of fitted constants, where the rows do not object."""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction

from edgewise._symbolic._discover._refine import mean_square, refine, standard_errors
from edgewise._symbolic._discover._tree import Array, Tree, constants, with_constants
from edgewise._symbolic._snap import Exact, snap

_CHANCE = 4.5
"""Nats that a constant less may cost: three sigma."""


def exact_numbers(
    tree: Tree,
    x: Array,
    y: Array,
    floor: float,
    given: Mapping[str, float],
    unsure: float = 1.0,
) -> tuple[Tree, float]:
    """Replace constants by exact numbers, the plainest first, and refit the others after each.

    Args:
        tree: The tree, fitted to the rows.
        x: Inputs, (batch, inputs).
        y: Targets, (batch,).
        floor: The mean square error below which it does not matter.
        given: Named numbers that may stand in the formula.
        unsure: How many times a standard error, which takes errors to be alike in all rows, a
            constant is off.

    Returns:
        The tree and its mean square error.
    """
    tree, loss = refine(tree, x, y)
    refused: set[float] = set()
    while True:
        values = constants(tree)
        errors = standard_errors(tree, x, y) if values else []
        found: list[tuple[float, int, Exact]] = []
        for k, (value, error) in enumerate(zip(values, errors, strict=True)):
            if value in refused:
                continue
            if math.isinf(error):  # others can do what it does
                plain = math.copysign(1.0, value)
                found.append((0.0, k, Exact(plain, 0.0, Fraction(plain), "1")))
            elif (near := snap(value, unsure * float(error), abs(value), given)) is not None:
                found.append((near.bits, k, near))
        if not found:
            return tree, loss
        _, place, number = min(found)
        trial = with_constants(
            tree, iter([("c", v) if k != place else ("k", number) for k, v in enumerate(values)])
        )
        trial, error = refine(trial, x, y, 15)
        gain = 0.5 * len(y) * math.log(max(error, floor) / max(loss, floor))
        if math.isfinite(error) and gain < _CHANCE:
            tree, loss = trial, error
        else:
            refused.add(values[place])


def simplified(tree: Tree, x: Array, y: Array, floor: float) -> Tree:
    """Leave out parts without which the tree fits as well, but for chance or below the floor."""
    limit = max(mean_square(tree, x, y), floor) * math.exp(2 * _CHANCE / len(y))
    for smaller in _smaller(tree):
        fitted, error = refine(smaller, x, y, 10)
        if error <= limit:
            return simplified(fitted, x, y, floor)
    return tree


def _smaller(tree: Tree) -> list[Tree]:
    """The trees with one operand less."""
    kind = tree[0]
    if kind in ("x", "c", "k"):
        return []
    found: list[Tree] = []
    if kind in ("+", "*"):
        found += [part for part in tree[1:] if part[0] != "k"]
    for place, part in enumerate(tree[1:], 1):
        found += [(*tree[:place], less, *tree[place + 1 :]) for less in _smaller(part)]
    return found
