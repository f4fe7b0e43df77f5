"""The picture of a fit: its errors over its steps."""

from __future__ import annotations

import math
from collections.abc import Sequence

from edgewise._fit import FitResult, Step
from edgewise.plot._scale import set_log_scale
from edgewise.plot._style import DATA, FONT, INK, LOCKED, PALE, TEXT, Axes, Figure, new_axes


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
    figure, axes = new_axes(6.4, 3.8)
    steps = result.history
    axes.set_xlabel("step", size=11, **TEXT)
    axes.set_ylabel(result.measure, size=11, **TEXT)
    if not steps:
        axes.set(xticks=[], yticks=[])
        axes.text(0.5, 0.5, "No step was taken.", transform=axes.transAxes, ha="center", **TEXT)
        return figure
    index = [step.index for step in steps]
    marker = "o" if len(steps) <= 12 else None
    style = {"lw": 1.6, "marker": marker, "ms": 3.5}
    held_out, train = [step.held_out for step in steps], [step.train for step in steps]
    floor = set_log_scale(axes, [*held_out, *train])
    lifted = [[max(error, floor) for error in errors] for errors in (held_out, train)]
    axes.plot(index, lifted[0], color=DATA, label="rows held out", gid="held_out", **style)
    dashes = (0, (3, 1.5))
    axes.plot(index, lifted[1], color=INK, ls=dashes, label="fitted rows", gid="train", **style)
    _mark_kept(axes, steps, floor, result.measure)
    axes.legend(frameon=False, labelcolor=INK, prop={"family": FONT, "size": 9.5})
    _mark_grids(axes, steps)
    return figure


def _mark_kept(axes: Axes, steps: Sequence[Step], floor: float, measure: str) -> None:
    """Put a ring around the step with the least error held out."""
    compared = [step for step in steps if math.isfinite(step.held_out)]
    if not compared:
        return
    kept = min(compared, key=lambda step: step.held_out)
    style = {"ls": "none", "marker": "o", "ms": 9, "mew": 1.6, "mfc": "none", "mec": LOCKED}
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
    axes.text(-0.02, 1.015, "grid", ha="right", **{**TEXT, **above, "transform": axes.transAxes})
    for k, start, end in zip(starts, [first, *ends], ends, strict=False):
        if end != ends[-1]:
            axes.axvline(end, color=PALE, lw=0.8, zorder=0, gid="grid-change")
        if (end - start) / (ends[-1] - first) > 0.012 * len(str(steps[k].grid)) + 0.006:
            middle = (start + end) / 2
            axes.text(
                middle, 1.015, str(steps[k].grid), ha="center", gid="grid", **{**TEXT, **above}
            )
