"""pykan's `kan.spline`: B-splines on knots that the caller holds."""

from __future__ import annotations

import torch
from torch import Tensor

from edgewise._errors import ConfigError, ShapeError


def B_batch(  # noqa: N802 (pykan's name)
    x: Tensor, grid: Tensor, k: int = 0, extend: bool = True, device: torch.device | str = "cpu"
) -> Tensor:
    """Evaluate all B-splines of order k on the given knots (Cox and de Boor's recursion).

    Args:
        x: Points (batch, inputs).
        grid: Knots (inputs, knots), in ascending order; knots may coincide. They are taken as they
            are: put k more on each side with `extend_grid`.
        k: The degree of the pieces.
        extend: Has no effect, as in pykan; `extend_grid` extends.
        device: Has no effect: the values are where x is.

    Returns:
        (batch, inputs, knots - k - 1).

    Raises:
        ConfigError: If k is negative or there are fewer than k + 2 knots.
        ShapeError: If x and grid have different numbers of inputs.

    Example:
        >>> from edgewise.compat.pykan import B_batch, extend_grid
        >>> grid = extend_grid(torch.linspace(-1, 1, steps=11)[None, :].expand(2, 11), 3)
        >>> values = B_batch(torch.rand(100, 2), grid, k=3)
        >>> values.shape, torch.allclose(values.sum(2), torch.ones(100, 2))
        (torch.Size([100, 2, 13]), True)
    """
    if k < 0 or grid.shape[1] < k + 2:
        raise ConfigError(
            f"Splines of order {k} need an order from 0 on and at least {k + 2} knots, got "
            f"{grid.shape[1]}."
        )
    if x.ndim != 2 or x.shape[1] != len(grid):
        raise ShapeError(
            f"x has to be of shape (batch, {len(grid)}), as there are {len(grid)} rows of knots. "
            f"Got {tuple(x.shape)}."
        )
    x, t = x.unsqueeze(2), grid.unsqueeze(0).to(x)
    last = t[:, :, :-1] == t[:, :, :-1].masked_fill(t[:, :, 1:] <= t[:, :, :-1], -torch.inf).amax(
        2, keepdim=True
    )  # the last cell that is not empty holds its right end, too
    value = (x >= t[:, :, :-1]) & ((x < t[:, :, 1:]) | (last & (x == t[:, :, 1:])))
    value = value.to(x.dtype)  # (batch, inputs, knots - 1)
    for d in range(1, k + 1):
        left = _ratio(x - t[:, :, : -d - 1], t[:, :, d:-1] - t[:, :, : -d - 1])
        right = _ratio(t[:, :, d + 1 :] - x, t[:, :, d + 1 :] - t[:, :, 1:-d])
        value = left * value[:, :, :-1] + right * value[:, :, 1:]
    return value


def _ratio(part: Tensor, whole: Tensor) -> Tensor:
    """A quotient that is 0 where knots coincide."""
    there = whole > 0
    return torch.where(there, part / torch.where(there, whole, torch.ones_like(whole)), 0.0)


def coef2curve(
    x_eval: Tensor, grid: Tensor, coef: Tensor, k: int, device: torch.device | str = "cpu"
) -> Tensor:
    """Evaluate splines from their coefficients.

    Args:
        x_eval: Points (batch, inputs).
        grid: Knots (inputs, grid + 2 k + 1), as `extend_grid` gives them.
        coef: Coefficients (inputs, outputs, grid + k).
        k: The degree of the pieces.
        device: Has no effect: the values are where x_eval is.

    Returns:
        (batch, inputs, outputs).
    """
    basis = B_batch(x_eval, grid, k)
    return torch.einsum("bik,iok->bio", basis, coef.to(basis))


def curve2coef(x_eval: Tensor, y_eval: Tensor, grid: Tensor, k: int) -> Tensor:
    """Fit splines to points by least squares; of several solutions the smallest.

    One factorization serves all outputs of an input; knots without points do no harm.

    Args:
        x_eval: Points (batch, inputs).
        y_eval: Values (batch, inputs, outputs).
        grid: Knots (inputs, grid + 2 k + 1), as `extend_grid` gives them.
        k: The degree of the pieces.

    Returns:
        (inputs, outputs, grid + k).

    Example:
        >>> from edgewise.compat.pykan import coef2curve, curve2coef, extend_grid
        >>> grid = extend_grid(torch.linspace(-1, 1, 6).double()[None], 3)
        >>> x = torch.linspace(-1, 1, 50).double()[:, None]
        >>> coef = curve2coef(x, (x**3).unsqueeze(2), grid, 3)
        >>> torch.allclose(coef2curve(x, grid, coef, 3)[:, :, 0], x**3)
        True
    """
    basis = B_batch(x_eval, grid, k).permute(1, 0, 2)  # (inputs, batch, basis)
    values = y_eval.permute(1, 0, 2).to(basis)  # (inputs, batch, outputs)
    if basis.device.type == "cpu":
        return torch.linalg.lstsq(basis, values, driver="gelsd").solution.permute(0, 2, 1)
    return (torch.linalg.pinv(basis) @ values).permute(0, 2, 1)


def extend_grid(grid: Tensor, k_extend: int = 0) -> Tensor:
    """Put knots on both sides of a grid, at the mean distance of its own.

    Args:
        grid: (inputs, points).
        k_extend: How many on each side.

    Returns:
        (inputs, points + 2 k_extend).

    Example:
        >>> from edgewise.compat.pykan import extend_grid
        >>> extend_grid(torch.tensor([[0.0, 1.0, 2.0]]), 1)
        tensor([[-1.,  0.,  1.,  2.,  3.]])
    """
    h = (grid[:, -1:] - grid[:, :1]) / (grid.shape[1] - 1)
    steps = torch.arange(1, k_extend + 1, dtype=grid.dtype, device=grid.device)
    return torch.cat([grid[:, :1] - h * steps.flip(0), grid, grid[:, -1:] + h * steps], dim=1)
