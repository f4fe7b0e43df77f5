"""B-splines on the caller's knots, against SciPy and pykan 0.2.8's own numbers."""

import numpy as np
import pytest
import torch
from scipy.interpolate import BSpline

from edgewise import ConfigError, ShapeError
from edgewise.compat.pykan import B_batch, coef2curve, curve2coef, extend_grid


def test_values_are_those_of_pykan() -> None:
    """Printed by pykan 0.2.8; the last point is outside the grid, in the padded zone."""
    grid = extend_grid(torch.tensor([[-1.0, -0.2, 0.3, 1.0]]), 2)
    knots = [-2.3333335, -1.6666667, -1.0, -0.2, 0.3, 1.0, 1.6666667, 2.3333335]
    torch.testing.assert_close(grid, torch.tensor([knots]))
    values = B_batch(torch.tensor([[0.1], [-0.95], [0.97], [-1.4]]), grid, 2)
    expected = [
        [0.0, 0.06153848, 0.78846157, 0.15000001, 0.0],
        [0.47940341, 0.51819277, 0.00240385, 0.0, 0.0],
        [0.0, 0.0, 0.00107143, 0.52969509, 0.46923325],
        [0.74727273, 0.07272732, 0.0, 0.0, 0.0],
    ]
    torch.testing.assert_close(values[:, 0], torch.tensor(expected), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("k", [0, 1, 2, 3, 5])
def test_values_are_those_of_scipy(k: int) -> None:
    knots = np.sort(np.random.default_rng(k).uniform(-1, 1, (2, 12)), axis=1)
    x = np.random.default_rng(9).uniform(-1, 1, (40, 2))
    values = B_batch(torch.from_numpy(x), torch.from_numpy(knots), k)
    assert values.shape == (40, 2, 11 - k)
    for i in range(2):
        for b in range(11 - k):
            one = BSpline.basis_element(knots[i, b : b + k + 2], extrapolate=False)
            np.testing.assert_allclose(
                values[:, i, b], np.nan_to_num(one(x[:, i])), rtol=1e-11, atol=1e-13
            )


def test_knots_that_coincide() -> None:
    knots = torch.tensor([[0.0, 0.0, 0.0, 0.5, 1.0, 1.0, 1.0]], dtype=torch.float64)
    x = torch.linspace(0, 1, 11, dtype=torch.float64)[:, None]
    values = B_batch(x, knots, 2)[:, 0]
    np.testing.assert_allclose(values.sum(1), np.ones(11), rtol=1e-14)  # at the right end, too
    assert values[-1].tolist() == [0, 0, 0, 1]


def test_least_squares() -> None:
    grid = extend_grid(torch.linspace(-1, 1, 8, dtype=torch.float64).expand(2, 8), 3)
    x = 2 * torch.rand(60, 2, dtype=torch.float64) - 1
    y = torch.randn(60, 2, 3, dtype=torch.float64)
    coef = curve2coef(x, y, grid, 3)
    assert coef.shape == (2, 3, 10)
    for i in range(2):
        knots = grid[i].numpy()
        design = np.stack(
            [
                np.nan_to_num(BSpline.basis_element(knots[b : b + 5], False)(x[:, i]))
                for b in range(10)
            ],
            axis=1,
        )
        expected = np.linalg.lstsq(design, y[:, i].numpy(), rcond=None)[0]
        np.testing.assert_allclose(coef[i].numpy().T, expected, rtol=1e-8, atol=1e-8)
    few = curve2coef(x[:4], y[:4], grid, 3)  # more coefficients than points
    torch.testing.assert_close(coef2curve(x[:4], grid, few, 3), y[:4])


def test_what_is_refused() -> None:
    with pytest.raises(ConfigError, match="order"):
        B_batch(torch.zeros(3, 1), torch.zeros(1, 4), 3)
    with pytest.raises(ShapeError, match="rows of knots"):
        B_batch(torch.zeros(3, 2), torch.zeros(1, 9), 3)
