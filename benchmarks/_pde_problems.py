"""The problems of `benchmarks.pde`: equations, how they are solved, and what is true."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import scipy.io
import torch
from torch import Tensor

import edgewise as ew
from edgewise import pde

PI = math.pi
DATA = Path(os.environ.get("EDGEWISE_DATA", "../shared/data")) / "physics"
SQUARE = pde.Box([-1, 1], [-1, 1])
NEWTON = pde.GaussNewton(steps=40, damping=1e-9)
"""For networks whose functions of time are held: the steps are those of Newton's method."""


@dataclass(frozen=True)
class Study:
    """A problem, how it is solved, and the error that is allowed.

    Attributes:
        name: What `--only` calls it.
        title: What the table calls it.
        goal: The largest error allowed.
        seconds: The most CPU seconds allowed; on an idle machine the time is no longer.
        solve: Solves it from a seed.
        measure: The error of a solution.
        needs: A file of reference data, if there is one.
    """

    name: str
    title: str
    goal: float
    seconds: float
    solve: Callable[[int], pde.Solution]
    measure: Callable[[pde.Solution], float]
    needs: str | None = None
    what: str = field(default="relative L2")


def against(exact: Callable[[Tensor], Tensor]) -> Callable[[pde.Solution], float]:
    """The relative L2 error at 20,000 points of their own."""

    def measure(solution: pde.Solution) -> float:
        x = solution.problem.points(20_000, 99)
        u = exact(x)
        return float((solution(x)[:, 0] - u).norm() / u.norm())

    return measure


def reference(name: str) -> tuple[Tensor, Tensor]:
    """Points (points, 2) and values of a reference solution."""
    found = scipy.io.loadmat(DATA / f"{name}.mat")
    x, t, u = (
        torch.from_numpy(np.asarray(next(found[key] for key in keys if key in found), float))
        for keys in (("x",), ("t", "tt"), ("usol", "uu"))
    )
    return torch.cartesian_prod(x.flatten(), t.flatten()), u.flatten()


def against_reference(name: str) -> Callable[[pde.Solution], float]:
    """The relative L2 error on the whole table of a reference solution."""

    def measure(solution: pde.Solution) -> float:
        x, u = reference(name)
        return float((solution(x)[:, 0] - u).norm() / u.norm())

    return measure


def graded(cells: int, low: float, high: float, center: float, width: float) -> Tensor:
    """Knots that are dense within a width of a center."""
    ends = np.arcsinh((np.array([low, high]) - center) / width)
    knots = torch.from_numpy(center + width * np.sinh(np.linspace(*ends, cells + 1)))
    knots[0], knots[-1] = low, high
    return knots


def _random(seed: int, make: Callable[[], ew.KAN]) -> ew.KAN:
    torch.manual_seed(seed)
    return make()


# problems in the plane


def _bump(x: Tensor) -> Tensor:
    return torch.sin(PI * x).prod(-1)


def poisson(seed: int) -> pde.Solution:
    problem = pde.Problem(
        SQUARE, lambda u, x: pde.laplacian(u) + 2 * PI**2 * _bump(x), [pde.Dirichlet(0.0)]
    )
    return pde.solve(problem, refine=3, seed=seed, progress=False)


def _paper(x: Tensor) -> Tensor:
    return torch.sin(PI * x[:, 0]) * torch.sin(PI * x[:, 1] ** 2)


def poisson_paper(seed: int) -> pde.Solution:
    def source(x: Tensor) -> Tensor:
        y = x[:, 1]
        bent = 2 * PI * torch.cos(PI * y**2) - 4 * PI**2 * y**2 * torch.sin(PI * y**2)
        return torch.sin(PI * x[:, 0]) * (bent - PI**2 * torch.sin(PI * y**2))

    problem = pde.Problem(SQUARE, lambda u, x: pde.laplacian(u) - source(x), [pde.Dirichlet(0.0)])
    return pde.solve(problem, refine=3, seed=seed, progress=False)


def _waves(x: Tensor) -> Tensor:
    a, b = x.unbind(-1)
    return torch.sin(PI * a) * torch.sin(4 * PI * b) + 0.5 * torch.exp(a * b)


def helmholtz(seed: int) -> pde.Solution:
    k = 4 * PI

    def source(x: Tensor) -> Tensor:
        a, b = x.unbind(-1)
        wave = (k**2 - 17 * PI**2) * torch.sin(PI * a) * torch.sin(4 * PI * b)
        return wave + 0.5 * torch.exp(a * b) * (a**2 + b**2 + k**2)

    edge = pde.Dirichlet(lambda x: 0.5 * torch.exp(x[:, 0] * x[:, 1]))
    problem = pde.Problem(SQUARE, lambda u, x: pde.laplacian(u) + k**2 * u - source(x), [edge])
    return pde.solve(problem, refine=3, seed=seed, progress=False)


def _tilted(x: Tensor) -> Tensor:
    return _bump(x) * torch.exp(x[:, 0] * x[:, 1])


def nonlinear(seed: int) -> pde.Solution:
    def source(x: Tensor) -> Tensor:
        a, b = x.unbind(-1)
        sa, ca, sb, cb = torch.sin(PI * a), torch.cos(PI * a), torch.sin(PI * b), torch.cos(PI * b)
        bends = (a**2 + b**2 - 2 * PI**2) * sa * sb + 2 * PI * (b * ca * sb + a * sa * cb)
        return bends * torch.exp(a * b) - _tilted(x) ** 3

    problem = pde.Problem(
        SQUARE, lambda u, x: pde.laplacian(u) - u**3 - source(x), [pde.Dirichlet(0.0)]
    )
    return pde.solve(problem, refine=2, seed=seed, progress=False)


L_SHAPE = SQUARE - pde.Box([0, 1], [-1, 0])


def _corner(x: Tensor) -> Tensor:
    angle = torch.atan2(x[:, 1], x[:, 0]) % (2 * PI)
    return x.norm(dim=-1) ** (2 / 3) * torch.sin(2 * angle / 3)


def l_shape(seed: int, *, adaptive: bool = True) -> pde.Solution:
    """The equation is weighted with r^(4/3), since second derivatives grow as r^(-4/3)."""
    problem = pde.Problem(
        L_SHAPE,
        lambda u, x: pde.laplacian(u) * x.norm(dim=-1) ** (4 / 3),
        [pde.Dirichlet(_corner, exact=False)],
    )
    model = pde.tensor(problem.bounds, grid=7, last_grid=7, degree=4)
    return pde.solve(
        problem,
        model,
        solver=NEWTON,
        hold=True,
        adaptive=adaptive,
        refine=8 if adaptive else 2,
        seed=seed,
        progress=False,
    )


def l_shape_even(seed: int) -> pde.Solution:
    return l_shape(seed, adaptive=False)


# evolutions


def _cooling(x: Tensor) -> Tensor:
    a, t = x.unbind(-1)
    slow = torch.exp(-0.1 * PI**2 * t) * torch.sin(PI * a)
    return slow + 0.5 * torch.exp(-0.9 * PI**2 * t) * torch.sin(3 * PI * a)


def heat(seed: int) -> pde.Solution:
    def start(x: Tensor) -> Tensor:
        return torch.sin(PI * x[:, 0]) + 0.5 * torch.sin(3 * PI * x[:, 0])

    problem = pde.Problem(
        pde.Interval(-1, 1),
        lambda u, x: pde.dt(u) - 0.1 * pde.laplacian(u),
        [pde.Dirichlet(0.0), pde.Initial(start)],
        time=(0, 1),
    )
    return pde.solve(problem, solver=NEWTON, windows=4, refine=1, seed=seed, progress=False)


def _march(problem: pde.Problem, knots: Tensor | int, windows: Any, seed: int) -> pde.Solution:
    model = pde.tensor(problem.bounds, grid=knots)
    return pde.solve(
        problem,
        model,
        solver=NEWTON,
        hold=True,
        windows=windows,
        refine=False,
        seed=seed,
        progress=False,
    )


def _burgers(conditions: list[Any], **unknowns: Any) -> pde.Problem:
    def equation(u: pde.Field, x: Tensor, viscosity: Any = 0.01 / PI) -> Tensor:
        return pde.dt(u) + u * pde.dx(u) - viscosity * pde.laplacian(u)

    start = pde.Initial(lambda x: -torch.sin(PI * x[:, 0]))
    return pde.Problem(
        pde.Interval(-1, 1),
        equation,
        [pde.Dirichlet(0.0), start, *conditions],
        time=(0, 1),
        unknowns=unknowns,
    )


def burgers(seed: int) -> pde.Solution:
    return _march(_burgers([]), graded(100, -1, 1, 0, 0.02), 16, seed)


def kdv(seed: int) -> pde.Solution:
    problem = pde.Problem(
        pde.Interval(-1, 1),
        lambda u, x: pde.dt(u) + u * pde.dx(u) + 0.0025 * pde.dx(u, 3),
        [pde.Periodic(), pde.Initial(lambda x: torch.cos(PI * x[:, 0]))],
        time=(0, 1),
    )
    return _march(problem, 120, 16, seed)


def allen_cahn(seed: int) -> pde.Solution:
    """The knots are dense where layers form, at 0 and 0.5, and at the ends.

    There the initial values, continued periodically, have a kink, which the first windows smooth.
    """
    problem = pde.Problem(
        pde.Interval(-1, 1),
        lambda u, x: pde.dt(u) - 1e-4 * pde.laplacian(u) + 5 * u**3 - 5 * u,
        [pde.Periodic(), pde.Initial(lambda x: x[:, 0] ** 2 * torch.cos(PI * x[:, 0]))],
        time=(0, 1),
    )
    pieces = [
        graded(14, 0, 0.06, 0, 0.004),
        torch.linspace(0.06, 0.4, 19, dtype=torch.float64),
        torch.linspace(0.4, 0.6, 51, dtype=torch.float64),
        torch.linspace(0.6, 0.94, 13, dtype=torch.float64),
        graded(16, 0.94, 1, 1, 0.004),
    ]
    half = torch.cat([pieces[0], *(piece[1:] for piece in pieces[1:])])
    borders = [0, 0.01, 0.03, 0.08, *np.linspace(0.16, 0.72, 8), 0.79, 0.86, 0.93, 1]
    return _march(problem, torch.cat([-half.flip(0), half[1:]]), borders, seed)


def viscosity(seed: int) -> pde.Solution:
    """The rows are drawn within 0.05 of the shock: elsewhere the flow hardly feels the viscosity.

    From 200 rows of the whole table, of which two or three are in the shock, the standard error is
    1.7 %.
    """
    x, u = reference("burgers_shock")
    near = (x[:, 0].abs() <= 0.05).nonzero()[:, 0]
    generator = torch.Generator().manual_seed(seed)
    rows = near[torch.randperm(len(near), generator=generator)[:200]]
    noise = torch.randn(200, dtype=torch.float64, generator=generator)
    observed = pde.Observed(x[rows], u[rows] + 0.01 * u.std() * noise)
    return _march(_burgers([observed], viscosity=0.01), graded(64, -1, 1, 0, 0.02), 12, seed)


def viscosity_error(solution: pde.Solution) -> float:
    return abs(solution.constants["viscosity"] * PI / 0.01 - 1)


# a flow

# Ghia, Ghia and Shin (1982), tables I and II, Re 100: (y, u) at x = 1/2, (x, v) at y = 1/2
GHIA_U = """1 1, .9766 .84123, .9688 .78871, .9609 .73722, .9531 .68717, .8516 .23151, .7344 .00332,
.6172 -.13641, .5 -.20581, .4531 -.21090, .2813 -.15662, .1719 -.10150, .1016 -.06434,
.0703 -.04775, .0625 -.04192, .0547 -.03717, 0 0"""
GHIA_V = """1 0, .9688 -.05906, .9609 -.07391, .9531 -.08864, .9453 -.10313, .9063 -.16914,
.8594 -.22445, .8047 -.24533, .5 .05454, .2344 .17527, .2266 .17507, .1563 .16077, .0938 .12317,
.0781 .10890, .0703 .10091, .0625 .09233, 0 0"""


def table(text: str) -> Tensor:
    """Read pairs of numbers."""
    pairs = [[float(number) for number in pair.split()] for pair in text.split(",")]
    return torch.tensor(pairs, dtype=torch.float64)


def cavity(seed: int) -> pde.Solution:
    """The equations of motion are weighted with r^2 at the corners of the lid.

    The velocity jumps there, and its second derivatives grow as r^(-2).
    """

    def equation(w: tuple[pde.Field, ...], x: Tensor) -> tuple[Tensor, ...]:
        u, v, p = w
        a, b = x.unbind(-1)
        weight = (a**2 + (1 - b) ** 2) * ((1 - a) ** 2 + (1 - b) ** 2)
        along = u * pde.dx(u) + v * pde.dy(u) + pde.dx(p) - pde.laplacian(u) / 100
        across = u * pde.dx(v) + v * pde.dy(v) + pde.dy(p) - pde.laplacian(v) / 100
        return weight * along, weight * across, pde.div((u, v))

    problem = pde.Problem(
        pde.Box([0, 1], [0, 1]),
        equation,
        [
            pde.Dirichlet(1.0, on="top", of=0),
            pde.Dirichlet(0.0, on=("left", "right", "bottom"), of=0),
            pde.Dirichlet(0.0, of=1),
        ],
        outputs=3,
    )
    knots = (1 - torch.cos(PI * torch.linspace(0, 1, 21, dtype=torch.float64))) / 2
    model = pde.tensor(problem.bounds, outputs=3, grid=knots, last_grid=knots, degree=5)
    return pde.solve(
        problem,
        model,
        solver=pde.GaussNewton(steps=40, damping=1e-6),
        hold=True,
        refine=False,
        seed=seed,
        progress=False,
    )


def cavity_error(solution: pde.Solution) -> float:
    """The largest difference of a velocity from the table, on both lines."""
    errors = []
    for field_number, text in enumerate((GHIA_U, GHIA_V)):
        place, value = table(text).unbind(-1)
        half = torch.full_like(place, 0.5)
        x = torch.stack([half, place] if field_number == 0 else [place, half], -1)
        errors.append(float((solution(x)[:, field_number] - value).abs().max()))
    return max(errors)


STUDIES = [
    Study("poisson", "Poisson, sin(πx) sin(πy)", 1e-8, 60, poisson, against(_bump)),
    Study("paper", "Poisson, sin(πx) sin(πy²)", 1e-8, 60, poisson_paper, against(_paper)),
    Study("helmholtz", "Helmholtz, wave number 4π", 1e-6, 600, helmholtz, against(_waves)),
    Study("nonlinear", "Δu = u³ + f", 1e-6, 600, nonlinear, against(_tilted)),
    Study("heat", "heat equation", 1e-6, 600, heat, against(_cooling)),
    Study("l-shape", "L-shaped domain, adaptive", 1e-3, 600, l_shape, against(_corner)),
    Study(
        "l-shape-even", "L-shaped domain, even knots", math.inf, 600, l_shape_even, against(_corner)
    ),
    Study(
        "burgers", "Burgers", 1e-4, 600, burgers, against_reference("burgers_shock"),
        "burgers_shock.mat",
    ),
    Study("allen-cahn", "Allen–Cahn", 1e-4, 600, allen_cahn, against_reference("AC"), "AC.mat"),
    Study("kdv", "Korteweg–de Vries", 1e-4, 600, kdv, against_reference("KdV"), "KdV.mat"),
    Study(
        "viscosity", "Burgers, viscosity from 200 rows with 1 % noise", 1e-2, 600, viscosity,
        viscosity_error, "burgers_shock.mat", "relative error of the viscosity",
    ),
    Study(
        "cavity", "lid-driven cavity, Re 100", 1e-2, 600, cavity, cavity_error,
        what="largest difference from Ghia et al.",
    ),
]  # fmt: skip
