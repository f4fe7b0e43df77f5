"""Drawing a network of any kind: its nodes, and on each edge its function."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from edgewise._types import Edge
from edgewise.plot._curves import Curves
from edgewise.plot._layout import CURVES, WIDE, Frame, Layout, Row, arrange, least_gap
from edgewise.plot._sheet import Sheet
from edgewise.plot._style import GRAY, INK, PALE, Point

MOST = 200  # the number of edges that a layer shows at most
_LETTER = 0.17  # inches from one upright name to the next, at least
BEHIND = 0.4  # how opaque a plain line is, beside one with a curve


def strongest(scores: dict[Edge, float], faint: float | None) -> dict[Edge, float]:
    """The edges of a layer that are drawn."""
    if faint is None:
        faint = 0.03 if len(scores) > WIDE else 0.0
    ranked = sorted(scores, key=lambda e: scores[e], reverse=True)[:MOST]
    return {e: scores[e] for e in ranked if scores[e] >= faint}


def draw(
    sheet: Sheet,
    inputs: int,
    rows: list[Row],
    shown: list[dict[Edge, float]],
    names: Sequence[Sequence[str] | None],
    *,
    legend: str | None = None,
    ticks: bool = False,
    mathematics: bool = False,
    scale: float = 1.0,
) -> Layout:
    """Draw a network.

    Args:
        sheet: Where to draw.
        inputs: The number of inputs.
        rows: The layers.
        shown: For each layer the edges that are drawn, and how opaque they are.
        names: What inputs and outputs are called; x_1, x_2, ... and y where it is not given.
        legend: What stands below if the word of an edge had no room; without it neither words nor
            what is left out are written.
        ticks: Whether the ends of curves' ranges are written.
        mathematics: Whether names are read as mathematics between dollars.
        scale: The size of names.

    Returns:
        Where everything is.
    """
    layout = arrange(inputs, rows, shown)
    lost = _draw_edges(sheet, layout, rows, shown, legend is not None, ticks)
    _draw_nodes(sheet, layout)
    for depth, letter, given in zip((0, len(rows)), "xy", names, strict=True):
        _draw_names(sheet, layout, depth, given, letter, mathematics, scale)
    if legend is not None:
        _draw_note(sheet, _left_out(inputs, layout, rows, shown) + [legend] * (lost > 0))
    return layout


def _draw_edges(
    sheet: Sheet,
    layout: Layout,
    rows: list[Row],
    shown: list[dict[Edge, float]],
    worded: bool,
    ticks: bool,
) -> int:
    """Draw wires, frames and curves; tell how many words had no room."""
    lost = 0
    for row, kept in zip(rows, shown, strict=True):
        for e, alpha in kept.items():
            key, wire = f"{e.layer}-{e.source}-{e.target}", layout.wires[e]
            style = {"color": row.colors.get(e, INK), "alpha": alpha}
            frame, word = layout.frames.get(e), row.words.get(e)
            if frame is None or row.curves is None:  # a line among many
                behind = 1.0 if row.curves is None else BEHIND
                alone = {**style, "alpha": behind * alpha, "lw": 0.5, "zorder": alpha / 2}
                sheet.line(wire, f"wire-{key}", **alone)
                lost += word is not None
                continue
            thin = 0.55 + 0.4 * frame.side
            sheet.line(wire, f"wire-{key}", lw=thin, zorder=1 + alpha / 2, **style)
            if len(layout.frames) < len(layout.wires):  # lines may pass behind
                sheet.square(frame, f"ground-{key}", lw=0, color="white", zorder=1.8)
            square = sheet.square(frame, f"frame-{key}", lw=0.7, fill=False, zorder=2, **style)
            written = worded and word is not None and _draw_word(sheet, frame, key, word, style)
            lost += word is not None and not written
            strip = 0.1 if written else 0.0
            line = points(frame, row.curves.heights[:, e.target, e.source], strip=strip)
            thick = min(1.3, 0.7 + frame.side)
            curve = sheet.line(line, f"curve-{key}", lw=thick, zorder=3, **style)
            curve.set(clip_path=square, solid_capstyle="round")
            if row.samples is not None:
                dots = points(frame, *_placed(row.curves, row.samples, e), strip=strip)
                dotted = {**style, "ls": "none", "marker": ".", "ms": 2, "mew": 0, "zorder": 3}
                sheet.line(dots, f"samples-{key}", **dotted).set(clip_path=square)
            if ticks:
                _draw_ticks(sheet, frame, row.curves, e, strip, style)
    return lost


def points(
    frame: Frame, heights: Tensor, across: Tensor | None = None, *, strip: float = 0.0
) -> list[Point]:
    """Put shares of a frame's height, and of its width, into it, above a strip for a word."""
    pad = 0.13 * frame.side
    run, rise = frame.side - 2 * pad, frame.side - 2 * pad - strip
    if across is None:
        across = torch.linspace(0, 1, len(heights), dtype=torch.float64)
    return [
        (frame.x + pad + run * x, frame.y + pad + strip + rise * y)
        for x, y in zip(across.tolist(), heights.tolist(), strict=True)
    ]


def _placed(curves: Curves, samples: tuple[Tensor, Tensor], e: Edge) -> tuple[Tensor, Tensor]:
    """Where the data of an edge are, as shares of the height and the width of its plot."""
    x, y = samples[0][:, e.source], samples[1][:, e.target, e.source]
    low, high = curves.low[e.source], curves.high[e.source]
    bottom, top = curves.bottom[e.target, e.source], curves.top[e.target, e.source]
    heights = (y - bottom) / (top - bottom) if top > bottom else torch.full_like(y, 0.5)
    return heights, (x - low) / (high - low)


def _draw_ticks(
    sheet: Sheet, frame: Frame, curves: Curves, e: Edge, strip: float, style: dict[str, Any]
) -> None:
    """Write the ends of a curve's ranges below its plot and on the left."""
    words = {**style, "size": 5, "parse_math": False}
    key, at = f"tick-{e.layer}-{e.source}-{e.target}", (e.target, e.source)
    across = curves.low[e.source], curves.high[e.source]
    along = curves.bottom[at], curves.top[at]
    ends = points(frame, torch.tensor([0.0, 1.0]), strip=strip)
    for k, (x, y) in enumerate(ends):
        below = {"ha": "center", "va": "top", "gid": f"{key}-x{k}"}
        sheet.text(x, frame.y - 0.02, _number(across[k]), **words, **below)
        left = {"ha": "right", "va": "center", "rotation": 90, "gid": f"{key}-y{k}"}
        sheet.text(frame.x - 0.01, y, _number(along[k]), **words, **left)


def _number(value: Tensor) -> str:
    return f"{float(value):.2g}".replace("-", "−")


def _draw_word(sheet: Sheet, frame: Frame, key: str, word: str, style: dict[str, Any]) -> bool:
    """Write a word, such as a primitive's name, at the bottom of a plot, if there is room."""
    if frame.side < 0.36:
        return False
    look = {**style, "alpha": max(0.5, style["alpha"]), "size": 7.5, "ha": "center"}
    x, y = frame.x + frame.side / 2, frame.y + 0.035
    text = sheet.text(x, y, word, parse_math=False, va="baseline", gid=f"lock-{key}", **look)
    if sheet.width_of(text) <= frame.side - 0.04:
        return True
    text.remove()
    return False


def _draw_nodes(sheet: Sheet, layout: Layout) -> None:
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


def _draw_names(
    sheet: Sheet,
    layout: Layout,
    depth: int,
    names: Sequence[str] | None,
    letter: str,
    mathematics: bool,
    scale: float,
) -> None:
    """Write names below the inputs or above the outputs, slanted where they are long."""
    places = {i: at for (layer, i), at in layout.nodes.items() if layer == depth}
    texts, above, room = [], depth > 0, least_gap(x for x, _ in places.values())
    stride = max(1, math.ceil(_LETTER / room))  # no more names than there is room for
    for i, (x, y) in list(places.items())[::stride]:
        if names is not None:
            words = str(names[i]) if mathematics else _short(str(names[i]))
        else:
            words = f"${letter}$" if above and len(places) == 1 else f"${letter}_{{{i + 1}}}$"
        text = sheet.text(
            x, y + 0.13 if above else y - 0.11, words, parse_math=mathematics or names is None
        )
        text.set(ha="center", va="bottom" if above else "top", size=scale * (11 if names else 13))
        text.set(color=INK if (depth, i) in layout.live else GRAY, gid=f"{letter}-{i}")
        texts.append(text)
    if max(map(sheet.width_of, texts), default=0.0) > room - 0.08:
        steep = room < 0.3
        for text in texts:
            text.set(rotation=90 if steep else 40, rotation_mode="anchor")
            text.set(ha="left" if above else "right", va="center" if steep else text.get_va())


def _draw_note(sheet: Sheet, lines: list[str]) -> None:
    """Write below the picture what a reader should know."""
    if lines:
        left, bottom, right, _ = sheet.bounds()
        words = ("  ·  " if right - left > 5 else "\n").join(lines)
        sheet.text(left, bottom - 0.12, words, size=9, color=GRAY, va="top", gid="note")


def _left_out(
    inputs: int, layout: Layout, rows: list[Row], shown: list[dict[Edge, float]]
) -> list[str]:
    """Say what is not in the picture."""
    pairs = [(row.scores, kept) for row, kept in zip(rows, shown, strict=True)]
    lost = [scores[e] for scores, kept in pairs for e in scores if e not in kept]
    nodes = inputs + sum(len(row.nodes) for row in rows)
    idle, edges = nodes - len(layout.nodes), sum(len(row.scores) for row in rows)
    lines = []
    if lost:
        least, many = _above(max(lost)), "s" * (len(lost) > 1)
        lines.append(f"{len(lost):,} edge{many} below {least:.2g} not drawn (of {edges:,})")
    if 0 < len(layout.frames) < len(layout.wires):
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
