"""Compiled formulas: the network computes what the formula says, to the last digits."""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import Any

import pytest
import sympy
import torch
from torch import Tensor

import edgewise as ew
from builders import sample
from edgewise._symbolic._compile._words import parse
from laws import Law, laws
from rounding import EPS, rounded

X = sample(50)
Y = X[:, 1:]
Z = X[:, :1]


@pytest.mark.parametrize("law", laws(), ids=lambda law: law.name)
def test_a_law_of_a_benchmark(law: Law) -> None:
    """To 1e-12 of the value; where terms cancel, to a few roundings of the terms.

    Of all 200, only Koza-2 and Koza-3 need the second, beside a root at x = 1.
    """
    x = law.rows(20)
    model = ew.compile_formula(law.formula, law.variables)
    with torch.no_grad():
        values = model(torch.from_numpy(x))[:, 0].tolist()
    symbols = [sympy.Symbol(name, real=True) for name in law.variables]
    read: Any = sympy.sympify
    expr = read(law.formula, locals={str(s): s for s in symbols})
    for row, value in zip(x, values, strict=True):
        exact, roundings = rounded(expr, dict(zip(symbols, row, strict=True)))
        assert math.isnan(value) == math.isnan(exact)
        if not math.isnan(exact):
            allowed = 1e-12 * abs(exact)
            if law.name.startswith("Koza"):
                allowed = max(allowed, 4 * EPS * roundings)
            assert abs(value - exact) <= allowed


@pytest.mark.parametrize(
    ("text", "expected", "widths"),
    [
        ("x + y", Z + Y, [2, 1]),
        ("x * y", Z * Y, [2, (0, 1)]),
        ("3 * x * y", 3 * Z * Y, [2, (0, 1)]),
        ("x * y + 1", Z * Y + 1, [2, (0, 1), 1]),
        ("x**2 + x", Z**2 + Z, [1, 2, 1]),
        ("sin(x) + sin(2*x + 1)", Z.sin() + (2 * Z + 1).sin(), [1, 2, 1]),
        ("sin(x**2) + x**2 + x", (Z**2).sin() + Z**2 + Z, [1, 3, 1]),
        ("x**2 * y**2 * (x + y)", Z**2 * Y**2 * (Z + Y), [2, (0, [3])]),
        ("(x + 2)**-3", (Z + 2) ** -3, [1, 1]),
        ("(x + 2)**(-2/7)", (Z + 2) ** (-2 / 7), [1, 1]),
        ("(x + 2)**0.37", (Z + 2) ** 0.37, [1, 1]),
        ("(x + 2)^pi", (Z + 2) ** math.pi, [1, 1]),
        ("2**x", 2**Z, [1, 1]),
        ("(x + 2)**y", (Z + 2) ** Y, None),
        ("exp(-(x + y)/2)", (-(Z + Y) / 2).exp(), [2, 1, 1]),
        ("E**x + pi", Z.exp() + math.pi, [1, 1]),
        ("sin(cos(sin(x)))", Z.sin().cos().sin(), [1, 1, 1, 1]),
        ("acos(x)", Z.acos(), [1, 1]),
        ("sech(x) * coth(y + 3)", 1 / Z.cosh() / (Y + 3).tanh(), None),
        ("max(x, y, 0.1)", torch.maximum(Z, Y).clamp_min(0.1), None),
        ("min(x, y)", torch.minimum(Z, Y), None),
        ("sigmoid(3*x) - gaussian(y)", (3 * Z).sigmoid() - (-(Y**2)).exp(), [2, 1]),
        ("arctan(x) + abs(y)", Z.atan() + Y.abs(), [2, 1]),
        ("sqrt(x**2)", Z.abs(), [1, 1]),
        ("x_2 - x_10", Z - Y, [2, 1]),
        ("lambda + I**2 + S", None, [3, 1]),
        ("x**1.0 + x**0.0 + y*0", Z + 1, [1, 1]),
        ("acot(x + 3) + asec(y + 3)", (1 / (Z + 3)).atan() + (1 / (Y + 3)).acos(), None),
        ("x", Z, [1, 1]),
        ("sin(5*x) + cos(3*x)", (5 * Z).sin() + (3 * Z).cos(), None),
        ("sinh(x) + abs(y) + x^6", Z.sinh() + Y.abs() + Z**6, None),
        ("(x + 2)^(2/3) * y", (Z + 2) ** (2 / 3) * Y, None),
        ("x*y*(x + y)*(x - y)*exp(x)", Z * Y * (Z + Y) * (Z - Y) * Z.exp(), [2, (0, [5])]),
        ("x*y*exp(x)*sin(x*y)", Z * Y * Z.exp() * (Z * Y).sin(), [2, (0, [2, 3]), (0, 1)]),
    ],
)
def test_what_it_becomes(text: str, expected: Any, widths: Any) -> None:
    model = ew.compile_formula(text)
    if widths is not None:
        assert model.widths == widths
    if expected is None:
        return
    x = X if model.in_features == 2 else Z
    torch.testing.assert_close(model(x), expected, rtol=1e-13, atol=1e-14)


def test_the_order_of_the_inputs_is_what_is_said() -> None:
    model = ew.compile_formula("a - 2*b", ["b", "unused", "a"])
    x = sample(20, 3)
    torch.testing.assert_close(model(x)[:, 0], x[:, 2] - 2 * x[:, 0])
    assert not bool(model.parts()[0][0].active[:, 1].any())


def test_symbols_are_inputs_whatever_is_assumed_of_them() -> None:
    a, b = sympy.Symbol("a", positive=True), sympy.Symbol("b")
    model = ew.compile_formula(sympy.exp(a) * b, [b, a])
    torch.testing.assert_close(model(X)[:, 0], X[:, 0] * X[:, 1].exp())


def test_several_outputs_keep_their_order() -> None:
    model = ew.compile_formula(["x*y", "x", "3", "sin(x*y)", "x*y"])
    expected = [Z * Y, Z, torch.full_like(Z, 3), (Z * Y).sin(), Z * Y]
    torch.testing.assert_close(model(X), torch.cat(expected, 1))
    assert ew.compile_formula(["x", "x*y"]).widths == [2, (1, 1)]


def test_what_is_there_twice_is_computed_once() -> None:
    model = ew.compile_formula("exp(sin(x*y)) + sin(x*y)**2 + cos(x*y)")
    assert model.widths == [2, (0, 1), 2, 3, 1]  # x y; sin and x y; two of sin and x y
    expected = (Z * Y).sin().exp() + (Z * Y).sin() ** 2 + (Z * Y).cos()
    torch.testing.assert_close(model(X), expected)


def test_a_primitive_of_ones_own() -> None:
    sinc = ew.Primitive("sinc", torch.sinc, lambda u: sympy.sinc(sympy.pi * u))
    ramp = ew.Primitive("ramp", torch.relu, lambda u: sympy.Max(0, u))
    library = ew.PRIMITIVES.plus(sinc, ramp)
    x = sympy.Symbol("x")
    written = sympy.sinc(2 * x) + sympy.Max(0, x - sympy.Rational(1, 2))
    expected = torch.sinc(2 * Z / math.pi) + (Z - 0.5).relu()
    for expr in (written, "sinc(2*x/pi) + ramp(x - 1/2)"):
        model = ew.compile_formula(expr, library=library)
        torch.testing.assert_close(model(Z), expected)
        used = {lock.primitive.name for layer, _ in model.parts() for _, lock in layer.locked()}
        assert {"sinc", "ramp"} <= used


def test_branches_and_their_borders() -> None:
    x, y = sympy.symbols("x y", real=True)
    low: Any = sympy.And(x < 0, y > 1)
    both: Any = sympy.Or(x >= 1, sympy.Eq(y, 0))  # pyright: ignore[reportArgumentType]
    expr = sympy.Piecewise((x - 7, low), (y + 9, both), (3, sympy.Ne(y, 1)), (x * y, True))
    model = ew.compile_formula(expr + sympy.Heaviside(x), ["x", "y"])
    points = list(itertools.product((-2.0, 0.0, 0.5, 1.0, 2.0), (-1.0, 0.0, 1.0, 2.0)))
    expected = [float((expr + sympy.Heaviside(x)).subs({x: a, y: b})) for a, b in points]
    values = model(torch.tensor(points, dtype=torch.float64))[:, 0]
    torch.testing.assert_close(values, torch.tensor(expected).double(), rtol=0, atol=1e-14)


@pytest.mark.parametrize(
    "text",
    [
        "exp(sin(pi*x_1) + x_2**2/3)*x_1 + 2",
        "3*x_1*x_2*(x_1 + 2)*exp(x_2)/7",
        "x_1**2*x_2*sin(x_1*x_2)*(x_2 + 3)",
    ],
)
def test_its_formula_is_the_formula(text: str) -> None:
    model = ew.compile_formula(text)
    formula = ew.symbolize(model, X, model(X), progress=False)
    assert sympy.simplify(formula.expr - parse(text, None)) == 0


def test_it_can_be_saved_with_powers_that_no_library_has(tmp_path: Path) -> None:
    model = ew.compile_formula("(x + 2)**7 - (x + 2)**(-5/7) + (x + 2)**0.123")
    ew.save(model, tmp_path / "m.safetensors")
    again = ew.load(tmp_path / "m.safetensors")
    assert torch.equal(again(Z), model(Z))


def test_precision_and_grid_are_those_asked_for() -> None:
    model = ew.compile_formula("x*y", grid=7, degree=2, dtype=torch.float32)
    assert (model.grid, model.degree, model.dtype) == (7, 2, torch.float32)
    torch.testing.assert_close(model(X.float()), (Z * Y).float())


# on from there


def test_constants_that_are_a_little_wrong_are_fitted() -> None:
    y = 1.7 * torch.sin(2.3 * Z + 0.2) * Y.exp() + 0.5
    model = ew.compile_formula("1.5*sin(2*x)*exp(y) + 0.3")
    result = ew.fit(model, X, y, seed=0, progress=False)
    assert result.held_out < 1e-10
    assert len(result.model.edges()) == len(model.edges())


def test_a_hypothesis_that_is_a_little_wrong_is_widened_and_fitted() -> None:
    x = 4 * torch.rand(400, 2, dtype=torch.float64) - 2
    y = x[:, :1].sin() + x[:, 1:] ** 2 + 0.1 * x[:, :1] * x[:, 1:]
    law = ew.compile_formula("sin(x) + y**2")
    wider = ew.widen(law, [2, (1, 1), 1], x=x, seed=0)
    assert torch.equal(wider(x), law(x))
    result = ew.fit(wider, x, y, seed=0, refine=12, progress=False)
    assert result.held_out < 1e-6
    names = {lock.primitive.name for _, lock in result.model.parts()[0][0].locked()}
    assert names == {"sin", "x^2"}


# messages


@pytest.mark.parametrize(
    ("expr", "inputs", "message"),
    [
        ("x +", None, r"'x \+' is no formula"),
        ("x; y", None, r"Got ';' at position 2"),
        ("x.real", None, r"Got '.' at position 2"),
        ("__import__('os')", None, 'Got "\'" at position'),
        ("x + y", ["x"], "The formula has y, and the inputs are x"),
        ("3", None, "has no variables. Name the inputs"),
        ("x", ["x", "x"], "Every input has a name of its own"),
        ("f(x)", ["x", "f"], "'f' is an input, and called like a function"),
        ("besselj(0, x)", None, r"No primitive of the library computes besselj\(0, x\)"),
        ("f(x)", None, r"No primitive of the library computes f\(x\)"),
        ("sqrt(-1)*x", None, "which is no finite real number"),
        ("x/0", None, "which is no finite real number"),
        ("atan2(x, y)", None, "Write it in sums, products, powers and functions of one argument"),
        (sympy.Integral(sympy.Symbol("x")), None, "Evaluate it first"),
        (sympy.Piecewise((1, sympy.Symbol("x") > 0)), None, "needs a last branch"),
        (sympy.Matrix([sympy.Symbol("x")]), None, "is a SymPy expression or a string"),
        (["x", 3 > 2], None, "is a SymPy expression or a string"),
        ([], None, "at least one formula"),
    ],
)
def test_what_cannot_be_compiled(expr: Any, inputs: Any, message: str) -> None:
    with pytest.raises(ew.ConfigError, match=message):
        ew.compile_formula(expr, inputs)


def test_a_library_that_lacks_the_function() -> None:
    with pytest.raises(ew.ConfigError, match=r"No primitive of the library computes cos\(x\)"):
        ew.compile_formula("cos(x)", library=ew.PRIMITIVES.only("x", "sin"))


def test_roots_of_negative_numbers_are_no_numbers() -> None:
    model = ew.compile_formula("x**(1/3)")
    values: Tensor = model(torch.tensor([[-8.0], [0.0], [8.0]], dtype=torch.float64))[:, 0]
    assert math.isnan(float(values[0].detach()))
    torch.testing.assert_close(values[1:].detach(), values.new_tensor([0.0, 2.0]))
