"""Fits that keep bounds: at every step, and to the optimum under them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.interpolate import BSpline as SciPySpline
from scipy.optimize import isotonic_regression, lsq_linear
from torch import Tensor

import edgewise as ew
from builders import noise, sample
from edgewise._cones import Kind
from edgewise._fit import Data, Monitor, Problem, Squared
from edgewise._fit._bounded import Bounds
from edgewise._fit._gauss_newton import ParameterVector
from edgewise._fit._solvers import choose
from test_bound import all_misses

TO_THE_END = ew.LevenbergMarquardt(
    steps=400, tolerance=1e-15, patience=400, smoothness=0, shrinkage=0
)


def fit_here(model: ew.KAN, x: Tensor, y: Tensor, solver: ew.Solver = TO_THE_END) -> ew.KAN:
    """Fit on the grid as it is, to all rows."""
    settings = {"refine": False, "starts": 1, "seed": 0, "progress": False}
    return ew.fit(model, x, y, solver=solver, held_out=(x, y), **settings).model


def noisy(rows: int = 80) -> tuple[Tensor, Tensor]:
    x = sample(rows, 1)
    x[:2, 0] = torch.tensor([-1.0, 1.0])
    return x, torch.tanh(4 * x) + 0.3 * noise(rows, 1)


def test_an_increasing_polygon_is_isotonic_regression() -> None:
    """Oracle: SciPy's pool of adjacent violators."""
    x = torch.linspace(-1, 1, 31, dtype=torch.float64).unsqueeze(-1)
    y = x + 0.5 * noise(31, 1)
    model = ew.bound(ew.KAN([1, 1], grid=30, degree=1), (0, 0, 0), "increasing")
    fitted = fit_here(model, x, y)(x).detach()[:, 0].numpy()
    np.testing.assert_allclose(fitted, isotonic_regression(y[:, 0].numpy()).x, atol=1e-6)


@pytest.mark.parametrize(
    ("kinds", "degree"), [(("increasing",), 2), (("concave",), 3), (("increasing", "concave"), 2)]
)
def test_the_fit_of_an_edge_is_the_optimum_within_its_bounds(
    kinds: tuple[Kind, ...], degree: int
) -> None:
    """Oracle: SciPy's splines, whose derivatives are lines between knots, and its BVLS."""
    x, y = noisy()
    model = ew.bound(ew.KAN([1, 1], grid=7, degree=degree), (0, 0, 0), *kinds)
    fitted = fit_here(model, x, y)
    knots = fitted.layers[0].basis.knots[0].numpy()
    inner = knots[degree:-degree]
    points = SciPySpline.design_matrix(x[:, 0].clamp(-1, 1 - 1e-15).numpy(), knots, degree)
    spline = SciPySpline(knots, np.eye(points.shape[1]), degree)
    slope, bend = spline.derivative(1), spline.derivative(2)
    match kinds:
        case ("increasing",):
            free, held = [spline(inner[:1])], [slope(inner)]
        case ("concave",):
            free, held = [spline(inner[:1]), slope(inner[:1])], [-bend(inner)]
        case _:
            free, held = [spline(inner[:1])], [slope(inner[-1:]), -bend(inner[1:] - 0.01)]
    rows = np.concatenate([*free, *held])  # as many as coefficients
    by_row = points.toarray() @ np.linalg.inv(rows)
    least = np.where(np.arange(len(rows)) < len(free), -np.inf, 0)
    solution = lsq_linear(by_row, y[:, 0].numpy(), (least, np.inf), method="bvls", tol=1e-15)
    np.testing.assert_allclose(fitted(x).detach()[:, 0], by_row @ solution.x, atol=1e-6)
    without = fit_here(ew.unbound(model), x, y)
    assert float((without(x) - fitted(x)).detach().abs().max()) > 0.01  # bounds were at work


def test_the_fit_of_a_periodic_edge_is_the_optimum_under_equations() -> None:
    """Oracle: least squares on a null space, from the derivatives of SciPy's splines."""
    x, y = noisy()
    model = ew.bound(ew.KAN([1, 1], grid=7), (0, 0, 0), "periodic")
    fitted = fit_here(model, x, y)
    knots = fitted.layers[0].basis.knots[0].numpy()
    points = SciPySpline.design_matrix(x[:, 0].clamp(-1, 1 - 1e-15).numpy(), knots, 3).toarray()
    spline = SciPySpline(knots, np.eye(10), 3)
    seam = np.stack([spline.derivative(m)(1) - spline.derivative(m)(-1) for m in range(3)])
    null = np.linalg.svd(seam)[2][3:].T
    v = np.linalg.lstsq(points @ null, y[:, 0].numpy(), rcond=None)[0]
    np.testing.assert_allclose(fitted(x).detach()[:, 0], points @ null @ v, atol=1e-6)


def test_no_admissible_direction_is_left_in_a_deep_network() -> None:
    x = sample(300)
    y = torch.exp(x[:, :1] - 0.5 * torch.sin(3 * x[:, :1])) + x[:, 1:].abs() + 0.1 * noise(300, 1)
    model = ew.KAN([2, 2, 1])
    model = ew.bound(model, [(0, 0, 0), (0, 0, 1), (1, 0, 0), (1, 1, 0)], "increasing")
    model = ew.bound(model, [(0, 1, 0), (0, 1, 1)], "concave")  # y asks for the contrary
    solver = ew.LevenbergMarquardt(steps=400, tolerance=1e-12, patience=400, shrinkage=0)
    torch.manual_seed(0)
    model.reset_parameters()
    problem = Problem(model, Data(x, y, x[:20], y[:20]), Squared(), Monitor(None, False))
    solver.descend(problem, 400, 1e-2)
    equations = problem.normal_equations()
    vector, bounds = ParameterVector(problem.model), Bounds(problem.model)
    penalty = vector.penalty(equations.H.diagonal(), solver.smoothness, 0)
    start = vector.read()
    g = equations.g + penalty.gradient(start)
    step = bounds.step(torch.eye(len(g), dtype=g.dtype), g, start)
    assert step is not None
    # the gradient is not small, but all of it presses against bounds
    assert float(step.norm()) < 1e-2 * float(g.norm())
    assert all_misses(problem.model) < 1e-12


def test_bounds_hold_at_every_accepted_step() -> None:
    class Watched(Problem):
        def accept(self, value: float) -> None:
            worst.append(all_misses(self.model))
            super().accept(value)

    worst: list[float] = []
    x, y = noisy()
    model = ew.bound(ew.KAN([1, 1, 1], grid=5), [(0, 0, 0), (1, 0, 0)], "increasing")
    model.reset_parameters()
    problem = Watched(model, Data(x, y, x, y), Squared(), Monitor(None, False))
    ew.LevenbergMarquardt().solve(problem, fresh=True)
    assert len(worst) > 5
    assert max(worst) < 1e-12


def test_the_search_keeps_bounds() -> None:
    x = sample(400)
    y = torch.exp(torch.sin(1.4 * x[:, :1]) + x[:, 1:] ** 2)
    model = ew.KAN([2, 2, 1])
    rising = [(0, 0, 0), (0, 0, 1), (1, 0, 0), (1, 1, 0)]
    bent = [(0, 1, 0), (0, 1, 1)]
    bounded = ew.bound(ew.bound(model, rising, "increasing"), bent, "convex")
    result = ew.fit(bounded, x, y, seed=0, refine=6, progress=False)
    assert result.solver == ew.LevenbergMarquardt.name
    assert result.model.degree > 3
    assert result.held_out < 1e-4
    assert len(result.model.layers[0].bounds) == 4
    assert all_misses(result.model) < 1e-12
    wide = torch.stack([torch.linspace(-3, 3, 500), torch.full((500,), 0.3)], -1).double()
    assert float(result.model(wide).detach().diff(dim=0).min()) > -1e-12


def test_a_bound_that_is_true_does_not_cost_precision() -> None:
    x = sample(300, 1)
    model = ew.bound(ew.KAN([1, 1]), (0, 0, 0), "increasing", "convex")
    result = ew.fit(model, x, torch.exp(3 * x), seed=0, progress=False)
    assert result.held_out < 1e-12


def test_an_angle_wraps() -> None:
    x = 180 * (sample(400, 1) + 1)
    y = torch.sin(torch.pi * x / 180) + torch.cos(torch.pi * x / 60)
    model = ew.bound(ew.KAN([1, 1]), (0, 0, 0), "periodic", period=(0, 360))
    fitted = ew.fit(model, x, y, seed=0, progress=False).model
    assert float((fitted(x - 720) - y).detach().abs().max()) < 1e-9


def test_a_true_bound_lowers_the_error_of_a_noisy_fit() -> None:
    grid = torch.linspace(-0.9, 0.9, 501, dtype=torch.float64).unsqueeze(-1)
    truth = torch.tanh(4 * grid)
    plain, ratios = ew.LevenbergMarquardt(shrinkage=0), []
    for seed in range(5):
        x = sample(60, 1, seed=seed)
        y = torch.tanh(4 * x) + 0.3 * noise(60, 1, seed=100 + seed)
        model = ew.KAN([1, 1], grid=12)
        errors = [
            float((fit_here(start, x, y, plain)(grid) - truth).square().mean().sqrt().detach())
            for start in (model, ew.bound(model, (0, 0, 0), "increasing"))
        ]
        assert errors[1] < errors[0]
        ratios.append(errors[1] / errors[0])
    assert sum(ratios) / len(ratios) < 0.8


def test_intervals_know_of_a_period() -> None:
    x = sample(60, 1)
    y = torch.sin(torch.pi * x) + 0.1 * noise(60, 1)
    model = ew.bound(ew.KAN([1, 1], grid=8), (0, 0, 0), "periodic", period=(-1, 1))
    fitted = fit_here(model, x, y, ew.LevenbergMarquardt())
    posterior = ew.posterior(fitted, x, y)
    ends = torch.tensor([[-1.0], [1.0 - 1e-12]], dtype=torch.float64)
    widths = [
        (p.high - p.low)[:, 0]
        for p in (
            posterior.predict(ends, noise=False),
            ew.posterior(ew.unbound(fitted), x, y).predict(ends, noise=False),
        )
    ]
    torch.testing.assert_close(widths[0][0], widths[0][1], rtol=1e-6, atol=0)
    assert bool((widths[0] < widths[1]).all())
    assert posterior.freedom <= 8 + 1e-9


@pytest.mark.parametrize("solver", ["lbfgs", "adam"])
def test_other_solvers_say_that_they_keep_no_bounds(solver) -> None:
    x, y = noisy()
    model = ew.bound(ew.KAN([1, 1]), (0, 0, 0), "increasing")
    with pytest.raises(ew.ConfigError, match="keep the bounds"):
        ew.fit(model, x, y, solver=solver, progress=False)


def test_auto_takes_a_solver_that_keeps_bounds() -> None:
    assert not choose(10_000, 100, 10**6).keeps_bounds
    assert choose(10_000, 100, 10**6, bounded=True).keeps_bounds


def test_a_checkpoint_knows_of_bounds(tmp_path) -> None:
    x, y = noisy()
    settings = {"refine": False, "starts": 1, "seed": 0, "progress": False}
    model = ew.bound(ew.KAN([1, 1]), (0, 0, 0), "increasing")
    first = ew.fit(model, x, y, checkpoint=tmp_path / "run", **settings)
    again = ew.fit(model, x, y, checkpoint=tmp_path / "run", **settings)
    assert torch.equal(again.model(x), first.model(x))
    assert again.model.layers[0].bounds == first.model.layers[0].bounds
    with pytest.raises(ew.ConfigError, match="another network"):
        ew.fit(ew.unbound(model), x, y, checkpoint=tmp_path / "run", **settings)
