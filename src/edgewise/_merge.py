"""Make one node of two that carry the same, up to a scale and a shift."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from edgewise._cones import Kind
from edgewise._errors import ConfigError
from edgewise._layer import KANLayer, Lock
from edgewise._network import KAN, check_sample, trace
from edgewise._sum_of_locks import sum_of_locks
from edgewise._surgery import arranged, check_node
from edgewise.bases import BSpline

_ROUNDING = 100.0
"""How many roundings are no difference."""


@dataclass(frozen=True)
class Merged:
    """A network with fewer nodes.

    Attributes:
        model: The network.
        pairs: What was merged, in turn: (layer, node that stays, node that went), with the numbers
            at that time.
        error: How far the outputs moved: the root of the mean square over the data.
    """

    model: KAN
    pairs: tuple[tuple[int, int, int], ...]
    error: float


@torch.no_grad()
def merge(
    model: KAN,
    x: Any,
    pair: tuple[int, int, int] | None = None,
    *,
    tolerance: float = 1e-6,
) -> Merged:
    r"""Make one node of two hidden nodes that carry the same, up to a scale and a shift.

    With :math:`n_j = s\,n_i + t`, the edges :math:`\psi_j(n_j)` become :math:`\psi_j(s\,n_i + t)`
    and are added to those of the node that stays. That is exact where the other edge is off; for
    splines whose grids are related as the nodes are, and lines; and for locks whose sum is one of
    their kind, as that of two lines or squares, of two waves of one frequency, or of two functions
    of the same. Else the sum is the nearest spline over the data. s and t are those of least
    squares.

    Args:
        model: The network; it is not changed.
        x: Inputs that represent the data, at least two rows: a tensor or a NumPy array.
        pair: (layer, node that stays, node that goes); the inputs are layer 0. The two are merged
            however little they have in common. By default all sum nodes that have the same within
            `tolerance` are merged.
        tolerance: The largest share of a node's standard deviation that the other may leave
            unexplained.

    Returns:
        The network with the error.

    Raises:
        ConfigError: If there are no two such hidden nodes, the tolerance is negative, or the grid
            of one of them is periodic.
        ShapeError: If x is not of shape (batch, inputs).
        DataError: If x has fewer than two rows, or values that are not finite.

    Example:
        >>> twice = ew.split(ew.KAN([2, 3, 2]), 1, 0, [1])
        >>> merged = ew.merge(twice, x)
        >>> merged.model.widths, merged.pairs, merged.error < 1e-12
        ([2, 3, 2], ((1, 0, 3),), True)
    """
    x = check_sample(model, x, "Merging")
    if tolerance < 0:
        raise ConfigError(f"tolerance cannot be negative, got {tolerance}.")
    small, pairs = model, []
    if pair is not None:
        small = _merged(model, x, pair)
        pairs.append(pair)
    else:
        while (found := _alike(small, x, tolerance)) is not None:
            small = _merged(small, x, found)
            pairs.append(found)
    error = float((small(x) - model(x)).square().mean().sqrt())
    return Merged(small, tuple(pairs), error)


def _alike(model: KAN, x: Tensor, tolerance: float) -> tuple[int, int, int] | None:
    """Two sum nodes of a hidden layer that carry the same."""
    inputs = trace(model, x).inputs
    for layer, (_, nodes) in enumerate(model.parts()[:-1], 1):
        periodic = _periodic(model.parts()[layer][0])
        values = inputs[layer][:, : nodes.sums]
        for j in range(1, nodes.sums):
            for i in range(j):
                if {i, j} & periodic:
                    continue
                s, t = _line(values[:, i], values[:, j])
                rest = values[:, j] - s * values[:, i] - t
                spread = values[:, j].std()
                if s != 0 and bool(spread > 0) and bool(rest.std() <= tolerance * spread):
                    return layer, i, j
    return None


def _periodic(layer: KANLayer) -> set[int]:
    return set(layer.basis.periodic) if isinstance(layer.basis, BSpline) else set()


def _line(u: Tensor, v: Tensor) -> tuple[float, float]:
    """Fit v = s u + t by least squares."""
    away = u - u.mean()
    square = float(away.square().sum())
    s = float(away @ (v - v.mean())) / square if square > 0 else 0.0
    return s, float(v.mean()) - s * float(u.mean())


def _merged(model: KAN, x: Tensor, pair: tuple[int, int, int]) -> KAN:
    depth, i, j = pair
    check_node(model, depth, i, hidden=True)
    check_node(model, depth, j, hidden=True)
    layer = model.parts()[depth][0]
    if i == j or {i, j} & _periodic(layer):
        raise ConfigError(f"Give two nodes whose grids are not periodic, got {i} and {j}.")
    values = trace(model, x).inputs[depth]
    s, t = _line(values[:, i], values[:, j])
    if torch.allclose(values[:, i], values[:, j], rtol=0, atol=_rounding(values)):
        s, t = 1.0, 0.0
    order = [n for n in range(layer.in_features) if n != j]
    small = arranged(model, depth, order)
    after, at = small.parts()[depth][0], order.index(i)
    for o in layer.active[:, j].nonzero().flatten().tolist():
        _add(layer, after, (o, i, j, at), (s, t), values)
    after.enforce()
    return small


def _add(
    layer: KANLayer,
    after: KANLayer,
    where: tuple[int, int, int, int],
    line: tuple[float, float],
    values: Tensor,
) -> None:
    """Add what the edge from node j to sum o gives to the edge from node i, in place."""
    (o, i, j, at), (s, t) = where, line
    locks = dict(layer.locked())
    free = not bool(layer.active[o, i])
    ours, theirs = locks.get((o, i)), locks.get((o, j))
    if theirs is not None:
        a, b, c, d = theirs.constants.unbind()
        constants = torch.stack([a * s, a * t + b, c, d])
        theirs = Lock(theirs.primitive, constants, theirs.free | (t != 0 or s != 1))
        one = theirs if free else None if ours is None else _sum(ours, theirs, values[:, i])
        if one is not None:
            after.lock(o, at, one)
            return
    kinds = layer.bounds.get((o, j), frozenset())
    kinds = kinds if s > 0 else _turned(kinds)
    both = kinds if free else kinds & layer.bounds.get((o, i), frozenset())
    base = layer.coef[o, i] if ours is None else _straight(layer, i, ours)
    moved = _moved(layer, o, i, j, s, t) if theirs is None else _straight(layer, i, theirs)
    if moved is None or base is None:
        u = values[:, i]
        y = layer.edges(torch.zeros_like(values).index_copy(1, _index(j, u), (s * u + t)[:, None]))
        new = layer.edges(values)[:, o, i] + y[:, o, j]
        moved = _fitted(after, at, u, new)
    elif not free:
        moved = base + moved
    after.remove(o, at)
    after.coef[o, at] = moved
    after.mask[o, at] = True
    if both:
        after.bounds[o, at] = both


def _rounding(values: Tensor) -> float:
    """What is no more than rounding in numbers of this size."""
    return _ROUNDING * torch.finfo(values.dtype).eps * float(values.abs().max())


def _sum(ours: Lock, theirs: Lock, u: Tensor) -> Lock | None:
    """The sum of two locks as one, if there is such a lock, and it is the same to rounding."""
    one = sum_of_locks(ours, theirs)
    if one is None:
        return None
    first, second = ours(u), theirs(u)
    off = (one(u) - first - second).abs().max()
    return one if float(off) <= _rounding(torch.stack([first, second])) else None


def _straight(layer: KANLayer, i: int, lock: Lock) -> Tensor | None:
    """The coefficients of a lock that is a line, on the grid of node i."""
    if not isinstance(layer.basis, BSpline) or lock.primitive.gauge != "linear":
        return None
    one, x = (rows[i] for rows in layer.basis.line())
    a, b, c, d = lock.constants.unbind()
    return c * a * x + (c * b + d) * one


def _index(j: int, like: Tensor) -> Tensor:
    return torch.tensor([j], device=like.device)


def _turned(kinds: frozenset[Kind]) -> frozenset[Kind]:
    """The bounds of f(-u): the direction turns over, the bend stays."""
    names: dict[Kind, Kind] = {"increasing": "decreasing", "decreasing": "increasing"}
    return frozenset(names.get(kind, kind) for kind in kinds)


def _moved(layer: KANLayer, o: int, i: int, j: int, s: float, t: float) -> Tensor | None:
    """The coefficients of f(s u + t) on the grid of node i, where they are the same numbers."""
    if not isinstance(layer.basis, BSpline) or s == 0:
        return None
    ours, theirs = layer.basis.knots[i], (layer.basis.knots[j] - t) / s
    coef = layer.coef[o, j]
    if s < 0:
        theirs, coef = theirs.flip(0), coef.flip(0)
    near = math.sqrt(torch.finfo(ours.dtype).eps) * 1e-5 * float(ours[-1] - ours[0])
    return coef if bool(((ours - theirs).abs() <= near).all()) else None


def _fitted(layer: KANLayer, at: int, u: Tensor, values: Tensor) -> Tensor:
    """The smoothest spline that is nearest to values at u."""
    points = torch.zeros(len(u), layer.in_features, dtype=u.dtype, device=u.device)
    points[:, at] = u
    design = layer.basis(points)[:, at]
    rough = layer.basis.roughness()[at].to(design)
    scale = 1e-9 * design.norm() / rough.norm().clamp_min(1e-300)
    rows = torch.cat([design, scale * rough])
    right = torch.cat([values, values.new_zeros(len(rough))])
    return torch.linalg.lstsq(rows, right.unsqueeze(1), driver="gelsy").solution[:, 0]
