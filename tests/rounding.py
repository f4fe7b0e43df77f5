"""What rounding may do to the value of an expression: running error analysis (Higham 2002, 3.3)."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from functools import cache
from typing import Any

import mpmath
import sympy
from sympy.functions.elementary.hyperbolic import HyperbolicFunction

EPS = 2.0**-53


def rounded(expr: Any, values: Mapping[Any, float]) -> tuple[float, float]:
    """The value in 50 digits, and how far roundings may move it, in units of EPS.

    To first order each operation is right up to EPS of its value, a sum up to EPS of its largest
    term times their number, and carries on what its arguments err. NaN where it is not real, or
    a part of it is beyond float64.
    """
    with mpmath.workdps(50):
        try:
            value, moved = _walk(expr, {s: mpmath.mpf(float(v)) for s, v in values.items()})
        except (TypeError, ValueError, ZeroDivisionError):  # a condition may be complex, too
            return math.nan, math.nan
        return float(value), float(moved)


def _walk(expr: Any, values: Mapping[Any, Any]) -> tuple[Any, Any]:
    if expr.is_Symbol:
        return values[expr], mpmath.mpf(0)
    if not expr.args or expr.is_number:
        number = mpmath.mpf(sympy.N(expr, 50)._mpf_)
        return number, mpmath.mpf(0) if expr.is_Integer else abs(number)
    if isinstance(expr, sympy.Piecewise):
        return _branches(expr, values)
    args, moves = zip(*(_walk(arg, values) for arg in expr.args), strict=True)
    if isinstance(expr, HyperbolicFunction) and abs(args[0]) > 700:
        raise ValueError("beyond float64 by way of exp")
    value = _real(_call(expr.func, len(args))(*args))
    if expr.is_Add or isinstance(expr, sympy.Max | sympy.Min):
        return value, sum(moves) + len(args) * sum(map(abs, args))
    moved = len(args) * abs(value)
    if expr.is_Pow and not expr.exp.is_number and expr.base != sympy.E:
        moved += abs(value * args[1] * mpmath.log(args[0]))  # by way of exp and log
    for k, move in enumerate(moves):
        if move:
            moved += abs(_real(_slope(expr.func, len(args), k)(*args))) * move
    return value, moved


def _branches(expr: Any, values: Mapping[Any, Any]) -> tuple[Any, Any]:
    """The branch that is taken; the others are there in the sum."""
    exact = {s: sympy.Float(v, 50) for s, v in values.items()}
    parts = [_walk(branch, values) for branch, _ in expr.args]
    taken = next(n for n, (_, holds) in enumerate(expr.args) if holds.subs(exact) == True)  # noqa: E712
    return parts[taken][0], sum(4 * abs(value) + 4 * move for value, move in parts)


def _real(value: Any) -> Any:
    value = mpmath.mpmathify(value)
    if mpmath.im(value) != 0 or abs(value) > sys.float_info.max:
        raise ValueError("not real, or beyond float64")
    return mpmath.re(value)


def _dummies(count: int) -> list[Any]:
    return list(sympy.symbols(f"u:{count}", real=True))


@cache
def _call(function: Any, count: int) -> Any:
    u = _dummies(count)
    return sympy.lambdify(u, function(*u), "mpmath")


@cache
def _slope(function: Any, count: int, k: int) -> Any:
    u = _dummies(count)
    slope = sympy.sign(u[0]) if function is sympy.Abs else function(*u).diff(u[k])
    slope = sympy.Integer(0) if function is sympy.sign else slope
    return sympy.lambdify(u, slope, "mpmath")
