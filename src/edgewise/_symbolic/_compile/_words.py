"""Take an expression apart: strings to SymPy, functions to primitives, arguments to lines."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from edgewise._errors import ConfigError
from edgewise._primitives import PRIMITIVES, Library, Primitive, power
from edgewise._symbolic._compile._rewrite import rewritten

_TOKEN = re.compile(
    r"\s+|(?P<name>[^\W\d]\w*)|(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)|\*\*|[-+*/^(),]"
)
_CONSTANTS = ("pi", "E")


def parse(text: str, names: Sequence[str] | None, library: Library = PRIMITIVES) -> Any:
    """Read a string; every name in it that is not called is a variable, but pi and E.

    What is called is a primitive of the library or a function of SymPy.

    Only numbers, names, `+ - * / ** ^ ( ) ,` are let through: SymPy's parser evaluates what it
    is given.
    """
    import sympy
    from sympy.parsing.sympy_parser import parse_expr

    variables, functions, at = {}, {}, 0
    words = []
    while at < len(text):
        token = _TOKEN.match(text, at)
        if token is None:
            raise ConfigError(
                f"A formula has numbers, names, functions and + - * / ** ( ). Got {text[at]!r} at "
                f"position {at + 1} of {text!r}."
            )
        at = token.end()
        name = token["name"]
        if name is None:
            words.append("**" if token[0] == "^" else token[0])
            continue
        called = text[at:].lstrip().startswith("(")
        if called and names is not None and name in names:
            raise ConfigError(f"{name!r} is an input, and called like a function in {text!r}.")
        if called:
            functions[name] = _function(name, library)
        elif name not in _CONSTANTS or (names is not None and name in names):
            # a name such as `lambda` must not reach Python's parser
            variables[f"v{len(variables)}_"] = sympy.Symbol(name, real=True)
            words.append(f"v{len(variables) - 1}_")
            continue
        words.append(name)
    try:
        expr = parse_expr(
            "".join(words), {**variables, **functions}, global_dict=_vocabulary(), evaluate=True
        )
    except (SyntaxError, TypeError, AttributeError, ValueError) as error:
        raise ConfigError(f"{text!r} is no formula ({error}).") from None
    if not isinstance(expr, sympy.Expr):
        raise ConfigError(f"{text!r} is no formula, but {type(expr).__name__}.")
    return expr


def _function(name: str, library: Library) -> Any:
    """What a name that is called stands for."""
    import sympy

    if name in library:
        primitive, u = library[name], sympy.Dummy("u", real=True)
        is_power = primitive.sympy(u).as_base_exp()[0] == u
        # a sigmoid is one edge, though SymPy writes it with an exponential
        plain = is_power or _line_in(primitive) is not None
        return primitive.sympy if plain else sympy.Function(name, real=True)
    known = getattr(sympy, {"abs": "Abs", "min": "Min", "max": "Max"}.get(name, name), None)
    is_function = isinstance(known, sympy.FunctionClass) or name in ("sqrt", "cbrt")
    return known if is_function else sympy.Function(name, real=True)


def _vocabulary() -> dict[str, Any]:
    """What SymPy's parser may see: numbers and the two constants."""
    import sympy

    names = ("Integer", "Float", "Rational", "Symbol", "Function", "pi", "E")
    return {name: getattr(sympy, name) for name in names} | {"__builtins__": {}}


class Reader:
    """Read the functions of an expression as primitives.

    Args:
        library: The primitives; powers need not be in it.
        symbols: The inputs.
    """

    def __init__(self, library: Library, symbols: Sequence[Any]) -> None:
        self._library = library
        self._symbols = tuple(symbols)
        self._powers: dict[Any, Primitive] = {}
        self._functions = self._by_function()

    def split_factor(self, expr: Any) -> tuple[Any, Any]:
        """Write an expression as a number times the rest."""
        number, rest = expr.as_independent(*self._symbols, as_Add=False)
        return self._checked(number, expr), rest

    def split_line(self, expr: Any) -> tuple[Any, Any, Any]:
        """Write an expression as `a * rest + b`."""
        b, rest = expr.as_independent(*self._symbols, as_Add=True)
        if rest.is_Add:
            a, rest = rest.primitive()
        else:
            a, rest = self.split_factor(rest)
        return self._checked(a, expr), self._checked(b, expr), rest

    def split_function(self, expr: Any) -> tuple[Primitive, Any] | None:
        """Write an expression that is no sum or product as a primitive of an argument.

        None if it has to be written in other functions first: see `rewrite`.
        """
        import sympy
        from sympy.core.function import AppliedUndef

        if expr.is_Pow:
            base, exponent = expr.as_base_exp()
            if not exponent.has(*self._symbols):
                size = float(self._checked(exponent, expr))
                if size in (0, 1):  # x**1.0, which SymPy leaves
                    return None if size == 0 else (PRIMITIVES["x"], base)
                return self._power(exponent), base
            return self._function(sympy.exp, expr), exponent * sympy.log(base)
        name = expr.func.__name__
        if isinstance(expr, AppliedUndef) and name in self._library and len(expr.args) == 1:
            return self._library[name], expr.args[0]
        if expr.func in self._functions:
            primitive, a, b = self._functions[expr.func]
            return primitive, (expr.args[0] - b) / a
        return self._matched(expr)

    def rewrite(self, expr: Any) -> Any:
        """Write a function that is no primitive in others that may be."""
        found = rewritten(expr)
        if found is None:
            raise self._unknown(expr)
        return found

    def _power(self, exponent: Any) -> Primitive:
        if exponent not in self._powers:
            exact = exponent.is_Rational
            number = Fraction(int(exponent.p), int(exponent.q)) if exact else float(exponent)
            self._powers[exponent] = power(number)
        return self._powers[exponent]

    def _function(self, function: Any, expr: Any) -> Primitive:
        if function not in self._functions:
            raise self._unknown(expr)
        return self._functions[function][0]

    def _by_function(self) -> dict[Any, tuple[Primitive, Any, Any]]:
        """The primitives that are one SymPy function of a line `a * u + b`, by that function."""
        found: dict[Any, tuple[Primitive, Any, Any]] = {}
        for primitive in self._library:
            line = _line_in(primitive)
            if line is not None:
                function, a, b = line
                found.setdefault(function, (primitive, a, b))
        return found

    def _matched(self, expr: Any) -> tuple[Primitive, Any] | None:
        """Compare with the primitives of the user that are more than one function of u."""
        import sympy

        w = sympy.Wild("w")
        for primitive in self._library:
            if primitive.name in PRIMITIVES:
                continue
            try:
                found = expr.match(primitive.sympy(w))
            except (TypeError, AttributeError, NotImplementedError):
                continue  # a form that SymPy cannot match
            if found and w in found and primitive.sympy(found[w]) == expr:
                return primitive, found[w]
        return None

    def _checked(self, number: Any, expr: Any) -> Any:
        if not number.is_number or number.is_real is False or not math.isfinite(_size(number)):
            raise ConfigError(f"{expr} has {number} in it, which is no finite real number.")
        return number

    def _unknown(self, expr: Any) -> ConfigError:
        import sympy

        name = expr.func.__name__
        if name == "Piecewise":
            why = "It needs a last branch (value, True), and conditions that compare."
        elif isinstance(expr, sympy.Derivative | sympy.Integral | sympy.Sum | sympy.Product):
            why = "Evaluate it first: expr.doit()."
        elif len(expr.args) != 1:
            why = "Write it in sums, products, powers and functions of one argument."
        else:
            why = (
                f"Add one: library=PRIMITIVES.plus(Primitive({name!r}, torch function, SymPy "
                "function))."
            )
        return ConfigError(f"No primitive of the library computes {expr}. {why}")


def _line_in(primitive: Primitive) -> tuple[Any, Any, Any] | None:
    """The function, a and b of a primitive that SymPy writes as one function of `a * u + b`."""
    import sympy

    u = sympy.Dummy("u", real=True)
    form = primitive.sympy(u)
    if not isinstance(form, sympy.Function) or len(form.args) != 1:
        return None
    argument: Any = form.args[0]
    b, rest = argument.as_independent(u, as_Add=True)
    a, rest = rest.as_independent(u, as_Add=False)
    return (form.func, a, b) if rest == u else None


def _size(number: Any) -> float:
    try:
        return float(number)
    except (TypeError, OverflowError):
        return math.inf
