"""Move grids to the data, and make them finer."""

from __future__ import annotations

import copy

import torch
from jaxtyping import Float
from torch import Tensor

from edgewise._errors import ConfigError, DataError
from edgewise._layer import KANLayer
from edgewise._network import KAN
from edgewise.bases import Basis


@torch.no_grad()
def adapt(model: KAN, x: Float[Tensor, "batch inputs"], *, margin: float | None = None) -> KAN:
    """Lay every grid over the range of what comes through it.

    A grid that already covers its range, and is not more than a third wider, stays where it is.
    Where a grid moves, its edges are projected onto the new basis by least squares.

    Args:
        model: The network; it is not changed.
        x: Inputs, as many as represent the data.
        margin: How much wider than the range a moved grid is, on each side, as a share of the
            range. By default as far as new data may reach: three times the way from the third
            outermost value to the outermost, at most a tenth of the range.

    Returns:
        A copy with moved grids.

    Raises:
        ShapeError: If x is not of shape (batch, inputs).
        DataError: If x has no rows.

    Example:
        >>> wide = ew.adapt(model, 10 * x, margin=0)
        >>> low, high = wide.layers[0].basis.domain.unbind(-1)
        >>> torch.equal(low, 10 * x.amin(0)), torch.equal(high, 10 * x.amax(0))
        (True, True)
    """
    if len(x) == 0:
        raise DataError("adapt lays grids over data: give at least one row, got none.")
    model = copy.deepcopy(model)
    for layer, nodes in model.parts():
        layer._check(x)
        low, high = layer.basis.domain.unbind(-1)
        least, most = x.amin(0), x.amax(0)
        span = most - least
        outside = (least < low) | (most > high)
        below, above = _margins(x, margin)
        slack = (least - low) + (high - most) > span / 3 + below + above
        # cells of a few units in the last place would let knots fall together
        ulp = torch.finfo(x.dtype).eps * torch.maximum(least.abs(), most.abs())
        moves = (outside | slack) & (span > 16 * layer.basis.grid * ulp)
        if bool(moves.any()):
            new_low = torch.where(moves, least - below, low)
            new_high = torch.where(moves, most + above, high)
            transfer(layer, layer.basis.with_domain(torch.stack([new_low, new_high], -1)))
        x = nodes(layer(x))
    return model


def _margins(x: Tensor, margin: float | None) -> tuple[Tensor, Tensor]:
    """How far below and above the values of each column a grid is to reach."""
    span = x.amax(0) - x.amin(0)
    if margin is not None:
        return margin * span, margin * span
    outermost = min(3, len(x))
    below = x.topk(outermost, dim=0, largest=False).values
    above = x.topk(outermost, dim=0).values
    return (
        torch.minimum(3 * (below[-1] - below[0]), 0.1 * span),
        torch.minimum(3 * (above[0] - above[-1]), 0.1 * span),
    )


def refine(model: KAN, grid: int, *, degree: int | None = None) -> KAN:
    r"""Give every spline a finer grid without changing the function.

    Where the new knots contain the old ones (`grid` is a multiple of the old) this is knot
    insertion and exact; elsewhere each edge is projected onto the new basis, with an error of
    :math:`O(h^{d+1})` (de Boor 1978, ch. XI).

    Args:
        model: The network; it is not changed.
        grid: The new number of intervals, at least the old one.
        degree: The new degree of the splines; by default the old one. Edges of another degree are
            projected, too: a fit that goes on from there reaches the order of the new degree.

    Returns:
        A copy with the finer grid.

    Raises:
        ConfigError: If `grid` is smaller than the old one, or `degree` is not from 1 to 9.

    Example:
        >>> finer = ew.refine(model, grid=2 * model.grid)
        >>> bool(torch.dist(finer(x), model(x)) < 1e-12)
        True
    """
    if grid < model.grid:
        raise ConfigError(
            f"refine makes a grid finer: {grid} is less than the model's {model.grid}."
        )
    model = copy.deepcopy(model)
    for layer, _ in model.parts():
        basis = layer.basis.with_grid(grid)
        transfer(layer, basis if degree is None else basis.with_degree(degree))
    return model


@torch.no_grad()
def transfer(layer: KANLayer, basis: Basis) -> None:
    """Carry the edges of a layer over to another basis, in place."""
    matrix = basis.transfer_from(layer.basis)  # (inputs, new, old)
    # contiguous: einsum permutes memory, and torch's L-BFGS takes views of gradients of that layout
    coef = torch.einsum("oik,ink->oin", layer.coef, matrix).contiguous()
    layer.coef = torch.nn.Parameter(coef, requires_grad=layer.coef.requires_grad)
    layer.basis = basis
