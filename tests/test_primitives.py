"""The words of formulas: each says the same in torch and in SymPy, and its gauge is true."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import sympy
import torch
from torch import Tensor

import edgewise as ew
from edgewise._layer import Lock
from edgewise._primitives import find

FLOAT = torch.float64
U = sympy.Symbol("u", real=True)


@pytest.fixture(params=list(ew.PRIMITIVES), ids=lambda p: p.name)
def primitive(request: pytest.FixtureRequest) -> ew.Primitive:
    return request.param


def points(primitive: ew.Primitive, batch: int = 60) -> Tensor:
    """Random points of the domain, clear of its ends and of zero, where some have kinks."""
    low, high = max(primitive.domain[0], -4.0), min(primitive.domain[1], 4.0)
    u = low + (high - low) * (0.02 + 0.96 * torch.rand(batch, dtype=FLOAT))
    return u[u.abs() > 0.01]


def numeric(expression: Any, u: Tensor) -> Tensor:
    values = sympy.lambdify(U, expression, ["scipy", "numpy"])(u.numpy())
    return torch.from_numpy(np.broadcast_to(values, u.shape).astype(float))


# the library


def test_there_are_enough_words() -> None:
    assert len(ew.PRIMITIVES) >= 25
    names = [p.name for p in ew.PRIMITIVES]
    assert len(set(names)) == len(names) == len(ew.PRIMITIVES)


def test_a_library_is_a_set_with_an_order() -> None:
    few = ew.PRIMITIVES.only("sin", "x", "x^2")
    assert [p.name for p in few] == ["sin", "x", "x^2"]
    assert "sin" in few
    assert "cos" not in few
    assert few["sin"] is ew.PRIMITIVES["sin"]


def test_plus_adds_and_replaces() -> None:
    sinc = ew.Primitive("sinc", torch.sinc, lambda u: sympy.sinc(sympy.pi * u))
    cheap = ew.Primitive("sin", torch.sin, sympy.sin, complexity=1)
    few = ew.PRIMITIVES.only("sin", "x")
    more = few.plus(sinc, cheap)
    assert [p.name for p in more] == ["sin", "x", "sinc"]
    assert more["sin"].complexity == 1
    assert few["sin"].complexity == 2
    assert "sinc" not in ew.PRIMITIVES


@pytest.mark.parametrize(
    "ask", [lambda known: known["sine"], lambda known: known.only("x", "sine")]
)
def test_an_unknown_word(ask: Callable[[ew.Library], Any]) -> None:
    few = ew.PRIMITIVES.only("x", "sin")
    with pytest.raises(ew.ConfigError, match=r"no primitive 'sine'\. Known are: x, sin\. Pass a"):
        ask(few)


# powers


@pytest.mark.parametrize(
    ("exponent", "name"),
    [
        (2, "x^2"),
        (7, "x^7"),
        (-1, "1/x"),
        (-5, "1/x^5"),
        (Fraction(3, 2), "x^1.5"),
        (1.5, "x^1.5"),
        (1 / 3, "cbrt"),
        (-2 / 3, "1/x^(2/3)"),
        (Fraction(5, 13), "x^(5/13)"),
        (0.37, "x^0.37"),
        (-1e-7, "1/x^1e-07"),
        (math.pi, "x^3.141592653589793"),
    ],
)
def test_a_power_has_a_name_by_which_it_is_found(exponent: Any, name: str) -> None:
    power = ew.power(exponent)
    assert power.name == name
    found = find(name, ew.PRIMITIVES)
    assert found is not None
    u = torch.tensor([0.3, 1.0, 2.5], dtype=FLOAT)
    expected = u.numpy() ** float(exponent)
    for each in (power, found):
        np.testing.assert_allclose(each.torch(u), expected, rtol=1e-14)
        np.testing.assert_allclose(numeric(each.sympy(U), u), expected, rtol=1e-14)
        assert each.degree == pytest.approx(float(exponent), rel=1e-15)


def test_a_power_in_the_library_is_that_of_the_library() -> None:
    assert all(ew.power(ew.PRIMITIVES[n].degree) is ew.PRIMITIVES[n] for n in ("sqrt", "1/x^4"))


@pytest.mark.parametrize("exponent", [0, 1, math.nan, math.inf, Fraction(1)])
def test_what_is_no_power(exponent: Any) -> None:
    with pytest.raises(ew.ConfigError, match="a finite exponent other than 0 and 1"):
        ew.power(exponent)


@pytest.mark.parametrize(
    "name", ["x^0", "x^1", "x^07", "x^2.0", "x^-2", "y^2", "x^(4/6)", "x^", ""]
)
def test_a_name_that_is_no_power(name: str) -> None:
    assert find(name, ew.PRIMITIVES) is None


# each word


def test_torch_and_sympy_agree(primitive: ew.Primitive) -> None:
    u = points(primitive)
    expected = numeric(primitive.sympy(U), u)
    torch.testing.assert_close(primitive.torch(u), expected, rtol=1e-12, atol=1e-12)


def test_the_sympy_form_is_exact(primitive: ew.Primitive) -> None:
    assert not primitive.sympy(U).atoms(sympy.Float)


def test_slopes_equal_finite_differences(primitive: ew.Primitive) -> None:
    u = points(primitive)
    value, slope = primitive.slope(u)
    assert torch.equal(value, primitive.torch(u))
    step = 1e-6 * u.abs().clamp(max=1)
    expected = (primitive.torch(u + step) - primitive.torch(u - step)) / (2 * step)
    torch.testing.assert_close(slope, expected, rtol=2e-6, atol=1e-7)


def test_slopes_equal_sympys_derivative(primitive: ew.Primitive) -> None:
    u = points(primitive)
    derivative = sympy.diff(primitive.sympy(U), U).replace(sympy.DiracDelta, lambda *_: 0)
    _, slope = primitive.slope(u)
    torch.testing.assert_close(slope, numeric(derivative, u), rtol=1e-11, atol=1e-11)


def test_the_second_derivative_is_there_too(primitive: ew.Primitive) -> None:
    u = points(primitive).requires_grad_()
    (first,) = torch.autograd.grad(primitive.torch(u).sum(), u, create_graph=True)
    second = torch.zeros_like(u)
    if first.requires_grad:
        (second,) = torch.autograd.grad(first.sum(), u, allow_unused=True, materialize_grads=True)
    twice = sympy.diff(primitive.sympy(U), U, 2).replace(sympy.DiracDelta, lambda *_: 0)
    expected = numeric(twice, u.detach())
    torch.testing.assert_close(second, expected, rtol=1e-10, atol=1e-10)


def test_higher_derivatives_equal_sympys(primitive: ew.Primitive) -> None:
    u = points(primitive)
    derivatives = primitive.derivatives(u, 5)
    assert not derivatives.requires_grad
    for order, values in enumerate(derivatives):
        expression = sympy.diff(primitive.sympy(U), U, order).replace(
            lambda e: isinstance(e, sympy.DiracDelta), lambda _: sympy.S.Zero
        )
        expected = numeric(expression, u)
        scale = float(expected.abs().max())
        torch.testing.assert_close(values, expected, rtol=1e-9, atol=1e-11 * scale)


def test_higher_derivatives_can_be_differentiated_again(primitive: ew.Primitive) -> None:
    u = points(primitive).requires_grad_()
    *derivatives, last = primitive.derivatives(u, 3)
    (slope,) = torch.autograd.grad(
        derivatives[-1].sum(), u, allow_unused=True, materialize_grads=True
    )
    torch.testing.assert_close(slope, last.detach())
    with torch.no_grad():
        assert not primitive.derivatives(u, 3).requires_grad


def test_shapes_and_precision_pass_through(primitive: ew.Primitive) -> None:
    u = points(primitive)[:24].reshape(2, 3, 4).float()
    value, slope = primitive.slope(u)
    assert value.shape == slope.shape == u.shape
    assert value.dtype == slope.dtype == torch.float32
    assert primitive.torch(u[:0]).shape == (0, 3, 4)


def test_the_domain_is_where_it_is_a_number(primitive: ew.Primitive) -> None:
    low, high = primitive.domain
    assert low < high
    inside = torch.linspace(max(low, -50.0), min(high, 50.0), 1001, dtype=FLOAT)[1:-1]
    value, slope = primitive.slope(inside[inside != 0])
    assert bool(value.isfinite().all())
    assert bool(slope.isfinite().all())


def test_the_complexity_is_a_small_whole_number(primitive: ew.Primitive) -> None:
    assert type(primitive.complexity) is int
    assert 1 <= primitive.complexity <= 5
    assert (primitive.complexity == 1) == (primitive.name == "x")


def test_a_search_can_start_in_the_domain(primitive: ew.Primitive) -> None:
    low, high = primitive.domain
    reach, wide = primitive.reach
    assert 0 < reach <= wide
    assert primitive.offsets
    assert all(low < offset - reach and offset + reach < high for offset in primitive.offsets)


# gauges: for each, an identity f(g u) = h(f(u)) that makes one of the constants redundant

SHIFTS = (-1.3, 0.4, 2.0)
SCALES = (0.2, 0.7, 3.0)


def scaled(p: ew.Primitive, u: Tensor) -> list[tuple[Tensor, Tensor]]:
    return [(p.torch(s * u), s**p.degree * p.torch(u)) for s in SCALES]


def odd(p: ew.Primitive, u: Tensor) -> list[tuple[Tensor, Tensor]]:
    return [(p.torch(-u), -p.torch(u))]


def even(p: ew.Primitive, u: Tensor) -> list[tuple[Tensor, Tensor]]:
    return [(p.torch(-u), p.torch(u))]


GAUGES: dict[str, Callable[[ew.Primitive, Tensor], list[tuple[Tensor, Tensor]]]] = {
    "none": lambda p, u: [],
    "linear": lambda p, u: [
        (p.torch(s * u + t), s * p.torch(u) + t) for s in SCALES for t in SHIFTS
    ],
    "power": scaled,
    "exp": lambda p, u: [(p.torch(u + s), math.exp(s) * p.torch(u)) for s in SHIFTS],
    "log": lambda p, u: [(p.torch(s * u), math.log(s) + p.torch(u)) for s in SCALES],
    "odd": odd,
    "even": even,
    "sine": lambda p, u: [*odd(p, u), (p.torch(u + math.pi), -p.torch(u))],
    "cosine": lambda p, u: [*even(p, u), (p.torch(u + math.pi), -p.torch(u))],
}


def test_the_gauge_is_true(primitive: ew.Primitive) -> None:
    for actual, expected in GAUGES[primitive.gauge](primitive, points(primitive)):
        torch.testing.assert_close(actual, expected, rtol=1e-12, atol=1e-12)


def test_no_gauge_is_overlooked(primitive: ew.Primitive) -> None:
    u = points(primitive)
    if primitive.domain[0] != -primitive.domain[1]:
        u = u[: len(u) // 2]
    for name in ("linear", "exp", "log", "odd", "even"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            pairs = GAUGES[name](primitive, u)
        holds = all(torch.allclose(a, b, rtol=1e-9, atol=1e-9) for a, b in pairs)
        # what a stronger gauge or the parity of a power says already
        known = {
            "linear": ("linear",),
            "exp": ("exp",),
            "log": ("log",),
            "odd": ("odd", "sine", "linear", "power"),
            "even": ("even", "cosine", "power"),
        }[name]
        assert not holds or primitive.gauge in known


# one of your own


def test_a_primitive_needs_three_things() -> None:
    sinc = ew.Primitive("sinc", torch.sinc, lambda u: sympy.sinc(sympy.pi * u))
    u = 3 * torch.randn(20, dtype=FLOAT)
    torch.testing.assert_close(numeric(sinc.sympy(U), u), torch.sinc(u), rtol=1e-12, atol=1e-12)
    assert (sinc.complexity, sinc.gauge) == (3, "none")
    value, slope = sinc.slope(u)
    step = 1e-6
    expected = (torch.sinc(u + step) - torch.sinc(u - step)) / (2 * step)
    torch.testing.assert_close(slope, expected, rtol=1e-6, atol=1e-8)
    assert torch.equal(value, torch.sinc(u))


def _cut_off(u: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return torch.sin(u)


ROUGH = {
    "no_grad": _cut_off,
    "detach": lambda u: torch.sin(u.detach()),
    "step": lambda u: (u > 0).to(u.dtype),
    "NumPy": lambda u: torch.from_numpy(np.sin(u.numpy())),
    "torch has none": torch.special.bessel_j0,
}


@pytest.mark.parametrize("function", ROUGH.values(), ids=ROUGH)
def test_a_function_without_derivative_is_told_where_one_is_needed(function: Any) -> None:
    rough = ew.Primitive("rough", function, sympy.sin)
    x = torch.linspace(-2, 2, 100, dtype=FLOAT)[:, None]
    message = r"cannot differentiate the function of the primitive 'rough'.*Make it of torch"
    with pytest.raises(ew.ConfigError, match=message):
        rough.slope(x)
    with pytest.raises(ew.ConfigError, match=message):
        rough.derivatives(x, 2)
    model = ew.KAN([1, 1])
    with pytest.raises(ew.ConfigError, match=message):
        ew.lock(model, (0, 0, 0), rough, x)
    with pytest.raises(ew.ConfigError, match=message):
        ew.symbolize(model, x, x.sin(), library=ew.Library([rough]), progress=False)
    constants, free = torch.tensor([1.0, 0.0, 2.0, 1.0], dtype=FLOAT), torch.ones(4).bool()
    model.layers[0].lock(0, 0, Lock(rough, constants, free))  # type: ignore[union-attr]
    with pytest.raises(ew.ConfigError, match=message):
        ew.fit(model, x, x.sin(), refine=False, progress=False)
    with pytest.raises(ew.ConfigError, match=message):
        ew.jet(model, x)


@pytest.mark.parametrize("function", ROUGH.values(), ids=ROUGH)
def test_a_function_without_derivative_can_still_be_evaluated(function: Any) -> None:
    rough = ew.Primitive("rough", function, sympy.sin)
    x = torch.linspace(-2, 2, 100, dtype=FLOAT)[:, None]
    model = ew.KAN([1, 1])
    constants = torch.tensor([1.0, 0.0, 2.0, 1.0], dtype=FLOAT)
    model.layers[0].lock(0, 0, Lock(rough, constants))  # type: ignore[union-attr]
    with torch.no_grad():
        expected = 2 * function(x) + 1
        assert torch.equal(model(x), expected)
    assert torch.equal(ew.trace(model, x).output, expected)
