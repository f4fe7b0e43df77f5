"""What code in any language needs: known functions, names that are allowed, common parts."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from edgewise._errors import ConfigError

_FUNCTIONS = {
    *("sin", "cos", "tan", "sinh", "cosh", "tanh", "asin", "acos", "atan", "atanh"),
    *("exp", "log", "erf", "Abs", "sign"),
}
FACTORS = 4
"""A whole power of a variable up to this one is written as a product: exact, and fast."""


@dataclass(frozen=True)
class Code:
    """Formulas, ready to be written.

    Attributes:
        inputs: What the arguments are called.
        steps: Parts that occur more than once, (symbol, expression), in their order.
        results: The outputs.
        comments: A line for each argument that could not keep its name.
    """

    inputs: tuple[str, ...]
    steps: tuple[tuple[Any, Any], ...]
    results: tuple[Any, ...]
    comments: tuple[str, ...]

    def uses(self, symbol: str) -> bool:
        """Whether an argument occurs."""
        exprs = (*self.results, *(part for _, part in self.steps))
        return any(symbol in {s.name for s in e.free_symbols} for e in exprs)


def prepare(
    exprs: Any,
    symbols: Sequence[Any] | None,
    names: Sequence[str] | None,
    reserved: Collection[str],
) -> Code:
    """Check formulas, name their inputs, and take out common parts.

    Args:
        exprs: An expression, or one for each output.
        symbols: The inputs in their order; by default all symbols by name.
        names: What they are to be called; where a name is none for code, the symbol's stays.
        reserved: Names that the language or the code itself needs.
    """
    import sympy

    found = [sympy.sympify(e) for e in (exprs if isinstance(exprs, Sequence) else [exprs])]
    free = {symbol for e in found for symbol in e.free_symbols}
    symbols = sorted(free, key=str) if symbols is None else [sympy.sympify(s) for s in symbols]
    if free - set(symbols):
        missing = ", ".join(sorted(map(str, free - set(symbols))))
        raise ConfigError(f"The formula has {missing}, and the inputs are {symbols}.")
    for e in found:
        _check(e)
    names = [str(s) for s in symbols] if names is None else list(names)
    if len(names) != len(symbols):
        raise ConfigError(f"There are {len(symbols)} inputs, got {len(names)} names: {names}.")
    called, comments = _called(names, reserved)
    own = [sympy.Symbol(name, real=True) for name in called]
    found = [e.xreplace(dict(zip(symbols, own, strict=True))) for e in found]
    taken = {*called, *reserved}
    parts = sympy.numbered_symbols("t", real=True, exclude=[s for s in own if s.name in taken])
    steps, results = sympy.cse(found, symbols=parts)
    return Code(tuple(called), tuple(steps), tuple(results), tuple(comments))


def _check(expr: Any) -> None:
    import sympy

    plain = (sympy.Add, sympy.Mul, sympy.Pow, sympy.Symbol, sympy.Number, sympy.NumberSymbol)
    for part in sympy.preorder_traversal(expr):
        known = isinstance(part, plain) or part.func.__name__ in _FUNCTIONS
        if not known or part in (sympy.nan, sympy.zoo, sympy.I):
            raise ConfigError(
                f"There is no code for {part} in this formula. Known functions are "
                f"{', '.join(sorted(_FUNCTIONS))} and powers; write it with them first."
            )


def _called(names: Sequence[str], reserved: Collection[str]) -> tuple[list[str], list[str]]:
    """Names that code allows, and a line for each input that gets another than it has."""
    fits = [bool(re.fullmatch(r"[A-Za-z_]\w*", n, re.ASCII)) and n not in reserved for n in names]
    taken = {name for name, fit in zip(names, fits, strict=True) if fit} | set(reserved)
    called, comments = [], []
    for number, (name, fit) in enumerate(zip(names, fits, strict=True), 1):
        own = name if fit and name not in called else f"x_{number}"
        while not (fit and own == name) and (own in taken or own in called):
            own += "_"
        called.append(own)
        if own != name:
            comments.append(f"{own} is {' '.join(name.split())}")
    return called, comments


def number(value: Any) -> str:
    """Write a number so that it is read back to the last bit."""
    import sympy

    return repr(float(sympy.N(value, 30)))
