"""A logarithmic axis of errors, which may be zero."""

from __future__ import annotations

import math

from edgewise.plot._style import Axes


def set_log_scale(axes: Axes, errors: list[float]) -> float:
    """Scale errors by decades, and tell where an error of zero is put: at the bottom."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    positive = [error for error in errors if 0 < error < math.inf] or [1.0]
    low, high = math.log10(min(positive)), math.log10(max(positive))
    pad = max(0.06 * (high - low), (0.5 - (high - low)) / 2)
    floor = 10 ** (low - pad)
    axes.set_yscale("log")
    axes.set_ylim(floor, 10 ** (high + pad))
    span = high - low
    digits = (1.0, 2.0, 3.0, 5.0, 7.0) if span < 0.8 else (1.0, 2.0, 5.0) if span < 1.5 else (1.0,)
    axes.yaxis.set_major_locator(LogLocator(subs=digits, numticks=9))
    axes.yaxis.set_major_formatter(FuncFormatter(_power if len(digits) == 1 else _number))
    axes.yaxis.set_minor_formatter(NullFormatter())
    return floor


def _power(value: float, _: int | None = None) -> str:
    """A tick's label as a power of ten: 10⁻⁶, or 2×10⁻⁶."""
    exponent = math.floor(math.log10(value) + 1e-9)
    digit = round(value / 10**exponent)
    power = "10" + str(exponent).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return power if digit == 1 else f"{digit}×{power}"


def _number(value: float, _: int | None = None) -> str:
    """A tick's label as a number where it is short: 0.02."""
    return f"{value:g}" if 0.99e-3 < value < 1e4 else _power(value)
