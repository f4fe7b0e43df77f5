"""Taking nodes, edges and inputs away.

What `prune` takes away leaves its mean over the rows behind: an edge that hardly varies may be a
large constant, and the network's values would jump without it.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from edgewise._errors import ConfigError
from edgewise.compat.pykan._attribution import scored
from edgewise.compat.pykan._layers import indices

if TYPE_CHECKING:
    from edgewise.compat.pykan._network import MultKAN


def prune_node(
    self: MultKAN,
    threshold: float = 1e-2,
    mode: str = "auto",
    active_neurons_id: Sequence[Sequence[int]] | None = None,
    log_history: bool = True,
) -> MultKAN:
    """Give a copy without the hidden nodes whose scores are not above a threshold.

    Args:
        threshold: The threshold.
        mode: "auto", or "manual" to keep the nodes given.
        active_neurons_id: For each hidden layer the nodes to keep.
        log_history: Whether to keep the state.

    Raises:
        ConfigError: If a layer would lose all of its nodes.
    """
    if active_neurons_id is not None:
        mode = "manual"
    if mode not in ("auto", "manual") or (mode == "manual" and active_neurons_id is None):
        raise ConfigError(f"mode is 'auto', or 'manual' with active_neurons_id, got {mode!r}.")
    keep = []
    for layer in range(1, self.depth):
        if active_neurons_id is not None:
            keep.append(indices(sorted(active_neurons_id[layer - 1]), self.width_in[layer]))
        else:
            scores = scored(self).node_scores
            assert scores is not None
            keep.append((scores[layer] > threshold).nonzero()[:, 0].cpu())
        if len(keep[-1]) == 0:
            raise ConfigError(
                f"No node of layer {layer} has a score above {threshold}: nothing would be left of "
                "the network. Choose a smaller threshold, or train it first."
            )
    smaller = with_nodes(self, keep)
    for layer, (kept, means) in enumerate(zip(keep, _means(self)[1:], strict=True), start=1):
        subnodes = _subnodes(self, layer + 1, keep)
        _add(smaller, layer, _lost(means, kept)[subnodes.to(means.device)])
    if log_history:
        smaller.log_history("prune_node")
    return smaller


def with_nodes(model: MultKAN, keep: list[Tensor]) -> MultKAN:
    """Copy a network with these nodes of its hidden layers, in this order."""
    smaller = copy.deepcopy(model)
    smaller.forget()
    nodes = [torch.arange(model.width_in[0]), *keep, torch.arange(model.width_in[-1])]
    width, arities = [list(model.width[0])], [model.arities(0)]
    for layer in range(1, model.depth + 1):
        kept, sums = nodes[layer], model.width[layer][0]
        products = [n - sums for n in kept.tolist() if n >= sums]
        width.append([len(kept) - len(products), len(products)])
        arities.append([model.arities(layer)[n] for n in products])
        subnodes = _subnodes(model, layer, keep)
        act, symbolic = model.parts()[layer - 1]
        before = nodes[layer - 1]
        smaller.act_fun[layer - 1] = act.get_subset(before, subnodes)
        smaller.symbolic_fun[layer - 1] = symbolic.get_subset(before, subnodes)
        for name, chosen in (("node", kept), ("subnode", subnodes)):
            for kind in ("bias", "scale"):
                parameter = getattr(smaller, f"{name}_{kind}")[layer - 1]
                parameter.data = parameter.data[chosen.to(parameter.device)]
    smaller.width = width
    if not model.mult_homo:
        smaller.mult_arity = arities
    return smaller.to(model.device)


def _subnodes(model: MultKAN, layer: int, keep: list[Tensor]) -> Tensor:
    """List the subnodes of the nodes that are kept: those of a node stand together."""
    kept = keep[layer - 1] if layer < model.depth else torch.arange(model.width_in[-1])
    nodes = model.nodes(layer)
    return torch.tensor([j for n in kept.tolist() for j in nodes.sums_of(n)])


@torch.no_grad()
def _means(model: MultKAN) -> list[Tensor]:
    """Give the mean of each edge (sums, inputs) of each layer; zeros before any evaluation."""
    if model.cache_data is None:
        return [torch.zeros_like(act.mask.T) for act, _ in model.parts()]
    model.need_acts()
    return [values.mean(0) for values in model.spline_postacts]


def _lost(means: Tensor, kept: Tensor) -> Tensor:
    """Add up the means (sums, inputs) of the edges from inputs that are not kept: (sums,)."""
    gone = torch.ones(means.shape[1], dtype=torch.bool, device=means.device)
    gone[kept.to(means.device)] = False
    return means[:, gone].sum(1)


@torch.no_grad()
def _add(model: MultKAN, layer: int, constants: Tensor) -> None:
    """Add constants (sums,) to the sums of a layer: in a spline that stays, or else in the bias."""
    act = model.parts()[layer][0]
    factor = act.mask * act.scale_sp  # (inputs, sums)
    for j, constant in enumerate(constants.to(factor)):
        i = int(factor[:, j].abs().argmax())
        if factor[i, j] != 0:
            act.coef.data[i, j] += constant / factor[i, j]
        else:
            scale = model.subnode_scale[layer].data[j]
            model.subnode_bias[layer].data[j] += scale * constant


def prune_edge(self: MultKAN, threshold: float = 3e-2, log_history: bool = True) -> None:
    """Switch edges off, in place, whose scores are not above a threshold: splines and functions."""
    edges = scored(self).edge_scores
    assert edges is not None
    means = _means(self)
    for layer, (act, symbolic) in enumerate(self.parts()):
        alive = (edges[layer] > threshold).to(act.mask)
        act.mask.data = act.mask.data * alive.T
        symbolic.mask.data = symbolic.mask.data * alive
        _add(self, layer, (means[layer] * (1 - alive)).sum(1))
    self.acts = None
    if log_history:
        self.log_history("prune_edge")


def prune(self: MultKAN, node_th: float = 1e-2, edge_th: float = 3e-2) -> MultKAN:
    """Give a copy without the nodes and edges whose scores are not above the thresholds."""
    smaller = prune_node(self, node_th, log_history=False)
    prune_edge(smaller, edge_th, log_history=False)
    smaller.need_acts()
    smaller.log_history("prune")
    return smaller


def prune_input(
    self: MultKAN,
    threshold: float = 1e-2,
    active_inputs: Sequence[int] | None = None,
    log_history: bool = True,
) -> MultKAN:
    """Give a copy without the inputs whose scores are not above a threshold.

    The copy takes the same x as before and picks its columns, `input_id`.

    Args:
        threshold: The threshold.
        active_inputs: The inputs to keep, whatever their scores.
        log_history: Whether to keep the state.
    """
    if active_inputs is None:
        kept = (self.feature_score > threshold).nonzero()[:, 0].cpu()
    else:
        kept = indices(active_inputs, self.width_in[0])
    if len(kept) == 0:
        raise ConfigError(f"No input has a score above {threshold}: choose a smaller threshold.")
    smaller = copy.deepcopy(self)
    act, symbolic = self.parts()[0]
    everything = torch.arange(self.width_out[1])
    smaller.act_fun[0] = act.get_subset(kept, everything)
    smaller.symbolic_fun[0] = symbolic.get_subset(kept, everything)
    _add(smaller, 0, _lost(_means(self)[0], kept))
    smaller.width = [[len(kept), 0], *self.width[1:]]
    smaller.input_id = self.input_id[kept.to(self.input_id.device)]
    if self.cache_data is not None:
        smaller.cache_data = self.cache_data[:, kept.to(self.cache_data.device)]
    smaller.to(self.device)
    if log_history:
        smaller.log_history("prune_input")
    return smaller


def remove_edge(
    self: MultKAN,
    l: int,
    i: int,
    j: int,
    log_history: bool = True,
) -> None:
    """Switch an edge off, in place, spline and function."""
    self.check_edge(l, i, j)
    act, symbolic = self.parts()[l]
    act.mask.data[i, j] = symbolic.mask.data[j, i] = 0.0
    self.acts = None
    if log_history:
        self.log_history("remove_edge")


def remove_node(
    self: MultKAN,
    l: int,
    i: int,
    mode: str = "all",
    log_history: bool = True,
) -> None:
    """Switch off, in place, all edges that enter a node ("down"), leave it ("up"), or both ("all").

    With "down", i is a subnode.
    """
    if mode not in ("all", "up", "down"):
        raise ConfigError(f"mode is 'all', 'up' or 'down', got {mode!r}.")
    count = self.width_out[l] if mode == "down" else self.width_in[l]
    if not 0 <= l <= self.depth or not 0 <= i < count:
        raise ConfigError(f"There is no node ({l}, {i}).")
    if mode in ("all", "down") and l > 0:
        subnodes = [i] if mode == "down" else list(self.nodes(l).sums_of(i))
        act, symbolic = self.parts()[l - 1]
        act.mask.data[:, subnodes] = 0.0
        symbolic.mask.data[subnodes] = 0.0
    if mode in ("all", "up") and l < self.depth:
        act, symbolic = self.parts()[l]
        act.mask.data[i] = 0.0
        symbolic.mask.data[:, i] = 0.0
    self.acts = None
    if log_history:
        self.log_history("remove_node")
