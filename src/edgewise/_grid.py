"""Move grids to the data or to the error, and make them finer."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor

from edgewise._arrays import like_tensor
from edgewise._errors import ConfigError, DataError
from edgewise._layer import KANLayer
from edgewise._network import KAN
from edgewise.bases import Basis, BSpline

_LEAST_CELL = 1 / 50
"""The smallest cell of a grid that follows the data or the error, as a share of an even one."""
_EVERYWHERE = 0.1
"""The share of the cells that `relocate` spreads evenly, whatever the error."""


@torch.no_grad()
def adapt(
    model: KAN,
    x: Any,
    *,
    margin: float | None = None,
    quantile: float = 0.0,
) -> KAN:
    """Lay every grid over the range of what comes through it.

    A grid that already covers its range, and is not more than a third wider, stays where it is,
    unless its knots are to follow the data; one behind hidden nodes, whose values no one else
    limits, has to cover half of the default margin too. Where a grid moves, its cells keep their
    share of it, and its edges are projected onto the new basis by least squares, within their
    bounds. The grid of a periodic input is its period and stays.

    Args:
        model: The network; it is not changed.
        x: Inputs, (batch, inputs), as many as represent the data: a tensor or a NumPy array.
        margin: How much wider than the range a moved grid is, on each side, as a share of the
            range. By default as far as new data may reach: three times the way from the third
            outermost value to the outermost or, where there are many and that is more, one and a
            half times the way from the tenth; at most a tenth of the range.
        quantile: The share of quantiles in the knots, from 0 to 1; the rest is even (arXiv
            2404.19756, app. A; pykan's `grid_eps` is 1 - quantile). With 1 every cell holds as
            many values as the others, but for ties: no cell is less than a fiftieth of an even
            one. With 0 the cells stay as they are.

    Returns:
        A copy with moved grids.

    Raises:
        ShapeError: If x is not of shape (batch, inputs).
        DataError: If x has no rows.
        ConfigError: If `quantile` is not from 0 to 1, or a family has no knots that could follow.

    Example:
        >>> wide = ew.adapt(model, 10 * x, margin=0)
        >>> low, high = wide.layers[0].basis.domain.unbind(-1)
        >>> torch.equal(low, 10 * x.amin(0)), torch.equal(high, 10 * x.amax(0))
        (True, True)
        >>> follows = ew.adapt(model, x**3, margin=0, quantile=1)
        >>> torch.allclose(follows.layers[0].basis.inner[0, 1], (x**3)[:, 0].quantile(1 / 3))
        True
    """
    if not 0 <= quantile <= 1:
        raise ConfigError(f"quantile is a share from 0 to 1, got {quantile}.")
    x = like_tensor("x", x, model.parts()[0][0].coef)
    if len(x) == 0:
        raise DataError("adapt lays grids over data: give at least one row, got none.")
    model = copy.deepcopy(model)
    for number, (layer, nodes) in enumerate(model.parts()):
        layer._check(x)
        low, high = layer.basis.domain.unbind(-1)
        least, most = x.amin(0), x.amax(0)
        span = most - least
        below, above = _margins(x, margin)
        needed = 0.5 if number > 0 and margin is None else 0.0
        outside = (least - needed * below < low) | (most + needed * above > high)
        slack = (least - low) + (high - most) > span / 3 + below + above
        # cells of a few units in the last place would let knots fall together
        ulp = torch.finfo(x.dtype).eps * torch.maximum(least.abs(), most.abs())
        moves = (outside | slack | (quantile > 0)) & (span > 16 * _cells(layer, quantile) * ulp)
        moves[list(layer.basis.periodic)] = False  # their grid is the period
        if bool(moves.any()):
            new_low = torch.where(moves, least - below, low)
            new_high = torch.where(moves, most + above, high)
            basis = layer.basis.with_domain(torch.stack([new_low, new_high], -1))
            if quantile > 0:
                basis = _follow(basis, x, quantile, moves)
            transfer(layer, basis)
        x = nodes(layer(x))
    return model


def _cells(layer: KANLayer, quantile: float) -> float:
    """How many of the smallest cells that a grid may have would go into it."""
    basis = layer.basis
    if quantile > 0:
        return basis.grid / _LEAST_CELL
    if not isinstance(basis, BSpline):
        return basis.grid
    low, high = basis.domain.unbind(-1)
    share = basis.inner.diff(dim=1).amin(1) / (high - low)
    return max(basis.grid, float(0.5 / share.min()))  # even cells differ by rounding: not by half


def _follow(basis: Basis, x: Tensor, quantile: float, moves: Tensor) -> Basis:
    """Blend even knots with the quantiles of each column, where grids move."""
    low, high = (end.unsqueeze(-1) for end in basis.domain.unbind(-1))
    share = torch.linspace(0, 1, basis.grid + 1, dtype=x.dtype, device=x.device)
    place = share * (len(x) - 1)
    before, after = place.floor().long(), place.ceil().long()
    ordered = x.sort(0).values  # torch.quantile takes 16 million numbers at most
    quantiles = torch.lerp(ordered[before].T, ordered[after].T, place - before)
    quantiles[:, [0, -1]] = basis.domain
    even = low * (1 - share) + high * share
    followed = _apart((1 - quantile) * even + quantile * quantiles)
    return basis.with_knots(torch.where(moves.unsqueeze(-1), followed, _inner(basis)))


def _apart(knots: Tensor) -> Tensor:
    """The nearest knots that leave no cell too small; the ends stay.

    Without the smallest widths, they are the nearest that do not decrease: halfway between the
    greatest knot so far and the least of those that follow.
    """
    low, high = knots[:, :1], knots[:, -1:]
    grid = knots.shape[1] - 1
    share = torch.arange(grid + 1, dtype=knots.dtype, device=knots.device) / grid
    widths = _LEAST_CELL * share * (high - low)
    if bool((knots.diff(dim=1) >= widths[:, 1:2]).all()):
        return knots
    rest = torch.minimum(torch.maximum(knots - widths, low), high - widths[:, -1:])
    greatest = rest.cummax(1).values
    least = rest.flip(1).cummin(1).values.flip(1)
    apart = (greatest + least) / 2 + widths
    return torch.cat([low, apart[:, 1:-1], high], 1)


def _inner(basis: Basis) -> Tensor:
    """The knots of a grid, where a family has them."""
    if not isinstance(basis, BSpline):
        raise ConfigError(f"{type(basis).__name__} has no knots that could be moved.")
    return basis.inner


def _margins(x: Tensor, margin: float | None) -> tuple[Tensor, Tensor]:
    """How far below and above the values of each column a grid is to reach.

    The k-th outermost value lies about k^(1/m) times as far from the end as the first, where m
    inputs have to be at their ends together. Both rules reach that end up to m = 4; with three
    values alone it is often missed by chance.
    """
    span = x.amax(0) - x.amin(0)
    if margin is not None:
        return margin * span, margin * span
    most = min(10, max(3, len(x) // 50), len(x))
    below = x.topk(most, dim=0, largest=False).values
    above = -x.topk(most, dim=0).values
    return _reach(below, span), _reach(above, span)


def _reach(outermost: Tensor, span: Tensor) -> Tensor:
    """How far beyond the first of the outermost values new ones may lie."""
    third = outermost[:3][-1]
    far = torch.maximum(3 * (third - outermost[0]), 1.5 * (outermost[-1] - outermost[0]))
    return torch.minimum(far, 0.1 * span)


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
def relocate(model: KAN, x: Any = None) -> KAN:
    r"""Move the knots of every spline to where its error is, at the same number of intervals.

    The error of a spline of degree d goes with :math:`h^{d+1} |f^{(d+1)}|`, h being the size of a
    cell. The derivative is estimated from the jumps of the one below it at the knots, in means that
    do not see the ringing of least squares beside a steep place, and summed over the edges that
    leave an input; the cells share its (d+1)-th root equally (after NEWKNT in de Boor 1978, ch.
    XII). A tenth of the cells is spread evenly whatever the error, and no cell is less
    than a fiftieth of an even one. Edges are carried over by least squares: fit them again, and
    relocate again where a place is steep within a cell. `fit` does so by itself where it refines.

    Args:
        model: A fitted network; it is not changed.
        x: Inputs, as many as represent the data: a tensor or a NumPy array. With them a cell of the
            old grid gets no more new ones than half the values that it holds.

    Returns:
        A copy with moved knots; locked edges are as they were.

    Raises:
        ShapeError: If x is not of shape (batch, inputs).
        ConfigError: If a family has no knots that could be moved.

    Example:
        >>> kink = x[:, :1].abs()
        >>> even = ew.KAN([1, 1], grid=24)
        >>> even = ew.fit(even, x[:, :1], kink, refine=False, seed=0, progress=False)
        >>> cells = ew.relocate(even.model).layers[0].basis.inner.diff()
        >>> bool(cells.min() < 0.5 * 2 / 24)
        True
    """
    model = copy.deepcopy(model)
    x = None if x is None else like_tensor("x", x, model.parts()[0][0].coef)
    for layer, nodes in model.parts():
        if x is not None:
            layer._check(x)
        knots = _relocated(layer, x)
        if not torch.equal(knots, _inner(layer.basis)):
            transfer(layer, layer.basis.with_knots(knots))
        x = None if x is None else nodes(layer(x))
    return model


def _relocated(layer: KANLayer, x: Tensor | None) -> Tensor:
    """The knots that share a layer's errors equally, for each of its inputs."""
    basis = layer.basis
    old = _inner(basis)
    assert isinstance(basis, BSpline)
    cells = old.diff(dim=1)  # (inputs, grid)
    if cells.shape[1] == 1:
        return old
    coef = layer.coef.detach() * layer.mask.unsqueeze(-1)
    means = basis.bends()  # (inputs, grid - 1, basis)
    at_knots = torch.einsum("icb,oib->oic", means, coef)
    noise = means.abs().amax(-1) * coef.abs().amax(-1, keepdim=True)
    above = at_knots.abs() > 1e3 * torch.finfo(coef.dtype).eps * noise
    at_knots = (at_knots.abs() * above).sum(0)  # (inputs, grid - 1)
    ends = torch.cat([at_knots[:, :1], at_knots, at_knots[:, -1:]], 1)
    measure = cells * (ends[:, 1:] + ends[:, :-1]) ** (1 / (basis.degree + 1))
    total = measure.sum(1, keepdim=True)
    bends = total > 0
    width = cells.sum(1, keepdim=True)
    even = basis.grid * cells / width
    share = (1 - _EVERYWHERE) * basis.grid * measure / torch.where(bends, total, 1)
    wanted = share + _EVERYWHERE * even  # how many new cells go into each old one
    if x is not None:
        wanted = _capped(wanted, _held(old, x) / 2)
    new = _apart(_equal_shares(old, wanted))
    return torch.where(bends & new.isfinite().all(1, keepdim=True), new, old)


def _held(knots: Tensor, x: Tensor) -> Tensor:
    """Count the values in each cell."""
    place = torch.searchsorted(knots[:, 1:-1].contiguous(), x.T.contiguous(), right=True)
    count = knots.new_zeros(len(knots), knots.shape[1] - 1)
    return count.scatter_add(1, place, torch.ones_like(place, dtype=knots.dtype))


def _capped(wanted: Tensor, most: Tensor) -> Tensor:
    """Give what is wanted above a limit to the others, in the ratio of what they want."""
    total = wanted.sum(1, keepdim=True)
    most = torch.maximum(most, 1e-3 * wanted)  # no cell is left without any
    full = torch.zeros_like(wanted, dtype=torch.bool)
    for _ in range(wanted.shape[1]):
        left = total - (most * full).sum(1, keepdim=True)
        factor = left / (wanted * ~full).sum(1, keepdim=True).clamp_min(1e-300)
        given = torch.where(full, most, factor * wanted)
        over = (given > most) & ~full
        if not bool(over.any()) or bool((full | over).all(1).any()):
            return torch.minimum(given, most)
        full |= over
    return torch.minimum(wanted, most)


def _equal_shares(old: Tensor, wanted: Tensor) -> Tensor:
    """Lay as many knots as there are so that each new cell has an equal share of what is wanted."""
    sums = torch.cat([torch.zeros_like(wanted[:, :1]), wanted.cumsum(1)], 1)
    share = torch.linspace(0, 1, old.shape[1], dtype=old.dtype, device=old.device)
    target = share * sums[:, -1:]
    cell = (torch.searchsorted(sums, target, right=True) - 1).clamp(0, wanted.shape[1] - 1)
    within = (target - sums.gather(1, cell)) / wanted.gather(1, cell)
    low, high = old.gather(1, cell), old.gather(1, cell + 1)
    new = low * (1 - within) + high * within
    return torch.cat([old[:, :1], new[:, 1:-1], old[:, -1:]], 1)


def lay(layer: KANLayer, source: int, low: float, high: float) -> None:
    """Lay the grid of an input over a range, in place, unless splines stand on it."""
    if bool(layer.mask[:, source].any()) or not high - low > 1e-12 * max(abs(low), abs(high)):
        return
    domain = layer.basis.domain.clone()
    domain[source] = domain.new_tensor([low, high])
    transfer(layer, layer.basis.with_domain(domain))


@torch.no_grad()
def transfer(layer: KANLayer, basis: Basis) -> None:
    """Carry the edges of a layer over to another basis, within their bounds, in place."""
    matrix = basis.transfer_from(layer.basis)  # (inputs, new, old)
    # contiguous: einsum permutes memory, and torch's L-BFGS takes views of gradients of that layout
    coef = torch.einsum("oik,ink->oin", layer.coef, matrix).contiguous()
    layer.coef = torch.nn.Parameter(coef, requires_grad=layer.coef.requires_grad)
    layer.basis = basis
    layer.enforce()
