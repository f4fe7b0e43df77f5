"""Unlocking: the spline goes on from the function, and is fitted from there."""

from __future__ import annotations

import pytest
import torch

import edgewise as ew
from builders import put, sample

X = sample(200)


@pytest.mark.parametrize("name", ["sin", "exp", "x^3", "gaussian", "x", "arctan"])
@pytest.mark.parametrize("degree", [1, 3, 5])
def test_the_spline_is_the_function(name: str, degree: int) -> None:
    model = ew.KAN([2, 1], degree=degree)
    put(model, (0, 0, 0), name, 1.3, 0.2, -2.0, 0.5)
    x = 1 + 2 * X
    tolerance = 3e-2 if degree == 1 else 1e-6
    free = ew.unlock(model, (0, 0, 0), x, tolerance=tolerance)
    lock = dict(model.parts()[0][0].locked())[0, 0]
    edge, spread = lock(x[:, 0]), lock(torch.linspace(-1, 3, 99).double()).std()
    off = (free.parts()[0][0].edges(x)[:, 0, 0] - edge).abs().max()
    assert bool(off <= tolerance * spread)
    assert free.edges() == model.edges()
    assert bool(free.parts()[0][0].mask.all())
    assert len(free.parts()[0][0].locks) == 0
    assert len(model.parts()[0][0].locks) == 1


def test_other_edges_stay_as_they_are() -> None:
    model = ew.KAN([2, 2, 1], grid=5)
    put(model, (0, 0, 0), "sin", 3, 0, 1, 0)
    before = model.parts()[0][0].edges(X)
    free = ew.unlock(model, (0, 0, 0), X, tolerance=1e-8)
    assert free.grid > 5
    after = free.parts()[0][0].edges(X)
    torch.testing.assert_close(after[:, 1], before[:, 1], rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(after[:, :, 1], before[:, :, 1], rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(free(X), model(X), rtol=0, atol=1e-6)


def test_a_hidden_edge() -> None:
    model = ew.compile_formula("exp(sin(3*x_1) + x_2**2)")
    free = ew.unlock(model, (1, 0, 0), X)
    torch.testing.assert_close(free(X), model(X), rtol=0, atol=1e-5)


def test_a_steep_place_ends_the_refinement() -> None:
    model = ew.compile_formula("sqrt(x + 1.0000001)")
    x = torch.linspace(-1, 1, 500, dtype=torch.float64).unsqueeze(1)
    free = ew.unlock(model, (0, 0, 0), x, tolerance=1e-9)
    assert 50 < free.grid <= 100
    torch.testing.assert_close(free(x), model(x), rtol=0, atol=0.05)


def test_an_edge_that_is_off_becomes_zero() -> None:
    model = ew.compile_formula("x_1**2", ["x_1", "x_2"])
    free = ew.unlock(model, (0, 1, 0), X)
    assert torch.equal(free(X), model(X))
    assert bool(free.parts()[0][0].mask[0, 1])
    y = X[:, :1] ** 2 + X[:, 1:].sin()
    assert ew.fit(free, X, y, seed=0, refine=12, progress=False).held_out < 1e-4


def test_a_wrong_word_is_replaced_by_what_the_data_say() -> None:
    y = torch.tanh(2 * X[:, :1]) + X[:, 1:]
    model = ew.compile_formula("sin(2*x_1) + x_2")
    held = ew.fit(model, X, y, seed=0, progress=False).held_out
    free = ew.unlock(model, (0, 0, 0), X, tolerance=1e-2)
    result = ew.fit(free, X, y, seed=0, refine=12, progress=False)
    assert result.held_out < 1e-2 * held
    assert ew.suggest(result.model, (0, 0, 0), X)[0].name in ("tanh", "sigmoid")


def test_what_cannot_be_unlocked() -> None:
    model = ew.compile_formula("log(x_1) + x_2")
    for edge in ((0, 0, 1), (1, 0, 0), (0, 2, 0), (-1, 0, 0)):
        with pytest.raises(ew.ConfigError, match="There is no edge"):
            ew.unlock(model, edge, X)
    with pytest.raises(ew.ConfigError, match="log has no finite values over the range"):
        ew.unlock(model, (0, 0, 0), -1 - X.abs())
    with pytest.raises(ew.ConfigError, match="edge 0:1->0 is a spline already"):
        ew.unlock(ew.unlock(model, (0, 1, 0), X), (0, 1, 0), X)
    with pytest.raises(ew.ConfigError, match="not finite for some rows"):
        ew.unlock(ew.compile_formula("sin(log(x_1) + x_2)"), (1, 0, 0), X)
    with pytest.raises(ew.DataError, match="Unlocking needs at least 2 rows"):
        ew.unlock(model, (0, 0, 0), X[:1])
