"""Tables hold numbers with few digits: laws are found in them, and claimed, as far as those go."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.special
import sympy

import edgewise as ew
from edgewise._symbolic._discover._digits import Lost, lost
from edgewise._symbolic._discover._discover import laws

a, b, c = sympy.symbols("x_1:4", real=True)
draw = np.random.default_rng(7)
X = draw.uniform(1, 4, (300, 3))


def to_digits(values: Any, digits: int) -> np.ndarray:
    """Write numbers with so many digits, and read them again."""
    return np.vectorize(lambda v: float(f"{v:.{digits}g}"))(values)


@pytest.mark.parametrize("decimals", [4, 6, 9])
def test_what_decimals_lose_is_known(decimals: int) -> None:
    values = draw.uniform(5, 90, 4000)
    off = np.round(values, decimals) - values
    assert lost(np.round(values, decimals)) == pytest.approx(off.std(), rel=0.05)


def test_what_digits_lose_is_known_at_every_size() -> None:
    values = 10 ** draw.uniform(-3, 3, 20000)
    expected = lost(to_digits(values, 6))
    off = to_digits(values, 6) - values
    for low in range(-3, 3):
        here = (values > 10.0**low) & (values < 10.0 ** (low + 1))
        assert expected[here].mean() == pytest.approx(off[here].std(), rel=0.05)


def test_what_float32_loses_is_known() -> None:
    values = draw.uniform(1, 2, 4000)
    off = values.astype(np.float32).astype(float) - values
    assert lost(values.astype(np.float32).astype(float)) == pytest.approx(off.std(), rel=0.05)


@pytest.mark.parametrize(
    "values",
    [
        draw.uniform(1, 2, 100),
        np.round(draw.uniform(1, 2, 100), 2),
        draw.integers(0, 900, 100).astype(float),
        np.zeros(100),
    ],
    ids=["all digits", "settings", "counts", "zeros"],
)
def test_nothing_is_lost_where_nothing_was_rounded(values: np.ndarray) -> None:
    assert not lost(values).any()


def test_inputs_of_few_digits_are_exact_beside_a_full_target() -> None:
    x = np.round(X, 6)
    assert Lost.of(x, np.sin(x[:, 0])) is None


LAWS = {
    "gravity": (lambda x: 6.674 * x[0] * x[1] / x[2] ** 2, 6.674 * a * b / c**2),
    "energy": (lambda x: x[0] / np.sqrt(1 - (x[1] / 5) ** 2), a / sympy.sqrt(1 - b**2 / 25)),
    "lens": (lambda x: 1 / (1 / x[0] + x[2] / x[1]), a * b / (a * c + b)),
}


@pytest.mark.parametrize("name", LAWS)
@pytest.mark.parametrize("digits", [6, 8])
def test_laws_are_found_in_rounded_tables(name: str, digits: int) -> None:
    values, law = LAWS[name]
    front = ew.discover(
        to_digits(X, digits), to_digits(values(X.T), digits), progress=False, time=300
    )
    assert front.found
    assert front.to_digits
    assert not front.exact
    assert "right to the digits of the table" in front.verdict
    new = np.random.default_rng(8).uniform(1, 4, (50, 3))
    expected = sympy.lambdify((a, b, c), law, "numpy")(*new.T)
    np.testing.assert_allclose(front.best(new)[:, 0], expected, rtol=10.0 ** (1 - digits))
    assert front.best.complexity <= 13


def test_laws_are_found_in_single_precision() -> None:
    x = X.astype(np.float32)
    y = (6.674 * x[:, 0].astype(float) * x[:, 1] / x[:, 2].astype(float) ** 2).astype(np.float32)
    front = ew.discover(x, y, progress=False, time=300)
    assert front.to_digits
    assert sympy.simplify(front.best.expr * c**2 / (a * b)) == pytest.approx(6.674, rel=1e-6)


def test_a_formula_of_many_constants_is_no_law_by_its_digits() -> None:
    """The smooth function of one input is none of the searched ones, but comes in five digits."""
    x = np.linspace(0.1, 1, 60)[:, None]
    y = to_digits(scipy.special.zeta(1.5 + x[:, 0]) * scipy.special.airy(3 * x[:, 0])[0], 5)
    front = laws(x, y, time=4, seed=0)
    assert front.best.rmse < 1e-4 * y.std()
    assert not front.to_digits
