"""The kernels as operators of torch: derivatives of every order, transforms, tracing, devices."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.func import functional_call, grad, hessian, jacfwd, jacrev, vmap

import edgewise as ew
from edgewise._kernels import local_splines, spline_layer
from edgewise._kernels._backend import CORE
from edgewise._kernels._layer import spline_layer_twin

needs_core = pytest.mark.skipif(CORE is None, reason="the compiled core was not built")
pytestmark = pytest.mark.filterwarnings("ignore:torch.searchsorted")


@pytest.fixture
def knots() -> Tensor:
    return ew.bases.BSpline(3, grid=5, dtype=torch.float64).knots


@pytest.fixture
def x() -> Tensor:
    return 3 * torch.rand(7, 3, dtype=torch.float64) - 1.5


@pytest.fixture
def coef() -> Tensor:
    return torch.randn(2, 3, 8, dtype=torch.float64)


@pytest.fixture
def base() -> Tensor:
    return torch.randn(2, 3, dtype=torch.float64)


def test_derivatives_of_the_layer(x: Tensor, coef: Tensor, base: Tensor, knots: Tensor) -> None:
    arguments = (x.requires_grad_(), coef.requires_grad_(), base.requires_grad_())
    for count in (2, 3):  # without and with a base

        def layer(x: Tensor, coef: Tensor, base: Tensor | None = None) -> Tensor:
            return spline_layer(x, coef, knots, 3, base)

        assert torch.autograd.gradcheck(layer, arguments[:count])
        assert torch.autograd.gradgradcheck(layer, arguments[:count])


def test_third_derivatives_of_the_layer(
    x: Tensor, coef: Tensor, base: Tensor, knots: Tensor
) -> None:
    def third(layer: Callable[..., Tensor]) -> Tensor:
        at = x.detach().requires_grad_()
        value = layer(at, coef, knots, 3, base).square().sum()
        for _ in range(3):
            (value,) = torch.autograd.grad(value.sum(), at, create_graph=True)
        return value

    torch.testing.assert_close(third(spline_layer), third(spline_layer_twin))


def test_derivatives_of_local_splines(x: Tensor, knots: Tensor) -> None:
    def values(x: Tensor) -> Tensor:
        return local_splines(x, knots, 3, 1)[1]

    assert torch.autograd.gradcheck(values, (x.requires_grad_(),))
    assert torch.autograd.gradgradcheck(values, (x,))


@pytest.mark.parametrize("based", [False, True], ids=["splines", "based"])
def test_transforms(x: Tensor, coef: Tensor, base: Tensor, knots: Tensor, based: bool) -> None:
    def ours(x: Tensor, coef: Tensor, base: Tensor | None = base if based else None) -> Tensor:
        return spline_layer(x, coef, knots, 3, base)

    def twin(x: Tensor, coef: Tensor, base: Tensor | None = base if based else None) -> Tensor:
        return spline_layer_twin(x, coef, knots, 3, base)

    several = torch.stack([coef, 2 * coef, -coef])
    weights = torch.stack([base, -base])
    for transform in (
        lambda f: grad(lambda x: f(x, coef).square().sum())(x),
        lambda f: grad(lambda c: f(x, c).square().sum())(coef),
        lambda f: jacrev(f, argnums=1)(x, coef),
        lambda f: jacfwd(f)(x, coef),
        lambda f: hessian(lambda x: f(x, coef).square().sum())(x),
        lambda f: jacrev(jacrev(lambda x: f(x, coef).square().sum()))(x),
        lambda f: vmap(lambda x: f(x[None], coef)[0])(x),
        lambda f: vmap(f, in_dims=(None, 0))(x, several),
        lambda f: vmap(grad(lambda x: f(x[None], coef).square().sum()))(x),
        lambda f: vmap(grad(lambda c: f(x, c).square().sum()))(several),
        lambda f: jacrev(f, argnums=2)(x, coef, base),
        lambda f: vmap(lambda w: f(x, coef, w))(weights),
        lambda f: vmap(grad(lambda w: f(x, coef, w).square().sum()))(weights),
        lambda f: hessian(lambda w: f(x, coef, w).square().sum())(base),
    ):
        torch.testing.assert_close(transform(ours), transform(twin), rtol=1e-10, atol=1e-10)


@needs_core
def test_torch_finds_the_operators_well_made(
    x: Tensor, coef: Tensor, base: Tensor, knots: Tensor
) -> None:
    g = torch.randn(7, 2, dtype=torch.float64, requires_grad=True)
    x.requires_grad_()
    coef.requires_grad_()
    ops = torch.ops.edgewise
    for weights in (None, base.requires_grad_()):
        torch.library.opcheck(ops.spline_layer.default, (x, coef, knots, 3, weights))
        torch.library.opcheck(ops.spline_layer_backward.default, (g, x, coef, knots, 3, weights))
    # torch's own check of compiled gradients cannot sum results of different types
    utilities = ("test_schema", "test_faketensor", "test_autograd_registration")
    torch.library.opcheck(ops.local_splines.default, (x, knots, 3, 2), test_utils=utilities)
    torch.library.opcheck(ops.spline_edges.default, (x.detach(), coef.detach(), knots, 3, 2))


def test_layer_for_engineers_is_a_sum(x: Tensor) -> None:
    layer = ew.KANLinear(3, 4, grid=6, dtype=torch.float64)
    splines = torch.einsum("bik,oik->bo", layer.basis(x), layer.coef)
    base = torch.nn.functional.silu(x) @ layer.base_weight.T
    torch.testing.assert_close(layer(x), splines + base)
    torch.testing.assert_close(layer(x.reshape(1, 7, 3)), layer(x)[None])
    assert layer(x[0]).shape == (4,)
    assert layer(x[:0]).shape == (0, 4)


def test_layer_for_engineers_learns() -> None:
    torch.manual_seed(0)
    x = 2 * torch.rand(512, 2) - 1
    y = torch.sin(torch.pi * x[:, :1]) * x[:, 1:]
    network = torch.nn.Sequential(ew.KANLinear(2, 8), ew.KANLinear(8, 1))
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-2)
    for _ in range(300):
        optimizer.zero_grad()
        loss = (network(x) - y).square().mean()
        loss.backward()
        optimizer.step()
    assert loss.item() < 1e-3 * float(y.var())


def test_layer_for_engineers_says_what_is_wrong() -> None:
    with pytest.raises(ew.ConfigError, match="in_features must be a whole number"):
        ew.KANLinear(0, 3)
    with pytest.raises(ew.ConfigError, match="degree"):
        ew.KANLinear(2, 3, degree=12)


def test_layer_for_engineers_takes_what_autocast_gives() -> None:
    network = torch.nn.Sequential(torch.nn.Linear(3, 5), ew.KANLinear(5, 2))
    x = torch.randn(7, 3)
    with torch.autocast("cpu", torch.bfloat16):
        y = network(x)
    torch.testing.assert_close(y.float(), network(x), rtol=0, atol=0.03)


@pytest.mark.usefixtures("unchecked")
def test_layer_for_engineers_refuses_other_inputs() -> None:
    layer = ew.KANLinear(2, 3)
    with pytest.raises(ew.ShapeError, match=r"\(\.\.\., 2\), got \(5, 3\)"):
        layer(torch.zeros(5, 3))
    with pytest.raises(ew.DataError, match=r"float32, got inputs in torch\.float64"):
        layer(torch.zeros(5, 2, dtype=torch.float64))


def test_twins_run_on_any_device() -> None:
    # torch refuses to mix devices: a hidden tensor on the CPU would be an error
    knots = torch.empty(3, 12, device="meta")
    x, coef = torch.empty(7, 3, device="meta"), torch.empty(2, 3, 8, device="meta")
    assert spline_layer(x, coef, knots, 3).device.type == "meta"
    assert local_splines(x, knots, 3, 2)[1].device.type == "meta"
    layer = ew.KANLinear(3, 4, device="meta")
    out = layer(x.requires_grad_())
    out.sum().backward()
    assert x.grad is not None
    assert {p.grad.device.type for p in layer.parameters()} == {"meta"}
    sums = [ew._kernels.Columns(*_meta_columns())]
    H = torch.empty(16, 16, device="meta", dtype=torch.float64)
    ew._kernels.gram(sums, H)
    assert ew._kernels.pull(sums[0]).device.type == "meta"


def _meta_columns() -> tuple[Tensor, Tensor, Tensor, Tensor, int]:
    return (
        torch.empty(5, 3, device="meta", dtype=torch.int64),
        torch.empty(5, 3, 4, device="meta"),
        torch.empty(5, 1, 2, device="meta"),
        torch.empty(2, 2, device="meta", dtype=torch.int64),
        8,
    )


def test_vmap_over_layers(x: Tensor) -> None:
    layers = [ew.KANLinear(3, 2, dtype=torch.float64) for _ in range(3)]
    parameters, buffers = torch.func.stack_module_state(layers)
    together = vmap(lambda p, b: functional_call(layers[0], (p, b), (x,)))(parameters, buffers)
    for one, layer in zip(together, layers, strict=True):
        torch.testing.assert_close(one, layer(x))


WITHOUT_CORE = """
import sys, warnings
sys.modules["edgewise._kernels._core"] = None  # what an import finds that fails
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    import torch, edgewise as ew
    assert ew.kernels().name == "torch", ew.kernels()
    x = 2 * torch.rand(200, 2, dtype=torch.float64) - 1
    result = ew.fit(ew.KAN([2, 1, 1]), x, x[:, 0] * 2 + x[:, 1] ** 2, seed=0, progress=False)
    assert result.held_out < 1e-6, result
    ew.KANLinear(3, 4)(torch.zeros(5, 3)).sum().backward()
ours = [w for w in caught if "compiled core" in str(w.message)]
assert len(ours) == 1, caught
print("one warning")
"""


def test_without_the_core_there_is_one_warning_and_everything_works() -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_CORE], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "one warning\n"


COMPILED = """
import torch, edgewise as ew
torch.manual_seed(0)
layer = ew.KANLinear(3, 4, grid=7)
x = torch.randn(20, 3, requires_grad=True)
results = []
for function in (layer, torch.compile(layer, fullgraph=True)):
    layer.zero_grad()
    x.grad = None
    y = function(x)
    y.square().sum().backward()
    results.append([y.detach(), x.grad, *(p.grad for p in layer.parameters())])
for eager, compiled in zip(*results):
    torch.testing.assert_close(eager, compiled)
exported = torch.export.export(layer, (x.detach(),))
torch.testing.assert_close(exported.module()(x.detach()), layer(x.detach()))
print("equal")
"""


def test_compiled_and_exported() -> None:
    done = subprocess.run(
        [sys.executable, "-c", COMPILED], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "equal\n"
