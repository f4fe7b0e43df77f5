"""What every family of basis functions owes. A new family is one line in `FAMILIES`."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from edgewise.bases import Basis, BSpline

DOMAINS = torch.tensor([[-1.0, 1.0], [0.5, 4.0], [-30.0, -10.0]])
INPUTS = len(DOMAINS)


def bsplines(degree: int, grid: int) -> Callable[[torch.dtype], Basis]:
    def make(dtype: torch.dtype) -> Basis:
        return BSpline(INPUTS, grid=grid, degree=degree, domain=DOMAINS.to(dtype), dtype=dtype)

    return make


def uneven_bsplines(degree: int, grid: int) -> Callable[[torch.dtype], Basis]:
    """Cells that grow from end to end, by a factor of 8."""

    def make(dtype: torch.dtype) -> Basis:
        steps = 8 ** torch.linspace(0, 1, grid, dtype=torch.float64)
        share = torch.cat([torch.zeros(1), (steps.cumsum(0) / steps.sum())]).clamp(max=1)
        knots = DOMAINS[:, :1] * (1 - share) + DOMAINS[:, 1:] * share
        return BSpline.on(knots.to(dtype), degree=degree)

    return make


FAMILIES = {f"bspline-{degree}": bsplines(degree, 4 + degree) for degree in range(1, 10)}
FAMILIES |= {"bspline-3-one-cell": bsplines(3, 1), "bspline-3-fine": bsplines(3, 100)}
FAMILIES |= {f"uneven-{degree}": uneven_bsplines(degree, 4 + degree) for degree in (2, 3, 5, 9)}


@pytest.fixture(params=[torch.float64, torch.float32], ids=["float64", "float32"])
def dtype(request: pytest.FixtureRequest) -> torch.dtype:
    return request.param


@pytest.fixture(params=FAMILIES)
def family(request: pytest.FixtureRequest) -> Callable[[torch.dtype], Basis]:
    return FAMILIES[request.param]


@pytest.fixture
def basis(family: Callable[[torch.dtype], Basis], dtype: torch.dtype) -> Basis:
    return family(dtype)


@pytest.fixture
def exact(family: Callable[[torch.dtype], Basis]) -> Basis:
    """A basis in double precision, for what single precision cannot show."""
    return family(torch.float64)


def inside(basis: Basis, batch: int = 40) -> Tensor:
    """Random points of the domain."""
    low, high = basis.domain.unbind(-1)
    return low + (high - low) * torch.rand(batch, basis.in_features, dtype=low.dtype)


def around(basis: Basis, batch: int = 40) -> Tensor:
    """Random points in and around the domain; at least a third of them are not in it."""
    low, high = basis.domain.unbind(-1)
    share = 2 * torch.rand(batch, basis.in_features, dtype=low.dtype) - 0.5
    return low + (high - low) * share


def tolerance(basis: Basis) -> float:
    return 1e-11 if basis.domain.dtype == torch.float64 else 2e-4


# shapes and types


@pytest.mark.parametrize("batch", [0, 1, 7])
@pytest.mark.parametrize("order", [0, 1, 2])
def test_one_tensor_for_each_order(basis: Basis, batch: int, order: int) -> None:
    values = basis.values(inside(basis, batch), order)
    assert len(values) == order + 1
    for v in values:
        assert v.shape == (batch, INPUTS, basis.size)
        assert v.dtype == basis.domain.dtype


def test_forward_is_the_values(basis: Basis) -> None:
    x = around(basis)
    assert torch.equal(basis(x), basis.values(x, 2)[0])


def test_lower_orders_do_not_depend_on_how_many_are_asked(basis: Basis) -> None:
    x = around(basis)
    assert torch.equal(basis.values(x, 1)[1], basis.values(x, 2)[1])


def test_strides_of_the_input_do_not_matter(basis: Basis) -> None:
    x = around(basis)
    sliced = torch.stack([x, -x], -1)[..., 0]
    assert not sliced.is_contiguous()
    for strange in (x.T.contiguous().T, sliced, x.flip(0).contiguous().flip(0)):
        assert torch.equal(basis(strange), basis(x))
    assert torch.equal(basis(x[:1].expand(5, -1)), basis(x[:1]).expand(5, -1, -1))


def test_rows_do_not_depend_on_each_other(basis: Basis) -> None:
    x = around(basis)
    torch.testing.assert_close(basis(x[3:4]), basis(x)[3:4], rtol=1e-6, atol=1e-6)
    assert torch.equal(basis(x.flip(0)).flip(0), basis(x))


def test_the_meta_device_knows_the_shapes(basis: Basis) -> None:
    x = around(basis).to("meta")
    values = copy.deepcopy(basis).to("meta").values(x, 2)
    assert [v.shape for v in values] == [(len(x), INPUTS, basis.size)] * 3
    assert all(v.is_meta for v in values)


# values and derivatives


def test_first_derivatives_equal_finite_differences(exact: Basis) -> None:
    check_slope(exact, lambda x: exact.values(x, 2)[0], lambda x: exact.values(x, 2)[1])


def test_second_derivatives_equal_finite_differences(exact: Basis) -> None:
    check_slope(exact, lambda x: exact.values(x, 2)[1], lambda x: exact.values(x, 2)[2])


@pytest.mark.parametrize("order", [2, 3, 4])
def test_higher_derivatives_equal_finite_differences(exact: Basis, order: int) -> None:
    def values(order: int) -> Callable[[Tensor], Tensor]:
        return lambda x: exact.values(x, order)[order]

    check_slope(exact, values(order), values(order + 1))


@pytest.mark.parametrize("order", [0, 2, 5])
def test_local_values_are_all_that_are_not_zero(basis: Basis, order: int) -> None:
    x = around(basis)
    start, local = basis.local_derivatives(x, order)
    assert local.shape[:3] == (order + 1, len(x), INPUTS)
    index = start.unsqueeze(-1) + torch.arange(local.shape[-1])
    for values, expected in zip(local, basis.values(x, order), strict=True):
        assert torch.equal(torch.zeros_like(expected).scatter(-1, index, values), expected)
    assert torch.equal(basis.local(x)[0], start)
    assert torch.equal(basis.local(x)[1], basis.local_derivatives(x)[1][0])


@pytest.mark.parametrize("order", [0, 2, 4, 5])
@pytest.mark.parametrize("native", [True, False])
def test_edges_are_combinations(exact: Basis, order: int, native: bool) -> None:
    x, coef = around(exact), torch.randn(4, INPUTS, exact.size, dtype=torch.float64)
    with torch.set_grad_enabled(not native):
        edges = exact.edges(x, coef, order)
    for values, edge in zip(exact.values(x, order), edges, strict=True):
        expected = torch.einsum("bik,oik->boi", values, coef)
        scale = float(values.abs().max())
        torch.testing.assert_close(edge, expected, rtol=1e-11, atol=1e-11 * scale)


def check_slope(
    basis: Basis, f: Callable[[Tensor], Tensor], slope: Callable[[Tensor], Tensor]
) -> None:
    x = around(basis, 100)
    low, high = basis.domain.unbind(-1)
    step = 1e-6 * (high - low) / basis.grid
    numeric = (f(x + step) - f(x - step)) / (2 * step).unsqueeze(-1)
    scale = numeric.abs().amax((0, 2), keepdim=True).clamp(min=1)
    torch.testing.assert_close(slope(x) / scale, numeric / scale, rtol=0, atol=1e-7)


def test_derivatives_equal_nested_autograd(basis: Basis) -> None:
    x = around(basis).requires_grad_()
    weights = torch.randn(INPUTS, basis.size, dtype=x.dtype)
    phi, first, second = ((v * weights).sum(-1) for v in basis.values(x, 2))
    (by_autograd,) = torch.autograd.grad(phi.sum(), x, create_graph=True)
    close(by_autograd, first, tolerance(basis))
    (twice,) = torch.autograd.grad(by_autograd.sum(), x, create_graph=True)
    close(twice, second, 10 * tolerance(basis))


def test_derivatives_equal_forward_mode(basis: Basis) -> None:
    x = around(basis)
    values, tangent = torch.func.jvp(basis, (x,), (torch.ones_like(x),))
    close(values, basis(x), tolerance(basis))
    close(tangent, basis.values(x, 1)[1], tolerance(basis))


def test_functions_are_independent(exact: Basis) -> None:
    x = inside(exact, 20 * exact.size)
    for values in exact(x).unbind(1):
        assert torch.linalg.matrix_rank(values) == exact.size


def test_lines_are_reproduced(basis: Basis) -> None:
    one, x = basis.line()
    points = inside(basis)
    values = basis(points)
    size = points.abs().amax(0)
    close((values * one).sum(-1), torch.ones_like(points), tolerance(basis))
    close((values * x).sum(-1) / size, points / size, tolerance(basis))


@pytest.mark.parametrize("name", ["roughness", "variation"])
def test_penalties_are_combinations_that_constants_do_not_have(exact: Basis, name: str) -> None:
    combinations = getattr(exact, name)()
    assert combinations.shape[::2] == (INPUTS, exact.size)
    assert bool((combinations.abs().amax((1, 2)) > 0).all())
    one, _ = exact.line()
    scale = combinations.abs().amax()
    assert torch.einsum("icb,ib->ic", combinations, one).abs().max() < 1e-9 * scale
    if name == "variation":  # constants only
        forms = combinations.mT @ combinations
        eigenvalues = torch.linalg.eigvalsh(forms)
        assert ((eigenvalues < 1e-9 * eigenvalues[:, -1:]).sum(1) == 1).all()


def test_everything_is_finite_outside_the_domain(basis: Basis) -> None:
    low, high = basis.domain.unbind(-1)
    for away in (1, 10, 1000):
        x = torch.stack([low - away * (high - low), high + away * (high - low)])
        assert all(bool(v.isfinite().all()) for v in basis.values(x, 2))


def test_nan_in_gives_nan_out_and_only_there(basis: Basis) -> None:
    x = around(basis)
    x[3, 1] = x[7, 0] = x[7, 2] = torch.nan
    phi = (basis(x) * torch.randn(INPUTS, basis.size, dtype=x.dtype)).sum(-1)
    assert torch.equal(phi.isnan(), x.isnan())


# other bases of the same family


def test_config_rebuilds_the_basis(basis: Basis) -> None:
    twin = type(basis)(**basis.config(), dtype=basis.domain.dtype)
    twin.load_state_dict(basis.state_dict())
    x = around(basis)
    assert torch.equal(twin(x), basis(x))
    assert twin.config() == basis.config()


def test_config_is_plain_json(basis: Basis) -> None:
    assert json.loads(json.dumps(basis.config())) == basis.config()


def test_a_deep_copy_stands_alone(basis: Basis) -> None:
    x = around(basis)
    before = basis(x)
    twin = copy.deepcopy(basis)
    assert torch.equal(twin(x), before)
    for tensor in twin.state_dict().values():
        tensor.zero_()
    assert torch.equal(basis(x), before)


def test_casts_keep_the_functions(exact: Basis) -> None:
    x = around(exact)
    single = copy.deepcopy(exact).float()
    assert single(x.float()).dtype == torch.float32
    torch.testing.assert_close(single(x.float()).double(), exact(x), rtol=0, atol=1e-3)


def test_select_takes_inputs_in_any_order(basis: Basis) -> None:
    x = around(basis)
    kept = torch.tensor([2, 0])
    few = basis.select(kept)
    assert few.in_features == 2
    assert few.size == basis.size
    assert torch.equal(few(x[:, kept]), basis(x)[:, kept])


def test_with_grid_changes_the_grid_only(basis: Basis) -> None:
    finer = basis.with_grid(basis.grid + 3)
    assert finer.grid == basis.grid + 3
    assert finer.in_features == INPUTS
    assert finer.size > basis.size
    assert torch.equal(finer.domain, basis.domain)
    assert finer.domain.dtype == basis.domain.dtype


def test_with_domain_changes_the_domain_only(basis: Basis) -> None:
    domain = 3 * basis.domain
    moved = basis.with_domain(domain)
    assert torch.equal(moved.domain, domain)
    assert moved.config() == basis.config()
    # the same functions on another scale
    x = around(basis)
    close(moved(3 * x), basis(x), tolerance(basis))


def test_transfer_to_itself_changes_nothing(basis: Basis) -> None:
    x = around(basis)
    twin = basis.with_grid(basis.grid)
    close(carried(twin, basis, x), phi(basis, x), tolerance(basis))


def test_transfer_to_half_the_cells_keeps_every_function(basis: Basis) -> None:
    x = around(basis)
    finer = basis.with_grid(2 * basis.grid)
    close(carried(finer, basis, x), phi(basis, x), 10 * tolerance(basis))


def test_transfer_is_repeatable_to_the_last_bit(exact: Basis) -> None:
    new = exact.with_domain(1.1 * exact.domain)
    first = new.transfer_from(exact)
    assert all(torch.equal(new.transfer_from(exact), first) for _ in range(10))


def test_transfer_keeps_lines_on_any_grid_and_domain(exact: Basis) -> None:
    x = around(exact)
    low, high = exact.domain.unbind(-1)
    wider = torch.stack([low - 0.1 * (high - low), high + 0.3 * (high - low)], -1)
    for new in (exact.with_grid(exact.grid + 1), exact.with_domain(wider)):
        matrix = new.transfer_from(exact)
        assert matrix.shape == (INPUTS, new.size, exact.size)
        for function, expected in zip(exact.line(), (torch.ones_like(x), x), strict=True):
            coef = torch.einsum("ink,ik->in", matrix, function)
            result = (new(x) * coef).sum(-1)
            torch.testing.assert_close(result, expected, rtol=1e-9, atol=1e-9)


def weights_of(basis: Basis) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    shape = (INPUTS, basis.size)
    return torch.randn(shape, generator=generator, dtype=torch.float64).to(basis.domain.dtype)


def phi(basis: Basis, x: Tensor) -> Tensor:
    return (basis(x) * weights_of(basis)).sum(-1)


def carried(new: Basis, old: Basis, x: Tensor) -> Tensor:
    coef = torch.einsum("ink,ik->in", new.transfer_from(old), weights_of(old))
    return (new(x) * coef).sum(-1)


def close(actual: Tensor, expected: Tensor, tolerance: float) -> None:
    """Compare relative to the largest value of each input."""
    scale = expected.abs().amax(0, keepdim=True)
    scale = scale.clamp(min=1) if scale.ndim == 2 else scale.amax(-1, keepdim=True).clamp(min=1)
    torch.testing.assert_close(actual / scale, expected / scale, rtol=0, atol=tolerance)
