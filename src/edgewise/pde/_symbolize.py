"""The closed form of a solution."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from edgewise._errors import ConfigError
from edgewise._fit import fit
from edgewise._network import KAN
from edgewise._primitives import PRIMITIVES, Library
from edgewise._prune import prune
from edgewise._symbolic import Formula
from edgewise._symbolic import symbolize as read
from edgewise.pde._solution import Solution


def symbolize(
    solution: Solution,
    model: KAN | None = None,
    *,
    output: int = 0,
    names: Sequence[str] | None = None,
    library: Library = PRIMITIVES,
    count: int = 2000,
    seed: int = 0,
    time: float | None = None,
    progress: bool = True,
) -> Formula:
    """Find a formula for a solution.

    The network that solves a problem is made to be precise, not to be read, and boundary values are
    outside of it. So a small network is fitted to values of the solution, and read. Noise of the
    size of the estimated error is added, since what is below it is no part of the solution.

    Args:
        solution: What `solve` gave.
        model: The small network; by default one hidden layer of two products and three sums.
        output: The number of the field in a system.
        names: What the inputs are called in print; x_1, x_2, ... by default.
        library: The functions to choose from.
        count: How many values it is fitted to.
        seed: Seed of the points and of the fit.
        time: A budget in seconds, for the fit and again for the reading.
        progress: Whether to show progress bars on standard error.

    Returns:
        The formula, with its error on points that nothing was fitted to.

    Raises:
        ConfigError: If the network does not go with the solution.

    Example:
        >>> pde = ew.pde
        >>> unit = pde.Interval(0, 1)
        >>> line = pde.Problem(unit, lambda u, x: pde.dx(u, 2) + 1, [pde.Dirichlet()])
        >>> solution = pde.solve(line, seed=0, progress=False)
        >>> formula = pde.symbolize(solution, ew.KAN([1, 1]), progress=False)
        >>> sympy.expand(formula.expr)
        -x_1**2/2 + x_1/2
    """
    inputs = solution.problem.inputs
    model = KAN([inputs, (3, 2), 1]) if model is None else model
    if (model.in_features, model.out_features) != (inputs, 1):
        raise ConfigError(
            f"The network to read must have {inputs} inputs and one output, got "
            f"{model.in_features} and {model.out_features}."
        )
    x = solution.problem.points(count, seed)
    u = solution(x)[:, [output]].detach()
    if solution.coarser is not None:  # what is below the solution's error is not to be read
        generator = torch.Generator().manual_seed(seed)
        noise = torch.randn(u.shape, dtype=u.dtype, generator=generator)
        u = u + solution.error_estimate() * float(u.square().mean().sqrt()) * noise
    found = fit(model, x, u, seed=seed, time=time, progress=progress).model
    return read(
        prune(found, x),
        x,
        u,
        names=names,
        library=library,
        seed=seed,
        time=time,
        progress=progress,
    )
