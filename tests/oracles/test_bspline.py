"""B-splines against SciPy's, which are built on another code (FITPACK's descendants)."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import cumulative_simpson
from scipy.interpolate import BSpline as Reference
from scipy.interpolate import insert
from torch import Tensor

from edgewise._errors import ConfigError, ShapeError
from edgewise._kernels import dense_splines, local_splines
from edgewise.bases import BSpline

DEGREES = range(1, 10)
GRIDS = (5, 20, 100, 400)
DOMAINS = torch.tensor([[-1.0, 1.0], [0.0, 100.0], [1e-3, 2e-3], [-7.0, -5.0]]).double()

degrees = st.integers(1, 9)
grids = st.integers(1, 60)
seeds = st.integers(0, 2**32 - 1)


def reference(basis: BSpline, x: Tensor, order: int) -> Tensor:
    """Values of all functions, or their derivatives, on the same knots but in double precision."""
    columns = []
    for knots, points in zip(basis.knots.double(), x.double().T, strict=True):
        spline = Reference(knots.numpy(), np.eye(basis.size), basis.degree)
        columns.append(torch.from_numpy(np.asarray(spline(points.numpy(), nu=order))))
    return torch.stack(columns, 1)


def inside(basis: BSpline, batch: int) -> Tensor:
    """Random points of the domain, its ends, and all knots of the grid."""
    low, high = basis.domain.unbind(-1)
    points = low + (high - low) * torch.rand(batch, basis.in_features, dtype=low.dtype)
    knots = basis.knots[:, basis.degree : -basis.degree].T
    return torch.minimum(torch.maximum(torch.cat([points, knots]), low), high)


def close(actual: Tensor, expected: Tensor, tolerance: float) -> None:
    """Compare relative to the largest value of each input's functions."""
    scale = expected.abs().amax((0, 2), keepdim=True).clamp(min=1e-300)
    assert actual.shape == expected.shape
    error = ((actual.double() - expected) / scale).abs().max().item()
    assert error < tolerance, f"off by {error:.1e}"


@pytest.mark.parametrize("order", [0, 1, 2])
@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("degree", DEGREES)
@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float64, 1e-13), (torch.float32, 1e-5)], ids=["f64", "f32"]
)
def test_values_and_derivatives(
    dtype: torch.dtype, tolerance: float, degree: int, grid: int, order: int
) -> None:
    basis = BSpline(len(DOMAINS), grid=grid, degree=degree, domain=DOMAINS.to(dtype), dtype=dtype)
    x = inside(basis, 50)
    expected = reference(basis, x, order)
    # evenly spaced knots are taken as exactly even, and the stored ones, which SciPy gets, are not
    low, high = basis.domain.unbind(-1)
    reach = float((basis.knots.abs().amax(1) / (high - low)).max())
    uneven = 2 * grid * torch.finfo(dtype).eps * reach
    close(basis.values(x, 2)[order], expected, tolerance + uneven)


@pytest.mark.parametrize("degree", DEGREES)
def test_single_precision_holds_a_grid_of_400(degree: int) -> None:
    # against exact knots: what is left is the rounding of a knot in units of a cell, 400 * 6e-8
    exact = BSpline(1, grid=400, degree=degree, dtype=torch.float64)
    x = inside(exact, 200).float()
    single = BSpline(1, grid=400, degree=degree, dtype=torch.float32)
    close(single(x), reference(exact, x, 0), 5e-5 * degree)


@pytest.mark.parametrize("degree", DEGREES)
def test_every_input_has_its_own_grid(degree: int) -> None:
    basis = BSpline(len(DOMAINS), grid=7, degree=degree, domain=DOMAINS, dtype=torch.float64)
    torch.testing.assert_close(basis.domain, DOMAINS, rtol=0, atol=0)
    cells = basis.knots.diff(dim=1)
    torch.testing.assert_close(cells, (DOMAINS[:, 1:] - DOMAINS[:, :1]).expand_as(cells) / 7)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("degree", DEGREES)
def test_a_spline_goes_on_along_its_tangent(degree: int, dtype: torch.dtype) -> None:
    basis = BSpline(
        2, grid=6, degree=degree, domain=torch.tensor([[-1, 1], [2.0, 5.0]]), dtype=dtype
    )
    low, high = basis.domain.unbind(-1)
    tolerance = 1e-13 if dtype == torch.float64 else 1e-5
    for end, beyond in ((low, -1), (high, 1)):
        away = beyond * torch.tensor([[0.001], [0.3], [5.0]], dtype=dtype) * (high - low)
        # the tangent from SciPy, its points as far away as rounding lets them be
        x = end + away
        value = reference(basis, end.unsqueeze(0), 0)
        slope = reference(basis, end.unsqueeze(0), 1)
        distance = (x.double() - end.double()).unsqueeze(-1)
        values, first, second = basis.values(x, 2)
        close(values, value + distance * slope, tolerance)
        close(first, slope.expand(3, -1, -1), tolerance)
        assert torch.equal(second, torch.zeros_like(second))


@given(degree=degrees, grid=grids, seed=seeds, single=st.booleans())
def test_the_functions_sum_to_one(degree: int, grid: int, seed: int, single: bool) -> None:
    dtype = torch.float32 if single else torch.float64
    basis = BSpline(len(DOMAINS), grid=grid, degree=degree, domain=DOMAINS.to(dtype), dtype=dtype)
    low, high = basis.domain.unbind(-1)
    share = torch.rand(20, 4, dtype=dtype, generator=torch.Generator().manual_seed(seed))
    x = low + (high - low) * (3 * share - 1)  # as far outside as the domain is wide
    values, first, second = basis.values(x, 2)
    eps = torch.finfo(dtype).eps * grid
    assert (values.sum(-1) - 1).abs().max() < 50 * eps
    cell = (high - low) / grid
    assert (first.sum(-1) * cell).abs().max() < 50 * eps
    assert (second.sum(-1) * cell**2).abs().max() < 500 * eps
    # not negative on the grid, and at most degree + 1 of them differ from zero
    on_grid = ((x >= low) & (x <= high)).unsqueeze(-1)
    assert (values * on_grid).min() >= 0
    assert ((values != 0) & on_grid).sum(-1).max() <= degree + 1


@given(degree=degrees, cells=st.lists(st.floats(0.01, 10), min_size=4, max_size=30), seed=seeds)
def test_any_increasing_knots_will_do(degree: int, cells: list[float], seed: int) -> None:
    size = len(cells) + degree
    generator = torch.Generator().manual_seed(seed)
    ends = 0.01 + torch.rand(2, degree, dtype=torch.float64, generator=generator)
    steps = torch.cat([ends[0], torch.tensor(cells, dtype=torch.float64), ends[1]])
    knots = torch.cat([torch.zeros(1, dtype=torch.float64), steps.cumsum(0)])
    low, high = knots[degree], knots[-degree - 1]
    x = low + (high - low) * torch.rand(30, 1, dtype=torch.float64, generator=generator)
    spline = Reference(knots.numpy(), np.eye(size), degree)
    for order, values in enumerate(dense_splines(x, knots.unsqueeze(0), degree, 2)):
        expected = torch.from_numpy(np.asarray(spline(x[:, 0].numpy(), nu=order)))
        torch.testing.assert_close(
            values[:, 0], expected, rtol=1e-9, atol=1e-9 * expected.abs().max().item()
        )


@pytest.mark.parametrize("degree", DEGREES)
def test_local_values_are_the_dense_ones(degree: int) -> None:
    basis = BSpline(2, grid=8, degree=degree, dtype=torch.float64)
    x = 3 * torch.rand(50, 2, dtype=torch.float64) - 1.5
    start, local = local_splines(x, basis.knots, degree, 2)
    index = start.unsqueeze(-1) + torch.arange(degree + 1)
    assert start.min() >= 0
    assert index.max() < basis.size
    for few, all_of_them in zip(local, basis.values(x, 2), strict=True):
        assert few.shape == (50, 2, degree + 1)
        assert torch.equal(all_of_them.gather(-1, index), few)
        assert all_of_them.count_nonzero() == few.count_nonzero()


@pytest.mark.parametrize("degree", DEGREES)
@pytest.mark.parametrize("side", [-1, 1])
def test_smooth_ends_fade_into_lines(degree: int, side: int) -> None:
    draw = np.random.default_rng(degree)
    knots = np.cumsum(draw.uniform(0.5, 1.5, 6 + 2 * degree))
    coef = draw.normal(size=5 + degree)
    spline = Reference(knots, coef, degree)
    end = knots[-degree - 1] if side > 0 else knots[degree]
    slope = float(spline(end - side * 1e-12, nu=1))
    second = float(spline(end - side * 1e-12, nu=2)) if degree > 1 else 0.0
    width = (knots[-degree - 1] - knots[degree]) / 5 / 2
    away = np.linspace(0, 3 * width, 1201)[1:]
    bend = second * np.clip(1 - away / width, 0, None) ** 2
    at = torch.from_numpy(end + side * away).unsqueeze(1)
    values = dense_splines(at, torch.from_numpy(knots)[None], degree, 2, smooth=True)
    value, first, curved = (v[:, 0].numpy() @ coef for v in values)
    np.testing.assert_allclose(curved, bend, rtol=1e-9, atol=1e-9)
    turned = cumulative_simpson(bend, x=away, initial=0)  # from the first point on
    np.testing.assert_allclose(side * (first - first[0]), turned, atol=1e-8)
    passed = cumulative_simpson(side * first, x=away, initial=0)
    np.testing.assert_allclose(value - value[0], passed, atol=1e-8)
    assert first[0] == pytest.approx(slope, abs=0.01 * abs(second) * width + 1e-6)
    assert value[0] == pytest.approx(float(spline(end)), abs=0.01 * (abs(slope) + 1) * width)


# knots: refinement and projection


@given(degree=degrees, grid=st.integers(1, 20), multiple=st.integers(2, 6), seed=seeds)
def test_knot_insertion_keeps_the_spline(degree: int, grid: int, multiple: int, seed: int) -> None:
    old = BSpline(len(DOMAINS), grid=grid, degree=degree, domain=DOMAINS, dtype=torch.float64)
    new = old.with_grid(multiple * grid)
    generator = torch.Generator().manual_seed(seed)
    coef = torch.randn(len(DOMAINS), old.size, dtype=torch.float64, generator=generator)
    finer = torch.einsum("ink,ik->in", new.transfer_from(old), coef)
    for i, (low, high) in enumerate(DOMAINS.tolist()):
        x = np.linspace(low, high, 101)[1:-1]
        for order in range(min(degree, 3)):
            before = Reference(old.knots[i].numpy(), coef[i].numpy(), degree)(x, nu=order)
            after = Reference(new.knots[i].numpy(), finer[i].numpy(), degree)(x, nu=order)
            scale = (multiple * grid / (high - low)) ** order
            np.testing.assert_allclose(after / scale, before / scale, rtol=0, atol=1e-11)


@pytest.mark.parametrize("degree", DEGREES)
def test_knot_insertion_equals_scipys(degree: int) -> None:
    # inner coefficients depend on inner knots only, so there SciPy's must be ours
    old = BSpline(1, grid=20, degree=degree, domain=(0.0, 20.0), dtype=torch.float64)
    new = old.with_grid(40)
    coef = torch.randn(old.size, dtype=torch.float64)
    spline = Reference(old.knots[0].numpy(), coef.numpy(), degree)
    for cell in range(20):
        spline = insert(cell + 0.5, spline)
    finer = (new.transfer_from(old)[0] @ coef).numpy()
    mine, theirs = new.knots[0].numpy(), spline.t
    compared = 0
    for j, value in enumerate(finer):
        window = mine[j + 1 : j + degree + 1]  # the knots that coefficient j depends on
        start = np.searchsorted(theirs, window[0] - 1e-9)
        if np.allclose(theirs[start : start + degree], window, atol=1e-9):
            assert abs(spline.c[start - 1] - value) < 1e-10
            compared += 1
    assert compared >= 40 - degree


@pytest.mark.parametrize("degree", DEGREES)
@pytest.mark.parametrize("grid", [5, 11, 23])
def test_projection_keeps_polynomials_on_any_grid(grid: int, degree: int) -> None:
    old = BSpline(1, grid=7, degree=degree, dtype=torch.float64)
    x = np.linspace(-1, 1, 200)
    design = np.asarray(Reference(old.knots[0].numpy(), np.eye(old.size), degree)(x))
    coef = np.linalg.lstsq(design, np.polyval(np.arange(1, degree + 2), x), rcond=None)[0]
    new = old.with_grid(grid)
    carried = new.transfer_from(old)[0].numpy() @ coef
    values = Reference(new.knots[0].numpy(), carried, degree)(x)
    expected = np.polyval(np.arange(1, degree + 2), x)
    np.testing.assert_allclose(values, expected, rtol=0, atol=1e-9 * abs(expected).max())


@pytest.mark.parametrize("degree", [1, 2, 3, 5])
def test_projection_converges_with_the_order_of_the_degree(degree: int) -> None:
    errors = []
    fine = BSpline(1, grid=301, degree=degree, dtype=torch.float64)
    x = torch.linspace(-1, 1, 2001, dtype=torch.float64).unsqueeze(-1)
    sine = torch.linalg.lstsq(fine(x)[:, 0], torch.sin(3 * x)).solution
    for grid in (10, 20):
        coarse = fine.with_grid(grid)
        carried = coarse.transfer_from(fine)[0] @ sine
        errors.append((coarse(x)[:, 0] @ carried - torch.sin(3 * x)).square().mean().sqrt())
    slope = torch.log2(errors[0] / errors[1]).item()
    assert degree + 0.5 < slope < degree + 1.7


def test_a_moved_domain_keeps_a_smooth_function() -> None:
    old = BSpline(1, grid=30, degree=3, dtype=torch.float64)
    x = torch.linspace(-1, 1, 401, dtype=torch.float64).unsqueeze(-1)
    sine = torch.linalg.lstsq(old(x)[:, 0], torch.sin(3 * x)).solution
    new = old.with_domain(torch.tensor([[-1.01, 1.02]]).double())
    carried = new.transfer_from(old)[0] @ sine
    # the old function is a line from -1.01 to -1, which no spline with these knots can follow
    assert (new(x)[:, 0] @ carried - torch.sin(3 * x)).abs().max() < 1e-4


@pytest.mark.parametrize("degree", DEGREES)
def test_single_precision_knows_its_own_knots_again(degree: int) -> None:
    # a cast rounds knots once more than the constructor does; insertion must survive that
    old = BSpline(1, grid=9, degree=degree, domain=(0.1, 0.73), dtype=torch.float64).float()
    new = old.with_grid(99)
    assert new._contains(old)
    assert not new._contains(old.with_grid(10))
    assert not new._contains(old.with_domain(torch.tensor([[0.1, 0.7301]])))


# uneven knots

cells_of = st.lists(st.floats(0.02, 1), min_size=2, max_size=25)


def uneven(cells: list[float], degree: int, low: float = -1.0) -> BSpline:
    """A basis of two inputs, the second with the same cells in the other order."""
    steps = torch.tensor([cells, cells[::-1]], dtype=torch.float64).cumsum(1)
    return BSpline.on(low + torch.cat([torch.zeros(2, 1), steps], 1), degree=degree)


@given(degree=degrees, cells=cells_of)
def test_values_on_uneven_knots(degree: int, cells: list[float]) -> None:
    basis = uneven(cells, degree)
    x = inside(basis, 40)
    for order, values in enumerate(basis.values(x, 2)):
        if order < degree:  # the highest derivative jumps at the knots, where SciPy takes a side
            close(values, reference(basis, x, order), 1e-10)
    close(basis(x).sum(-1, keepdim=True), torch.ones(*x.shape, 1, dtype=x.dtype), 1e-12)


@given(degree=degrees, cells=cells_of, multiple=st.integers(2, 4), seed=seeds)
def test_knot_insertion_on_uneven_knots(
    degree: int, cells: list[float], multiple: int, seed: int
) -> None:
    old = uneven(cells, degree)
    new = old.with_grid(multiple * old.grid)
    torch.testing.assert_close(new.inner[:, ::multiple], old.inner, rtol=0, atol=1e-14)
    close_in_values(new, old, seed)


@given(degree=degrees, cells=cells_of, place=st.floats(0.1, 0.9), seed=seeds)
def test_a_single_knot_may_be_inserted(
    degree: int, cells: list[float], place: float, seed: int
) -> None:
    old = uneven(cells, degree)
    middle = old.inner.shape[1] // 2
    more = old.inner[:, middle - 1 : middle] * place + old.inner[:, middle : middle + 1] * (
        1 - place
    )
    new = old.with_knots(torch.cat([old.inner[:, :middle], more, old.inner[:, middle:]], 1))
    assert new._contains(old)
    assert not old._contains(new)
    close_in_values(new, old, seed)


def close_in_values(new: BSpline, old: BSpline, seed: int) -> None:
    """Carry a random spline over, and compare both by SciPy."""
    assert new._contains(old)
    generator = torch.Generator().manual_seed(seed)
    coef = torch.randn(old.in_features, old.size, dtype=torch.float64, generator=generator)
    carried = torch.einsum("ink,ik->in", new.transfer_from(old), coef)
    for i, (low, high) in enumerate(old.domain.tolist()):
        x = np.linspace(low, high, 201)[1:-1]
        before = Reference(old.knots[i].numpy(), coef[i].numpy(), old.degree)(x)
        after = Reference(new.knots[i].numpy(), carried[i].numpy(), old.degree)(x)
        np.testing.assert_allclose(after, before, rtol=0, atol=1e-9)


@given(cells=cells_of, degree=degrees)
def test_uneven_knots_are_kept(cells: list[float], degree: int) -> None:
    basis = uneven(cells, degree)
    assert torch.equal(basis.select(torch.tensor([1])).knots, basis.knots[1:])
    # cells that come out even are laid anew, to the last bit but one
    torch.testing.assert_close(basis.with_grid(basis.grid).inner, basis.inner, rtol=0, atol=1e-14)
    other = basis.with_degree(degree % 9 + 1)
    torch.testing.assert_close(other.inner, basis.inner, rtol=0, atol=1e-14)
    assert other.degree == degree % 9 + 1
    moved = basis.with_domain(torch.tensor([[0.0, 3.0], [1.0, 1.5]]).double())
    assert moved.domain.tolist() == [[0.0, 3.0], [1.0, 1.5]]
    low, high = (end.unsqueeze(-1) for end in basis.domain.unbind(-1))
    share = (basis.inner - low) / (high - low)
    expected = torch.stack([3 * share[0], 1 + share[1] / 2])
    torch.testing.assert_close(moved.inner, expected, rtol=0, atol=1e-13)


def test_an_even_grid_beside_an_uneven_one_stays_even() -> None:
    knots = torch.tensor([[-1.0, 0.0, 1.0], [-1.0, 0.7, 1.0]]).double()
    basis = (
        BSpline.on(knots)
        .with_grid(7)
        .with_domain(torch.tensor([[0.0, 0.3]] * 2, dtype=torch.float64))
    )
    even = BSpline(2, grid=7, domain=(0.0, 0.3), dtype=torch.float64)
    assert torch.equal(basis.knots[0], even.knots[0])
    assert not torch.allclose(basis.knots[1], even.knots[1])


@pytest.mark.parametrize("degree", DEGREES)
def test_single_precision_leaves_even_knots_even(degree: int) -> None:
    even = BSpline(3, grid=100, degree=degree, domain=DOMAINS[:3], dtype=torch.float64)
    assert bool(even._is_even().all())
    assert bool(even.float()._is_even().all())
    assert bool(even.double()._is_even().all())


@pytest.mark.parametrize("degree", DEGREES)
def test_jumps_are_those_of_scipys_derivative(degree: int) -> None:
    basis = uneven([0.3, 0.5, 0.04, 0.06, 0.7, 0.2], degree)
    coef = torch.randn(2, basis.size, dtype=torch.float64)
    jumps = torch.einsum("icb,ib->ic", basis.jumps(), coef)
    for i in range(2):
        highest = Reference(basis.knots[i].numpy(), coef[i].numpy(), degree).derivative(degree)
        middles = (basis.inner[i, 1:] + basis.inner[i, :-1]).numpy() / 2
        np.testing.assert_allclose(jumps[i], np.diff(highest(middles)), rtol=1e-7)


@pytest.mark.parametrize("degree", [1, 2, 3, 5])
def test_bends_estimate_the_next_derivative(degree: int) -> None:
    basis = uneven([0.1, 0.2, 0.15, 0.05, 0.1, 0.2, 0.15, 0.1, 0.05, 0.1, 0.2, 0.1], degree)
    x = basis._points()
    power = x ** (degree + 1)
    coef = torch.linalg.lstsq(basis(x).transpose(0, 1), power.T.unsqueeze(-1)).solution
    bends = (basis.bends() @ coef)[..., 0]
    inner = bends[:, degree : bends.shape[1] - degree]  # at the ends it says less
    expected = torch.full_like(inner, math.factorial(degree + 1))
    torch.testing.assert_close(inner, expected, rtol=0.2, atol=0)


# penalties


@pytest.mark.parametrize("degree", DEGREES)
def test_roughness_is_zero_for_polynomials_only(degree: int) -> None:
    basis = BSpline(1, grid=12, degree=degree, dtype=torch.float64)
    x = torch.linspace(-1, 1, 300, dtype=torch.float64).unsqueeze(-1)
    powers = x ** torch.arange(degree + 1)
    coef = torch.linalg.lstsq(basis(x)[:, 0], powers).solution  # (basis, powers)
    rows = basis.roughness()[0]
    eigenvalues = torch.linalg.eigvalsh(rows.T @ rows)
    assert (eigenvalues < 1e-9 * eigenvalues[-1]).sum() == degree + 1
    rough = (rows @ coef).square().sum(0)
    assert (rough / coef.square().sum(0)).max() < 1e-9 * eigenvalues[-1]


@given(degree=degrees, cells=cells_of)
def test_roughness_on_uneven_knots_is_zero_for_polynomials_only(
    degree: int, cells: list[float]
) -> None:
    basis = uneven(cells, degree)
    x = basis._points()
    low, high = basis.domain.unbind(-1)
    powers = (((2 * x - low - high) / (high - low)).unsqueeze(-1)) ** torch.arange(degree + 1)
    design = basis(x).transpose(0, 1)  # (inputs, points, basis)
    coef = torch.linalg.lstsq(design, powers.transpose(0, 1)).solution
    rows = basis.roughness()
    assert rows.shape == (2, basis.grid - 1, basis.size)
    assert torch.linalg.matrix_rank(rows).tolist() == [basis.grid - 1] * 2
    # each combination has the length of its counterpart on even knots
    even = BSpline(2, grid=basis.grid, degree=degree, dtype=torch.float64).roughness()
    torch.testing.assert_close(rows.norm(dim=-1), even.norm(dim=-1))
    assert (rows @ coef).abs().max() < 1e-9 * coef.abs().max() * even.norm(dim=-1).max()


@pytest.mark.parametrize("degree", DEGREES)
def test_roughness_of_divided_differences_is_that_of_differences(degree: int) -> None:
    basis = BSpline(1, grid=12, degree=degree, dtype=torch.float64)
    expected = torch.eye(basis.size, dtype=torch.float64).diff(n=degree + 1, dim=0)
    assert torch.equal(basis.roughness()[0], expected)
    scaled = basis.jumps() * (2 / 12) ** degree
    torch.testing.assert_close(scaled[0], expected, rtol=0, atol=1e-9)


# what is refused


@pytest.mark.parametrize(
    "row", [[0.0, 1.0, 1.0], [0.0, 2.0, 1.0], [0.0, math.inf, 2.0], [math.nan, 0.0, 1.0]]
)
def test_knots_that_do_not_increase(row: list[float]) -> None:
    knots = torch.tensor([[0.0, 0.5, 1.0], row])
    with pytest.raises(ConfigError, match="each greater than the one before"):
        BSpline.on(knots)


@pytest.mark.parametrize("shape", [(3,), (2, 1), (2, 3, 1)])
def test_knots_of_another_shape(unchecked: None, shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match=r"must have the shape \(inputs, grid \+ 1\)"):
        BSpline.on(torch.zeros(shape))


@pytest.mark.parametrize("degree", [0, 10, -1, 2.5])
def test_a_degree_out_of_range(unchecked: None, degree: int) -> None:
    with pytest.raises(
        ConfigError, match=f"degree must be a whole number from 1 to 9, got {degree}"
    ):
        BSpline(1, degree=degree)


@pytest.mark.parametrize("grid", [0, -3, 2.5])
def test_a_grid_that_is_none(unchecked: None, grid: int) -> None:
    with pytest.raises(ConfigError, match=f"must be a whole number from 1 on, got {grid}"):
        BSpline(1, grid=grid)


@pytest.mark.parametrize(
    "domain", [(1.0, 1.0), (2.0, -1.0), (0.0, float("inf")), (float("nan"), 1.0)]
)
def test_a_domain_that_is_empty_or_endless(domain: tuple[float, float]) -> None:
    with pytest.raises(ConfigError, match="must be finite and have low < high"):
        BSpline(2, domain=domain)


def test_a_domain_with_too_many_rows(unchecked: None) -> None:
    with pytest.raises(ShapeError, match=r"have the shape \(2, 2\).*Got \(3, 2\)"):
        BSpline(2, domain=torch.tensor([[0.0, 1.0]] * 3))


def test_numpy_numbers_are_numbers(unchecked: None) -> None:
    basis = BSpline(1, grid=np.int64(4), degree=np.int32(2))  # type: ignore[arg-type]
    assert basis.config() == {"in_features": 1, "grid": 4, "degree": 2}
    assert type(basis.degree) is int
