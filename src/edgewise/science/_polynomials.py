"""A variable that is a polynomial of others, by linear algebra."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import torch
from torch import Tensor

_EXACT = 1e-7
"""What an exact polynomial may leave of its spread."""
_ROUNDING = 1e-7


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
