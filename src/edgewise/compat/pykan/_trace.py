r"""What passes through pykan's network, and the way back, without autograd.

With d the derivative of an output in the sum that an edge enters, the columns of the Jacobian are
:math:`d\,(B_1(x), \ldots, B_n(x), b(x))` for a spline and its base function, with the edge's
factors drawn into its coefficients: edges are linear in them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from edgewise._kernels import Columns
from edgewise.compat.pykan._layers import zero
from edgewise.compat.pykan._moments import base_derivatives

if TYPE_CHECKING:
    from edgewise.compat.pykan._network import MultKAN


class Trace(NamedTuple):
    """What passed through one layer and its nodes."""

    x: Tensor  # (batch, inputs)
    base: Tensor | None  # (batch, inputs)
    numeric: Tensor  # (batch, sums, inputs)
    slopes: Tensor  # (batch, sums, inputs): of the numeric edges
    named: list[Named]
    sums: Tensor  # (batch, sums)
    subnodes: Tensor  # (batch, sums)
    products: Tensor  # (batch, nodes)
    nodes: Tensor  # (batch, nodes)

    def edges(self, whole: bool) -> tuple[Tensor, Tensor]:
        """Give the edges and their slopes (batch, sums, inputs), with their functions if whole."""
        if not whole or not self.named:
            return self.numeric, self.slopes
        values, slopes = self.numeric.clone(), self.slopes.clone()
        for named in self.named:
            values[:, named.j, named.i] += named.value
            slopes[:, named.j, named.i] += named.slope
        return values, slopes


class Named(NamedTuple):
    """An edge with a function c f(a x + b) + d."""

    j: int
    i: int
    value: Tensor  # (batch,)
    slope: Tensor  # (batch,)
    by_constant: Tensor  # (batch, 4)


class Layer:
    """A layer of a network whose masks and grids stay as they are."""

    def __init__(self, model: MultKAN, number: int, guard: tuple[bool, float]) -> None:
        self.act, self.symbolic = model.parts()[number]
        self.guard = guard
        self.nodes = model.nodes(number + 1)
        self.affine = model.affine_trainable
        self.subnode = model.subnode_scale[number], model.subnode_bias[number]
        self.node = model.node_scale[number], model.node_bias[number]
        act = self.act
        self.size = act.coef.shape[-1]
        self.spline_factor = (act.mask * act.scale_sp).detach().T
        self.base_factor = act.mask.detach().T
        self.has_base = act.base_fun is not zero
        self.splines = (self.spline_factor != 0).nonzero()  # (edges, 2)
        trained = self.has_base and act.scale_base.requires_grad
        self.bases = self.base_factor.nonzero() if trained else self.splines[:0]
        self.active = self.symbolic.active() if model.symbolic_enabled else []

    def coefficients(self) -> tuple[Tensor, Tensor]:
        """Give those of splines (inputs, sums, basis) and bases (sums, inputs), with factors."""
        coef = self.spline_factor.T.unsqueeze(-1) * self.act.coef.detach()
        return coef, self.base_factor * self.act.scale_base.detach().T

    def forward(self, x: Tensor) -> Trace:
        """Evaluate the layer at x (batch, inputs)."""
        coef, weights = self.coefficients()
        numeric, slopes = self.act.edges(x, coef, 1)
        base = None
        if self.has_base:
            base, slope = base_derivatives(self.act.base_fun, x)
            numeric = numeric + weights * base.unsqueeze(1)
            slopes = slopes + weights * slope.unsqueeze(1)
        sums, named = numeric.sum(-1), []
        for j, i in self.active:
            edge = self._function(j, i, x[:, i])
            sums[:, j] += edge.value
            named.append(edge)
        subnodes = self.subnode[0] * sums + self.subnode[1]
        products = self.nodes(subnodes)
        nodes = self.node[0] * products + self.node[1]
        return Trace(x, base, numeric, slopes, named, sums, subnodes, products, nodes)

    def _function(self, j: int, i: int, x: Tensor) -> Named:
        a, b, c, d = self.symbolic.affine[j, i].detach().unbind()
        mask = self.symbolic.mask[j, i].detach()
        f = self.symbolic.function(j, i, *self.guard)
        with torch.enable_grad():
            u = (a * x + b).requires_grad_()
            value = f(u)
            slope = torch.zeros_like(u)
            if value.requires_grad:
                (slope,) = torch.autograd.grad(value.sum(), u)
        value = value.detach()
        by = torch.stack([c * slope * x, c * slope, value, torch.ones_like(value)], 1) * mask
        by = torch.where(by.isfinite(), by, 0.0)
        along = torch.where(slope.isfinite(), slope, 0.0)
        return Named(j, i, mask * (c * value + d), mask * c * a * along, by)

    def back(self, trace: Trace, signal: Tensor) -> tuple[Tensor, Tensor]:
        """Carry derivatives in the nodes (batch, rows, nodes) back.

        Returns:
            Those in the subnodes and those in the sums (batch, rows, sums).
        """
        d = self.nodes.backward(signal * self.node[0], trace.subnodes)
        return d, d * self.subnode[0]

    def through(self, trace: Trace, d: Tensor) -> Tensor:
        """Carry derivatives in the sums (batch, rows, sums) back to those in the inputs."""
        return torch.einsum("bro,boi->bri", d, trace.edges(whole=True)[1])

    def columns(self, trace: Trace, d: Tensor) -> list[list[Columns]]:
        """Give the columns of splines, of bases, and of functions."""
        kinds: list[list[Columns]] = [[], [], []]
        start = torch.zeros_like(trace.x, dtype=torch.int64)
        if len(self.splines):
            begin, values = self.act.local(trace.x)
            kinds[0].append(Columns(begin, values[0], d, self.splines, self.size))
        if len(self.bases):
            assert trace.base is not None
            kinds[1].append(Columns(start, trace.base.unsqueeze(-1), d, self.bases, 1))
        trained = self.fitted(trace)
        if trained:
            by = torch.stack([edge.by_constant for edge in trained], 1)  # (batch, edges, 4)
            at = [(edge.j, number) for number, edge in enumerate(trained)]
            begin = start[:, :1].expand(-1, len(at))
            kinds[2].append(Columns(begin, by, d, torch.tensor(at, device=d.device), 4))
        return kinds

    def trained(self) -> list[tuple[int, int]]:
        """List the edges (sum, input) whose functions have constants that are trained."""
        if not self.symbolic.affine.requires_grad:
            return []
        return [(j, i) for j, i in self.active if self.symbolic.funs_name[j][i] != "0"]

    def fitted(self, trace: Trace) -> list[Named]:
        """List what came through them."""
        chosen = set(self.trained())
        return [edge for edge in trace.named if (edge.j, edge.i) in chosen]

    def functions(self, trace: Trace) -> Tensor:
        """Give the splines and the base function of each input, centered (batch, inputs, n + 1)."""
        each = self.act.dense(trace.x)[0]
        base = torch.zeros_like(trace.x) if trace.base is None else trace.base
        each = torch.cat([each, base.unsqueeze(-1)], -1)
        return each - each.mean(0)
