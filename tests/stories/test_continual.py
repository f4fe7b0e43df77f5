"""Data that come in parts: what the rows of a part do not touch stays as it was."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

import edgewise as ew
from builders import noise, sample


def _peaks(x: Tensor) -> Tensor:
    """Five peaks, at -0.8, -0.4, 0, 0.4 and 0.8."""
    return sum((torch.exp(-300 * (x - 0.4 * k) ** 2) for k in range(-2, 3)), torch.zeros_like(x))


def _untrained() -> ew.KAN:
    model = ew.KAN([1, 1], grid=200)
    with torch.no_grad():
        model.parts()[0][0].coef.zero_()
    return model


def _rmse(model: ew.KAN, x: Tensor) -> float:
    return float((model(x) - _peaks(x)).detach().square().mean().sqrt())


def _fit(model: ew.KAN, x: Tensor, y: Tensor, **settings: Any) -> ew.FitResult:
    return ew.fit(model, x, y, continual=True, seed=0, progress=False, **settings)


def test_five_peaks_one_after_the_other() -> None:
    x = torch.linspace(-1, 1, 500, dtype=torch.float64).unsqueeze(1)
    everywhere = torch.linspace(-1, 1, 3001, dtype=torch.float64).unsqueeze(1)
    model = _untrained()
    for phase, rows in enumerate(x.split(100), 1):
        before, model = model, _fit(model, rows, _peaks(rows)).model
        assert _rmse(model, x[: 100 * phase]) < 1e-5  # no peak is forgotten
        ahead = everywhere[everywhere[:, 0] > rows.max() + 4 * 2 / 200]
        assert torch.equal(model(ahead), before(ahead))
    assert _rmse(model, everywhere) < 1e-5


def test_noise_does_not_throw_the_rest_far_off() -> None:
    x = torch.linspace(-1, 1, 500, dtype=torch.float64).unsqueeze(1)
    y = _peaks(x) + 0.05 * noise(500, 1)
    model = _untrained()
    for rows, targets in zip(x.split(100), y.split(100), strict=True):
        model = _fit(model, rows, targets).model
    everywhere = torch.linspace(-1, 1, 3001, dtype=torch.float64).unsqueeze(1)
    assert _rmse(model, everywhere) < 0.1


@pytest.mark.parametrize("solver", ["levenberg-marquardt", "gauss-newton-cg", "lbfgs", "adam"])
@pytest.mark.parametrize("widths", [[2, 1], [2, 3, 1]])
def test_coefficients_without_rows_stay_to_the_last_bit(widths: list[int], solver: Any) -> None:
    torch.manual_seed(1)
    model = ew.KAN(widths, grid=16)
    x = 0.5 * sample(60) + torch.tensor([0.5, -0.5], dtype=torch.float64)  # a quarter of the square
    y = x.square().sum(1, keepdim=True)
    result = _fit(model, x, y, solver=solver, time=20)
    rows = result.model.parts()[0][0].basis(x)  # (batch, inputs, basis)
    unseen = (rows == 0).all(0)
    assert 8 <= int(unseen.sum()) <= 16
    old, new = model.parts()[0][0], result.model.parts()[0][0]
    assert torch.equal(old.basis.domain, new.basis.domain)
    assert torch.equal(old.coef[:, unseen], new.coef[:, unseen])
    assert not torch.equal(old.coef, new.coef)
    assert (result.model.grid, result.model.degree) == (16, 3)


def test_rows_beyond_the_grid_say_so() -> None:
    x = 2 * sample(60)
    with pytest.raises(ew.ConfigError, match=r"the one of input 0 covers -1 to 1, but x goes from"):
        _fit(ew.KAN([2, 1]), x, x[:, :1])
