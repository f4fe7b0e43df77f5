"""Write a tree in SymPy, in the plainest of a few forms."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgewise._symbolic._discover._tree import Array, Tree, to_sympy
from edgewise._symbolic._formula import input_symbols

_LONG = 60
"""Operations above which an expression is left as it is: rewriting would take too long."""


def written(tree: Tree, width: int, x: Array) -> Any:
    """Write a tree in SymPy.

    Args:
        tree: The tree.
        width: The number of inputs.
        x: Inputs on which it was found, (batch, inputs): where they are positive, roots of
            products are taken apart.

    Returns:
        An expression in x_1, x_2, ...
    """
    import sympy

    symbols = input_symbols(width)
    sure = [
        sympy.Symbol(f"x_{i + 1}", positive=True) if len(x) and x[:, i].min() > 0 else symbols[i]
        for i in range(width)
    ]
    back = dict(zip(sure, symbols, strict=True))
    expr = to_sympy(tree, sure)
    forms = [expr]
    if sympy.count_ops(expr) <= _LONG:
        for rewrite in (
            _tidy,
            sympy.powsimp,
            sympy.together,
            sympy.factor_terms,
            _expanded,
            _squared,
        ):
            try:
                forms.append(rewrite(forms[0]))
                if rewrite is _tidy:
                    forms[0] = forms[-1]
            except Exception:
                continue
    good = [f for f in forms if np.isfinite(float(sympy.count_ops(f)))]
    best = min(good, key=_length)
    best = min(best, _without_absolutes(best, sure, x), key=_length)
    return best.xreplace(back)


def _length(expr: Any) -> tuple[bool, int]:
    """How long an expression is; one with absolute values counts as longer."""
    import sympy

    return bool(expr.atoms(sympy.Abs)), sum(1 for _ in sympy.preorder_traversal(expr))


def _without_absolutes(expr: Any, symbols: list[Any], x: Array) -> Any:
    """Take off the absolute values of what has one sign on all rows."""
    import sympy

    if not len(x) or sympy.count_ops(expr) > _LONG:
        return expr
    squares = {p: sympy.factor(p.base) ** p.exp for p in expr.atoms(sympy.Pow) if _is_root(p)}
    expr = expr.xreplace(squares)
    for part in expr.atoms(sympy.Abs):
        with np.errstate(all="ignore"):
            inner = sympy.lambdify(symbols, part.args[0], "numpy")(*x.T)
        signs = np.sign(np.asarray(inner))
        if (signs > 0).all() or (signs < 0).all():
            expr = expr.xreplace({part: part.args[0] * int(signs.flat[0])})
    return expr


def _is_root(power: Any) -> bool:
    return bool(power.exp.is_Rational and power.exp.q == 2 and power.base.is_rational_function())


def _tidy(expr: Any) -> Any:
    import sympy

    return sympy.powdenest(sympy.powsimp(sympy.expand_power_base(expr)))


def _squared(expr: Any) -> Any:
    """Write c u^2 - 2 c u v + c v^2 as c (u - v)^2."""
    import sympy

    for total in expr.atoms(sympy.Add):
        terms = dict(total.as_coefficients_dict())
        for product in list(terms):
            u, v = product.args if product.is_Mul and len(product.args) == 2 else (0, 0)
            c = terms.get(u**2, 0)
            if c and c == terms.get(v**2, 0) and abs(terms[product]) == 2 * abs(c):
                sign = 1 if terms[product] * c > 0 else -1
                for gone in (product, u**2, v**2):
                    del terms[gone]
                terms[(u + sign * v) ** 2] = c
        expr = expr.xreplace({total: sympy.Add(*(c * term for term, c in terms.items()))})
    return expr


def _expanded(expr: Any) -> Any:
    import sympy

    expanded: Any = sympy.expand_mul(expr)
    return sympy.factor_terms(expanded)
