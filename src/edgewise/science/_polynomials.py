"""Relations that are polynomials, by linear algebra: an equation, or one variable of the others."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import torch
from torch import Tensor

_DEGREE = 3
_EXACT = 1e-7
"""What an exact polynomial may leave of its spread."""
_ROUNDING = 1e-7


def polynomial_equation(table: Tensor, names: Sequence[str]) -> tuple[Any, float] | None:
    """The sum of polynomials of one variable each that is zero on the rows, and what it leaves.

    None if there is no exact one of degree 3.
    """
    import sympy

    symbols = [sympy.Symbol(name, real=True) for name in names]
    terms = [s**k for s in symbols for k in range(1, _DEGREE + 1)]
    powers = torch.stack([c**k for c in table.T for k in range(1, _DEGREE + 1)], 1)
    centered = powers - powers.mean(0)
    scale = centered.std(0)
    _, sizes, directions = torch.linalg.svd(centered / scale, full_matrices=False)
    if float(sizes[-1]) > _EXACT * float(sizes[0]):
        return None
    weights = directions[-1] / scale
    share = directions[-1].abs()
    kept = [n for n in range(len(terms)) if share[n] > _ROUNDING * float(share.max())]
    if {terms[n].free_symbols.copy().pop() for n in kept} != set(symbols):
        return None  # some variable takes only a few values
    lead = float(weights[kept[0]])
    weights = weights / lead
    constant = -float(weights[kept] @ powers[:, kept].mean(0))
    expr = sum((_plain(float(weights[n])) * terms[n] for n in kept), sympy.Integer(0))
    return expr + _plain(constant), float(sizes[-1] / sizes[0])


def polynomial_of(table: Tensor, names: Sequence[str]) -> tuple[str, Any, float] | None:
    """One variable as a polynomial of the others, with products of two; None if none is exact."""
    import sympy

    symbols = [sympy.Symbol(name, real=True) for name in names]
    for target in range(len(names)):
        rest = [i for i in range(len(names)) if i != target]
        terms: list[Any] = [sympy.Integer(1)]
        columns = [torch.ones_like(table[:, 0])]
        exponents = [(i, a) for i in rest for a in (1, 2)]
        for i, a in exponents:
            terms.append(symbols[i] ** a)
            columns.append(table[:, i] ** a)
        for (i, a), (j, b) in combinations(exponents, 2):
            if i != j:
                terms.append(symbols[i] ** a * symbols[j] ** b)
                columns.append(table[:, i] ** a * table[:, j] ** b)
        A, y = torch.stack(columns, 1), table[:, target]
        if 3 * A.shape[1] > len(A):
            continue
        scale = A.norm(dim=0)
        c = torch.linalg.lstsq(A / scale, y[:, None]).solution[:, 0] / scale
        left = float((y - A @ c).std() / y.std())
        if left > _EXACT:
            continue
        share = c.abs() * scale
        kept = [n for n in range(len(terms)) if share[n] > _ROUNDING * float(share.max())]
        expr = sum((_plain(float(c[n])) * terms[n] for n in kept), sympy.Integer(0))
        return names[target], expr, left
    return None


def _plain(value: float) -> Any:
    """A number, as a plain fraction where it is one up to rounding."""
    import sympy

    near = sympy.Rational(round(12 * value), 12)
    return (
        near if abs(float(near) - value) <= _ROUNDING * max(1.0, abs(value)) else sympy.Float(value)
    )
