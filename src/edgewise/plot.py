"""Pictures of networks and fits, as Matplotlib figures: nothing is shown and no file is written."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

from edgewise._errors import ConfigError, DataError, ShapeError, require
from edgewise._fit import FitResult, Step
from edgewise._layer import KANLayer, Lock
from edgewise._network import KAN, Nodes, trace
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
_FONT = ["STIXGeneral", "DejaVu Sans"]  # both come with Matplotlib
_TEXT: dict[str, Any] = {"family": _FONT, "math_fontfamily": "stix", "usetex": False, "color": _INK}

_WIDE = 40  # a layer of more edges leaves faint ones out, one of more nodes those without edges
_MOST = 120  # the number of edges that a layer shows at most
_FAINTEST = 0.08  # no edge that is drawn is less opaque
_WIDTH = 15.0  # inches: the width of a wide network
_PLOT, _SMALL = 0.58, 0.28  # inches: the side of a plot, with much room and with little
_PRODUCT = 0.36  # inches from the factors of a product up to it
_POINTS = 121  # on a curve in a network


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
    arXiv 2404.19756, sec. 2.5). A dot with a plus adds; one with a cross multiplies the two sums
    below it. Numeric edges are black, locked ones orange and named where there is room; edges that
    are off are not drawn, nor are hidden nodes without edges.

    The curve of `Edge(0, 1, 2)` has the id `curve-0-1-2`, its frame `frame-0-1-2` and its lines
    `wire-0-1-2`, also in an SVG file.

    Args:
        model: The network; it is not changed.
        x: Inputs that represent the data, at least two rows.
        names: What the inputs are called: plain text, never read as mathematics. By default x_1,
            x_2 and so on, as in a formula.
        output_names: What the outputs are called. By default y, or y_1, y_2 and so on.
        beta: How fast the opacity rises with the score.
        faint: Edges with a lower score are left out, and counted below the picture. By default
            0.03 in layers of more than 40 edges and 0 elsewhere. A layer shows its 120 strongest
            edges at most.

    Returns:
        The figure; `figure.savefig("network.png", dpi=200)` writes it to a file.

    Raises:
        ConfigError: If there are more or fewer names than inputs or outputs, or if `beta` or
            `faint` is out of range.
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
    unnamed = _draw_edges(sheet, layout, model, x, shown, beta)
    _draw_nodes(sheet, layout)
    _draw_names(sheet, layout, 0, names, "x")
    _draw_names(sheet, layout, len(shown), output_names, "y")
    note = _left_out(model, layout, scores, shown)
    if unnamed:
        note.append("orange: locked to a primitive")
    if note:
        _draw_note(sheet, note)
    return sheet.finish()


def history(result: FitResult) -> Figure:
    """Draw the errors of a fit over its steps, on a logarithmic scale.

    The numbers on top are the grids; the ring is at the step whose model was kept, the one with the
    least error on the rows held out. An error of zero stands at the bottom.

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
    floor = _set_log_scale(axes, [*held_out, *train])
    lifted = [[max(error, floor) for error in errors] for errors in (held_out, train)]
    axes.plot(index, lifted[0], color=_DATA, label="rows held out", gid="held_out", **style)
    dashes = (0, (3, 1.5))
    axes.plot(index, lifted[1], color=_INK, ls=dashes, label="fitted rows", gid="train", **style)
    _mark_kept(axes, steps, floor, result.measure)
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
    dashed. Ticks at the bottom are knots; the shaded hill is the density of the data. An edge that
    is locked is orange, covers its data only, and is named with its constants.

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
    came = None if x is None else trace(model, _checked(model, x)).inputs[edge.layer]
    figure, axes = _axes(4.8, 3.4)
    if came is not None:
        _draw_density(axes, _finite(came[:, edge.source]))
    _draw_function(axes, layer, edge, lock, came)
    axes.set_title(str(edge), loc="left", size=11, **_TEXT)
    if lock is not None:
        axes.set_title(_constants(lock), loc="right", size=10, **{**_TEXT, "color": _LOCKED})
    node = f"node {edge.source} of layer {edge.layer}"
    axes.set_xlabel(node if edge.layer else f"$x_{{{edge.source + 1}}}$", size=11, **_TEXT)
    axes.set_ylabel("value of the edge", size=11, **_TEXT)
    return figure


# What to draw


def _checked(model: KAN, x: Tensor) -> Tensor:
    """Check inputs, and bring them to the model's precision and device."""
    if x.ndim != 2 or x.shape[1] != model.in_features:
        raise ShapeError(
            f"This network takes inputs of shape (batch, {model.in_features}), "
            f"got {tuple(x.shape)}."
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
        raise ConfigError(
            f"This network has {count} {what}s, got {len(names)} names: {list(names)!r}."
        )


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


def _scores(model: KAN, x: Tensor) -> list[dict[Edge, float]]:
    """The scores of the edges that are on, from rows where the network has a value; else 1."""
    rows = x[trace(model, x).output.isfinite().all(-1)]
    attribution = attribute(model, rows) if len(rows) > 1 else None
    scores: list[dict[Edge, float]] = [{} for _ in model.parts()]
    for e in model.edges():
        one = 1.0 if attribution is None else float(attribution.edges[e.layer][e.target, e.source])
        scores[e.layer][e] = one
    return scores


def _strongest(scores: dict[Edge, float], faint: float | None) -> dict[Edge, float]:
    """The edges of a layer that are drawn."""
    if faint is None:
        faint = 0.03 if len(scores) > _WIDE else 0.0
    ranked = sorted(scores, key=lambda e: scores[e], reverse=True)[:_MOST]
    return {e: scores[e] for e in ranked if scores[e] >= faint}


@torch.no_grad()
def _evaluate(layer: KANLayer, points: Tensor) -> Tensor:
    """The edges of a layer at points (points, inputs), in float64: (points, sums, inputs)."""
    like = layer.basis.domain
    return layer.edges(points.to(dtype=like.dtype, device=like.device)).double().cpu()


def _curves(layer: KANLayer, came: Tensor) -> Tensor:
    """Every edge over the range of its data, as heights from 0 to 1: (points, sums, inputs)."""
    least, most = _range(came)
    low, high = layer.basis.domain.unbind(-1)
    constant = most <= least
    least, most = torch.where(constant, low, least), torch.where(constant, high, most)
    share = torch.linspace(0, 1, _POINTS, dtype=came.dtype, device=came.device).unsqueeze(-1)
    values = _evaluate(layer, least * (1 - share) + most * share)
    bottom, top = _limits(layer, values, came)
    size = torch.maximum(bottom.abs(), top.abs())
    flat = top - bottom <= 100 * torch.finfo(came.dtype).eps * size  # what rounding leaves
    heights = (values - bottom) / torch.where(flat, torch.ones_like(size), top - bottom)
    return torch.where(flat & torch.isfinite(values), 0.5, heights)


def _limits(layer: KANLayer, values: Tensor, came: Tensor | None) -> tuple[Tensor, Tensor]:
    """Where the plots of curves begin and end: (sums, inputs) each.

    A pole between two samples must not flatten the rest, so the data tell how far is far.
    """
    bottom, top = _range(values)
    if came is None:
        return bottom, top
    data_bottom, data_top = _range(_evaluate(layer, came))
    slack = (data_top - data_bottom) / 2
    bottom = torch.where(slack > 0, torch.maximum(bottom, data_bottom - slack), bottom)
    top = torch.where(slack > 0, torch.minimum(top, data_top + slack), top)
    return bottom, top


def _range(values: Tensor) -> tuple[Tensor, Tensor]:
    """The least and the largest finite value over the first axis."""
    finite = torch.isfinite(values)
    return values.where(finite, math.inf).amin(0), values.where(finite, -math.inf).amax(0)


# Where to draw it


class _Frame(NamedTuple):
    """Where the plot of an edge is: its lower left corner and its side."""

    x: float
    y: float
    side: float


@dataclass(frozen=True)
class _Layout:
    """Where everything is, in inches; the inputs are at y = 0.

    Attributes:
        nodes: The nodes that are drawn, as (layer, number).
        factors: The two sums of each product node.
        frames: The plots of the edges.
        wires: The line of each edge, from its node to its plot and on to the sum that it enters.
        live: The nodes that edges enter and leave; the others carry nothing.
    """

    nodes: dict[tuple[int, int], Point]
    factors: dict[tuple[int, int], tuple[Point, Point]]
    frames: dict[Edge, _Frame]
    wires: dict[Edge, list[Point]]
    live: set[tuple[int, int]]


def _arrange(model: KAN, shown: list[dict[Edge, float]]) -> _Layout:
    """Find a place for every node and plot."""
    parts = model.parts()
    counts = [model.in_features, *(len(after) for _, after in parts)]
    last = len(parts)
    left = {(e.layer, e.source) for row in shown for e in row}
    entered = {(e.layer + 1, parts[e.layer][1].of_sum(e.target)) for row in shown for e in row}
    live = (entered | {(0, i) for i in range(counts[0])}) & (
        left | {(last, i) for i in range(counts[-1])}
    )
    named = {(0, i) for i in range(counts[0]) if counts[0] <= _WIDE}
    named |= {(last, i) for i in range(counts[-1])}
    present = [
        [i for i in range(n) if (depth, i) in left | entered | named]
        for depth, n in enumerate(counts)
    ]
    width = _width(max(map(len, shown)), max(map(len, present)))
    across = {
        (depth, i): width * (k + 0.5) / len(row)
        for depth, row in enumerate(present)
        for k, i in enumerate(row)
    }
    layout = _Layout({(0, i): (across[0, i], 0.0) for i in present[0]}, {}, {}, {}, live)
    y = 0.0
    for depth, (_, after) in enumerate(parts):
        targets = {e: across[depth + 1, after.of_sum(e.target)] for e in shown[depth]}
        # the lines of two edges cross once if their ends are in opposite order, and else not at all
        order = sorted(targets, key=lambda e: (across[e.layer, e.source], targets[e], e.target))
        y = _place_plots(layout, order, [across[depth, e.source] for e in order], width, y)
        y += _gap([layout.wires[e][-1][0] - targets[e] for e in order])
        columns = {i: across[depth + 1, i] for i in present[depth + 1]}
        sums = _place_nodes(layout, depth + 1, after, columns, y)
        for e in order:
            layout.wires[e].append(sums[e.target])
        y += _PRODUCT if after.products else 0.0
    return layout


def _width(edges: int, nodes: int) -> float:
    """The width of a picture with so many edges and nodes in its widest rows."""
    return min(_WIDTH, max(1.4, 0.68 * min(edges, 12) + 0.25 * max(0, edges - 12), 0.5 * nodes))


def _gap(runs: list[float]) -> float:
    """The height that lines need which run that far to the side."""
    return min(1.0, 0.34 + 0.13 * max(map(abs, runs), default=0.0))


def _place_plots(
    layout: _Layout, order: list[Edge], sources: list[float], width: float, y: float
) -> float:
    """Put the plots of a layer above their sources at even distances, and tell where they end.

    Where plots in one row would be tiny, each place holds a stair of several, one above the other.
    Of the lines that pass a step of the stair, those of the plots below are on its left and those
    of the plots above on its right, so that they do not cross.
    """
    if not order:
        return y
    steps = next((n for n in range(1, 5) if _side(len(order), n, width)[0] >= _SMALL), 5)
    side, pitch, apart = _side(len(order), steps, width)
    places = math.ceil(len(order) / steps)
    stairs = [k * places // len(order) for k in range(len(order))]
    bottom = y + _gap([pitch * (p + 0.5) - at for p, at in zip(stairs, sources, strict=True)])
    tallest = math.ceil(len(order) / places)
    ends = [(bottom + (side + 0.1) * q, bottom + (side + 0.1) * q + side) for q in range(tallest)]
    for k, e in enumerate(order):
        height, step = stairs.count(stairs[k]), k - stairs.index(stairs[k])
        x = pitch * (stairs[k] + 0.5) - side / 2 + apart * (step - (height - 1) / 2)
        layout.frames[e] = _Frame(x, ends[step][0], side)
        layout.wires[e] = [
            layout.nodes[e.layer, e.source],
            *((x + side, end) for step_below in ends[:step] for end in step_below),
            (x + side / 2, ends[step][0]),
            (math.nan, math.nan),
            (x + side / 2, ends[step][1]),
            *((x, end) for step_above in ends[step + 1 :] for end in step_above),
        ]
    return ends[-1][1]


def _side(count: int, steps: int, width: float) -> tuple[float, float, float]:
    """The side of plots in stairs, how far stairs are apart, and how far the lines between them."""
    pitch = width / math.ceil(count / steps)
    apart = 0.13 * pitch if steps == 1 else 0.047
    return min(_PLOT, pitch - steps * apart), pitch, apart


def _place_nodes(
    layout: _Layout, depth: int, nodes: Nodes, across: dict[int, float], y: float
) -> dict[int, Point]:
    """Put nodes in a row, product nodes above their factors, and tell where each sum is."""
    top = y + (_PRODUCT if nodes.products else 0.0)
    sums = {}
    for i, x in across.items():
        layout.nodes[depth, i] = x, top
        if i < nodes.sums:
            sums[i] = x, top
        else:
            first, spread = 2 * i - nodes.sums, min(0.22, 0.26 * _room(across.values()))
            sums[first], sums[first + 1] = (x - spread, y), (x + spread, y)
            layout.factors[depth, i] = sums[first], sums[first + 1]
    return sums


def _room(across: Iterable[float]) -> float:
    """The least distance between neighbors."""
    return min((b - a for a, b in pairwise(sorted(across))), default=math.inf)


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

    def square(self, frame: _Frame, gid: str, **style: Any) -> Any:
        """Draw a frame."""
        from matplotlib.patches import Rectangle

        x, y, side = frame
        self._corners += [(x, y), (x + side, y + side)]
        return self.axes.add_patch(Rectangle((x, y), side, side, gid=gid, clip_on=False, **style))

    def text(self, x: float, y: float, words: str, **style: Any) -> Any:
        """Write words."""
        words, fonts = _with_fonts(words)
        return self.axes.text(x, y, words, **{**_TEXT, "family": fonts, "clip_on": False, **style})

    def width_of(self, text: Any) -> float:
        """The width of words."""
        return text.get_window_extent().width / self.figure.dpi

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
    layout: _Layout,
    model: KAN,
    x: Tensor,
    shown: list[dict[Edge, float]],
    beta: float,
) -> int:
    """Draw wires, frames and curves; tell how many locked edges had no room for their name."""
    unnamed = 0
    for depth, came in enumerate(trace(model, x).inputs):
        layer, _ = model.parts()[depth]
        curves, locks = _curves(layer, came), dict(layer.locked())
        for e, score in shown[depth].items():
            lock, key = locks.get((e.target, e.source)), f"{e.layer}-{e.source}-{e.target}"
            alpha = max(_FAINTEST, math.tanh(beta * score))
            style = {"color": _INK if lock is None else _LOCKED, "alpha": alpha}
            frame, wire = layout.frames[e], layout.wires[e]
            thin = 0.55 + 0.4 * frame.side
            sheet.line(wire, f"wire-{key}", lw=thin, zorder=1 + alpha / 2, **style)
            square = sheet.square(frame, f"frame-{key}", lw=0.7, fill=False, zorder=2, **style)
            named = lock is not None and _draw_lock_name(sheet, frame, f"lock-{key}", lock, alpha)
            unnamed += lock is not None and not named
            points = _points(frame, curves[:, e.target, e.source], 0.1 if named else 0.0)
            thick = min(1.3, 0.7 + frame.side)
            curve = sheet.line(points, f"curve-{key}", lw=thick, zorder=3, **style)
            curve.set(clip_path=square, solid_capstyle="round")
    return unnamed


def _points(frame: _Frame, heights: Tensor, strip: float) -> list[Point]:
    """A curve in its frame, above a strip for a name."""
    pad = 0.13 * frame.side
    step = (frame.side - 2 * pad) / (len(heights) - 1)
    rise = frame.side - 2 * pad - strip
    return [
        (frame.x + pad + k * step, frame.y + pad + strip + rise * height)
        for k, height in enumerate(heights.tolist())
    ]


def _draw_lock_name(sheet: _Sheet, frame: _Frame, gid: str, lock: Lock, alpha: float) -> bool:
    """Write the primitive's name at the bottom of a plot, if there is room."""
    if frame.side < 0.36:
        return False
    x, y, name = frame.x + frame.side / 2, frame.y + 0.035, lock.primitive.name
    style = {"color": _LOCKED, "alpha": max(0.5, alpha), "size": 7.5, "ha": "center"}
    text = sheet.text(x, y, name, parse_math=False, va="baseline", gid=gid, **style)
    if sheet.width_of(text) <= frame.side - 0.04:
        return True
    text.remove()
    return False


def _draw_nodes(sheet: _Sheet, layout: _Layout) -> None:
    """Draw dots: plain for inputs, with a plus for sums, with a cross for products."""
    for (depth, i), at in layout.nodes.items():
        key, color = f"{depth}-{i}", _INK if (depth, i) in layout.live else _PALE
        factors = layout.factors.get((depth, i), ())
        for k, factor in enumerate(factors):
            sheet.line([factor, at], f"factor-{key}-{k}", color=color, lw=1.2, zorder=4)
            _draw_dot(sheet, factor, f"{key}-{k}", 6.5, color, "+")
        size, sign = (10.5, "x") if factors else (8.0, "+") if depth else (5.0, None)
        _draw_dot(sheet, at, key, size, color, sign)


def _draw_dot(
    sheet: _Sheet, at: Point, key: str, size: float, color: str, sign: str | None
) -> None:
    """Draw a node with its sign."""
    sheet.line(
        [at], f"node-{key}", marker="o", ms=size, color=color, mec="white", mew=0.6, zorder=5
    )
    if sign is not None:
        kind, share = ("plus", 0.6) if sign == "+" else ("times", 0.42)
        style = {"marker": sign, "ms": share * size, "mew": 1.0, "color": "white", "zorder": 6}
        sheet.line([at], f"{kind}-{key}", **style)


def _draw_names(
    sheet: _Sheet, layout: _Layout, depth: int, names: Sequence[str] | None, letter: str
) -> None:
    """Write names below the inputs or above the outputs, slanted where they are long."""
    places = {i: at for (layer, i), at in layout.nodes.items() if layer == depth}
    texts, above, room = [], depth > 0, _room(x for x, _ in places.values())
    for i, (x, y) in places.items():
        if names is not None:
            words = _short(str(names[i]))
        else:
            words = f"${letter}$" if above and len(places) == 1 else f"${letter}_{{{i + 1}}}$"
        text = sheet.text(x, y + 0.13 if above else y - 0.11, words, parse_math=names is None)
        text.set(ha="center", va="bottom" if above else "top", size=11 if names else 13)
        text.set(color=_INK if (depth, i) in layout.live else _GRAY, gid=f"{letter}-{i}")
        texts.append(text)
    if max(map(sheet.width_of, texts), default=0.0) > room - 0.08:
        steep = room < 0.3
        for text in texts:
            text.set(rotation=90 if steep else 40, rotation_mode="anchor")
            text.set(ha="left" if above else "right", va="center" if steep else text.get_va())


def _draw_note(sheet: _Sheet, lines: list[str]) -> None:
    """Write below the picture what a reader should know."""
    left, bottom, right, _ = sheet.bounds()
    words = ("  ·  " if right - left > 5 else "\n").join(lines)
    sheet.text(left, bottom - 0.12, words, size=9, color=_GRAY, va="top", gid="note")


def _left_out(
    model: KAN, layout: _Layout, scores: list[dict[Edge, float]], shown: list[dict[Edge, float]]
) -> list[str]:
    """Say what is not in the picture."""
    lost = [row[e] for row, kept in zip(scores, shown, strict=True) for e in row if e not in kept]
    nodes = model.in_features + sum(len(after) for _, after in model.parts())
    idle, edges = nodes - len(layout.nodes), sum(map(len, scores))
    lines = []
    if lost:
        lines.append(f"{len(lost)} of {edges} edges left out (scores up to {max(lost):.2g})")
    if idle:
        lines.append(f"{idle} node{'s' * (idle > 1)} without edges left out")
    return lines


def _short(name: str) -> str:
    """A name on one line of at most 40 letters."""
    name = " ".join(name.split())
    return name if len(name) <= 40 else name[:39] + "…"


def _with_fonts(words: str) -> tuple[str, list[str]]:
    """Find fonts that have every letter; a letter that no font has becomes a box."""
    if words.isascii() and words.isprintable():
        return words, _FONT
    from matplotlib import font_manager

    def letters(path: str) -> set[int]:
        try:
            return set(font_manager.get_font(path).get_charmap())
        except (OSError, RuntimeError):  # a broken font on the machine
            return set()

    known = set().union(*(letters(str(font_manager.findfont(name))) for name in _FONT))
    missing = set(map(ord, words)) - known - {ord("\n")}
    if not missing:
        return words, _FONT
    for font in font_manager.fontManager.ttflist:
        if not font.name.startswith("Last Resort") and missing <= letters(font.fname):
            return words, [*_FONT, font.name]
    return "".join("□" if ord(letter) in missing else letter for letter in words), _FONT


# Axes


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


def _set_log_scale(axes: Axes, errors: list[float]) -> float:
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


def _mark_kept(axes: Axes, steps: Sequence[Step], floor: float, measure: str) -> None:
    """Put a ring around the step with the least error held out."""
    compared = [step for step in steps if math.isfinite(step.held_out)]
    if not compared:
        return
    kept = min(compared, key=lambda step: step.held_out)
    style = {"ls": "none", "marker": "o", "ms": 9, "mew": 1.6, "mfc": "none", "mec": _LOCKED}
    label = f"kept: step {kept.index}, {measure} {kept.held_out:.2g}"
    ring = axes.plot([kept.index], [max(kept.held_out, floor)], label=label, gid="kept", **style)
    ring[0].set(zorder=5, clip_on=False)


def _mark_grids(axes: Axes, steps: Sequence[Step]) -> None:
    """Draw a line where the grid changes, and its number above."""
    from matplotlib.ticker import MaxNLocator

    starts = [k for k, s in enumerate(steps) if k == 0 or s.grid != steps[k - 1].grid]
    ends = [*(steps[k].index - 0.5 for k in starts[1:]), steps[-1].index + 0.5]
    first = steps[0].index - 0.5
    axes.set_xlim(first, ends[-1])
    axes.xaxis.set_major_locator(MaxNLocator(9, steps=[1, 2, 5, 10], integer=True, min_n_ticks=1))
    above = {"transform": axes.get_xaxis_transform(), "va": "bottom", "size": 9.5}
    axes.text(-0.02, 1.015, "grid", ha="right", **{**_TEXT, **above, "transform": axes.transAxes})
    for k, start, end in zip(starts, [first, *ends], ends, strict=False):
        if end != ends[-1]:
            axes.axvline(end, color=_PALE, lw=0.8, zorder=0, gid="grid-change")
        if (end - start) / (ends[-1] - first) > 0.012 * len(str(steps[k].grid)) + 0.006:
            middle = (start + end) / 2
            axes.text(
                middle, 1.015, str(steps[k].grid), ha="center", gid="grid", **{**_TEXT, **above}
            )


def _draw_function(
    axes: Axes, layer: KANLayer, edge: Edge, lock: Lock | None, came: Tensor | None
) -> None:
    """Draw an edge over its grid and its data; a lock, which has no grid, over its data."""
    low, high = layer.basis.domain[edge.source].tolist()
    seen = [] if came is None else _finite(came[:, edge.source]).tolist()
    covered = [low, high, *seen] if lock is None or len(set(seen)) < 2 else seen
    points = torch.linspace(min(covered), max(covered), 401, dtype=torch.float64)
    values = _evaluate(layer, points.unsqueeze(-1).expand(-1, layer.in_features))
    bottom, top = (float(end[edge.target, edge.source]) for end in _limits(layer, values, came))
    if top > bottom:
        axes.set_ylim(bottom - 0.06 * (top - bottom), top + 0.06 * (top - bottom))
    color, within = _LOCKED, torch.ones_like(points).bool()
    if lock is None:
        color, within = _INK, (points >= low) & (points <= high)
        _draw_knots(axes, layer, edge.source)
    values = values[:, edge.target, edge.source]
    axes.plot(points, values.where(~within, math.nan), color=color, lw=1.3, ls="--", gid="beyond")
    axes.plot(points, values.where(within, math.nan), color=color, lw=1.8, gid="curve")
    axes.margins(x=0.03)


def _finite(values: Tensor) -> Tensor:
    """The values that are numbers, in float64."""
    return values[values.isfinite()].double().cpu()


def _draw_knots(axes: Axes, layer: KANLayer, source: int) -> None:
    """Draw the knots of a spline as ticks at the bottom."""
    if isinstance(layer.basis, BSpline):
        degree = layer.basis.degree
        knots = layer.basis.knots[source, degree:-degree].tolist()
        style = {"ls": "none", "marker": 2, "ms": 7, "mew": 1.0, "color": _GRAY, "gid": "knots"}
        axes.plot(knots, [0] * len(knots), transform=axes.get_xaxis_transform(), **style)


def _draw_density(axes: Axes, values: Tensor) -> None:
    """Shade the range of the data, and draw its density as a hill at the bottom."""
    if len(values) == 0:
        return
    low, high = float(values.min()), float(values.max())
    axes.axvspan(low, high, color=_DATA, alpha=0.06, lw=0, zorder=0, gid="range")
    if high > low:
        bins = int(min(60, max(8, len(values) ** 0.5)))
        counts = torch.histc(values, bins, low, high)
        heights = (0.28 * counts / counts.max()).tolist()
        ends = torch.linspace(low, high, bins + 1, dtype=torch.float64).tolist()
        style = {"fill": True, "color": _DATA, "alpha": 0.25, "lw": 0, "zorder": 0}
        place = axes.get_xaxis_transform()
        axes.stairs(heights, ends, transform=place, gid="density", **style)


def _constants(lock: Lock) -> str:
    """A lock's primitive and constants, as words."""
    a, b, c, d = (f"{v:.3g}".replace("-", "−") for v in lock.constants.tolist())
    return f"{lock.primitive.name}:  a = {a}, b = {b}, c = {c}, d = {d}"
