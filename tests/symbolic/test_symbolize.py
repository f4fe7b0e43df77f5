"""From a fitted network to its law."""

from __future__ import annotations

import copy
import itertools
import math
import signal
from typing import Any

import numpy as np
import pytest
import sympy
import torch
from scipy.optimize import curve_fit
from torch import Tensor

import edgewise as ew
from builders import noise
from edgewise._fit import OutOfTime, Problem
from edgewise._symbolic import _beam, _exact

x_1, x_2, x_3 = sympy.symbols("x_1 x_2 x_3", real=True)
FEW = ew.PRIMITIVES.only("x", "x^2", "x^3", "sin", "exp", "tanh")


def sample(inputs: int, rows: int = 400, low: float = -1.0, high: float = 1.0) -> Tensor:
    generator = torch.Generator().manual_seed(7)
    share = torch.rand(rows, inputs, dtype=torch.float64, generator=generator)
    return low + (high - low) * share


def found(widths: list[Any], x: Tensor, y: Tensor, **settings: Any) -> ew.Formula:
    model = ew.fit(ew.KAN(widths), x, y, seed=0, progress=False).model
    return ew.symbolize(ew.prune(model, x), x, y, progress=False, **settings)


@pytest.mark.parametrize(
    ("widths", "law", "domain"),
    [
        ([2, 1], sympy.sin(sympy.pi * x_1) + x_2**2 / 2, (-1, 1)),
        ([2, 1], 3 * sympy.exp(-2 * x_1) - sympy.sqrt(x_2), (0.1, 2)),
        ([2, 1, 1], sympy.sqrt(x_1**2 + x_2**2), (0.5, 2)),
        ([2, 1, 1], x_1 * x_2, (0.5, 2)),
        ([2, (0, 1)], x_1 * x_2, (-1, 1)),
        ([3, 1, 1], 1 / (1 + x_1 + x_2 * 2 + x_3), (0, 1)),
        ([1, 1], sympy.tanh(3 * x_1) / 4 + 1, (-1, 1)),
        ([1, 1], sympy.exp(x_1 - 2001), (2000, 2003)),  # years
        ([1, 1], (x_1 - 2001) ** 2, (2000, 2003)),
        ([1, 1], 3 * sympy.sin(2000 * x_1), (-0.001, 0.001)),  # milliseconds
    ],
)
def test_laws_come_out_exactly(widths: list[Any], law: Any, domain: tuple[float, float]) -> None:
    symbols = (x_1, x_2, x_3)[: widths[0]]
    x = sample(widths[0], 600, *domain)
    y = torch.as_tensor(sympy.lambdify(symbols, law)(*x.numpy().T)).unsqueeze(-1)
    formula = found(widths, x, y)
    difference = sympy.simplify(sympy.expand_log(formula.expr - law, force=True))
    assert difference == 0, formula.expr
    assert formula.rmse < 1e-12
    assert formula.finished


def test_constants_are_right_to_their_standard_errors() -> None:
    x = sample(1, 500, 0, 3)
    y = 1.37 * torch.exp(-0.81 * x) + 0.29 + 0.02 * noise(500, 1)
    formula = found([1, 1], x, y, library=ew.PRIMITIVES.only("x", "exp", "x^2"))
    values = {c.name: c for c in formula.constants if c.exact is None}

    fitted = ew.symbolize(formula.model, x, y, progress=False)  # the same rows are held out
    order = torch.randperm(500, generator=torch.Generator().manual_seed(0))[100:]
    best, covariance = curve_fit(
        lambda t, c, a, d: c * np.exp(a * t) + d,
        x[order, 0].numpy(),
        y[order, 0].numpy(),
        p0=(1, -1, 0),
    )
    for name, value, error in zip("cad", best, np.sqrt(np.diag(covariance)), strict=True):
        assert values[name].value == pytest.approx(value, abs=1e-5)
        assert values[name].error == pytest.approx(error, rel=1e-3)
    assert {c.name for c in fitted.constants if c.exact is None} == set("cad")


def test_an_input_that_is_noise_is_dropped() -> None:
    x = sample(3)
    y = torch.sin(3 * x[:, :1]) + x[:, 1:2] ** 2 + 0.1 * noise(400, 1)
    model = ew.fit(ew.KAN([3, 1]), x, y, seed=0, progress=False).model
    formula = ew.symbolize(model, x, y, library=FEW, progress=False)
    assert formula.expr.free_symbols == {x_1, x_2}


def test_noise_makes_no_wild_formula() -> None:
    x = sample(2)
    y = x[:, :1] + 2 * x[:, 1:] + 0.3 * noise(400, 1)
    formula = found([2, 5, 1], x, y)
    assert sympy.Poly(formula.expr, x_1, x_2).total_degree() == 1
    assert formula.rmse == pytest.approx(0.3, rel=0.3)


def test_the_same_seed_gives_the_same_formula_and_the_network_stays() -> None:
    x = sample(2, 150)
    y = torch.exp(1.234 * x[:, :1]) - x[:, 1:] ** 3 + 0.01 * noise(150, 1)
    model = ew.fit(ew.KAN([2, 1]), x, y, seed=0, progress=False).model
    before = copy.deepcopy(model.state_dict())
    state = torch.get_rng_state()
    first = ew.symbolize(model, x, y, seed=3, library=FEW, progress=False)
    second = ew.symbolize(model, x, y, seed=3, library=FEW, progress=False)
    assert torch.equal(torch.get_rng_state(), state)
    assert first.exprs == second.exprs
    assert first.rmse == second.rmse
    other = ew.symbolize(model, x, y, seed=4, library=FEW, progress=False)
    assert other.rmse != first.rmse  # other rows are held out
    assert first.constants == second.constants
    assert all(torch.equal(model.state_dict()[key], before[key]) for key in before)
    assert all(p.requires_grad for p in model.parameters())


@pytest.mark.parametrize("name", ["x^3", "tanh", "sinh", "arctan"])
def test_a_word_is_preferred_to_a_spline_on_few_intervals(name: str) -> None:
    """Noise leaves a spline with as few numbers as a word, and that is no formula."""
    x = sample(2)
    curve = ew.PRIMITIVES[name].torch(2 * x[:, :1])
    y = curve / curve.std() + torch.sin(3 * x[:, 1:]) + 0.2 * noise(400, 1)
    model = ew.fit(ew.KAN([2, 1]), x, y, seed=0, refine=False, progress=False).model
    library = ew.PRIMITIVES.only("x", "sin", "tan", name)
    formula = ew.symbolize(model, x, y, library=library, progress=False)
    assert formula.numeric == ()
    assert formula.rmse == pytest.approx(0.2, rel=0.2)


@pytest.mark.parametrize("law", [torch.sqrt, lambda x: x ** (1 / 3), lambda x: x**1.5])
def test_a_root_may_begin_at_zero(law: Any) -> None:
    x = torch.linspace(0, 2, 101, dtype=torch.float64).unsqueeze(-1)
    formula = found([1, 1], x, law(x))
    torch.testing.assert_close(formula(x), law(x), rtol=0, atol=1e-12)
    assert formula.numeric == ()
    assert formula.expr.atoms(sympy.Float) == set()


def test_forms_of_data(additive: tuple[ew.KAN, Tensor, Tensor]) -> None:
    model, x, y = additive
    settings: dict[str, Any] = {"library": FEW, "progress": False}
    expected = ew.symbolize(model, x, y, **settings)
    formula = ew.symbolize(model, x.numpy(), y[:, 0].numpy(), names=["a", "b", "c"], **settings)
    assert formula.exprs == expected.exprs
    assert formula.names == ("a", "b", "c")
    assert formula.rmse == expected.rmse


def test_a_network_in_single_precision_can_be_read() -> None:
    x = sample(2).float()
    y = torch.sin(3 * x[:, :1]) + x[:, 1:] ** 2
    model = ew.fit(ew.KAN([2, 1], dtype=torch.float32), x, y, seed=0, progress=False).model
    formula = ew.symbolize(model, x, y, library=FEW, progress=False)
    assert sympy.simplify(formula.expr - sympy.sin(3 * x_1) - x_2**2) == 0
    assert formula.model.dtype == torch.float64
    assert model.dtype == torch.float32
    assert formula(x).dtype == torch.float32


def test_several_outputs_each_have_a_formula() -> None:
    x = sample(2, 200)
    y = torch.stack([torch.sin(3 * x[:, 0]) + x[:, 1], torch.exp(x[:, 1])], 1)
    formula = found([2, 2], x, y, library=FEW)
    assert formula.exprs == (sympy.sin(3 * x_1) + x_2, sympy.exp(x_2))


def test_an_output_that_is_constant_does_no_harm() -> None:
    x = sample(2)
    y = torch.cat([torch.sin(3 * x[:, :1]), 1e-3 * noise(400, 1)], 1)
    model = ew.fit(ew.KAN([2, 1]), x, y[:, :1], seed=0, progress=False).model
    wide = ew.KAN([2, 2], grid=model.grid, degree=model.degree)
    with torch.no_grad():
        wide.parts()[0][0].basis = model.parts()[0][0].basis
        wide.parts()[0][0].coef[0] = model.parts()[0][0].coef[0]
        wide.parts()[0][0].coef[1] = 0
    formula = ew.symbolize(wide, x, y, library=FEW, progress=False)
    assert formula.exprs[0] == sympy.sin(3 * x_1)
    assert float(formula(x)[:, 1].abs().max()) < 1e-3


def test_an_input_that_is_constant_where_it_is_fitted_does_no_harm() -> None:
    x = sample(2, 100)
    y = torch.sin(3 * x[:, :1])
    model = ew.fit(ew.KAN([2, 1]), x, y, seed=0, progress=False).model
    order = torch.randperm(100, generator=torch.Generator().manual_seed(0))
    x[:, 1] = 0
    x[order[0], 1] = 1  # a row that is held out
    formula = ew.symbolize(model, x, y, library=FEW, progress=False)
    assert formula.expr == sympy.sin(3 * x_1)


def test_locked_edges_stay_locked() -> None:
    x = sample(2)
    y = torch.sin(3 * x[:, :1]) + x[:, 1:] ** 2
    model = ew.fit(ew.KAN([2, 1]), x, y, seed=0, progress=False).model
    locked = ew.lock(model, (0, 0, 0), "cos", x)  # a cosine with a phase, as the user wants it
    formula = ew.symbolize(locked, x, y, progress=False)
    words = {
        lock.primitive.name for layer, _ in formula.model.parts() for _, lock in layer.locked()
    }
    assert words == {"cos", "x^2"}


def test_a_word_of_ones_own_can_be_found() -> None:
    x = sample(1, low=0)
    y = torch.special.bessel_j0(12 * x)
    bessel = ew.Primitive("J0", _J0.apply, lambda u: sympy.besselj(0, u))
    formula = found([1, 1], x, y, library=ew.PRIMITIVES.plus(bessel))
    assert formula.expr == sympy.besselj(0, 12 * x_1)


class _J0(torch.autograd.Function):
    """torch has no derivative of its Bessel function."""

    @staticmethod
    def forward(ctx: Any, u: Tensor) -> Tensor:
        ctx.save_for_backward(u)
        return torch.special.bessel_j0(u)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (u,) = ctx.saved_tensors
        return -gradients[0] * torch.special.bessel_j1(u)


def test_outputs_of_a_classifier_can_be_read() -> None:
    x = sample(2)
    labels = (x[:, 0] + x[:, 1] > 0).long()
    model = ew.fit(ew.KAN([2, 2]), x, labels, loss="cross-entropy", seed=0, progress=False).model
    with torch.no_grad():
        formula = ew.symbolize(model, x, model(x), progress=False)
    agree = (formula(x).argmax(1) == labels).double().mean()
    assert float(agree) > 0.97
    assert len(formula.exprs) == 2


# an end before the end


@pytest.fixture(scope="module")
def additive() -> tuple[ew.KAN, Tensor, Tensor]:
    x = sample(3)
    y = torch.sin(3 * x[:, :1]) + x[:, 1:2] ** 2 + torch.exp(x[:, 2:])
    return ew.fit(ew.KAN([3, 1]), x, y, seed=0, progress=False).model, x, y


def test_without_time_all_stays_numeric(additive: tuple[ew.KAN, Tensor, Tensor]) -> None:
    formula = ew.symbolize(*additive, time=1e-9, progress=False)
    assert not formula.finished
    assert len(formula.numeric) == 3
    assert "The search ended before edge 0:0->0" in str(formula)
    assert formula.rmse == pytest.approx(formula.network_rmse)


@pytest.mark.parametrize("error", [KeyboardInterrupt, OutOfTime])
@pytest.mark.parametrize("after", [1, 4])
def test_an_interrupt_returns_what_there_is(
    additive: tuple[ew.KAN, Tensor, Tensor],
    error: type[BaseException],
    after: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls = itertools.count(1)
    original = _beam._extend

    def extend(*arguments: Any) -> Any:
        if next(calls) > after:
            raise error
        return original(*arguments)

    monkeypatch.setattr(_beam, "_extend", extend)
    formula = ew.symbolize(*additive, library=FEW, progress=False)
    x = additive[1]
    torch.testing.assert_close(formula(x), additive[2], rtol=0, atol=1e-3)
    assert not formula.finished
    assert len(formula.numeric) == {1: 2, 4: 1}[after]  # within the second edge and the third


@pytest.mark.parametrize("after", [0, 1, 3, 8, 15, 20])
def test_ctrl_c_at_any_time_returns_a_formula(
    additive: tuple[ew.KAN, Tensor, Tensor], after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, calls = Problem.value, itertools.count(-1)

    def value(self: Problem) -> float:
        if next(calls) == 10 * after:
            signal.raise_signal(signal.SIGINT)
        return original(self)

    monkeypatch.setattr(Problem, "value", value)
    model, x, y = additive
    before = copy.deepcopy(model.state_dict())
    formula = ew.symbolize(model, x, y, library=FEW, progress=False)
    assert not formula.finished
    torch.testing.assert_close(formula(x), y, rtol=0, atol=1e-3)
    assert all(torch.equal(model.state_dict()[key], before[key]) for key in before)
    assert all(math.isfinite(c.error) for c in formula.constants)


def test_an_interrupt_before_constants_are_exact(
    additive: tuple[ew.KAN, Tensor, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(_exact, "_plainest", interrupted)
    formula = ew.symbolize(*additive, library=FEW, progress=False)
    assert not formula.finished
    assert formula.numeric == ()
    assert all(constant.exact is None for constant in formula.constants)
    torch.testing.assert_close(formula(additive[1]), additive[2], rtol=0, atol=1e-9)


# messages


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        ({"names": ["a"]}, ew.ConfigError, "has 2 inputs, got 1 names"),
        ({"names": []}, ew.ConfigError, "has 2 inputs, got 0 names"),
        ({"x": torch.zeros(20, 3)}, ew.ShapeError, r"x must have the shape \(batch, 2\)"),
        ({"y": torch.zeros(20, 2)}, ew.ShapeError, r"y must have the shape \(20, 1\)"),
        ({"y": torch.zeros(7, 1)}, ew.ShapeError, "they must be the same rows"),
        ({"y": torch.full((20, 1), torch.nan)}, ew.DataError, "20 missing or infinite values"),
        ({"y": torch.ones(20, 1)}, ew.DataError, "Column 0 of y is constant"),
        ({"x": torch.zeros(20, 2)}, ew.DataError, "Column 0 of x is constant"),
        ({"held_out": 1.5}, ew.ConfigError, "held_out is a share of the rows between 0 and 1"),
        ({}, ew.DataError, "The network does not explain these data.*Fit it first"),
    ],
)
def test_what_cannot_be_read_is_said(
    arguments: dict[str, Any], kind: type[Exception], message: str
) -> None:
    x = sample(2, 20)
    given = {"x": x, "y": 100 + torch.randn(20, 1, dtype=torch.float64), "progress": False}
    with pytest.raises(kind, match=message):
        ew.symbolize(ew.KAN([2, 1]), **given | arguments)


def test_the_users_own_constants_are_recognized() -> None:
    x = 2 * torch.rand(200, 1, dtype=torch.float64) - 1
    model = ew.fit(ew.KAN([1, 1]), x, 1.38064852 * torch.sin(x), seed=0, progress=False).model
    y = 1.38064852 * torch.sin(x)
    formula = ew.symbolize(model, x, y, constants={"k_B": 1.38064852}, progress=False)
    assert str(formula.expr) == "k_B*sin(x_1)"
    assert formula.given == {"k_B": 1.38064852}
    assert torch.dist(formula(x), y) < 1e-10


def test_a_law_is_verified_beyond_the_rows_that_it_was_fitted_to() -> None:
    x = sample(1, 300, 0.1, 2)
    exact = found([1, 1], x, 3 * torch.exp(-2 * x))
    assert exact.verified
    assert exact.extrapolation < 1e-10
    assert exact.ranges == ((float(x.min()), float(x.max())),)


def test_what_fits_inside_only_is_not_verified() -> None:
    x = sample(1, 300, -1, 1)
    words = ew.PRIMITIVES.only("x", "x^2", "x^3")
    formula = found([1, 1], x, torch.exp(x), library=words)  # a piece of exp, not exp
    assert not formula.verified
    if not formula.numeric:
        assert formula.extrapolation > formula.rmse


def test_nothing_is_said_about_the_outside_where_an_edge_is_numeric() -> None:
    x = sample(2, 400)
    y = torch.sin(3 * x[:, :1]) + (x[:, 1:] * 4).sin().abs() + (7 * x[:, 1:]).cos().abs()
    formula = found([2, 1], x, y, library=ew.PRIMITIVES.only("sin", "x"))
    assert formula.numeric
    assert math.isnan(formula.extrapolation)
    assert not formula.verified
