"""B-splines on any knots, by their local support.

Letters follow de Boor, *A Practical Guide to Splines* (1978): knots `t`, degree `k`, and the
interval `r` with `t_r <= x < t_{r+1}`, on which the functions `r-k` to `r` are the only non-zero
ones.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from edgewise._kernels._backend import CORE, differentiable, is_native, operator, plain, threads

HIGHEST = 4
"""The highest derivative that the core gives."""


def local_splines(
    x: Float[Tensor, "batch inputs"],
    knots: Float[Tensor, "inputs knots"],
    degree: int,
    order: int = 0,
    smooth: bool = False,
) -> tuple[Int[Tensor, "batch inputs"], Float[Tensor, "derivatives batch inputs support"]]:
    """Evaluate the `degree + 1` B-splines that are not zero at each x, and their derivatives.

    Outside the first and last inner knot every function goes on linearly. If `smooth`, the second
    derivative does not drop to zero there: it fades as a square over half a cell of mean width.

    Args:
        x: Points.
        knots: Increasing knots of each input: `degree` of them stand before and after the grid.
        degree: Degree of the pieces.
        order: The highest derivative wanted.
        smooth: How functions leave the grid.

    Returns:
        The index of the first of the non-zero functions, and the values, the first derivatives, and
        so on up to `order`.
    """
    if order <= HIGHEST and is_native(x):
        return _differentiable_splines(x, knots, degree, order, smooth)
    return local_splines_twin(x, knots, degree, order, smooth)


def dense_splines(
    x: Float[Tensor, "batch inputs"],
    knots: Float[Tensor, "inputs knots"],
    degree: int,
    order: int = 0,
    smooth: bool = False,
) -> list[Float[Tensor, "batch inputs basis"]]:
    """Evaluate all B-splines and their derivatives up to `order`, zeros included."""
    start, local = local_splines(x, knots, degree, order, smooth)
    size = knots.shape[1] - degree - 1
    index = start.unsqueeze(-1) + torch.arange(degree + 1, device=x.device)
    empty = x.new_zeros((*x.shape, size))
    return [empty.scatter(-1, index, values) for values in local]


def local_splines_twin(
    x: Tensor, knots: Tensor, degree: int, order: int = 0, smooth: bool = False
) -> tuple[Tensor, Tensor]:
    """Do what `local_splines` does in plain torch, on any device."""
    k = degree
    last = knots.shape[1] - k - 1  # the grid is t_k ... t_last
    low, high = knots[:, k], knots[:, last]
    inside = torch.minimum(torch.maximum(x, low), high)  # (batch, inputs)
    r = torch.searchsorted(knots.detach(), inside.detach().T.contiguous(), right=True).T - 1
    r = r.clamp(k, last - 1)  # (batch, inputs)

    # t[..., j] = t_{r-k+1+j}, the 2k knots that the recursion needs
    window = r.unsqueeze(-1) + torch.arange(1 - k, k + 1, device=x.device)  # (batch, inputs, 2k)
    t = knots.expand(x.shape[0], -1, -1).gather(-1, window)

    lower = _recursion(inside, t, k)
    beyond = (x - inside).unsqueeze(-1)
    first = _derivative(lower[k - 1], t, k)
    outside = beyond != 0
    nothing = 0 * first  # NaN where x is
    lines = [lower[k] + beyond * first, first, *[nothing] * (order - 1)]
    if smooth and k > 1:
        second = _derivative(_derivative(lower[k - 2], t, k - 1), t, k)
        width = ((high - low) / (2 * (last - k))).unsqueeze(-1)
        fades = _fade(beyond, width, order)
        lines = [line + fade * second for line, fade in zip(lines, fades, strict=False)]
    result = [lines[0]]
    for m in range(1, order + 1):
        derivative = lower[k - m] if m <= k else nothing
        for d in range(k - m + 1, k + 1) if m <= k else ():
            derivative = _derivative(derivative, t, d)
        result.append(torch.where(outside, lines[m], derivative))
    return r - k, torch.stack(result)


def _fade(beyond: Tensor, width: Tensor, order: int) -> list[Tensor]:
    """Give a function of the way beyond the grid, whose second derivative fades from 1 to 0."""
    s, side = beyond.abs() / width, beyond.sign()
    p = (1 - s).clamp_min(0)
    return [
        width**2 * (s / 3 - (1 - p**4) / 12),
        side * width * (1 - p**3) / 3,
        p**2,
        -2 * side * p / width,
        2 * (p > 0) / width**2,
    ][: order + 1]


def _recursion(x: Tensor, t: Tensor, k: int) -> list[Tensor]:
    """Local values of every degree 0 to k (de Boor, ch. X, eq. 5); list item d has d+1 of them."""
    x = x.unsqueeze(-1)
    levels = [torch.ones_like(x)]
    for d in range(1, k + 1):
        right = t[..., k : k + d] - x  # t_{r+1} - x ... t_{r+d} - x
        left = x - t[..., k - d : k]  # x - t_{r+1-d} ... x - t_r
        share = levels[-1] / (right + left)
        zero = torch.zeros_like(x)
        levels.append(torch.cat([share * right, zero], -1) + torch.cat([zero, share * left], -1))
    return levels


def _derivative(lower: Tensor, t: Tensor, d: int) -> Tensor:
    """From local values of degree d-1 to local derivatives of degree d (ch. X, eq. 16)."""
    k = t.shape[-1] // 2
    share = d * lower / (t[..., k : k + d] - t[..., k - d : k])
    zero = torch.zeros_like(share[..., :1])
    return torch.cat([zero, share], -1) - torch.cat([share, zero], -1)


def _fake(
    x: Tensor, knots: Tensor, degree: int, order: int, smooth: bool = False
) -> tuple[Tensor, Tensor]:
    return (
        x.new_empty(x.shape, dtype=torch.int64),
        x.new_empty((order + 1, *x.shape, degree + 1)),
    )


@operator(
    "local_splines(Tensor x, Tensor knots, int degree, int order, bool smooth=False)"
    " -> (Tensor, Tensor)",
    fake=_fake,
)
def _local_splines(
    x: Tensor, knots: Tensor, degree: int, order: int, smooth: bool = False
) -> tuple[Tensor, Tensor]:
    start, values = _fake(x, knots, degree, order)
    team = threads(values.numel() * degree)
    CORE.local_splines(  # type: ignore[union-attr]
        *plain(x, knots), degree, order, smooth, start.numpy(), values.numpy(), team
    )
    return start, values


def _save(ctx: Any, inputs: tuple, output: tuple[Tensor, Tensor]) -> None:
    x, knots, ctx.degree, ctx.order, ctx.smooth = inputs
    ctx.save_for_backward(x, knots)
    ctx.mark_non_differentiable(output[0])


def _backward(ctx: Any, _: Tensor, g: Tensor) -> tuple[Tensor, None, None, None, None]:
    x, knots = ctx.saved_tensors
    _, values = local_splines(x, knots, ctx.degree, ctx.order + 1, ctx.smooth)
    return (g * values[1:]).sum((0, -1)), None, None, None, None


_differentiable_splines = differentiable(_local_splines, _save, _backward)
