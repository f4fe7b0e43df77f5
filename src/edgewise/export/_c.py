"""Write formulas in C."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from edgewise._errors import ConfigError
from edgewise.export._code import FACTORS, Code, number, prepare

_WORDS = (
    "auto break case char const continue default do double else enum extern float for goto if "
    "inline int long register restrict return short signed sizeof static struct switch typedef "
    "union unsigned void volatile while _Bool _Complex _Imaginary main"
).split()
_MATH = (
    "acos acosh asin asinh atan atan2 atanh cbrt ceil copysign cos cosh erf erfc exp exp2 expm1 "
    "fabs fdim floor fma fmax fmin fmod frexp hypot ilogb isfinite isinf isnan j0 j1 jn ldexp "
    "lgamma llrint llround log log10 log1p log2 logb lrint lround modf nan nearbyint nextafter pow "
    "remainder remquo rint round scalbln scalbn signbit sin sinh sqrt tan tanh tgamma trunc y0 y1 "
    "yn gamma INFINITY NAN HUGE_VAL"
).split()


def to_c(
    exprs: Any,
    symbols: Sequence[Any] | None = None,
    *,
    names: Sequence[str] | None = None,
    name: str = "formula",
) -> str:
    """Write formulas as a C99 function of doubles, which needs nothing but math.h.

    It computes what a `Formula` does: NaN for a root or logarithm of a negative number, infinity
    for a division by zero. Parts that occur twice are computed once.

    Args:
        exprs: A SymPy expression, or a sequence of them, one for each output.
        symbols: The arguments in their order; by default all symbols by name.
        names: What the arguments are called. One that C does not allow becomes x_1, x_2, ... by its
            place, and a comment says so.
        name: What the function is called.

    Returns:
        The source: `double formula(double x_1, ...)`, or, for a sequence of outputs,
        `void formula(double x_1, ..., double y[])`.

    Raises:
        ConfigError: If a function is not known in C, as that of an edge that stays numeric, or the
            name is none for a function.

    Example:
        >>> x_1, x_2 = sympy.symbols("x_1 x_2")
        >>> print(ew.export.to_c(sympy.sqrt(x_1) + sympy.pi * x_2**2))
        #include <math.h>
        <BLANKLINE>
        double formula(double x_1, double x_2)
        {
            return sqrt(x_1) + 3.141592653589793*x_2*x_2;
        }
        <BLANKLINE>
    """
    if not (name.isascii() and name.isidentifier()) or name in (*_WORDS, *_MATH):
        raise ConfigError(f"{name!r} is no name for a function in C.")
    several = isinstance(exprs, Sequence)
    reserved = {*_WORDS, *_MATH, name, *(["y"] if several else [])}
    code = prepare(exprs, symbols, names, reserved)
    write = _printer().doprint
    arguments = [f"double {argument}" for argument in code.inputs]
    if several:
        arguments.append(f"double y[{len(code.results)}]")
    kind = "void" if several else "double"
    lines = ["#include <math.h>", ""]
    lines += [f"/* {comment.replace('*/', '* /')} */" for comment in code.comments]
    lines += [f"{kind} {name}({', '.join(arguments) or 'void'})", "{"]
    lines += [f"    (void)({argument});" for argument in _unused(code)]
    lines += [f"    const double {part} = {write(e)};" for part, e in code.steps]
    if several:
        lines += [f"    y[{n}] = {write(e)};" for n, e in enumerate(code.results)]
    else:
        lines.append(f"    return {write(code.results[0])};")
    return "\n".join([*lines, "}", ""])


def _unused(code: Code) -> list[str]:
    return [argument for argument in code.inputs if not code.uses(argument)]


@cache
def _printer() -> Any:
    """SymPy's printer, with numbers as doubles, and roots of real numbers."""
    from sympy.printing.c import C99CodePrinter

    rules = dict.fromkeys(_NUMBERS, lambda _, expr: number(expr))
    rules |= dict.fromkeys(("Rational", "Half"), _fraction)
    rules |= {"Infinity": lambda *_: "INFINITY", "NegativeInfinity": lambda *_: "-INFINITY"}
    rules |= {"Mul": _product, "Pow": _power, "sign": _sign}
    methods = {f"_print_{kind}": rule for kind, rule in rules.items()}
    return type("Printer", (C99CodePrinter,), methods)({"math_macros": {}})


_NUMBERS = "Float Integer Zero One NegativeOne NumberSymbol Pi Exp1".split()


def _fraction(_: Any, expr: Any) -> str:
    return f"{number(expr.p)}/{number(expr.q)}"


def _product(printer: Any, expr: Any, **_: Any) -> str:
    import sympy
    from sympy.printing.c import C99CodePrinter
    from sympy.printing.precedence import PRECEDENCE

    above, below = sympy.fraction(expr, exact=True)
    if below.is_number:
        return C99CodePrinter._print_Mul(printer, expr)
    if expr.as_coeff_Mul()[0].is_negative:
        return f"-{printer._print(-expr)}"
    return f"{printer.parenthesize(above, PRECEDENCE['Mul'])}/({printer._print(below)})"


def _power(printer: Any, expr: Any) -> str:
    import sympy

    base, exponent = expr.as_base_exp()
    if exponent.is_number and exponent.is_negative:
        return f"1.0/({printer._print(base**-exponent)})"
    if exponent == sympy.Rational(1, 2):
        return f"sqrt({printer._print(base)})"
    if base.is_Symbol and exponent.is_Integer and exponent <= FACTORS:
        return "*".join([printer._print(base)] * int(exponent))
    return f"pow({printer._print(base)}, {printer._print(exponent)})"


def _sign(printer: Any, expr: Any) -> str:
    u = printer._print(expr.args[0])
    return f"(double)(({u} > 0.0) - ({u} < 0.0))"
