"""Say what is known of an edge: that it rises, bends one way, or repeats."""

from __future__ import annotations

import copy
from collections.abc import Iterable

import torch

from edgewise._cones import Kind, check_kinds
from edgewise._errors import ConfigError
from edgewise._grid import transfer
from edgewise._layer import KANLayer
from edgewise._network import KAN
from edgewise._types import Edge
from edgewise.bases import BSpline


@torch.no_grad()
def bound(
    model: KAN,
    edges: Edge | tuple[int, int, int] | Iterable[Edge | tuple[int, int, int]],
    *kinds: Kind,
    period: tuple[float, float] | None = None,
) -> KAN:
    r"""Let edges be increasing, decreasing, convex, concave or periodic from now on.

    The bounds hold at every step of `fit` and everywhere, outside the grid as well, but for
    rounding; grids, pruning, random starts and files keep them. An edge that breaks them now
    becomes the nearest that does not. They are conditions on the coefficients that the edge has on
    knots with clamped ends: no slope :math:`(c_j - c_{j-1})/(\xi_j - \xi_{j-1})` between Greville
    points :math:`\xi` is negative for an increasing edge, none less than the one before for a
    convex one. They suffice at any degree, and are necessary up to degree 2 for a slope and 3 for a
    bend; beyond, the finer the grid, the fewer functions they leave out (de Boor 1978, ch. X, XI).

    A network is increasing in an input if the edges that leave it are, and all edges that follow on
    the way to the output.

    Args:
        model: The network; it is not changed.
        edges: (layer, source node, target sum), or several of them.
        kinds: What holds for each of the edges, along with the bounds that they have already:
            "increasing" (not falling) or "decreasing", "convex" or "concave", or "periodic".
            What is periodic repeats with degree - 1 continuous derivatives. All edges that leave a
            node are periodic or none, since they share its grid, which is the period.
        period: Where a period begins and ends, such as (0, 360) for degrees; by default the ends of
            the grid.

    Returns:
        A copy with bounds; `unbound` takes them off.

    Raises:
        ConfigError: If there is no such edge, it is locked, some edges that leave a node are
            periodic and others are not, or kinds contradict each other.

    Example:
        >>> rising = ew.bound(model, (0, 0, 2), "increasing")
        >>> rising.layers[0].bounds
        {(2, 0): frozenset({'increasing'})}
        >>> bool((rising.layers[0].derivatives(10 * x, 1)[1, :, 2, 0] >= -1e-12).all())
        True
        >>> angle = [edge for edge in model.edges() if edge.layer == 0 and edge.source == 1]
        >>> turning = ew.bound(model, angle, "periodic", period=(0, 360))
        >>> turn = torch.tensor([[0.0, 360.0]], dtype=torch.float64)
        >>> torch.allclose(turning(x + turn), turning(x))
        True
    """
    if period is not None and ("periodic" not in kinds or not period[0] < period[1]):
        raise ConfigError(
            f"period=(low, high) goes with the bound 'periodic' and low < high, got {period} "
            f"with {', '.join(map(repr, kinds)) or 'no kind'}."
        )
    new = check_kinds(kinds)
    chosen = _edges(model, edges)
    model = copy.deepcopy(model)
    for depth, source, target in chosen:
        layer, _ = model.parts()[depth]
        old = layer.bounds.get((target, source), frozenset())
        layer.bounds[target, source] = check_kinds(old | new)
    for depth in sorted({edge.layer for edge in chosen}):
        layer, _ = model.parts()[depth]
        sources = {edge.source for edge in chosen if edge.layer == depth}
        _settle(layer, depth, dict.fromkeys(sources, period) if period else {})
    return model


@torch.no_grad()
def unbound(
    model: KAN,
    edges: Edge | tuple[int, int, int] | Iterable[Edge | tuple[int, int, int]] | None = None,
) -> KAN:
    """Take the bounds off edges, which stay what they are.

    Args:
        model: The network; it is not changed.
        edges: (layer, source node, target sum), or several of them; by default all.

    Returns:
        A copy without these bounds. An edge that was periodic goes on linearly outside its grid.

    Raises:
        ConfigError: If there is no such edge, or some edges that leave a node would be periodic and
            others not.

    Example:
        >>> rising = ew.bound(model, (0, 0, 2), "increasing")
        >>> ew.unbound(rising).layers[0].bounds
        {}
    """
    chosen = set(model.edges() if edges is None else _edges(model, edges))
    model = copy.deepcopy(model)
    for depth, (layer, _) in enumerate(model.parts()):
        for o, i in list(layer.bounds):
            if edges is None or (depth, i, o) in chosen:
                del layer.bounds[o, i]
        _settle(layer, depth, {})
    return model


def _edges(
    model: KAN, edges: Edge | tuple[int, int, int] | Iterable[Edge | tuple[int, int, int]]
) -> list[Edge]:
    """Read edges, and check that they are numeric splines."""
    listed = list(edges)
    if not listed:
        raise ConfigError("Name an edge, (layer, source node, target sum), or several: got none.")
    chosen = [Edge(*edges)] if isinstance(listed[0], int) else [Edge(*edge) for edge in listed]  # type: ignore[misc]
    known = set(model.edges())
    for edge in chosen:
        if edge not in known:
            raise ConfigError(f"There is no {edge} in {model!r}, or it is switched off.")
        layer, _ = model.parts()[edge.layer]
        if not layer.mask[edge.target, edge.source]:
            name = dict(layer.locked())[edge.target, edge.source].primitive.name
            raise ConfigError(
                f"The {edge} is locked to {name!r}, and bounds are for splines. Bound an edge that "
                "is not locked, or lock this one to a function that has the property."
            )
        if not isinstance(layer.basis, BSpline):
            raise ConfigError(f"Bounds are for B-splines, not {type(layer.basis).__name__}.")
    return chosen


def _settle(layer: KANLayer, depth: int, periods: dict[int, tuple[float, float]]) -> None:
    """Bring a layer's basis and coefficients in line with its bounds, in place."""
    periodic = {i for (o, i), kinds in layer.bounds.items() if "periodic" in kinds}
    others = [
        Edge(depth, i, o)
        for o, i in layer.mask.nonzero().tolist()
        if i in periodic and "periodic" not in layer.bounds.get((o, i), ())
    ]
    if others:
        raise ConfigError(
            "The edges that leave a node are periodic together or not at all. Name these as well: "
            f"{', '.join(map(str, others))}."
        )
    basis = layer.basis
    if periods:
        domain = basis.domain.clone()
        for i, period in periods.items():
            domain[i] = domain.new_tensor(period)
        basis = basis.with_domain(domain)
    if set(basis.periodic) != periodic:
        basis = basis.with_periodic(periodic)
    if basis is not layer.basis:
        transfer(layer, basis)
    layer.enforce()
