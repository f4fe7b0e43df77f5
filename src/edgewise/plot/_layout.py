"""Where everything in the picture of a network goes, in inches."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

from torch import Tensor

from edgewise._nodes import Nodes
from edgewise._types import Edge
from edgewise.plot._curves import Curves
from edgewise.plot._style import Point

CROWDED = 60  # a layer that shows more edges has curves on some only
CURVES = 30  # on so many
WIDE = 40  # a layer of more edges leaves faint ones out, one of more nodes those without edges
_WIDTH = 15.0  # inches: the width of a wide network
_PLOT, _SMALL = 0.58, 0.28  # inches: the side of a plot, with much room and with little
_PRODUCT = 0.36  # inches from the factors of a product up to it
_PLAIN = 1.0  # inches from one layer of nodes to the next where no edge has a curve


@dataclass(frozen=True)
class Row:
    """A layer of edges and the nodes that they enter, of any kind of network.

    Attributes:
        nodes: The nodes.
        scores: How much each edge that is on carries.
        curves: Their functions; without any, edges are plain lines.
        colors: The edges that are not drawn in ink.
        words: What is written on the plots of some.
        samples: What came into the layer (batch, inputs) and what went out of its edges (batch,
            sums, inputs), to be drawn as dots.
    """

    nodes: Nodes
    scores: dict[Edge, float]
    curves: Curves | None = None
    colors: dict[Edge, str] = field(default_factory=dict)
    words: dict[Edge, str] = field(default_factory=dict)
    samples: tuple[Tensor, Tensor] | None = None


class Frame(NamedTuple):
    """Where the plot of an edge is: its lower left corner and its side."""

    x: float
    y: float
    side: float


@dataclass(frozen=True)
class Layout:
    """Where everything is, in inches; the inputs are at y = 0.

    Attributes:
        nodes: The nodes that are drawn, as (layer, number).
        factors: The sums of each product node.
        frames: The plots of the edges; in a crowded layer only the strongest have one.
        wires: The line of each edge, from its node to its plot, if it has one, and on to the sum
            that it enters.
        live: The nodes that edges enter and leave; the others carry nothing.
    """

    nodes: dict[tuple[int, int], Point]
    factors: dict[tuple[int, int], list[Point]]
    frames: dict[Edge, Frame]
    wires: dict[Edge, list[Point]]
    live: set[tuple[int, int]]


def arrange(inputs: int, rows: list[Row], shown: list[dict[Edge, float]]) -> Layout:
    """Find a place for every node and plot.

    Args:
        inputs: The number of inputs.
        rows: The layers.
        shown: For each layer the edges that are drawn, and how opaque they are.
    """
    counts = [inputs, *(len(row.nodes) for row in rows)]
    last = len(rows)
    left = {(e.layer, e.source) for kept in shown for e in kept}
    entered = {(e.layer + 1, rows[e.layer].nodes.of_sum(e.target)) for kept in shown for e in kept}
    live = (entered | {(0, i) for i in range(counts[0])}) & (
        left | {(last, i) for i in range(counts[-1])}
    )
    named = {(0, i) for i in range(counts[0]) if counts[0] <= WIDE}
    named |= {(last, i) for i in range(counts[-1])}
    present = [
        [i for i in range(n) if (depth, i) in left | entered | named]
        for depth, n in enumerate(counts)
    ]
    plotted = [_with_curves(row, kept) for row, kept in zip(rows, shown, strict=True)]
    width = _width(max(map(len, plotted)), max(map(len, present)))
    across = {
        (depth, i): width * (k + 0.5) / len(row)
        for depth, row in enumerate(present)
        for k, i in enumerate(row)
    }
    layout = Layout({(0, i): (across[0, i], 0.0) for i in present[0]}, {}, {}, {}, live)
    y = 0.0
    for depth, row in enumerate(rows):
        targets = {e: across[depth + 1, row.nodes.of_sum(e.target)] for e in shown[depth]}
        # the lines of two edges cross once if their ends are in opposite order, and else not at all
        order = sorted(plotted[depth], key=lambda e: _between(across[e[:2]], targets[e], e))
        y = _place_plots(layout, order, [across[depth, e.source] for e in order], width, y)
        runs = [layout.wires[e][-1][0] - targets[e] for e in order]
        y += _PLAIN if row.curves is None else _gap(runs)
        for e in targets.keys() - plotted[depth]:
            layout.wires[e] = [layout.nodes[e.layer, e.source]]
        columns = {i: across[depth + 1, i] for i in present[depth + 1]}
        sums = _place_nodes(layout, depth + 1, row.nodes, columns, y)
        for e in targets:
            layout.wires[e].append(sums[e.target])
        y += _PRODUCT if row.nodes.products else 0.0
    return layout


def _with_curves(row: Row, shown: dict[Edge, float]) -> set[Edge]:
    """The edges of a layer that have room for a curve: all, or colored ones and the strongest."""
    if row.curves is None:
        return set()
    if len(shown) <= CROWDED:
        return set(shown)
    ranked = sorted(shown, key=lambda e: (e in row.colors, shown[e]), reverse=True)
    return set(ranked[:CURVES])


def _between(source: float, target: float, e: Edge) -> tuple[float, float, int]:
    """What edges are put in order by: their sources, then where they lead."""
    return source, target, e.target


def _width(edges: int, nodes: int) -> float:
    """The width of a picture with so many edges and nodes in its widest rows."""
    return min(_WIDTH, max(1.4, 0.68 * min(edges, 12) + 0.25 * max(0, edges - 12), 0.5 * nodes))


def _gap(runs: list[float]) -> float:
    """The height that lines need which run that far to the side."""
    return min(1.0, 0.34 + 0.13 * max(map(abs, runs), default=0.0))


def _place_plots(
    layout: Layout, order: list[Edge], sources: list[float], width: float, y: float
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
        layout.frames[e] = Frame(x, ends[step][0], side)
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
    layout: Layout, depth: int, nodes: Nodes, across: dict[int, float], y: float
) -> dict[int, Point]:
    """Put nodes in a row, product nodes above their factors, and tell where each sum is."""
    top = y + (_PRODUCT if nodes.products else 0.0)
    room, sums = least_gap(across.values()), {}
    for i, x in across.items():
        layout.nodes[depth, i] = x, top
        if i < nodes.sums:
            sums[i] = x, top
            continue
        entering = nodes.sums_of(i)
        apart = min(0.44, 0.52 * room) / max(1, len(entering) - 1)
        first = x - apart * (len(entering) - 1) / 2
        places = [(first + k * apart, y) for k in range(len(entering))]
        sums.update(zip(entering, places, strict=True))
        layout.factors[depth, i] = places
    return sums


def least_gap(across: Iterable[float]) -> float:
    """The least distance between neighbors."""
    return min((b - a for a, b in pairwise(sorted(across))), default=math.inf)
