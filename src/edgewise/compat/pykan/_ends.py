r"""Splines that pass the ends of their grid smoothly, and go on as lines.

The engine's splines bend no more from the first and the last knot of their grid on, which a second
derivative sees as a jump. Here k more cells stand on each side, and the coefficients go on evenly:
in the middles :math:`\xi_j = (t_{j+1} + \ldots + t_{j+k}) / k` of their splines' knots (Greville)
they lie on the line through the last two, so that all k - 1 derivatives go on, and after k cells
the spline is that line. (With pykan's they go on as zeros.)
"""

from __future__ import annotations

import itertools
from functools import cached_property

import torch
from torch import Tensor

from edgewise._kernels import spline_edges, spline_layer
from edgewise._kernels._edges import spline_edges_twin
from edgewise._kernels._splines import local_splines


class Splines:
    """The splines of a layer.

    Args:
        grid: Knots (inputs, cells + 2 k + 1).
        k: The degree.

    Attributes:
        knots: The same with k more on each side.
        before: Where the first k coefficients lie on the line from the first to the second of the
            grid (inputs, 1, k).
        after: Where the last k lie on the line from the last to the last but one.
    """

    def __init__(self, grid: Tensor, k: int) -> None:
        t = self.grid = grid.detach().clone()
        self.k, self.cells = k, grid.shape[1] - 2 * k - 1
        steps = torch.arange(1, k + 1, dtype=t.dtype, device=t.device)
        first, last = t[:, :1], t[:, -1:]
        left = first - (t[:, 1:2] - first) * steps.flip(0)
        right = last + (last - t[:, -2:-1]) * steps
        self.knots = torch.cat([left, t, right], 1)
        xi = self.knots[:, 1:-1].unfold(1, k, 1).mean(-1).unsqueeze(1)  # one for each spline
        a, b, y, z = (
            xi[..., k : k + 1],
            xi[..., k + 1 : k + 2],
            xi[..., -k - 2 : -k - 1],
            xi[..., -k - 1 : -k],
        )
        self.before, self.after = (xi[..., :k] - a) / (b - a), (xi[..., -k:] - z) / (y - z)

    def serves(self, grid: Tensor, k: int) -> bool:
        """Whether this is the grid and the degree."""
        like = self.grid
        same = (k, grid.shape, grid.dtype, grid.device) == (
            self.k,
            like.shape,
            like.dtype,
            like.device,
        )
        return same and not grid.is_meta and torch.equal(grid, like)

    @cached_property
    def _fold(self) -> Tensor:
        """Say what the functions of an outer cell are in those of the next inner one.

        (inputs, 2 k + 1, k + 1, k + 1), from the outermost cell before the grid on.
        """
        k = self.k
        fold = self.knots.new_zeros(len(self.knots), 2 * k + 1, k + 1, k + 1)
        for cell, j in itertools.product(range(2 * k + 1), range(k + 1)):
            place = cell - k + j  # among the functions of the inner cell
            if 0 <= place <= k:
                fold[:, cell, j, place] = 1.0
            elif place < 0:
                share = self.before[:, 0, place + k]
                fold[:, cell, j, 0], fold[:, cell, j, 1] = 1 - share, share
            else:
                share = self.after[:, 0, place - k - 1]
                fold[:, cell, j, k], fold[:, cell, j, k - 1] = 1 - share, share
        return fold

    def local(self, x: Tensor, order: int = 0) -> tuple[Tensor, Tensor]:
        """Evaluate the k + 1 functions at x (batch, inputs), as `local_splines` does.

        Outside the grid these are the functions of the cell at its end, with what the outer ones
        add to them.
        """
        start, values = local_splines(x, self.knots, self.k, order)
        start = start - self.k
        inner = start.clamp(0, self.cells - 1)
        outside = (start != inner).nonzero(as_tuple=True)
        if len(outside[0]):
            cell = (start - inner)[outside] + self.k
            folded = torch.einsum("mnj,njl->mnl", values[:, *outside], self._fold[outside[1], cell])
            each = torch.arange(order + 1, device=x.device).unsqueeze(1)
            values = values.index_put((each, *outside), folded)
        return inner, values

    def dense(self, x: Tensor, order: int = 0) -> list[Tensor]:
        """Evaluate all functions at x, and their derivatives: (batch, inputs, basis) each."""
        start, local = self.local(x, order)
        index = start.unsqueeze(-1) + torch.arange(self.k + 1, device=x.device)
        empty = x.new_zeros((*x.shape, self.cells + self.k))
        return [empty.scatter(-1, index, values) for values in local]

    def edges(self, x: Tensor, coef: Tensor, order: int = 0, plain: bool = False) -> Tensor:
        """Evaluate each edge with coefficients (inputs, outputs, basis), and its derivatives.

        Returns:
            (derivatives, batch, outputs, inputs); with `plain` it can be differentiated.
        """
        evaluate = spline_edges_twin if plain else spline_edges
        return evaluate(x, self.extend(coef).transpose(0, 1), self.knots, self.k, order)

    def sums(self, x: Tensor, coef: Tensor, base: Tensor | None = None) -> Tensor:
        """Sum the edges, and silu times base (outputs, inputs), by the fused kernel."""
        coef = self.extend(coef).transpose(0, 1)
        return spline_layer(x, coef, self.knots, self.k, base=base)

    def extend(self, coef: Tensor) -> Tensor:
        """Put the coefficients (inputs, outputs, basis) of the outer functions on both sides."""
        left = torch.lerp(coef[..., :1], coef[..., 1:2], self.before)
        right = torch.lerp(coef[..., -1:], coef[..., -2:-1], self.after)
        return torch.cat([left, coef, right], -1)
