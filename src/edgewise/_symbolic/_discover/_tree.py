"""Formulas while they are searched: small trees with constants that can be fitted.

A tree is a tuple: ("x", i) an input, ("c", value) a constant to fit, ("k", number) a fixed number,
("+", a, b), ("*", a, b), ("^", a, exponent), or (function, a).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from edgewise._symbolic._snap import Exact

Tree = tuple[Any, ...]
Array = np.ndarray

ONE: Tree = ("k", 1)


def _inverse_root(u: Any) -> Any:
    return 1 / np.sqrt(1 - u * u)


FUNCTIONS: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "sin": (np.sin, np.cos),
    "cos": (np.cos, lambda u: -np.sin(u)),
    "tan": (np.tan, lambda u: 1 / np.cos(u) ** 2),
    "asin": (np.arcsin, _inverse_root),
    "acos": (np.arccos, lambda u: -_inverse_root(u)),
    "atan": (np.arctan, lambda u: 1 / (1 + u * u)),
    "exp": (np.exp, np.exp),
    "log": (np.log, lambda u: 1 / u),
    "sinh": (np.sinh, np.cosh),
    "cosh": (np.cosh, np.sinh),
    "tanh": (np.tanh, lambda u: 1 - np.tanh(u) ** 2),
    "Abs": (np.abs, np.sign),
}
"""Each function with its derivative."""


def number(value: Any) -> float:
    """The value of a fixed number: an integer, a fraction or an exact number."""
    return value.value if isinstance(value, Exact) else float(value)


def add(*terms: Tree) -> Tree:
    """A sum."""
    total = terms[0]
    for term in terms[1:]:
        total = ("+", total, term)
    return total


def multiply(*factors: Tree) -> Tree:
    """A product; factors of one are left out."""
    kept = [f for f in factors if f != ONE] or [ONE]
    product = kept[0]
    for factor in kept[1:]:
        product = ("*", product, factor)
    return product


def power(base: Tree, exponent: float | Fraction) -> Tree:
    """A power with a fixed exponent where that is a plain fraction, a fitted one elsewhere."""
    if exponent == 1:
        return base
    if exponent == 0:
        return ONE
    if isinstance(exponent, Fraction | int):
        return ("^", base, ("k", Fraction(exponent)))
    return ("^", base, ("c", float(exponent)))


def evaluate(tree: Tree, x: Array) -> Array:
    """The values of a tree, (batch,); NaN or infinite where it has none."""
    with np.errstate(all="ignore"):
        return np.broadcast_to(_value(tree, x), (len(x),))


def _value(tree: Tree, x: Array) -> Any:
    kind = tree[0]
    if kind == "x":
        return x[:, tree[1]]
    if kind == "c":
        return tree[1]
    if kind == "k":
        return number(tree[1])
    u = _value(tree[1], x)
    if kind == "+":
        return u + _value(tree[2], x)
    if kind == "*":
        return u * _value(tree[2], x)
    if kind == "^":
        return _power(u, _value(tree[2], x))
    return FUNCTIONS[kind][0](u)


def _power(u: Any, p: float) -> Any:
    if p == 2:
        return u * u
    if p == -1:
        return 1 / np.asarray(u)
    if p == 0.5:
        return np.sqrt(u)
    return np.power(np.asarray(u, dtype=float), p)


def derivatives(tree: Tree, x: Array) -> tuple[Array, Array]:
    """The values, (batch,), and their derivatives in the constants, (batch, constants)."""
    with np.errstate(all="ignore"):
        value, parts = _dual(tree, x, iter(range(10**6)))
    jacobian = np.empty((len(x), len(parts)))
    for k, part in parts.items():
        jacobian[:, k] = part
    return np.broadcast_to(value, (len(x),)), jacobian


def _dual(tree: Tree, x: Array, places: Iterator[int]) -> tuple[Any, dict[int, Any]]:
    kind = tree[0]
    if kind == "x":
        return x[:, tree[1]], {}
    if kind == "c":
        return tree[1], {next(places): 1.0}
    if kind == "k":
        return number(tree[1]), {}
    u, du = _dual(tree[1], x, places)
    if kind in FUNCTIONS:
        function, slope = FUNCTIONS[kind]
        s = slope(u) if du else 0.0
        return function(u), {k: s * d for k, d in du.items()}
    v, dv = _dual(tree[2], x, places)
    if kind == "+":
        return u + v, du | dv
    if kind == "*":
        return u * v, {k: d * v for k, d in du.items()} | {k: u * d for k, d in dv.items()}
    value = _power(u, v)
    s = v * _power(u, v - 1) if du else 0.0
    parts = {k: s * d for k, d in du.items()}
    if dv:
        s = value * np.log(np.abs(u))
        parts |= {k: s * d for k, d in dv.items()}
    return value, parts


def constants(tree: Tree) -> list[float]:
    """The constants to fit, in the order of `derivatives`."""
    if tree[0] == "c":
        return [tree[1]]
    return [c for part in tree[1:] if isinstance(part, tuple) for c in _nested(part)]


def _nested(part: Any) -> list[float]:
    return constants(part) if part and isinstance(part[0], str) else []


def inputs_of(tree: Tree) -> set[int]:
    """The places of the inputs in a tree."""
    if tree[0] == "x":
        return {tree[1]}
    return set().union(*(inputs_of(part) for part in tree[1:] if isinstance(part, tuple)))


def with_constants(tree: Tree, values: Iterator[Tree]) -> Tree:
    """Put other nodes in the place of the constants, in order."""
    if tree[0] == "c":
        return next(values)
    if tree[0] in ("x", "k"):
        return tree
    return (tree[0], *(with_constants(part, values) for part in tree[1:]))


def with_free_constants(tree: Tree) -> Tree:
    """Let constants that were made exact be fitted again."""
    if tree[0] == "k" and isinstance(tree[1], Exact):
        return ("c", tree[1].value)
    if tree[0] in ("x", "c", "k"):
        return tree
    return (tree[0], *(with_free_constants(part) for part in tree[1:]))


def substitute(tree: Tree, inputs: Sequence[Any]) -> Any:
    """Put trees in the place of the inputs."""
    if tree[0] == "x":
        return inputs[tree[1]]
    if tree[0] in ("c", "k"):
        return tree
    return (tree[0], *(substitute(part, inputs) for part in tree[1:]))


def absorbed(tree: Tree) -> Tree:
    """Draw the numbers of each product together into one."""
    factor, free, rest = _drawn(tree)
    return _scaled(factor, free, rest)


def _scaled(factor: float | Fraction, free: bool, rest: Tree) -> Tree:
    if free:
        return multiply(("c", float(factor)), rest)
    return multiply(("k", factor), rest) if factor != 1 else rest


def _drawn(tree: Tree) -> tuple[Any, bool, Tree]:
    """A number, whether it is free, and what it multiplies."""
    kind = tree[0]
    if kind == "c":
        return tree[1], True, ONE
    if kind == "k":
        exact = isinstance(tree[1], Exact)
        return (1, False, tree) if exact else (Fraction(tree[1]), False, ONE)
    if kind == "x":
        return 1, False, tree
    if kind == "*":
        (f, p, u), (g, q, v) = _drawn(tree[1]), _drawn(tree[2])
        if p or q:
            f, g = float(f), float(g)
        return f * g, p or q, multiply(u, v)
    if kind == "^" and tree[2][0] == "k":
        f, free, u = _drawn(tree[1])
        p = Fraction(number(tree[2][1])).limit_denominator(1000)
        if f > 0 or (f != 0 and p.denominator == 1):
            whole = p.denominator == 1 and not free
            value = Fraction(f) ** int(p) if whole else float(f) ** float(p)
            if whole or free or f == 1:
                rest = u if u == ONE else power(u, p)
                return (1 if f == 1 and not free else value), free, rest
        return 1, False, ("^", _scaled(f, free, u), tree[2])
    return 1, False, (kind, *(absorbed(part) for part in tree[1:]))


def size(tree: Tree) -> int:
    """How many operations, functions, constants and inputs it is written with."""
    if tree[0] in ("x", "c"):
        return 1
    if tree[0] == "k":
        return 0 if number(tree[1]) in (1, -1) else 1
    return 1 + sum(size(part) for part in tree[1:])


def to_sympy(tree: Tree, symbols: Sequence[Any]) -> Any:
    """Write it as a SymPy expression."""
    import sympy

    kind = tree[0]
    if kind == "x":
        return symbols[tree[1]]
    if kind == "c":
        return sympy.Float(tree[1], 17)
    if kind == "k":
        if isinstance(tree[1], Exact):
            return tree[1].sympy()
        fraction = Fraction(tree[1])
        return sympy.Rational(fraction.numerator, fraction.denominator)
    parts = [to_sympy(part, symbols) for part in tree[1:]]
    if kind == "+":
        return parts[0] + parts[1]
    if kind == "*":
        return parts[0] * parts[1]
    if kind == "^":
        return parts[0] ** parts[1]
    return getattr(sympy, kind)(parts[0])


def from_sympy(expr: Any, symbols: Sequence[Any]) -> Tree | None:
    """Read a SymPy expression; None if it has what a tree cannot have."""
    import sympy

    if expr in symbols:
        return ("x", symbols.index(expr))
    if isinstance(expr, sympy.Rational):
        return ("k", Fraction(int(expr.p), int(expr.q)))
    if expr.is_number:
        return ("c", float(expr)) if expr.is_real else None
    parts = [from_sympy(part, symbols) for part in expr.args]
    known = [part for part in parts if part is not None]
    if len(known) < len(parts) or not known:
        return None
    if isinstance(expr, sympy.Add | sympy.Mul):
        return (add if isinstance(expr, sympy.Add) else multiply)(*known)
    if isinstance(expr, sympy.Pow):
        return ("^", *known) if known[1][0] in ("c", "k") else None
    name = type(expr).__name__
    return (name, *known) if name in FUNCTIONS else None


def plain(value: float, tolerance: float, largest: int = 12) -> Fraction | None:
    """The plainest fraction within a tolerance of an exponent, or None."""
    if not math.isfinite(value) or abs(value) > largest:
        return None
    for denominator in (1, 2, 3, 4, 5):
        numerator = round(value * denominator)
        if abs(numerator / denominator - value) <= tolerance / denominator:
            return Fraction(numerator, denominator)
    return None
