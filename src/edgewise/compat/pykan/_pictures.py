"""The drawings of the compat modules: a network, and the tree of a function."""

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


def draw_tree(
    names: Sequence[str],
    levels: Sequence[Sequence[Sequence[int]]],
    arities: Sequence[Sequence[int]],
    properties: Sequence[Sequence[str]],
    style: str,
) -> Any:
    """Draw partitions from single inputs at the bottom to all of them at the top."""
    import matplotlib.pyplot as plt

    count, height = len(names), 1.0
    figure, axes = plt.subplots(
        figsize=(max(3.0, 0.9 * count), 1.3 * len(levels)), layout="constrained"
    )
    order = [i for group in levels[0] for i in group]
    below = [i + 0.5 for i in range(count)]  # where the groups of the level below stand
    for i, x in enumerate(below):
        axes.text(x, -0.12, f"${names[order[i]]}$", ha="center", va="top", fontsize=14)
        axes.plot([x, x], [0, 0.3], color="black")
    for level, groups in enumerate(levels[1:]):
        bottom, top = level * height + 0.3, level * height + 0.7
        start, child, centers = 0, 0, []
        for number, group in enumerate(groups):
            low, high = start + 0.15, start + len(group) - 0.15
            start += len(group)
            center = (low + high) / 2
            kids = below[child : child + arities[level][number]]
            child += arities[level][number]
            _draw_node(
                axes, properties[level][number], style, (low, high, bottom, top, center), kids
            )
            end = top + (0.6 if level < len(levels) - 2 else 0.2)
            axes.plot([center, center], [top, end], color="black")
            centers.append(center)
        below = centers
    axes.set(xlim=(0, count), ylim=(-0.5, (len(levels) - 1) * height + 0.1))
    axes.axis("off")
    return figure


def _draw_node(
    axes: Any,
    kind: str,
    style: str,
    place: tuple[float, float, float, float, float],
    children: Sequence[float],
) -> None:
    """Draw one group: a box with its kind, or lines where it is known how the children meet."""
    low, high, bottom, top, center = place
    if style == "box" or kind == "":
        xs, ys = [low, high, high, low, low], [bottom, bottom, top, top, bottom]
        axes.plot(xs, ys, color="black")
        axes.text(center, (bottom + top) / 2, kind, ha="center", va="center", fontsize=11)
        return
    color = "black" if kind == "Id" else "tab:blue"
    for child in children:
        axes.plot([child, center], [bottom, top], color=color)
    if kind in ("Add", "Mul"):
        sign = "+" if kind == "Add" else "×"
        box = {"boxstyle": "circle,pad=0.15", "facecolor": "white", "edgecolor": "tab:red"}
        axes.text(
            center, top, sign, ha="center", va="center", fontsize=15, color="tab:red", bbox=box
        )
