"""Write formulas in Python."""

from __future__ import annotations

import keyword
from collections.abc import Sequence
from functools import cache
from typing import Any

from edgewise._errors import ConfigError
from edgewise.export._code import FACTORS, number, prepare

_SAFE = {
    "sin": "return math.sin(u) if math.isfinite(u) else math.nan",
    "cos": "return math.cos(u) if math.isfinite(u) else math.nan",
    "tan": "return math.tan(u) if math.isfinite(u) else math.nan",
    "asin": "return math.asin(u) if -1 <= u <= 1 else math.nan",
    "acos": "return math.acos(u) if -1 <= u <= 1 else math.nan",
    "atanh": (
        "if abs(u) == 1:\n        return math.copysign(math.inf, u)\n"
        "    return math.atanh(u) if abs(u) < 1 else math.nan"
    ),
    "sqrt": "return math.sqrt(u) if u >= 0 else math.nan",
    "log": ("if u == 0:\n        return -math.inf\n    return math.log(u) if u > 0 else math.nan"),
    "exp": ("try:\n        return math.exp(u)\n    except OverflowError:\n        return math.inf"),
    "cosh": (
        "try:\n        return math.cosh(u)\n    except OverflowError:\n        return math.inf"
    ),
    "sinh": (
        "try:\n        return math.sinh(u)\n    except OverflowError:\n"
        "        return math.copysign(math.inf, u)"
    ),
    "sign": "return float((u > 0) - (u < 0))",
}
"""Where Python raises an error, these give what C gives: NaN or infinity."""
_OF_TWO = {
    "power": (
        "try:\n        return math.pow(u, v)\n    except OverflowError:\n"
        "        return -math.inf if u < 0 and v % 2 == 1 else math.inf\n"
        "    except ValueError:\n        return math.inf if u == 0 else math.nan"
    ),
    "divide": (
        "if v != 0:\n        return u / v\n"
        "    return math.nan if u == 0 or u != u else math.copysign(math.inf, u) "
        "* math.copysign(1, v)"
    ),
}
_PLAIN = ("tanh", "atan", "erf")
_RESERVED = {"math", *keyword.kwlist, *keyword.softkwlist}


def to_python(
    exprs: Any,
    symbols: Sequence[Any] | None = None,
    *,
    names: Sequence[str] | None = None,
    name: str = "formula",
) -> str:
    """Write formulas as a Python function of numbers, which needs nothing but `math`.

    It computes what a `Formula` does: NaN for a root or logarithm of a negative number, infinity
    for a division by zero, and never an error. Parts that occur twice are computed once.

    Args:
        exprs: A SymPy expression, or a sequence of them, one for each output.
        symbols: The arguments in their order; by default all symbols by name.
        names: What the arguments are called. One that Python does not allow becomes x_1, x_2, ...
            by its place, and a comment says so.
        name: What the function is called.

    Returns:
        The source of a module with the function; for a sequence of outputs it returns a tuple.

    Raises:
        ConfigError: If a function is not known, as that of an edge that stays numeric, or the name
            is none for a function.

    Example:
        >>> x_1, x_2 = sympy.symbols("x_1 x_2")
        >>> print(ew.export.to_python(sympy.sqrt(x_1) + sympy.pi * x_2**2))
        import math
        <BLANKLINE>
        <BLANKLINE>
        def formula(x_1, x_2):
            return _sqrt(x_1) + math.pi*x_2*x_2
        <BLANKLINE>
        <BLANKLINE>
        def _sqrt(u):
            return math.sqrt(u) if u >= 0 else math.nan
        <BLANKLINE>
    """
    helpers = {f"_{helper}" for helper in (*_SAFE, *_OF_TWO)}
    reserved = {*_RESERVED, *helpers, "abs", "float"}
    if not (name.isascii() and name.isidentifier()) or name in reserved:
        raise ConfigError(f"{name!r} is no name for a function in Python.")
    code = prepare(exprs, symbols, names, {*reserved, name})
    write = _printer().doprint
    lines = [f"# {comment}" for comment in code.comments]
    lines.append(f"def {name}({', '.join(code.inputs)}):")
    lines += [f"    {part} = {write(e)}" for part, e in code.steps]
    results = ", ".join(write(e) for e in code.results)
    if isinstance(exprs, Sequence):
        results = f"({results}{',' if len(code.results) == 1 else ''})"
    lines.append(f"    return {results}")
    body = "\n".join(lines)
    parts = ["import math", body]
    for helper, text in _SAFE.items():
        if f"_{helper}(" in body:
            parts.append(f"def _{helper}(u):\n    {text}")
    for helper, text in _OF_TWO.items():
        if f"_{helper}(" in body:
            parts.append(f"def _{helper}(u, v):\n    {text}")
    return "\n\n\n".join(parts) + "\n"


@cache
def _printer() -> Any:
    """SymPy's printer, with functions that raise no errors."""
    from sympy.printing.pycode import PythonCodePrinter

    rules: dict[str, Any] = {name: _call(f"_{name}") for name in _SAFE if name != "sqrt"}
    rules |= {name: _call(f"math.{name}") for name in _PLAIN}
    rules |= {"Float": lambda _, expr: number(expr), "Abs": _call("abs")}
    rules |= {"Infinity": lambda *_: "math.inf", "NegativeInfinity": lambda *_: "-math.inf"}
    rules |= {"Mul": _product, "Pow": _power}
    methods = {f"_print_{kind}": rule for kind, rule in rules.items()}
    return type("Printer", (PythonCodePrinter,), methods)()


def _call(name: str) -> Any:
    return lambda printer, expr: f"{name}({printer._print(expr.args[0])})"


def _product(printer: Any, expr: Any) -> str:
    import sympy
    from sympy.printing.pycode import PythonCodePrinter

    above, below = sympy.fraction(expr, exact=True)
    if below.is_number:
        return PythonCodePrinter._print_Mul(printer, expr)
    if expr.as_coeff_Mul()[0].is_negative:
        return f"-{printer._print(-expr)}"
    return f"_divide({printer._print(above)}, {printer._print(below)})"


def _power(printer: Any, expr: Any, **_: Any) -> str:
    import sympy

    base, exponent = expr.as_base_exp()
    if exponent.is_number and exponent.is_negative:
        return f"_divide(1, {printer._print(base**-exponent)})"
    if exponent == sympy.Rational(1, 2):
        root = "math.sqrt" if base.is_number else "_sqrt"
        return f"{root}({printer._print(base)})"
    if base.is_Symbol and exponent.is_Integer and exponent <= FACTORS:
        return "*".join([printer._print(base)] * int(exponent))
    return f"_power({printer._print(base)}, {printer._print(exponent)})"
