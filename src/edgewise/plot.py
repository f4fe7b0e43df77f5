"""Pictures of networks and fits, as Matplotlib figures: nothing is shown and no file is written."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

from edgewise._errors import ConfigError, DataError, ShapeError, require
from edgewise._fit import FitResult, Step
from edgewise._layer import KANLayer, Lock
from edgewise._network import KAN, trace
from edgewise._prune import attribute
from edgewise._types import Edge
from edgewise.bases import BSpline

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
else:  # a run-time check of types does not need Matplotlib
    Axes: TypeAlias = Any
    Figure: TypeAlias = Any

Point: TypeAlias = tuple[float, float]

_INK, _GRAY, _PALE = "#1f1f1f", "#6f6f6f", "#c4c4c4"
_LOCKED, _DATA = "#cf4a00", "#0b6fae"  # vermilion and blue: apart for every kind of color vision
_FONT = ["STIXGeneral", "DejaVu Sans"]  # both come with Matplotlib; the second has what the first lacks
_TEXT: dict[str, Any] = {"family": _FONT, "math_fontfamily": "stix", "usetex": False, "color": _INK}

_WIDE = 40  # a layer of more edges leaves faint ones out, one of more nodes those without edges
_MOST = 120  # the number of edges that a layer shows at most
_FAINTEST = 0.08  # no edge that is drawn is less opaque
_PLOT, _WIDTH = 0.58, 15.0  # inches: the side of a plot where there is room, the width of a wide network
_POINTS = 121


def network(
    model: KAN,
    x: Float[Tensor, "batch inputs"],
    *,
    names: Sequence[str] | None = None,
    output_names: Sequence[str] | None = None,
    beta: float = 3.0,
    faint: float | None = None,
) -> Figure:
    r"""Draw a network: its nodes from the inputs up to the outputs, and on each edge its function.

    Each small plot covers the range of the data that comes through its edge, and is scaled to its
    frame; the opacity :math:`\tanh(\beta\,\text{score})` says what the edge carries (`attribute`;
    arXiv 2404.19756, sec. 2.5). A dot with a plus adds; one with a cross multiplies the two sums below
    it. Numeric edges are black, locked ones red and named where there is room; edges that are off are
    not drawn.

    The curve of `Edge(0, 1, 2)` has the id `curve-0-1-2`, its frame `frame-0-1-2` and its lines
    `wire-0-1-2`, also in an SVG file.

    Args:
        model: The network; it is not changed.
        x: Inputs that represent the data, at least two rows.
        names: What the inputs are called: plain text, never read as mathematics. By default x_1, x_2
            and so on, as in a formula.
        output_names: What the outputs are called. By default y, or y_1, y_2 and so on.
        beta: How fast the opacity rises with the score.
        faint: Edges with a lower score are left out, and counted below the picture. By default 0.01 in
            layers of more than 40 edges and 0 elsewhere. A layer shows its 120 strongest edges at most.

    Returns:
        The figure; `figure.savefig("network.png", dpi=200)` writes it to a file.

    Raises:
        ConfigError: If there are more or fewer names than inputs or outputs, or if `beta` or `faint`
            is out of range.
        ShapeError: If x is not of shape (batch, inputs).
        DataError: If x has fewer than two rows, or values that are not finite.
        MissingExtraError: If Matplotlib is not installed.

    Example:
        >>> figure = ew.plot.network(model, x, names=["time_s", "price_$"])
        >>> sum(str(artist.get_gid()).startswith("curve") for artist in figure.axes[0].lines)
        15
    """
    if not 0 < beta < math.inf:
        raise ConfigError(f"beta must be positive and finite, got {beta}.")
    if faint is not None and not faint >= 0:
        raise ConfigError(f"faint is a score and cannot be negative, got {faint}.")
    _check_names(names, model.in_features, "input")
    _check_names(output_names, model.out_features, "output")
    x = _checked(model, x)
    sheet = _Sheet()
    scores = _scores(model, x)
    shown = [_strongest(of_layer, faint) for of_layer in scores]
    layout = _arrange(model, shown)
    unnamed = _draw_edges(sheet, model, x, layout, shown, beta)
    _draw_nodes(sheet, layout)
    _draw_names(sheet, layout.nodes[0], names, "x", layout.live, above=False)
    _draw_names(sheet, layout.nodes[-1], output_names, "y", layout.live, above=True)
    _draw_note(sheet, model, layout, scores, shown, unnamed)
    return sheet.finish()


def history(result: FitResult) -> Figure:
    """Draw the errors of a fit over its steps, on a logarithmic scale.

    The numbers on top are the grids; the ring is at the step whose model was kept, the one with the
    least error on the rows held out.

    Args:
        result: What `fit` returned.

    Returns:
        The figure.

    Raises:
        MissingExtraError: If Matplotlib is not installed.

    Example:
        >>> figure = ew.plot.history(ew.fit(model, x, x[:, :1] * x[:, 1:], time=1, progress=False))
        >>> figure.axes[0].get_yscale()
        'log'
    """
    figure, axes = _axes(6.4, 3.8)
    steps = result.history
    axes.set_xlabel("step", size=11, **_TEXT)
    axes.set_ylabel(result.measure, size=11, **_TEXT)
    if not steps:
        axes.set(xticks=[], yticks=[])
        axes.text(0.5, 0.5, "No step was taken.", transform=axes.transAxes, ha="center", **_TEXT)
        return figure
    index = [step.index for step in steps]
    marker = "o" if len(steps) <= 12 else None
    style = {"lw": 1.6, "marker": marker, "ms": 3.5}
    held_out, train = [step.held_out for step in steps], [step.train for step in steps]
    axes.plot(index, held_out, color=_DATA, label="rows held out", gid="held_out", **style)
    axes.plot(index, train, color=_INK, ls=(0, (3, 1.5)), label="fitted rows", gid="train", **style)
    _set_log_scale(axes, [*held_out, *train])
    _mark_kept(axes, steps, result.measure)
    axes.legend(frameon=False, labelcolor=_INK, prop={"family": _FONT, "size": 9.5})
    _mark_grids(axes, steps)
    return figure


def edge(
    model: KAN,
    edge: Edge | tuple[int, int, int],
    x: Float[Tensor, "batch inputs"] | None = None,
) -> Figure:
    """Draw the function of one edge, the knots of its grid and the data that comes through it.

    The curve covers the grid and the data; beyond the grid, where a spline goes on as a line, it is
    dashed. Ticks at the bottom are knots; the shaded hill is the density of the data. An edge that is
    locked is red, and named with its constants.

    Args:
        model: The network; it is not changed.
        edge: Which edge: (layer, source, target).
        x: Inputs that represent the data; without them the picture has no density.

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
    low, high = layer.basis.domain[edge.source].tolist()
    start, stop = low, high
    figure, axes = _axes(4.8, 3.4)
    if x is not None:
        record = trace(model, _checked(model, x))
        came = record.inputs[edge.layer][:, edge.source].double().cpu()
        start, stop = min(low, float(came.min())), max(high, float(came.max()))
        _draw_density(axes, came)
    points = torch.linspace(start, stop, 401, dtype=torch.float64)
    values = _evaluate(layer, points.unsqueeze(-1).expand(-1, layer.in_features))
    values = values[:, edge.target, edge.source]
    within = torch.full_like(points, lock is not None).bool() | ((points >= low) & (points <= high))
    color = _INK if lock is None else _LOCKED
    axes.plot(points, values.where(~within, math.nan), color=color, lw=1.3, ls="--", gid="beyond")
    axes.plot(points, values.where(within, math.nan), color=color, lw=1.8, gid="curve")
    if lock is None and isinstance(layer.basis, BSpline):
        knots = layer.basis.knots[edge.source, layer.basis.degree : -layer.basis.degree].tolist()
        axes.plot(knots, [0.0] * len(knots), transform=axes.get_xaxis_transform(), **_KNOTS)
    axes.margins(x=0.03)
    axes.set_title(str(edge), loc="left", size=11, **_TEXT)
    if lock is not None:
        axes.set_title(_constants(lock), loc="right", size=10, **{**_TEXT, "color": _LOCKED})
    source = f"node {edge.source} of layer {edge.layer}" if edge.layer else f"$x_{{{edge.source + 1}}}$"
    axes.set_xlabel(source, size=11, **_TEXT)
    axes.set_ylabel("value of the edge", size=11, **_TEXT)
    return figure


# What to draw


def _checked(model: KAN, x: Tensor) -> Tensor:
    """Check inputs, and bring them to the model's precision and device."""
    if x.ndim != 2 or x.shape[1] != model.in_features:
        raise ShapeError(
            f"This network takes inputs of shape (batch, {model.in_features}), got {tuple(x.shape)}."
        )
    if len(x) < 2:
        raise DataError(f"A picture needs at least 2 rows of inputs, got {len(x)}.")
    if not bool(torch.isfinite(x).all()):
        raise DataError("x has values that are NaN or infinite. Drop those rows, or fill them in.")
    return x.detach().to(dtype=model.dtype, device=model.device)


def _check_names(names: Sequence[str] | None, count: int, what: str) -> None:
    """Check that there is a name for each input or output."""
    if isinstance(names, str):
        raise ConfigError(f"Give a list of {what} names, got the text {names!r}.")
    if names is not None and len(names) != count:
        raise ConfigError(f"This network has {count} {what}s, got {len(names)} names: {list(names)!r}.")


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
        raise ConfigError(f"{edge} is off, so it has no function. model.edges() lists those that are on.")
    return edge


def _scores(model: KAN, x: Tensor) -> list[dict[Edge, float]]:
    """The scores of the edges that are on; where the data give none (NaN), 1."""
    by_layer = [scores.double().nan_to_num(nan=1.0).tolist() for scores in attribute(model, x).edges]
    on: list[dict[Edge, float]] = [{} for _ in by_layer]
    for e in model.edges():
        on[e.layer][e] = by_layer[e.layer][e.target][e.source]
    return on


def _strongest(scores: dict[Edge, float], faint: float | None) -> dict[Edge, float]:
    """The edges of a layer that are drawn."""
    if faint is None:
        faint = 0.01 if len(scores) > _WIDE else 0.0
    ranked = sorted(scores, key=lambda e: scores[e], reverse=True)[:_MOST]
    return {e: scores[e] for e in ranked if scores[e] >= faint}


@torch.no_grad()
def _evaluate(layer: KANLayer, points: Tensor) -> Tensor:
    """The edges of a layer at points (points, inputs), in float64: (points, sums, inputs)."""
    like = layer.basis.domain
    return layer.edges(points.to(dtype=like.dtype, device=like.device)).double().cpu()


def _curves(layer: KANLayer, came: Tensor) -> Tensor:
    """Every edge over the range of its data, scaled to heights from 0 to 1: (points, sums, inputs)."""
    least, most = came.amin(0), came.amax(0)
    low, high = layer.basis.domain.unbind(-1)
    constant = most <= least
    least, most = torch.where(constant, low, least), torch.where(constant, high, most)
    share = torch.linspace(0, 1, _POINTS, dtype=came.dtype, device=came.device).unsqueeze(-1)
    values = _evaluate(layer, least * (1 - share) + most * share)
    bottom, top = _range(values)
    # a pole between two samples must not flatten the rest
    data_bottom, data_top = _range(_evaluate(layer, came))
    slack = (data_top - data_bottom) / 2
    cut = slack > 0
    bottom = torch.where(cut, torch.maximum(bottom, data_bottom - slack), bottom)
    top = torch.where(cut, torch.minimum(top, data_top + slack), top)
    size = torch.maximum(bottom.abs(), top.abs())
    flat = top - bottom <= 100 * torch.finfo(came.dtype).eps * size  # what rounding leaves
    heights = (values - bottom) / torch.where(flat, torch.ones_like(size), top - bottom)
    return torch.where(flat & torch.isfinite(values), 0.5, heights)


def _range(values: Tensor) -> tuple[Tensor, Tensor]:
    """The least and the largest finite value over the first axis."""
    finite = torch.isfinite(values)
    return values.where(finite, math.inf).amin(0), values.where(finite, -math.inf).amax(0)


# Where to draw it


@dataclass(frozen=True)
class _Row:
    """The plots of a layer: lower left corners, the lines below and above each, the side of a plot."""

    corners: dict[Edge, Point]
    below: dict[Edge, list[Point]]
    above: dict[Edge, list[Point]]
    side: float
    top: float


@dataclass(frozen=True)
class _Layout:
    """Where everything is, in inches; the inputs are at y = 0.

    Attributes:
        nodes: For each layer of nodes, the place of each node that is drawn.
        sums: For each layer of edges, the place of each sum that they enter.
        factors: For each layer of edges, the two sums of each product node by its number.
        rows: For each layer of edges, its plots.
        live: The nodes (layer, number) that edges enter and leave; the others carry nothing.
    """

    nodes: list[dict[int, Point]]
    sums: list[dict[int, Point]]
    factors: list[dict[int, tuple[int, int]]]
    rows: list[_Row]
    live: set[tuple[int, int]]


def _arrange(model: KAN, shown: list[dict[Edge, float]]) -> _Layout:
    """Find a place for every node and plot."""
    parts = model.parts()
    live = _live(model, shown)
    counts = [model.in_features, *(len(nodes) for _, nodes in parts)]
    used = {(e.layer, e.source) for row in shown for e in row}
    used |= {(e.layer + 1, parts[e.layer][1].of_sum(e.target)) for row in shown for e in row}
    used |= {(0, i) for i in range(counts[0]) if counts[0] <= _WIDE}
    used |= {(len(parts), i) for i in range(counts[-1])}
    present = [[i for i in range(n) if (depth, i) in used] for depth, n in enumerate(counts)]
    most = max(map(len, shown))
    widest = max(0.68 * min(most, 12) + 0.25 * max(0, most - 12), 0.5 * max(map(len, present)))
    width = min(_WIDTH, max(1.4, widest))
    across = [{i: width * (k + 0.5) / len(row) for k, i in enumerate(row)} for row in present]
    nodes = [{i: (at, 0.0) for i, at in across[0].items()}]
    sums, factors, rows = [], [], []
    y = 0.0
    for depth, (_, after) in enumerate(parts):
        target = {j: across[depth + 1].get(after.of_sum(j), 0.0) for j in range(after.in_features)}
        # lines of two edges cross once if their ends are in opposite order, and else not at all
        order = sorted(
            shown[depth], key=lambda e: (across[e.layer][e.source], target[e.target], e.target)
        )
        slot = width / max(1, len(order))
        runs = [slot * (k + 0.5) - across[depth][e.source] for k, e in enumerate(order)]
        row = _place_row(order, width, y + _gap(runs))
        rows.append(row)
        runs = [slot * (k + 0.5) - target[e.target] for k, e in enumerate(order)]
        y = low = row.top + _gap(runs)
        if after.products:
            y += 0.36
        nodes.append({i: (at, y) for i, at in across[depth + 1].items()})
        place = {j: nodes[-1][j] for j in range(after.sums) if j in nodes[-1]}
        spread = min(0.22, 0.26 * width / max(1, len(across[depth + 1])))
        factors.append({})
        for i in range(after.sums, len(after)):
            if i in across[depth + 1]:
                at, first = across[depth + 1][i], 2 * i - after.sums
                factors[-1][i] = (first, first + 1)
                place |= {first: (at - spread, low), first + 1: (at + spread, low)}
        sums.append(place)
    return _Layout(nodes, sums, factors, rows, live)


def _place_row(order: list[Edge], width: float, bottom: float) -> _Row:
    """Put the plots of a layer at even distances.

    Where plots in one row would be tiny, each place holds a stair of several, one above the other. Of
    the lines that pass a step of the stair, those of the plots below are on its left and those of the
    plots above on its right, so that they do not cross.
    """
    for steps in range(1, 6):
        pitch = width / max(1, math.ceil(len(order) / steps))
        gutter = 0.13 * pitch + 0.04 * (steps - 1)
        side = min(_PLOT, pitch - gutter)
        if side >= 0.32:
            break
    rise = side + 0.1
    corners, below, above = {}, {}, {}
    for k, e in enumerate(order):
        place, step = divmod(k, steps)
        in_place = min(steps, len(order) - place * steps)
        left = pitch * (place + 0.5) - side / 2 + 0.04 * (step - (in_place - 1) / 2)
        corners[e] = (left, bottom + rise * step)
        middle = left + side / 2
        below[e] = [
            (left + side, bottom + rise * q + end) for q in range(step) for end in (0.0, side)
        ]
        below[e].append((middle, bottom + rise * step))
        above[e] = [(middle, bottom + rise * step + side)]
        above[e] += [
            (left, bottom + rise * q + end) for q in range(step + 1, in_place) for end in (0.0, side)
        ]
    return _Row(corners, below, above, side, bottom + rise * (min(steps, max(1, len(order))) - 1) + side)


def _gap(runs: list[float]) -> float:
    """The height that lines need which run that far to the side."""
    return min(1.0, 0.34 + 0.13 * max(map(abs, runs), default=0.0))


def _live(model: KAN, shown: list[dict[Edge, float]]) -> set[tuple[int, int]]:
    """The nodes that carry something: edges enter them and leave them."""
    parts = model.parts()
    left = {(e.layer, e.source) for row in shown for e in row}
    entered = {(e.layer + 1, parts[e.layer][1].of_sum(e.target)) for row in shown for e in row}
    entered |= {(0, i) for i in range(model.in_features)}
    left |= {(len(parts), i) for i in range(model.out_features)}
    return entered & left


# Drawing


class _Sheet:
    """A sheet to draw on in inches, which takes the size of what is on it in the end."""

    def __init__(self) -> None:
        figure = require("matplotlib.figure", "plot").Figure
        self.figure: Figure = figure(figsize=(6, 4), dpi=100, facecolor="white")
        self.axes = self.figure.add_axes((0, 0, 1, 1), xlim=(0, 6), ylim=(0, 4))
        self.axes.set_axis_off()
        self._corners: list[Point] = []

    def line(self, points: Sequence[Point], gid: str, **style: Any) -> Any:
        """Draw a line through points."""
        from matplotlib.lines import Line2D

        x, y = zip(*points, strict=True)
        self._corners += [p for p in points if not math.isnan(p[0] + p[1])]
        return self.axes.add_line(Line2D(x, y, gid=gid, clip_on=False, **style))

    def square(self, corner: Point, side: float, gid: str, **style: Any) -> Any:
        """Draw a square."""
        from matplotlib.patches import Rectangle

        self._corners += [corner, (corner[0] + side, corner[1] + side)]
        return self.axes.add_patch(Rectangle(corner, side, side, gid=gid, clip_on=False, **style))

    def text(self, at: Point, words: str, **style: Any) -> Any:
        """Write words."""
        return self.axes.text(*at, words, **{**_TEXT, "clip_on": False, **style})

    def size_of(self, text: Any) -> Point:
        """The width and height of words."""
        box = text.get_window_extent()
        return box.width / self.figure.dpi, box.height / self.figure.dpi

    def bounds(self) -> tuple[float, float, float, float]:
        """The least x and y and the largest x and y of what is drawn."""
        corners = list(self._corners)
        for text in self.axes.texts:
            corners += self.axes.transData.inverted().transform(text.get_window_extent()).tolist()
        x, y = zip(*corners, strict=True)
        return min(x), min(y), max(x), max(y)

    def finish(self) -> Figure:
        """Cut the sheet to size."""
        left, bottom, right, top = self.bounds()
        left, bottom, right, top = left - 0.12, bottom - 0.12, right + 0.12, top + 0.12
        self.axes.set(xlim=(left, right), ylim=(bottom, top))
        self.figure.set_size_inches(right - left, top - bottom)
        return self.figure


def _draw_edges(
    sheet: _Sheet,
    model: KAN,
    x: Tensor,
    layout: _Layout,
    shown: list[dict[Edge, float]],
    beta: float,
) -> int:
    """Draw wires, frames and curves; tell how many locked edges had no room for their name."""
    unnamed = 0
    for depth, came in enumerate(trace(model, x).inputs):
        layer, _ = model.parts()[depth]
        curves, locks, row = _curves(layer, came), dict(layer.locked()), layout.rows[depth]
        for e, corner in row.corners.items():
            lock = locks.get((e.target, e.source))
            style: dict[str, Any] = {
                "color": _INK if lock is None else _LOCKED,
                "alpha": max(_FAINTEST, math.tanh(beta * shown[depth][e])),
            }
            _draw_wire(sheet, layout, e, corner, style)
            frame = sheet.square(
                corner, row.side, _id("frame", e), lw=0.7, fill=False, zorder=2, **style
            )
            named = lock is not None and _draw_lock_name(sheet, e, corner, row.side, lock, style)
            unnamed += lock is not None and not named
            _draw_curve(sheet, frame, e, corner, row.side, curves[:, e.target, e.source], named, style)
    return unnamed


def _draw_wire(
    sheet: _Sheet, layout: _Layout, e: Edge, corner: Point, style: dict[str, Any]
) -> None:
    """Draw the line from a node to a plot and on to the sum that the edge enters."""
    row = layout.rows[e.layer]
    source, target = layout.nodes[e.layer][e.source], layout.sums[e.layer][e.target]
    points = [source, *row.below[e], (math.nan, math.nan), *row.above[e], target]
    sheet.line(points, _id("wire", e), lw=0.8, zorder=1 + style["alpha"] / 2, solid_joinstyle="round", **style)


def _draw_lock_name(
    sheet: _Sheet, e: Edge, corner: Point, side: float, lock: Lock, style: dict[str, Any]
) -> bool:
    """Write the primitive's name at the bottom of a plot, if there is room."""
    if side < 0.36:
        return False
    text = sheet.text(
        (corner[0] + side / 2, corner[1] + 0.035),
        lock.primitive.name,
        parse_math=False,
        size=7.5,
        ha="center",
        va="baseline",
        gid=_id("name", e),
        **{**style, "alpha": max(0.7, style["alpha"])},
    )
    if sheet.size_of(text)[0] > side - 0.04:
        text.remove()
        return False
    return True


def _draw_curve(
    sheet: _Sheet,
    frame: Any,
    e: Edge,
    corner: Point,
    side: float,
    heights: Tensor,
    named: bool,
    style: dict[str, Any],
) -> None:
    """Draw the function of an edge into its frame, above the name if there is one."""
    pad = 0.13 * side
    floor = corner[1] + pad + (0.1 if named else 0.0)
    height = corner[1] + side - pad - floor
    step = (side - 2 * pad) / (len(heights) - 1)
    points = [(corner[0] + pad + k * step, floor + height * v) for k, v in enumerate(heights.tolist())]
    curve = sheet.line(
        points, _id("curve", e), lw=min(1.3, 0.7 + side), zorder=3, solid_capstyle="round", **style
    )
    curve.set_clip_path(frame)


def _draw_nodes(sheet: _Sheet, layout: _Layout) -> None:
    """Draw dots: plain for inputs, with a plus for sums, with a cross for products."""
    for depth, nodes in enumerate(layout.nodes):
        for i, at in nodes.items():
            color = _INK if (depth, i) in layout.live else _PALE
            if depth == 0:
                _draw_dot(sheet, at, f"node-{depth}-{i}", 5, color)
                continue
            pair = layout.factors[depth - 1].get(i)
            for j in pair or ():
                factor = layout.sums[depth - 1][j]
                sheet.line([factor, at], f"factor-{depth - 1}-{j}", color=color, lw=1.2, zorder=4)
                _draw_dot(sheet, factor, f"sum-{depth - 1}-{j}", 6.5, color, "+")
            _draw_dot(sheet, at, f"node-{depth}-{i}", 8 if pair is None else 10.5, color, "x" if pair else "+")


def _draw_dot(
    sheet: _Sheet, at: Point, gid: str, size: float, color: str, sign: str | None = None
) -> None:
    """Draw a node."""
    sheet.line([at], gid, marker="o", ms=size, color=color, mec="white", mew=0.6, zorder=5)
    if sign is not None:
        kind = {"+": "plus", "x": "times"}[sign]
        share = 0.6 if sign == "+" else 0.42
        sheet.line(
            [at], f"{kind}-{gid}", marker=sign, ms=share * size, color="white", mew=1.0, zorder=6
        )


def _draw_names(
    sheet: _Sheet,
    places: dict[int, Point],
    names: Sequence[str] | None,
    letter: str,
    live: set[tuple[int, int]],
    *,
    above: bool,
) -> None:
    """Write the names of inputs or outputs at their nodes, slanted where they are long."""
    only = above and len(places) == 1
    texts = []
    for i, (x, y) in places.items():
        if names is None:
            words, size = f"${letter}$" if only else f"${letter}_{{{i + 1}}}$", 13
        else:
            words, size = _short(str(names[i])), 11
        texts.append(
            sheet.text(
                (x, y + 0.13 if above else y - 0.11),
                words,
                parse_math=names is None,
                size=size,
                ha="center",
                va="bottom" if above else "top",
                color=_INK if above or (0, i) in live else _GRAY,
                gid=f"{letter}-{i}",
            )
        )
    across = sorted(x for x, _ in places.values())
    room = min((b - a for a, b in zip(across, across[1:], strict=False)), default=math.inf)
    if max((sheet.size_of(text)[0] for text in texts), default=0.0) > room - 0.08:
        for text in texts:
            steep = room < 0.3
            text.set(rotation=90 if steep else 40, rotation_mode="anchor")
            text.set(ha="left" if above else "right", va="center" if steep else ("bottom" if above else "top"))


def _draw_note(
    sheet: _Sheet,
    model: KAN,
    layout: _Layout,
    scores: list[dict[Edge, float]],
    shown: list[dict[Edge, float]],
    unnamed: int,
) -> None:
    """Say below the picture what was left out of it."""
    left_out = [row[e] for row, kept in zip(scores, shown, strict=True) for e in row if e not in kept]
    nodes = model.in_features + sum(len(nodes) for _, nodes in model.parts())
    idle = nodes - sum(map(len, layout.nodes))
    lines = []
    if left_out:
        total = sum(map(len, scores))
        lines.append(f"{len(left_out)} of {total} edges left out (scores up to {max(left_out):.2g})")
    if idle:
        lines.append(f"{idle} node{'s' * (idle > 1)} without edges left out")
    if unnamed:
        lines.append("red: locked to a primitive")
    if lines:
        left, bottom, right, _ = sheet.bounds()
        words = ("  ·  " if right - left > 5 else "\n").join(lines)
        sheet.text((left, bottom - 0.12), words, size=9, color=_GRAY, va="top", gid="note")


def _id(kind: str, e: Edge) -> str:
    return f"{kind}-{e.layer}-{e.source}-{e.target}"


def _short(name: str) -> str:
    """A name on one line of at most 40 letters."""
    name = " ".join(name.split())
    return name if len(name) <= 40 else name[:39] + "…"


# Axes


_KNOTS: dict[str, Any] = {
    "ls": "none", "marker": 2, "ms": 7, "mew": 1.0, "color": _GRAY, "clip_on": False, "gid": "knots",
}  # fmt: skip


def _axes(width: float, height: float) -> tuple[Figure, Axes]:
    """A figure with one pair of axes, in the style of all pictures."""
    figure: Figure = require("matplotlib.figure", "plot").Figure(
        figsize=(width, height), dpi=100, facecolor="white", layout="constrained"
    )
    axes = figure.add_subplot(facecolor="white")
    axes.grid(False)
    for side, spine in axes.spines.items():
        spine.set(visible=side in ("left", "bottom"), color=_INK, linewidth=0.8)
    axes.tick_params(which="both", direction="out", width=0.8, color=_INK, labelcolor=_INK)
    axes.tick_params(which="both", labelsize=9.5, labelfontfamily=_FONT)
    return figure, axes


def _set_log_scale(axes: Axes, errors: list[float]) -> None:
    """Scale errors by decades, at least one of them; an error of zero stays at the bottom."""
    from matplotlib.ticker import FuncFormatter, LogLocator

    positive = [error for error in errors if 0 < error < math.inf] or [1.0]
    low, high = math.log10(min(positive)), math.log10(max(positive))
    pad = max(0.06 * (high - low), (1.1 - (high - low)) / 2)
    axes.set_yscale("log", nonpositive="clip")
    axes.set_ylim(10 ** (low - pad), 10 ** (high + pad))
    few = high - low < 1.5
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if few else (1.0,), numticks=9))
    axes.yaxis.set_major_formatter(FuncFormatter(_power))
    axes.yaxis.set_minor_formatter(FuncFormatter(lambda value, at: ""))


def _power(value: float, _: int | None = None) -> str:
    """A tick's label: 10⁻³ for a power of ten, 0.002 or 2×10⁻⁴ else."""
    exponent = math.floor(math.log10(value) + 1e-9)
    digit = round(value / 10**exponent)
    if -3 <= exponent <= 3 and digit != 1:
        return f"{value:g}"
    power = "10" + str(exponent).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return power if digit == 1 else f"{digit}×{power}"


def _mark_kept(axes: Axes, steps: Sequence[Step], measure: str) -> None:
    """Put a ring around the step with the least error held out."""
    compared = [step for step in steps if math.isfinite(step.held_out)]
    if not compared:
        return
    kept = min(compared, key=lambda step: step.held_out)
    label = f"kept: step {kept.index}, {measure} {kept.held_out:.2g}"
    axes.plot(
        [kept.index], [kept.held_out], ls="none", marker="o", ms=9, mew=1.6,
        mfc="none", mec=_LOCKED, zorder=5, clip_on=False, label=label, gid="kept",
    )  # fmt: skip


def _mark_grids(axes: Axes, steps: Sequence[Step]) -> None:
    """Draw a line where the grid changes, and its number above."""
    starts = [k for k, s in enumerate(steps) if k == 0 or s.grid != steps[k - 1].grid]
    ends = [*(steps[k].index - 0.5 for k in starts[1:]), steps[-1].index + 0.5]
    first = steps[0].index - 0.5
    axes.set_xlim(first, ends[-1])
    axes.xaxis.get_major_locator().set_params(integer=True)
    above = {"transform": axes.get_xaxis_transform(), "va": "bottom", "size": 9.5}
    axes.text(-0.02, 1.015, "grid", ha="right", **{**_TEXT, **above, "transform": axes.transAxes})
    for k, start, end in zip(starts, [first, *ends], ends, strict=False):
        if end != ends[-1]:
            axes.axvline(end, color=_PALE, lw=0.8, zorder=0, gid="grid-change")
        if (end - start) / (ends[-1] - first) > 0.012 * len(str(steps[k].grid)) + 0.006:
            middle = (start + end) / 2
            axes.text(middle, 1.015, str(steps[k].grid), ha="center", gid="grid", **{**_TEXT, **above})


def _draw_density(axes: Axes, came: Tensor) -> None:
    """Shade the range of the data, and draw its density as a hill at the bottom."""
    low, high = float(came.min()), float(came.max())
    axes.axvspan(low, high, color=_DATA, alpha=0.06, lw=0, zorder=0, gid="range")
    if not high > low:
        return
    bins = int(min(60, max(8, len(came) ** 0.5)))
    counts = torch.histc(came, bins, low, high)
    heights = (0.28 * counts / counts.max()).tolist()
    edges = torch.linspace(low, high, bins + 1).tolist()
    axes.stairs(
        heights, edges, fill=True, color=_DATA, alpha=0.25, lw=0, zorder=0, gid="density",
        transform=axes.get_xaxis_transform(),
    )  # fmt: skip


def _constants(lock: Lock) -> str:
    """A lock's primitive and constants, as words."""
    a, b, c, d = (f"{v:.3g}".replace("-", "−") for v in lock.constants.tolist())
    return f"{lock.primitive.name}:  a = {a}, b = {b}, c = {c}, d = {d}"
