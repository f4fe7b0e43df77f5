"""Compiled and exported networks equal eager ones; `test_module` runs this in its own process."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from test_module import MODULES
from torch import Tensor

import edgewise as ew

pytestmark = [
    pytest.mark.filterwarnings("ignore:torch.searchsorted"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:torch"),
]


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    yield
    torch._dynamo.reset()


def check(model: torch.nn.Module, compiled: torch.nn.Module, x: Tensor) -> None:
    """Compare outputs and all gradients."""
    results = []
    for function in (model, compiled):
        model.zero_grad()
        point = x.detach().clone().requires_grad_()
        y = function(point)
        y.square().sum().backward()
        assert point.grad is not None
        gradients = [p.grad.clone() for p in model.parameters() if p.grad is not None]
        results.append([y.detach(), point.grad, *gradients])
    assert len(results[0]) == len(results[1])
    for eager, other in zip(*results, strict=True):
        torch.testing.assert_close(other, eager, rtol=1e-10, atol=1e-10)


def points(batch: int = 9) -> Tensor:
    return 3 * torch.rand(batch, 2, dtype=torch.float64) - 1.5


@pytest.mark.parametrize("name", MODULES)
def test_one_graph_without_a_break(name: str) -> None:
    model = MODULES[name]()
    check(model, torch.compile(model, fullgraph=True, backend="aot_eager"), points())


def test_generated_code() -> None:
    model = MODULES["every-kind-of-edge"]()
    check(model, torch.compile(model, fullgraph=True), points())


def test_another_batch_is_no_new_network() -> None:
    model = ew.KAN([2, (1, 1), 1])
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager", dynamic=True)
    for batch in (4, 7, 50):
        check(model, compiled, points(batch))


@pytest.mark.parametrize("name", MODULES)
def test_export_for_any_batch(name: str) -> None:
    model = MODULES[name]()
    shapes = ({0: torch.export.Dim("batch")},)
    program = torch.export.export(model, (points(),), dynamic_shapes=shapes)
    x = points(33)
    torch.testing.assert_close(program.module()(x), model(x), rtol=1e-12, atol=1e-12)
