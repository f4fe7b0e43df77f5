"""Cut a network up by hand: drop edges, nodes and inputs, split nodes, put layers in between."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from edgewise._errors import ConfigError
from edgewise._layer import KANLayer, Lock
from edgewise._network import KAN, Nodes, check_sample, trace
from edgewise._primitives import PRIMITIVES
from edgewise._types import Edge
from edgewise.bases import Basis, BSpline


@torch.no_grad()
def remove(
    model: KAN,
    edges: Edge | tuple[int, int, int] | Iterable[Edge | tuple[int, int, int]] = (),
    *,
    nodes: Iterable[tuple[int, int]] = (),
    x: Any = None,
) -> KAN:
    """Switch edges off by hand, or all edges of a node.

    All other edges and nodes keep their numbers; `prune` takes the empty nodes out, and `unlock`
    switches edges on again.

    Args:
        model: The network; it is not changed.
        edges: (layer, source node, target sum), or several of them.
        nodes: Nodes as (layer, number): the inputs are layer 0, and an output loses the edges that
            enter it.
        x: Inputs that represent the data, a tensor or a NumPy array. With them each edge leaves its
            mean behind, as with `prune`; without them it becomes zero.

    Returns:
        A copy without these edges.

    Raises:
        ConfigError: If there is no such edge or node.
        ShapeError: If x is not of shape (batch, inputs).
        DataError: If x has fewer than two rows, or values that are not finite.

    Example:
        >>> fewer = ew.remove(model, (0, 1, 2), nodes=[(1, 0)])
        >>> len(model.edges()), len(fewer.edges()), fewer.widths
        (15, 11, [2, 5, 1])
    """
    gone = {Edge(*edge) for edge in _listed(edges)}
    for layer, node in nodes:
        gone |= _around(model, layer, node)
    active = set(model.edges())
    if gone - active:
        missing = min(gone - active)
        raise ConfigError(f"There is no {missing} in {model!r}, or it is off. See model.edges().")
    small = copy.deepcopy(model)
    means = None
    if x is not None:
        x = check_sample(model, x, "Removing with a mean")
        means = [edges.mean(0) for edges in trace(model, x).edges]
    for edge in sorted(gone):
        small.parts()[edge.layer][0].remove(edge.target, edge.source)
    for edge in sorted(gone):
        if means is not None:
            mean = float(means[edge.layer][edge.target, edge.source])
            _shift(small.parts()[edge.layer][0], edge.target, mean, edge.source)
    return small


def _listed(edges: Any) -> list[tuple[int, int, int]]:
    """One edge, or several."""
    several = list(edges)
    return [edges] if several and isinstance(several[0], int) else several


def _around(model: KAN, layer: int, node: int) -> set[Edge]:
    """The edges that enter a node and leave it."""
    check_node(model, layer, node)
    return {
        e
        for e in model.edges()
        if (e.layer == layer and e.source == node)
        or (e.layer == layer - 1 and model.parts()[e.layer][1].of_sum(e.target) == node)
    }


def check_node(model: KAN, layer: int, node: int, *, hidden: bool = False) -> None:
    """Check that a node is there, and if so asked, that it is hidden."""
    counts = [model.in_features, *(len(nodes) for _, nodes in model.parts())]
    first, last = (1, len(counts) - 2) if hidden else (0, len(counts) - 1)
    if not first <= layer <= last or not 0 <= node < counts[layer]:
        raise ConfigError(
            f"There is no {'hidden ' * hidden}node {node} in layer {layer} of {model!r}: "
            f"layers {first} to {last} have {counts[first : last + 1]} nodes."
        )


def _shift(layer: KANLayer, o: int, by: float, spare: int = 0) -> None:
    """Add a number to a sum, in place: to an edge that enters it, or as a constant edge."""
    if by == 0:
        return
    one, _ = layer.basis.line()
    for (to, _), lock in layer.locked():
        if to == o:
            lock.constants[3] += by
            return
    free = layer.mask[o].nonzero().flatten().tolist()
    i = free[0] if free else spare
    if not free:
        layer.coef[o, i] = 0
        layer.mask[o, i] = True
    layer.coef[o, i] += by * one[i]


@torch.no_grad()
def select_inputs(model: KAN, inputs: Sequence[int], *, x: Any = None) -> KAN:
    """Make a network of some of the inputs only.

    Edges that leave the other inputs leave their mean over the data behind. The inputs that carry
    something are those whose score (`attribute`) is not small; what was given tells which columns
    the result takes, in this order.

    Args:
        model: The network; it is not changed.
        inputs: The inputs that stay, at least one.
        x: Inputs that represent the data, a tensor or a NumPy array. Needed where edges leave the
            other inputs.

    Returns:
        A network that takes the columns `inputs` of what the model took.

    Raises:
        ConfigError: If an input is named twice or is not there, none is left, or x is missing.
        ShapeError: If x is not of shape (batch, inputs).
        DataError: If x has fewer than two rows, or values that are not finite.

    Example:
        >>> law = ew.compile_formula("sin(x_1) + 0*x_2 + x_3**2", ["x_1", "x_2", "x_3"])
        >>> small = ew.select_inputs(law, [0, 2])
        >>> points = torch.rand(5, 3, dtype=torch.float64)
        >>> torch.equal(small(points[:, [0, 2]]), law(points))
        True
    """
    kept = [int(i) for i in inputs]
    if not kept or len(set(kept)) < len(kept) or not set(kept) <= set(range(model.in_features)):
        raise ConfigError(
            f"inputs are different numbers from 0 to {model.in_features - 1}, at least one. "
            f"Got {kept}."
        )
    layer, _ = model.parts()[0]
    others = [(o, i) for o, i in layer.active.nonzero().tolist() if i not in kept]
    if others and x is None:
        raise ConfigError(
            f"Edges leave the inputs {sorted({i for _, i in others})}, which are to go. Give x, "
            "so that these edges leave their means behind."
        )
    shifts = [0.0] * layer.out_features
    if x is not None:
        x = check_sample(model, x, "Selecting inputs")
        means = layer.edges(x).mean(0)
        for o, i in others:
            shifts[o] += float(means[o, i])
    first = taken(layer, range(layer.out_features), kept)
    for o, shift in enumerate(shifts):
        _shift(first, o, shift)
    rest = copy.deepcopy(model).parts()
    return KAN.of([first, *(layer for layer, _ in rest[1:])], [nodes for _, nodes in rest])


@torch.no_grad()
def split(
    model: KAN,
    layer: int,
    node: int,
    targets: Iterable[int] = (),
    *,
    sources: Iterable[int] = (),
) -> KAN:
    """Split a hidden node into two: by the edges that leave it, or by those that enter it.

    By those that leave it: both have the value that it had. By those that enter it: the two sum up
    to it, which only lines that leave it can make up for; `insert` puts such lines behind a node.
    The function stays, and the two can go different ways from there. The node keeps its number and
    the new one, of the same kind, comes after all others of its kind.

    Args:
        model: The network; it is not changed.
        layer: The layer of the node; the inputs are layer 0.
        node: Its number.
        targets: The sums of the next layer whose edges leave the new node from now on. The edges
            that the two nodes do not have are off.
        sources: Instead of targets, the nodes of the layer before whose edges enter the new node
            from now on, and not the old one.

    Returns:
        A network with one node more.

    Raises:
        ConfigError: If there is no such hidden node, no edge from it to one of the targets or to it
            from one of the sources, or both are given; with sources, if it is a product node, or an
            edge that leaves it is no line.

    Example:
        >>> model = ew.KAN([2, 3, 2])
        >>> more = ew.split(model, 1, 0, [1])
        >>> more.widths, torch.allclose(more(x), model(x), rtol=0, atol=1e-12)
        ([2, 4, 2], True)
        >>> parted = ew.split(ew.insert(model, 1), 1, 0, sources=[1])
        >>> parted.widths, torch.allclose(parted(x), model(x), rtol=0, atol=1e-12)
        ([2, 4, 3, 2], True)
    """
    check_node(model, layer, node, hidden=True)
    moved, entering = list(targets), list(sources)
    if moved and entering:
        raise ConfigError("split takes targets or sources, not both. Split twice.")
    if entering:
        return _split_sum(model, layer, node, entering)
    following, _ = model.parts()[layer]
    leaving = following.active[:, node].nonzero().flatten().tolist()
    if not moved or not set(moved) <= set(leaving):
        raise ConfigError(
            f"targets are some of the sums {leaving} that edges of this node enter, got {moved}."
        )
    nodes = model.parts()[layer - 1][1]
    order = list(range(len(nodes)))
    new = nodes.sums if node < nodes.sums else len(nodes)
    order.insert(new, node)
    larger = arranged(model, layer, order)
    following, _ = larger.parts()[layer]
    for o in leaving:
        following.remove(o, node if o in moved else new)
    return larger


def _split_sum(model: KAN, layer: int, node: int, sources: list[int]) -> KAN:
    """Split a sum node by the edges that enter it; those that leave it are lines."""
    before, nodes = model.parts()[layer - 1]
    if node >= nodes.sums:
        raise ConfigError(
            f"Node {node} of layer {layer} is a product: its sources are those of its factors, and "
            "no two products sum up to it. Split it by targets."
        )
    there = before.active[node].nonzero().flatten().tolist()
    if not set(sources) <= set(there):
        raise ConfigError(
            f"sources are some of the nodes {there} whose edges enter this node, got {sources}."
        )
    following, _ = model.parts()[layer]
    leaving = following.active[:, node].nonzero().flatten().tolist()
    slopes = {o: _slope(following, o, node) for o in leaving}
    bent = [o for o, slope in slopes.items() if slope is None]
    if bent:
        raise ConfigError(
            f"The edges from this node to the sums {bent} are no lines, and a function of a sum is "
            f"no sum of functions. Put lines behind it first: insert(model, {layer})."
        )
    new = nodes.sums
    larger = arranged(model, layer, [*range(new), node, *range(new, len(nodes))])
    before, _ = larger.parts()[layer - 1]
    for i in there:
        before.remove(node if i in sources else new, i)
    following, _ = larger.parts()[layer]
    locks = dict(following.locked())
    for o, slope in slopes.items():
        if (o, new) in locks:  # its constants stay with the old node
            locks[o, new].constants[1] = locks[o, new].constants[3] = 0
        elif slope is not None:
            following.coef[o, new] = slope * following.basis.line()[1][new]
    return larger


def _slope(layer: KANLayer, o: int, i: int) -> Tensor | None:
    """The slope of an edge, if it is a line."""
    locks = dict(layer.locked())
    if (o, i) in locks:
        a, _, c, _ = locks[o, i].constants.unbind()
        return a * c if locks[o, i].primitive.gauge == "linear" else None
    if not isinstance(layer.basis, BSpline):
        return None
    coef = layer.coef[o, i]
    line = torch.stack([rows[i] for rows in layer.basis.line()], -1)  # (basis, 2)
    found = torch.linalg.lstsq(line, coef.unsqueeze(-1)).solution[:, 0]
    close = 1e3 * torch.finfo(coef.dtype).eps * coef.abs().max()
    return found[1] if bool(((line @ found - coef).abs() <= close).all()) else None


@torch.no_grad()
def swap(model: KAN, layer: int, first: int, second: int) -> KAN:
    """Let two hidden nodes change places; the function stays.

    Args:
        model: The network; it is not changed.
        layer: The layer of the nodes; the inputs are layer 0.
        first: The number of a node.
        second: That of another of the same kind: sum nodes come before product nodes.

    Returns:
        The network in another order.

    Raises:
        ConfigError: If there are no such hidden nodes, or one is a sum and the other a product.

    Example:
        >>> other = ew.swap(model, 1, 0, 3)
        >>> torch.equal(other.layers[0].coef[0], model.layers[0].coef[3])
        True
    """
    check_node(model, layer, first, hidden=True)
    check_node(model, layer, second, hidden=True)
    nodes = model.parts()[layer - 1][1]
    if (first < nodes.sums) != (second < nodes.sums):
        raise ConfigError(
            f"Sum nodes come before product nodes: nodes {first} and {second} of layer {layer} are "
            "of different kinds and cannot change places."
        )
    order = list(range(len(nodes)))
    order[first], order[second] = second, first
    return arranged(model, layer, order)


@torch.no_grad()
def insert(model: KAN, layer: int) -> KAN:
    """Put a layer in between that passes the nodes of a layer on as they are.

    Args:
        model: The network; it is not changed.
        layer: The layer whose nodes are passed on; the inputs are layer 0.

    Returns:
        A deeper network of the same function. The new edges are locked to the line x; `unlock`
        makes splines of them, and `widen` adds nodes.

    Raises:
        ConfigError: If there is no such layer.

    Example:
        >>> deeper = ew.insert(model, 1)
        >>> deeper.widths, torch.equal(deeper(x), model(x))
        ([2, 5, 5, 1], True)
    """
    parts = copy.deepcopy(model).parts()
    check_node(model, layer, 0)
    like = parts[min(layer, len(parts) - 1)][0].basis
    count = len(parts[layer - 1][1]) if layer else model.in_features
    basis = copy.deepcopy(like) if layer < len(parts) else None
    parts.insert(layer, (passing(basis or plain(like, count)), Nodes(count)))
    return KAN.of([layer for layer, _ in parts], [nodes for _, nodes in parts])


def plain(like: Basis, count: int) -> Basis:
    """A basis of its kind for so many inputs from -1 to 1."""
    basis = like.select(torch.zeros(count, dtype=torch.int64, device=like.domain.device))
    return basis.with_domain(basis.domain.new_tensor([-1.0, 1.0]).repeat(count, 1))


def passing(basis: Basis) -> KANLayer:
    """A layer that passes its inputs on."""
    count = basis.in_features
    coef = basis.domain.new_zeros(count, count, basis.size)
    layer = KANLayer.of(basis, coef, torch.zeros_like(coef[..., 0], dtype=torch.bool))
    for o in range(count):
        constants = coef.new_tensor([1.0, 0.0, 1.0, 0.0])
        free = torch.zeros(4, dtype=torch.bool, device=coef.device)
        layer.lock(o, o, Lock(PRIMITIVES["x"], constants, free))
    return layer


def arranged(model: KAN, layer: int, order: Sequence[int]) -> KAN:
    """Take the nodes of a hidden layer in another order: some not at all, some more than once."""
    parts = copy.deepcopy(model).parts()
    (before, nodes), (after, _) = parts[layer - 1], parts[layer]
    rows = [j for n in order for j in nodes.sums_of(n)]
    kinds = Nodes(
        sum(n < nodes.sums for n in order),
        [nodes.arities[n - nodes.sums] for n in order if n >= nodes.sums],
    )
    parts[layer - 1] = taken(before, rows, range(before.in_features)), kinds
    parts[layer] = taken(after, range(after.out_features), order), parts[layer][1]
    return KAN.of([layer for layer, _ in parts], [nodes for _, nodes in parts])


def taken(layer: KANLayer, rows: Sequence[int], columns: Sequence[int]) -> KANLayer:
    """Take sums and inputs of a layer, in this order, with their locks and bounds."""
    device = layer.coef.device
    o, i = (torch.tensor(list(index), device=device) for index in (rows, columns))
    basis = layer.basis.select(i)
    new = KANLayer.of(basis, layer.coef[o][:, i], layer.mask[o][:, i])
    locks = dict(layer.locked())
    for to, row in enumerate(rows):
        for at, column in enumerate(columns):
            if (row, column) in locks:
                lock = locks[row, column]
                new.lock(to, at, Lock(lock.primitive, lock.constants, lock.free))
            if (row, column) in layer.bounds:
                new.bounds[to, at] = layer.bounds[row, column]
    return new
