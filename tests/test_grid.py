"""Grids: moved to the data, and made finer without changing the function."""

from __future__ import annotations

import copy
from collections.abc import Callable

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
    dense = torch.linspace(-1, 1, 1001, dtype=FLOAT)  # three times two cells of 0.002
    sparse = torch.cat([torch.tensor([-9.0, 9.0], dtype=FLOAT), dense[1:-1]])  # a tenth of 18
    moved = ew.adapt(ew.KAN([2, 1], domain=(50.0, 51.0)), torch.stack([dense, sparse], -1))
    expected = torch.tensor([[-1.012, 1.012], [-10.8, 10.8]], dtype=FLOAT)
    torch.testing.assert_close(domains(moved)[0], expected)


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
