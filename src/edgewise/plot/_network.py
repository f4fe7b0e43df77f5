"""The picture of a network: its nodes, and on each edge its function."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from torch import Tensor

from edgewise._errors import ConfigError
from edgewise._layer import Lock
from edgewise._network import KAN, trace
from edgewise._prune import attribute
from edgewise._types import Edge
from edgewise.plot._curves import checked, unit_curves
from edgewise.plot._layout import CURVES, WIDE, Frame, Layout, arrange, least_gap
from edgewise.plot._sheet import Sheet
from edgewise.plot._style import GRAY, INK, LOCKED, PALE, Figure, Point

_MOST = 200  # the number of edges that a layer shows at most
_LETTER = 0.17  # inches from one upright name to the next, at least
BEHIND = 0.4  # how opaque a plain line is, beside one with a curve
_FAINTEST = 0.08  # no edge that is drawn is less opaque


def network(
    model: KAN,
    x: Any,
    *,
    names: Sequence[str] | None = None,
    output_names: Sequence[str] | None = None,
    beta: float = 3.0,
    faint: float | None = None,
) -> Figure:
    r"""Draw a network: its nodes from the inputs up to the outputs, and on each edge its function.

    Each small plot covers the range of the data that comes through its edge, and is scaled to its
    frame; the opacity :math:`\tanh(\beta\,\text{score})` says what the edge carries (`attribute`;
    arXiv 2404.19756, sec. 2.5). A dot with a plus adds; one with a cross multiplies the sums
    below it. Numeric edges are black, locked ones orange and named where there is room; edges that
    are off are not drawn, nor are hidden nodes without edges.

    The curve of `Edge(0, 1, 2)` has the id `curve-0-1-2`, its frame `frame-0-1-2` and its lines
    `wire-0-1-2`, also in an SVG file.

    Args:
        model: The network; it is not changed.
        x: Inputs that represent the data, at least two rows: a tensor or a NumPy array.
        names: What the inputs are called: plain text, never read as mathematics. By default x_1,
            x_2 and so on, as in a formula.
        output_names: What the outputs are called. By default y, or y_1, y_2 and so on.
        beta: How fast the opacity rises with the score.
        faint: Edges with a lower score are left out, and counted below the picture. By default
            0.03 in layers of more than 40 edges and 0 elsewhere. A layer shows its 200 strongest
            edges at most; of more than 60 edges, locked ones and the strongest have curves, 30 in
            all, and the others are plain lines.

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
    check_names(names, model.in_features, "input")
    check_names(output_names, model.out_features, "output")
    x = checked(model, x)
    sheet = Sheet()
    scores = scores_of(model, x)
    shown = [strongest(of_layer, faint) for of_layer in scores]
    layout = arrange(model, shown)
    unnamed = draw_edges(sheet, layout, model, x, shown, beta)
    draw_nodes(sheet, layout)
    draw_names(sheet, layout, 0, names, "x")
    draw_names(sheet, layout, len(shown), output_names, "y")
    note = _left_out(model, layout, scores, shown)
    if unnamed:
        note.append("orange: locked to a primitive")
    if note:
        _draw_note(sheet, note)
    return sheet.finish()


def check_names(names: Sequence[str] | None, count: int, what: str) -> None:
    """Check that there is a name for each input or output."""
    if isinstance(names, str):
        raise ConfigError(f"Give a list of {what} names, got the text {names!r}.")
    if names is not None and len(names) != count:
        raise ConfigError(
            f"This network has {count} {what}s, got {len(names)} names: {list(names)!r}."
        )


def scores_of(model: KAN, x: Tensor) -> list[dict[Edge, float]]:
    """The scores of the edges that are on, from rows where the network has a value; else 1."""
    rows = x[trace(model, x).output.isfinite().all(-1)]
    attribution = attribute(model, rows) if len(rows) > 1 else None
    scores: list[dict[Edge, float]] = [{} for _ in model.parts()]
    for e in model.edges():
        one = 1.0 if attribution is None else float(attribution.edges[e.layer][e.target, e.source])
        scores[e.layer][e] = one
    return scores


def strongest(scores: dict[Edge, float], faint: float | None) -> dict[Edge, float]:
    """The edges of a layer that are drawn."""
    if faint is None:
        faint = 0.03 if len(scores) > WIDE else 0.0
    ranked = sorted(scores, key=lambda e: scores[e], reverse=True)[:_MOST]
    return {e: scores[e] for e in ranked if scores[e] >= faint}


def draw_edges(
    sheet: Sheet,
    layout: Layout,
    model: KAN,
    x: Tensor,
    shown: list[dict[Edge, float]],
    beta: float,
    *,
    named: bool = True,
) -> int:
    """Draw wires, frames and curves; tell how many locked edges had no room for their name."""
    unnamed = 0
    for depth, came in enumerate(trace(model, x).inputs):
        layer, _ = model.parts()[depth]
        curves, locks = unit_curves(layer, came), dict(layer.locked())
        for e, score in shown[depth].items():
            lock, key = locks.get((e.target, e.source)), f"{e.layer}-{e.source}-{e.target}"
            alpha = opacity(score, beta)
            style = {"color": INK if lock is None else LOCKED, "alpha": alpha}
            frame, wire = layout.frames.get(e), layout.wires[e]
            if frame is None:  # a line among many
                alone = {**style, "alpha": BEHIND * alpha, "lw": 0.5, "zorder": alpha / 2}
                sheet.line(wire, f"wire-{key}", **alone)
                unnamed += lock is not None
                continue
            thin = 0.55 + 0.4 * frame.side
            sheet.line(wire, f"wire-{key}", lw=thin, zorder=1 + alpha / 2, **style)
            if len(layout.frames) < len(layout.wires):  # lines may pass behind
                sheet.square(frame, f"ground-{key}", lw=0, color="white", zorder=1.8)
            square = sheet.square(frame, f"frame-{key}", lw=0.7, fill=False, zorder=2, **style)
            words = named and lock is not None
            if named and lock is not None:
                words = _draw_lock_name(sheet, frame, f"lock-{key}", lock, alpha)
            unnamed += lock is not None and not words
            line = points(frame, curves[:, e.target, e.source], 0.1 if words else 0.0)
            thick = min(1.3, 0.7 + frame.side)
            curve = sheet.line(line, f"curve-{key}", lw=thick, zorder=3, **style)
            curve.set(clip_path=square, solid_capstyle="round")
    return unnamed


def opacity(score: float, beta: float) -> float:
    """How opaque an edge of this score is."""
    return max(_FAINTEST, math.tanh(beta * score))


def points(frame: Frame, heights: Tensor, strip: float) -> list[Point]:
    """A curve in its frame, above a strip for a name."""
    pad = 0.13 * frame.side
    step = (frame.side - 2 * pad) / (len(heights) - 1)
    rise = frame.side - 2 * pad - strip
    return [
        (frame.x + pad + k * step, frame.y + pad + strip + rise * height)
        for k, height in enumerate(heights.tolist())
    ]


def _draw_lock_name(sheet: Sheet, frame: Frame, gid: str, lock: Lock, alpha: float) -> bool:
    """Write the primitive's name at the bottom of a plot, if there is room."""
    if frame.side < 0.36:
        return False
    x, y, name = frame.x + frame.side / 2, frame.y + 0.035, lock.primitive.name
    style = {"color": LOCKED, "alpha": max(0.5, alpha), "size": 7.5, "ha": "center"}
    text = sheet.text(x, y, name, parse_math=False, va="baseline", gid=gid, **style)
    if sheet.width_of(text) <= frame.side - 0.04:
        return True
    text.remove()
    return False


def draw_nodes(sheet: Sheet, layout: Layout) -> None:
    """Draw dots: plain for inputs, with a plus for sums, with a cross for products."""
    room = {
        depth: least_gap(x for (row, _), (x, _) in layout.nodes.items() if row == depth)
        for depth, _ in layout.nodes
    }
    for (depth, i), at in layout.nodes.items():
        scale = min(1.0, max(0.35, room[depth] / 0.2))
        key, color = f"{depth}-{i}", INK if (depth, i) in layout.live else PALE
        factors = layout.factors.get((depth, i), ())
        for k, factor in enumerate(factors):
            sheet.line([factor, at], f"factor-{key}-{k}", color=color, lw=1.2, zorder=4)
            _draw_dot(sheet, factor, f"{key}-{k}", 6.5 * scale, color, "+")
        size, sign = (10.5, "x") if factors else (8.0, "+") if depth else (5.0, None)
        _draw_dot(sheet, at, key, size * scale, color, sign)


def _draw_dot(sheet: Sheet, at: Point, key: str, size: float, color: str, sign: str | None) -> None:
    """Draw a node with its sign."""
    sheet.line(
        [at], f"node-{key}", marker="o", ms=size, color=color, mec="white", mew=0.6, zorder=5
    )
    if sign is not None:
        kind, share = ("plus", 0.6) if sign == "+" else ("times", 0.42)
        style = {"marker": sign, "ms": share * size, "mew": 1.0, "color": "white", "zorder": 6}
        sheet.line([at], f"{kind}-{key}", **style)


def draw_names(
    sheet: Sheet, layout: Layout, depth: int, names: Sequence[str] | None, letter: str
) -> None:
    """Write names below the inputs or above the outputs, slanted where they are long."""
    places = {i: at for (layer, i), at in layout.nodes.items() if layer == depth}
    texts, above, room = [], depth > 0, least_gap(x for x, _ in places.values())
    stride = max(1, math.ceil(_LETTER / room))  # no more names than there is room for
    for i, (x, y) in list(places.items())[::stride]:
        if names is not None:
            words = _short(str(names[i]))
        else:
            words = f"${letter}$" if above and len(places) == 1 else f"${letter}_{{{i + 1}}}$"
        text = sheet.text(x, y + 0.13 if above else y - 0.11, words, parse_math=names is None)
        text.set(ha="center", va="bottom" if above else "top", size=11 if names else 13)
        text.set(color=INK if (depth, i) in layout.live else GRAY, gid=f"{letter}-{i}")
        texts.append(text)
    if max(map(sheet.width_of, texts), default=0.0) > room - 0.08:
        steep = room < 0.3
        for text in texts:
            text.set(rotation=90 if steep else 40, rotation_mode="anchor")
            text.set(ha="left" if above else "right", va="center" if steep else text.get_va())


def _draw_note(sheet: Sheet, lines: list[str]) -> None:
    """Write below the picture what a reader should know."""
    left, bottom, right, _ = sheet.bounds()
    words = ("  ·  " if right - left > 5 else "\n").join(lines)
    sheet.text(left, bottom - 0.12, words, size=9, color=GRAY, va="top", gid="note")


def _left_out(
    model: KAN, layout: Layout, scores: list[dict[Edge, float]], shown: list[dict[Edge, float]]
) -> list[str]:
    """Say what is not in the picture."""
    lost = [row[e] for row, kept in zip(scores, shown, strict=True) for e in row if e not in kept]
    nodes = model.in_features + sum(len(after) for _, after in model.parts())
    idle, edges = nodes - len(layout.nodes), sum(map(len, scores))
    lines = []
    if lost:
        least = _above(max(lost))
        lines.append(f"{len(lost):,} edges below {least:.2g} not drawn (of {edges:,})")
    if len(layout.frames) < len(layout.wires):
        lines.append(f"curves on the {CURVES} strongest edges of a layer")
    if idle:
        lines.append(f"{idle:,} node{'s' * (idle > 1)} without edges left out")
    return lines


def _above(score: float) -> float:
    """The least number of two digits above a score."""
    unit = 10.0 ** (math.floor(math.log10(max(score, 1e-12))) - 1)
    return (math.floor(score / unit) + 1) * unit


def _short(name: str) -> str:
    """A name on one line of at most 40 letters."""
    name = " ".join(name.split())
    return name if len(name) <= 40 else name[:39] + "…"
