"""The fused layer: edges times basis, summed, with the basis never in memory."""

from __future__ import annotations

import weakref
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import linear, pad, silu

from edgewise._kernels._backend import CORE, differentiable, is_native, operator, plain, threads
from edgewise._kernels._splines import dense_splines


def spline_layer(
    x: Float[Tensor, "batch inputs"],
    coef: Float[Tensor, "outputs inputs basis"],
    knots: Float[Tensor, "inputs knots"],
    degree: int,
    base: Float[Tensor, "outputs inputs"] | None = None,
    smooth: bool = False,
) -> Float[Tensor, "batch outputs"]:
    r"""Evaluate :math:`y_o = \sum_i (w_{oi}\,\mathrm{silu}(x_i) + \sum_k c_{oik} B_k(x_i))`.

    Args:
        x: Points.
        coef: Coefficients. The core works on the layout (inputs, basis, outputs): coefficients that
            lie so in memory are not copied.
        knots: Increasing knots of each input: `degree` of them stand before and after the grid.
        degree: Degree of the pieces.
        base: The weights w of the base function; without them there are only splines. The core's
            layout is (inputs, outputs).
        smooth: How splines leave their grid, see `local_splines`.
    """
    if is_native(x):
        return _differentiable_layer(x, coef, knots, degree, base, smooth)
    return spline_layer_twin(x, coef, knots, degree, base, smooth)


def spline_layer_twin(
    x: Tensor,
    coef: Tensor,
    knots: Tensor,
    degree: int,
    base: Tensor | None = None,
    smooth: bool = False,
) -> Tensor:
    """Do what `spline_layer` does in plain torch, on any device."""
    y = torch.einsum("bik,oik->bo", dense_splines(x, knots, degree, 0, smooth)[0], coef)
    return y if base is None else y + linear(silu(x), base)


def _fake_forward(
    x: Tensor,
    coef: Tensor,
    knots: Tensor,
    degree: int,
    base: Tensor | None = None,
    smooth: bool = False,
) -> Tensor:
    return x.new_empty((x.shape[0], coef.shape[0]))


@operator(
    "spline_layer(Tensor x, Tensor coef, Tensor knots, int degree, Tensor? base=None,"
    " bool smooth=False) -> Tensor",
    fake=_fake_forward,
)
def _spline_layer(
    x: Tensor,
    coef: Tensor,
    knots: Tensor,
    degree: int,
    base: Tensor | None = None,
    smooth: bool = False,
) -> Tensor:
    packed, packed_base = _pack(coef.permute(1, 2, 0)), _pack_base(base)
    y = x.new_empty((x.shape[0], packed.shape[2]))
    team = threads(x.numel() * packed.shape[2])
    CORE.layer_forward(  # type: ignore[union-attr]
        *plain(x, packed, packed_base, knots), degree, smooth, y.numpy(), team
    )
    return y[:, : len(coef)].contiguous()


def _fake_backward(
    g: Tensor,
    x: Tensor,
    coef: Tensor,
    knots: Tensor,
    degree: int,
    base: Tensor | None = None,
    smooth: bool = False,
) -> tuple[Tensor, Tensor, Tensor]:
    outputs, inputs, size = coef.shape
    return (
        x.new_empty(x.shape),
        x.new_empty((inputs, size, outputs)).permute(2, 0, 1),
        x.new_empty(0) if base is None else x.new_empty((inputs, outputs)).T,
    )


@operator(
    "spline_layer_backward(Tensor g, Tensor x, Tensor coef, Tensor knots, int degree,"
    " Tensor? base=None, bool smooth=False) -> (Tensor, Tensor, Tensor)",
    fake=_fake_backward,
)
def _spline_layer_backward(
    g: Tensor,
    x: Tensor,
    coef: Tensor,
    knots: Tensor,
    degree: int,
    base: Tensor | None = None,
    smooth: bool = False,
) -> tuple[Tensor, Tensor, Tensor]:
    """Give the gradients for x, coef and base; the last one has no elements without a base."""
    packed, packed_base, signal = _pack(coef.permute(1, 2, 0)), _pack_base(base), _pack(g)
    grad_x, grad_coef = x.new_empty(x.shape), _POOL.empty(packed.shape, packed.dtype)
    grad_base = None if packed_base is None else torch.empty_like(packed_base)
    team = threads(2 * x.numel() * packed.shape[2])
    CORE.layer_backward(  # type: ignore[union-attr]
        *plain(signal, x, packed, packed_base, knots),
        degree,
        smooth,
        grad_x.numpy(),
        grad_coef.numpy(),
        None if grad_base is None else grad_base.numpy(),
        team,
    )
    return (
        grad_x,
        grad_coef[..., : len(coef)].contiguous().permute(2, 0, 1),
        x.new_empty(0) if grad_base is None else grad_base[:, : len(coef)].contiguous().T,
    )


def _pack(packed: Tensor) -> Tensor:
    """Bring the outputs, the last dimension, next to each other, filled up to whole vectors."""
    width = CORE.vector_width(packed.element_size())  # type: ignore[union-attr]
    missing = -packed.shape[-1] % width
    if missing:
        return pad(packed.detach(), (0, missing))
    return packed.detach().contiguous()


def _pack_base(base: Tensor | None) -> Tensor | None:
    return None if base is None else _pack(base.T)


class _Pool:
    """Keeps the memory of large gradients for the next step.

    The gradient of a fine grid is many times larger than the work on it: to get 80 MB from the
    system anew in each step takes longer than to fill them.
    """

    least, most = 2**20, 2**29  # bytes

    def __init__(self) -> None:
        self.free: dict[int, np.ndarray] = {}

    def empty(self, shape: torch.Size, dtype: torch.dtype) -> Tensor:
        """Give memory that comes back when the last tensor on it is gone."""
        count = shape.numel() * dtype.itemsize
        if not self.least <= count <= self.most:
            return torch.empty(shape, dtype=dtype)
        block = self.free.pop(count, None)
        if block is None:
            raw = np.empty(count + 64, np.uint8)
            begin = -raw.ctypes.data % 64  # the widest vectors are 64 bytes long
            block = raw[begin : begin + count]
        lent = block.view()
        weakref.finalize(lent, self._take_back, block).atexit = False
        return torch.from_numpy(lent).view(dtype).view(shape)

    def _take_back(self, block: np.ndarray) -> None:
        self.free[len(block)] = block
        while sum(self.free) > self.most:
            self.free.pop(next(iter(self.free)))


_POOL = _Pool()


def _save(ctx: Any, inputs: tuple, output: Any) -> None:
    *tensors, ctx.degree, base, ctx.smooth = inputs
    ctx.save_for_backward(*tensors, base)


def _backward(ctx: Any, g: Tensor) -> tuple[Tensor, Tensor, None, None, Tensor | None, None]:
    x, coef, knots, base = ctx.saved_tensors
    by_x, by_coef, by_base = _differentiable_backward(
        g, x, coef, knots, ctx.degree, base, ctx.smooth
    )
    return by_x, by_coef, None, None, None if base is None else by_base, None


def _double_backward(ctx: Any, u: Tensor, v: Tensor, w: Tensor) -> tuple[Any, ...]:
    """Carry derivatives in the gradients for x (u), coef (v) and base (w) back.

    With these, every order is there.
    """
    g, x, coef, knots, base = ctx.saved_tensors
    # (batch, inputs, basis) each
    values, slopes, bends = dense_splines(x, knots, ctx.degree, 2, ctx.smooth)
    by_g = torch.einsum("bi,oik,bik->bo", u, coef, slopes) + torch.einsum("oik,bik->bo", v, values)
    by_x = u * torch.einsum("bo,oik,bik->bi", g, coef, bends) + torch.einsum(
        "bo,oik,bik->bi", g, v, slopes
    )
    by_coef = torch.einsum("bi,bo,bik->oik", u, g, slopes)
    if base is None:
        return by_g, by_x, by_coef, None, None, None, None
    s = torch.sigmoid(x)
    slope = s * (1 + x * (1 - s))  # (batch, inputs)
    bend = s * (1 - s) * (2 + x * (1 - 2 * s))
    by_g = by_g + (u * slope) @ base.T + silu(x) @ w.T
    by_x = by_x + u * bend * (g @ base) + slope * (g @ w)
    return by_g, by_x, by_coef, None, None, g.T @ (u * slope), None


_differentiable_backward = differentiable(_spline_layer_backward, _save, _double_backward)
_differentiable_layer = differentiable(_spline_layer, _save, _backward)
