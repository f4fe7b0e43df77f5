"""What all pictures have in common: ink, fonts, axes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from edgewise._errors import require

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
else:  # a run-time check of types does not need Matplotlib
    Axes: TypeAlias = Any
    Figure: TypeAlias = Any

Point: TypeAlias = tuple[float, float]

INK, GRAY, PALE = "#1f1f1f", "#6f6f6f", "#c4c4c4"
LOCKED, DATA = "#cf4a00", "#0b6fae"  # vermilion and blue: apart for every kind of color vision
FONT = ["STIXGeneral", "DejaVu Sans"]  # both come with Matplotlib
TEXT: dict[str, Any] = {"family": FONT, "math_fontfamily": "stix", "usetex": False, "color": INK}


def new_figure(width: float, height: float, **settings: Any) -> Figure:
    """An empty figure, which a notebook shows."""
    require("matplotlib.figure", "plot")
    from edgewise.plot._picture import Picture

    return Picture(figsize=(width, height), dpi=100, facecolor="white", **settings)


def new_axes(width: float, height: float) -> tuple[Figure, Axes]:
    """A figure with one pair of axes, in the style of all pictures."""
    figure = new_figure(width, height, layout="constrained")
    axes = figure.add_subplot(facecolor="white")
    axes.grid(False)
    for side, spine in axes.spines.items():
        spine.set(visible=side in ("left", "bottom"), color=INK, linewidth=0.8)
    axes.tick_params(which="both", direction="out", width=0.8, color=INK, labelcolor=INK)
    axes.tick_params(which="both", labelsize=9.5, labelfontfamily=FONT)
    return figure, axes
