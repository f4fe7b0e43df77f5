"""Discover: the right formula, from any column, and no claim where there is none."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable
from fractions import Fraction
from time import process_time
from typing import Any

import numpy as np
import pytest
import sympy
import torch

import edgewise as ew
from edgewise._symbolic._discover._front import Front
from edgewise._symbolic._discover._noise import is_noise
from edgewise._symbolic._discover._oracles import polynomial, rational
from edgewise._symbolic._discover._pool import Clock, Pool, Stop
from edgewise._symbolic._discover._problem import Problem
from edgewise._symbolic._discover._refine import refine, standard_errors
from edgewise._symbolic._discover._surrogate import fit_surrogate
from edgewise._symbolic._discover._tree import (
    constants,
    derivatives,
    evaluate,
    to_sympy,
    with_constants,
)
from edgewise._symbolic._discover._units import table

a, b, c, d = sympy.symbols("x_1 x_2 x_3 x_4", real=True)
X = np.random.default_rng(3).uniform(1, 4, (400, 4))


def look(law: sympy.Expr, x: Any = X, noise: float = 0.0, **settings: Any) -> ew.Front:
    """Search for a law of x_1, x_2, ... in the columns of x, with noise as a share of y."""
    f = sympy.lambdify([a, b, c, d][: x.shape[1]], law, "numpy")
    y = np.broadcast_to(f(*x.T), (len(x),)).astype(float)
    y = y + noise * y.std() * np.random.default_rng(4).normal(size=len(y))
    usual = {"time": 60, "progress": False, "clock": process_time}
    return ew.discover(x, y, **usual | settings)


def agrees(found: sympy.Expr, law: sympy.Expr, x: Any, tolerance: float = 1e-9) -> bool:
    """Whether two expressions have the same values, also where nothing was fitted."""
    symbols = [a, b, c, d][: x.shape[1]]
    low, high = x.min(0), x.max(0)
    wide = np.random.default_rng(5).uniform(low, high + 0.3 * (high - low), (300, x.shape[1]))
    p, q = (sympy.lambdify(symbols, e, "numpy")(*wide.T) for e in (found, law))
    return bool(np.allclose(p, q, rtol=tolerance, atol=tolerance * float(np.std(q))))


LAWS = {
    "a power": 3 * a**2 / (b * sympy.sqrt(c)),
    "a factor and a root": a / sympy.sqrt(1 + b**2 / c**2),
    "a distance": sympy.sqrt((a - b) ** 2 + (c - d) ** 2),
    "a rational function": (a + b) / (1 + a * b / c**2),
    "a polynomial": a**3 - 2 * a * b + c / 4,
    "constants inside": 1.7 * sympy.exp(-0.3 * a) + 2,
    "a wave of a product": b * sympy.cos(a * c) + d,
    "a phase": sympy.sin(2 * a + sympy.Rational(1, 3)) * b,
    "an inverse function": sympy.asin(sympy.sin(a) / b),
    "a logarithm inside": a * b * sympy.log(c / d),
    "Bose": 1 / (sympy.exp(a * b / (2 * sympy.pi * c)) - 1),
    "a power of an input": a**b,
}


@pytest.mark.parametrize("name", LAWS)
def test_exact_laws_are_found(name: str) -> None:
    width = max(int(s.name[2:]) for s in LAWS[name].free_symbols)
    x = X[:, :width]
    front = look(LAWS[name], x)
    assert front.exact
    assert front.found
    assert front.noise == 0
    assert agrees(front.best.expr, LAWS[name], x)


def test_constants_become_exact_numbers() -> None:
    expr = look(a / (4 * sympy.pi * b**2), X[:, :2]).best.expr
    assert sympy.simplify(expr - a / (4 * sympy.pi * b**2)) == 0


def test_the_users_own_constants_are_recognized() -> None:
    front = look(299792458.0 * a * b, X[:, :2], constants={"light": 299792458.0})
    assert "light" in str(front.best.expr)
    np.testing.assert_allclose(front.best(X[:5, :2])[:, 0], 299792458.0 * X[:5, 0] * X[:5, 1])


@pytest.mark.parametrize("noise", [pytest.param(0.01, marks=pytest.mark.slow), 0.1])
def test_the_form_is_found_in_noise(noise: float) -> None:
    law = a * sympy.exp(-b * c / 2)
    front = look(law, X[:200, :3], noise)
    assert front.found
    assert not front.exact
    assert agrees(front.best.expr, law, X[:, :3], 5 * noise)
    assert front.noise == pytest.approx(noise * _spread(law), rel=0.2)


def _spread(law: sympy.Expr) -> float:
    return float(np.std(sympy.lambdify([a, b, c], law, "numpy")(*X[:, :3].T)))


def test_nothing_is_read_into_noise() -> None:
    y = np.random.default_rng(6).normal(size=300)
    front = ew.discover(X[:300, :2], y, time=4, clock=process_time, progress=False)
    assert front.best.complexity <= 2
    assert front.best.r2 < 0.1


def test_a_step_is_no_law_of_smooth_functions() -> None:
    x = np.random.default_rng(7).uniform(-1, 1, (300, 2))
    y = np.where(x[:, 0] + 0.3 * np.sin(9 * x[:, 1]) > 0.1, 1.0, 0.0)
    front = ew.discover(x, y, time=3, clock=process_time, progress=False)
    assert not front.exact
    assert not front.found
    assert math.isnan(front.noise)
    assert "No law was found" in str(front)


def test_a_constant_target() -> None:
    front = ew.discover(X, np.full(len(X), 2.5), progress=False)
    assert front.exact
    assert float(front.best.expr) == 2.5


def test_a_target_that_is_an_input_and_inputs_that_are_the_same() -> None:
    x = np.column_stack([X[:, 0], X[:, 1], X[:, 1], np.full(len(X), 3.0)])
    front = ew.discover(x, X[:, 1], progress=False)
    assert front.best.expr == b
    assert front.exact


def test_inputs_without_effect_are_left_out() -> None:
    front = look(sympy.sin(a) * b, X)
    assert front.best.expr.free_symbols == {a, b}


def test_sizes_of_physics() -> None:
    x = X[:, :3] * np.array([1e-30, 1e8, 3e8])
    front = look(a * c**2 / sympy.sqrt(1 - b**2 / c**2 / 100), x)
    assert front.exact
    assert front.best.r2 == pytest.approx(1)


def test_inputs_of_both_signs() -> None:
    x = np.random.default_rng(8).uniform(-3, 3, (400, 2))
    for law in (sympy.sin(a) + b**2, a**2 * b**3, sympy.exp(a) * b, a / (b**2 + 1)):
        front = look(law, x)
        assert front.exact
        assert agrees(front.best.expr, law, x)


UNITS = {"m": (0, 1), "v": (1, 0), "c": (1, 0), "E": (2, 1)}


def test_units_take_inputs_away() -> None:
    law = a * (c**2 + b**2 / 2)
    front = look(law, X[:200, :3], 0.02, names=["m", "v", "c"], units=UNITS)
    assert front.found
    assert agrees(front.best.expr, law, X[:, :3], 0.05)
    larger = front.best.expr.subs({b: 7 * b, c: 7 * c}, simultaneous=True)  # in another unit
    assert agrees(larger, 49 * front.best.expr, X[:, :3])


def test_units_that_do_not_go_together_are_refused() -> None:
    with pytest.raises(
        ew.ConfigError, match="No product of powers of the inputs has the unit of y"
    ):
        look(a * b, X[:, :2], units=[(1, 0), (1, 0), (1, 1)])
    with pytest.raises(ew.ConfigError, match="one more"):
        look(a * b, X[:, :2], units=[(1,), (1,)])
    with pytest.raises(ew.ConfigError, match="as many exponents"):
        look(a * b, X[:, :2], units=[(1,), (1, 0), (2,)])
    with pytest.raises(ew.ConfigError, match="Missing"):
        look(a * b, X[:, :2], names=["p", "q"], units={"p": (1,), "y": (1,)})


def test_units_are_read_by_name_in_any_order() -> None:
    inputs, target = table({"y": (0.5,), "q": (2,), "p": (1,)}, ["p", "q"])
    assert inputs == [[Fraction(1)], [Fraction(2)]]
    assert target == [Fraction(1, 2)]


@pytest.mark.parametrize(
    ("x", "y", "error", "words"),
    [
        (X, X, ew.ShapeError, "one target for each row"),
        (X[:, 0], X[:, 0], ew.ShapeError, "inputs"),
        (X[:5], X[:5, 0], ew.DataError, "10 rows"),
        (X, np.where(X[:, 0] > 3, np.nan, 1), ew.DataError, "missing or infinite"),
        ([["a"]] * 20, np.ones(20), ew.DataError, "must hold numbers"),
    ],
)
def test_what_is_no_table_is_refused(x: Any, y: Any, error: type, words: str) -> None:
    with pytest.raises(error, match=words):
        ew.discover(x, y, progress=False)


def test_the_front_is_a_sequence() -> None:
    front = look(a + b * sympy.sin(c), X[:, :3], names=["p", "q_1", "r"])
    assert len(front) == len(list(front)) == len(front.rows())
    assert front[front.choice] is front.best
    assert front[:1] == (front[0],)
    sizes = [f.complexity for f in front]
    assert sizes == sorted(sizes)
    assert "x_2 = q_1" in str(front)
    assert front._repr_html_().count("<tr>") == len(front) + 1
    assert r"\sin" in (front._repr_latex_() or "")
    assert [row["best"] for row in front.rows()].count(True) == 1


def test_a_formula_without_a_network_computes_what_it_says() -> None:
    formula = look(a * b**2, X[:, :2]).best
    assert formula.model is None
    assert math.isnan(formula.network_rmse)
    x = torch.tensor([[2.0, 3.0]])
    assert formula(x).tolist() == [[18.0]]
    assert formula(x).dtype == torch.float32
    assert formula.extrapolation < 1e-12
    with pytest.raises(ew.ShapeError):
        formula(X)


def test_the_same_seed_gives_the_same_front() -> None:
    law = sympy.exp(-a * b) + c
    # a clock that counts cuts both searches off at the same place
    first, second = (
        look(law, X[:150, :3], 0.05, seed=1, time=60, clock=itertools.count().__next__)
        for _ in range(2)
    )
    assert [f.expr for f in first] == [f.expr for f in second]


def stopping(after: int) -> Callable[[], float]:
    """A clock at which the user presses Ctrl-C."""
    count = itertools.count()

    def read() -> float:
        if next(count) == after:
            raise KeyboardInterrupt
        return 0.0

    return read


def test_ctrl_c_gives_the_front_so_far() -> None:
    law = sympy.exp(sympy.sin(3 * a * b)) + sympy.tanh(c * sympy.cos(5 * a))
    front = look(law, X[:100, :3], clock=stopping(12))
    assert not front.finished
    assert len(front) >= 1


def test_when_the_time_is_over_it_is_over() -> None:
    law = sympy.exp(sympy.sin(3 * a * b)) + sympy.tanh(c * sympy.cos(5 * a))
    ticks = itertools.count()
    front = look(law, X[:100, :3], time=20, clock=lambda: float(next(ticks)))
    assert not front.finished
    assert not front.exact


TREE = ("+", ("*", ("c", 1.5), ("sin", ("*", ("c", 0.7), ("x", 0)))), ("^", ("x", 1), ("c", -0.6)))


def test_derivatives_in_the_constants_are_those_of_finite_differences() -> None:
    value, J = derivatives(TREE, X)
    np.testing.assert_array_equal(value, evaluate(TREE, X))
    theta = np.array(constants(TREE))
    for k in range(len(theta)):
        ahead, behind = (
            evaluate(with_constants(TREE, iter([("c", t) for t in theta + s * np.eye(3)[k]])), X)
            for s in (1e-6, -1e-6)
        )
        np.testing.assert_allclose(J[:, k], (ahead - behind) / 2e-6, atol=1e-8)


def test_a_tree_is_the_expression_that_it_writes() -> None:
    f = sympy.lambdify([a, b], to_sympy(TREE, [a, b]), "numpy")
    np.testing.assert_allclose(evaluate(TREE, X), f(X[:, 0], X[:, 1]), rtol=1e-14)


def test_constants_are_those_of_scipy() -> None:
    from scipy.optimize import curve_fit

    rng = np.random.default_rng(9)
    y = evaluate(TREE, X) + 0.05 * rng.normal(size=len(X))
    start = with_constants(TREE, iter([("c", 1.0), ("c", 0.8), ("c", -1.0)]))
    fitted, loss = refine(start, X, y)

    def law(_: Any, p: float, q: float, r: float) -> Any:
        return p * np.sin(q * X[:, 0]) + X[:, 1] ** r

    theta, covariance = curve_fit(law, X, y, p0=[1.0, 0.8, -1.0])
    np.testing.assert_allclose(constants(fitted), theta, rtol=1e-5)
    np.testing.assert_allclose(
        standard_errors(fitted, X, y), np.sqrt(np.diag(covariance)), rtol=1e-3
    )
    assert loss == pytest.approx(float(np.mean((law(X, *theta) - y) ** 2)), rel=1e-8)


def test_derivatives_of_the_surrogate_are_those_of_the_law() -> None:
    x = X[:, :2]
    s = fit_surrogate(x, np.sin(x[:, 0]) * x[:, 1] ** 2, np.ones(len(x)))
    assert s is not None
    assert s.error < 1e-6
    np.testing.assert_allclose(s.gradient[:, 0], np.cos(x[:, 0]) * x[:, 1] ** 2, atol=2e-3)
    np.testing.assert_allclose(s.gradient[:, 1], 2 * np.sin(x[:, 0]) * x[:, 1], atol=2e-3)


def test_noise_is_told_from_what_is_missed() -> None:
    rng = np.random.default_rng(10)
    assert is_noise(X[:, :2], rng.normal(size=len(X)))
    assert not is_noise(X[:, :2], np.sin(3 * X[:, 0]))
    assert not is_noise(X[:, :2], 0.5 * np.sin(3 * X[:, 0]) + 0.5 * rng.normal(size=len(X)))


def test_squares_of_differences_are_written_as_such() -> None:
    z = np.random.default_rng(1).uniform(0, 5, (200, 4))
    y = z[:, 0] / (2 * (z[:, 0] - z[:, 1]) ** 2 + (z[:, 2] + z[:, 3]) ** 2)
    best = ew.discover(z, y, progress=False).best.expr
    assert str(best) == "x_1/(2*(x_1 - x_2)**2 + (x_3 + x_4)**2)"


def test_a_wave_of_many_periods_is_found_among_inputs() -> None:
    z = np.random.default_rng(1).uniform(-3, 3, (200, 2))
    front = ew.discover(z, np.sin(37 * z[:, 0]), progress=False)
    assert front.exact
    assert sympy.simplify(front.best.expr - sympy.sin(37 * a)) == 0


def test_a_damped_wave_is_found_in_noise() -> None:
    t = np.random.default_rng(1).uniform(0, 10, 150)
    noise = 0.01 * np.random.default_rng(2).normal(size=150)
    y = 2 * np.exp(-0.3 * t) * np.cos(2.5 * t) + noise
    front = ew.discover(t[:, None], y, progress=False, time=25)
    assert front.found
    new = np.linspace(0, 14, 300)
    law = 2 * np.exp(-0.3 * new) * np.cos(2.5 * new)
    np.testing.assert_allclose(front.best(new[:, None])[:, 0], law, atol=0.02)


def test_a_steep_bend_that_passes_for_a_step_is_not_claimed() -> None:
    z = np.random.default_rng(1).uniform(-3, 3, (200, 2))
    front = ew.discover(z, np.where(z[:, 0] > 0.3, 1.0, 0.0), progress=False, time=3)
    assert not front.found
    assert not front.exact


SUMS: dict[str, Callable[[Any], Any]] = {
    "four unlike terms of six inputs": (
        lambda x: 5 / 12 * (x[0] ** 2 + x[1] ** 2 + x[2] ** 2 - 1) + 5 / 18 * np.log(x[5])
    ),
    "one over a sum": (
        lambda x: 1 / (x[0] ** 2 + np.exp(x[1]) + np.sin(x[2]) + np.log(x[3]) + 2 + x[4] ** 3)
    ),
    "a product of unlike factors": (
        lambda x: np.exp(x[0] ** 2 / 3) * (1 + x[1] ** 2) * np.sin(x[2]) / np.sqrt(1 + x[3])
    ),
}


@pytest.mark.parametrize("name", SUMS)
def test_sums_of_functions_of_one_input_are_taken_apart(name: str) -> None:
    law = SUMS[name]
    x = np.random.default_rng(8).uniform(0.5, 2, (400, 6))
    front = ew.discover(x, law(x.T), time=20, progress=False, clock=process_time)
    assert front.exact
    far = np.random.default_rng(9).uniform(0.4, 2.2, (100, 6))
    found = sympy.lambdify(front.best.symbols, front.best.expr, "numpy")(*far.T)
    np.testing.assert_allclose(found, law(far.T), rtol=1e-9)
    assert not front.best.expr.atoms(sympy.Float)  # 5/18 is made exact too


def test_a_smooth_error_of_the_rows_is_told_from_a_law_that_was_missed() -> None:
    formula = ew.discover(X, X[:, 0] * X[:, 1], time=5, progress=False).best
    rough = dataclasses.replace(formula, rmse=1e-10 * formula.spread)
    for best, words in ((rough, "right to 1e-10"), (formula, "No law")):
        best = best if best is rough else dataclasses.replace(best, rmse=0.1 * formula.spread)
        front = Front((best,), 0, False, False, math.nan, True, 1.0)
        assert words in front.verdict


@pytest.mark.parametrize("step", [polynomial, rational])
def test_no_step_goes_on_when_the_time_is_over(step: Callable[..., None]) -> None:
    ticks = itertools.count()
    pool = Pool(X, np.tanh(X[:, 0] * X[:, 1]), Clock(3, lambda: next(ticks)))
    with pytest.raises(Stop):
        step(Problem.whole(pool), ("id", "inv", "square"))
    assert next(ticks) == 5  # one at the start, and one for each try
