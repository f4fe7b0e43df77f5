"""What every loss owes. A new loss is one line in `LOSSES`."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import Tensor
from torch.autograd.functional import hessian

import edgewise as ew

BATCH, OUTPUTS = 60, 3

LOSSES: dict[str, ew.Loss] = {
    "squared": ew.Squared(),
    "huber": ew.Huber(),
    "huber-narrow": ew.Huber(delta=0.1),
    "cross-entropy": ew.CrossEntropy(),
    "cross-entropy-no-ridge": ew.CrossEntropy(ridge=0.0),
    "cross-entropy-strong-ridge": ew.CrossEntropy(ridge=0.7),
}
EXACT = [name for name in LOSSES if not name.startswith("huber")]
"""Where the curvature is the second derivative, and not the weights of iterative re-weighting."""
RESIDUAL = [name for name in LOSSES if not name.startswith("cross-entropy")]
"""Those of a residual: zero where the prediction is right, and below their own quadratic model."""


@pytest.fixture(params=LOSSES)
def loss(request: pytest.FixtureRequest) -> ew.Loss:
    return LOSSES[request.param]


@pytest.fixture(params=[torch.float64, torch.float32], ids=["float64", "float32"])
def dtype(request: pytest.FixtureRequest) -> torch.dtype:
    return request.param


def draw(loss: ew.Loss, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    """Predictions, small and large, and targets."""
    prediction = torch.randn(BATCH, OUTPUTS, dtype=dtype)
    prediction[::5] *= 10
    if isinstance(loss, ew.CrossEntropy):
        return prediction, torch.randint(OUTPUTS, (BATCH,))
    return prediction, torch.randn(BATCH, OUTPUTS, dtype=dtype)


def of_one(loss: ew.Loss, prediction: Tensor, y: Tensor) -> Tensor:
    """What a fit makes small, for one sample."""
    return loss.value(prediction.unsqueeze(0), y.unsqueeze(0))


def curvature(loss: ew.Loss, prediction: Tensor, y: Tensor) -> Tensor:
    A = loss.root(prediction, y)
    return A.mT @ A  # (batch, outputs, outputs)


# what all of them owe


def test_shapes_and_dtype(loss: ew.Loss, dtype: torch.dtype) -> None:
    prediction, y = draw(loss, dtype)
    samples, gradient = loss.samples(prediction, y), loss.gradient(prediction, y)
    root = loss.root(prediction, y)
    assert samples.shape == (BATCH,)
    assert gradient.shape == prediction.shape
    assert root.shape[::2] == (BATCH, OUTPUTS)
    assert loss.value(prediction, y).ndim == 0
    assert {t.dtype for t in (samples, gradient, root)} == {dtype}


def test_gradient_equals_autograd(loss: ew.Loss) -> None:
    prediction, y = draw(loss)
    prediction.requires_grad_()
    (by_autograd,) = torch.autograd.grad(BATCH * loss.value(prediction, y), prediction)
    torch.testing.assert_close(loss.gradient(prediction, y), by_autograd, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("name", EXACT)
def test_curvature_equals_the_second_derivative(name: str) -> None:
    loss = LOSSES[name]
    prediction, y = draw(loss)
    by_autograd = torch.stack(
        [hessian(partial(of_one, loss, y=t), p) for p, t in zip(prediction, y, strict=True)]
    )
    torch.testing.assert_close(curvature(loss, prediction, y), by_autograd, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("name", RESIDUAL)
def test_curvature_bounds_the_loss_from_above(name: str) -> None:
    loss = LOSSES[name]
    prediction, y = draw(loss)
    step = torch.randn_like(prediction)
    quadratic = torch.einsum("bo,bop,bp->b", step, curvature(loss, prediction, y), step)
    linear = (loss.gradient(prediction, y) * step).sum(-1)
    bound = loss.samples(prediction, y) + linear + 0.5 * quadratic
    assert bool((loss.samples(prediction + step, y) <= bound + 1e-9 * bound.abs()).all())


def test_the_loss_is_convex(loss: ew.Loss) -> None:
    prediction, y = draw(loss)
    other, _ = draw(loss)
    middle = loss.samples((prediction + other) / 2, y)
    chord = (loss.samples(prediction, y) + loss.samples(other, y)) / 2
    assert bool((middle <= chord + 1e-12).all())


def test_value_is_the_mean_over_samples(loss: ew.Loss) -> None:
    prediction, y = draw(loss)
    one_by_one = [of_one(loss, p, t) for p, t in zip(prediction, y, strict=True)]
    mean = torch.stack(one_by_one).mean()
    torch.testing.assert_close(loss.value(prediction, y), mean, rtol=1e-13, atol=0)


def test_everything_is_finite_far_away(loss: ew.Loss, dtype: torch.dtype) -> None:
    prediction, y = draw(loss, dtype)
    for scale in (0.0, 1e-30, 1e15):
        far = scale * prediction
        tensors = (loss.samples(far, y), loss.gradient(far, y), loss.root(far, y))
        assert all(bool(t.isfinite().all()) for t in tensors)


@pytest.mark.parametrize("name", RESIDUAL)
def test_a_perfect_prediction_is_where_the_gradient_is_zero(name: str) -> None:
    loss = LOSSES[name]
    _, y = draw(loss)
    assert float(loss.value(y, y)) == 0
    assert not bool(loss.gradient(y, y).any())
    assert bool(loss.root(y, y).isfinite().all())


# against torch


def test_squared_is_half_of_torchs_mse() -> None:
    prediction, y = draw(ew.Squared())
    expected = 0.5 * OUTPUTS * torch.nn.functional.mse_loss(prediction, y)
    torch.testing.assert_close(ew.Squared().value(prediction, y), expected, rtol=1e-14, atol=0)
    rmse = torch.nn.functional.mse_loss(prediction, y).sqrt()
    reported = ew.Squared().error(float(expected), OUTPUTS)
    assert reported == pytest.approx(float(rmse), rel=1e-14)


@pytest.mark.parametrize("delta", [0.05, 1.0, 3.0])
def test_huber_is_torchs(delta: float) -> None:
    prediction, y = draw(ew.Huber())
    expected = OUTPUTS * torch.nn.functional.huber_loss(prediction, y, delta=delta)
    value = ew.Huber(delta).value(prediction, y)
    torch.testing.assert_close(value, expected, rtol=1e-14, atol=0)


def test_hubers_curvature_is_one_inside_and_falls_outside() -> None:
    y = torch.zeros(3, 1, dtype=torch.float64)
    prediction = torch.tensor([[0.3], [-2.0], [8.0]], dtype=torch.float64)
    by_hand = torch.tensor([1.0, 1.0 / 2, 1.0 / 8], dtype=torch.float64)
    torch.testing.assert_close(curvature(ew.Huber(1.0), prediction, y).flatten(), by_hand)


def test_cross_entropy_is_torchs() -> None:
    loss = ew.CrossEntropy(ridge=0.5)
    prediction, y = draw(loss)
    plain = torch.nn.functional.cross_entropy(prediction, y)
    ridge = 0.5 * 0.5 * prediction.square().sum(-1).mean()
    torch.testing.assert_close(loss.samples(prediction, y).mean(), plain, rtol=1e-14, atol=0)
    torch.testing.assert_close(loss.value(prediction, y), plain + ridge, rtol=1e-14, atol=0)


# settings


@pytest.mark.parametrize("delta", [0.0, -1.0, float("nan")])
def test_hubers_delta_is_positive(delta: float) -> None:
    with pytest.raises(ew.ConfigError, match=rf"Huber's delta must be positive, got {delta}"):
        ew.Huber(delta)


def test_a_ridge_is_not_negative() -> None:
    with pytest.raises(ew.ConfigError, match=r"ridge cannot be negative, got -0\.1"):
        ew.CrossEntropy(ridge=-0.1)
