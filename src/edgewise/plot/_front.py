"""The picture of a front of formulas: complexity against error."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from edgewise._errors import ConfigError
from edgewise._symbolic._formula import escape, shorten
from edgewise.plot._scale import set_log_scale
from edgewise.plot._style import DATA, GRAY, INK, LOCKED, PALE, TEXT, Axes, Figure, new_axes

_LINE = 0.42  # inches for each formula
_WIDEST = 5.2  # inches
_LONGEST = 60  # letters


def front(formulas: Iterable[Any], *, best: Any = None) -> Figure:
    """Draw formulas by complexity and error, with the least error for each complexity.

    The line is the front: the least error that any formula of that complexity or less has. Each
    point has a number, and its formula stands beside the picture; those off the front are hollow.
    An error of zero stands at the bottom, one that is not finite at the top.

    Args:
        formulas: What has `complexity`, `rmse` and `expr`, such as `Formula`; in any order.
        best: The one to mark. By default what `formulas.best` says, if it has that, or the one with
            the least error.

    Returns:
        The figure.

    Raises:
        ConfigError: If there are no formulas.
        MissingExtraError: If Matplotlib is not installed.

    Example:
        >>> law = ew.compile_formula("2*x_1 + x_2**2")
        >>> found = [ew.symbolize(law, x, law(x), progress=False)]
        >>> ew.plot.front(found).axes[0].get_ylabel()
        'RMSE'
    """
    ranked = sorted(formulas, key=lambda formula: (formula.complexity, formula.rmse))
    if not ranked:
        raise ConfigError("A front needs at least one formula, got none.")
    if best is None:
        best = getattr(formulas, "best", None)
    if best is None:
        best = min(ranked, key=lambda formula: formula.rmse)
    figure, axes = new_axes(5.2 + _WIDEST, max(3.6, 1.0 + _LINE * len(ranked)))
    axes.set_xlabel("complexity", size=11, **TEXT)
    axes.set_ylabel("RMSE", size=11, **TEXT)
    errors = [formula.rmse if math.isfinite(formula.rmse) else math.inf for formula in ranked]
    floor = set_log_scale(axes, errors)
    heights = [min(max(error, floor), axes.get_ylim()[1]) for error in errors]
    places = [formula.complexity for formula in ranked]
    _scale(axes, places)
    _step(axes, places, heights)
    for number, formula in enumerate(ranked, 1):
        place, height = places[number - 1], heights[number - 1]
        on_front = errors[number - 1] < min(errors[: number - 1], default=math.inf)
        _point(axes, (place, height), number, on_front=on_front, is_best=formula is best)
    height = figure.get_figheight()
    width = _list(axes, ranked, best, step=_LINE / (height - 0.8))
    figure.set_size_inches(5.6 + width, height)
    return figure


def _scale(axes: Axes, places: list[int]) -> None:
    from matplotlib.ticker import MaxNLocator

    margin = max(1.0, 0.06 * (places[-1] - places[0]))
    axes.set_xlim(places[0] - margin, places[-1] + margin)
    axes.xaxis.set_major_locator(MaxNLocator(8, steps=[1, 2, 5, 10], integer=True, min_n_ticks=1))


def _step(axes: Axes, places: list[int], heights: list[float]) -> None:
    """Draw the least error so far, as far as the axis goes."""
    x, y = [], []
    for place, height in zip(places, heights, strict=True):
        if not y or height < y[-1]:
            x.append(float(place))
            y.append(height)
    x.append(axes.get_xlim()[1])
    y.append(y[-1])
    axes.step(x, y, where="post", color=PALE, lw=1.4, zorder=1, gid="front")


def _point(
    axes: Axes, at: tuple[float, float], number: int, *, on_front: bool, is_best: bool
) -> None:
    """Draw a formula as its number in a disc."""
    color = LOCKED if is_best else DATA if on_front else GRAY
    axes.plot(
        *at,
        marker="o",
        ms=13,
        mew=1.2,
        mec=color,
        mfc=color if on_front or is_best else "white",
        ls="none",
        clip_on=False,
        zorder=3 if is_best else 2,
        gid=f"formula-{number}",
    )
    axes.annotate(
        str(number),
        at,
        ha="center",
        va="center_baseline",
        zorder=4,
        annotation_clip=False,
        **{**TEXT, "size": 8.5, "color": "white" if on_front or is_best else color},
    )


def _list(axes: Axes, formulas: list[Any], best: Any, *, step: float) -> float:
    """Write the formulas to the right of the axes, the simplest on top; give their width."""
    widths = []
    for number, formula in enumerate(formulas, 1):
        color = LOCKED if formula is best else INK
        style = {**TEXT, "color": color, "transform": axes.transAxes, "va": "center"}
        y = 0.98 - step * (number - 1)
        axes.text(1.07, y, str(number), ha="right", size=9.5, gid=f"number-{number}", **style)
        words = axes.text(1.09, y, "", ha="left", size=10.5, gid=f"label-{number}", **style)
        _write(words, formula)
        widths.append(_width(words))
    return max(widths)


def _width(text: Any) -> float:
    """The width of words in inches."""
    return text.get_window_extent().width / text.figure.dpi


def _write(text: Any, formula: Any) -> None:
    """Write a formula as mathematics, or as a cut line where that is too wide or not possible."""
    import sympy

    expr = shorten(formula.expr, 4)
    symbols, names = getattr(formula, "symbols", ()), getattr(formula, "names", ())
    named = {s: n for s, n in zip(symbols, names, strict=False) if n != s.name}
    latex = sympy.latex(
        expr,
        fold_short_frac=True,
        mul_symbol=r" \cdot " if named else r" \, ",
        symbol_names={s: rf"\mathrm{{{escape(n)}}}" for s, n in named.items()},
    )
    if latex.startswith(r"\frac"):
        latex = latex.replace(r"\frac", r"\dfrac", 1)
    text.set_text(f"${latex}$")
    try:
        wide = _width(text) > _WIDEST
    except ValueError:  # Matplotlib's mathematics is not all of LaTeX
        wide = True
    if wide:
        plain = str(expr.xreplace({s: sympy.Symbol(n) for s, n in named.items()}))
        text.set_text(plain if len(plain) <= _LONGEST else plain[: _LONGEST - 1] + "…")
        text.set_parse_math(False)
