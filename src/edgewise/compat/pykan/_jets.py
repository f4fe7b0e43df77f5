"""Second derivatives of a network in its inputs, layer by layer (see `edgewise.jet`)."""

from __future__ import annotations

import itertools
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from edgewise import _jets as jets
from edgewise._jets import Leibniz
from edgewise._kernels import Columns, pull
from edgewise.compat.pykan._layers import KANLayer
from edgewise.compat.pykan._moments import base_derivatives
from edgewise.compat.pykan._objective import has_functions

if TYPE_CHECKING:
    from edgewise.compat.pykan._network import MultKAN

_EDGES = 4_000_000
"""How many values of edges are held; wider layers are left to autograd, which holds none."""


def has_jets(model: MultKAN, x: Tensor) -> bool:
    """Whether `hessian` serves this network at these rows."""
    most = max(act.in_dim * act.out_dim for act, _ in model.parts())
    return (
        not (model.symbolic_enabled and has_functions(model))
        and not x.requires_grad
        and x.dtype == model.dtype
        and x.shape[1] == model.act_fun[0].in_dim == model.input_width
        and len(x) * most <= _EDGES
    )


def hessian(model: MultKAN, x: Tensor) -> Tensor:
    """Differentiate the first output twice at x (batch, inputs): (batch, inputs, inputs).

    The result can be differentiated in the parameters, any number of times.
    """
    if model.save_act:
        model(x)
    else:
        model.cache_data = x.detach()
    rule = Leibniz.of(x.shape[1], 2, mixed=True)
    u = x.unsqueeze(0)
    for layer, (act, _) in enumerate(model.parts()):
        coef = (act.mask * act.scale_sp).unsqueeze(-1) * act.coef
        sums = _LayerJets.apply(u, coef, act.mask * act.scale_base, act, rule)
        nodes = model.nodes(layer + 1)
        subnodes = _affine(sums, model.subnode_scale[layer], model.subnode_bias[layer])
        products = jets.nodes_forward(nodes, subnodes, rule)
        u = _affine(products, model.node_scale[layer], model.node_bias[layer])
    return (u[..., 0].T @ _places(rule).to(u)).unflatten(1, (rule.inputs, rule.inputs))


@lru_cache
def _places(rule: Leibniz) -> Tensor:
    """Say where the components of a jet stand in a Hessian, row by row: (components, entries)."""
    pairs = itertools.product(range(rule.inputs), repeat=2)
    where = [rule.partials.index((min(pair), max(pair))) for pair in pairs]
    return torch.eye(len(rule.partials), dtype=torch.float64)[where].T


def _affine(u: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    """Scale a jet (components, batch, nodes) and move its value."""
    plain = not (scale.requires_grad or bias.requires_grad)
    if plain and bool(((scale == 1) & (bias == 0)).all()):
        return u
    u = scale * u
    return torch.cat([u[:1] + bias, u[1:]])


class _LayerJets(torch.autograd.Function):
    """Carry jets (components, batch, inputs) through a layer of splines and base functions."""

    @staticmethod
    def forward(
        ctx: Any, u: Tensor, coef: Tensor, weights: Tensor, act: KANLayer, rule: Leibniz
    ) -> Tensor:
        x, first = u[0], len(u) == 1
        edges = act.edges(x, coef, rule.order + (not first))
        base = base_derivatives(act.base_fun, x, rule.order + (not first))
        for values, b in zip(edges, base, strict=True):
            values += weights.T * b.unsqueeze(1)
        powers = [] if first else rule.powers(u)
        ctx.save_for_backward(u, coef, weights)
        ctx.kept = act, rule, edges, base, powers
        return _sums(edges, powers, rule)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Any, ...]:  # type: ignore[override]
        u, coef, weights = ctx.saved_tensors
        act, rule, edges, base, powers = ctx.kept
        wanted = ctx.needs_input_grad[:3]
        if torch.is_grad_enabled():  # to be differentiated again
            given = [t for t, needed in zip((u, coef, weights), wanted, strict=True) if needed]
            found = iter(
                torch.autograd.grad(_plain(u, coef, weights, act, rule), given, g, True, True)
            )
            return *(next(found) if needed else None for needed in wanted), None, None
        start, basis = act.local(u[0], rule.order)
        step = jets.Step(edges, powers, g, start, basis, [])
        signal = g.unsqueeze(0)
        each = torch.stack(jets.weights_of_derivatives(step, signal, rule)).squeeze(2)
        return (
            jets.layer_backward(step, signal, rule)[0] if wanted[0] else None,
            _by_coef(each, start, basis, coef) if wanted[1] else None,
            torch.einsum("mbio,mbi->io", each, torch.stack(base[: len(each)]))
            if wanted[2]
            else None,
            None,
            None,
        )


def _sums(edges: Tensor, powers: list[Tensor], rule: Leibniz) -> Tensor:
    return jets.edge_sums(edges, powers, rule) if powers else jets.first_sums(edges, rule)


def _plain(u: Tensor, coef: Tensor, weights: Tensor, act: KANLayer, rule: Leibniz) -> Tensor:
    """Do what `_LayerJets` does in differentiable steps."""
    edges = act.edges(u[0], coef, rule.order)
    base = torch.stack(base_derivatives(act.base_fun, u[0], rule.order))
    edges = edges + weights.T * base.unsqueeze(2)
    return _sums(edges, [] if len(u) == 1 else rule.powers(u), rule)


def _by_coef(each: Tensor, start: Tensor, basis: Tensor, coef: Tensor) -> Tensor:
    """Sum what the derivatives of edges weigh (derivatives, batch, inputs, outputs) over rows."""
    inputs, outputs, size = coef.shape
    number = torch.arange(inputs * outputs, device=coef.device)
    columns = Columns(
        start.repeat(len(each), 1),
        basis.flatten(0, 1),
        each.reshape(-1, 1, inputs * outputs),
        torch.stack([number, number // outputs], 1),
        size,
    )
    return pull(columns).view(inputs, outputs, size)
