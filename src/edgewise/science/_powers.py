r"""Read a sum or product of powers that stands inside a function off the ratios of derivatives."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor

from edgewise.science._derivatives import Derivatives

_PLAIN = 12  # the largest denominator of a number that is written as a fraction


def sum_of_powers(
    z: Tensor, found: Derivatives, names: Sequence[str], tolerance: float
) -> Any | None:
    r"""The expression g inside :math:`F(g)`, with :math:`g = \sum_i c_i z_i^{p_i}` or a product.

    The ratio :math:`f_i / f_1` is :math:`c_i p_i z_i^{p_i - 1} / (c_1 p_1 z_1^{p_1 - 1})`, linear
    in logarithms. Where all exponents of the derivative are -1, g is a sum of logarithms: the
    logarithm of a product.
    """
    import sympy

    slopes = [
        _ratio(z[:, 0], z[:, i], found.gradient[:, 0], found.gradient[:, i], tolerance)
        for i in range(1, z.shape[1])
    ]
    if any(s is None for s in slopes):
        return None
    first = {s[1] for s in slopes if s is not None}
    if len(first) != 1:
        return None
    exponents = [first.pop(), *(s[2] for s in slopes if s is not None)]
    weights = [Fraction(1), *(s[0] for s in slopes if s is not None)]
    symbols = [sympy.Symbol(name, real=True) for name in names]
    terms = []
    for symbol, exponent, weight in zip(symbols, exponents, weights, strict=True):
        power = exponent + 1
        terms.append((symbol, power, weight / power if power else weight))
    if all(power == 0 for _, power, _ in terms):
        return sympy.Mul(*(symbol ** _number(weight) for symbol, _, weight in terms))
    scale = terms[0][2]
    return sympy.Add(
        *(
            _number(_plain(weight / scale, tolerance))
            * (symbol ** _number(power) if power else sympy.log(symbol))
            for symbol, power, weight in terms
        )
    )


def _ratio(
    x: Tensor, y: Tensor, f_x: Tensor, f_y: Tensor, tolerance: float
) -> tuple[Fraction | float, Fraction, Fraction] | None:
    """The constants of f_y / f_x = c y^q / x^p as (c, p, q), if it is of this form."""
    size = (f_x.abs() / f_x.abs().mean()).minimum(f_y.abs() / f_y.abs().mean())
    size = size.minimum(x.abs() / x.abs().mean()).minimum(y.abs() / y.abs().mean())
    good = size > 0.05
    if int(good.sum()) < 10:
        return None
    x, y, f_x, f_y = x[good], y[good], f_x[good], f_y[good]
    A = torch.stack([torch.ones_like(x), -x.abs().log(), y.abs().log()], 1)
    coef = torch.linalg.lstsq(A, (f_y / f_x).abs().log()[:, None]).solution[:, 0]
    p, q = (Fraction(round(2 * float(c)), 2) for c in coef[1:])
    if max(abs(p), abs(q)) > 6:
        return None
    signed = [_power(x, -p), _power(y, q)]
    if signed[0] is None or signed[1] is None:
        return None
    shape = signed[0] * signed[1]
    c = float((shape * f_x * f_y).sum() / (shape * f_x).square().sum())
    rest = (f_y - c * shape * f_x).abs().mean() / f_y.abs().mean()
    return (_plain(c, tolerance), p, q) if float(rest) <= tolerance else None


def _power(x: Tensor, p: Fraction) -> Tensor | None:
    """A power that is a number for every row; None where it is not."""
    if p.denominator == 1:
        return x ** int(p)
    return x ** float(p) if bool((x > 0).all()) else None


def _plain(value: Fraction | float, tolerance: float) -> Fraction | float:
    """A number as a plain fraction, where it is one to a tenth of the tolerance."""
    near = Fraction(value).limit_denominator(_PLAIN)
    close = near != 0 and abs(float(near) - float(value)) <= 0.1 * tolerance * abs(float(value))
    return near if close else float(value)


def _number(value: Fraction | float) -> Any:
    import sympy

    if isinstance(value, Fraction):
        return sympy.Rational(value.numerator, value.denominator)
    return sympy.Float(value, 6)
