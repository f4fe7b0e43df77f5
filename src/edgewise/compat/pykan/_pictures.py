"""The drawing of a network on a figure of pyplot."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from edgewise._errors import require
from edgewise._types import Edge
from edgewise.plot._diagram import draw_edges, draw_names, draw_nodes, draw_note, left_out
from edgewise.plot._layout import Row, arrange
from edgewise.plot._sheet import Sheet


def draw_network(
    inputs: int,
    rows: list[Row],
    shown: list[dict[Edge, float]],
    *,
    names: tuple[Sequence[Any] | None, Sequence[Any] | None] = (None, None),
    title: str | None = None,
    ticks: bool = False,
    scale: float = 1.0,
    varscale: float = 1.0,
) -> Any:
    """Draw a network on a figure of pyplot.

    Args:
        inputs: The number of inputs.
        rows: Its layers.
        shown: For each layer the edges that are drawn, and how opaque they are.
        names: Of inputs and of outputs, texts or SymPy expressions.
        title: A title.
        ticks: Whether the ranges of curves are written on their sides.
        scale: The size of the picture.
        varscale: The size of names.
    """
    plt = require("matplotlib.pyplot", "plot")
    sheet = Sheet(plt.figure(dpi=100 * scale, facecolor="white"))
    layout = arrange(inputs, rows, shown)
    draw_edges(sheet, layout, rows, shown, ticks=ticks)
    draw_nodes(sheet, layout)
    for depth, letter, given in zip((0, len(rows)), "xy", names, strict=True):
        words = None if given is None else list(map(_text, given))
        draw_names(sheet, layout, depth, words, letter, mathematics=True, scale=varscale)
    draw_note(sheet, left_out(inputs, layout, rows, shown))
    if title is not None:
        left, _, right, top = sheet.bounds()
        sheet.text((left + right) / 2, top + 0.15, title, ha="center", va="bottom", size=14)
    return sheet.finish()


def _text(name: Any) -> str:
    """A name as matplotlib writes it."""
    if isinstance(name, str):
        return name
    import sympy

    return f"${sympy.latex(name)}$"
