r"""Sums of edges and their variances over rows, from the moments of splines.

An edge is :math:`\phi = \sum_k c_k f_k` with the splines and the base function of its input as
:math:`f_k`. Over the rows its variance is :math:`c^T \mathrm{cov}(f)\, c`: no edge has to be
evaluated for itself, and f and its covariance serve all edges that leave an input.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from edgewise.compat.pykan._layers import KANLayer


class Functions(NamedTuple):
    """The functions f of each input, at rows."""

    values: Tensor  # (batch, inputs, n)
    slopes: Tensor | None  # (batch, inputs, n), if asked for
    centered: Tensor  # (batch, inputs, n)
    covariance: Tensor  # (inputs, n, n)


@torch.no_grad()
def functions(act: KANLayer, x: Tensor, slopes: bool) -> Functions:
    """Evaluate the splines and the base function of a layer at x (batch, inputs)."""
    base = base_derivatives(act.base_fun, x)
    each = act.dense(x, int(slopes))
    full = [torch.cat([f, b.unsqueeze(-1)], -1) for f, b in zip(each, base, strict=False)]
    centered = full[0] - full[0].mean(0)
    apart = centered.transpose(0, 1)  # (inputs, batch, n)
    covariance = apart.mT @ apart / max(len(x) - 1, 1)
    return Functions(full[0], full[1] if slopes else None, centered, covariance)


def moments(act: KANLayer, x: Tensor, f: Functions) -> tuple[Tensor, Tensor]:
    """Give a layer's sums (batch, outputs) and the variances (outputs, inputs) of its edges."""
    spline, base = act.mask * act.scale_sp, act.mask * act.scale_base
    c = torch.cat([spline.unsqueeze(-1) * act.coef, base.unsqueeze(-1)], -1)
    sums, variances = _Moments.apply(x, c.mT, f)
    return sums, variances.T


class _Moments(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, c: Tensor, f: Functions) -> tuple[Tensor, Tensor]:
        half = f.covariance @ c  # c: (inputs, n, outputs)
        ctx.save_for_backward(c, half)
        ctx.f = f
        return f.values.flatten(1) @ c.flatten(0, 1), (c * half).sum(1)

    @staticmethod
    def backward(  # type: ignore[override]
        ctx: Any, by_sum: Tensor, by_variance: Tensor
    ) -> tuple[Tensor | None, Any, None]:
        (c, half), f = ctx.saved_tensors, ctx.f
        scaled = by_variance.unsqueeze(1) * 2  # (inputs, 1, outputs)
        by_c = (f.values.flatten(1).T @ by_sum).view(c.shape) + scaled * half
        if not ctx.needs_input_grad[0]:
            return None, by_c, None
        form = (scaled * c) @ c.mT / max(len(by_sum) - 1, 1)  # (inputs, n, n)
        pushed = (by_sum @ c.flatten(0, 1).T).view(f.values.shape)
        pushed += (f.centered.transpose(0, 1) @ form).transpose(0, 1)
        return (pushed * f.slopes).sum(-1), by_c, None


def base_derivatives(function: object, x: Tensor, order: int = 1) -> list[Tensor]:
    """Evaluate a base function and its derivatives up to `order`, at most 3."""
    if function is nn.functional.silu:
        s = x.sigmoid()
        q = s * (1 - s)
        found = [x * s, s + x * q]
        if order > 1:
            r = 1 - 2 * s
            found += [q * (2 + x * r), q * (r * (3 + x * r) - 2 * x * q)]
        return found[: order + 1]
    if isinstance(function, nn.Identity):
        return [x, torch.ones_like(x), torch.zeros_like(x), torch.zeros_like(x)][: order + 1]
    graph = torch.is_grad_enabled()
    with torch.enable_grad():
        u = x if graph and x.requires_grad else x.detach().requires_grad_()
        found = [function(u)]  # type: ignore[operator]
        for m in range(order):
            slope = torch.zeros_like(u)
            if found[-1].requires_grad:
                (slope,) = torch.autograd.grad(
                    found[-1].sum(), u, create_graph=graph or m < order - 1
                )
            found.append(slope)
    return found if graph else [f.detach() for f in found]
