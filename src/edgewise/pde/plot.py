"""Pictures of solutions, as Matplotlib figures: nothing is shown and no file is written."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from edgewise._errors import ConfigError, require
from edgewise.pde._solution import Solution
from edgewise.plot._reel import Film
from edgewise.plot._style import DATA, FONT, TEXT, Axes, Figure, new_axes

_SIDE = 161


def field(solution: Solution, output: int = 0, *, time: float | None = None) -> Figure:
    """Draw a solution: a curve over one input, a map over two.

    Args:
        solution: What `solve` gave.
        output: The number of the field in a system.
        time: The moment, where there are two space coordinates and time; the last by default.

    Returns:
        The figure.

    Raises:
        ConfigError: If there are more than two inputs besides time.
        MissingExtraError: If Matplotlib is not installed.

    Example:
        >>> pde = ew.pde
        >>> unit = pde.Interval(0, 1)
        >>> line = pde.Problem(unit, lambda u, x: pde.dx(u, 2) + 1, [pde.Dirichlet()])
        >>> solution = pde.solve(line, seed=0, progress=False)
        >>> pde.plot.field(solution).axes[0].get_ylabel()
        'u'
    """
    x, inside = _mesh(solution, time)
    u = torch.full((len(x),), math.nan, dtype=torch.float64)
    u[inside] = solution(x[inside])[:, output].detach()
    return _picture(solution, u, _name(solution, output))


def residual(solution: Solution, row: int = 0, *, time: float | None = None) -> Figure:
    """Draw the size of the equation's residual, in powers of ten.

    Args:
        solution: What `solve` gave.
        row: The number of the equation in a system.
        time: The moment, where there are two space coordinates and time; the last by default.

    Returns:
        The figure.

    Raises:
        ConfigError: If there are more than two inputs besides time.
        MissingExtraError: If Matplotlib is not installed.
    """
    x, inside = _mesh(solution, time)
    u = torch.full((len(x),), math.nan, dtype=torch.float64)
    size = solution.residuals(x[inside])[:, row].abs()
    # where the residual changes its sign there is nothing to see
    u[inside] = size.clamp_min(max(1e-6 * float(size.max()), 1e-300)).log10()
    return _picture(solution, u, "log10 of the residual")


def slices(
    solution: Solution, at: Sequence[float], output: int = 0, *, axis: int | None = None
) -> Figure:
    """Draw a solution of two inputs as curves: at moments, or at places of a coordinate.

    Args:
        solution: What `solve` gave.
        at: The values of the input that stays; the curves go along the other.
        output: The number of the field in a system.
        axis: The number of the input that stays; the last, which is time if there is time.

    Returns:
        The figure.

    Raises:
        ConfigError: If the problem has not two inputs, or a value is outside of the domain.
        MissingExtraError: If Matplotlib is not installed.
    """
    problem = solution.problem
    if problem.inputs != 2:
        raise ConfigError(f"slices draws a solution of two inputs, this one has {problem.inputs}.")
    axis = 1 if axis is None else axis
    low, high = problem.bounds[axis].tolist()
    for value in at:
        if not low <= value <= high:
            raise ConfigError(f"The input {axis} goes from {low} to {high}, got {value}.")
    figure, axes = new_axes(6.4, 3.8)
    line = _line(problem.bounds[1 - axis], 401)
    names = _names(solution)
    blues = require("matplotlib", "plot").colormaps["viridis"]
    for number, value in enumerate(at):
        x = torch.empty(len(line), 2, dtype=torch.float64)
        x[:, axis], x[:, 1 - axis] = value, line
        inside = problem.domain.contains(x[:, : problem.domain.space])
        u = torch.full_like(line, math.nan)
        u[inside] = solution(x[inside])[:, output].detach()
        color = blues(0.85 * number / max(len(at) - 1, 1))
        axes.plot(line.numpy(), u.numpy(), color=color, lw=1.6, label=f"{names[axis]} = {value:g}")
    axes.set_xlabel(names[1 - axis], size=11, **TEXT)
    axes.set_ylabel(_name(solution, output), size=11, **TEXT)
    axes.legend(frameon=False, prop={"family": FONT, "size": 9.5})
    return figure


def film(solution: Solution, output: int = 0, *, frames: int = 60) -> Film:
    """Make a film of an evolution: `save` writes it as GIF or MP4.

    Args:
        solution: What `solve` gave.
        output: The number of the field in a system.
        frames: The number of pictures.

    Returns:
        The film; `animation` gives it as a Matplotlib animation.

    Raises:
        ConfigError: If the problem has no time, or more than two space coordinates.
        MissingExtraError: If Matplotlib is not installed.
    """
    problem = solution.problem
    if problem.time is None or problem.domain.space > 2:
        raise ConfigError("film shows an evolution in one or two space coordinates.")
    moments = torch.linspace(*problem.time, frames, dtype=torch.float64).tolist()
    pictures, x = [], problem.bounds
    for moment in moments:
        x, inside = _mesh(solution, moment, evolving=True)
        u = torch.full((len(x),), math.nan, dtype=torch.float64)
        u[inside] = solution(x[inside])[:, output].detach()
        pictures.append(u)
    every = torch.stack(pictures)
    known = every[~every.isnan()]
    low, high = float(known.min()), float(known.max())
    figure, axes = new_axes(6.4, 3.8 if problem.domain.space == 1 else 5.2)
    if problem.domain.space == 1:
        line = x[:, 0].numpy()
        (drawn,) = axes.plot(line, pictures[0].numpy(), color=DATA, lw=1.6)
        slack = 0.05 * max(high - low, 1e-12)
        axes.set_ylim(low - slack, high + slack)
        axes.set_ylabel(_name(solution, output), size=11, **TEXT)
    else:
        drawn = _image(axes, solution, pictures[0], (low, high))
        figure.colorbar(drawn, ax=axes)
    axes.set_xlabel(_names(solution)[0], size=11, **TEXT)

    def show(number: int) -> None:
        values = pictures[number].numpy()
        if problem.domain.space == 1:
            drawn.set_ydata(values)
        else:
            drawn.set_data(values.reshape(_SIDE, _SIDE).T)
        axes.set_title(f"t = {moments[number]:.3g}", size=11, **TEXT)

    return Film(figure, show, frames, rate=20)


def _mesh(
    solution: Solution, time: float | None, *, evolving: bool = False
) -> tuple[Tensor, Tensor]:
    """Points of a picture, and which of them are inside."""
    problem = solution.problem
    bounds = problem.bounds
    fixed = problem.time is not None and (evolving or problem.domain.space == 2)
    if len(bounds) - fixed > 2:
        raise ConfigError(f"A picture takes one or two inputs, this problem has {len(bounds)}.")
    lines = [_line(ends, _SIDE) for ends in bounds]
    if fixed:
        assert problem.time is not None
        moment = problem.time[1] if time is None else time
        lines[-1] = torch.tensor([moment], dtype=torch.float64)
    x = torch.cartesian_prod(*lines).reshape(-1, len(bounds))
    return x, problem.domain.contains(x[:, : problem.domain.space])


def _line(ends: Tensor, count: int) -> Tensor:
    return torch.linspace(float(ends[0]), float(ends[1]), count, dtype=torch.float64)


def _picture(solution: Solution, u: Tensor, name: str) -> Figure:
    if len(u) == _SIDE:
        figure, axes = new_axes(6.4, 3.8)
        low, high = solution.problem.bounds[0].tolist()
        line = torch.linspace(low, high, _SIDE).numpy()
        axes.plot(line, u.numpy(), color=DATA, lw=1.6)
        axes.set_xlabel(_names(solution)[0], size=11, **TEXT)
        axes.set_ylabel(name, size=11, **TEXT)
        return figure
    figure, axes = new_axes(6.4, 5.2)
    known = u[u.isfinite()]
    image = _image(axes, solution, u, (float(known.min()), float(known.max())))
    bar = figure.colorbar(image, ax=axes)
    bar.ax.tick_params(labelsize=9.5, labelfontfamily=FONT)
    bar.set_label(name, size=11, **TEXT)
    return figure


def _image(axes: Axes, solution: Solution, u: Tensor, limits: tuple[float, float]) -> Any:
    problem = solution.problem
    names = _names(solution)
    upright = problem.time is not None and problem.domain.space == 1
    values = u.reshape(_SIDE, _SIDE)
    (left, right), (bottom, top) = problem.bounds[:2].tolist()
    if upright:  # time goes to the right
        (left, right), (bottom, top) = (bottom, top), (left, right)
        names = names[::-1]
    else:
        values = values.T
    axes.set_xlabel(names[0], size=11, **TEXT)
    axes.set_ylabel(names[1], size=11, **TEXT)
    return axes.imshow(
        values.numpy(),
        origin="lower",
        extent=(left, right, bottom, top),
        aspect="auto" if upright else "equal",
        cmap="viridis",
        vmin=limits[0],
        vmax=limits[1],
    )


def _names(solution: Solution) -> list[str]:
    names = list("xyz")[: solution.problem.domain.space]
    return names if solution.problem.time is None else [*names, "t"]


def _name(solution: Solution, output: int) -> str:
    return "u" if solution.problem.outputs == 1 else f"field {output}"
