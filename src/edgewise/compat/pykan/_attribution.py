"""Scores of nodes and edges: how much of the outputs comes through them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from edgewise._errors import ConfigError

if TYPE_CHECKING:
    from edgewise.compat.pykan._network import MultKAN


class Scores(NamedTuple):
    """Scores for each output k, by layer from the inputs on."""

    nodes: list[Tensor]  # (k, nodes)
    subnodes: list[Tensor]  # (k, subnodes)
    edges: list[Tensor]  # (k, subnodes, inputs)


def backward_scores(
    model: MultKAN, sizes: list[Tensor], sums: list[Tensor], out_score: Tensor | None = None
) -> Scores:
    """Carry scores from the nodes of a layer back (arXiv 2408.10205, section 4.1).

    A sum hands its score to its edges by their standard deviations, over its own.

    Args:
        model: The network.
        sizes: The standard deviations of the edges of the layers before (subnodes, inputs).
        sums: Those of the sums (subnodes,).
        out_score: The scores to begin with; one for each node, every node for itself.
    """
    depth = len(sizes)
    count = model.width_in[depth]
    like = sizes[-1]
    start = torch.ones(count).to(like) if out_score is None else out_score.to(like)
    nodes, subnodes, edges = [torch.diag(start)], [], []
    for layer in range(depth, 0, -1):
        factors = [1] * model.width[layer][0] + model.arities(layer)
        score = nodes[-1].repeat_interleave(torch.tensor(factors, device=like.device), 1)
        spread = sums[layer - 1]
        share = torch.where(spread > 0, score / spread.clamp_min(1e-300), 0.0)
        subnodes.append(score)
        edges.append(share.unsqueeze(-1) * sizes[layer - 1])
        nodes.append(edges[-1].sum(1))
    return Scores(nodes[::-1], subnodes[::-1], edges[::-1])


def attribute(
    self: MultKAN,
    l: int | None = None,
    i: int | None = None,
    out_score: Tensor | None = None,
    plot: bool = True,
) -> Tensor | None:
    """Score inputs, nodes and edges by how much of the outputs comes through them.

    Args:
        l: A layer of nodes, whose nodes are scored by the inputs; the outputs if not given.
        i: One node of it.
        out_score: The weights of the outputs (or of layer l's nodes).
        plot: With `i`, draw a bar for each input.

    Returns:
        None without `l`: the scores are in `node_scores`, `subnode_scores` and `edge_scores`, means
        over the outputs, and for each output in those with `_all`. With `l`, the scores of the
        inputs for each node (nodes, inputs), or with `i` for one (inputs,).
    """
    self.need_acts()
    if l is None:
        scores = backward_scores(self, self.edge_actscale, self.subnode_actscale, out_score)
        self.node_scores_all = scores.nodes
        self.subnode_scores_all, self.edge_scores_all = scores.subnodes, scores.edges
        self.node_scores = [score.mean(0) for score in scores.nodes]
        self.subnode_scores = [score.mean(0) for score in scores.subnodes]
        self.edge_scores = [score.mean(0) for score in scores.edges]
        return None
    if not 1 <= l <= self.depth:
        raise ConfigError(f"Layers of nodes are 1 to {self.depth}, got l={l}.")
    if out_score is None:
        attribute(self)
        assert self.node_scores is not None
        out_score = self.node_scores[l]
    found = backward_scores(self, self.edge_actscale[:l], self.subnode_actscale[:l], out_score)
    if i is None:
        return found.nodes[0]
    if not 0 <= i < self.width_in[l]:
        raise ConfigError(f"Nodes of layer {l} are 0 to {self.width_in[l] - 1}, got i={i}.")
    if plot:
        from edgewise.compat.pykan._plot import bars

        bars(found.nodes[0][i])
    return found.nodes[0][i]


def node_attribute(self: MultKAN) -> None:
    """Score the inputs for the nodes of each layer, into `node_attribute_scores`."""
    self.node_attribute_scores = [attribute(self, l) for l in range(1, self.depth + 1)]


def feature_interaction(
    self: MultKAN,
    l: int,
    neuron_th: float = 1e-2,
    feature_th: float = 1e-2,
) -> dict[tuple[int, ...], int]:
    """Count the sets of inputs that nodes of a layer depend on.

    Args:
        l: The layer of nodes.
        neuron_th: Nodes whose largest score is not above it do not count.
        feature_th: The share of a node's largest score above which an input counts.
    """
    found: dict[tuple[int, ...], int] = {}
    scores = attribute(self, l)
    assert scores is not None
    for score in scores:
        if float(score.max()) > neuron_th:
            inputs = tuple((score > score.max() * feature_th).nonzero()[:, 0].tolist())
            found[inputs] = found.get(inputs, 0) + 1
    return found


def scored(model: MultKAN) -> MultKAN:
    """Attribute, whatever was kept of the last evaluation."""
    model.need_acts()
    attribute(model)
    return model
