"""One layer: its sum of edges, its masks and locks, and how it starts."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.interpolate import BSpline as Reference
from torch import Tensor

import edgewise as ew
from edgewise._layer import Lock
from edgewise.bases import BSpline

FLOAT = torch.float64


def layer(inputs: int = 3, outputs: int = 2, *, grid: int = 5, degree: int = 3) -> ew.KANLayer:
    return ew.KANLayer(BSpline(inputs, grid=grid, degree=degree, dtype=FLOAT), outputs)


def sine(*constants: float, free: list[bool] | None = None) -> Lock:
    return Lock(
        ew.PRIMITIVES["sin"],
        torch.tensor(constants or (2.0, 0.5, 1.5, -1.0), dtype=FLOAT),
        None if free is None else torch.tensor(free),
    )


@pytest.fixture
def x() -> Tensor:
    return 2 * torch.rand(20, 3, dtype=FLOAT) - 1


# values


def test_outputs_are_sums_of_scipys_splines(x: Tensor) -> None:
    kan = layer()
    knots = kan.basis.knots.numpy()
    coef = kan.coef.detach().numpy()
    expected = np.zeros((20, 2, 3))
    for o in range(2):
        for i in range(3):
            expected[:, o, i] = Reference(knots[i], coef[o, i], 3)(x[:, i].numpy())
    torch.testing.assert_close(kan.edges(x), torch.from_numpy(expected), rtol=0, atol=1e-12)
    torch.testing.assert_close(kan(x), torch.from_numpy(expected.sum(-1)), rtol=0, atol=1e-12)


def test_sizes_are_told() -> None:
    kan = layer(4, 6)
    assert (kan.in_features, kan.out_features) == (4, 6)
    assert kan.coef.shape == (6, 4, 8)
    assert "4 -> 6" in repr(kan)


def test_a_masked_edge_gives_nothing_and_learns_nothing(x: Tensor) -> None:
    kan = layer()
    edges = kan.edges(x).detach()
    kan.remove(1, 2)
    edges[:, 1, 2] = 0
    torch.testing.assert_close(kan.edges(x), edges, rtol=0, atol=0)
    torch.testing.assert_close(kan(x), edges.sum(-1), rtol=0, atol=1e-14)
    kan(x).square().sum().backward()
    assert kan.coef.grad is not None
    silent = kan.coef.grad.abs().sum(-1) == 0
    assert silent.nonzero().tolist() == [[1, 2]]
    assert kan.active.tolist() == [[True, True, True], [True, True, False]]


def test_a_locked_edge_is_its_primitive(x: Tensor) -> None:
    kan = layer()
    edges = kan.edges(x).detach()
    kan.lock(0, 1, sine())
    edges[:, 0, 1] = torch.from_numpy(1.5 * np.sin(2.0 * x[:, 1].numpy() + 0.5) - 1.0)
    torch.testing.assert_close(kan.edges(x), edges, rtol=0, atol=1e-14)
    torch.testing.assert_close(kan(x), edges.sum(-1), rtol=0, atol=1e-14)
    assert not kan.mask[0, 1]
    assert bool(kan.active.all())
    ((where, lock),) = kan.locked()
    assert where == (0, 1)
    assert lock.primitive.name == "sin"
    assert "'sin'" in repr(kan)


def test_a_lock_replaces_a_lock_and_remove_takes_it_off(x: Tensor) -> None:
    kan = layer()
    kan.lock(0, 1, sine())
    kan.lock(0, 1, sine(1.0, 0.0, 1.0, 0.0))
    torch.testing.assert_close(kan.edges(x)[:, 0, 1], x[:, 1].sin(), rtol=0, atol=1e-14)
    kan.remove(0, 1)
    assert kan.locked() == []
    assert not kan.active[0, 1]
    assert kan.edges(x)[:, 0, 1].abs().max() == 0


def test_many_locks_keep_their_places() -> None:
    kan = layer(12, 11)
    places = [(10, 1), (1, 10), (0, 11), (10, 11)]
    for place in places:
        kan.lock(*place, sine())
    assert sorted(place for place, _ in kan.locked()) == sorted(places)


@pytest.mark.parametrize("shape", [(3,), (5, 2), (5, 4), (2, 5, 3)])
@pytest.mark.parametrize("verb", ["forward", "edges"])
def test_a_wrong_shape_is_told(unchecked: None, verb: str, shape: tuple[int, ...]) -> None:
    text = str(shape).replace("(", r"\(").replace(")", r"\)")
    with pytest.raises(ew.ShapeError, match=rf"takes inputs of shape \(batch, 3\), got {text}"):
        getattr(layer(), verb)(torch.zeros(shape, dtype=FLOAT))


def test_a_layer_without_outputs_is_refused() -> None:
    with pytest.raises(ew.ConfigError, match="at least one output, got 0"):
        layer(3, 0)


# locks


@pytest.mark.parametrize("name", [p.name for p in ew.PRIMITIVES])
def test_columns_are_the_derivatives_of_a_lock(name: str) -> None:
    primitive = ew.PRIMITIVES[name]
    low, high = (max(primitive.domain[0], -3.0), min(primitive.domain[1], 3.0))
    u = low + (high - low) * (0.05 + 0.9 * torch.rand(15, dtype=FLOAT))
    a, b = 1.7, -0.4
    x = ((u - b) / a).requires_grad_()
    lock = Lock(primitive, torch.tensor([a, b, 0.6, 2.5], dtype=FLOAT))
    value, slope, by_constant = lock.columns(x.detach())
    y = lock(x)
    torch.testing.assert_close(value, y.detach(), rtol=1e-13, atol=1e-13)
    (by_autograd,) = torch.autograd.grad(y.sum(), x, retain_graph=True)
    torch.testing.assert_close(slope, by_autograd, rtol=1e-12, atol=1e-12)
    rows = [torch.autograd.grad(v, lock.constants, retain_graph=True)[0] for v in y]
    torch.testing.assert_close(by_constant, torch.stack(rows), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", ["x", "x^2", "sin", "exp", "1/x"])
@pytest.mark.parametrize("a", [1.7, 0.0])
def test_columns_of_a_locks_derivatives(name: str, a: float) -> None:
    lock = Lock(ew.PRIMITIVES[name], torch.tensor([a, 0.7, 0.6, 2.5], dtype=FLOAT))
    x = 0.1 + torch.rand(9, dtype=FLOAT)
    derivatives, columns = lock.derivatives(x, 3), lock.derivative_columns(x, 3)
    torch.testing.assert_close(derivatives[0], lock(x))
    for values, by_constant in zip(derivatives, columns, strict=True):
        rows = [torch.autograd.grad(v, lock.constants, retain_graph=True)[0] for v in values]
        torch.testing.assert_close(by_constant, torch.stack(rows), rtol=1e-12, atol=1e-12)


def test_derivatives_of_edges_that_are_off_are_zero(x: Tensor) -> None:
    layer = ew.KANLayer(BSpline(x.shape[1], dtype=FLOAT), 2)
    layer.remove(1, 0)
    layer.lock(0, 1, Lock(ew.PRIMITIVES["sin"], torch.tensor([2.0, 0, 1, 0], dtype=FLOAT)))
    value, slope, bend = layer.derivatives(x, 2).detach()
    assert torch.equal(value, layer.edges(x).detach())
    for y in (value, slope, bend):
        assert not bool(y[:, 1, 0].any())
    torch.testing.assert_close(bend[:, 0, 1], -4 * (2 * x[:, 1]).sin())


def test_fixed_constants_do_not_move(x: Tensor) -> None:
    lock = sine(free=[True, False, False, True])
    assert torch.equal(lock(x[:, 0]), sine()(x[:, 0]))
    lock(x[:, 0]).square().sum().backward()
    assert lock.constants.grad is not None
    assert (lock.constants.grad != 0).tolist() == [True, False, False, True]


def test_a_lock_does_not_share_the_constants_it_was_given() -> None:
    constants = torch.ones(4, dtype=FLOAT)
    free = torch.ones(4, dtype=torch.bool)
    lock = Lock(ew.PRIMITIVES["x"], constants, free)
    constants.zero_()
    free.zero_()
    assert lock.constants.tolist() == [1, 1, 1, 1]
    assert bool(lock.free.all())


# initialization


@pytest.mark.parametrize("grid", [1, 3, 5, 30])
@pytest.mark.parametrize("degree", [1, 2, 3, 9])
def test_the_start_is_finite_and_of_unit_scale(degree: int, grid: int) -> None:
    variances = []
    for seed in range(10):
        torch.manual_seed(seed)
        kan = layer(6, 6, grid=grid, degree=degree)
        assert bool(kan.coef.isfinite().all())
        x = 2 * torch.rand(1000, 6, dtype=FLOAT) - 1
        variances.append(kan(x).var(0).mean().item())
    assert 0.85 / 3 < sum(variances) / 10 < 1.1 / 3


def test_the_start_follows_the_domain() -> None:
    domain = torch.tensor([[100.0, 101.0], [-5e4, 5e4], [1e-4, 2e-4]], dtype=FLOAT)
    kan = ew.KANLayer(BSpline(3, domain=domain, dtype=FLOAT), 200)
    low, high = domain.unbind(-1)
    y = kan(low + (high - low) * torch.rand(2000, 3, dtype=FLOAT))
    assert y.mean().abs() < 0.05
    assert 0.85 / 3 < y.var(0).mean() < 1.1 / 3


@pytest.mark.parametrize("curvature", [0.0, 0.3, 1.0])
def test_curvature_bends_and_keeps_the_variance(curvature: float) -> None:
    kan = ew.KANLayer(BSpline(1, grid=6, dtype=FLOAT), 400, curvature=curvature)
    x = torch.linspace(-1, 1, 2001, dtype=FLOAT).unsqueeze(-1)
    y = kan(x).detach()
    line = torch.cat([torch.ones_like(x), x], -1)
    residual = y - line @ torch.linalg.lstsq(line, y).solution
    bent = 3 * residual.square().mean().item()
    assert 3 * y.square().mean().item() == pytest.approx(1, rel=0.1)
    assert 0.25 * curvature <= bent + 1e-12
    assert bent <= 0.5 * curvature + 1e-12


def test_outputs_start_different() -> None:
    x = 2 * torch.rand(500, 4, dtype=FLOAT) - 1
    correlation = torch.corrcoef(layer(4, 4)(x).T).fill_diagonal_(0)
    assert correlation.abs().max() < 0.5


def test_a_generator_makes_the_start_repeatable_and_leaves_torchs_own_alone() -> None:
    kan = layer()
    before = torch.get_rng_state()
    kan.reset_parameters(generator=torch.Generator().manual_seed(7))
    first = kan.coef.detach().clone()
    assert torch.equal(torch.get_rng_state(), before)
    kan.reset_parameters(generator=torch.Generator().manual_seed(7))
    assert torch.equal(kan.coef, first)
    kan.reset_parameters(generator=torch.Generator().manual_seed(8))
    assert not torch.equal(kan.coef, first)


def test_torchs_own_seed_makes_the_start_repeatable() -> None:
    torch.manual_seed(5)
    first = layer().coef
    torch.manual_seed(5)
    assert torch.equal(layer().coef, first)


def test_reset_keeps_what_is_not_numeric(x: Tensor) -> None:
    kan = layer()
    kan.lock(0, 1, sine())
    kan.remove(1, 0)
    kan.reset_parameters()
    torch.testing.assert_close(kan.edges(x)[:, 0, 1], sine()(x[:, 1]), rtol=0, atol=0)
    assert not kan.active[1, 0]
