"""The pictures of a run, as PNG files."""

from __future__ import annotations

import io
from typing import Any

from edgewise import plot
from edgewise._errors import require
from edgewise._report._run import Run

_MOST = 5_000  # points that a scatter plot shows


def network(run: Run) -> bytes:
    """Draw the network that was kept."""
    figure = plot.network(
        run.model, run.rows.x, names=run.inputs, output_names=[run.settings.target]
    )
    return png(figure)


def history(run: Run) -> bytes:
    """Draw the errors over the steps of the fit."""
    return png(plot.history(run.fitted))


def scatter(run: Run) -> bytes:
    """Draw predictions over measurements, for the test rows."""
    measured = run.rows.y_test[:_MOST, 0].numpy()
    predicted = run.predicted[:_MOST, 0].numpy()
    low, high = measured.min(), measured.max()
    figure = require("matplotlib.figure", "cli").Figure(figsize=(4.6, 4.4), layout="constrained")
    axes = figure.subplots()
    axes.axline((low, low), slope=1, color="#6f6f6f", lw=1)
    axes.plot(measured, predicted, "o", ms=3.5, mew=0, alpha=0.55, color="#0b6fae")
    margin = 0.05 * (high - low)
    axes.set(xlim=(low - margin, high + margin), ylim=(low - margin, high + margin))
    axes.set_aspect("equal")
    axes.set_xlabel("measured", color="#1f1f1f")
    axes.set_ylabel("predicted", color="#1f1f1f")
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    return png(figure)


def png(figure: Any) -> bytes:
    """Write a figure as a PNG file."""
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=160, facecolor="white")
    return file.getvalue()
