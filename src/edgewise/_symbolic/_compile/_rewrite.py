"""Write functions that are no primitives in others that are, up to rounding for every argument."""

from __future__ import annotations

from functools import reduce
from typing import Any

_UNDER_ONE = {"sec": "cos", "csc": "sin", "cot": "tan", "sech": "cosh", "csch": "sinh"}
_UNDER_ONE |= {"coth": "tanh"}
_OF_ONE_OVER = {"acot": "atan", "asec": "acos", "acsc": "asin", "acoth": "atanh"}


def rewritten(expr: Any) -> Any:
    """The same in other functions; None if there is no such form.

    SymPy's inverse functions of 1 / u, a half where `Heaviside` jumps, and the values of a
    `Piecewise` on its borders stay what they are.
    """
    import sympy

    name: str = expr.func.__name__
    u: Any = expr.args[0] if expr.args else None
    if expr.is_Pow:  # u**0.0
        return sympy.Integer(1) if expr.exp.is_number else None
    if name == "UnevaluatedExpr":
        return u
    if name in _UNDER_ONE:
        return 1 / getattr(sympy, _UNDER_ONE[name])(u)
    if name in _OF_ONE_OVER:
        return getattr(sympy, _OF_ONE_OVER[name])(1 / u)
    if name == "acos":
        return sympy.pi / 2 - sympy.asin(u)
    if name == "Heaviside":
        return _step(u, expr.args[1])
    if name in ("Max", "Min") and len(expr.args) >= 2:
        middle = len(expr.args) // 2
        first, rest = expr.func(*expr.args[:middle]), expr.func(*expr.args[middle:])
        half = sympy.Abs(first - rest) / 2
        return (first + rest) / 2 + (half if name == "Max" else -half)
    return _chosen(expr) if name == "Piecewise" else None


def _step(u: Any, at_zero: Any) -> Any:
    """0 for negative u, 1 for positive u, and what is said at zero."""
    import sympy

    side = sympy.sign(u)
    return (1 + side) / 2 + (at_zero - sympy.Rational(1, 2)) * (1 - side**2)


def _chosen(expr: Any) -> Any:
    """The first branch of a `Piecewise` whose condition holds, as a sum over the branches.

    None if no branch is left where none holds, or a condition is no comparison.
    """
    if expr.args[-1][1] != True:  # noqa: E712  (SymPy's, not Python's)
        return None
    branches = list(expr.args)
    total = branches.pop()[0]
    for value, condition in reversed(branches):
        holds = _holds(condition)
        if holds is None:
            return None
        total += holds * (value - total)
    return total


def _holds(condition: Any) -> Any:
    """1 where a condition holds, else 0; None if it is no comparison."""
    import sympy

    if isinstance(condition, sympy.logic.boolalg.BooleanAtom):
        return sympy.Integer(1 if condition else 0)
    if isinstance(condition, sympy.logic.boolalg.ITE):
        condition = condition.to_nnf()  # SymPy makes one of a comparison of a Piecewise
    if isinstance(condition, sympy.And | sympy.Or | sympy.Not):
        parts = [_holds(part) for part in condition.args]
        if any(part is None for part in parts):
            return None
        if isinstance(condition, sympy.And):
            return reduce(lambda a, b: a * b, parts)
        if isinstance(condition, sympy.Not):
            return 1 - parts[0]
        return 1 - reduce(lambda a, b: a * b, [1 - part for part in parts])
    if not isinstance(condition, sympy.core.relational.Relational):
        return None
    comparison: Any = condition
    gap = comparison.lhs - comparison.rhs
    equal = 1 - sympy.sign(gap) ** 2
    return {
        "==": equal,
        "!=": 1 - equal,
        ">": _step(gap, 0),
        "<": _step(-gap, 0),
        ">=": _step(gap, 1),
        "<=": _step(-gap, 1),
    }.get(comparison.rel_op)
