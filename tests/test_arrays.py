"""Data are taken as tensors, NumPy's arrays and lists alike, by every function that takes data."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import edgewise as ew

LAW = "exp(sin(x_1) + x_2**2/4)"


@pytest.fixture(scope="module")
def model() -> ew.KAN:
    torch.manual_seed(0)
    return ew.KAN([2, 3, 1], grid=4, degree=5)


@pytest.fixture(scope="module")
def x() -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return 2 * torch.rand(80, 2, dtype=torch.float64, generator=generator) - 1


def fitted(_: ew.KAN, x: Any) -> ew.KAN:
    torch.manual_seed(0)
    y = np.asarray(x)[:, :1] ** 2
    options: dict[str, Any] = {"refine": False, "starts": 1, "seed": 0, "progress": False}
    return ew.fit(ew.KAN([2, 1]), x, y, **options).model


def posterior(model: ew.KAN, x: Any) -> ew.Prediction:
    torch.manual_seed(0)
    rows = torch.linspace(-1, 1, 80, dtype=torch.float64)
    x_fit = torch.stack([rows, (7 * rows).sin()], 1)
    y = x_fit[:, :1] ** 2 + 0.1 * (40 * rows[:, None]).sin()
    return ew.posterior(ew.KAN([2, 1]), x_fit, y).predict(x)


VERBS: dict[str, Callable[[ew.KAN, Any], Any]] = {
    "trace": ew.trace,
    "jet": lambda model, x: ew.jet(model, x, 2, mixed=True),
    "adapt": ew.adapt,
    "relocate": ew.relocate,
    "widen": lambda model, x: ew.widen(model, [2, 4, 1], x=x, seed=0),
    "remove": lambda model, x: ew.remove(model, (0, 0, 0), x=x),
    "select_inputs": lambda model, x: ew.select_inputs(model, [1], x=x),
    "merge": lambda model, x: ew.merge(model, x, (1, 0, 1)),
    "untangle": lambda model, x: ew.untangle(model, x=x),
    "wire_length": lambda model, x: ew.wire_length(model, x=x),
    "attribute": ew.attribute,
    "interactions": ew.interactions,
    "prune": lambda model, x: ew.prune(model, x, edge_threshold=0.3),
    "suggest": lambda model, x: ew.suggest(model, (0, 0, 0), x, library=ew.PRIMITIVES.only("sin")),
    "lock": lambda model, x: ew.lock(model, (0, 0, 0), "sin", x),
    "unlock": lambda _, x: ew.unlock(ew.compile_formula(LAW), (0, 0, 0), x),
    "fit": fitted,
    "predict": posterior,
    "derivatives": ew.science.derivatives,
    "separate": ew.science.separate,
    "lump": lambda model, x: ew.science.lump(model, x, [0]),
    "symmetries": ew.science.symmetries,
    "invariant": lambda model, x: ew.science.invariant(model, x, "x_1 + x_2"),
    "structure": ew.science.structure,
    "relations": lambda _, x: ew.science.discover_relations(x, formulas=False).free,
    "fields": lambda model, x: ew.pde.d(ew.pde.fields(model, x), 0, 1),
    "observed": lambda _, x: ew.pde.Observed(x, np.asarray(x)[:, 0]),
    "discover": lambda _, x: ew.discover(x, [float(r[0]) ** 2 for r in x], progress=False).best,
}


def same(a: Any, b: Any) -> bool:
    """Whether two results are the same, but for the rounding of sums in another order."""
    if isinstance(a, Tensor):
        like = a.shape == b.shape and a.dtype == b.dtype
        return like and torch.allclose(a, b, rtol=1e-6, atol=1e-9, equal_nan=True)
    if isinstance(a, torch.nn.Module):
        return repr(a) == repr(b) and same(a.state_dict(), b.state_dict())
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    if dataclasses.is_dataclass(a) and not isinstance(a, ew.Primitive):
        return all(same(getattr(a, f.name), getattr(b, f.name)) for f in dataclasses.fields(a))
    if isinstance(a, float):
        return bool(np.isclose(a, b, rtol=1e-6, atol=1e-9, equal_nan=True))
    return bool(a == b)


@pytest.mark.parametrize("verb", VERBS)
def test_every_kind_of_array_gives_what_the_tensor_gives(
    verb: str, model: ew.KAN, x: Tensor
) -> None:
    call = VERBS[verb]
    expected = call(model, x)
    array = x.numpy().copy()
    array.flags.writeable = False
    backwards = np.ascontiguousarray(array[::-1])[::-1]  # negative strides
    for given in (array, backwards, array.astype(">f8"), array.tolist(), array.astype(object)):
        assert same(call(model, given), expected)


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda x: x.astype(str), "must hold numbers, got an array of <U"),
        (lambda x: x + 1j, "is complex"),
        (lambda x: [[1.0, 2.0], [3.0]], "not an array of numbers"),
    ],
    ids=["text", "complex", "ragged"],
)
def test_what_holds_no_numbers_is_told(
    verb: str, wrong: Callable[[Any], Any], message: str, model: ew.KAN, x: Tensor
) -> None:
    if verb in ("observed", "discover", "fit"):  # here y is made of x
        pytest.skip("y is made of x")
    with pytest.raises(ew.DataError, match=message):
        VERBS[verb](model, wrong(x.numpy()))


@pytest.mark.parametrize("kind", [np.float32, np.float16, np.longdouble, np.int64, np.uint8])
def test_numbers_of_any_kind_are_brought_to_the_precision_of_the_network(
    kind: Any, model: ew.KAN, x: Tensor
) -> None:
    array = (3 * x + 3).numpy().astype(kind)
    expected = ew.attribute(model, torch.from_numpy(array.astype(np.float64)))
    assert same(ew.attribute(model, array), expected)


def test_a_tensor_of_another_precision_is_converted(model: ew.KAN, x: Tensor) -> None:
    assert same(ew.attribute(model, x.float()), ew.attribute(model, x.float().double()))


def test_gaps_in_an_array_are_counted(model: ew.KAN, x: Tensor) -> None:
    array = x.numpy().copy()
    array[3, 1] = np.nan
    with pytest.raises(ew.DataError, match=r"x has 1 missing .* row 3, column 1"):
        ew.attribute(model, array)


def test_a_jet_of_a_tensor_keeps_its_graph(model: ew.KAN, x: Tensor) -> None:
    x = x.clone().requires_grad_()
    (slope,) = torch.autograd.grad(ew.jet(model, x, 1).value.sum(), x)
    assert torch.allclose(slope, ew.jet(model, x.detach(), 1).gradient[:, 0])


def test_modules_take_tensors_and_say_so(unchecked: None, model: ew.KAN, x: Tensor) -> None:
    for module in (model, model.layers[0], ew.KANLinear(2, 1)):
        with pytest.raises(ew.DataError, match=r"takes a tensor, .* got ndarray.*torch\.as_tensor"):
            module(x.numpy())


def test_a_formula_gives_the_kind_that_it_was_given(x: Tensor) -> None:
    formula = ew.discover(x, (x[:, 0] * x[:, 1]).numpy(), progress=False).best
    expected = (x[:, :1] * x[:, 1:]).numpy()
    assert np.allclose(formula(x.tolist()), expected)
    single = formula(x.numpy().astype(np.float32))
    assert single.dtype == np.float32
    assert np.allclose(single, expected, atol=1e-6)


def test_a_solution_is_evaluated_at_arrays() -> None:
    pde = ew.pde
    line = pde.Problem(pde.Interval(0, 1), lambda u, x: pde.dx(u, 2) + 1, [pde.Dirichlet()])
    solution = pde.solve(line, seed=0, progress=False)
    points = np.linspace(0, 1, 11)[:, None]
    assert np.allclose(solution(points).detach().numpy(), points * (1 - points) / 2, atol=1e-8)
    assert solution.residuals(points).abs().max() < 1e-5
