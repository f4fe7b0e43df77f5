"""Find out what each edge and node carries, and drop what carries nothing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from edgewise._cones import mirrored
from edgewise._errors import ConfigError
from edgewise._layer import KANLayer, Lock
from edgewise._network import KAN, Nodes, Trace, check_sample, trace


@dataclass(frozen=True)
class Attribution:
    """How much of the outputs passes through each edge and node; an output has the score 1.

    Attributes:
        edges: For each layer the scores of its edges, (sums, inputs).
        sums: For each layer the scores of the sums that its edges enter, (sums,).
        nodes: The scores of the nodes from the inputs to the outputs: one tensor more than layers.
    """

    edges: list[Tensor]
    sums: list[Tensor]
    nodes: list[Tensor]

    @property
    def inputs(self) -> Float[Tensor, " inputs"]:
        """The scores of the inputs."""
        return self.nodes[0]


def attribute(model: KAN, x: Any, *, output: int | Sequence[int] | None = None) -> Attribution:
    r"""Score edges and nodes by their share in what reaches the outputs.

    An edge that varies strongly carries nothing if nothing depends on where it leads. So scores go
    backwards from the outputs: with :math:`E_{ji}` the standard deviation of an edge over the data
    and :math:`N_j` that of the sum it enters, the edge has the score :math:`A_j E_{ji} / N_j`, and
    a node the sum of the scores of its outgoing edges (KAN 2.0, arXiv 2408.10205, sec. 4.1). The
    factors of a product node have the score of their node.

    Args:
        model: The network; it is not changed.
        x: Inputs, (batch, inputs), at least two rows: a tensor or a NumPy array.
        output: The output to explain, or several; all by default. The others have the score 0.

    Returns:
        The scores.

    Raises:
        ConfigError: If there is no such output.
        ShapeError: If x is not of shape (batch, inputs).
        DataError: If x has fewer than two rows, or values that are not finite.

    Example:
        >>> scores = ew.attribute(model, x)
        >>> scores.nodes[0].shape, scores.edges[0].shape
        (torch.Size([2]), torch.Size([5, 2]))
    """
    x = check_sample(model, x, "Attribution")
    return _attribute(model, trace(model, x), chosen_outputs(model, output))


def chosen_outputs(model: KAN, output: int | Sequence[int] | None) -> list[int]:
    """Read which outputs are asked for."""
    count = model.out_features
    if output is None:
        return list(range(count))
    chosen = [output] if isinstance(output, int) else list(output)
    if not chosen or not all(0 <= o < count for o in chosen):
        raise ConfigError(f"output is a number from 0 to {count - 1}, or several. Got {output}.")
    return chosen


def _attribute(model: KAN, record: Trace, outputs: Sequence[int] | None = None) -> Attribution:
    score = record.output.new_zeros(model.out_features)
    score[list(range(len(score)) if outputs is None else outputs)] = 1
    edge_scores, sum_scores, node_scores = [], [], [score]
    for (layer, nodes), edges, sums in reversed(
        list(zip(model.parts(), record.edges, record.sums, strict=True))
    ):
        of_sum = [nodes.of_sum(j) for j in range(layer.out_features)]
        at_sum = score[of_sum]
        spread = sums.std(0)
        scale = edges.abs().amax((0, 2))  # what rounding leaves of a constant is no spread
        share = edges.std(0) / spread.unsqueeze(-1)
        varies = (spread > 1e-14 * scale).unsqueeze(-1)
        by_edge = at_sum.unsqueeze(-1) * torch.where(varies, share, torch.zeros_like(share))
        score = by_edge.sum(0)
        edge_scores.append(by_edge)
        sum_scores.append(at_sum)
        node_scores.append(score)
    return Attribution(edge_scores[::-1], sum_scores[::-1], node_scores[::-1])


@torch.no_grad()
def prune(
    model: KAN,
    x: Any,
    *,
    node_threshold: float = 1e-2,
    edge_threshold: float = 1e-2,
) -> KAN:
    """Drop the edges and hidden nodes that carry nothing.

    What is dropped leaves its mean over the data behind, so that only its variation is lost. A
    hidden product that loses factors multiplies the others; with one left it is a sum node. Inputs
    are never dropped: the result takes what the model took; an output stays what it is and keeps at
    least one edge.

    Args:
        model: The network; it is not changed.
        x: Inputs that represent the data, at least two rows: a tensor or a NumPy array.
        node_threshold: Hidden nodes with a lower score (see `attribute`) go.
        edge_threshold: Edges with a lower score go.

    Returns:
        A smaller network.

    Raises:
        ConfigError: If a threshold is negative.
        ShapeError: If x is not of shape (batch, inputs).
        DataError: If x has fewer than two rows, or values that are not finite.

    Example:
        >>> small = ew.prune(model, x, node_threshold=0.3)
        >>> small.in_features, len(small.edges()) < len(model.edges())
        (2, True)
    """
    if node_threshold < 0 or edge_threshold < 0:
        raise ConfigError(
            f"Thresholds cannot be negative, got {node_threshold} for nodes and {edge_threshold} "
            "for edges."
        )
    x = check_sample(model, x, "Pruning")
    record = trace(model, x)
    scores = _attribute(model, record)
    means = [edges.mean(0) for edges in record.edges]  # (sums, inputs) of each layer
    keep = _kept_edges(model, scores, node_threshold, edge_threshold)

    layers, every_nodes = [], []
    inputs = torch.arange(model.in_features, device=x.device)
    for depth, (layer, nodes) in enumerate(model.parts()):
        left = _fold_means(means[depth], keep[depth], layer.active)
        final = depth == len(keep) - 1
        if final:  # outputs stay what they are, in their order
            rows, factors = list(range(nodes.in_features)), [1.0] * nodes.in_features
            kept_nodes, outputs = nodes, list(range(len(nodes)))
        else:
            alive = keep[depth + 1].any(0)
            alive[0] |= not alive.any()  # a layer has a node, though no output hang on it
            rows, factors, kept_nodes, outputs = _arrange(nodes, alive, keep[depth], left.constants)
        layers.append(_cut(layer, inputs, rows, keep[depth], left.shifts, factors))
        every_nodes.append(kept_nodes)
        inputs = torch.tensor(outputs, device=x.device)
    return KAN.of(layers, every_nodes)


def _kept_edges(
    model: KAN, scores: Attribution, node_threshold: float, edge_threshold: float
) -> list[Bool[Tensor, "sums inputs"]]:
    """The edges that stay: above the thresholds, and on a way from an edge to an output."""
    parts = model.parts()
    keep = []
    for depth, (layer, _) in enumerate(parts):
        stays = layer.active & (scores.edges[depth] >= edge_threshold)
        if depth:  # nodes of the layer before
            stays &= scores.nodes[depth] >= node_threshold
        keep.append(stays)
    forced = _strongest_paths(model, scores)
    while True:
        before = [k.clone() for k in keep]
        for depth, (_, nodes) in enumerate(parts):
            keep[depth] |= forced[depth]
            if depth == len(parts) - 1:
                continue
            fed = torch.zeros(len(nodes), dtype=torch.bool, device=keep[depth].device)
            for j, has_edges in enumerate(keep[depth].any(1).tolist()):
                fed[nodes.of_sum(j)] |= has_edges
            alive = fed & keep[depth + 1].any(0)
            for j in range(keep[depth].shape[0]):
                keep[depth][j] &= alive[nodes.of_sum(j)]
            keep[depth + 1] &= alive
        if all(torch.equal(a, b) for a, b in zip(before, keep, strict=True)):
            return keep


def _strongest_paths(model: KAN, scores: Attribution) -> list[Bool[Tensor, "sums inputs"]]:
    """The strongest edge into each output and, back from there, into each node on the way."""
    parts = model.parts()
    forced = [torch.zeros_like(layer.mask) for layer, _ in parts]
    wanted = set(range(parts[-1][0].out_features))
    for depth in range(len(parts) - 1, -1, -1):
        layer, sources = parts[depth][0], set()
        score = torch.where(
            layer.active, scores.edges[depth], -torch.ones_like(scores.edges[depth])
        )
        for j in wanted:
            i = int(score[j].argmax())
            if score[j, i] >= 0:
                forced[depth][j, i] = True
                sources.add(i)
        if depth:
            nodes = parts[depth - 1][1]
            varies = (scores.edges[depth - 1] > 0).any(1).tolist()
            wanted = set()
            for node in sources:  # a factor that does not vary is a number
                factors = nodes.sums_of(node)
                wanted |= {j for j in factors if varies[j]} or {factors.start}
    return forced


@dataclass(frozen=True)
class _Left:
    """What dropped edges leave behind: a shift of a kept edge, or of a whole sum."""

    shifts: Tensor
    constants: Tensor


def _fold_means(mean: Tensor, keep: Tensor, active: Tensor) -> _Left:
    """Give the means of dropped edges to the first kept edge of their sum, where there is one."""
    lost = (mean * (active & ~keep)).sum(1)  # (sums,)
    first = keep & (keep.cumsum(1) == 1)
    return _Left(shifts=first * lost.unsqueeze(-1), constants=lost)


def _arrange(
    nodes: Nodes, alive: Tensor, keep: Tensor, constants: Tensor
) -> tuple[list[int], list[float], Nodes, list[int]]:
    """Order what is left: rows of sums, the factor of each, the nodes, and their old numbers."""
    fed = keep.any(1).tolist()
    left: list[tuple[int, list[int], float]] = []  # each node, its sums, and what multiplies it
    for node in (n for n, is_alive in enumerate(alive.tolist()) if is_alive):
        kept = [j for j in nodes.sums_of(node) if fed[j]] or [nodes.sums_of(node).start]
        numbers = [float(constants[j]) for j in nodes.sums_of(node) if j not in kept]
        left.append((node, kept, math.prod(numbers)))
    left.sort(key=lambda item: len(item[1]) > 1)  # a product of one factor is a sum now
    rows = [j for _, kept, _ in left for j in kept]
    factors = [n for _, kept, number in left for n in (number, *[1.0] * (len(kept) - 1))]
    arities = [len(kept) for _, kept, _ in left if len(kept) > 1]
    return rows, factors, Nodes(len(left) - len(arities), arities), [node for node, _, _ in left]


def _cut(
    layer: KANLayer,
    inputs: Tensor,
    rows: list[int],
    keep: Tensor,
    shifts: Tensor,
    factors: list[float],
) -> KANLayer:
    """Take the rows and inputs of a layer, with shifts added and factors multiplied."""
    one, _ = layer.basis.line()
    factor = layer.coef.new_tensor(factors).reshape(-1, 1, 1)
    coef = (layer.coef + shifts.unsqueeze(-1) * one)[rows][:, inputs] * factor
    mask = (layer.mask & keep)[rows][:, inputs]
    small = KANLayer.of(layer.basis.select(inputs), coef, mask)
    position = {int(i): n for n, i in enumerate(inputs)}
    for (o, i), kinds in layer.bounds.items():
        if o in rows and i in position and bool(keep[o, i]):
            place = rows.index(o)
            small.bounds[place, position[i]] = kinds if factors[place] >= 0 else mirrored(kinds)
    for (o, i), lock in layer.locked():
        if o in rows and i in position and bool(keep[o, i]):
            a, b, c, d = lock.constants.unbind()
            f = factors[rows.index(o)]
            constants = torch.stack([a, b, f * c, f * (d + shifts[o, i])])
            small.lock(rows.index(o), position[i], Lock(lock.primitive, constants, lock.free))
    return small
