"""The picture of one edge: its function, its knots and its data."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import torch
from torch import Tensor

from edgewise._errors import ConfigError
from edgewise._layer import KANLayer, Lock
from edgewise._network import KAN, trace
from edgewise._types import Edge
from edgewise.bases import BSpline
from edgewise.plot._curves import checked, evaluate, finite, limits
from edgewise.plot._style import DATA, GRAY, INK, LOCKED, TEXT, Axes, Figure, new_axes


def edge(
    model: KAN,
    edge: Edge | tuple[int, int, int],
    x: Any = None,
) -> Figure:
    """Draw the function of one edge, the knots of its grid and the data that comes through it.

    The curve covers the grid and the data; beyond the grid, where a spline goes on as a line, it is
    dashed. Ticks at the bottom are knots; the shaded hill is the density of the data. An edge that
    is locked is orange, covers its data only, and is named with its constants.

    Args:
        model: The network; it is not changed.
        edge: Which edge: (layer, source, target).
        x: Inputs that represent the data, a tensor or a NumPy array; without them the picture has
            no density.

    Returns:
        The figure.

    Raises:
        ConfigError: If there is no such edge, or if it is off.
        ShapeError: If x is not of shape (batch, inputs).
        DataError: If x has fewer than two rows, or values that are not finite.
        MissingExtraError: If Matplotlib is not installed.

    Example:
        >>> figure = ew.plot.edge(model, ew.Edge(layer=0, source=1, target=4), x)
        >>> figure.axes[0].get_title(loc="left")
        'edge 0:1->4'
    """
    edge = _existing(model, edge)
    layer, _ = model.parts()[edge.layer]
    lock = dict(layer.locked()).get((edge.target, edge.source))
    came = None if x is None else trace(model, checked(model, x)).inputs[edge.layer]
    figure, axes = new_axes(4.8, 3.4)
    if came is not None:
        _draw_density(axes, finite(came[:, edge.source]))
    _draw_function(axes, layer, edge, lock, came)
    axes.set_title(str(edge), loc="left", size=11, **TEXT)
    if lock is not None:
        axes.set_title(_constants(lock), loc="right", size=10, **{**TEXT, "color": LOCKED})
    node = f"node {edge.source} of layer {edge.layer}"
    axes.set_xlabel(node if edge.layer else f"$x_{{{edge.source + 1}}}$", size=11, **TEXT)
    axes.set_ylabel("value of the edge", size=11, **TEXT)
    return figure


def _existing(model: KAN, edge: Edge | tuple[int, int, int]) -> Edge:
    """Check that an edge exists and is on."""
    if len(edge) != 3:
        raise ConfigError(f"An edge is (layer, source, target), got {edge!r}.")
    edge = Edge(*edge)
    parts = model.parts()
    if not 0 <= edge.layer < len(parts):
        raise ConfigError(
            f"There is no {edge}: this network has the layers of edges 0 to {len(parts) - 1}."
        )
    layer, _ = parts[edge.layer]
    if not (0 <= edge.source < layer.in_features and 0 <= edge.target < layer.out_features):
        raise ConfigError(
            f"There is no {edge}: in layer {edge.layer}, source goes from 0 to "
            f"{layer.in_features - 1} and target from 0 to {layer.out_features - 1}."
        )
    if not bool(layer.active[edge.target, edge.source]):
        raise ConfigError(
            f"{edge} is off, so it has no function. model.edges() lists those that are on."
        )
    return edge


def _draw_function(
    axes: Axes, layer: KANLayer, edge: Edge, lock: Lock | None, came: Tensor | None
) -> None:
    """Draw an edge over its grid and its data; a lock, which has no grid, over its data."""
    low, high = layer.basis.domain[edge.source].tolist()
    seen = [] if came is None else finite(came[:, edge.source]).tolist()
    covered = [low, high, *seen] if lock is None or len(set(seen)) < 2 else seen
    points = torch.linspace(min(covered), max(covered), 401, dtype=torch.float64)
    edges = partial(evaluate, layer)
    values = edges(points.unsqueeze(-1).expand(-1, layer.in_features))
    bottom, top = (float(end[edge.target, edge.source]) for end in limits(edges, values, came))
    if top > bottom:
        axes.set_ylim(bottom - 0.06 * (top - bottom), top + 0.06 * (top - bottom))
    color, within = LOCKED, torch.ones_like(points).bool()
    if lock is None:
        color, within = INK, (points >= low) & (points <= high)
        _draw_knots(axes, layer, edge.source)
    values = values[:, edge.target, edge.source]
    axes.plot(points, values.where(~within, math.nan), color=color, lw=1.3, ls="--", gid="beyond")
    axes.plot(points, values.where(within, math.nan), color=color, lw=1.8, gid="curve")
    axes.margins(x=0.03)


def _draw_knots(axes: Axes, layer: KANLayer, source: int) -> None:
    """Draw the knots of a spline as ticks at the bottom."""
    if isinstance(layer.basis, BSpline):
        degree = layer.basis.degree
        knots = layer.basis.knots[source, degree:-degree].tolist()
        style = {"ls": "none", "marker": 2, "ms": 7, "mew": 1.0, "color": GRAY, "gid": "knots"}
        axes.plot(knots, [0] * len(knots), transform=axes.get_xaxis_transform(), **style)


def _draw_density(axes: Axes, values: Tensor) -> None:
    """Shade the range of the data, and draw its density as a hill at the bottom."""
    if len(values) == 0:
        return
    low, high = float(values.min()), float(values.max())
    axes.axvspan(low, high, color=DATA, alpha=0.06, lw=0, zorder=0, gid="range")
    if high > low:
        bins = int(min(60, max(8, len(values) ** 0.5)))
        counts = torch.histc(values, bins, low, high)
        heights = (0.28 * counts / counts.max()).tolist()
        ends = torch.linspace(low, high, bins + 1, dtype=torch.float64).tolist()
        style = {"fill": True, "color": DATA, "alpha": 0.25, "lw": 0, "zorder": 0}
        place = axes.get_xaxis_transform()
        axes.stairs(heights, ends, transform=place, gid="density", **style)


def _constants(lock: Lock) -> str:
    """A lock's primitive and constants, as words."""
    a, b, c, d = (f"{v:.3g}".replace("-", "−") for v in lock.constants.tolist())
    return f"{lock.primitive.name}:  a = {a}, b = {b}, c = {c}, d = {d}"
