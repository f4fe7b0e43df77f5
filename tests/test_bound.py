"""Edges with bounds: what holds for them, and what keeps it."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.interpolate import BSpline as SciPySpline
from scipy.optimize import LinearConstraint, lsq_linear, minimize
from torch import Tensor

import edgewise as ew
from builders import noise, put, sample
from edgewise._cones import KINDS, Kind, cone
from edgewise._cones import minimize as pivoting

COMBINATIONS: list[tuple[Kind, ...]] = [
    *((kind,) for kind in KINDS),
    *itertools.product(("increasing", "decreasing"), ("convex", "concave")),
]


def line_of_one(knots: Tensor, degree: int) -> ew.KAN:
    """One edge on these knots, with coefficients at random."""
    basis = ew.bases.BSpline.on(knots.unsqueeze(0), degree=degree)
    coef = noise(1, 1, basis.size)
    layer = ew.KANLayer.of(basis, coef, torch.ones(1, 1, dtype=torch.bool))
    return ew.KAN.of([layer], [ew.KAN([1, 1]).parts()[0][1]])


def misses(layer: ew.KANLayer, o: int, i: int) -> float:
    """By how much an edge breaks its bounds on and around its grid, beside its size."""
    low, high = layer.basis.domain[i].tolist()
    width = high - low
    x = torch.linspace(low - width, high + width, 3001, dtype=torch.float64)
    values = layer.edges(x.unsqueeze(-1).expand(-1, layer.in_features))[:, o, i].detach()
    steps = values.diff()
    worst = {
        "increasing": -steps.min(),
        "decreasing": steps.max(),
        "convex": -steps.diff().min(),
        "concave": steps.diff().max(),
        "periodic": (values[1000:] - values[:-1000]).abs().max(),
    }
    return max(float(worst[kind] / values.abs().max()) for kind in layer.bounds[o, i])


def all_misses(model: ew.KAN) -> float:
    return max(
        misses(layer, o, i)
        for layer, _ in model.parts()
        for o, i in layer.bounds
        if layer.mask[o, i]
    )


@st.composite
def knots_of_one(draw: st.DrawFn) -> Tensor:
    cells = draw(st.lists(st.floats(0.02, 1.0), min_size=1, max_size=12))
    start = draw(st.floats(-100, 100))
    return start + torch.tensor([0.0, *cells], dtype=torch.float64).cumsum(0)


@given(knots_of_one(), st.integers(1, 9), st.sampled_from(COMBINATIONS))
def test_a_bound_holds_on_the_grid_and_outside(
    knots: Tensor, degree: int, kinds: tuple[Kind, ...]
) -> None:
    bounded = ew.bound(line_of_one(knots, degree), (0, 0, 0), *kinds)
    assert bounded.layers[0].bounds == {(0, 0): frozenset(kinds)}
    assert all_misses(bounded) < 1e-9
    again = ew.bound(bounded, (0, 0, 0), *kinds)
    torch.testing.assert_close(again.layers[0].coef, bounded.layers[0].coef, rtol=0, atol=1e-9)


@pytest.mark.parametrize("kinds", COMBINATIONS)
@pytest.mark.parametrize("degree", [1, 2, 3, 7])
def test_u_and_coefficients_are_inverse(degree: int, kinds: tuple[Kind, ...]) -> None:
    basis = ew.bases.BSpline.on(
        torch.tensor([[-1.0, -0.9, -0.3, 0.4, 2.0]], dtype=torch.float64), degree=degree
    )
    T, A, _ = cone(basis, 0, frozenset(kinds))
    torch.testing.assert_close(A @ T, torch.eye(len(A), dtype=torch.float64))
    u = torch.rand(len(A), dtype=torch.float64)
    assert torch.allclose(T @ (A @ (T @ u)), T @ u)


@given(st.integers(0, 10**6), st.integers(1, 30))
def test_pivoting_finds_what_bounded_least_squares_finds(seed: int, size: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    J, r, u = (
        torch.randn(*shape, dtype=torch.float64, generator=generator)
        for shape in ((size + 10, size), (size + 10,), (size,))
    )
    floor = torch.where(u > -0.5, -u.clamp_min(0), -torch.inf)
    step = pivoting(J.T @ J, J.T @ r, floor)
    assert step is not None
    oracle = lsq_linear(J.numpy(), -r.numpy(), (floor.numpy(), np.inf), method="bvls", tol=1e-14)
    np.testing.assert_allclose(step.numpy(), oracle.x, atol=1e-8)


def test_pivoting_refuses_what_is_not_definite() -> None:
    M = torch.tensor([[1.0, 2.0], [2.0, 1.0]], dtype=torch.float64)
    assert pivoting(M, torch.ones(2, dtype=torch.float64), -M[0] * torch.inf) is None


@pytest.mark.parametrize(
    ("kinds", "degree", "rows"),
    [  # derivatives of degree 1 are not negative where they are not at the knots
        (("increasing",), 2, [1]),
        (("decreasing",), 2, [-1]),
        (("convex",), 3, [2]),
        (("concave",), 3, [-2]),
        (("decreasing", "convex"), 2, [-1, 2]),
    ],
)
def test_a_bounded_edge_is_the_nearest(
    kinds: tuple[Kind, ...], degree: int, rows: list[int]
) -> None:
    """Oracle: SciPy's splines and its sequential quadratic programming."""
    knots = torch.tensor([-1.0, -0.6, -0.5, 0.1, 0.7, 1.0], dtype=torch.float64)
    free = line_of_one(knots, degree)
    basis = free.layers[0].basis
    coef = free.layers[0].coef.detach()[0, 0].numpy()
    t, k = basis.knots[0].numpy(), degree
    at = basis._points()[:, 0].numpy()
    points = SciPySpline.design_matrix(np.clip(at, -1, 1 - 1e-15), t, k).toarray()

    def derivatives(order: int) -> np.ndarray:
        eye = np.eye(len(coef))
        inner = knots.numpy()
        middles = np.stack([0.999999999 * inner[:-1] + 1e-9 * inner[1:], inner[1:] - 1e-9])
        return SciPySpline(t, eye, k).derivative(order)(middles.ravel())

    held = np.concatenate([np.sign(row) * derivatives(abs(row)) for row in rows])
    form = points.T @ points / len(points)
    solution = minimize(
        lambda c: (c - coef) @ form @ (c - coef) / 2,
        coef,
        jac=lambda c: form @ (c - coef),
        constraints=LinearConstraint(held, 0, np.inf),
        method="SLSQP",
        options={"ftol": 1e-14, "maxiter": 500},
    )
    bounded = ew.bound(free, (0, 0, 0), *kinds).layers[0].coef.detach()[0, 0].numpy()
    np.testing.assert_allclose(points @ bounded, points @ solution.x, atol=1e-6)


@pytest.mark.parametrize("degree", [1, 2, 3, 5])
def test_a_periodic_edge_has_no_seam(degree: int) -> None:
    knots = torch.tensor([-1.0, -0.7, 0.4, 0.5, 1.5], dtype=torch.float64)
    layer = ew.bound(line_of_one(knots, degree), (0, 0, 0), "periodic").layers[0]
    seam = torch.tensor([[-1.0 + 1e-13], [1.5 - 1e-13]], dtype=torch.float64)
    before, after = layer.derivatives(seam, min(degree - 1, 4))[:, :, 0, 0].detach().unbind(1)
    torch.testing.assert_close(before, after, rtol=1e-8, atol=1e-9)
    x = sample(50, 1)
    torch.testing.assert_close(layer(x + 2.5 * 7), layer(x))
    torch.testing.assert_close(layer(x - 2.5 * 3), layer(x))


def test_a_period_is_laid_under_the_edges() -> None:
    model = ew.KAN([2, 3, 1])
    angle = [edge for edge in model.edges() if edge.layer == 0 and edge.source == 1]
    turning = ew.bound(model, angle, "periodic", period=(0, 360))
    assert turning.layers[0].basis.domain[1].tolist() == [0, 360]
    assert turning.layers[0].basis.domain[0].tolist() == [-1, 1]
    moved = ew.adapt(turning, 20 * sample(100))
    assert moved.layers[0].basis.domain[1].tolist() == [0, 360]
    assert moved.layers[0].basis.domain[0, 0] < -15


def bounded_network() -> ew.KAN:
    model = ew.KAN([3, 2, 1], grid=6)
    model = ew.bound(model, [(0, 0, 0), (0, 0, 1)], "increasing")
    model = ew.bound(model, [(0, 2, 0), (0, 2, 1)], "periodic")
    model = ew.bound(model, (0, 1, 1), "convex", "decreasing")
    return ew.bound(model, [(1, 0, 0), (1, 1, 0)], "concave")


@pytest.mark.parametrize(
    "verb",
    [
        lambda model: ew.refine(model, 12),
        lambda model: ew.refine(model, 7),
        lambda model: ew.refine(model, 12, degree=5),
        lambda model: ew.adapt(model, 3 * sample(200, 3)),
        lambda model: ew.adapt(model, sample(200, 3) ** 3, quantile=1.0),
        lambda model: ew.relocate(model),
        lambda model: ew.relocate(model, sample(200, 3)),
        lambda model: ew.prune(model, sample(200, 3), node_threshold=0, edge_threshold=0),
    ],
)
def test_verbs_keep_bounds(verb) -> None:
    model = bounded_network()
    after = verb(model)
    assert [layer.bounds for layer in after.layers] == [layer.bounds for layer in model.layers]
    assert after.layers[0].basis.periodic == (2,)
    assert all_misses(after) < 1e-10


def test_random_starts_keep_bounds_and_are_no_constants() -> None:
    model = bounded_network()
    for seed in range(5):
        model.reset_parameters(generator=torch.Generator().manual_seed(seed))
        assert all_misses(model) < 1e-10
        spread = model.layers[0].edges(sample(100, 3)).std(0).detach()
        assert bool((spread[:, 0] > 0.05).all())


def test_knot_insertion_does_not_touch_a_bounded_edge() -> None:
    model = bounded_network()
    x = 2 * sample(200, 3)
    torch.testing.assert_close(ew.refine(model, 24)(x), model(x), rtol=0, atol=1e-12)


def test_pruning_turns_the_bounds_of_a_negative_factor_over() -> None:
    model = ew.KAN([2, (1, 1), 1])
    line = model.layers[0].basis.line()[1][0]
    with torch.no_grad():
        model.layers[0].coef.zero_()
        model.layers[0].coef[0, 0] = line
        model.layers[0].coef[1, 0] = line
        model.layers[0].coef[2, 0] = -2  # the second factor is the constant -2
        model.layers[1].coef[0] = torch.stack([3 * line, line])
    model = ew.bound(model, (0, 0, 1), "increasing", "convex")
    x = sample(100)
    small = ew.prune(model, x)
    assert small.widths == [2, 2, 1]
    assert small.layers[0].bounds == {(1, 0): frozenset({"decreasing", "concave"})}
    assert all_misses(small) < 1e-12
    torch.testing.assert_close(small(x), model(x))


def test_a_file_keeps_bounds(tmp_path: Path) -> None:
    model = bounded_network()
    ew.save(model, tmp_path / "model.safetensors")
    again = ew.load(tmp_path / "model.safetensors")
    assert [layer.bounds for layer in again.layers] == [layer.bounds for layer in model.layers]
    assert again.layers[0].basis.periodic == (2,)
    x = 5 * sample(100, 3)
    assert torch.equal(again(x), model(x))


def test_locks_and_removed_edges_lose_their_bounds() -> None:
    model = bounded_network()
    put(model, (0, 1, 1), "exp", 1.0, 0.0, 1.0, 0.0)
    assert (1, 1) not in model.layers[0].bounds
    model.layers[0].remove(0, 0)
    assert (0, 0) not in model.layers[0].bounds


def test_unbound_leaves_the_function() -> None:
    model = bounded_network()
    x = 0.999 * sample(200, 3)
    free = ew.unbound(model)
    assert all(not layer.bounds and not layer.basis.periodic for layer in free.layers)
    torch.testing.assert_close(free(x), model(x), rtol=0, atol=1e-12)
    some = ew.unbound(model, (0, 0, 1))
    assert (1, 0) not in some.layers[0].bounds
    assert (0, 0) in some.layers[0].bounds
    assert (1, 0) in model.layers[0].bounds


@pytest.mark.parametrize(
    ("edges", "kinds", "period", "message"),
    [
        ((0, 0, 7), ("convex",), None, "no edge 0:0->7"),
        ((0, 1, 0), ("convex",), None, "locked to 'sin'"),
        ([], ("convex",), None, "got none"),
        ((0, 0, 0), (), None, "no bound ''"),
        ((0, 0, 0), ("rising",), None, "no bound 'rising'"),
        ((0, 0, 0), ("increasing", "decreasing"), None, "a constant"),
        ((0, 0, 0), ("convex", "concave"), None, "a line"),
        ((0, 0, 0), ("periodic", "convex"), None, "a constant"),
        ((0, 0, 1), ("concave",), None, "a line"),
        ((0, 2, 0), ("periodic",), None, "edge 0:2->1"),
        ((0, 0, 0), ("convex",), (0, 1), "goes with the bound 'periodic'"),
        ((1, 0, 0), ("periodic",), (1, 0), "low < high"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_what_cannot_be_is_said(edges, kinds, period, message: str) -> None:
    model = ew.KAN([3, 2, 1])
    put(model, (0, 1, 0), "sin", 1.0, 0.0, 1.0, 0.0)
    model = ew.bound(model, (0, 0, 1), "convex")
    with pytest.raises(ew.ConfigError, match=message):
        ew.bound(model, edges, *kinds, period=period)


def test_half_a_node_cannot_stop_being_periodic() -> None:
    with pytest.raises(ew.ConfigError, match="edge 0:2->0"):
        ew.unbound(bounded_network(), (0, 2, 0))


def test_float32_keeps_bounds_but_for_its_rounding() -> None:
    model = ew.bound(ew.KAN([1, 1], grid=8, dtype=torch.float32), (0, 0, 0), "increasing")
    model.reset_parameters()
    x = torch.linspace(-2, 2, 500).unsqueeze(-1)
    assert float(model(x).detach().diff(dim=0).min()) > -1e-6
