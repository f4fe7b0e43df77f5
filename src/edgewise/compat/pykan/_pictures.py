"""The drawings of the compat modules: a perceptron, and the tree of a function."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from torch import Tensor


def draw_perceptron(
    width: Sequence[int], parts: Sequence[Tensor], beta: float, scale: float
) -> Any:
    """Draw layers of nodes from the bottom to the top, with an edge for each weight."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(3 * scale, 1.5 * len(parts) * scale))
    for level, count in enumerate(width):
        places = [(i + 0.5) / count for i in range(count)]
        size = (70 * scale / max(width)) ** 2 * 0.5
        axes.scatter(places, [0.5 * level] * count, s=size, color="black", zorder=2)
    for level, part in enumerate(parts):
        outputs, inputs = part.shape
        for o in range(outputs):
            for i in range(inputs):
                value = float(part[o, i])
                axes.plot(
                    [(o + 0.5) / outputs, (i + 0.5) / inputs],
                    [0.5 * (level + 1), 0.5 * level],
                    lw=0.5 * scale,
                    alpha=math.tanh(beta * abs(value)),
                    color="blue" if value > 0 else "red",
                    zorder=1,
                )
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.05, 0.5 * len(parts) + 0.05))
    axes.axis("off")
    return figure


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
