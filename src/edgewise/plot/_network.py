"""The picture of a network: its nodes, and on each edge its function."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

from torch import Tensor

from edgewise._errors import ConfigError
from edgewise._network import KAN, trace
from edgewise._prune import attribute
from edgewise._types import Edge
from edgewise.plot._curves import checked, evaluate, unit_curves
from edgewise.plot._diagram import draw, strongest
from edgewise.plot._layout import Row
from edgewise.plot._sheet import Sheet
from edgewise.plot._style import LOCKED, Figure

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
    rows = rows_of(model, x, scores_of(model, x))
    shown = [opacities(strongest(row.scores, faint), beta) for row in rows]
    sheet = Sheet()
    legend = "orange: locked to a primitive"
    draw(sheet, model.in_features, rows, shown, (names, output_names), legend=legend)
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


def rows_of(model: KAN, x: Tensor, scores: list[dict[Edge, float]]) -> list[Row]:
    """Describe a network's layers for a picture."""
    rows = []
    for depth, came in enumerate(trace(model, x).inputs):
        layer, nodes = model.parts()[depth]
        curves = unit_curves(partial(evaluate, layer), came, layer.basis.domain)
        words = {Edge(depth, i, o): lock.primitive.name for (o, i), lock in layer.locked()}
        rows.append(Row(nodes, scores[depth], curves, dict.fromkeys(words, LOCKED), words))
    return rows


def opacities(scores: dict[Edge, float], beta: float) -> dict[Edge, float]:
    """How opaque edges of these scores are."""
    return {e: max(_FAINTEST, math.tanh(beta * score)) for e, score in scores.items()}
