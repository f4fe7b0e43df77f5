"""Pictures of a network, drawn in one figure; nothing is written unless a folder is given."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from edgewise._errors import ConfigError, MissingExtraError

if TYPE_CHECKING:
    from edgewise.compat.pykan._mlp import MLP
    from edgewise.compat.pykan._network import MultKAN

_CURVES = 200


def _pyplot() -> Any:
    try:
        import matplotlib.pyplot as plt
    except ImportError:
        raise MissingExtraError(
            'plot needs matplotlib. Install it with: pip install "edgewise[plot]"'
        ) from None
    return plt


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

    An edge is as dark as its score: tanh(beta score). Splines are black, functions red, their sums
    purple. Networks of more than 200 visible edges are drawn without curves.

    Args:
        folder: Where to write the picture, `network.png`; nowhere if not given.
        beta: How fast edges fade with their scores.
        metric: "backward" (attribution), "forward_n" (an edge's deviation over its input's) or
            "forward_u" (its deviation).
        scale: The size of the picture.
        tick: Whether curves have ticks.
        sample: Whether to draw the data on the curves.
        in_vars: Names of the inputs, texts or SymPy expressions.
        out_vars: Names of the outputs.
        title: A title.
        varscale: The size of names.

    Returns:
        The matplotlib figure.
    """
    if metric not in ("backward", "forward_n", "forward_u"):
        raise ConfigError(f"metric is 'backward', 'forward_n' or 'forward_u', got {metric!r}.")
    for name, names, count in (
        ("in_vars", in_vars, self.width_in[0]),
        ("out_vars", out_vars, self.width_in[-1]),
    ):
        if names is not None and len(names) != count:
            raise ConfigError(f"{name} has {len(names)} names, and the network needs {count}.")
    plt = _pyplot()
    self.need_acts()
    if metric == "backward":
        self.attribute()
        scores = self.edge_scores or []
    else:
        scores = self.acts_scale if metric == "forward_n" else self.edge_actscale
    widest = max(*self.width_in, *self.width_out)
    size = max(4.0, 10 * scale), 5 * scale * self.depth + 1
    figure = plt.figure(figsize=size)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_xlim(0, 1)
    axes.set_ylim(-0.15, self.depth + 0.15)
    axes.axis("off")
    visible = []
    for layer, score in enumerate(scores):
        act, symbolic = self.parts()[layer]
        alphas = torch.tanh(beta * score.detach()).cpu()
        for j, i in ((act.mask.T != 0) | (symbolic.mask != 0)).nonzero().tolist():
            alpha = float(alphas[j, i])
            if alpha > 0.01:
                visible.append((layer, i, j, alpha))
    shown = [len([v for v in visible if v[0] == layer]) for layer in range(self.depth)]
    curves = len(visible) <= _CURVES
    seen = [0] * self.depth
    for layer, i, j, alpha in visible:
        spot = (seen[layer] + 0.5) / shown[layer]
        seen[layer] += 1
        color = _color(self, layer, i, j)
        start = (i + 0.5) / self.width_in[layer]
        end = (j + 0.5) / self.width_out[layer + 1]
        line = {"color": color, "alpha": alpha, "lw": 2 * scale + 0.5, "zorder": 1}
        if not curves:
            axes.plot([start, end], [layer, layer + 0.8], **line)
            continue
        axes.plot([start, spot], [layer, layer + 0.3], **line)
        axes.plot([spot, end], [layer + 0.5, layer + 0.8], **line)
        _curve(self, figure, axes, (layer, i, j), spot, shown[layer], color, alpha, tick, sample)
    _nodes(self, axes, scale, widest)
    for names, level, shift in ((in_vars, 0, -0.1), (out_vars, self.depth, 0.08)):
        for place, name in enumerate(names or ()):
            text = f"${_latex(name)}$" if not isinstance(name, str) else name
            axes.text(
                (place + 0.5) / len(names or ()),
                level + shift,
                text,
                ha="center",
                va="center",
                fontsize=14 * varscale,
            )
    if title is not None:
        axes.text(0.5, self.depth + 0.13, title, ha="center", va="top", fontsize=14)
    if folder is not None:
        target = Path(folder)
        target.mkdir(parents=True, exist_ok=True)
        figure.savefig(target / "network.png", dpi=150)
    return figure


def _color(model: MultKAN, layer: int, i: int, j: int) -> str:
    act, symbolic = model.parts()[layer]
    if symbolic.mask[j, i] == 0:
        return "black"
    return "red" if act.mask[i, j] == 0 else "purple"


def _curve(
    model: MultKAN,
    figure: Any,
    axes: Any,
    edge: tuple[int, int, int],
    spot: float,
    count: int,
    color: str,
    alpha: float,
    tick: bool,
    sample: bool,
) -> None:
    """Draw one edge's curve in a small box on its way."""
    layer, i, j = edge
    x, y = (values.detach().cpu() for values in model.edge_values(layer, i, j))
    order = x.argsort()
    low, high = axes.get_ylim()
    half = min(0.45 / count, 0.06)
    bottom = (layer + 0.3 - low) / (high - low)
    box = figure.add_axes((spot - half, bottom, 2 * half, 0.2 / (high - low)))
    box.patch.set_alpha(0.0)
    box.plot(x[order], y[order], color=color, alpha=alpha, lw=1.5)
    if sample:
        box.plot(x[order], y[order], ".", color=color, alpha=alpha, ms=2)
    if not tick:
        box.set_xticks([])
        box.set_yticks([])
    else:
        box.tick_params(labelsize=5)
    for spine in box.spines.values():
        spine.set_alpha(alpha)
        spine.set_color(color)


def _nodes(model: MultKAN, axes: Any, scale: float, widest: int) -> None:
    size = max(10.0, min(60.0, 300 / widest)) * (scale + 0.5)
    for layer, (sums, products) in enumerate(model.width):
        count = sums + products
        at = [(n + 0.5) / count for n in range(count)]
        axes.scatter(at, [layer] * count, s=size, color="black", zorder=3)
        if layer == 0:
            continue
        owner = 0
        for n, factors in enumerate([1] * sums + model.arities(layer)):
            for _ in range(factors):
                sub = (owner + 0.5) / model.width_out[layer]
                axes.plot([sub, at[n]], [layer - 0.2, layer], color="black", lw=1, zorder=1)
                owner += 1
            label = "+" if n < sums else "×"
            axes.text(at[n] + 0.012, layer - 0.06, label, fontsize=8 + 4 * scale, va="center")


def _latex(name: Any) -> str:
    import sympy

    return sympy.latex(name)


def get_fun(self: MultKAN, l: int, i: int, j: int) -> tuple[Any, Any]:
    """Give and draw what came into an edge and what went out, in the order of the former."""
    x, y = (values.detach().cpu() for values in self.edge_values(l, i, j))
    order = x.argsort()
    inputs, outputs = x[order].numpy(), y[order].numpy()
    plt = _pyplot()
    plt.figure(figsize=(3, 3))
    plt.plot(inputs, outputs, marker="o")
    return inputs, outputs


def bars(scores: Tensor) -> Any:
    """Draw a bar for each input."""
    plt = _pyplot()
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
    """Write the picture of a training step, `step`.jpg, for a film."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    title = f"Step {step}"
    figure = plot(model, beta=beta, in_vars=in_vars, out_vars=out_vars, title=title)
    figure.savefig(Path(folder) / f"{step}.jpg", dpi=100)
    _pyplot().close(figure)


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
