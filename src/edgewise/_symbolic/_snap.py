"""Replace fitted constants by exact ones: integers, rationals, multiples of pi, e and square roots.

A constant known to n bits is worth n bits; an exact number takes its place where it can be said in
fewer and does not fit worse than the constant's standard error allows.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from fractions import Fraction
from functools import cache
from typing import Any, NamedTuple

_DENOMINATORS = 12
_LARGE = (50, 200, 1000)
"""Denominators up to which the nearest fractions are tried too."""
_LARGE_BITS = 4.0
"""What a fraction with such a denominator costs more: only a precise constant can pay it."""
_SURDS = (2, 3, 5, 6, 7, 10)
_PLAIN = ("1", "pi", "1/pi")
_NONE: Mapping[str, float] = {}
_MARGIN_BITS = 1.0
_PRECISION = 1e-11
"""The relative accuracy to which a constant of a noiseless fit is taken to be known at best."""


class Exact(NamedTuple):
    """An exact number: its value, its length in bits, and how SymPy writes it."""

    value: float
    bits: float
    factor: Fraction
    unit: str

    def sympy(self) -> Any:
        """Write it in SymPy."""
        import sympy

        fraction = sympy.Rational(self.factor.numerator, self.factor.denominator)
        return fraction * _written(self.unit)


def _written(unit: str) -> Any:
    """A unit in SymPy; one that a user has named is a symbol."""
    import sympy

    if unit in _units():
        return sympy.E if unit == "e" else sympy.sympify(unit)
    return sympy.Symbol(unit, positive=True)


def snap(
    value: float, error: float, scale: float, constants: Mapping[str, float] = _NONE
) -> Exact | None:
    """Find the exact number that a constant may stand for, or None.

    Args:
        value: The fitted constant.
        error: Its standard error.
        scale: The size at which such a constant matters: what a zero is measured against.
        constants: Named numbers of the user's, such as the speed of light.

    Returns:
        The shortest exact number within a few standard errors, if it is shorter than the constant.
    """
    size = max(abs(value), scale)
    error = max(error, _PRECISION * size)
    if not math.isfinite(value) or not error < 0.5 * size:
        return None
    best, least = None, math.log2(size / error) - _MARGIN_BITS
    for exact in _near(value, error, constants):
        z = (value - exact.value) / error
        bits = exact.bits + 0.5 * z * z / math.log(2)
        if abs(z) < 3 and bits < least:
            best, least = exact, bits
    return best


def _near(value: float, error: float, constants: Mapping[str, float]) -> Iterator[Exact]:
    """Exact numbers in the neighborhood of a value."""
    if abs(value) < 3 * error:
        yield Exact(0.0, 0.0, Fraction(0), "1")
    for limit in _LARGE:
        near = Fraction(value).limit_denominator(limit)
        if near.denominator > _DENOMINATORS and near != 0:
            length = 2 * math.log2(abs(near.numerator)) + 2 * math.log2(near.denominator)
            yield Exact(float(near), 1 + _LARGE_BITS + length, near, "1")
    own = {name: (size, 3.0) for name, size in constants.items()}
    for unit, (size, bits) in (_units() | own).items():
        for denominator in range(1, (_DENOMINATORS if unit in _PLAIN else 4) + 1):
            numerator = round(value / size * denominator)
            if numerator == 0 or math.gcd(numerator, denominator) > 1:
                continue
            length = bits + 2 * math.log2(abs(numerator)) + 2 * math.log2(denominator)
            yield Exact(
                numerator / denominator * size, 1 + length, Fraction(numerator, denominator), unit
            )


@cache
def _units() -> dict[str, tuple[float, float]]:
    units = {"1": (1.0, 0.0), "pi": (math.pi, 3.0), "1/pi": (1 / math.pi, 5.0), "e": (math.e, 5.0)}
    root = math.sqrt(math.pi)
    units |= {"pi**2": (math.pi**2, 6.0), "1/pi**2": (math.pi**-2, 7.0), "sqrt(pi)": (root, 6.0)}
    units |= {"1/sqrt(pi)": (1 / root, 7.0), "sqrt(2)/sqrt(pi)": (math.sqrt(2) / root, 7.0)}
    return units | {f"sqrt({n})": (math.sqrt(n), 4.0 + math.log2(n)) for n in _SURDS}
