r"""Networks for solutions, and their grids on a domain.

A sum of products of one-variable functions, :math:`u = \sum_r \prod_i f_{ri}(x_i)`, is a KAN with
product nodes whose later layers are lines. Smooth solutions on boxes have low rank in this sense.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from edgewise._errors import ConfigError
from edgewise._layer import KANLayer
from edgewise._network import KAN, Nodes
from edgewise.bases import BSpline

Grid = int | Tensor | Sequence[int | Tensor]


def separable(
    domain: Float[Tensor, "inputs 2"],
    rank: int,
    *,
    outputs: int = 1,
    grid: Grid = 8,
    degree: int = 7,
) -> KAN:
    r"""Make a network that is a sum of products: :math:`u_o = \sum_r c_{or} \prod_i f_{ri}(x_i)`.

    All inputs of a layer have the same number of cells. Where `grid` gives an input fewer, the rest
    of its knots lies beyond the domain, where no point comes.

    Args:
        domain: The lower and upper end of each input: `problem.bounds`.
        rank: The number of products.
        outputs: The number of outputs, which share the products.
        grid: The number of intervals, for all inputs or one for each; or knots of one's own.
        degree: The degree of the splines, 1 to 9.

    Returns:
        The network, to be given to `solve`.

    Raises:
        ConfigError: If the rank is less than 1, or there are no grids for every input.

    Example:
        >>> problem_bounds = torch.tensor([[-1.0, 1.0], [0.0, 1.0]], dtype=torch.float64)
        >>> ew.pde.separable(problem_bounds, 4, grid=(40, 8)).widths
        [2, (0, 4), 1]
    """
    inputs = len(domain)
    if rank < 1:
        raise ConfigError(f"rank must be at least 1, got {rank}.")
    grids = [grid] * inputs if isinstance(grid, int | Tensor) else list(grid)
    if len(grids) != inputs:
        raise ConfigError(f"grid has {len(grids)} entries, the domain {inputs} inputs.")
    basis = BSpline.on(_padded([_knots(g, domain[i]) for i, g in enumerate(grids)]), degree=degree)
    if inputs == 1:
        return KAN.of([KANLayer(basis, outputs)], [Nodes(outputs)])
    layers, nodes = [], []
    items = inputs
    while items > 1:
        pairs, alone = divmod(items, 2)
        node = Nodes(alone * rank, pairs * rank)
        if layers:
            basis = BSpline(items * rank, grid=1, degree=1, dtype=torch.float64)
        mask = torch.zeros(node.in_features, basis.in_features, dtype=torch.bool)
        for r in range(rank):
            for item in range(items):
                # items of the last level: sums (those alone), then products, each r after r
                source = _place(item, r, rank, len(layers), inputs)
                target = (
                    r
                    if item == 2 * pairs
                    else rank * alone + 2 * (pairs * r + item // 2) + (item % 2)
                )
                mask[target, source] = True
        layer = KANLayer(basis, node.in_features, curvature=0.5)
        if layers:
            one_to_one = torch.tensor([-1.0, 1.0], dtype=torch.float64)
            layer = KANLayer.of(basis, mask.unsqueeze(-1) * one_to_one, mask)
        else:
            layer.mask.copy_(mask)
        layers.append(layer)
        nodes.append(node)
        items = pairs + alone
    basis = BSpline(rank, grid=1, degree=1, dtype=torch.float64)
    layers.append(KANLayer(basis, outputs, curvature=0.0))
    nodes.append(Nodes(outputs))
    return KAN.of(layers, nodes)


@torch.no_grad()
def tensor(
    domain: Float[Tensor, "inputs 2"],
    *,
    outputs: int = 1,
    grid: int | Tensor = 16,
    last_grid: int | Tensor = 1,
    degree: int = 7,
) -> KAN:
    r"""Make a network of all products of splines in two inputs: :math:`\sum_k f_k(x) B_k(y)`.

    It is a `separable` one with a product for each B-spline of the last input, all :math:`f_k`
    being zero at first. Held as they are (`solve(..., hold=True)`), the functions of the last input
    leave a problem that is as linear as the equation: the way for evolutions in one space
    coordinate, and for solutions of high rank in the plane.

    Args:
        domain: The lower and upper end of each input: `problem.bounds`.
        outputs: The number of outputs, each with products of its own.
        grid: The number of intervals in the first input, or knots of one's own.
        last_grid: The number of intervals in the last input (of each window, if it is time), or
            knots.
        degree: The degree of the splines, 1 to 9.

    Returns:
        The network, to be given to `solve`.

    Raises:
        ConfigError: If the domain has not two inputs.

    Example:
        >>> domain = torch.tensor([[-1.0, 1.0], [0.0, 1.0]], dtype=torch.float64)
        >>> ew.pde.tensor(domain, grid=40, degree=5).widths
        [2, (0, 6), 1]
    """
    if len(domain) != 2:
        raise ConfigError(
            f"tensor takes two inputs, got {len(domain)}. Use separable(...) and hold=False."
        )
    cells = last_grid if isinstance(last_grid, int) else len(last_grid) - 1
    modes = cells + degree
    rank = modes * outputs
    model = separable(domain, rank, outputs=outputs, grid=(grid, last_grid), degree=degree)
    first, last = (layer for layer, _ in model.parts())
    first.coef.zero_()
    r = torch.arange(rank)
    first.coef[2 * r + 1, 1, r % modes] = 1.0
    last.mask.copy_(torch.arange(outputs).unsqueeze(-1) == r // modes)
    one_to_one = torch.tensor([-1.0, 1.0], dtype=torch.float64)
    last.coef.copy_(last.mask.unsqueeze(-1) * one_to_one)
    return model


def is_tensor(model: KAN) -> bool:
    """Tell whether a network is made as `tensor` makes it."""
    if model.in_features != 2 or len(model.parts()) != 2:
        return False
    (first, nodes), (last, _) = model.parts()
    if not isinstance(first.basis, BSpline) or not isinstance(last.basis, BSpline):
        return False
    pairs = nodes.sums == 0 and set(nodes.arities) == {2}
    return pairs and last.basis.degree == 1 and nodes.products % model.out_features == 0


def _place(item: int, r: int, rank: int, level: int, inputs: int) -> int:
    """The node of a level's item in product r: inputs at first, then pairs, and the one alone."""
    if level == 0:
        return item
    for _ in range(level - 1):
        inputs = inputs // 2 + inputs % 2
    pairs, alone = divmod(inputs, 2)
    return r if item == pairs else rank * alone + pairs * r + item


def _knots(grid: int | Tensor, ends: Tensor) -> Tensor:
    if isinstance(grid, Tensor):
        return grid.to(torch.float64)
    share = torch.arange(grid + 1, dtype=torch.float64) / grid
    return ends[0] * (1 - share) + ends[1] * share


def _padded(knots: list[Tensor]) -> Float[Tensor, "inputs inner"]:
    """Give all inputs as many knots, the last cell going on beyond the end."""
    most = max(map(len, knots))
    rows = []
    for row in knots:
        steps = torch.arange(1, most - len(row) + 1, dtype=row.dtype)
        rows.append(torch.cat([row, row[-1] + steps * (row[-1] - row[-2])]))
    return torch.stack(rows)


def inner_knots(basis: BSpline, bounds: Float[Tensor, "inputs 2"]) -> list[Tensor]:
    """Give each input's knots within the domain."""
    rows = []
    for row, (_, high) in zip(basis.inner, bounds, strict=True):
        slack = 1e-9 * (row[1] - row[0])
        rows.append(row[row <= high + slack])
    return rows


def laid(model: KAN, bounds: Float[Tensor, "inputs 2"]) -> KAN:
    """Lay the first grid over a domain: with the same coefficients, in its place."""
    model = copy.deepcopy(model)
    layer = model.parts()[0][0]
    basis = layer.basis
    assert isinstance(basis, BSpline)
    rows = []
    for row, (low, high) in zip(basis.inner, bounds, strict=True):
        fits = bool((row[0] - low).abs() <= 1e-9 * (high - low)) and bool(
            ((row - high).abs() <= 1e-9 * (high - low)).any()
        )
        if fits:
            rows.append(row)
            continue
        rows.append(low + (row - row[0]) / (row[-1] - row[0]) * (high - low))
    layer.basis = basis.with_knots(torch.stack(rows))
    return model


def moved(model: KAN, old: Float[Tensor, "inputs 2"], new: Float[Tensor, "inputs 2"]) -> KAN:
    """Carry the first grid from one domain to another, with the same coefficients."""
    model = copy.deepcopy(model)
    layer = model.parts()[0][0]
    assert isinstance(layer.basis, BSpline)
    share = (layer.basis.inner - old[:, :1]) / (old[:, 1:] - old[:, :1])
    layer.basis = layer.basis.with_knots(new[:, :1] + share * (new[:, 1:] - new[:, :1]))
    return model


def finer(model: KAN, bounds: Float[Tensor, "inputs 2"], rows: list[Tensor] | None = None) -> KAN:
    """Split every cell of the splines; or lay the first layer on other knots, and leave the rest.

    Lines stay lines.
    """
    model = copy.deepcopy(model)
    for depth, (layer, _) in enumerate(model.parts()):
        basis = layer.basis
        assert isinstance(basis, BSpline)
        if basis.degree == 1 or (depth and rows is not None):
            continue
        ends = bounds if depth == 0 else basis.domain
        knots = rows or [split(row) for row in inner_knots(basis, ends)]
        _carry(layer, basis.with_knots(_padded(knots)), ends)
    return model


@torch.no_grad()
def finer_tensor(
    model: KAN, bounds: Float[Tensor, "inputs 2"], rows: list[Tensor] | None = None
) -> KAN:
    """Make the network of `tensor` on finer cells, or on these knots, that is the same function."""
    first = model.parts()[0][0]
    basis = first.basis
    assert isinstance(basis, BSpline)
    outputs, degree = model.out_features, basis.degree
    old = inner_knots(basis, bounds)
    sizes = [len(row) - 1 + degree for row in old]
    coef = first.coef[::2, 0, : sizes[0]].reshape(outputs, sizes[1], sizes[0])
    rows = rows or [split(row) for row in old]
    new = tensor(bounds, outputs=outputs, grid=rows[0], last_grid=rows[1], degree=degree)
    layer = new.parts()[0][0]
    assert isinstance(layer.basis, BSpline)
    x, y = _matrices(layer.basis, basis, bounds)
    y = y[: len(rows[1]) - 1 + degree, : sizes[1]]
    carried = torch.einsum("omx,nx,km->okn", coef, x[:, : sizes[0]], y)
    layer.coef[::2, 0] = carried.flatten(0, 1)
    return new


def split(row: Float[Tensor, " knots"], cells: Tensor | None = None) -> Float[Tensor, " more"]:
    """Halve the cells between knots: all, or those that are chosen."""
    middles = (row[:-1] + row[1:]) / 2
    if cells is not None:
        middles = middles[cells]
    return torch.cat([row, middles]).sort().values


@torch.no_grad()
def _carry(layer: KANLayer, basis: BSpline, bounds: Float[Tensor, "inputs 2"]) -> None:
    """Project a layer's edges onto another basis by least squares within the domain, in place."""
    assert isinstance(layer.basis, BSpline)
    matrices = _matrices(basis, layer.basis, bounds)
    coef = torch.einsum("oik,ink->oin", layer.coef, torch.stack(matrices)).contiguous()
    layer.coef = torch.nn.Parameter(coef)
    layer.basis = basis


def _matrices(
    new: BSpline, old: BSpline, bounds: Float[Tensor, "inputs 2"]
) -> list[Float[Tensor, "new old"]]:
    """Give what carries coefficients over, for each input, by least squares within the domain."""
    share = torch.arange(2 * new.degree, dtype=torch.float64) / (2 * new.degree)
    columns = []
    for row in inner_knots(new, bounds):
        cells = row[:-1, None] * (1 - share) + row[1:, None] * share
        columns.append(torch.cat([cells.flatten(), row[-1:]]))
    most = max(map(len, columns))
    x = torch.stack([_stretched(column, most) for column in columns], -1)
    theirs, ours = old.values(x)[0], new.values(x)[0]
    return [
        torch.linalg.lstsq(ours[:, i], theirs[:, i], driver="gelsd", rcond=1e-14).solution
        for i in range(new.in_features)
    ]


def _stretched(column: Tensor, count: int) -> Tensor:
    """The same points, some of them twice."""
    return column[(torch.arange(count) * len(column)) // count]
