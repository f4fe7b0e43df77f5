"""Put hidden nodes in an order in which the edges are short, so that few of them cross."""

from __future__ import annotations

import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from edgewise._network import KAN
from edgewise._prune import attribute
from edgewise._surgery import arranged


def wire_length(model: KAN, *, x: Any = None) -> float:
    r"""Add up how far the edges run to the side: :math:`\sum_e w_e |p_e - q_e|`.

    The n nodes of a layer are at the places :math:`(k + 1/2)/n`; p and q are the places of the
    nodes that an edge leaves and enters, and w is 1, or with x its score (Liu et al. 2023,
    arXiv 2305.08746: brain-inspired modular training).

    Args:
        model: The network.
        x: Inputs, a tensor or a NumPy array; with them edges count by what they carry, see
            `attribute`.

    Returns:
        The length.

    Raises:
        ShapeError: If x is not of shape (batch, inputs).
        DataError: If x has fewer than two rows, or values that are not finite.

    Example:
        >>> ew.wire_length(ew.KAN([1, 1, 1])), ew.wire_length(ew.KAN([1, 2, 1]))
        (0.0, 1.0)
    """
    orders = [list(range(n)) for n in _counts(model)]
    return sum(_length(w, orders[k], orders[k + 1]) for k, w in enumerate(_weights(model, x)))


def untangle(model: KAN, *, x: Any = None) -> KAN:
    """Order hidden nodes so that edges are short; the function stays.

    In turn each hidden layer gets the best order for the places of its neighbors, which is an
    assignment (Kuhn 1955), sums among sums and products among products, until `wire_length` falls
    no more. It is a local optimum: two layers together may do better.

    Args:
        model: The network; it is not changed.
        x: Inputs, a tensor or a NumPy array; with them edges count by what they carry, see
            `attribute`.

    Returns:
        The network in another order.

    Raises:
        ShapeError: If x is not of shape (batch, inputs).
        DataError: If x has fewer than two rows, or values that are not finite.

    Example:
        >>> model = ew.compile_formula("sin(y) + exp(x)*y", ["x", "y"])
        >>> ew.wire_length(ew.untangle(model)) <= ew.wire_length(model)
        True
    """
    weights, counts = _weights(model, x), _counts(model)
    orders = [list(range(n)) for n in counts]
    before = math.inf
    while True:
        for k in range(1, len(counts) - 1):
            nodes = model.parts()[k - 1][1]
            cost = _costs(weights[k - 1].T, orders[k - 1]) + _costs(weights[k], orders[k + 1])
            orders[k] = _best(cost, nodes.sums, orders[k])
        length = sum(_length(w, orders[k], orders[k + 1]) for k, w in enumerate(weights))
        if length >= before - 1e-12:
            break
        before = length
    for k, order in enumerate(orders[1:-1], 1):
        model = arranged(model, k, order)
    return model


def _counts(model: KAN) -> list[int]:
    return [model.in_features, *(len(nodes) for _, nodes in model.parts())]


def _weights(model: KAN, x: Any) -> list[Float[Tensor, "targets sources"]]:
    """What the edges between two nodes weigh together."""
    scores = None if x is None else attribute(model, x).edges
    found = []
    for depth, (layer, nodes) in enumerate(model.parts()):
        by_sum = layer.active.double() if scores is None else scores[depth].double() * layer.active
        weight = by_sum.new_zeros(len(nodes), layer.in_features)
        owners = [nodes.of_sum(j) for j in range(layer.out_features)]
        weight.index_add_(0, torch.tensor(owners, device=weight.device), by_sum)
        found.append(weight.cpu())
    return found


def _places(count: int) -> Tensor:
    return (torch.arange(count, dtype=torch.float64) + 0.5) / count


def _length(weight: Tensor, sources: list[int], targets: list[int]) -> float:
    """The length of edges between two layers whose nodes are in these orders."""
    apart = _places(len(targets)).unsqueeze(1) - _places(len(sources))
    return float((weight[targets][:, sources] * apart.abs()).sum())


def _costs(weight: Float[Tensor, "others nodes"], order: list[int]) -> Tensor:
    """For each node and place the length of its edges to the nodes of a neighboring layer."""
    nodes = weight.shape[1]
    apart = (_places(len(order)).unsqueeze(1) - _places(nodes)).abs()  # (others, places)
    return weight[order].T @ apart


def _best(cost: Float[Tensor, "nodes places"], sums: int, order: list[int]) -> list[int]:
    """The cheapest order, the present one if there is none cheaper."""
    from scipy.optimize import linear_sum_assignment

    found = [0] * len(cost)
    for begin, end in ((0, sums), (sums, len(cost))):
        nodes, places = linear_sum_assignment(cost[begin:end, begin:end].numpy())
        for node, place in zip(nodes.tolist(), places.tolist(), strict=True):
            found[begin + place] = begin + node
    at = range(len(order))
    return found if float(cost[found, at].sum()) < float(cost[order, at].sum()) - 1e-12 else order
