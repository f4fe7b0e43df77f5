"""Formulas as networks, and the sweep of the experiments."""

import numpy as np
import pytest
import sympy
import torch

from edgewise import ConfigError
from edgewise.compat.pykan import (
    MultKAN,
    create_dataset,
    get_feynman_dataset,
    kanpiler,
    next_nontrivial_operation,
    runner1,
    sf2kan,
)

A, B = sympy.symbols("a b", positive=True)
WRONG_IN_PYKAN = [
    sympy.sin(5 * A) + sympy.cos(3 * A),
    A**2 + A,
    sympy.sinh(A) * B,
    sympy.Abs(A - B),
    A**6 - B ** sympy.Rational(2, 3),
    A**B,
    2**A,
    A,
    A ** sympy.Rational(3, 2) / B,
]


@pytest.mark.parametrize("expr", WRONG_IN_PYKAN, ids=str)
def test_formulas_that_pykan_gets_wrong(expr: sympy.Expr) -> None:
    model = kanpiler([A, B], expr, grid=4, k=2)
    assert isinstance(model, MultKAN)
    x = torch.rand(50, 2, dtype=torch.float64) + 0.3
    exact = np.broadcast_to(sympy.lambdify([A, B], expr, "numpy")(*x.numpy().T), 50)
    np.testing.assert_allclose(model(x).detach().numpy()[:, 0], exact, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("number", [5, 12, 36, 80, 110, 114, 120])
def test_feynman_equations(number: int) -> None:
    symbols, expr, f, _ = get_feynman_dataset(number)
    model = sf2kan(symbols, expr)
    x = 0.5 + 0.4 * torch.rand(30, len(symbols), dtype=torch.float64)
    if number in (36, 114):  # c > v, y > d
        x[:, 2] += 1
    torch.testing.assert_close(model(x), f(x), rtol=1e-12, atol=1e-13)


def test_numbers_come_off() -> None:
    for expr in (3 * sympy.exp(A) - 2, sympy.pi * (A + 3), 2 * A + 6, A * B, A):
        inner, scale, bias = next_nontrivial_operation(expr)
        assert sympy.simplify(scale * inner + bias - expr) == 0
    assert next_nontrivial_operation(2 * sympy.sin(A) + 1) == (sympy.sin(A), 2, 1)


def test_other_symbols_are_refused() -> None:
    with pytest.raises(ConfigError):
        kanpiler([A], A + B)


def test_sweep() -> None:
    dataset = create_dataset(lambda x: x[:, [0]] ** 2, n_var=2, train_num=80, test_num=80)

    def depth(model: MultKAN, dataset: dict) -> float:
        return float(model.depth)

    found = runner1(
        [2, 2, 1], dataset, grids=[3, 5], steps=4, prune_round=2, refine_round=2, metrics=[depth]
    )
    assert sorted(found) == ["G", "c", "depth", "id", "test_loss"]
    assert found["G"].tolist() == [3, 3, 5, 3, 3, 5]
    assert found["depth"].tolist() == [2] * 6
    assert bool((found["c"][3:] <= found["c"][0]).all())
    assert float(found["test_loss"].min()) < 1e-2
    with pytest.raises(ConfigError, match="refine_round"):
        runner1([2, 1], dataset, grids=[3], refine_round=2)
