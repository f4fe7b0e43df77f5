"""Discover where no law is in reach: functions that have no name, and laws that are like others."""

from __future__ import annotations

import math
from time import process_time
from typing import Any

import numpy as np
import pytest
import sympy

import edgewise as ew
from edgewise._symbolic._discover._hybrid import read_networks
from edgewise._symbolic._discover._pool import Candidate
from edgewise._symbolic._discover._rivals import rivals
from edgewise._symbolic._discover._tree import FUNCTIONS, from_sympy, size, to_sympy

u, v = sympy.symbols("x_1 x_2", real=True)
Z = np.random.default_rng(11).uniform(-2, 2, (300, 2))


def nameless(t: Any) -> Any:
    return np.sin(3 * t * np.abs(t)) + 0.5 * np.tanh(5 * t - 1)


def test_what_has_no_name_stays_numeric_and_is_no_law() -> None:
    y = np.sin(2 * Z[:, 0]) + nameless(Z[:, 1])
    front = ew.discover(Z, y, progress=False, time=0.5, clock=process_time)
    assert not front.found
    mixed = front.hybrid
    assert mixed is not None
    assert mixed not in list(front)
    assert mixed.numeric
    assert not mixed.verified
    assert math.isnan(mixed.extrapolation)
    assert mixed.rmse < 0.1 * front.best.rmse
    assert "sin(2*x_1)" in str(mixed.expr)
    assert "Partly numeric, and no law" in str(front)
    new = np.random.default_rng(12).uniform(-1.8, 1.8, (50, 2))
    law = np.sin(2 * new[:, 0]) + nameless(new[:, 1])
    np.testing.assert_allclose(mixed(new)[:, 0], law, atol=5e-3)


@pytest.mark.parametrize("shape", ["a product", "the exponential of a sum"])
def test_other_shapes_than_a_sum(shape: str) -> None:
    g, h = np.cos(2 * Z[:, 0]), nameless(Z[:, 1])
    y = g * h if shape == "a product" else -np.exp(g + h)
    held = np.arange(len(y)) % 5 == 0
    rest = (Z[held], y[held])
    limit = float(y.std())
    best = read_networks(Z[~held], y[~held], rest, ("x_1", "x_2"), {}, limit, seconds=120)[0]
    assert len(best.numeric) == 1
    assert "cos(2*x_1)" in str(best.expr) or "sin(2*x_1" in str(best.expr)
    assert best.r2 > 0.999


def test_shifts_inside_of_functions_are_read_off_networks() -> None:
    z = np.abs(Z) / 2
    law = sympy.log(u + sympy.Rational(1, 2)) * sympy.sqrt(sympy.Rational(21, 20) - v)
    y = sympy.lambdify([u, v], law, "numpy")(*z.T)
    front = ew.discover(z, y, progress=False, time=1, clock=process_time)
    assert front.exact
    assert front.hybrid is None
    np.testing.assert_allclose(front.best(z)[:, 0], y, rtol=1e-12)


def candidate(expr: Any) -> Candidate:
    tree = from_sympy(expr, (u, v))
    assert tree is not None
    return Candidate(tree, 1.0, size(tree))


def test_other_laws_of_the_same_cost_are_rivals() -> None:
    x = np.random.default_rng(13).uniform(0.1, 0.6, (200, 2))
    best = candidate(2.0 * sympy.cos(u))
    same = candidate(2.1 * sympy.cos(u))  # another constant
    longer = candidate(2.0 * sympy.cos(u) + 0.01 * v)  # the first with a term more
    other = candidate(2.0 - 1.0 * u**2)
    far = candidate(2.0 * sympy.exp(-(u**2)))
    ranked = [(0.0, best), (1.0, same), (2.0, longer), (3.0, other), (40.0, far)]
    assert rivals(ranked, x) == [other]
    assert rivals(ranked[:1], x) == []


def test_an_expression_is_read_as_the_tree_that_writes_it() -> None:
    for expr in (u * sympy.exp(-v) / 3 + sympy.sin(u) ** 2, sympy.sqrt(1 - u) - 1.5 * v):
        tree = from_sympy(expr, (u, v))
        assert tree is not None
        assert sympy.simplify(to_sympy(tree, (u, v)) - expr) == 0
    assert from_sympy(sympy.Function("phi")(u), (u, v)) is None
    assert from_sympy(u**v, (u, v)) is None
    assert "phi" not in FUNCTIONS
