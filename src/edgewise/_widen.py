"""Add nodes and layers without changing the function."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from edgewise._errors import ConfigError
from edgewise._grid import lay
from edgewise._layer import KANLayer, Lock
from edgewise._network import KAN, Nodes, Width, nodes_of, read_sample, trace
from edgewise._surgery import passing, plain
from edgewise.bases import Basis, BSpline


@torch.no_grad()
def widen(
    model: KAN,
    widths: Sequence[Width],
    *,
    x: Any = None,
    seed: int | None = None,
) -> KAN:
    """Give a network more nodes, or more layers, without changing its function.

    New nodes take random splines of all nodes before them, and the splines from them to the nodes
    that were there are zero to begin with, so that a fit can use them (KAN 2.0, arXiv 2408.10205,
    sec. 4.2). New layers come behind the last one: the old outputs pass through them as they are.
    Old product nodes may get more factors, which are 1 to begin with. Edges that are off between
    old nodes stay off; `unlock` switches them on.

    Args:
        model: The network; it is not changed.
        widths: The new widths, as `KAN` takes them. Outputs stay, and no layer loses nodes. New
            inputs come behind the old ones, and change nothing to begin with.
        x: Inputs that represent the data, a tensor or a NumPy array. With them grids on which no
            spline stands yet are laid over the data first, so that the random splines bend within
            them.
        seed: Seed of the random splines; by default torch's global generator draws.

    Returns:
        A larger network. New sum nodes follow the old ones, as new product nodes do.

    Raises:
        ConfigError: If the widths make no network, or not one that contains the old one.
        ShapeError: If x is not of shape (batch, inputs).
        DataError: If x has fewer than two rows or values that are not finite.

    Example:
        >>> law = ew.compile_formula("sin(x_1) + x_2**2")
        >>> larger = ew.widen(law, [2, (3, 1), 1], x=x)
        >>> larger.widths, torch.equal(larger(x), law(x))
        ([2, (3, 1), 1], True)
    """
    wanted = nodes_of(widths)
    if x is not None:
        x = read_sample(x, len(wanted[0]), model.parts()[0][0].coef, "Widening")
        model = _over(model, x[:, : model.in_features])
    device = model.device
    generator = None if seed is None else torch.Generator(device=device).manual_seed(seed)
    parts = [*model.parts()]
    while len(parts) < len(wanted) - 1:
        count = model.out_features
        parts.append((passing(plain(parts[-1][0].basis, count)), Nodes(count)))
    old = [Nodes(model.in_features), *(nodes for _, nodes in parts)]
    _check(model, old, wanted)
    layers = [
        _grown(layer, (old[n], old[n + 1]), (wanted[n], wanted[n + 1]), generator)
        for n, (layer, _) in enumerate(parts)
    ]
    if x is not None:  # new inputs have no spline of the old network's, only random ones
        basis, fresh = layers[0].basis, slice(model.in_features, None)
        domain = basis.domain.clone()
        ends = torch.stack([x.amin(0), x.amax(0)], -1)[fresh]
        domain[fresh] = torch.where((ends[:, 1:] > ends[:, :1]), ends, domain[fresh])
        layers[0].basis = basis.with_domain(domain) if len(ends) else basis
    return KAN.of(layers, wanted[1:])


def _over(model: KAN, x: Tensor) -> KAN:
    """Copy a network, with the grids that nothing stands on laid over the data."""
    model = copy.deepcopy(model)
    for (layer, _), u in zip(model.parts(), trace(model, x).inputs, strict=True):
        ends = zip(u.amin(0).tolist(), u.amax(0).tolist(), strict=True)
        for source, (low, high) in enumerate(ends):
            if math.isfinite(high - low):
                lay(layer, source, low, high)
    return model


def _check(model: KAN, old: list[Nodes], wanted: list[Nodes]) -> None:
    """Check that the old network fits into the new one."""
    ends = len(old[0]) <= len(wanted[0]) and old[-1].width == wanted[-1].width
    room = len(old) == len(wanted) and all(
        new.sums >= now.sums
        and new.products >= now.products
        and all(n >= m for n, m in zip(new.arities, now.arities, strict=False))
        for now, new in zip(old, wanted, strict=True)
    )
    if not ends or not room:
        needed = [nodes.width for nodes in old]
        raise ConfigError(
            f"widen keeps all nodes of {model!r}: with {len(wanted) - 1} layers the widths are at "
            f"least {needed}, outputs as they are. Got "
            f"{[nodes.width for nodes in wanted]}."
            if len(old) == len(wanted)
            else f"widen keeps the layers of {model!r}, got fewer: "
            f"{[nodes.width for nodes in wanted]}."
        )


def _grown(
    layer: KANLayer,
    old: tuple[Nodes, Nodes],
    new: tuple[Nodes, Nodes],
    generator: torch.Generator | None,
) -> KANLayer:
    """A layer with more inputs and sums; the old ones go where the new nodes leave them."""
    (source, target), (new_source, new_target) = old, new
    device = layer.coef.device
    columns = [
        n if n < source.sums else n - source.sums + new_source.sums for n in range(len(source))
    ]
    places = [
        new_target.sums_of(n if n < target.sums else n - target.sums + new_target.sums)
        for n in range(len(target))
    ]
    rows = [j for n, place in enumerate(places) for j in place[: len(target.sums_of(n))]]
    at, to = torch.tensor(rows, device=device), torch.tensor(columns, device=device)
    grown = KANLayer(_basis(layer.basis, to, len(new_source)), new_target.in_features)
    grown.reset_parameters(generator=generator)
    one, _ = grown.basis.line()
    for place in places:  # what new nodes give to old sums, and new factors to old products
        grown.coef[place.start : place.stop] = 0
        for j in set(place) - set(rows):
            grown.coef[j, 0] = one[0]
    grown.coef[at.unsqueeze(1), to] = layer.coef
    grown.mask[at.unsqueeze(1), to] = layer.mask
    grown.bounds = {(rows[o], columns[i]): kinds for (o, i), kinds in layer.bounds.items()}
    for (o, i), lock in layer.locked():
        grown.lock(rows[o], columns[i], Lock(lock.primitive, lock.constants, lock.free))
    return grown


def _basis(basis: Basis, columns: Tensor, count: int) -> Basis:
    """The basis of more inputs: from -1 to 1 for the new ones."""
    sources = torch.zeros(count, dtype=torch.int64, device=columns.device)
    sources[columns] = torch.arange(len(columns), device=columns.device)
    domain = basis.domain.new_tensor([-1.0, 1.0]).repeat(count, 1)
    domain[columns] = basis.domain
    grown = basis.select(sources).with_domain(domain)
    if isinstance(grown, BSpline) and isinstance(basis, BSpline):
        grown.knots[columns] = basis.knots  # to the last bit
    return grown
