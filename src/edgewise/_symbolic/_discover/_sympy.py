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
        for rewrite in (_tidy, sympy.powsimp, sympy.together, sympy.factor_terms, _expanded):
            try:
                forms.append(rewrite(forms[0]))
                if rewrite is _tidy:
                    forms[0] = forms[-1]
            except Exception:
                continue
    good = [f for f in forms if np.isfinite(float(sympy.count_ops(f)))]
    best = min(good, key=lambda f: sum(1 for _ in sympy.preorder_traversal(f)))
    return best.xreplace(back)


def _tidy(expr: Any) -> Any:
    import sympy

    return sympy.powdenest(sympy.powsimp(sympy.expand_power_base(expr)))


def _expanded(expr: Any) -> Any:
    import sympy

    return sympy.factor_terms(sympy.expand_mul(expr))
