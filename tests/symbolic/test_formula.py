"""Formulas: what they say, and that they compute what they say."""

from __future__ import annotations

import dataclasses
import math
import warnings
from typing import Any

import numpy as np
import pytest
import sympy
import torch
from torch import Tensor

import edgewise as ew
from builders import put
from edgewise._layer import Lock
from edgewise._symbolic._formula import evaluate, write
from edgewise._symbolic._gaps import gaps

X = 2 * torch.rand(60, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) - 1
x_1, x_2 = sympy.symbols("x_1 x_2", real=True)


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


def test_products_of_any_arity_are_written() -> None:
    model = ew.KAN([2, (1, [3, 2]), (0, [3])])
    for place, edge in enumerate(model.edges()):
        put(model, edge, "x", 1, 0, 1 + place % 3, place % 2)
    x = sympy.symbols("x_1 x_2", real=True)
    f = sympy.lambdify(x, write(model, {})[0], "math")
    for row, expected in zip(X[:5].tolist(), model(X[:5])[:, 0].tolist(), strict=True):
        assert f(*row) == pytest.approx(expected, rel=1e-12)


@pytest.fixture(scope="module")
def half() -> ew.Formula:
    """sqrt(2) x_1^2: a number that SymPy writes as a function."""
    model = ew.KAN([1, 1])
    put(model, (0, 0, 0), "x^2", 1, 0, math.sqrt(2), 0)
    formula = read(model, math.sqrt(2) * X[:, :1] ** 2, X[:, :1])
    assert formula.expr == sympy.sqrt(2) * x_1**2
    return formula


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


@pytest.mark.parametrize(("offset", "r2"), [(0.0, 1.0), (0.5, -math.inf)])
def test_where_held_out_rows_are_all_equal(offset: float, r2: float) -> None:
    model = ew.KAN([1, 1])
    put(model, (0, 0, 0), "x", 1, 0, 1, 0)
    x = X[:, :1]
    held = torch.full((3, 1), 0.25, dtype=torch.float64)
    formula = read(model, x, x, held_out=(held, held + offset))
    assert formula.spread == 0
    assert formula.rmse == pytest.approx(offset)
    assert formula.r2 == r2


def test_where_it_has_no_value_its_error_is_infinite() -> None:
    x = torch.rand(60, 1, dtype=torch.float64) + 0.1
    model = ew.KAN([1, 1])
    put(model, (0, 0, 0), "log", 1, 0, 1, 0)
    held = torch.tensor([[-0.1], [0.1]], dtype=torch.float64)
    formula = read(model, torch.log(x), x, held_out=(held, held))
    assert formula.rmse == math.inf
    assert formula.r2 == -math.inf
    assert str(formula) == "log(x_1)   rmse inf"


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


@pytest.fixture(params=["wave", "hybrid", "two", "half"])
def formula(request: pytest.FixtureRequest) -> ew.Formula:
    return request.getfixturevalue(request.param)


def test_the_precision_of_the_inputs_is_kept(formula: ew.Formula) -> None:
    x = X[:7, : formula.model.in_features]
    expected = formula(x)
    for kind in (torch.float32, torch.float64):
        values = formula(x.to(kind))
        assert values.dtype == kind
        torch.testing.assert_close(values.double(), expected, rtol=0, atol=1e-5)
        array = formula(x.to(kind).numpy())
        assert array.dtype == x.to(kind).numpy().dtype
        np.testing.assert_array_equal(array, values.numpy())
    assert formula(x[:0]).shape == (0, len(formula.exprs))
    assert formula(x[:0].numpy()).shape == (0, len(formula.exprs))


def test_all_that_is_like_an_array_can_be_given(formula: ew.Formula) -> None:
    numbers = [[0.0, 1.0], [1.0, -1.0], [-1.0, 0.0]]
    numbers = [row[: formula.model.in_features] for row in numbers]
    expected = formula(torch.tensor(numbers, dtype=torch.float64)).numpy()
    assert np.abs(expected).max() > 0.1
    read_only = np.array(numbers)
    read_only.flags.writeable = False
    reversed_rows = np.array(numbers[::-1])[::-1]
    whole = np.array(numbers, dtype=int)
    for x in (numbers, read_only, reversed_rows, whole, np.array(numbers, dtype=">f8")):
        values = formula(x)
        assert isinstance(values, np.ndarray)
        np.testing.assert_array_equal(values, expected)
    values = formula(torch.as_tensor(whole))
    assert values.dtype == torch.float64
    np.testing.assert_array_equal(values, expected)


def test_gradients_pass_through(wave: ew.Formula, half: ew.Formula, hybrid: ew.Formula) -> None:
    x = X[:5].clone().requires_grad_()
    (slope,) = torch.autograd.grad(wave(x).sum(), x)
    torch.testing.assert_close(slope, torch.stack([3 * (3 * X[:5, 0]).cos(), X[:5, 1]], 1))
    (slope,) = torch.autograd.grad(half(x[:, :1]).sum(), x)
    torch.testing.assert_close(slope[:, 0], 2 * math.sqrt(2) * X[:5, 0])
    (slope,) = torch.autograd.grad(hybrid(x).sum(), x)
    torch.testing.assert_close(slope[:, 0], 3 * (3 * X[:5, 0]).cos(), rtol=0, atol=1e-2)


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


@pytest.mark.parametrize("name", ["log", "sqrt", "1/sqrt", "cbrt", "x^1.5", "1/x", "1/x^3"])
def test_words_of_positive_numbers_stay_real_where_they_look_left(name: str) -> None:
    """f(-x) for negative x: SymPy must not take a root of -1 out."""
    x = -torch.rand(60, 1, dtype=torch.float64) - 0.1
    model = ew.KAN([1, 1])
    put(model, (0, 0, 0), name, -1, 0, 1, 0)
    expected = ew.PRIMITIVES[name].torch(-x)
    formula = read(model, expected, x)
    assert not formula.expr.has(sympy.I)
    torch.testing.assert_close(formula(x), expected, rtol=1e-9, atol=1e-9)


RAMPS: list[tuple[Any, Any]] = [
    (torch.relu, lambda u: sympy.Max(0, u)),
    (torch.relu, lambda u: sympy.Piecewise((u, u > 0), (0, True))),
    (torch.relu, sympy.Function("ramp")),
    (lambda u: torch.relu(u - 0.2), lambda u: sympy.Max(0, u - sympy.Rational(1, 5))),
    (lambda u: u.abs().sqrt(), lambda u: sympy.re(sympy.sqrt(sympy.I * u) * sympy.sqrt(-2))),
]


@pytest.mark.parametrize(("function", "written"), RAMPS)
def test_what_torch_does_not_know_the_network_computes(function: Any, written: Any) -> None:
    ramp = ew.Primitive("ramp", function, written)
    model = ew.KAN([1, 1])
    numbers = torch.tensor([-2.0, 0.1, 3.0, 1.0], dtype=torch.float64)
    model.parts()[0][0].lock(0, 0, Lock(ramp, numbers))
    x = X[:, :1]
    expected = 3 * function(0.1 - 2 * x) + 1
    formula = read(model, expected, x)
    torch.testing.assert_close(formula(x), expected, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(formula(x.numpy()), expected, rtol=1e-9, atol=1e-9)


def test_a_function_of_a_number_is_a_number() -> None:
    x = X[:3, :1]
    model = ew.KAN([1, 2])
    for o in range(2):  # no numeric edge, or the network would be computed
        put(model, (0, 0, o), "x", 1, 0, 1, 0)
    values = evaluate((sympy.erf(1) * x_1 + sympy.sin(1), sympy.exp(2)), model, x)
    expected = torch.cat([math.erf(1) * x + math.sin(1), torch.full_like(x, math.exp(2))], 1)
    torch.testing.assert_close(values, expected)


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


def test_numeric_edges_in_latex_have_the_names_too(hybrid: ew.Formula) -> None:
    latex = hybrid.latex()
    assert r"\phi_{0 1 0}{\left(\mathrm{U} \right)}" in latex
    assert r"\sin{\left(3 \mathrm{t} \right)}" in latex
    assert r"\phi_{0 1 0}{\left(\mathrm{b} \right)}" in hybrid.latex(["a", "b"])


def test_names_may_be_symbols_of_other_inputs(wave: ew.Formula) -> None:
    swapped = dataclasses.replace(wave, names=("x_2", "x_1"))
    assert swapped.latex() == (r"\frac{\mathrm{x\_1}^{2}}{2} + \sin{\left(3 \mathrm{x\_2} \right)}")
    assert "where x_1 = x_2, x_2 = x_1" in str(swapped)


def test_the_complexity_counts_every_sign() -> None:
    # +, 1/2, *, x^2 (3), sin, *, 3, x: of 1/2 x^2 + sin(3 x)
    model = ew.KAN([2, 1])
    put(model, (0, 0, 0), "sin", 3, 0, 1, 0)
    put(model, (0, 1, 0), "x^2", 1, 0, 0.5, 0)
    assert read(model, torch.sin(3 * X[:, :1]) + X[:, 1:] ** 2 / 2).complexity == 10


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


def test_a_pole_and_a_root_are_told_inside_and_outside() -> None:
    symbols = sympy.symbols("x_1 x_2", real=True)
    inside = gaps(1 / (symbols[0] - 1) + symbols[1], symbols, [(0, 2), (0, 1)], 0.25)
    assert inside == ("1/(x_1 - 1) has a pole between the rows.",)
    root = sympy.sqrt(1 - symbols[0]) * sympy.log(symbols[1])
    box = [(0, 0.9), (1, 2)]
    told = gaps(root, symbols, box, 0.25)
    assert told == ("sqrt(1 - x_1) has no value for some inputs beyond the range of the rows.",)
    assert gaps(root, symbols, box, 0.05) == ()
    phi = sympy.Function("phi")(symbols[0])
    assert gaps(1 / phi + sympy.exp(symbols[1]), symbols, box, 1) == ()
    assert gaps(1 / (symbols[0] + symbols[1]), symbols, [(0.1, 1), (0.1, 1)], 0.25) == ()
