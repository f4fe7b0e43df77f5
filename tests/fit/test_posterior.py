"""Intervals hold what they promise."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
import torch
from torch import Tensor

import edgewise as ew
from edgewise._fit._posterior import _quantile


def noisy(rows: int, seed: int, noise: float = 0.1) -> tuple[Tensor, Tensor, Tensor]:
    """Inputs, noisy targets, and the function itself."""
    generator = torch.Generator().manual_seed(seed)
    x = 2 * torch.rand(rows, 2, dtype=torch.float64, generator=generator) - 1
    function = torch.sin(3 * x[:, :1]) + x[:, 1:] ** 2
    return (
        x,
        function + noise * torch.randn(rows, 1, dtype=torch.float64, generator=generator),
        function,
    )


def test_intervals_hold_their_share_of_new_measurements() -> None:
    held: dict[float, list[float]] = {0.8: [], 0.95: []}
    for seed in range(20):
        x, y, _ = noisy(150, seed)
        torch.manual_seed(seed)
        model = ew.fit(ew.KAN([2, 1]), x, y, seed=seed, progress=False).model
        new, target, _ = noisy(500, 1000 + seed)
        ours = ew.posterior(model, x, y)
        for interval, shares in held.items():
            prediction = ours.predict(new, interval=interval)
            inside = (prediction.low <= target) & (target <= prediction.high)
            shares.append(float(inside.double().mean()))
    for interval, shares in held.items():
        assert abs(np.mean(shares) - interval) < 0.02


def test_intervals_of_a_network_hold_their_share() -> None:
    held = []
    for seed in range(6):
        generator = torch.Generator().manual_seed(seed)
        x = 2 * torch.rand(1400, 2, dtype=torch.float64, generator=generator) - 1
        function = torch.exp(torch.sin(torch.pi * x[:, :1]) + x[:, 1:] ** 2)
        y = function + 0.2 * torch.randn(1400, 1, dtype=torch.float64, generator=generator)
        torch.manual_seed(seed)
        model = ew.fit(ew.KAN([2, 1, 1]), x[:400], y[:400], seed=seed, progress=False).model
        prediction = ew.posterior(model, x[:400], y[:400]).predict(x[400:])
        inside = (prediction.low <= y[400:]) & (y[400:] <= prediction.high)
        held.append(float(inside.double().mean()))
    assert 0.93 < np.mean(held) < 0.97


def test_a_line_has_the_intervals_of_linear_regression() -> None:
    # a spline of degree 1 on one cell is a line: the textbook's formula is the oracle
    x, y, _ = noisy(30, 0)
    x = x[:, :1]
    model = ew.fit(
        ew.KAN([1, 1], grid=1, degree=1),
        x,
        y,
        held_out=(x, y),
        refine=False,
        solver=ew.LevenbergMarquardt(smoothness=0, shrinkage=0, tolerance=1e-12),
        seed=0,
        progress=False,
    ).model
    ours = ew.posterior(model, x, y)
    new = torch.tensor([[-0.9], [0.0], [0.4]], dtype=torch.float64)
    design, rows = np.column_stack([np.ones(30), x.numpy()]), np.column_stack([np.ones(3), new])
    beta, residual, *_ = np.linalg.lstsq(design, y.numpy(), rcond=None)
    sigma = float(np.sqrt(residual[0] / 28))
    leverage = np.einsum("ni,ij,nj->n", rows, np.linalg.inv(design.T @ design), rows)
    t = scipy.stats.t.ppf(0.975, 28)
    assert ours.freedom == pytest.approx(2, abs=1e-5)
    assert float(ours.noise) == pytest.approx(sigma, rel=1e-6)
    for noise in (True, False):
        prediction = ours.predict(new, noise=noise)
        reach = t * sigma * np.sqrt(leverage + noise)
        np.testing.assert_allclose(prediction.mean[:, 0], (rows @ beta)[:, 0], atol=1e-6)
        np.testing.assert_allclose((prediction.high - prediction.mean)[:, 0], reach, rtol=1e-3)
        np.testing.assert_allclose((prediction.mean - prediction.low)[:, 0], reach, rtol=1e-3)


def test_the_function_is_surer_than_a_measurement_and_less_sure_away_from_data() -> None:
    x, y, _ = noisy(300, 1)
    model = ew.fit(ew.KAN([2, 1]), x, y, seed=0, progress=False).model
    ours = ew.posterior(model, x, y)
    function, measured = ours.predict(x, noise=False), ours.predict(x)
    assert bool((function.high < measured.high).all())
    far = ours.predict(torch.tensor([[1.8, 1.8]], dtype=torch.float64), noise=False)
    assert float((far.high - far.low).min()) > 2 * float((function.high - function.low).mean())


def test_rows_that_count_more_make_surer() -> None:
    x, y, _ = noisy(100, 2)
    model = ew.fit(ew.KAN([2, 1]), x, y, seed=0, refine=False, progress=False).model
    left = (x[:, 0] < 0).double()
    widths = []
    for weights in (1 + 9 * left, 10 - 9 * left):
        prediction = ew.posterior(model, x, y, weights=weights).predict(x, noise=False)
        widths.append((prediction.high - prediction.low)[:, 0])
    assert float((widths[0] / widths[1])[left == 1].mean()) < 1
    assert float((widths[0] / widths[1])[left == 0].mean()) > 1


@pytest.mark.parametrize("freedom", [8, 30, 1000])
@pytest.mark.parametrize("interval", [0.5, 0.95, 0.99])
def test_quantiles_are_students(freedom: int, interval: float) -> None:
    exact = scipy.stats.t.ppf(0.5 + interval / 2, freedom)
    assert _quantile(interval, freedom) == pytest.approx(exact, rel=3e-3)


def test_mistakes_have_their_message() -> None:
    x, y, _ = noisy(12, 3)
    model = ew.KAN([2, 1], grid=20)
    with pytest.raises(ew.DataError, match="leave nothing to tell the noise from"):
        ew.posterior(model, x, y)
    ours = ew.posterior(ew.KAN([2, 1]), *noisy(100, 0)[:2])
    with pytest.raises(ew.ConfigError, match="between 0 and 1, got 95"):
        ours.predict(x, interval=95)
