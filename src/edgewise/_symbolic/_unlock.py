"""Give a locked edge back as a spline."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor

from edgewise._errors import ConfigError
from edgewise._grid import lay, refine
from edgewise._layer import KANLayer
from edgewise._network import KAN, check_sample, trace
from edgewise._types import Edge

_FINEST = 100


@torch.no_grad()
def unlock(
    model: KAN,
    edge: Edge | tuple[int, int, int],
    x: Any,
    *,
    tolerance: float = 1e-6,
) -> KAN:
    """Let an edge be a spline again, which goes on from the function that it was locked to.

    The spline is the least-squares fit to the lock over the range of x. Where it is off by more
    than the tolerance, all grids are refined, which leaves the other edges as they are, up to 100
    intervals. Beyond the range of x a spline goes on linearly. An edge that is off becomes a
    spline that is zero.

    Args:
        model: The network; it is not changed.
        edge: (layer, source node, target sum).
        x: Inputs that represent the data, (batch, inputs): a tensor or a NumPy array.
        tolerance: How far the spline may be off, as a share of the edge's spread.

    Returns:
        A copy in which the edge is numeric.

    Raises:
        ConfigError: If there is no such edge, or it is a spline already, or its lock has no finite
            values over the range of x.
        ShapeError: If x is not of shape (batch, inputs).
        DataError: If x has fewer than two rows or values that are not finite.

    Example:
        >>> law = ew.compile_formula("sin(x_1) + x_2**2")
        >>> free = ew.unlock(law, (0, 0, 0), x)
        >>> bool((free(x) - law(x)).abs().max() < 1e-6)
        True
    """
    edge = Edge(*edge)
    parts = model.parts()
    there = 0 <= edge.layer < len(parts)
    layer = parts[edge.layer if there else 0][0]
    if (
        not there
        or not 0 <= edge.source < layer.in_features
        or not 0 <= edge.target < layer.out_features
    ):
        raise ConfigError(f"There is no {edge} in {model!r}.")
    if bool(layer.mask[edge.target, edge.source]):
        raise ConfigError(f"The {edge} is a spline already.")
    x = check_sample(model, x, "Unlocking")
    u = trace(model, x).inputs[edge.layer][:, edge.source]
    low, high = float(u.min()), float(u.max())
    if not high - low < torch.inf:
        raise ConfigError(f"What comes through the {edge} is not finite for some rows of x.")
    model = copy.deepcopy(model)
    lay(model.parts()[edge.layer][0], edge.source, low, high)
    while True:
        layer = model.parts()[edge.layer][0]
        coef, off = _project(layer, edge, (low, high))
        if off <= tolerance or 2 * model.grid > _FINEST:
            break
        model = refine(model, 2 * model.grid)
    layer.remove(edge.target, edge.source)
    layer.mask[edge.target, edge.source] = True
    layer.coef[edge.target, edge.source] = coef
    return model


def _project(layer: KANLayer, edge: Edge, ends: tuple[float, float]) -> tuple[Tensor, float]:
    """Fit a spline to the lock of an edge; its coefficients, and how far it is off at most."""
    lock = dict(layer.locked()).get((edge.target, edge.source))
    if lock is None:  # off
        return torch.zeros_like(layer.coef[edge.target, edge.source]), 0.0
    low, high = ends
    count = 8 * layer.basis.size + 1
    u = torch.linspace(low, high, count, dtype=layer.coef.dtype, device=layer.coef.device)
    v = lock(u)
    known = torch.isfinite(v)
    u, v = u[known], v[known]
    if len(u) < 2:
        raise ConfigError(
            f"{lock.primitive.name} has no finite values over the range of the {edge}: x does not "
            "represent the data."
        )
    column = layer.basis.domain.mean(1).repeat(len(u), 1)
    column[:, edge.source] = u
    values = layer.basis(column)[:, edge.source]  # (points, basis)
    coef = torch.linalg.lstsq(values, v.unsqueeze(1), driver="gelsd").solution[:, 0]
    spread = float((v - v.mean()).square().mean().sqrt())
    off = float((values @ coef - v).abs().max())
    return coef, 0.0 if off <= 1e-14 * float(v.abs().max()) else off / max(spread, 1e-300)
