"""The compiled kernels against their twins in plain torch, on every instruction set here."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from edgewise import kernels
from edgewise._kernels import Columns, gram, local_splines, mirror, pull, spline_edges, spline_layer
from edgewise._kernels._backend import CORE
from edgewise._kernels._edges import spline_edges_twin
from edgewise._kernels._layer import spline_layer_twin
from edgewise._kernels._splines import local_splines_twin
from edgewise._kernels._sums import _jacobian
from edgewise.bases import BSpline

if CORE is None:
    pytest.skip("the compiled core was not built", allow_module_level=True)

DOMAINS = torch.tensor([[-1.0, 1.0], [0.0, 7.0], [-3.0, -1.0]], dtype=torch.float64)


@pytest.fixture(params=CORE.available())
def instructions(request: pytest.FixtureRequest) -> Iterator[str]:
    before = CORE.chosen()
    CORE.choose(request.param)
    yield request.param
    CORE.choose(before)


@pytest.fixture(params=[torch.float64, torch.float32], ids=["f64", "f32"])
def dtype(request: pytest.FixtureRequest) -> torch.dtype:
    return request.param


@pytest.fixture(params=[False, True], ids=["even", "uneven"])
def uneven(request: pytest.FixtureRequest) -> bool:
    return request.param


@pytest.fixture(params=[False, True], ids=["lines", "smooth"])
def smooth(request: pytest.FixtureRequest) -> bool:
    return request.param


@pytest.fixture(params=[False, True], ids=["splines", "based"])
def based(request: pytest.FixtureRequest) -> bool:
    return request.param


def knots_of(degree: int, grid: int, uneven: bool, dtype: torch.dtype) -> Tensor:
    knots = BSpline(3, grid=grid, degree=degree, domain=DOMAINS, dtype=torch.float64).knots
    if uneven:
        cell = knots[:, 1:2] - knots[:, :1]
        knots = knots + 0.45 * cell * (2 * torch.rand(knots.shape, dtype=torch.float64) - 1)
    return knots.to(dtype)


def points(knots: Tensor, degree: int, batch: int) -> Tensor:
    """Points inside, outside, and on the knots themselves."""
    low, high = knots[:, degree], knots[:, -degree - 1]
    x = low + (high - low) * (1.6 * torch.rand(batch, 3, dtype=knots.dtype) - 0.3)
    return torch.cat([x, knots.T[degree:-degree]])[:batch] if batch < 5 else x


def close(actual: Tensor, expected: Tensor, slack: float = 1) -> None:
    """Compare relative to the largest entry."""
    eps = torch.finfo(expected.dtype).eps
    scale = expected.detach().abs().max().item() if expected.numel() else 1.0
    torch.testing.assert_close(actual, expected, rtol=0, atol=200 * slack * eps * max(scale, 1e-30))


@pytest.mark.parametrize("degree", range(1, 10))
def test_local_splines(
    instructions: str, dtype: torch.dtype, uneven: bool, smooth: bool, degree: int
) -> None:
    knots = knots_of(degree, 6, uneven, dtype)
    x = points(knots, degree, 300)
    x[:3] *= 20  # beyond all outer cells as well
    start, values = local_splines(x, knots, degree, 4, smooth)
    start_twin, values_twin = local_splines_twin(x, knots, degree, 4, smooth)
    assert torch.equal(start, start_twin)
    for value, twin in zip(values, values_twin, strict=True):
        close(value, twin)


@pytest.mark.parametrize("outputs", [1, 5, 16, 23, 64, 100])
@pytest.mark.parametrize(("batch", "grid"), [(1, 5), (3, 50), (40, 5), (700, 100), (2500, 7)])
def test_layer(
    instructions: str,
    dtype: torch.dtype,
    uneven: bool,
    based: bool,
    outputs: int,
    batch: int,
    grid: int,
) -> None:
    knots = knots_of(3, grid, uneven, dtype)
    x = points(knots, 3, batch).requires_grad_()
    coef = torch.randn(outputs, 3, grid + 3, dtype=dtype, requires_grad=True)
    base = torch.randn(outputs, 3, dtype=dtype, requires_grad=True) if based else None
    wanted = [x, coef] if base is None else [x, coef, base]
    g = torch.randn(batch, outputs, dtype=dtype)
    y, twin = spline_layer(x, coef, knots, 3, base), spline_layer_twin(x, coef, knots, 3, base)
    close(y, twin)
    ours = torch.autograd.grad(y, wanted, g)
    for gradient, expected in zip(ours, torch.autograd.grad(twin, wanted, g), strict=True):
        close(gradient, expected, slack=4 + batch**0.5)


@pytest.mark.parametrize("degree", range(1, 10))
def test_layer_of_every_degree(
    instructions: str, dtype: torch.dtype, based: bool, smooth: bool, degree: int
) -> None:
    knots = knots_of(degree, 4, False, dtype)
    x = points(knots, degree, 90).requires_grad_()
    coef = torch.randn(40, 3, 4 + degree, dtype=dtype, requires_grad=True)
    base = torch.randn(40, 3, dtype=dtype, requires_grad=True) if based else None
    wanted = [x, coef] if base is None else [x, coef, base]
    y = spline_layer(x, coef, knots, degree, base, smooth)
    twin = spline_layer_twin(x, coef, knots, degree, base, smooth)
    close(y, twin)
    ours = torch.autograd.grad(y.square().sum(), wanted)
    theirs = torch.autograd.grad(twin.square().sum(), wanted)
    for gradient, expected in zip(ours, theirs, strict=True):
        close(gradient, expected, slack=10)


def base_alone(x: Tensor, outputs: int = 1) -> Tensor:
    """The base function of one input, through a layer whose splines are zero."""
    knots = knots_of(3, 5, False, x.dtype)[:1]
    coef = x.new_zeros(outputs, 1, 8)
    return spline_layer(x[:, None], coef, knots, 3, x.new_ones(outputs, 1))


def test_base_to_the_last_digits(instructions: str, dtype: torch.dtype) -> None:
    eps, tiny = torch.finfo(dtype).eps, torch.finfo(dtype).tiny
    sizes = torch.logspace(-30, 2.8, 5000, dtype=torch.float64)
    x = torch.cat([-sizes, sizes, torch.linspace(-20, 20, 5001)]).to(dtype).requires_grad_()
    s = torch.exp(-x.detach().double().abs())  # no cancellation, and no overflow
    large, small = 1 / (1 + s), s / (1 + s)
    at = x.detach().double()
    sigmoid, rest = torch.where(at > 0, large, small), torch.where(at > 0, small, large)
    y = base_alone(x)[:, 0]
    torch.testing.assert_close(y.double(), at * sigmoid, rtol=5 * eps, atol=tiny)
    (slope,) = torch.autograd.grad(y.sum(), x)
    parts = sigmoid + (at * sigmoid * rest).abs()
    error = (slope.double() - sigmoid * (1 + at * rest)).abs()
    assert bool((error <= 5 * eps * parts + tiny).all())


def test_base_at_points_that_are_no_numbers_or_huge(instructions: str, dtype: torch.dtype) -> None:
    huge = torch.finfo(dtype).max / 1e4
    x = torch.tensor([0.0, float("nan"), huge, -huge, 1e5, -1e5, -0.0], dtype=dtype)
    expected = torch.nn.functional.silu(x)[:, None].expand(-1, 5)
    torch.testing.assert_close(base_alone(x, 5), expected, equal_nan=True)
    slope = torch.func.vmap(torch.func.grad(lambda x: base_alone(x[None])[0, 0]))(x)
    expected = torch.tensor([0.5, float("nan"), 1, 0, 1, 0, 0.5], dtype=dtype)
    torch.testing.assert_close(slope, expected, equal_nan=True)
    endless = torch.tensor([[float("inf")], [-float("inf")]], dtype=dtype)
    knots, coef = knots_of(3, 5, False, dtype)[:1], torch.randn(4, 1, 8, dtype=dtype)
    assert not spline_layer(endless, coef, knots, 3, torch.ones_like(coef[..., 0])).isfinite().any()


@pytest.mark.parametrize("degree", [1, 2, 3, 5, 9])
def test_edges(instructions: str, dtype: torch.dtype, uneven: bool, degree: int) -> None:
    knots = knots_of(degree, 8, uneven, dtype)
    x, coef = points(knots, degree, 300), torch.randn(4, 3, 8 + degree, dtype=dtype)
    with torch.no_grad():
        ours = spline_edges(x, coef, knots, degree, 3)
    for value, twin in zip(ours, spline_edges_twin(x, coef, knots, degree, 3), strict=True):
        close(value, twin)


def pieces_of(degree: int, batch: int, rows: int, dtype: torch.dtype, grid: int) -> list[Columns]:
    """Two layers of splines, with an edge off, and the constants of a lock."""
    pieces = []
    for sums, edges in ((2, [(0, 0), (1, 1), (0, 2)]), (1, [(0, 1), (0, 0)])):
        knots = knots_of(degree, grid, False, dtype)
        start, values = local_splines(points(knots, degree, batch), knots, degree)
        signal = torch.randn(batch, rows, sums, dtype=dtype)
        pieces.append(Columns(start, values[0], signal, torch.tensor(edges), grid + degree))
    values, signal = torch.randn(batch, 1, 3, dtype=dtype), torch.randn(batch, rows, 1, dtype=dtype)
    nothing = torch.zeros(batch, 1, dtype=torch.int64)
    pieces.append(Columns(nothing, values, signal, torch.zeros(1, 2, dtype=torch.int64), 3))
    return pieces


@pytest.mark.parametrize(("batch", "rows", "grid"), [(1, 1, 5), (50, 3, 5), (9000, 2, 9)])
@pytest.mark.parametrize("degree", [1, 2, 3, 5, 7, 9])
def test_sums(
    instructions: str, dtype: torch.dtype, degree: int, batch: int, rows: int, grid: int
) -> None:
    pieces = pieces_of(degree, batch, rows, dtype, grid)
    exact = [p._replace(values=p.values.double(), signal=p.signal.double()) for p in pieces]
    J = torch.cat([piece.dense().flatten(0, 1) for piece in exact], -1)
    size = J.shape[1]
    H = torch.ones(size, size, dtype=torch.float64)
    gram(pieces, H)
    expected = J.T @ J + 1
    torch.testing.assert_close(
        mirror(H), expected, rtol=0, atol=1e-12 * float(expected.abs().max())
    )
    torch.testing.assert_close(_jacobian(pieces, slice(None), H), J, rtol=1e-15, atol=0)
    for piece in pieces:
        one_row = piece._replace(signal=piece.signal[:, :1])
        close(pull(one_row), one_row.dense().sum((0, 1)), slack=batch**0.5)


def test_sums_do_not_depend_on_the_number_of_threads() -> None:
    pieces = pieces_of(3, 20_000, 1, torch.float64, 20)
    size = sum(piece.width for piece in pieces)
    results = []
    for count in (1, 2):
        torch.set_num_threads(count)
        assert kernels().threads == count
        H = torch.zeros(size, size, dtype=torch.float64)
        gram(pieces, H)
        knots = knots_of(3, 20, False, torch.float64)
        x = points(knots, 3, 5000).requires_grad_()
        coef = torch.linspace(-1, 1, 8 * 3 * 23, dtype=torch.float64).reshape(8, 3, 23)
        y = spline_layer(x.detach().mul(0.5).requires_grad_(), coef.requires_grad_(), knots, 3)
        results.append(mirror(H))
        assert torch.isfinite(y).all()
    torch.set_num_threads(1)
    assert torch.equal(*results)


@pytest.mark.parametrize("batch", [0, 40])
def test_inputs_that_do_not_lie_in_a_row(batch: int, dtype: torch.dtype) -> None:
    knots = knots_of(3, 5, False, dtype)
    x = torch.randn(6, batch, dtype=dtype).T[:, ::2]
    coef = torch.randn(8, 3, 10, dtype=dtype).permute(2, 1, 0)[..., :8]
    g = torch.randn(1, 10, dtype=dtype).expand(batch, 10)
    x.requires_grad_()
    coef.requires_grad_()
    base = torch.randn(20, 3, dtype=dtype)[::2].requires_grad_()
    y, twin = spline_layer(x, coef, knots, 3, base), spline_layer_twin(x, coef, knots, 3, base)
    close(y, twin)
    ours, theirs = (torch.autograd.grad(out, (x, coef, base), g) for out in (y, twin))
    for gradient, expected in zip(ours, theirs, strict=True):
        close(gradient, expected, slack=10)


def test_points_that_are_no_numbers_or_huge(dtype: torch.dtype, uneven: bool) -> None:
    knots = knots_of(3, 5, uneven, dtype)
    huge = torch.finfo(dtype).max / 1e4
    x = torch.tensor(
        [[0.1, float("nan"), -2.0], [huge, 1.0, -huge], [float("inf")] * 3], dtype=dtype
    )
    start, values = local_splines(x, knots, 3, 1)
    start_twin, values_twin = local_splines_twin(x, knots, 3, 1)
    assert torch.equal(values.isfinite(), values_twin.isfinite())
    finite = values_twin.isfinite()
    assert torch.equal(start[0, [0, 2]], start_twin[0, [0, 2]])
    for n in range(2):  # row by row: one is of size 1, the other huge
        here = finite[:, n]
        close(values[:, n][here], values_twin[:, n][here])
    y = spline_layer(x, torch.randn(4, 3, 8, dtype=dtype), knots, 3)
    assert y[0].isnan().all()
    assert not y[2].isfinite().any()


def test_the_gradients_memory_is_lent_once() -> None:
    knots = knots_of(3, 100, False, torch.float64)
    x = points(knots, 3, 50).requires_grad_()
    coef = torch.randn(512, 3, 103, dtype=torch.float64, requires_grad=True)  # 1.2 MB
    first, second = (
        torch.autograd.grad(spline_layer(x, coef, knots, 3).sum(), coef)[0] for _ in range(2)
    )
    assert first.data_ptr() != second.data_ptr()
    assert torch.equal(first, second)
    at = first.data_ptr()
    del first
    (third,) = torch.autograd.grad(spline_layer(x, coef, knots, 3).sum(), coef)
    assert third.data_ptr() == at
    assert torch.equal(third, second)
