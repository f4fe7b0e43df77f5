"""B-splines on any knots, by their local support, in plain torch.

Letters follow de Boor, *A Practical Guide to Splines* (1978): knots `t`, degree `k`, and the
interval `r` with `t_r <= x < t_{r+1}`, on which the functions `r-k` to `r` are the only non-zero
ones.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor


def local_splines(
    x: Float[Tensor, "batch inputs"],
    knots: Float[Tensor, "inputs knots"],
    degree: int,
    order: int = 0,
) -> tuple[Int[Tensor, "batch inputs"], list[Float[Tensor, "batch inputs support"]]]:
    """Evaluate the `degree + 1` B-splines that are not zero at each x, and their derivatives.

    Outside the first and last inner knot every function goes on linearly.

    Args:
        x: Points.
        knots: Increasing knots of each input: `degree` of them stand before and after the grid.
        degree: Degree of the pieces.
        order: The highest derivative wanted, 0 to 2.

    Returns:
        The index of the first of the non-zero functions, and a list with the values, then the first
        derivatives, and so on up to `order`.
    """
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
    values = lower[k]
    first = _derivative(lower[k - 1], t, k)
    beyond = (x - inside).unsqueeze(-1)
    result = [values + beyond * first]
    if order >= 1:
        result.append(first)
    if order >= 2:
        within = (beyond == 0).to(x.dtype)
        if k >= 2:
            second = _derivative(_derivative(lower[k - 2], t, k - 1), t, k)
        else:
            second = torch.zeros_like(values)
        result.append(second * within)
    return r - k, result


def dense_splines(
    x: Float[Tensor, "batch inputs"],
    knots: Float[Tensor, "inputs knots"],
    degree: int,
    order: int = 0,
) -> list[Float[Tensor, "batch inputs basis"]]:
    """Evaluate all B-splines and their derivatives up to `order`, zeros included."""
    start, local = local_splines(x, knots, degree, order)
    size = knots.shape[1] - degree - 1
    index = start.unsqueeze(-1) + torch.arange(degree + 1, device=x.device)
    empty = x.new_zeros((*x.shape, size))
    return [empty.scatter(-1, index, values) for values in local]


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
