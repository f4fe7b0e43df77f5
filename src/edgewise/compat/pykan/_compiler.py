"""pykan's `kan.compiler`: a formula becomes a network that computes it exactly."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from edgewise._symbolic import compile_formula


def expr2kan(
    input_variables: Sequence[Any], expr: Any, grid: int = 5, k: int = 3, auto_save: bool = False
) -> Any:
    """Compile a formula to a network.

    Every expression over the functions of the library is compiled, with powers of any exponent,
    sums of functions of one variable, and products of any number of factors.

    Args:
        input_variables: The SymPy symbols of the inputs, in order.
        expr: A SymPy expression of them.
        grid: The number of intervals of the edges, for when they are set free.
        k: The degree of their splines.
        auto_save: Whether the network keeps its states on disk as it changes.

    Returns:
        A `MultKAN` of float64.

    Raises:
        ConfigError: If the expression holds other symbols or unknown functions.
    """
    from edgewise.compat.pykan._network import MultKAN

    network = compile_formula(expr, list(input_variables), grid=grid, degree=k)
    return MultKAN._of(network, grid=grid, k=k, auto_save=auto_save)


kanpiler = sf2kan = expr2kan


def next_nontrivial_operation(expr: Any, scale: Any = 1, bias: Any = 0) -> tuple[Any, Any, Any]:
    """Take the numbers off a SymPy expression: `scale * inner + bias`.

    Args:
        expr: The expression.
        scale: A factor that it has already.
        bias: A shift that it has already.

    Returns:
        The inner expression, the scale and the bias.

    Example:
        >>> from edgewise.compat.pykan import next_nontrivial_operation
        >>> a = sympy.Symbol("a")
        >>> next_nontrivial_operation(3 * sympy.exp(a) - 2)
        (exp(a), 3, -2)
        >>> next_nontrivial_operation(sympy.pi * (a + 3))
        (a, pi, 3*pi)
    """
    while expr.is_Add or expr.is_Mul:
        number, rest = expr.as_independent(*expr.free_symbols, as_Add=expr.is_Add)
        if expr.is_Add and number != 0:
            scale, bias = scale, bias + scale * number
        elif expr.is_Mul and number != 1:
            scale = scale * number
        else:
            break
        expr = rest
    return expr, scale, bias
