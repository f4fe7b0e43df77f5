"""Exact numbers: found where a constant is known well enough, and only there."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
import sympy
from hypothesis import given
from hypothesis import strategies as st

from edgewise._symbolic._snap import snap

NUMBERS = {
    "2": 2,
    "-3": -3,
    "1/2": 0.5,
    "-7/12": -7 / 12,
    "pi": math.pi,
    "2*pi": 2 * math.pi,
    "-pi/4": -math.pi / 4,
    "1/pi": 1 / math.pi,
    "E": math.e,
    "sqrt(2)": math.sqrt(2),
    "sqrt(3)/2": math.sqrt(3) / 2,
    "3*sqrt(5)": 3 * math.sqrt(5),
    "0": 0.0,
}


@pytest.mark.parametrize("text", NUMBERS)
@pytest.mark.parametrize("error", [1e-14, 1e-8, 1e-5])
def test_numbers_are_recognized(text: str, error: float) -> None:
    found = snap(NUMBERS[text] + 0.7 * error, error, 1.0)
    assert found is not None
    assert sympy.simplify(found.sympy() - sympy.sympify(text)) == 0
    assert found.value == pytest.approx(float(sympy.sympify(text)), abs=1e-15)


@given(st.floats(0.1, 20), st.floats(1e-4, 0.1))
def test_what_replaces_a_constant_lies_within_its_error(value: float, error: float) -> None:
    found = snap(value, error * value, 1.0)
    if found is not None:
        assert abs(found.value - value) <= 3 * error * value
        assert float(found.sympy()) == pytest.approx(found.value, rel=1e-15)


@pytest.mark.parametrize("value", [0.7390851332, 1.2345678912, -3.3018739215, 0.5772156649])
def test_odd_numbers_that_are_known_well_stay(value: float) -> None:
    assert snap(value, 1e-10, 1.0) is None


def test_of_two_the_plainer_is_taken() -> None:
    assert str(snap(3.1, 0.06, 1.0).sympy()) in ("3", "pi")  # type: ignore[union-attr]
    found = snap(0.501, 0.002, 1.0)
    assert found is not None
    assert str(found.sympy()) == "1/2"


def test_what_is_hardly_known_is_not_made_exact() -> None:
    assert snap(1.0, 0.9, 1.0) is None
    assert snap(math.nan, 1e-3, 1.0) is None
    assert snap(math.inf, 1e-3, 1.0) is None
    assert snap(1.0, math.inf, 1.0) is None


def test_zero_is_measured_against_the_scale() -> None:
    found = snap(1e-7, 1e-7, 1.0)
    assert found is not None
    assert found.value == 0
    assert snap(1e-7, 1e-12, 1e-6) is None  # small, and yet far from zero


def test_ten_integers_by_chance() -> None:
    """Random constants known to two digits are seldom called integers: they were not."""
    values = [0.137 + 0.61803398875 * k for k in range(200)]
    false = sum(snap(v, 1e-4 * v, 1.0) is not None for v in values)
    assert false <= 30


def test_a_large_denominator_takes_a_precise_constant() -> None:
    assert snap(5 / 18, 1e-14, 1.0).factor == Fraction(5, 18)  # type: ignore[union-attr]
    assert snap(5 / 18, 1e-4, 1.0) is None
    values = np.random.default_rng(2).uniform(0.1, 3, 2000)
    false = sum(snap(v, 1e-9 * v, 1.0) is not None for v in values)
    assert false <= 2
