"""`KAN` and `KANLayer` are ordinary torch modules: all that one does with a module works."""

from __future__ import annotations

import copy
import io
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, hessian, jacfwd, jacrev, stack_module_state, vmap

import edgewise as ew
from edgewise._layer import Lock

Module: TypeAlias = ew.KAN | ew.KANLayer

# vmap moves the batch behind contiguous(); torch says so once in a process
pytestmark = pytest.mark.filterwarnings("ignore:torch.searchsorted")


def with_every_kind_of_edge() -> ew.KAN:
    """A network with product nodes, edges that are off, and locks, free and fixed."""
    model = ew.KAN([2, (3, 1), 1], grid=4)
    first, last = (layer for layer, _ in model.parts())
    first.remove(0, 1)
    first.lock(1, 0, Lock(ew.PRIMITIVES["sin"], torch.tensor([2.0, 0.3, 0.7, -0.1]).double()))
    free = torch.tensor([True, False, True, False])
    last.lock(0, 2, Lock(ew.PRIMITIVES["tanh"], torch.tensor([1.5, 0, 1, 0]).double(), free))
    return model


def layer() -> ew.KANLayer:
    domain = torch.tensor([[-1, 1], [-2, 0.5]], dtype=torch.float64)
    return ew.KANLayer(ew.bases.BSpline(2, grid=6, domain=domain, dtype=torch.float64), 3)


MODULES: dict[str, Callable[[], Module]] = {
    "network": lambda: ew.KAN([2, 5, 1]),
    "deep": lambda: ew.KAN([2, 3, 3, 2], grid=10, degree=5),
    "products": lambda: ew.KAN([2, (1, 2), (0, 2)], degree=4),
    "mixed-products": lambda: ew.KAN([2, (1, [3, 2]), 2], degree=4),
    "every-kind-of-edge": with_every_kind_of_edge,
    "fine": lambda: ew.KAN([2, 2, 1], grid=100),
    "layer": layer,
}


@pytest.fixture(params=MODULES)
def module(request: pytest.FixtureRequest) -> Module:
    return MODULES[request.param]()


@pytest.fixture
def x() -> Tensor:
    """Points inside and outside the grids."""
    return 3 * torch.rand(9, 2, dtype=torch.float64) - 1.5


def of_one(module: Module) -> Callable[[Tensor], Tensor]:
    """The module as a function of one sample, to a number."""
    return lambda v: module(v.unsqueeze(0)).sin().sum()


# state


def test_state_dict_carries_the_whole_function(module: Module, x: Tensor) -> None:
    before = module(x)
    file = io.BytesIO()
    torch.save(module.state_dict(), file)
    file.seek(0)
    twin = copy.deepcopy(module)
    for tensor in twin.state_dict().values():
        tensor.zero_()
    twin.load_state_dict(torch.load(file, weights_only=True))
    assert torch.equal(twin(x), before)


def test_state_dict_carries_moved_grids(x: Tensor) -> None:
    model = ew.adapt(ew.KAN([2, 3, 1]), 5 * x)
    twin = ew.KAN([2, 3, 1])
    twin.load_state_dict(model.state_dict())
    assert torch.equal(twin(5 * x), model(5 * x))


def test_state_dict_of_another_grid_is_refused() -> None:
    with pytest.raises(RuntimeError, match="size mismatch"):
        ew.KAN([2, 3, 1], grid=4).load_state_dict(ew.KAN([2, 3, 1]).state_dict())


def test_a_deep_copy_stands_alone(module: Module, x: Tensor) -> None:
    before = module(x).detach()
    twin = copy.deepcopy(module)
    assert torch.equal(twin(x), before)
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.add_(1)
    assert not torch.equal(twin(x), before)
    assert torch.equal(module(x), before)


def test_parameters_are_coefficients_and_constants(module: Module) -> None:
    names = [name for name, _ in module.named_parameters()]
    assert all(name.endswith(("coef", "constants")) for name in names)
    layers = [m for m in module.modules() if isinstance(m, ew.KANLayer)]
    expected = sum(m.out_features * m.in_features * m.basis.size + 4 * len(m.locks) for m in layers)
    assert sum(p.numel() for p in module.parameters()) == expected


def test_train_and_eval_and_inference_mode_compute_the_same(module: Module, x: Tensor) -> None:
    before = module.train()(x)
    assert torch.equal(module.eval()(x), before)
    with torch.inference_mode():
        assert torch.equal(module(x), before)
    with torch.no_grad():
        assert not module(x).requires_grad


def test_forward_leaves_no_trace_on_the_module(module: Module, x: Tensor) -> None:
    state = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    names = {name: sorted(vars(m)) for name, m in module.named_modules()}
    module(x).sum().backward()
    assert {name: sorted(vars(m)) for name, m in module.named_modules()} == names
    for name, tensor in module.state_dict().items():
        assert torch.equal(tensor, state[name])


def test_an_optimizer_trains_it(module: Module, x: Tensor) -> None:
    optimizer = torch.optim.Adam(module.parameters(), lr=0.01)
    y = module(x).detach() + 0.1
    losses = []
    for _ in range(30):
        optimizer.zero_grad()
        loss = (module(x) - y).square().mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]


def test_frozen_parameters_have_no_gradient(module: Module, x: Tensor) -> None:
    module.requires_grad_(False)
    x.requires_grad_()
    module(x).sum().backward()
    assert x.grad is not None
    assert all(p.grad is None for p in module.parameters())


def test_it_fits_into_a_sequence(x: Tensor) -> None:
    stack = nn.Sequential(ew.KAN([2, 3, 4]), nn.Linear(4, 2, dtype=torch.float64), layer())
    assert stack(x).shape == (9, 3)


# precision and devices


def test_casts_change_the_precision_of_everything(module: Module, x: Tensor) -> None:
    exact = module(x)
    module.to(torch.float32)
    y = module(x.float())
    assert y.dtype == torch.float32
    torch.testing.assert_close(y.double(), exact, rtol=1e-3, atol=1e-4)
    floats = [t for t in module.state_dict().values() if t.is_floating_point()]
    assert {t.dtype for t in floats} == {torch.float32}
    assert module.double()(x).dtype == torch.float64


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_networks_compute_in_the_precision_they_are_asked_for(dtype: torch.dtype) -> None:
    model = ew.KAN([2, (1, 1), 2], dtype=dtype)
    assert model.dtype == dtype
    assert model(torch.rand(3, 2, dtype=dtype)).dtype == dtype


def test_the_meta_device_knows_the_shapes(module: Module, x: Tensor) -> None:
    shape = module(x).shape
    module.to("meta")
    y = module(x.to("meta"))
    assert y.is_meta
    assert y.shape == shape


def test_a_network_born_on_the_meta_device_takes_a_state(x: Tensor) -> None:
    model = ew.KAN([2, (1, 1), 2], grid=5)
    ghost = ew.KAN([2, (1, 1), 2], grid=5, device="meta")
    assert all(t.is_meta for t in ghost.state_dict().values())
    assert ghost(x.to("meta")).shape == (9, 2)
    ghost.load_state_dict(model.state_dict(), assign=True)
    assert torch.equal(ghost(x), model(x))


def test_batches_of_none_and_one(module: Module, x: Tensor) -> None:
    assert module(x[:0]).shape == (0, *module(x).shape[1:])
    torch.testing.assert_close(module(x[:1]), module(x)[:1], rtol=1e-12, atol=1e-12)


def test_strides_of_the_input_do_not_matter(module: Module, x: Tensor) -> None:
    strange = torch.stack([x, -x], -1)[..., 0]
    assert not strange.is_contiguous()
    torch.testing.assert_close(module(strange), module(x), rtol=1e-12, atol=1e-12)


def test_nan_stays_in_its_row(module: Module, x: Tensor) -> None:
    x[4, 0] = torch.nan
    bad = module(x).isnan().any(-1)
    assert bad.nonzero().flatten().tolist() == [4]


# derivatives


def test_gradients_equal_finite_differences(module: Module, x: Tensor) -> None:
    # twice differentiable away from knots and grid ends, of which the points keep clear
    state = {name: p.detach().clone() for name, p in module.named_parameters()}
    if isinstance(module, ew.KAN) and any(len(m.locks) for m, _ in module.parts()):
        del state["layers.1.locks.0_2.constants"]  # half fixed: see test_layer
    names = list(state)

    def function(x: Tensor, *parameters: Tensor) -> Tensor:
        return functional_call(module, dict(zip(names, parameters, strict=True)), (x,))

    inputs = [x.requires_grad_(), *(p.requires_grad_() for p in state.values())]
    torch.autograd.gradcheck(function, inputs, fast_mode=True)
    torch.autograd.gradgradcheck(function, inputs, fast_mode=True)


@pytest.mark.parametrize("grid", [5, 20, 50, 100])
@pytest.mark.parametrize("degree", [2, 3, 7])
def test_every_entry_of_the_gradient(grid: int, degree: int) -> None:
    model = ew.KAN([2, (0, 1), 1], grid=grid, degree=degree)
    x = 2 * torch.rand(3, 2, dtype=torch.float64) - 1
    names = [name for name, _ in model.named_parameters()]

    def function(x: Tensor, *parameters: Tensor) -> Tensor:
        return functional_call(model, dict(zip(names, parameters, strict=True)), (x,))

    torch.autograd.gradcheck(function, (x.requires_grad_(), *model.parameters()))


def test_functional_call_takes_other_parameters(module: Module, x: Tensor) -> None:
    doubled = {name: 2 * p.detach() for name, p in module.named_parameters()}
    twin = copy.deepcopy(module)
    twin.load_state_dict(doubled, strict=False)
    assert torch.equal(functional_call(module, doubled, (x,)), twin(x))


def test_vmap_over_samples(module: Module, x: Tensor) -> None:
    one_by_one = vmap(lambda v: module(v.unsqueeze(0)).squeeze(0))(x)
    torch.testing.assert_close(one_by_one, module(x), rtol=1e-12, atol=1e-12)


def test_gradients_of_every_sample(module: Module, x: Tensor) -> None:
    result = vmap(grad(of_one(module)))(x)
    (expected,) = torch.autograd.grad(module(x.requires_grad_()).sin().sum(), x)
    torch.testing.assert_close(result, expected, rtol=1e-10, atol=1e-10)


def test_parameter_gradients_of_every_sample(module: Module, x: Tensor) -> None:
    parameters = {name: p.detach() for name, p in module.named_parameters()}

    def loss(parameters: dict[str, Tensor], v: Tensor) -> Tensor:
        return functional_call(module, parameters, (v.unsqueeze(0),)).square().sum()

    by_sample = vmap(grad(loss), in_dims=(None, 0))(parameters, x)
    module(x).square().sum().backward()
    for name, parameter in module.named_parameters():
        assert parameter.grad is not None
        torch.testing.assert_close(by_sample[name].sum(0), parameter.grad, rtol=1e-9, atol=1e-9)


def test_jacobians_forward_and_reverse(module: Module, x: Tensor) -> None:
    def function(v: Tensor) -> Tensor:
        return module(v.unsqueeze(0)).squeeze(0)

    step = 1e-6
    for v in x[:3]:
        numeric = [
            (function(v + e) - function(v - e)) / (2 * step) for e in step * torch.eye(2).double()
        ]
        expected = torch.stack(numeric, -1)
        torch.testing.assert_close(jacrev(function)(v), expected, rtol=1e-6, atol=1e-6)
        torch.testing.assert_close(jacfwd(function)(v), expected, rtol=1e-6, atol=1e-6)


def test_hessians_equal_finite_differences(module: Module, x: Tensor) -> None:
    slope = grad(of_one(module))
    step = 1e-6
    for v in x[:3]:
        numeric = [(slope(v + e) - slope(v - e)) / (2 * step) for e in step * torch.eye(2).double()]
        expected = torch.stack(numeric, -1)
        result = hessian(of_one(module))(v)
        torch.testing.assert_close(result, expected, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(result, result.T, rtol=1e-10, atol=1e-10)


def test_an_ensemble_is_one_vmap(x: Tensor) -> None:
    models = [ew.adapt(ew.KAN([2, (1, 1), 1]), scale * x) for scale in (1, 2, 3)]
    parameters, buffers = stack_module_state(models)  # type: ignore[arg-type]

    def call(parameters: dict[str, Tensor], buffers: dict[str, Tensor]) -> Tensor:
        return functional_call(models[0], (parameters, buffers), (x,))

    outputs = vmap(call)(parameters, buffers)
    for model, output in zip(models, outputs, strict=True):
        torch.testing.assert_close(output, model(x), rtol=1e-12, atol=1e-12)


def test_compile_and_export() -> None:
    # run-time shape checks confuse torch.compile: these tests have a process without them
    result = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "--no-header", "-p", "no:cacheprovider"),
            str(Path(__file__).with_name("compiled.py")),
        ],
        env={**os.environ, "JAXTYPING_DISABLE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
