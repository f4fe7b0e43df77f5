r"""Sums of edges and their variances over rows, from the moments of splines.

An edge is :math:`\phi = \sum_k c_k f_k` with the splines and the base function of its input as
:math:`f_k`. Over the rows its variance is :math:`c^T \mathrm{cov}(f)\, c`: no edge has to be
evaluated for itself, and f and its covariance serve all edges that leave an input.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn

from edgewise.compat.pykan._layers import KANLayer

if TYPE_CHECKING:
    from edgewise.compat.pykan._network import MultKAN
    from edgewise.compat.pykan._objective import Slopes


class Functions(NamedTuple):
    """The functions f of each input, at rows."""

    values: Tensor  # (batch, inputs, n)
    slopes: Tensor  # (batch, inputs, n), empty unless asked for
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
    return Functions(full[0], full[-1] if slopes else full[0][:0], centered, covariance)


class Step(NamedTuple):
    """What passed through one layer."""

    x: Tensor  # (batch, inputs)
    functions: Functions
    c: Tensor  # (inputs, n, outputs): coefficients with the edges' factors
    half: Tensor  # (inputs, n, outputs): covariance times c
    sums: Tensor  # (batch, outputs)
    subnodes: Tensor  # (batch, outputs)
    products: Tensor  # (batch, nodes)
    nodes: Tensor  # (batch, nodes)

    @property
    def sizes(self) -> Tensor:
        """The standard deviations (outputs, inputs) of the edges."""
        return (self.c * self.half).sum(1).T.clamp_min(0.0).sqrt()

    def through(self, d: Tensor) -> Tensor:
        """Carry derivatives in the sums (batch, outputs) back to those in x."""
        f = self.functions
        return ((d @ self.c.flatten(0, 1).T).view(f.values.shape) * f.slopes).sum(-1)


@torch.no_grad()
def walk(model: MultKAN, x: Tensor, known: list[Functions], slopes: bool = False) -> list[Step]:
    """Evaluate a network without functions on its edges at x (batch, inputs).

    Args:
        model: The network.
        x: Its inputs.
        known: Their functions from an earlier call; they are put here.
        slopes: Whether `gradient` is to follow.
    """
    steps: list[Step] = []
    for n, (act, _) in enumerate(model.parts()):
        if n == 0 and not known:
            known.append(functions(act, x, slopes=False))
        f = functions(act, x, slopes) if n else known[0]
        spline, base = act.mask * act.scale_sp, act.mask * act.scale_base
        c = torch.cat([spline.unsqueeze(-1) * act.coef, base.unsqueeze(-1)], -1).mT.contiguous()
        sums = f.values.flatten(1) @ c.flatten(0, 1)
        steps.append(Step(x, f, c, f.covariance @ c, sums, *model.combine(sums, n)))
        x = steps[-1].nodes
    return steps


@torch.no_grad()
def gradient(
    model: MultKAN, steps: list[Step], d: Tensor, slopes: Slopes
) -> dict[nn.Parameter, Tensor]:
    """Give the derivatives of a loss and a penalty in the parameters.

    Args:
        model: The network.
        steps: What `walk` gave, with slopes.
        d: The derivatives of the loss in the outputs (batch, outputs).
        slopes: Those of the penalty in what it is made of.
    """
    found: dict[nn.Parameter, Tensor] = {}
    rows = max(len(d) - 1, 1)
    for n, (act, _) in reversed(list(enumerate(model.parts()))):
        s = steps[n]
        scale, subscale = model.node_scale[n], model.subnode_scale[n]
        nodes = model.nodes(n + 1)
        by_subnode = nodes.backward((d * scale).unsqueeze(1), s.subnodes).squeeze(1)
        if model.affine_trainable:
            found[scale], found[model.node_bias[n]] = (d * s.products).sum(0), d.sum(0)
            found[subscale] = (by_subnode * s.sums).sum(0)
            found[model.subnode_bias[n]] = by_subnode.sum(0)
        d = by_subnode * subscale
        stretch = (slopes.by_sizes[n] / s.sizes.clamp_min(1e-12)).T.unsqueeze(1)
        by_c = (s.functions.values.flatten(1).T @ d).view(s.c.shape) + stretch * s.half
        by_spline = by_c[:, :-1].mT
        spline = (act.mask * act.scale_sp).unsqueeze(-1)
        found[act.coef] = spline * by_spline + slopes.by_coefs[n]
        found[act.scale_sp] = act.mask * (by_spline * act.coef).sum(-1)
        found[act.scale_base] = act.mask * by_c[:, -1]
        if n:
            form = (stretch * s.c) @ s.c.mT / rows  # (inputs, n, n)
            pushed = (s.functions.centered.transpose(0, 1) @ form).transpose(0, 1)
            d = s.through(d) + (pushed * s.functions.slopes).sum(-1)
            away = s.x - s.x.mean(0)
            spread = (away.square().sum(0) / rows).sqrt().clamp_min(1e-300)
            d += away * (slopes.by_spreads[n] / (rows * spread))
    return found


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
