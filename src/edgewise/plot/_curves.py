"""The functions of edges as curves to draw."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from edgewise._arrays import tensor_of
from edgewise._layer import KANLayer
from edgewise._network import KAN, check_sample

_POINTS = 121  # on a curve in a network


def checked(model: KAN, x: Any) -> Tensor:
    """Check inputs, and bring them to the model's precision and device."""
    return check_sample(model, tensor_of("x", x).to(model.device), "A picture")


@torch.no_grad()
def evaluate(layer: KANLayer, points: Tensor) -> Tensor:
    """The edges of a layer at points (points, inputs), in float64: (points, sums, inputs)."""
    like = layer.basis.domain
    return layer.edges(points.to(dtype=like.dtype, device=like.device)).double().cpu()


class Curves(NamedTuple):
    """The functions of a layer's edges over the ranges of their data, and where their plots end."""

    heights: Tensor  # (points, sums, inputs): from the bottom, 0, to the top, 1
    low: Tensor  # (inputs,)
    high: Tensor  # (inputs,)
    bottom: Tensor  # (sums, inputs)
    top: Tensor  # (sums, inputs)


def unit_curves(edges: Callable[[Tensor], Tensor], came: Tensor, domain: Tensor) -> Curves:
    """Give every edge of a layer over the range of its data.

    Args:
        edges: The functions, from points (points, inputs) to float64 (points, sums, inputs).
        came: The data (batch, inputs).
        domain: The ranges to take where the data are constant (inputs, 2).
    """
    least, most = _range(came)
    low, high = domain.unbind(-1)
    constant = most <= least
    least, most = torch.where(constant, low, least), torch.where(constant, high, most)
    share = torch.linspace(0, 1, _POINTS, dtype=came.dtype, device=came.device).unsqueeze(-1)
    values = edges(least * (1 - share) + most * share)
    bottom, top = limits(edges, values, came)
    size = torch.maximum(bottom.abs(), top.abs())
    flat = top - bottom <= 100 * torch.finfo(came.dtype).eps * size  # what rounding leaves
    heights = (values - bottom) / torch.where(flat, torch.ones_like(size), top - bottom)
    heights = torch.where(flat & torch.isfinite(values), 0.5, heights)
    return Curves(heights, least, most, bottom, top)


def limits(
    edges: Callable[[Tensor], Tensor], values: Tensor, came: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Where the plots of curves begin and end: (sums, inputs) each.

    A pole between two samples must not flatten the rest, so the data tell how far is far.
    """
    bottom, top = _range(values)
    if came is None:
        return bottom, top
    data_bottom, data_top = _range(edges(came))
    slack = (data_top - data_bottom) / 2
    bottom = torch.where(slack > 0, torch.maximum(bottom, data_bottom - slack), bottom)
    top = torch.where(slack > 0, torch.minimum(top, data_top + slack), top)
    return bottom, top


def _range(values: Tensor) -> tuple[Tensor, Tensor]:
    """The least and the largest finite value over the first axis."""
    finite = torch.isfinite(values)
    return values.where(finite, math.inf).amin(0), values.where(finite, -math.inf).amax(0)


def finite(values: Tensor) -> Tensor:
    """The values that are numbers, in float64."""
    return values[values.isfinite()].double().cpu()
