"""Jets against nested autograd and formulas; their rows against autograd over the parameters."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

import edgewise as ew
from builders import noise, put, sample
from edgewise import _jets
from edgewise._fit._gauss_newton import ParameterVector
from edgewise._jets import linear_jet
from edgewise._kernels import mirror

WORDS = ["x", "x^2", "x^3", "exp", "sin", "tanh", "gaussian", "arctan", "sign"]


def network(widths: list[Any], degree: int, seed: int = 0, **settings: Any) -> ew.KAN:
    """A network of which some edges are off or locked, and some constants not free."""
    torch.manual_seed(seed)
    model = ew.KAN(widths, degree=degree, **settings)
    for n, edge in enumerate(model.edges()[1:]):
        layer = model.parts()[edge.layer][0]
        match n % 5:
            case 1:
                layer.remove(edge.target, edge.source)
            case 3:
                put(model, edge, WORDS[(n // 5 + seed) % len(WORDS)], *noise(4, seed=n).tolist())
                layer.locked()[-1][1].free[n % 4] = False
            case _:
                pass
    return model


def points(model: ew.KAN, rows: int = 30) -> Tensor:
    """A quarter of them outside of the grid, so that hidden ones are, too."""
    return 1.3 * sample(rows, model.in_features).to(model.dtype)


def nested(model: ew.KAN, x: Tensor, order: int) -> dict[tuple[int, ...], Tensor]:
    """Every partial derivative up to an order, (batch, outputs), by differentiating again."""
    x = x.clone().requires_grad_()
    found = {(): model(x)}
    level = dict(found)
    for _ in range(order):
        following = {}
        for partial, u in level.items():
            columns = [
                torch.autograd.grad(u[:, o].sum(), x, create_graph=True, materialize_grads=True)[0]
                for o in range(u.shape[1])
            ]
            for j in range(partial[-1] if partial else 0, x.shape[1]):
                following[(*partial, j)] = torch.stack([column[:, j] for column in columns], -1)
        found |= following
        level = {k: u for k, u in following.items() if u.requires_grad}
    return found


def close(actual: Tensor, expected: Tensor, tolerance: float = 1e-11) -> None:
    """Compare relative to the largest entry."""
    scale = float(expected.detach().abs().max()) if expected.numel() else 0.0
    torch.testing.assert_close(actual, expected, rtol=0, atol=tolerance * max(scale, 1e-12))


def agree(u: ew.Jet, expected: dict[tuple[int, ...], Tensor], tolerance: float = 1e-11) -> None:
    for partial in u.partials:
        if partial in expected:
            close(u.partial(*partial).detach(), expected[partial].detach(), tolerance)
        else:  # autograd has found that nothing depends on x
            assert not bool(u.partial(*partial).any())


def jacobian(model: ew.KAN, rows: Tensor) -> Tensor:
    """The derivative of each number in rows (batch, rows), in the order of `ParameterVector`."""
    parameters = list(model.parameters())
    lines = []
    for number in rows.flatten():
        gradients = torch.autograd.grad(
            number, parameters, retain_graph=True, materialize_grads=True
        )
        of = dict(zip(map(id, parameters), gradients, strict=True))
        pieces = []
        for layer, _ in model.parts():
            pieces.append(of[id(layer.coef)][layer.mask].flatten())
            pieces += [of[id(lock.constants)][lock.free] for _, lock in layer.locked()]
        lines.append(torch.cat(pieces))
    return torch.stack(lines).reshape(*rows.shape, -1)


NETWORKS = [
    ([1, 1], 3),
    ([1, 4, 1], 5),
    ([2, 5, 1], 3),
    ([2, 5, 1], 5),
    ([3, (2, 2), 2], 7),
    ([2, 3, (1, 2), (0, 1), 2], 5),
    ([2, 3, (1, 1)], 7),
]


@pytest.fixture(params=NETWORKS, ids=str)
def model(request: pytest.FixtureRequest) -> ew.KAN:
    return network(*request.param)


# jets


@pytest.mark.parametrize("native", [True, False])
@pytest.mark.parametrize(
    ("order", "mixed"), [(1, False), (2, False), (2, True), (3, True), (4, False), (4, True)]
)
def test_a_jet_equals_nested_autograd(model: ew.KAN, order: int, mixed: bool, native: bool) -> None:
    x = points(model)
    with torch.set_grad_enabled(not native):
        u = ew.jet(model, x, order, mixed=mixed)
    assert u.components.requires_grad is not native
    agree(u, nested(model, x, order))


def test_the_names_of_the_parts() -> None:
    model = network([3, 4, 2], 5)
    u = ew.jet(model, points(model, 7), 4, mixed=True)
    assert (u.order, u.mixed, u.inputs) == (4, True, 3)
    assert u.value.shape == (7, 2)
    assert torch.equal(u.value, u.partial())
    for m, pure in enumerate((u.gradient, u.second, u.third, u.fourth), 1):
        assert pure.shape == (7, 2, 3)
        for j in range(3):
            assert torch.equal(pure[..., j], u.partial(*(j,) * m))
    assert u.hessian.shape == (7, 2, 3, 3)
    assert torch.equal(u.hessian, u.hessian.mT)
    assert torch.equal(u.hessian.diagonal(dim1=-2, dim2=-1), u.second)
    assert torch.equal(u.hessian[..., 0, 2], u.partial(2, 0))


def test_one_input_has_its_whole_hessian() -> None:
    model = network([1, 2, 1], 5)
    u = ew.jet(model, points(model))
    assert u.mixed
    assert torch.equal(u.hessian[..., 0], u.second)


def test_a_formula() -> None:
    """u = sin(2 x + 1) exp(y) by a product node."""
    model = ew.KAN([2, (0, 1), 1])
    put(model, (0, 0, 0), "sin", 2, 1, 1, 0)
    put(model, (0, 1, 1), "exp", 1, 0, 1, 0)
    model.parts()[0][0].remove(0, 1)
    model.parts()[0][0].remove(1, 0)
    put(model, (1, 0, 0), "x", 1, 0, 1, 0)
    z = sample(20)
    x, y = z.T
    wave, slope = (2 * x + 1).sin() * y.exp(), (2 * x + 1).cos() * y.exp()
    u = ew.jet(model, z, 4, mixed=True)
    expected = {(): wave, (0,): 2 * slope, (0, 0): -4 * wave, (0, 0, 0): -8 * slope}
    expected |= {(0,) * 4: 16 * wave, (0, 1): 2 * slope} | {(1,) * m: wave for m in range(1, 5)}
    assert set(expected) == set(u.partials)
    for partial, value in expected.items():
        close(u.partial(*partial)[:, 0].detach(), value, 1e-14)


def test_outside_the_grid_a_layer_is_linear() -> None:
    model = ew.KAN([2, 1], degree=5)
    x = torch.tensor([[3.0, -1.5]], dtype=torch.float64)
    u = ew.jet(model, x, 4)
    for pure in (u.second, u.third, u.fourth):
        assert not bool(pure.any())
    close(ew.jet(model, 2 * x).gradient, u.gradient)


@pytest.mark.parametrize("rows", [0, 1, 50])
def test_chunks_make_no_difference(monkeypatch: pytest.MonkeyPatch, rows: int) -> None:
    model = network([2, (2, 1), 2], 5)
    x = points(model, rows)
    with torch.no_grad():
        whole = ew.jet(model, x, 3, mixed=True).components
        monkeypatch.setattr(_jets, "_CHUNK_ENTRIES", 200)
        assert whole.shape == (rows, 2, 8)
        close(ew.jet(model, x, 3, mixed=True).components, whole, 1e-14)


def test_single_precision() -> None:
    model = network([2, (2, 1), 2], 5)
    x = points(model).float()
    exact = ew.jet(model, x.double(), 3, mixed=True)
    rows = noise(len(x), 2, *exact.components.shape[1:])
    expected = linear_jet(model, x.double(), 3, mixed=True).rows(rows)
    values = {partial: exact.partial(*partial).detach() for partial in exact.partials}
    model = model.float()
    for native in (True, False):
        with torch.set_grad_enabled(not native):
            u = ew.jet(model, x, 3, mixed=True)
        assert u.components.dtype == torch.float32
        for partial, value in values.items():
            close(u.partial(*partial).detach().double(), value, 2e-4)
    linear = linear_jet(model, x, 3, mixed=True)
    close(linear.rows(rows.float()).double(), expected, 2e-4)


# jets as a part of something that is differentiated


def test_gradients_in_the_parameters(model: ew.KAN) -> None:
    x = points(model)
    u, expected = ew.jet(model, x, 2, mixed=True), nested(model, x, 2)
    parameters = list(model.parameters())
    theirs = torch.stack(list(expected.values()), -1)
    weights = noise(*theirs.shape)
    ours = torch.stack([u.partial(*partial) for partial in expected], -1)
    for a, b in zip(
        torch.autograd.grad((ours.sin() * weights).sum(), parameters),
        torch.autograd.grad((theirs.sin() * weights).sum(), parameters),
        strict=True,
    ):
        close(a, b)


@pytest.mark.parametrize("order", [1, 2, 3])
def test_gradients_in_the_points(order: int) -> None:
    model = network([2, (2, 1), 1], 7)
    x = points(model).requires_grad_()
    u = ew.jet(model, x, order)
    higher = ew.jet(model, x, 4)
    (gradient,) = torch.autograd.grad(u.partial(*(1,) * order).sum(), x)
    close(gradient[:, 1], higher.partial(*(1,) * (order + 1))[:, 0].detach())


# rows


@pytest.mark.parametrize(
    ("order", "mixed"), [(1, False), (2, False), (2, True), (3, False), (4, False), (4, True)]
)
def test_rows_equal_autograd_over_the_parameters(model: ew.KAN, order: int, mixed: bool) -> None:
    x = points(model, 6)
    u = ew.jet(model, x, order, mixed=mixed)
    weights = noise(len(x), 2, *u.components.shape[1:])
    linear = linear_jet(model, x, order, mixed=mixed)
    close(linear.jet.components, u.components.detach(), 1e-13)
    rows = linear.rows(weights)
    assert rows.shape == (6, 2, ParameterVector(model).size)
    expected = jacobian(model, torch.einsum("broc,boc->br", weights, u.components))
    close(rows, expected, 1e-10)


def test_each_component_alone() -> None:
    """Derivatives of high order are large and would hide what is wrong with the others."""
    model = network([2, (2, 1), 2], 7)
    x = points(model, 5)
    u = ew.jet(model, x, 4, mixed=True)
    linear = linear_jet(model, x, 4, mixed=True)
    for n in range(len(u.partials)):
        weights = torch.zeros(5, 1, 2, len(u.partials), dtype=torch.float64)
        weights[..., 1, n] = 1
        expected = jacobian(model, u.components[:, 1:, n])
        close(linear.rows(weights), expected)


@pytest.mark.parametrize("rows", [1, 3])
def test_sums_are_those_of_the_rows(model: ew.KAN, rows: int) -> None:
    x = points(model, 40)
    linear = linear_jet(model, x)
    weights, residuals = noise(40, rows, *linear.jet.components.shape[1:]), noise(40, rows)
    J = linear.rows(weights).flatten(0, 1)
    H, g = torch.zeros(J.shape[1], J.shape[1], dtype=torch.float64), J.new_ones(J.shape[1])
    linear.add_to(H, g, weights, residuals)
    close(mirror(H), J.T @ J, 1e-12)
    close(g - 1, J.T @ residuals.flatten(), 1e-12)


def test_the_rows_of_an_equation_that_is_not_linear() -> None:
    """u_xx + u u_y: its derivatives in the jet are the weights."""
    model = network([2, 4, 1], 5)
    x = points(model, 8)

    def equation(u: ew.Jet) -> Tensor:
        return u.second[..., 0] + u.value * u.gradient[..., 1]

    linear = linear_jet(model, x)
    leaf = linear.jet.components.clone().requires_grad_()
    residuals = equation(dataclasses.replace(linear.jet, components=leaf))
    (weights,) = torch.autograd.grad(residuals.sum(), leaf)
    close(linear.rows(weights.unsqueeze(1)), jacobian(model, equation(ew.jet(model, x))))


# any network


HIDDEN = st.sampled_from([1, 2, 3, (1, 1), (0, 1), (2, 1), (1, [3, 2])])
OUTPUT = st.sampled_from([1, 2, (0, 1), (1, 1), (0, [4])])
WIDTHS = st.builds(
    lambda inputs, hidden, output: [inputs, *hidden, output],
    st.integers(1, 3),
    st.lists(HIDDEN, max_size=3),
    OUTPUT,
)


@given(
    widths=WIDTHS,
    degree=st.integers(1, 9),
    grid=st.integers(1, 6),
    seed=st.integers(0, 2**16),
    order=st.integers(1, 3),
    mixed=st.booleans(),
)
def test_any_network(
    widths: list[Any], degree: int, grid: int, seed: int, order: int, mixed: bool
) -> None:
    model = network(widths, degree, seed, grid=grid)
    x = points(model, 4)
    mixed = mixed and order > 1
    u = ew.jet(model, x, order, mixed=mixed)
    agree(u, nested(model, x, order), 1e-9)
    weights = noise(4, 1, *u.components.shape[1:])
    rows = linear_jet(model, x, order, mixed=mixed).rows(weights)
    close(rows, jacobian(model, torch.einsum("broc,boc->br", weights, u.components)), 1e-9)


# what goes wrong


@pytest.mark.parametrize("order", [0, 5, 2.0, -1])
def test_an_order_out_of_range(unchecked: None, order: Any) -> None:
    model = ew.KAN([2, 1])
    for verb in (ew.jet, linear_jet):
        with pytest.raises(ew.ConfigError, match=f"whole number from 1 to 4, got {order}"):
            verb(model, sample(3), order)


def test_mixed_derivatives_of_the_first_order() -> None:
    with pytest.raises(ew.ConfigError, match="Mixed derivatives are of the second order"):
        ew.jet(ew.KAN([2, 1]), sample(3), 1, mixed=True)


def test_points_of_another_shape_or_type() -> None:
    model = ew.KAN([2, 1])
    with pytest.raises(ew.ShapeError, match=r"inputs of shape \(batch, 2\), got \(5, 3\)"):
        ew.jet(model, sample(5, 3))
    with pytest.raises(ew.DataError, match=r"float64, got inputs in torch\.float32"):
        ew.jet(model, sample(5).float())


def test_components_that_are_not_there() -> None:
    u = ew.jet(ew.KAN([2, 1]), sample(3), 2)
    with pytest.raises(ew.ConfigError, match=r"up to order 2, \(0, 0, 0\) is not there.*order=3"):
        u.third  # noqa: B018
    with pytest.raises(ew.ConfigError, match=r"no mixed derivatives, \(0, 1\).*mixed=True"):
        u.hessian  # noqa: B018
    with pytest.raises(ew.ConfigError, match=r"inputs are 0 to 1, got \(0, 2\)"):
        u.partial(2, 0)
    with pytest.raises(ew.ConfigError, match="of the second order only"):
        u.partial(0, 0, 1)


@pytest.mark.parametrize("shape", [(3, 1, 1, 4), (4, 1, 1, 5), (3, 1, 2, 5)])
def test_weights_of_another_shape(shape: tuple[int, ...]) -> None:
    linear = linear_jet(ew.KAN([2, 1]), sample(3))
    with pytest.raises(ew.ShapeError, match=r"must have the shape \(3, rows, 1, 5\)"):
        linear.columns(torch.zeros(shape, dtype=torch.float64))


def test_points_that_are_no_numbers_spoil_only_their_row() -> None:
    model = network([2, 3, 1], 5)
    x = sample(5)
    x[2, 0] = math.nan
    with torch.no_grad():
        u = ew.jet(model, x)
    assert u.components[2].isnan().any()
    assert u.components[[0, 1, 3, 4]].isfinite().all()
