"""Pictures of a network, drawn in one figure; nothing is written unless a folder is given."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from edgewise._errors import ConfigError, require
from edgewise._types import Edge
from edgewise.compat.pykan._layers import symbolic_mask
from edgewise.plot._curves import unit_curves
from edgewise.plot._diagram import MOST, draw, strongest
from edgewise.plot._layout import Row
from edgewise.plot._sheet import Sheet

if TYPE_CHECKING:
    from edgewise.compat.pykan._mlp import MLP
    from edgewise.compat.pykan._network import MultKAN

_FAINTEST = 0.01  # edges that are less opaque are not drawn


def plot(
    self: MultKAN,
    folder: str | None = None,
    beta: float = 3,
    metric: str = "backward",
    scale: float = 0.5,
    tick: bool = False,
    sample: bool = False,
    in_vars: Sequence[Any] | None = None,
    out_vars: Sequence[Any] | None = None,
    title: str | None = None,
    varscale: float = 1.0,
) -> Any:
    """Draw the network from the inputs, below, to the outputs, above.

    An edge is as dark as its score: tanh(beta score). Splines are black, functions red and named
    where there is room, their sums purple. Hidden nodes without visible edges are left out. Of a
    layer with more than 60 visible edges, functions and the strongest have curves, 30 in all, the
    others are plain lines; more than 200 are not drawn.

    Args:
        folder: Where to write the picture, `network.png`; nowhere if not given.
        beta: How fast edges fade with their scores.
        metric: "backward" (attribution), "forward_n" (an edge's deviation over its input's) or
            "forward_u" (its deviation).
        scale: The size of the picture.
        tick: Whether the ranges of curves are written on their sides.
        sample: Whether to draw the data on the curves.
        in_vars: Names of the inputs, texts or SymPy expressions; x_1, x_2, ... if not given.
        out_vars: Names of the outputs; y, or y_1, y_2, ... if not given.
        title: A title.
        varscale: The size of names.

    Returns:
        The matplotlib figure.

    Raises:
        ConfigError: If the metric is unknown, there is not one name for each input or output, or a
            size is not positive.
    """
    if metric not in ("backward", "forward_n", "forward_u"):
        raise ConfigError(f"metric is 'backward', 'forward_n' or 'forward_u', got {metric!r}.")
    for name, number in (("beta", beta), ("scale", scale), ("varscale", varscale)):
        if not 0 < number < math.inf:
            raise ConfigError(f"{name} is positive and finite, got {number}.")
    for name, names, count in (
        ("in_vars", in_vars, self.width_in[0]),
        ("out_vars", out_vars, self.width_in[-1]),
    ):
        if names is not None and len(names) != count:
            raise ConfigError(f"{name} has {len(names)} names, and the network needs {count}.")
    rows = _rows(self, metric, sample)
    faint = math.atanh(_FAINTEST) / beta
    figure = draw_network(
        self.width_in[0],
        rows,
        [opacities(strongest(row.scores, faint), beta) for row in rows],
        names=(in_vars, out_vars),
        title=title,
        ticks=tick,
        scale=2 * scale,
        varscale=varscale,
    )
    if folder is not None:
        target = Path(folder)
        target.mkdir(parents=True, exist_ok=True)
        figure.savefig(target / "network.png", dpi=300 * scale)
    return figure


def _rows(model: MultKAN, metric: str, sample: bool) -> list[Row]:
    """Describe the layers of a network for a picture."""
    model.need_acts()
    assert model.acts is not None
    if metric == "backward":
        model.attribute()
    by_metric = {
        "backward": model.edge_scores or [],
        "forward_n": model.acts_scale,
        "forward_u": model.edge_actscale,
    }
    rows = []
    for layer, (act, symbolic) in enumerate(model.parts()):
        score = by_metric[metric][layer].detach().nan_to_num(0.0).tolist()
        numeric, named = (act.mask.T != 0).cpu(), symbolic_mask(symbolic).cpu()
        scores, colors, words = {}, {}, {}
        for j, i in (numeric | named).nonzero().tolist():
            e = Edge(layer, i, j)
            scores[e] = score[j][i]
            if named[j, i]:
                colors[e] = "purple" if numeric[j, i] else "red"
                words |= {} if numeric[j, i] else {e: symbolic.funs_name[j][i]}
        came, domain = model.acts[layer], act.grid[:, act.k : -act.k][:, [0, -1]]
        curves = unit_curves(lambda x, layer=layer: _edges(model, layer, x), came, domain)
        went = (came.cpu(), model.spline_postacts[layer].cpu()) if sample else None
        rows.append(Row(model.nodes(layer + 1), scores, curves, colors, words, went))
    return rows


@torch.no_grad()
def _edges(model: MultKAN, layer: int, x: Tensor) -> Tensor:
    """All edges of a layer at points (points, inputs)."""
    act, symbolic = model.parts()[layer]
    values = act(x)[2]
    values = values + symbolic(x)[1] if model.symbolic_enabled else values
    return values.double().cpu()


def opacities(scores: dict[Edge, float], beta: float) -> dict[Edge, float]:
    """How opaque edges of these scores are."""
    return {e: math.tanh(beta * score) for e, score in scores.items()}


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
    words = [given and list(map(_text, given)) for given in names]
    look: dict[str, Any] = {"ticks": ticks, "mathematics": True, "scale": varscale}
    draw(sheet, inputs, rows, shown, words, legend="red: fixed to a function", **look)
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


def get_fun(self: MultKAN, l: int, i: int, j: int) -> tuple[Any, Any]:
    """Give and draw what came into an edge and what went out, in the order of the former."""
    x, y = (values.detach().cpu() for values in self.edge_values(l, i, j))
    order = x.argsort()
    inputs, outputs = x[order].numpy(), y[order].numpy()
    plt = require("matplotlib.pyplot", "plot")
    plt.figure(figsize=(3, 3))
    plt.plot(inputs, outputs, marker="o")
    return inputs, outputs


def bars(scores: Tensor) -> Any:
    """Draw a bar for each input."""
    plt = require("matplotlib.pyplot", "plot")
    count = len(scores)
    figure = plt.figure(figsize=(max(count, 2), 3))
    plt.bar(range(count), scores.detach().cpu().numpy())
    plt.xticks(range(count))
    return figure


def save_frame(
    model: MultKAN,
    step: int,
    folder: str,
    beta: float,
    in_vars: Sequence[Any] | None,
    out_vars: Sequence[Any] | None,
) -> None:
    """Write the picture of a training step, `step`.jpg, for a film.

    Every edge that is on keeps its place in all of them, however faint it is.
    """
    rows = _rows(model, "backward", sample=False)
    first = [dict(list(row.scores.items())[:MOST]) for row in rows]
    shown = [opacities(scores, beta) for scores in first]
    names = in_vars, out_vars
    figure = draw_network(model.width_in[0], rows, shown, names=names, title=f"Step {step}")
    Path(folder).mkdir(parents=True, exist_ok=True)
    figure.savefig(Path(folder) / f"{step}.jpg", dpi=100)
    require("matplotlib.pyplot", "plot").close(figure)


def tree(
    self: MultKAN | MLP,
    x: Tensor | None = None,
    in_var: Sequence[Any] | None = None,
    style: str = "tree",
    sym_th: float = 1e-3,
    sep_th: float = 1e-1,
    skip_sep_test: bool = False,
    verbose: bool = False,
) -> Any:
    """Draw how the inputs are combined: see `plot_tree`."""
    from edgewise.compat.pykan._hypothesis import plot_tree

    return plot_tree(
        self,
        self._data(x),
        in_var=in_var,
        style=style,
        sym_th=sym_th,
        sep_th=sep_th,
        skip_sep_test=skip_sep_test,
        verbose=verbose,
    )
