"""Laws of physics from a few noisy rows, as a laboratory has them."""

from __future__ import annotations

from time import process_time

import numpy as np
import pytest
import sympy

import edgewise as ew

x_1, x_2, x_3, x_4 = sympy.symbols("x_1 x_2 x_3 x_4", real=True)


def noisy(y: np.ndarray, share: float, seed: int) -> np.ndarray:
    return y * (1 + share * np.random.default_rng(seed).normal(size=len(y)))


def test_kepler() -> None:
    rng = np.random.default_rng(0)
    axis = rng.uniform(0.4, 30, 30)  # astronomical units
    front = ew.discover(
        axis[:, None], noisy(axis**1.5, 0.01, 1), progress=False, clock=process_time
    )
    assert front.found
    assert sympy.simplify(front.best.expr / x_1 ** sympy.Rational(3, 2)).is_number


@pytest.mark.slow
def test_ideal_gas() -> None:
    rng = np.random.default_rng(2)
    x = np.column_stack([rng.uniform(1, 5, 60), rng.uniform(250, 400, 60), rng.uniform(0.5, 2, 60)])
    p = 8.314 * x[:, 0] * x[:, 1] / x[:, 2]
    front = ew.discover(
        x, noisy(p, 0.02, 3), names=["n", "T", "V"], progress=False, clock=process_time
    )
    ratio = sympy.simplify(front.best.expr * x_3 / (x_1 * x_2))
    assert ratio.is_number
    assert abs(float(ratio) - 8.314) < 0.1


def test_addition_of_velocities() -> None:
    x = np.random.default_rng(4).uniform(0.1, 0.95, (100, 2))  # shares of the speed of light
    y = (x[:, 0] + x[:, 1]) / (1 + x[:, 0] * x[:, 1])
    front = ew.discover(
        x, y + 0.002 * np.random.default_rng(5).normal(size=100), progress=False, clock=process_time
    )
    f = sympy.lambdify([x_1, x_2], front.best.expr, "numpy")
    new = np.random.default_rng(6).uniform(0, 1, (200, 2))
    assert np.abs(f(*new.T) - new.sum(1) / (1 + new.prod(1))).max() < 0.005


@pytest.mark.slow
def test_damped_oscillation() -> None:
    t = np.random.default_rng(7).uniform(0, 10, 200)
    y = 2 * np.exp(-0.3 * t) * np.cos(2.5 * t)
    front = ew.discover(
        t[:, None], y + 0.02 * np.random.default_rng(8).normal(size=200), progress=False
    )
    assert front.found
    f = sympy.lambdify(x_1, front.best.expr, "numpy")
    new = np.linspace(0, 14, 300)
    assert np.abs(f(new) - 2 * np.exp(-0.3 * new) * np.cos(2.5 * new)).max() < 0.05
