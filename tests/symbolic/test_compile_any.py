"""Random expressions: each is compiled to what it is, up to rounding, or refused with a reason."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest
import sympy
import torch

import edgewise as ew
from edgewise._symbolic._formula import write
from rounding import EPS, rounded

SYMBOLS = sympy.symbols("x_1 x_2 x_3", real=True)
EXPONENTS = [2, 3, -1, -2, 7, *map(sympy.Rational, ("1/2", "-1/2", "2/3", "-5/7")), sympy.pi]
FUNCTIONS = [
    *(sympy.sin, sympy.cos, sympy.tan, sympy.sinh, sympy.cosh, sympy.tanh, sympy.asin, sympy.acos),
    *(sympy.atan, sympy.atanh, sympy.exp, sympy.log, sympy.erf, sympy.Abs, sympy.sign, sympy.sqrt),
    *(sympy.cbrt, sympy.sec, sympy.csc, sympy.cot, sympy.sech, sympy.csch, sympy.coth, sympy.acot),
    *(lambda u: 1 / (1 + sympy.exp(-u)), lambda u: sympy.exp(-(u**2))),
]
CASES = 25
"""Expressions for each seed."""


class Draw:
    """Draw expressions of three variables."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def number(self) -> Any:
        """A whole number, a fraction, a decimal, or one of the famous ones."""
        draw = self._random
        whole = sympy.Integer(draw.choice([-5, -3, -2, -1, 1, 2, 3, 5]))
        fraction, decimal = whole / draw.randint(2, 9), sympy.Float(draw.uniform(-3, 3), 17)
        famous = draw.choice([sympy.pi, sympy.E, sympy.sqrt(2), sympy.pi / 3])
        return draw.choice([whole, fraction, decimal, famous])

    def some(self, depth: int, low: int, high: int) -> list[Any]:
        """Several expressions."""
        return [self.expr(depth - 1) for _ in range(self._random.randint(low, high))]

    def expr(self, depth: int) -> Any:
        """An expression that is nested up to a depth."""
        draw, kind = self._random, self._random.random()
        if depth == 0 or kind < 0.1:
            return draw.choice(SYMBOLS) if draw.random() < 0.8 else self.number()
        if kind < 0.32:
            return sympy.Add(*self.some(depth, 2, 4))
        if kind < 0.56:
            return sympy.Mul(*self.some(depth, 2, 5))
        if kind < 0.66:
            return self.expr(depth - 1) ** draw.choice(EXPONENTS)
        if kind < 0.70:
            return self.expr(depth - 1) ** self.expr(depth - 1)
        if kind < 0.73:
            return draw.choice([2, sympy.E, sympy.Rational(1, 3)]) ** self.expr(depth - 1)
        if kind < 0.77:
            return draw.choice([sympy.Max, sympy.Min])(*self.some(depth, 2, 3))
        if kind < 0.79:
            value, other, left, right = (self.expr(depth - 1) for _ in range(4))
            return sympy.Piecewise((value, left < right), (other, True))
        if kind < 0.86:  # shared parts
            part = self.expr(depth - 1)
            return part * sympy.sin(part) + part**2 + part
        return draw.choice(FUNCTIONS)(self.expr(depth - 1))


def drawn(seed: int) -> list[Any]:
    """Expressions that are real and finite in their numbers, and not too long."""
    draw, found = Draw(seed), []
    while len(found) < CASES:
        try:
            expr = sympy.sympify(draw.expr(draw._random.randint(1, 4)))
        except (TypeError, ValueError):  # SymPy's own: a comparison of what is not real
            continue
        wrong = (sympy.I, sympy.nan, sympy.zoo, sympy.oo)
        if not expr.has(*wrong) and expr.count_ops() <= 60:
            found.append(expr)
    return found


def agrees(value: float, expr: Any, row: dict[Any, float]) -> bool:
    """Whether a value is that of an expression, to 1e-12 or a few roundings of its parts."""
    exact, roundings = rounded(expr, row)
    if not (math.isfinite(exact) and math.isfinite(roundings)) or roundings > 1e280:
        return True  # no real number, or one that overflows on the way
    if math.isnan(value):  # a root of a negative number, or log of 0, in a part that counts nothing
        parts: Any = sympy.preorder_traversal(expr)
        return any(p.func in PARTLY or (p.is_Pow and not p.exp.is_Integer) for p in parts)
    return abs(value - exact) <= max(1e-12 * abs(exact), 16 * EPS * roundings, 1e-290)


def compiled(expr: Any) -> ew.KAN | None:
    """The network; None for an expression with a number that is not real, and no other."""
    try:
        return ew.compile_formula(expr, SYMBOLS)
    except ew.ConfigError as error:
        if "which is no finite real number" not in str(error):
            raise
        return None


PARTLY = (sympy.log, sympy.asin, sympy.acos, sympy.atanh)


@pytest.mark.parametrize("seed", range(8))
def test_a_random_expression_is_compiled_to_what_it_is(seed: int) -> None:
    x = 4 * torch.rand(4, 3, dtype=torch.float64) - 2
    finite = 0
    for expr in drawn(seed):
        model = compiled(expr)
        if model is None:
            continue
        again = sympy.lambdify(SYMBOLS, write(model, {})[0], "mpmath")
        for point, value in zip(x.tolist(), model(x)[:, 0].tolist(), strict=True):
            row = dict(zip(SYMBOLS, point, strict=True))
            assert agrees(value, expr, row), (expr, row, value)
            finite += math.isfinite(value)
            if math.isfinite(value) and abs(value) > 1e-9:
                there = again(*point)
                assert abs(there - value) <= 1e-6 * abs(value) + 1e-6, (expr, row, value)
    assert finite > 1.5 * CASES
