"""Differential equations against their exact solutions, and problems that are no problems."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

import edgewise as ew
from edgewise import pde
from edgewise._jets import Leibniz
from edgewise.pde._broyden import minimize
from edgewise.pde._networks import finer, moved
from edgewise.pde._rows import System, conditions, interior
from edgewise.pde._trial import Trial, jet_of
from edgewise.pde._unknowns import Unknowns, periodic_space

PI = math.pi
SQUARE = pde.Box([-1, 1], [-1, 1])


def bump(x: Tensor) -> Tensor:
    return torch.sin(PI * x[:, 0]) * torch.sin(PI * x[:, 1])


def poisson(**settings: Any) -> pde.Problem:
    return pde.Problem(
        SQUARE,
        lambda u, x: pde.laplacian(u) + 2 * PI**2 * bump(x),
        **{"conditions": [pde.Dirichlet(0.0)]} | settings,
    )


def error(solution: pde.Solution, exact: Any, output: int = 0) -> float:
    """The relative L2 error at points of their own."""
    x = solution.problem.points(2000, 77)
    u = exact(x)
    return float((solution(x)[:, output] - u).norm() / u.norm())


# solutions that are known


def test_poisson_to_eight_digits() -> None:
    torch.manual_seed(0)
    model = pde.separable(SQUARE.bounds, 3, grid=10)
    solution = pde.solve(poisson(), model, refine=1, progress=False)
    assert error(solution, bump) < 1e-8
    assert solution.error_estimate() > error(solution, bump)
    assert solution.residual < 1e-5
    x = solution.problem.points(50)
    jet = solution.jet(x, 2, mixed=True)
    slopes = PI * torch.cos(PI * x) * torch.sin(PI * x).flip(-1)
    torch.testing.assert_close(jet.gradient[:, 0], slopes, atol=1e-6, rtol=0)
    mixed = PI**2 * torch.cos(PI * x).prod(-1)
    torch.testing.assert_close(jet.partial(0, 1)[:, 0], mixed, atol=1e-4, rtol=0)


def test_one_hidden_layer_of_splines() -> None:
    torch.manual_seed(0)
    model = ew.KAN([2, 6, 1], degree=7)
    before = [p.clone() for p in model.parameters()]
    solution = pde.solve(poisson(), model, refine=False, progress=False)
    assert error(solution, bump) < 1e-4
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))


def test_heat_marches_in_windows() -> None:
    def exact(x: Tensor) -> Tensor:
        return torch.exp(-0.1 * PI**2 * x[:, 1]) * torch.sin(PI * x[:, 0]) + x[:, 0]

    problem = pde.Problem(
        pde.Interval(-1, 1),
        lambda u, x: pde.dt(u) - 0.1 * pde.laplacian(u),
        [
            pde.Dirichlet(lambda x: x[:, 0]),
            pde.Initial(lambda x: torch.sin(PI * x[:, 0]) + x[:, 0]),
        ],
        time=(0, 1),
    )
    torch.manual_seed(0)
    model = pde.separable(problem.bounds, 3, grid=(12, 4))
    solution = pde.solve(problem, model, windows=3, refine=False, progress=False)
    assert len(solution.trials) == 3
    assert error(solution, exact) < 1e-6
    ends = torch.tensor([[-1.0, 0.7], [1.0, 0.2], [0.5, 0.0]], dtype=torch.float64)
    torch.testing.assert_close(solution(ends)[:, 0], exact(ends), atol=1e-12, rtol=0)
    a, b = (torch.tensor([[0.3, t]], dtype=torch.float64) for t in (1 / 3 - 1e-12, 1 / 3 + 1e-12))
    torch.testing.assert_close(solution(a), solution(b), atol=1e-9, rtol=0)


def test_transport_is_periodic() -> None:
    problem = pde.Problem(
        pde.Interval(-1, 1),
        lambda u, x: pde.dt(u) + pde.dx(u),
        [pde.Periodic(), pde.Initial(lambda x: torch.exp(torch.sin(PI * x[:, 0])))],
        time=(0, 0.5),
    )
    torch.manual_seed(0)
    model = pde.separable(problem.bounds, 6, grid=(20, 4))
    solution = pde.solve(problem, model, refine=False, progress=False)
    assert error(solution, lambda x: torch.exp(torch.sin(PI * (x[:, 0] - x[:, 1])))) < 1e-4
    t = torch.linspace(0, 0.5, 7, dtype=torch.float64)
    left, right = (
        solution.jet(torch.stack([torch.full_like(t, end), t], -1), 3).components
        for end in (-1.0, 1.0)
    )
    torch.testing.assert_close(left, right, atol=1e-8, rtol=1e-8)


def test_wave_begins_with_a_rate() -> None:
    problem = pde.Problem(
        pde.Interval(0, 1),
        lambda u, x: pde.dt(u, 2) - pde.dx(u, 2),
        [pde.Dirichlet(), pde.Initial(0.0, rate=lambda x: PI * torch.sin(PI * x[:, 0]))],
        time=(0, 1),
    )
    solution = pde.solve(problem, refine=False, progress=False)
    assert error(solution, lambda x: torch.sin(PI * x).prod(-1)) < 1e-5


def test_neumann_and_robin_by_rows() -> None:
    problem = pde.Problem(
        pde.Interval(0, 1),
        lambda u, x: pde.dx(u, 2) - u,
        [
            pde.Neumann(-1.0, on="left"),
            pde.Robin(1.0, 1.0, 2 * math.e, on="right"),
        ],
    )
    solution = pde.solve(problem, refine=1, progress=False)
    assert error(solution, lambda x: torch.exp(x[:, 0])) < 1e-8


def test_soft_boundary() -> None:
    problem = poisson(conditions=[pde.Dirichlet(0.0, exact=False)])
    model = pde.separable(problem.bounds, 3, grid=8)
    assert error(pde.solve(problem, model, refine=1, progress=False), bump) < 1e-5


def test_disc_with_exact_boundary() -> None:
    problem = pde.Problem(
        pde.Disc((0.5, 0), 2), lambda u, x: pde.laplacian(u) + 4.0, [pde.Dirichlet(1.0)]
    )
    model = pde.separable(problem.bounds, 3, grid=3, degree=3)
    solution = pde.solve(problem, model, refine=False, progress=False)
    exact = error(solution, lambda x: 5 - (x - x.new_tensor([0.5, 0])).square().sum(-1))
    assert exact < 1e-10


def test_polygon_with_exact_boundary() -> None:
    triangle = pde.Polygon([(0, 0), (1, 0), (0, 1)])

    def exact(x: Tensor) -> Tensor:
        return torch.exp(x[:, 0]) * torch.cos(x[:, 1])

    problem = pde.Problem(triangle, lambda u, x: pde.laplacian(u), [pde.Dirichlet(exact)])
    model = pde.separable(problem.bounds, 2, grid=3, degree=5)
    # what is given on the boundary is harmonic itself, so that nothing is left to find
    assert error(pde.solve(problem, model, refine=False, progress=False), exact) < 1e-9


@pytest.mark.parametrize("sampling", [pde.Sobol(1500), pde.Adaptive(1500), pde.Gauss(4)])
def test_points(sampling: pde.Sampling) -> None:
    torch.manual_seed(0)
    model = pde.separable(SQUARE.bounds, 2, grid=6, degree=6)
    solution = pde.solve(poisson(), model, sampling=sampling, refine=False, progress=False)
    assert error(solution, bump) < 1e-4


def test_adaptive_cells_at_a_singularity() -> None:
    def exact(x: Tensor) -> Tensor:
        return x[:, 0] ** 1.6

    problem = pde.Problem(
        pde.Interval(0, 1),
        lambda u, x: (pde.dx(u, 2) - 0.96 * x[:, 0] ** -0.4) * x[:, 0] ** 0.4,
        [pde.Dirichlet(0.0, on="left"), pde.Dirichlet(1.0, on="right")],
    )
    settings: dict[str, Any] = {"refine": 4, "progress": False}
    even, adaptive = (
        pde.solve(problem, pde.separable(problem.bounds, 1, grid=4, degree=4), **settings, **more)
        for more in ({}, {"adaptive": True})
    )
    assert adaptive.model.grid <= even.model.grid
    assert error(adaptive, exact) < error(even, exact) / 3


def test_heat_in_the_plane() -> None:
    def exact(x: Tensor) -> Tensor:
        return torch.exp(-x[:, 2]) * torch.sin(x[:, 0]) * torch.cos(2 * x[:, 1])

    problem = pde.Problem(
        pde.Box([0, PI], [-PI / 4, PI / 4]),
        lambda u, x: 5 * pde.dt(u) - pde.laplacian(u),
        [pde.Dirichlet(0.0), pde.Initial(lambda x: torch.sin(x[:, 0]) * torch.cos(2 * x[:, 1]))],
        time=(0, 0.5),
    )
    torch.manual_seed(0)
    model = pde.separable(problem.bounds, 2, grid=2, degree=6)
    assert error(pde.solve(problem, model, refine=False, progress=False), exact) < 1e-4


def test_viscosity_over_windows() -> None:
    def exact(x: Tensor) -> Tensor:
        return torch.exp(-0.3 * PI**2 * x[:, 1]) * torch.sin(PI * x[:, 0])

    interval = pde.Interval(0, 1)
    rows = torch.rand(30, 2, dtype=torch.float64)
    noise = 1e-3 * torch.randn(30, dtype=torch.float64)
    problem = pde.Problem(
        interval,
        lambda u, x, nu: pde.dt(u) - nu * pde.dx(u, 2),
        [
            pde.Dirichlet(0.0),
            pde.Initial(lambda x: torch.sin(PI * x[:, 0])),
            pde.Observed(rows, exact(rows) + noise),
        ],
        time=(0, 1),
        unknowns={"nu": 0.2},
    )
    model = pde.tensor(problem.bounds, grid=3, degree=5)
    settings: dict[str, Any] = {"hold": True, "refine": False, "progress": False}
    solution = pde.solve(problem, model, windows=2, **settings)
    assert abs(solution.constants["nu"] - 0.3) < 3 * solution.standard_errors["nu"] < 0.01


def test_system_of_first_order() -> None:
    problem = pde.Problem(
        pde.Interval(0, 1),
        lambda w, x: (pde.dx(w[0]) - w[1], pde.dx(w[1]) + 4 * w[0]),
        [
            pde.Dirichlet(0.0, on="left", of=0),
            pde.Dirichlet(2.0, on="left", of=1),
        ],
        outputs=2,
    )
    solution = pde.solve(problem, progress=False)
    assert error(solution, lambda x: torch.sin(2 * x[:, 0])) < 1e-8
    assert error(solution, lambda x: 2 * torch.cos(2 * x[:, 0]), 1) < 1e-8


def test_constant_is_found_from_data() -> None:
    x = torch.linspace(0, 1, 40, dtype=torch.float64).unsqueeze(-1)
    problem = pde.Problem(
        pde.Interval(0, 1),
        lambda u, x, rate: pde.dx(u) - rate * u,
        [pde.Dirichlet(1.0, on="left"), pde.Observed(x, torch.exp(1.7 * x[:, 0]))],
        unknowns={"rate": 0.5},
    )
    solution = pde.solve(problem, progress=False)
    assert abs(solution.constants["rate"] - 1.7) < 1e-8
    assert problem.unknowns["rate"] == 0.5


# energies


def test_energy_is_least() -> None:
    problem = pde.Problem(
        SQUARE,
        lambda u, x: pde.grad(u).square().sum(-1) / 2 - 2 * PI**2 * bump(x) * u.value,
        [pde.Dirichlet(0.0)],
        energy=True,
    )
    torch.manual_seed(0)
    model = pde.separable(problem.bounds, 2, grid=6, degree=5)
    solution = pde.solve(problem, model, refine=False, progress=False)
    assert error(solution, bump) < 1e-3
    # the least energy is minus half of its part that is quadratic: -pi^2 / 4 as a mean
    assert solution.residual == pytest.approx(-(PI**2) / 4, rel=0.1)
    with pytest.raises(ew.ConfigError, match="no sum of squares"):
        pde.solve(problem, solver=pde.GaussNewton(), progress=False)


def test_broyden_finds_a_minimum() -> None:
    def rosenbrock(x: Tensor) -> tuple[float, Tensor]:
        with torch.enable_grad():
            x = x.clone().requires_grad_()
            value = (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()
            (slope,) = torch.autograd.grad(value, x)
        return float(value.detach()), slope

    start = torch.linspace(-1.5, 2, 12, dtype=torch.float64)
    found, value = minimize(rosenbrock, start, 400, 1e-20)
    assert value < 1e-20
    torch.testing.assert_close(found, torch.ones(12, dtype=torch.float64), atol=1e-8, rtol=0)


def test_broyden_solves_least_squares_too() -> None:
    problem = pde.Problem(
        pde.Interval(0, 1), lambda u, x: pde.dx(u, 2) + torch.exp(u), [pde.Dirichlet(0.0)]
    )
    model = pde.separable(problem.bounds, 1, grid=4, degree=5)
    settings: dict[str, Any] = {"refine": False, "progress": False}
    a = pde.solve(problem, model, solver=pde.SelfScaledBroyden(), **settings)
    b = pde.solve(problem, model, **settings)
    x = problem.points(50)
    torch.testing.assert_close(a(x), b(x), atol=1e-6, rtol=0)


# closed forms and pictures


def test_closed_form() -> None:
    solution = pde.solve(poisson(), refine=1, seed=0, progress=False)
    formula = pde.symbolize(solution, ew.KAN([2, (0, 1), 1], degree=5), progress=False)
    assert str(formula.expr) == "sin(pi*x_1)*sin(pi*x_2)"


def test_pictures(tmp_path: Any) -> None:
    problem = pde.Problem(
        pde.Interval(-1, 1),
        lambda u, x: pde.dt(u) - pde.laplacian(u),
        [pde.Dirichlet(), pde.Initial(lambda x: torch.cos(PI * x[:, 0] / 2))],
        time=(0, 1),
    )
    model = pde.tensor(problem.bounds, grid=4, degree=5)
    solution = pde.solve(problem, model, hold=True, refine=False, progress=False)
    image = pde.plot.field(solution).axes[0].images[0]
    assert image.get_array().max() == pytest.approx(1.0, abs=1e-3)
    assert pde.plot.residual(solution).axes[0].images
    lines = pde.plot.slices(solution, [0.0, 0.5]).axes[0].lines
    x, u = lines[1].get_data()
    exact = torch.exp(torch.tensor(-(PI**2) / 8)) * torch.cos(PI * torch.as_tensor(x) / 2)
    torch.testing.assert_close(torch.as_tensor(u), exact.double(), atol=1e-4, rtol=0)
    film = pde.plot.film(solution, frames=3)
    film.save(tmp_path / "film.gif")
    assert (tmp_path / "film.gif").stat().st_size > 1000
    with pytest.raises(ew.ConfigError, match="from 0"):
        pde.plot.slices(solution, [2.0])


# the sums against autograd


def test_gauss_newton_sums_against_autograd() -> None:
    torch.manual_seed(1)
    problem = pde.Problem(
        pde.Interval(-1, 1),
        lambda w, x, nu: (
            pde.dt(w[0]) + w[0] * pde.dx(w[1]) - nu * pde.dx(w[0], 2),
            torch.sin(w[1]) * w[0] + nu**2 * pde.d(w[1], 0, 1),
        ),
        [pde.Periodic(), pde.Initial(lambda x: torch.cos(PI * x[:, 0])), pde.Neumann(0.3, of=1)],
        time=(0, 1),
        outputs=2,
        unknowns={"nu": 0.7},
    )
    model = ew.KAN([2, (1, 2), 2], degree=5, domain=problem.bounds)
    trial = Trial(problem, model, (0.0, 1.0))
    unknowns = Unknowns(model, trial.periodic, problem.unknowns)
    start = unknowns.read()
    unknowns.write(start)
    x = problem.points(40)
    system = System(trial, [interior(trial, x), *conditions(trial, 5)])

    def residuals(vector: Tensor) -> Tensor:
        unknowns.write(vector)
        return torch.cat([r.flatten() for r in system.residuals(model, unknowns.constants)])

    value, g, H = system.normal_equations(unknowns)
    r = residuals(start)
    assert value == pytest.approx(0.5 * float(r.square().sum()))
    step = 1e-6
    J = torch.stack(
        [
            (residuals(start + step * e) - residuals(start - step * e)) / (2 * step)
            for e in torch.eye(len(start), dtype=torch.float64)
        ],
        -1,
    )
    torch.testing.assert_close(g, J.T @ r, atol=1e-6 * float(g.abs().max()), rtol=0)
    torch.testing.assert_close(H, J.T @ J, atol=1e-6 * float(H.abs().max()), rtol=0)


def test_jet_of_a_function() -> None:
    x = SQUARE.sobol(9)
    rule = Leibniz.of(2, 4, True)
    found = jet_of(lambda x: torch.sin(2 * x[:, 0]) * x[:, 1] ** 2, x, rule)
    a, b = x.unbind(-1)
    place = rule.partials.index
    torch.testing.assert_close(found[place((0, 1))], 4 * b * torch.cos(2 * a))
    torch.testing.assert_close(found[place((0,) * 4)], 16 * torch.sin(2 * a) * b**2)
    torch.testing.assert_close(found[place((1, 1, 1))], torch.zeros_like(a))


# networks and grids


@pytest.mark.parametrize("inputs", [1, 2, 3, 4, 5])
def test_separable_is_a_sum_of_products(inputs: int) -> None:
    torch.manual_seed(0)
    bounds = torch.tensor([[-1.0, 2.0]] * inputs, dtype=torch.float64)
    model = pde.separable(bounds, 3, outputs=2, degree=3)
    assert model.in_features == inputs
    assert model.out_features == 2
    low, middle, high = (torch.full((1, inputs), v, dtype=torch.float64) for v in (-0.7, 0.1, 1.3))
    # with one product, the differences in each input multiply
    one = pde.separable(bounds, 1, degree=3)
    corners = torch.cartesian_prod(*[torch.tensor([-0.7, 1.3], dtype=torch.float64)] * inputs)
    values = one(corners.reshape(-1, inputs)).detach().reshape([2] * inputs)
    if inputs > 1:
        bias = float(one.parts()[-1][0].coef.detach().sum() / 2)
        parts = (values - bias).reshape(2, -1)
        assert torch.linalg.matrix_rank(parts, rtol=1e-9) == 1
    for x in (low, middle, high):
        assert bool(model(x).isfinite().all())


def test_grids_carry_the_function() -> None:
    torch.manual_seed(0)
    bounds = torch.tensor([[-1.0, 1.0], [0.0, 3.0]], dtype=torch.float64)
    model = pde.separable(bounds, 3, grid=(9, 4), degree=5)
    x = bounds[:, 0] + torch.rand(200, 2, dtype=torch.float64) * (bounds[:, 1] - bounds[:, 0])
    torch.testing.assert_close(finer(model, bounds)(x), model(x), atol=1e-10, rtol=0)
    later = torch.tensor([[-1.0, 1.0], [3.0, 6.0]], dtype=torch.float64)
    shift = torch.tensor([0.0, 3.0], dtype=torch.float64)
    torch.testing.assert_close(moved(model, bounds, later)(x + shift), model(x))


def test_periodic_splines_are_smooth_across_the_end() -> None:
    basis = ew.bases.BSpline.on(
        torch.tensor([[-1, -0.9, -0.2, 0.1, 0.5, 0.6, 0.7, 1.0]], dtype=torch.float64), degree=4
    )
    (Z,) = periodic_space(basis)
    assert Z.shape == (11, 7)
    ends = torch.tensor([[-1.0], [1.0]], dtype=torch.float64)
    for values in basis.values(ends, 3):
        at = values[:, 0] @ Z
        torch.testing.assert_close(at[0], at[1], atol=1e-9 * float(values.abs().max()), rtol=0)


# domains


SHAPES = {
    "box": (SQUARE, 4.0),
    "disc": (pde.Disc((1, 0), 2), 4 * PI),
    "triangle": (pde.Polygon([(0, 0), (0, 1), (1, 0)]), 0.5),
    "L": (SQUARE - pde.Box([0, 1], [-1, 0]), 3.0),
    "union": (pde.Box([0, 1], [0, 1]) | pde.Box([0.5, 2], [0, 1]), 2.0),
    "ring": (pde.Disc((0, 0), 2) - pde.Disc((0, 0), 1), 3 * PI),
}


@pytest.mark.parametrize("name", SHAPES)
def test_domain(name: str) -> None:
    domain, area = SHAPES[name]
    low, high = domain.bounds.unbind(-1)
    engine = torch.quasirandom.SobolEngine(2)
    around = low + engine.draw(20_000, dtype=torch.float64) * (high - low)
    share = domain.contains(around).double().mean()
    assert float(share * (high - low).prod()) == pytest.approx(area, rel=0.01)
    assert bool(domain.contains(domain.sobol(300)).all())
    for side in domain.sides:
        edge = domain.boundary(side, 40)
        torch.testing.assert_close(
            domain.level(edge.x), torch.zeros_like(edge.x[:, 0]), atol=1e-6, rtol=0
        )
        step = 1e-4 * edge.normal
        assert bool((domain.level(edge.x - step) > 0).all())
        assert bool((domain.level(edge.x + step) < 0).all())
        torch.testing.assert_close(edge.normal.norm(dim=-1), torch.ones_like(edge.x[:, 0]))


# files


def test_saved_windows_and_start(tmp_path: Any) -> None:
    problem = pde.Problem(
        pde.Interval(-1, 1),
        lambda u, x: pde.dt(u) + pde.dx(u),
        [pde.Periodic(), pde.Initial(lambda x: torch.sin(PI * x[:, 0]))],
        time=(0, 1),
    )
    torch.manual_seed(0)
    model = pde.separable(problem.bounds, 3, grid=(10, 3))
    short = pde.GaussNewton(steps=5)
    settings: dict[str, Any] = {"windows": 2, "refine": 1, "solver": short, "progress": False}
    solution = pde.solve(problem, model, **settings, checkpoint=tmp_path / "work")
    pde.save(solution, tmp_path / "done")
    again = pde.load(tmp_path / "done", problem)
    x = problem.points(100)
    assert torch.equal(again(x), solution(x))
    resumed = pde.solve(problem, model, **settings, checkpoint=tmp_path / "work")
    torch.testing.assert_close(resumed(x), solution(x), atol=1e-13, rtol=0)
    with pytest.raises(ew.ConfigError, match="belongs to another"):
        pde.solve(problem, model, windows=3, checkpoint=tmp_path / "work", progress=False)
    with pytest.raises(ew.FormatError, match="fields"):
        pde.load(
            tmp_path / "done",
            pde.Problem(pde.Interval(0, 1), lambda u, x: pde.dx(u), [pde.Dirichlet()]),
        )


def test_stops_when_the_time_is_over() -> None:
    solution = pde.solve(poisson(), time=0.05, progress=False)
    assert solution.status.outcome is ew.Outcome.OUT_OF_TIME
    assert bool(solution(solution.problem.points(5)).isfinite().all())


def test_evolution_that_was_not_finished() -> None:
    problem = pde.Problem(
        pde.Interval(0, 1),
        lambda u, x: pde.dt(u) - pde.dx(u, 2),
        [pde.Dirichlet(), pde.Initial(lambda x: torch.sin(PI * x[:, 0]))],
        time=(0, 1),
    )
    solution = pde.solve(problem, windows=50, time=0.3, progress=False)
    assert solution.status.outcome is ew.Outcome.OUT_OF_TIME
    known = len(solution.trials) / 50
    assert known < 1
    x = torch.tensor([[0.5, 0.9 * known], [0.5, 1.0]], dtype=torch.float64)
    assert bool(solution(x[:1]).isfinite().all())
    with pytest.raises(ew.ConfigError, match="is known from"):
        solution(x)


def test_ctrl_c_gives_the_best_so_far(monkeypatch: pytest.MonkeyPatch) -> None:
    from edgewise._fit import Monitor

    step = Monitor.step

    def interrupted(self: Monitor, *arguments: Any) -> None:
        step(self, *arguments)
        if self.steps == 12:
            raise KeyboardInterrupt

    monkeypatch.setattr(Monitor, "step", interrupted)
    torch.manual_seed(0)
    solution = pde.solve(poisson(), pde.separable(SQUARE.bounds, 2, grid=6), progress=False)
    assert solution.status.outcome is ew.Outcome.INTERRUPTED
    assert len(solution.history) == 12
    assert error(solution, bump) < 0.9


# problems that are no problems


def nothing(u: pde.Field, x: Tensor) -> Tensor:
    return pde.laplacian(u)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"conditions": []}, "no condition on the boundary"),
        ({"conditions": [pde.Dirichlet(on="up")]}, "outside of the domain"),
        ({"conditions": [pde.Dirichlet(), pde.Periodic(2)]}, "outside of the domain"),
        ({"conditions": [pde.Dirichlet(), pde.Initial(0.0)]}, "needs time"),
        ({"conditions": [pde.Dirichlet()], "time": (0, 1)}, "no initial condition"),
        ({"conditions": [pde.Initial(0.0)], "time": (0, 1)}, "no condition on the boundary"),
        ({"conditions": [pde.Dirichlet()], "time": (1, 0)}, "begin, end"),
        ({"conditions": [pde.Dirichlet(of=1)]}, "field 1"),
        ({"conditions": [pde.Dirichlet(lambda x: x)]}, "value for each point"),
        ({"conditions": [pde.Dirichlet(lambda x: x[:, 0] / 0)]}, "infinity"),
        ({"equation": lambda u, x: pde.laplacian(u).sum()}, "residual for each point"),
        ({"equation": lambda u, x: pde.laplacian(u) / 0}, "NaN or infinity"),
        ({"equation": lambda u, x: x[:, 0]}, "does not depend on u"),
        ({"equation": lambda u, x: pde.dz(u)}, "space coordinate 3"),
        ({"equation": lambda u, x: pde.dt(u)}, "has none"),
        ({"equation": lambda u, x: pde.d(u, 0, 0, 1)}, "pure derivatives"),
        ({"equation": lambda u: pde.laplacian(u)}, "function of"),
        ({"equation": nothing, "unknowns": {"nu": 1.0}}, "function of"),
    ],
)
def test_bad_problem(settings: dict[str, Any], words: str, unchecked: None) -> None:
    arguments = {"domain": SQUARE, "equation": nothing, "conditions": [pde.Dirichlet()]}
    with pytest.raises(ew.EdgewiseError, match=words):
        pde.Problem(**arguments | settings)


def test_bad_call(unchecked: None) -> None:
    with pytest.raises(ew.ConfigError, match="inputs"):
        pde.solve(poisson(), ew.KAN([3, 1]))
    with pytest.raises(ew.ConfigError, match="degree"):
        pde.solve(poisson(), ew.KAN([2, 1], degree=2))
    with pytest.raises(ew.ConfigError, match="float64"):
        pde.solve(poisson(), ew.KAN([2, 1], degree=5, dtype=torch.float32))
    with pytest.raises(ew.ConfigError, match="tensor"):
        pde.solve(poisson(), ew.KAN([2, 4, 1], degree=5), hold=True)
    x = torch.tensor([[3.0, 0.0]], dtype=torch.float64)
    observed = pde.Observed(x, torch.zeros(1, dtype=torch.float64))
    with pytest.raises(ew.ConfigError, match="outside of the domain"):
        poisson(conditions=[pde.Dirichlet(), observed])
    for bad in ([], [(1, 0)], [(0, 1)] * 4):
        with pytest.raises(ew.ConfigError):
            pde.Box(*bad)
