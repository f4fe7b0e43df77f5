"""The film of a fit: how the functions on the edges change, and the error below."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from edgewise._errors import ConfigError, ShapeError
from edgewise._fit import FitResult, Step
from edgewise._network import KAN
from edgewise._types import Edge
from edgewise.plot._curves import checked
from edgewise.plot._diagram import BEHIND, draw, points, strongest
from edgewise.plot._network import check_names, opacities, rows_of, scores_of
from edgewise.plot._reel import Film
from edgewise.plot._scale import set_log_scale
from edgewise.plot._sheet import Sheet
from edgewise.plot._style import DATA, FONT, GRAY, INK, TEXT, Axes, Figure

_BELOW = 2.1  # inches for the errors
_LEAST = 5.0  # inches: no film is less wide


def film(
    fitted: FitResult | Sequence[KAN],
    x: Any,
    *,
    frames: int = 100,
    rate: float = 12.0,
    names: Sequence[str] | None = None,
    output_names: Sequence[str] | None = None,
    beta: float = 3.0,
    faint: float | None = None,
) -> Film:
    """Make a film of a fit: the network at each step as `network` draws it, and the errors below.

    Every node and curve keeps its place; curves and opacities change. An edge is in the film if it
    is among those that `network` would draw in any of the pictures.

    Args:
        fitted: What `fit(..., snapshots=True)` returned; or networks of the same widths, one after
            the other, which have no errors below.
        x: Inputs that represent the data, at least two rows: a tensor or a NumPy array.
        frames: The number of pictures at most. Of more steps, every second, third and so on is
            shown, and the last.
        rate: Pictures for each second.
        names: What the inputs are called, as in `network`.
        output_names: What the outputs are called.
        beta: How fast the opacity rises with the score.
        faint: Edges whose score is never higher are left out, as in `network`.

    Returns:
        The film: `film.save("fit.gif")` writes it to a file, `film.frame(0)` draws a picture.

    Raises:
        ConfigError: If there are no snapshots, or no networks, or more or fewer names than inputs
            or outputs.
        ShapeError: If x is not of shape (batch, inputs), or widths change.
        DataError: If x has fewer than two rows, or values that are not finite.
        MissingExtraError: If Matplotlib is not installed.

    Example:
        >>> y = x[:, :1] * x[:, 1:]
        >>> result = ew.fit(model, x, y, refine=False, starts=1, snapshots=True, progress=False)
        >>> film = ew.plot.film(result, x, frames=3)
        >>> film.save(tmp_path / "fit.gif", dpi=30)
        >>> len(film)
        3
    """
    models, steps = _taken(fitted)
    if frames < 1:
        raise ConfigError(f"A film has at least one picture, got frames={frames}.")
    check_names(names, models[-1].in_features, "input")
    check_names(output_names, models[-1].out_features, "output")
    stride = math.ceil(len(models) / frames)
    kept = sorted({*range(len(models) - 1, -1, -stride)})
    models = [models[k] for k in kept]
    x = checked(models[-1], x)
    every = [scores_of(model, x) for model in models]
    most: list[dict[Edge, float]] = [{} for _ in models[-1].parts()]
    for scores in every:
        for depth, row in enumerate(scores):
            for e, score in row.items():
                most[depth][e] = max(score, most[depth].get(e, 0.0))
    shown = [opacities(strongest(row, faint), beta) for row in most]
    sheet = Sheet()
    rows = rows_of(models[-1], x, most)
    layout = draw(sheet, models[-1].in_features, rows, shown, (names, output_names))
    figure = sheet.finish()
    artists = {str(artist.get_gid()): artist for artist in sheet.axes.get_children()}
    marks = None
    if isinstance(fitted, FitResult):
        marks = _add_errors(figure, sheet, steps, fitted.measure)

    def show(number: int) -> None:
        for row, drawn in zip(rows_of(models[number], x, every[number]), shown, strict=True):
            seen = opacities(row.scores, beta)
            for e in drawn:
                key = f"{e.layer}-{e.source}-{e.target}"
                alpha, color = seen.get(e, 0.0), row.colors.get(e, INK)  # 0: off, not to be seen
                behind = BEHIND if e not in layout.frames else 1.0
                artists[f"wire-{key}"].set(alpha=behind * alpha, color=color)
                if e in layout.frames and row.curves is not None:
                    artists[f"frame-{key}"].set(alpha=alpha, edgecolor=color)
                    line = points(layout.frames[e], row.curves.heights[:, e.target, e.source])
                    across, height = zip(*line, strict=True)
                    artists[f"curve-{key}"].set(
                        xdata=across, ydata=height, alpha=alpha, color=color
                    )
        if marks is not None:
            marks(kept[number])

    show(0)
    return Film(figure, show, len(models), rate=rate)


def _taken(fitted: FitResult | Sequence[KAN]) -> tuple[list[KAN], tuple[Step, ...]]:
    """The networks of a film and their steps, or what is missing."""
    if isinstance(fitted, FitResult):
        models, steps = list(fitted.snapshots), fitted.history
        if not models:
            raise ConfigError(
                "A film needs the networks of the steps: fit(..., snapshots=True) keeps them. "
                "This result has none."
            )
    else:
        models, steps = list(fitted), ()
        if not models:
            raise ConfigError("A film needs at least one network, got none.")
    widths = [model.widths for model in models]
    if any(width != widths[-1] for width in widths):
        raise ShapeError(
            f"A film shows networks of the same widths, got {widths[0]} to {widths[-1]}."
        )
    return models, steps


def _add_errors(
    figure: Figure, sheet: Sheet, steps: Sequence[Step], measure: str
) -> Callable[[int], None]:
    """Draw the errors below the network; give what moves them on to a step."""
    wide, high = figure.get_size_inches()
    width, height = max(wide, _LEAST), high + _BELOW
    figure.set_size_inches(width, height)
    sheet.axes.set_position(
        ((width - wide) / 2 / width, _BELOW / height, wide / width, high / height)
    )
    box = (0.75 / width, 0.5 / height, 1 - 1.0 / width, (_BELOW - 0.85) / height)
    axes: Axes = figure.add_axes(box)
    for side, spine in axes.spines.items():
        spine.set(visible=side in ("left", "bottom"), color=INK, linewidth=0.8)
    axes.tick_params(which="both", labelsize=9.5, labelfontfamily=FONT, labelcolor=INK)
    axes.set_xlabel("step", size=11, **TEXT)
    axes.set_ylabel(measure, size=11, **TEXT)
    errors = [[step.held_out for step in steps], [step.train for step in steps]]
    floor = set_log_scale(axes, [*errors[0], *errors[1]])
    held, train = ([max(error, floor) for error in row] for row in errors)
    index = [step.index for step in steps]
    axes.set_xlim(index[0] - 0.5, index[-1] + 0.5)
    (one,) = axes.plot([], [], color=DATA, lw=1.6, label="rows held out", gid="held_out")
    (two,) = axes.plot(
        [], [], color=INK, lw=1.4, ls=(0, (3, 1.5)), label="fitted rows", gid="train"
    )
    (dot,) = axes.plot([], [], color=DATA, marker="o", ms=5, ls="none", gid="now", clip_on=False)
    axes.legend(frameon=False, labelcolor=INK, prop={"family": FONT, "size": 9.5})
    style = {**TEXT, "color": GRAY, "transform": axes.transAxes, "size": 10}
    words = axes.text(0.0, 1.06, "", gid="words", **style)

    def move(number: int) -> None:
        step = steps[number]
        one.set_data(index[: number + 1], held[: number + 1])
        two.set_data(index[: number + 1], train[: number + 1])
        dot.set_data([step.index], [held[number]])
        error = f"{measure} {step.held_out:.2g} held out"
        words.set_text(f"step {step.index} of {index[-1]}   ·   grid {step.grid}   ·   {error}")

    return move
