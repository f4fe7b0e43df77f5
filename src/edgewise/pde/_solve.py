"""The verb: solve a problem."""

from __future__ import annotations

import os
from collections.abc import Sequence

import torch

from edgewise._errors import ConfigError
from edgewise._fit import Monitor
from edgewise._network import KAN
from edgewise.pde._broyden import SelfScaledBroyden
from edgewise.pde._files import Journal
from edgewise.pde._inverse import find_constants
from edgewise.pde._march import March
from edgewise.pde._networks import is_tensor, separable, tensor
from edgewise.pde._newton import GaussNewton, Steps
from edgewise.pde._problem import Problem
from edgewise.pde._sampling import Gauss, Sampling
from edgewise.pde._solution import Solution, windows_of


def solve(
    problem: Problem,
    model: KAN | None = None,
    *,
    solver: Steps | None = None,
    sampling: Sampling | None = None,
    refine: bool | int = True,
    adaptive: bool = False,
    tolerance: float = 0.0,
    hold: bool | None = None,
    windows: int | Sequence[float] = 1,
    seed: int = 0,
    time: float | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    progress: bool = True,
) -> Solution:
    r"""Solve a differential equation with a Kolmogorov–Arnold network.

    The residuals at several points for each unknown number make a nonlinear least-squares problem,
    which damped Gauss–Newton steps solve: for linear equations with a sum of products or one hidden
    layer tens of steps suffice. Then the grid is made finer and the steps go on, until the residual
    at fresh points falls no more. An evolution is solved in windows of time one after the other;
    each begins with the end of the one before. Unknown constants are found together with the
    network in one window; with several, by Gauss–Newton steps on the data over whole evolutions.
    Ctrl-C ends the work with the best so far.

    Args:
        problem: What to solve.
        model: The network, with as many inputs and outputs as the problem; it is not changed, and
            its first grid is laid over the domain. By default a sum of 8 products (see
            `separable`).
        solver: How to take steps on one grid: `GaussNewton()` by default, `SelfScaledBroyden()`
            for an energy.
        sampling: How to choose points; `Gauss()` by default.
        refine: How often the grid may be made finer; True for up to four times.
        adaptive: Whether only those cells are halved that hold most of the residual; for a solution
            that is steep or singular somewhere. All rounds are then taken.
        tolerance: The residual (root mean square, fresh points) at which it is good enough.
        hold: Whether the functions of the last input stay as the network has them, and only those
            of the others are found: a network of `tensor` is then linear in its unknowns, and a
            few steps suffice. By default where no model is given for a problem in one space
            coordinate and time.
        windows: The number of windows of time, or their borders.
        seed: Seed of the network's start (where the model is not given) and of the fresh points.
        time: A budget in seconds.
        checkpoint: A folder in which each grid's result is kept; the same call with the same folder
            goes on from there.
        progress: Whether to show a progress bar on standard error.

    Returns:
        The solution.

    Raises:
        ConfigError: If the network does not go with the problem, or a setting is out of range.

    Example:
        >>> pde, pi = ew.pde, torch.pi
        >>> problem = pde.Problem(
        ...     pde.Box([-1, 1], [-1, 1]),
        ...     lambda u, x: pde.laplacian(u) + 2 * pi**2 * torch.sin(pi * x).prod(-1),
        ...     conditions=[pde.Dirichlet(0.0)],
        ... )
        >>> solution = pde.solve(problem, seed=0, refine=False, progress=False)
        >>> x = problem.points(100)
        >>> bool((solution(x)[:, 0] - torch.sin(pi * x).prod(-1)).abs().max() < 1e-4)
        True
    """
    spans = windows_of(problem.time, windows)
    evolves = problem.time is not None and problem.inputs == 2
    hold = model is None and evolves if hold is None else hold
    if solver is None:
        solver = SelfScaledBroyden() if problem.energy else GaussNewton()
    if problem.energy and not isinstance(solver, SelfScaledBroyden):
        raise ConfigError(
            "An energy is no sum of squares: solve it with SelfScaledBroyden(), not with "
            f"{type(solver).__name__}."
        )
    model = _checked(problem, model, seed)
    if hold and not is_tensor(model):
        raise ConfigError(
            f"hold=True takes a network of pde.tensor, got {model!r}. Leave hold out, or take "
            "pde.tensor(problem.bounds)."
        )
    rounds = 1 + (4 if refine is True else int(refine))
    if problem.unknowns and len(spans) > 1:
        return find_constants(
            problem,
            lambda known, left: solve(
                known,
                model,
                solver=solver,
                sampling=sampling,
                refine=refine,
                adaptive=adaptive,
                tolerance=tolerance,
                hold=hold,
                windows=windows,
                seed=seed,
                time=left,
                progress=progress,
            ),
            time,
        )
    with Monitor(time, progress, "solve") as monitor:
        march = March(
            problem,
            solver,
            sampling or Gauss(),
            rounds,
            adaptive,
            tolerance,
            hold,
            seed,
            monitor,
            Journal(checkpoint, problem, model, spans) if checkpoint is not None else None,
        )
        return march.run(model, spans)


def _checked(problem: Problem, model: KAN | None, seed: int) -> KAN:
    """Make a network if none is given, or check that it goes with the problem."""
    generator = torch.Generator().manual_seed(seed)
    if model is None and problem.time is not None and problem.inputs == 2:
        return tensor(problem.bounds, outputs=problem.outputs)
    if model is None:
        model = separable(problem.bounds, 8, outputs=problem.outputs)
        start = model.parts()[0][0]
        start.reset_parameters(0.5, generator=generator)
        return model
    if model.in_features != problem.inputs or model.out_features != problem.outputs:
        raise ConfigError(
            f"The network has {model.in_features} inputs and {model.out_features} outputs, the "
            f"problem {problem.inputs} (time included) and {problem.outputs}."
        )
    if model.dtype != torch.float64:
        raise ConfigError(f"Equations are solved in float64, the network is {model.dtype}.")
    degree = model.parts()[0][0].basis.degree
    if degree <= problem.needs.order:
        raise ConfigError(
            f"The equation takes derivatives of order {problem.needs.order}, and splines of degree "
            f"{degree} have none that is continuous. Take a degree of {problem.needs.order + 2} or "
            "more."
        )
    return model
