"""Structure tests: what a known formula is made of is what is found."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import sympy
import torch
from torch import Tensor, nn

import edgewise as ew

science = ew.science
P = torch.rand(200, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) + 0.5
N = torch.randn(200, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(2))


# derivatives


def closed(x: Tensor) -> Tensor:
    return torch.sin(x[:, :1]) * x[:, 1:2] ** 3


@pytest.mark.parametrize("law", ["sin(x) * y**3", None])
def test_derivatives_are_those_of_the_formula(law: str | None) -> None:
    f = closed if law is None else ew.compile_formula(law)
    found = science.derivatives(f, N[:, :2])
    x, y = N[:, 0], N[:, 1]
    torch.testing.assert_close(found.value, x.sin() * y**3)
    gradient = torch.stack([x.cos() * y**3, 3 * x.sin() * y**2], 1)
    torch.testing.assert_close(found.gradient, gradient)
    torch.testing.assert_close(found.hessian[:, 0, 1], 3 * x.cos() * y**2)
    torch.testing.assert_close(found.hessian[:, 1, 1], 6 * x.sin() * y)


def test_a_module_in_single_precision_is_judged_in_double_and_left_alone() -> None:
    model = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Dropout(0.5), nn.Linear(8, 1))
    found = science.derivatives(model, N[:, :2])
    assert found.hessian.dtype == torch.float64
    assert model.training
    assert next(model.parameters()).dtype == torch.float32
    W, b, v = model[0].weight.double(), model[0].bias.double(), model[3].weight.double()
    t = torch.tanh(N[:, :2] @ W.T + b)
    oracle = torch.einsum("bh,hi,hj->bij", v[0] * -2 * t * (1 - t**2), W, W)
    torch.testing.assert_close(found.hessian, oracle.detach())


# separability


@pytest.mark.parametrize(
    ("f", "operation", "groups"),
    [
        (lambda x: x[:, 0] ** 2 + (x[:, 1] + x[:, 2]).exp(), "add", ((0,), (1, 2))),
        (lambda x: x[:, 0] ** 2 * (x[:, 1] + x[:, 2]), "add", ((0, 1, 2),)),
        (lambda x: x[:, 0] ** 2 * (x[:, 1] + x[:, 2]), "multiply", ((0,), (1, 2))),
        (lambda x: x[:, 0] + x[:, 1] * x[:, 2], "multiply", ((0, 1, 2),)),
        (lambda x: x[:, 0] ** 2 * (x[:, 1] ** 2 + x[:, 2] ** 2) ** 2, "inside", ((0,), (1, 2))),
        (lambda x: (x[:, 0] + x[:, 1] + x[:, 2]).tanh(), "inside", ((0,), (1,), (2,))),
        (lambda x: (x[:, 0] ** 2 + (x[:, 1] * x[:, 2]).exp()).sin(), "inside", ((0,), (1, 2))),
        (lambda x: x[:, 0] * x[:, 1] + x[:, 1] * x[:, 2] ** 2, "inside", ((0, 2), (1,))),
        (lambda x: (x[:, 0] * x[:, 1]).sin() + x[:, 2] * x[:, 0], "inside", ((0, 1, 2),)),
    ],
)
def test_the_finest_groups(f: Any, operation: Any, groups: Any) -> None:
    x = P[:, :3]
    found = science.separate(f, x, operation)
    assert found.groups == groups
    assert found.separable == (len(groups) > 1)
    assert found.score <= (1e-4 if operation == "inside" else 1e-12)


def test_units_of_inputs_and_values_do_not_matter() -> None:
    units = torch.tensor([1e6, 1e-5, 30.0], dtype=torch.float64)

    def f(x: Tensor) -> Tensor:
        return x[:, 0] * x[:, 1] + x[:, 2] ** 2

    for operation in ("add", "multiply", "inside"):
        plain = science.separate(f, P[:, :3], operation)
        scaled = science.separate(lambda x: 1e9 * f(x / units), P[:, :3] * units, operation)
        assert plain.groups == scaled.groups
        torch.testing.assert_close(plain.scores, scaled.scores, rtol=1e-4, atol=1e-6)


def test_the_constant_beside_a_product_is_found() -> None:
    def f(x: Tensor) -> Tensor:
        return 3 + x[:, 0] ** 2 * (x[:, 1] + x[:, 2])

    assert not science.separate(f, P[:, :3], "multiply").separable
    found = science.separate(f, P[:, :3], "multiply", shift=None)
    assert found.groups == ((0,), (1, 2))
    assert found.shift == pytest.approx(-3)
    assert science.separate(f, P[:, :3], "multiply", shift=-3.0).groups == ((0,), (1, 2))


def test_groups_of_ones_own_are_scored() -> None:
    found = science.separate(lambda x: x[:, 0] + x[:, 1] * x[:, 2], P[:, :3])
    assert found.between([[0], [1, 2]]) < 1e-12
    assert found.between([[0]]) < 1e-12
    assert found.between([[1], [0, 2]]) > 0.1
    with pytest.raises(ew.ConfigError, match="each in one group at most"):
        found.between([[0, 1], [1]])


def test_a_group_that_enters_through_one_number() -> None:
    def f(x: Tensor) -> Tensor:
        return x[:, 2] * torch.sin(x[:, 0] * x[:, 1])

    assert science.lump(f, P[:, :3], [0, 1]).score < 1e-12
    other = science.lump(f, P[:, :3], [0, 2])
    assert not other.holds
    assert other.scores.shape == (2, 1)
    assert "does not enter" in str(other)


# symmetries


@pytest.mark.parametrize(
    ("kind", "inner"),
    [
        ("difference", lambda a, b: a - b),
        ("sum", lambda a, b: a + b),
        ("ratio", lambda a, b: a / b),
        ("product", lambda a, b: a * b),
        ("radial", lambda a, b: a**2 + b**2),
    ],
)
def test_each_symmetry_is_found_and_no_other(
    kind: str, inner: Callable[[Tensor, Tensor], Tensor]
) -> None:
    def f(x: Tensor) -> Tensor:
        return torch.sin(inner(x[:, 0], x[:, 2])) * x[:, 1]

    found = science.symmetries(f, P[:, :3]).found
    assert [(s.kind, s.inputs) for s in found] == [(kind, (0, 2))]
    assert found[0].score < 1e-12


def test_an_expression_of_ones_own() -> None:
    def f(x: Tensor) -> Tensor:
        return x[:, 0] * (x[:, 1] ** 2 + x[:, 2]).sin()

    a, b, c = sympy.symbols("a b c")
    held = science.invariant(f, P[:, :3], b**2 + c, names=[a, b, c])
    assert held.holds
    assert held.inputs == (1, 2)
    assert held.share == 1
    torch.testing.assert_close(held.cosines, torch.ones_like(held.cosines))
    # the cosine with b + c, by hand: gradients (2 b, 1) and (1, 1)
    other = science.invariant(f, P[:, :3], "b + c", names="a b c".split())
    slope = 2 * P[:, 1]
    cosine = (slope + 1) / ((slope**2 + 1).sqrt() * 2**0.5)
    torch.testing.assert_close(other.cosines, cosine)
    assert not other.holds


# the tree


def towers(x: Tensor) -> Tensor:
    first = (x[:, 0] ** 2 + x[:, 1] ** 2) ** 2 + (x[:, 2] ** 2 + x[:, 3] ** 2) ** 2
    second = (x[:, 4] ** 2 + x[:, 5] ** 2) ** 2 + (x[:, 6] ** 2 + x[:, 7] ** 2) ** 2
    return first**2 + second**2


def test_a_tree_of_three_levels() -> None:
    tree = science.structure(towers, N)
    assert [[node.inputs for node in level] for level in tree.levels] == [
        [(i,) for i in range(8)],
        [(0, 1), (2, 3), (4, 5), (6, 7)],
        [(0, 1, 2, 3), (4, 5, 6, 7)],
        [(0, 1, 2, 3, 4, 5, 6, 7)],
    ]
    assert [node.operation for node in tree.levels[2]] == ["inside", "inside"]
    assert tree.operation == "add"
    assert str(tree.levels[1][1].formula) == "x_3**2 + x_4**2"


@pytest.mark.parametrize(
    ("f", "shape"),
    [
        (lambda x: x[:, 0] * x[:, 1].exp(), "multiply(0, 1)"),
        (lambda x: x[:, 0] + x[:, 1] * x[:, 2], "add(0, multiply(1, 2))"),
        (lambda x: torch.tanh(x[:, 0] * x[:, 1] / x[:, 2] ** 2), "inside[x_1*x_2/x_3**2](0, 1, 2)"),
        (
            lambda x: torch.sin(x[:, 0] + x[:, 1] - 2 * x[:, 2]) * x[:, 3],
            "multiply(inside[x_1 + x_2 - 2*x_3](0, 1, 2), 3)",
        ),
        (lambda x: x[:, 0] ** x[:, 1], "inside(0, 1)"),
        (lambda x: x[:, 0] ** x[:, 1] + torch.sin(x[:, 0] * x[:, 2]), "function(0, 1, 2)"),
        (lambda x: (x[:, 0] + x[:, 1]) / (1 + x[:, 0] * x[:, 1]), "inside(0, 1)"),
        (lambda x: x[:, 0].sin(), "0"),
        (lambda x: 0 * x[:, 0] + 2, "constant()"),
    ],
)
def test_the_shape_of_a_tree(f: Any, shape: str) -> None:
    def written(node: ew.science.Structure) -> str:
        if node.operation == "input":
            return str(node.inputs[0])
        formula = "" if node.formula is None else f"[{node.formula}]"
        return f"{node.operation}{formula}({', '.join(map(written, node.parts))})"

    tree = science.structure(f, P[:, :4])
    assert written(tree) == shape
    assert set(tree.inputs) | set(tree.idle) == {0, 1, 2, 3}


def test_a_fitted_network_has_the_structure_of_what_it_learned() -> None:
    x = 2 * torch.rand(600, 3, dtype=torch.float64) - 1
    y = (3 * x[:, :1]).sin() * x[:, 1:2].exp() + x[:, 2:] ** 2
    result = ew.fit(ew.KAN([3, (1, 1), 1]), x, y, seed=0, refine=12, progress=False)
    tree = science.structure(result.model, x[:200], names="a b c".split())
    assert tree.operation == "add"
    assert {part.operation: part.inputs for part in tree.parts} == {
        "multiply": (0, 1),
        "input": (2,),
    }
    assert str(tree).splitlines()[0] == "sum"


def test_the_picture_has_each_operation_and_input() -> None:
    tree = science.structure(towers, N)
    axes = ew.plot.tree(tree).axes[0]
    texts = {
        kind: [t.get_text() for t in axes.texts if t.get_gid() == kind]
        for kind in ("operation", "formula")
    }
    assert sorted(texts["operation"]) == ["+", *6 * ["f(+)"]]
    assert len(texts["formula"]) == 4
    assert sum((t.get_gid() or "").startswith("input-") for t in axes.texts) == 8
    with pytest.raises(ew.ConfigError, match="at least one input"):
        ew.plot.tree(science.Structure("constant", ()))


# what cannot be judged


@pytest.mark.parametrize(
    ("f", "x", "error", "message"),
    [
        (lambda x: x[:, 0].log(), N, ew.DataError, "Give points where f is smooth"),
        (lambda x: x[:, 0].sign(), N, ew.DataError, "constant in pieces"),
        (
            lambda x: x[:, 0] ** 2 + (x[:, 1] - x[:, 1].mean().item()).relu(),
            N,
            ew.DataError,
            "pieces in input 1",
        ),
        (lambda x: np.sin(x)[:, 0], N, ew.DataError, "asks for NumPy arrays.*fit a KAN"),
        (3, N, ew.ConfigError, "f is a KAN, a module or a function of tensors, got a int"),
        (lambda x: x[:, 0].detach(), N, ew.DataError, "torch cannot differentiate f"),
        (lambda x: x.detach().numpy()[:, 0], N, ew.DataError, "got a ndarray"),
        (lambda x: x, N, ew.ShapeError, "one number for each row"),
        (lambda x: x[:, 0], N[0], ew.ShapeError, r"of shape \(batch, inputs\)"),
        (lambda x: x[:, 0], N[:1], ew.DataError, "at least 2 rows"),
        (lambda x: x[:, 0], N * torch.nan, ew.DataError, "missing or infinite"),
        (lambda x: x[:, 0], N * 0 + 1, ew.DataError, "Column 0 of x is constant"),
    ],
)
def test_what_cannot_be_judged(
    unchecked: None, f: Any, x: Tensor, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        science.separate(f, x)


def test_settings_that_are_not_accepted(unchecked: None) -> None:
    with pytest.raises(ew.ConfigError, match="between 0 and 1"):
        science.symmetries(closed, N, tolerance=0.0)
    with pytest.raises(ew.ShapeError, match="8 inputs, got 2 names"):
        science.structure(closed, N, names=["a", "b"])
    for group in (0, ["a"], [0.5]):
        with pytest.raises(ew.ConfigError, match="A group is a sequence of numbers of inputs"):
            science.lump(closed, N, group)  # type: ignore[arg-type]
    with pytest.raises(ew.ConfigError, match="The expression calls g, which SymPy does not know"):
        science.invariant(closed, N[:, :2], "g(x_1) + x_2")
    with pytest.raises(ew.ConfigError, match="it has z"):
        science.invariant(closed, N[:, :2], "x_1 + z")
    with pytest.raises(ew.ConfigError, match="not finite"):
        science.invariant(closed, N[:, :2], "log(x_1)*0.5 + sqrt(x_2)")
