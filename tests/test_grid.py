"""Grids: moved to the data, and made finer without changing the function."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

import edgewise as ew
from edgewise._layer import Lock

FLOAT = torch.float64


@pytest.fixture
def x() -> Tensor:
    return 2 * torch.rand(200, 2, dtype=FLOAT) - 1


def smooth(grid: int = 20, degree: int = 3) -> ew.KAN:
    """A network that is sin(3 x_1) + cos(2 x_2), then exp(u / 2)."""
    model = ew.KAN([2, 1, 1], grid=grid, degree=degree)
    (first, _), (last, _) = model.parts()
    last.basis = last.basis.with_domain(torch.tensor([[-2.0, 2.0]], dtype=FLOAT))
    set_edge(first, 0, lambda t: (3 * t).sin())
    set_edge(first, 1, lambda t: (2 * t).cos())
    set_edge(last, 0, lambda t: (t / 2).exp())
    return model


@torch.no_grad()
def set_edge(layer: ew.KANLayer, i: int, function: Callable[[Tensor], Tensor]) -> None:
    """Fit the edge from input i to a function."""
    low, high = layer.basis.domain.unbind(-1)
    points = low + (high - low) * torch.linspace(0, 1, 500, dtype=FLOAT).unsqueeze(-1)
    target = function(points[:, i : i + 1])
    layer.coef[0, i] = torch.linalg.lstsq(layer.basis(points)[:, i], target).solution[:, 0]


def truth(x: Tensor) -> Tensor:
    return (((3 * x[:, :1]).sin() + (2 * x[:, 1:]).cos()) / 2).exp()


def domains(model: ew.KAN) -> list[Tensor]:
    return [layer.basis.domain for layer, _ in model.parts()]


def covers(model: ew.KAN, x: Tensor) -> bool:
    """Whether every grid holds all that comes to it."""
    record = ew.trace(model, x)
    return all(
        bool(((v >= d[:, 0] - 1e-9) & (v <= d[:, 1] + 1e-9)).all())
        for v, d in zip(record.inputs, domains(model), strict=True)
    )


# adapt


@pytest.mark.parametrize("scale", [0.01, 1.0, 100.0])
@pytest.mark.parametrize("margin", [0.0, 0.05, 0.5])
def test_adapt_lays_every_grid_over_what_comes(x: Tensor, scale: float, margin: float) -> None:
    model = ew.KAN([2, (3, 1), 4, 1], grid=6)
    inputs = scale * (x + 3)
    moved = ew.adapt(model, inputs, margin=margin)
    assert covers(moved, inputs)
    for v, d in zip(ew.trace(moved, inputs).inputs, domains(moved), strict=True):
        span = v.amax(0) - v.amin(0)
        wide = d[:, 1] - d[:, 0]
        assert bool((wide <= (4 / 3 + 2 * margin + 1e-9) * span).all())


def test_adapt_lays_a_grid_with_the_margin_that_is_asked(x: Tensor) -> None:
    moved = ew.adapt(ew.KAN([2, 1]), 10 * x + 5, margin=0.1)
    low, high = (10 * x + 5).amin(0), (10 * x + 5).amax(0)
    expected = torch.stack([low - 0.1 * (high - low), high + 0.1 * (high - low)], -1)
    torch.testing.assert_close(domains(moved)[0], expected)


def test_adapt_reaches_as_far_as_the_tails_of_the_data() -> None:
    few = torch.linspace(-1, 1, 101, dtype=FLOAT)  # three times two cells of 0.02
    dense = torch.linspace(-1, 1, 1001, dtype=FLOAT)  # one and a half times nine cells of 0.002
    sparse = torch.cat([torch.tensor([-9.0, 9.0], dtype=FLOAT), dense[1:-1]])  # a tenth of 18
    model = ew.KAN([2, 1], domain=(50.0, 51.0))
    moved = domains(ew.adapt(model, torch.stack([few, few], -1)))[0]
    torch.testing.assert_close(moved, torch.tensor([[-1.12, 1.12]] * 2, dtype=FLOAT))
    moved = domains(ew.adapt(model, torch.stack([dense, sparse], -1)))[0]
    torch.testing.assert_close(moved, torch.tensor([[-1.027, 1.027], [-10.8, 10.8]], dtype=FLOAT))


def test_adapt_gives_a_margin_to_hidden_grids_that_touch_their_values(x: Tensor) -> None:
    touching = ew.adapt(ew.KAN([2, 3, 1], domain=(-9.0, 9.0)), x, margin=0)
    moved = ew.adapt(touching, x)
    assert torch.equal(domains(moved)[0], domains(touching)[0])
    values = ew.trace(moved, x).inputs[1]
    assert bool((domains(moved)[1][:, 0] < values.amin(0)).all())
    assert bool((domains(moved)[1][:, 1] > values.amax(0)).all())


def test_adapt_leaves_a_grid_that_fits(x: Tensor) -> None:
    model = ew.KAN([2, 1])
    inputs = torch.cat([0.9 * x, torch.tensor([[-0.9, -0.9], [0.9, 0.9]], dtype=FLOAT)])
    moved = ew.adapt(model, inputs)
    assert torch.equal(domains(moved)[0], domains(model)[0])
    assert torch.equal(moved(inputs), model(inputs))


def test_adapt_twice_is_adapt_once(x: Tensor) -> None:
    once = ew.adapt(ew.KAN([2, 5, 3, 1]), 7 * x)
    twice = ew.adapt(once, 7 * x)
    for a, b in zip(once.state_dict().values(), twice.state_dict().values(), strict=True):
        assert torch.equal(a, b)


def test_adapt_moves_only_the_inputs_that_need_it(x: Tensor) -> None:
    model = ew.KAN([2, 1])
    x[0], x[1] = -1, 1
    moved = ew.adapt(model, x * torch.tensor([1.0, 5.0], dtype=FLOAT), margin=0.05)
    assert domains(moved)[0][0].tolist() == [-1, 1]
    assert domains(moved)[0][1].tolist() == pytest.approx([-5.5, 5.5])


def test_adapt_keeps_a_smooth_function_where_grids_move_little(x: Tensor) -> None:
    model = smooth()
    torch.testing.assert_close(model(x), truth(x), rtol=0, atol=2e-4)
    inputs = x / x.abs().amax(0)
    inputs[0] = 1.02
    moved = ew.adapt(model, inputs, margin=0.01)
    assert not torch.equal(domains(moved)[0], domains(model)[0])
    inside = inputs[1:]
    torch.testing.assert_close(moved(inside), model(inside), rtol=0, atol=1e-3)
    assert (moved(inside) - model(inside)).square().mean().sqrt() < 2e-4


def test_adapt_keeps_the_function_where_a_grid_shrinks(x: Tensor) -> None:
    model = smooth()
    small = 0.3 * x
    moved = ew.adapt(model, small)
    assert bool((domains(moved)[0].abs() < 0.4).all())
    torch.testing.assert_close(moved(small), model(small), rtol=0, atol=1e-5)


def test_adapt_keeps_lines_wherever_it_goes(x: Tensor) -> None:
    model = ew.KAN([2, 3, 1])
    model.reset_parameters(curvature=0.0)
    inputs = 1e4 * x + 3e4
    torch.testing.assert_close(ew.adapt(model, inputs)(inputs), model(inputs), rtol=1e-9, atol=1e-9)


def test_adapt_leaves_the_model_as_it_was(x: Tensor) -> None:
    model = ew.KAN([2, (2, 1), 1])
    before = copy.deepcopy(model.state_dict())
    ew.adapt(model, 10 * x)
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[name])


def test_adapt_keeps_what_is_not_numeric(x: Tensor) -> None:
    model = ew.KAN([2, 2, 1])
    (first, _), _ = model.parts()
    first.remove(0, 1)
    first.lock(1, 0, Lock(ew.PRIMITIVES["sin"], torch.tensor([1.0, 0, 1, 0], dtype=FLOAT)))
    first.coef.requires_grad_(False)
    moved = ew.adapt(model, 5 * x)
    assert moved.edges() == model.edges()
    layer, _ = moved.parts()[0]
    assert torch.equal(layer.edges(5 * x)[:, 1, 0], (5 * x[:, 0]).sin())
    assert not layer.coef.requires_grad
    assert moved.parts()[1][0].coef.requires_grad


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("value", [0.0, 1.0, 3e5])
def test_adapt_leaves_the_grid_of_a_constant(dtype: torch.dtype, value: float) -> None:
    model = ew.KAN([2, 2, 1], grid=20, dtype=dtype)
    x = torch.stack([torch.full((50,), value), torch.linspace(0, 9, 50)], -1).to(dtype)
    x[::2, 0] *= 1 + torch.finfo(dtype).eps  # constant up to rounding
    moved = ew.adapt(model, x)
    assert domains(moved)[0][0].tolist() == [-1, 1]
    assert bool(moved(x).isfinite().all())


def test_adapt_in_single_precision(x: Tensor) -> None:
    moved = ew.adapt(ew.KAN([2, 5, 1], grid=20, dtype=torch.float32), (3 * x).float())
    assert moved.dtype == torch.float32
    record = ew.trace(moved, (3 * x).float())
    for v, d in zip(record.inputs, domains(moved), strict=True):
        assert bool(((v >= d[:, 0] - 1e-5) & (v <= d[:, 1] + 1e-5)).all())


def test_adapt_to_one_row_changes_nothing(x: Tensor) -> None:
    model = ew.KAN([2, 2, 1])
    assert torch.equal(ew.adapt(model, 5 * x[:1])(x), model(x))


def test_adapt_repeats_itself_to_the_last_bit(x: Tensor) -> None:
    model = ew.KAN([2, 5, 1], grid=10)
    first = ew.adapt(model, 3 * x)(x)
    assert all(torch.equal(ew.adapt(model, 3 * x)(x), first) for _ in range(5))


def test_adapt_wants_rows_and_columns(unchecked: None, x: Tensor) -> None:
    model = ew.KAN([2, 2, 1])
    with pytest.raises(ew.DataError, match="at least one row, got none"):
        ew.adapt(model, x[:0])
    for wrong in (x[:, :1], torch.cat([x, x], -1), x[:, 0]):
        with pytest.raises(ew.ShapeError, match=r"inputs of shape \(batch, 2\)"):
            ew.adapt(model, wrong)


# adapt: knots that follow the data


def inner(model: ew.KAN, depth: int = 0) -> Tensor:
    basis = model.parts()[depth][0].basis
    assert isinstance(basis, ew.bases.BSpline)
    return basis.inner


@pytest.mark.parametrize("share", [0.3, 0.9, 1.0])
@pytest.mark.parametrize("grid", [1, 5, 20])
def test_adapt_blends_even_knots_with_quantiles(x: Tensor, share: float, grid: int) -> None:
    inputs = x**3 + torch.tensor([0.0, 7.0], dtype=FLOAT)
    moved = ew.adapt(ew.KAN([2, 1], grid=grid), inputs, margin=0, quantile=share)
    quantiles = np.quantile(inputs.numpy(), np.linspace(0, 1, grid + 1), axis=0).T
    even = np.linspace(inputs.amin(0).numpy(), inputs.amax(0).numpy(), grid + 1, axis=-1)
    expected = (1 - share) * even + share * quantiles
    if np.diff(expected).min() > np.diff(even).min() / 50:
        np.testing.assert_allclose(inner(moved), expected, rtol=0, atol=1e-12)
    else:  # knots were closer than a fiftieth of a cell: they were moved about so far
        np.testing.assert_allclose(inner(moved), expected, rtol=0, atol=np.diff(even).max() / 10)


def test_adapt_with_quantiles_moves_grids_that_cover_their_range(x: Tensor) -> None:
    model = ew.adapt(ew.KAN([2, 3, 1], grid=6), x)
    moved = ew.adapt(model, x, quantile=1.0)
    for depth in range(2):
        assert not torch.equal(inner(moved, depth), inner(model, depth))
    assert covers(moved, x)
    assert torch.equal(inner(ew.adapt(moved, x, quantile=1.0)), inner(moved))
    # what does not ask for quantiles leaves such a grid, or moves it as it is
    assert torch.equal(inner(ew.adapt(moved, x)), inner(moved))
    wide = inner(ew.adapt(moved, 10 * x))
    torch.testing.assert_close(wide, 10 * inner(moved), rtol=0, atol=1e-12)


@pytest.mark.parametrize("grid", [3, 10, 100])
@pytest.mark.parametrize("share", [0.5, 1.0])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_adapt_with_quantiles_of_ties(dtype: torch.dtype, share: float, grid: int) -> None:
    spread = torch.linspace(-1, 1, 500, dtype=dtype)
    columns = {
        "integers": (5 * spread).round(),
        "mostly zero": torch.where(spread.abs() < 0.9, 0, spread),
        "ends": spread.sign(),
        "mostly the least": torch.where(spread < 0.8, -1, spread),
        "constant": torch.full_like(spread, 3.0),
    }
    x = torch.stack(list(columns.values()), -1)
    moved = ew.adapt(ew.KAN([5, 1], grid=grid, dtype=dtype), x, margin=0, quantile=share)
    knots = inner(moved).double()
    cells = knots.diff(dim=1)
    even = (knots[:, -1:] - knots[:, :1]) / grid
    assert bool((cells > 0.999 * even / 50).all())
    assert bool(moved(x).isfinite().all())
    assert knots[4].tolist() == pytest.approx(np.linspace(-1, 1, grid + 1).tolist())
    quantiles = np.quantile(x.double().numpy(), np.linspace(0, 1, grid + 1), axis=0).T
    asked = (1 - share) * np.linspace(-1, 1, grid + 1) + share * quantiles
    # as close as ties let them be: a row of cells of the least width
    reach = 0.51 * grid * float(even[1]) / 50 + 1e-6
    assert np.abs(knots[1:4].numpy() - asked[1:4]).max() < reach * 2


def test_adapt_with_quantiles_keeps_a_smooth_function(x: Tensor) -> None:
    model = smooth()
    moved = ew.adapt(model, x**3, quantile=0.5)
    torch.testing.assert_close(moved(x**3), model(x**3), rtol=0, atol=2e-3)


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_adapt_wants_a_share_of_quantiles(x: Tensor, share: float) -> None:
    with pytest.raises(ew.ConfigError, match="quantile is a share from 0 to 1"):
        ew.adapt(ew.KAN([2, 1]), x, quantile=share)


# relocate


def rounds(function: Callable[[Tensor], Tensor], count: int, rows: int = 1000) -> list[float]:
    """The errors of a fit on a fixed grid, then of fits after `relocate`."""
    t = 2 * torch.rand(rows, 1, dtype=FLOAT) - 1
    y, new = function(t), torch.linspace(t.min(), t.max(), 5000, dtype=FLOAT).unsqueeze(-1)
    model, errors = ew.KAN([1, 1], grid=24), []
    for _ in range(count + 1):
        model = ew.fit(model, t, y, refine=False, seed=0, progress=False).model
        errors.append((model(new) - function(new)).square().mean().sqrt().item())
        model = ew.relocate(model, t)
    assert model.grid == 24
    return errors


@pytest.mark.parametrize(
    ("function", "count"),
    [
        (lambda t: 1 / (1 + 25 * t**2), 1),
        (lambda t: (t - 0.3).abs(), 2),
        (lambda t: (50 * t).tanh(), 2),
        (lambda t: (t + 1).sqrt(), 2),
    ],
    ids=["bell", "kink", "step", "root"],
)
def test_relocate_pays_where_a_place_is_steep(
    function: Callable[[Tensor], Tensor], count: int
) -> None:
    errors = rounds(function, count)
    assert errors[-1] < errors[0] / 5


def test_relocate_leaves_a_smooth_function_as_good_as_it_was() -> None:
    errors = rounds(lambda t: (3 * t).sin(), 3)
    assert errors[-1] < 1.5 * errors[0]


def test_relocate_puts_knots_where_the_kink_is() -> None:
    model = ew.KAN([2, 1], grid=24)
    set_edge(model.parts()[0][0], 0, lambda t: (t - 0.3).abs())
    set_edge(model.parts()[0][0], 1, lambda t: 2 * t)
    knots = inner(ew.relocate(model))
    near = ((knots[0] - 0.3).abs() < 0.2).sum()
    assert near > 2.5 * ((inner(model)[0] - 0.3).abs() < 0.2).sum()
    # a line bends nowhere: its knots stay
    assert torch.equal(knots[1], inner(model)[1])
    cells = knots.diff(dim=1)
    assert bool((cells > 0.999 * 2 / 24 / 50).all())
    assert bool((cells < 11 * 2 / 24).all())


def test_relocate_puts_no_knots_where_no_data_are() -> None:
    model = ew.KAN([1, 1], grid=24)
    set_edge(model.parts()[0][0], 0, lambda t: (t - 0.3).abs())
    t = 2 * torch.rand(200, 1, dtype=FLOAT) - 1
    gap = t[(t - 0.3).abs()[:, 0] > 0.2]
    free, held = inner(ew.relocate(model)), inner(ew.relocate(model, gap))
    assert ((held - 0.3).abs() < 0.15).sum() <= 1 < ((free - 0.3).abs() < 0.15).sum()
    assert bool((held.diff(dim=1) > 0).all())


def test_relocate_keeps_what_is_not_numeric(x: Tensor) -> None:
    model = ew.KAN([2, 2, 1], grid=12)
    (first, _), _ = model.parts()
    first.remove(0, 1)
    first.lock(1, 0, Lock(ew.PRIMITIVES["sin"], torch.tensor([1.0, 0, 1, 0], dtype=FLOAT)))
    first.coef.requires_grad_(False)
    before = copy.deepcopy(model.state_dict())
    moved = ew.relocate(model, x)
    assert moved.edges() == model.edges()
    layer, _ = moved.parts()[0]
    assert torch.equal(layer.edges(x)[:, 1, 0], x[:, 0].sin())
    assert not layer.coef.requires_grad
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[name])


@pytest.mark.parametrize("grid", [1, 2, 3, 40])
@pytest.mark.parametrize("degree", [1, 3, 9])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_relocate_on_any_grid(dtype: torch.dtype, degree: int, grid: int) -> None:
    model = ew.KAN([2, (2, 1), 1], grid=grid, degree=degree, dtype=dtype)
    x = (2 * torch.rand(100, 2) - 1).to(dtype)
    for points in (None, x):
        moved = ew.relocate(model, points)
        assert (moved.grid, moved.degree) == (grid, degree)
        assert all(torch.equal(a, b) for a, b in zip(domains(moved), domains(model), strict=True))
        assert bool(moved(x).isfinite().all())


def test_relocate_wants_the_columns_of_the_model(unchecked: None, x: Tensor) -> None:
    with pytest.raises(ew.ShapeError, match=r"inputs of shape \(batch, 2\)"):
        ew.relocate(ew.KAN([2, 1]), x[:, :1])


# uneven grids in other verbs


def bent(x: Tensor) -> ew.KAN:
    return ew.adapt(ew.KAN([2, (2, 1), 1], grid=6), x**3, quantile=0.9)


def test_uneven_grids_are_refined_exactly(x: Tensor) -> None:
    model = bent(x)
    finer = ew.refine(model, 18)
    assert torch.equal(inner(finer)[:, ::3], inner(model))
    torch.testing.assert_close(finer(x), model(x), rtol=0, atol=1e-11)
    torch.testing.assert_close(finer(3 * x), model(3 * x), rtol=0, atol=1e-10)


def test_uneven_grids_are_copied_pruned_and_saved(x: Tensor, tmp_path: Path) -> None:
    model = bent(x)
    assert torch.equal(copy.deepcopy(model)(x), model(x))
    pruned = ew.prune(model, x, node_threshold=0, edge_threshold=0)
    torch.testing.assert_close(pruned(x), model(x), rtol=0, atol=1e-12)
    assert torch.equal(inner(pruned), inner(model))
    ew.save(model, tmp_path / "m.safetensors")
    again = ew.load(tmp_path / "m.safetensors")
    for depth in range(2):
        assert torch.equal(inner(again, depth), inner(model, depth))
    torch.testing.assert_close(again(x), model(x), rtol=0, atol=1e-13)
    torch.testing.assert_close(ew.refine(again, 12)(x), model(x), rtol=0, atol=1e-11)


def test_the_fit_relocates_where_finer_grids_bring_little() -> None:
    t = 2 * torch.rand(1000, 2, dtype=FLOAT) - 1
    result = ew.fit(ew.KAN([2, 1, 1]), t, (t[:, :1] - t[:, 1:]).abs(), seed=0, progress=False)
    cells = inner(result.model, 1).diff(dim=1)
    assert cells.min() < 0.3 * cells.mean()
    assert result.held_out < 1e-4  # even grids: 4e-4


# refine


@given(
    degree=st.integers(1, 9),
    grid=st.integers(1, 12),
    multiple=st.integers(1, 5),
    seed=st.integers(0, 2**32 - 1),
)
def test_refine_to_a_multiple_is_exact(degree: int, grid: int, multiple: int, seed: int) -> None:
    torch.manual_seed(seed)
    model = ew.KAN([2, (2, 1), 1], grid=grid, degree=degree)
    x = 2 * torch.rand(50, 2, dtype=FLOAT) - 1
    finer = ew.refine(model, multiple * grid)
    assert finer.grid == multiple * grid
    scale = model(x).abs().max().clamp(min=1)
    assert (finer(x) - model(x)).abs().max() < 1e-11 * scale


def test_refine_is_exact_outside_and_in_the_slopes() -> None:
    model = ew.KAN([2, 1], grid=4)
    finer = ew.refine(model, 12)
    x = (6 * torch.rand(100, 2, dtype=FLOAT) - 3).requires_grad_()
    torch.testing.assert_close(finer(x), model(x), rtol=0, atol=1e-12)
    (slope,) = torch.autograd.grad(finer(x).sum(), x)
    (expected,) = torch.autograd.grad(model(x).sum(), x)
    torch.testing.assert_close(slope, expected, rtol=0, atol=1e-11)


def test_refine_after_adapt_is_exact(x: Tensor) -> None:
    model = ew.adapt(ew.KAN([2, 3, 1], grid=3), 7.3 * x + 1.1)
    finer = ew.refine(ew.refine(model, 6), 30)
    torch.testing.assert_close(finer(7.3 * x), model(7.3 * x), rtol=0, atol=1e-11)
    for a, b in zip(domains(finer), domains(model), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("grid", [6, 12, 99, 300])
def test_refine_in_single_precision(x: Tensor, grid: int) -> None:
    for model in (ew.KAN([2, 3, 1], dtype=torch.float32), ew.KAN([2, 3, 1]).float()):
        finer = ew.refine(model, grid)
        assert finer.dtype == torch.float32
        torch.testing.assert_close(finer(x.float()), model(x.float()), rtol=0, atol=1e-5)


def test_refine_between_the_knots_is_close_and_gets_closer(x: Tensor) -> None:
    model = smooth(grid=20)
    errors = [(ew.refine(model, g)(x) - model(x)).abs().max().item() for g in (21, 43, 87)]
    assert errors[0] < 1e-3
    assert errors[0] > errors[1] > errors[2]


def test_refine_leaves_the_model_as_it_was() -> None:
    model = ew.KAN([2, 2, 1])
    before = copy.deepcopy(model.state_dict())
    ew.refine(model, 9)
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[name])


def test_refine_keeps_what_is_not_numeric(x: Tensor) -> None:
    model = ew.KAN([2, 2, 1])
    (first, _), _ = model.parts()
    first.remove(0, 1)
    first.lock(1, 0, Lock(ew.PRIMITIVES["exp"], torch.tensor([1.0, 0, 1, 0], dtype=FLOAT)))
    finer = ew.refine(model, 6)
    assert finer.edges() == model.edges()
    torch.testing.assert_close(finer(x), model(x), rtol=0, atol=1e-12)


def test_a_refined_network_trains(x: Tensor) -> None:
    finer = ew.refine(ew.KAN([2, 2, 1]), 6)
    finer(x).square().sum().backward()
    assert all(p.grad is not None and bool(p.grad.isfinite().all()) for p in finer.parameters())
    optimizer = torch.optim.LBFGS(finer.parameters(), max_iter=3)  # wants contiguous parameters

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = finer(x).square().mean()
        loss.backward()
        return loss

    assert optimizer.step(closure) > closure()


def test_refine_does_not_coarsen() -> None:
    with pytest.raises(ew.ConfigError, match="makes a grid finer: 4 is less than the model's 5"):
        ew.refine(ew.KAN([2, 1], grid=5), 4)
