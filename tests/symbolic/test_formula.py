"""Formulas: what they say, and that they compute what they say."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import pytest
import sympy
import torch
from torch import Tensor

import edgewise as ew
from edgewise._layer import Lock

X = 2 * torch.rand(60, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) - 1
x_1, x_2 = sympy.symbols("x_1 x_2", real=True)


def put(model: ew.KAN, edge: tuple[int, int, int], name: str, *constants: float) -> None:
    depth, i, o = edge
    numbers = torch.tensor(constants, dtype=model.dtype)
    model.parts()[depth][0].lock(o, i, Lock(ew.PRIMITIVES[name], numbers))


def read(model: ew.KAN, y: Tensor, x: Tensor = X, **settings: Any) -> ew.Formula:
    return ew.symbolize(model, x, y, progress=False, **settings)


@pytest.fixture(scope="module")
def wave() -> ew.Formula:
    """y = sin(3 x_1) + x_2^2 / 2, from a network that is locked to it."""
    model = ew.KAN([2, 1])
    put(model, (0, 0, 0), "sin", 3, 0, 1, 0)
    put(model, (0, 1, 0), "x^2", 1, 0, 0.5, 0)
    return read(model, torch.sin(3 * X[:, :1]) + X[:, 1:] ** 2 / 2)


@pytest.fixture(scope="module")
def two() -> ew.Formula:
    """A sum and a product as two outputs."""
    model = ew.KAN([2, (1, 1)])
    for j, (first, second) in enumerate(((1, 1), (1, 0), (0, 1))):
        put(model, (0, 0, j), "x", 1, 0, first, 0)
        put(model, (0, 1, j), "x", 1, 0, second, 0)
    return read(model, torch.stack([X.sum(1), X.prod(1)], 1))


@pytest.fixture(scope="module")
def hybrid() -> ew.Formula:
    """The second edge is like no primitive."""
    model = ew.KAN([2, 1], grid=12)
    put(model, (0, 0, 0), "sin", 3, 0, 1, 0)
    x = 2 * torch.rand(400, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(2)) - 1
    odd = torch.sin(3 * x[:, 1:]) * torch.exp(x[:, 1:]) + torch.cos(9 * x[:, 1:])
    y = torch.sin(3 * x[:, :1]) + odd
    model = ew.fit(model, x, y, seed=0, progress=False).model
    library = ew.PRIMITIVES.only("x", "x^2", "sin")
    return read(model, y, x, names=["t", "U"], library=library)


def test_it_is_what_it_was_made_of(wave: ew.Formula) -> None:
    assert sympy.simplify(wave.expr - (sympy.sin(3 * x_1) + x_2**2 / 2)) == 0
    assert wave.exprs == (wave.expr,)
    assert wave.symbols == (x_1, x_2)
    assert wave.numeric == ()
    assert wave.finished
    assert wave.rmse < 1e-14
    assert wave.r2 == pytest.approx(1, abs=1e-14)


def test_the_error_is_that_of_the_rows_held_out() -> None:
    model = ew.KAN([2, 1])
    put(model, (0, 0, 0), "x", 1, 0, 2, 0)
    put(model, (0, 1, 0), "x", 1, 0, 1, 0)
    noise = 0.1 * torch.randn(60, 1, dtype=torch.float64)
    y = 2 * X[:, :1] + X[:, 1:] + noise
    held = X[:20], y[:20]
    formula = ew.symbolize(model, X[20:], y[20:], held_out=held, progress=False)
    difference = (formula(X[:20]) - y[:20]).numpy()
    assert formula.rmse == pytest.approx(float(np.sqrt(np.mean(difference**2))))
    assert formula.spread == pytest.approx(float(np.std(y[:20].numpy())))
    assert formula.r2 == pytest.approx(1 - np.mean(difference**2) / np.var(y[:20].numpy()))


@pytest.mark.parametrize("rows", [0, 1, 7])
def test_numpy_and_torch_give_the_same(wave: ew.Formula, rows: int) -> None:
    x = X[:rows]
    expected = np.sin(3 * x[:, :1].numpy()) + x[:, 1:].numpy() ** 2 / 2
    from_numpy = wave(x.numpy())
    assert isinstance(from_numpy, np.ndarray)
    assert from_numpy.shape == (rows, 1)
    np.testing.assert_allclose(from_numpy, expected, rtol=1e-14, atol=1e-14)
    from_torch = wave(x)
    assert isinstance(from_torch, Tensor)
    np.testing.assert_allclose(from_torch.numpy(), expected, rtol=1e-14, atol=1e-14)
    assert wave(x.float()).dtype == torch.float32


def test_gradients_pass_through(wave: ew.Formula) -> None:
    x = X[:5].clone().requires_grad_()
    (slope,) = torch.autograd.grad(wave(x).sum(), x)
    torch.testing.assert_close(slope, torch.stack([3 * (3 * X[:5, 0]).cos(), X[:5, 1]], 1))


def test_several_outputs(two: ew.Formula) -> None:
    assert two.exprs == (x_1 + x_2, x_1 * x_2)
    torch.testing.assert_close(two(X), torch.stack([X.sum(1), X.prod(1)], 1))
    with pytest.raises(ew.ConfigError, match="has 2 outputs: use exprs"):
        _ = two.expr
    assert "y_1 = x_1 + x_2\ny_2 = x_1*x_2" in str(two)
    assert (
        two.latex()
        == r"\begin{aligned} y_{1} &= x_{1} + x_{2} \\ y_{2} &= x_{1} x_{2} \end{aligned}"
    )
    assert two.complexity == 3 + 3


def test_where_a_logarithm_ends_there_is_nan_and_no_warning() -> None:
    x = torch.rand(60, 1, dtype=torch.float64) + 0.1
    model = ew.KAN([1, 1])
    put(model, (0, 0, 0), "log", 1, 0, 1, 0)
    formula = read(model, torch.log(x), x)
    beyond = np.array([[-1.0], [0.0], [1.0]])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        values = formula(beyond)
    assert math.isnan(values[0, 0])
    assert values[1, 0] == -math.inf
    assert values[2, 0] == 0
    assert bool(formula(torch.as_tensor(beyond))[0, 0].isnan())


@pytest.mark.parametrize(
    "name",
    ["erf", "sign", "abs", "cbrt", "arctan", "arcsin", "arctanh", "sigmoid", "gaussian", "cosh"],
)
def test_each_word_can_be_computed(name: str) -> None:
    """From every row of the library: NumPy, torch and the network agree."""
    primitive = ew.PRIMITIVES[name]
    low, high = max(primitive.domain[0], -1.0), min(primitive.domain[1], 1.0)
    x = (low + (high - low) * (0.02 + 0.96 * torch.rand(60, 1, dtype=torch.float64))).double()
    model = ew.KAN([1, 1])
    put(model, (0, 0, 0), name, 1, 0, 1, 0)
    expected = primitive.torch(x)
    formula = read(model, expected, x)
    np.testing.assert_allclose(formula(x.numpy()), expected, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(formula(x), expected, rtol=1e-9, atol=1e-9)


def test_numeric_edges_are_said_and_computed(hybrid: ew.Formula) -> None:
    assert hybrid.numeric == (ew.Edge(0, 1, 0),)
    assert "No primitive explains edge 0:1->0: there the formula stays numeric." in str(hybrid)
    assert sympy.Function("phi_0_1_0", real=True)(x_2) in sympy.preorder_traversal(hybrid.expr)
    x = torch.tensor([[0.3, -0.2]], dtype=torch.float64)
    expected = math.sin(0.9) + math.sin(-0.6) * math.exp(-0.2) + math.cos(-1.8)
    assert hybrid(x).item() == pytest.approx(expected, abs=1e-3)
    np.testing.assert_array_equal(hybrid(x.numpy()), hybrid(x).numpy())


# words


def test_print_is_short_and_names_the_inputs(hybrid: ew.Formula, wave: ew.Formula) -> None:
    assert "where x_1 = t, x_2 = U" in str(hybrid)
    assert str(wave).startswith("x_2**2/2 + sin(3*x_1)   rmse ")
    assert "where" not in str(wave)


@pytest.mark.parametrize(
    ("name", "latex"),
    [
        ("speed", r"\mathrm{speed}"),
        ("a_b", r"\mathrm{a\_b}"),
        ("50 %", r"\mathrm{50\ \%}"),
        (r"x\y{z}", r"\mathrm{x\backslash y\{z\}}"),
        ("lambda", r"\mathrm{lambda}"),
    ],
)
def test_names_in_latex_are_escaped(wave: ew.Formula, name: str, latex: str) -> None:
    assert wave.latex([name, "b"]) == (
        rf"\frac{{\mathrm{{b}}^{{2}}}}{{2}} + \sin{{\left(3 {latex} \right)}}"
    )


def test_latex_without_names(wave: ew.Formula) -> None:
    assert wave.latex() == r"\frac{x_{2}^{2}}{2} + \sin{\left(3 x_{1} \right)}"


def test_numbers_are_rounded_for_print_only() -> None:
    model = ew.KAN([1, 1])
    put(model, (0, 0, 0), "x^2", 1, 0, 1.23456789012, 0.4)
    x = X[:, :1]
    formula = read(model, 1.23456789012 * x**2 + 0.47110815, x)
    assert "1.23457*x_1**2 + 0.471108" in str(formula)
    assert formula(np.ones((1, 1))).item() == pytest.approx(1.23456789012 + 0.47110815, rel=1e-12)
    (by_name,) = (c for c in formula.constants if c.name == "c")
    assert by_name.value == pytest.approx(1.23456789012, rel=1e-12)
    assert str(by_name).startswith("edge 0:0->0 c = 1.23456789")


def test_exact_constants_are_marked(wave: ew.Formula) -> None:
    exact = {(c.edge, c.name): c for c in wave.constants}
    half = exact[ew.Edge(0, 1, 0), "c"]
    assert half.exact == sympy.Rational(1, 2)
    assert half.error == 0
    assert str(half) == "edge 0:1->0 c = 1/2"


# messages


def test_wrong_shapes(wave: ew.Formula) -> None:
    for x in (np.zeros(2), np.zeros((3, 3)), torch.zeros(1, 2, 1)):
        with pytest.raises(ew.ShapeError, match=r"takes inputs of shape \(batch, 2\), got"):
            wave(x)


def test_wrong_names(wave: ew.Formula) -> None:
    with pytest.raises(ew.ConfigError, match=r"There are 2 inputs, got 1 names: \['a'\]"):
        wave.latex(["a"])
