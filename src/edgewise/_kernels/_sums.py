r"""The Gauss–Newton sums by local support, without the Jacobian.

A column of the Jacobian is :math:`d_o B_b(x_i)`: the derivative of the output in sum o times a
function of node i. For one sample only `support` of the functions of a node are not zero, so the
cost of a sample does not depend on the grid.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from edgewise._kernels._backend import CORE, is_native, operator, plain, threads

_ENTRIES = 8_000_000
"""The size of a Jacobian that is written out: 64 MB in float64."""


class Columns(NamedTuple):
    """What a layer's splines, or the constants of a lock, have in the Jacobian.

    Attributes:
        start: Where the values of a node begin among its functions.
        values: The functions that are not zero.
        signal: The derivative of each row of the loss's root in each sum.
        edges: The sum and the node of each edge.
        size: The number of functions of a node.
    """

    start: Int[Tensor, "batch nodes"]
    values: Float[Tensor, "batch nodes support"]
    signal: Float[Tensor, "batch rows sums"]
    edges: Int[Tensor, "edges 2"]
    size: int

    @property
    def width(self) -> int:
        """The number of columns: edges times functions."""
        return len(self.edges) * self.size

    def part(self, rows: slice, dtype: torch.dtype) -> Columns:
        """Take some of the samples, in this precision."""
        values, signal = self.values[rows].to(dtype), self.signal[rows].to(dtype)
        return self._replace(start=self.start[rows], values=values, signal=signal)

    def dense(self) -> Float[Tensor, "batch rows columns"]:
        """Write the columns out."""
        support = torch.arange(self.values.shape[-1], device=self.values.device)
        index = self.start.unsqueeze(-1) + support
        empty = self.values.new_zeros((*self.start.shape, self.size))
        basis = empty.scatter(-1, index, self.values)  # (batch, nodes, size)
        sums, nodes = self.edges.unbind(-1)
        columns = self.signal[:, :, sums].unsqueeze(-1) * basis[:, nodes].unsqueeze(1)
        return columns.flatten(2)


def gram(pieces: list[Columns], H: Float[Tensor, "columns columns"]) -> None:
    r"""Add :math:`J^T J` to the upper triangle of H in place, J being all pieces side by side.

    H is in float64 whatever the pieces are in. What is below its diagonal is left undefined.
    """
    if not is_native(H) or not is_native(pieces[0].values) or _dense_is_faster(pieces):
        rows = 1 + _ENTRIES // (1 + _row_size(pieces))
        for begin in range(0, len(pieces[0].start), rows):
            part = slice(begin, begin + rows)
            _add_square(_jacobian(pieces, part, H), H)
        return
    row = 0
    for number, first in enumerate(pieces):
        column = row
        for second in pieces[number:]:
            _gram(*first, *second, first is second, H, row, column)
            column += second.width
        row += first.width


def _jacobian(pieces: list[Columns], part: slice, like: Tensor) -> Tensor:
    """Write all pieces out side by side, for some of the samples."""
    if not is_native(like) or not is_native(pieces[0].values):
        dense = [piece.part(part, like.dtype).dense().flatten(0, 1) for piece in pieces]
        return torch.cat(dense, -1)
    rows = len(pieces[0].start[part]) * pieces[0].signal.shape[1]
    J, column = like.new_empty((rows, len(like))), 0
    for start, values, signal, edges, size in pieces:
        _write(start[part], values[part], signal[part], edges, size, J, column)
        column += len(edges) * size
    return J


def _add_square(J: Tensor, H: Tensor) -> None:
    """Add the upper triangle by blocks of rows: up to 1.6 times faster than all of it."""
    size = max(128, -(-J.shape[1] // 4))
    for begin in range(0, J.shape[1], size):
        rows = slice(begin, begin + size)
        H[rows, begin:].addmm_(J[:, rows].T, J[:, begin:])


def _row_size(pieces: list[Columns]) -> int:
    """The size of one sample's part of the Jacobian."""
    return pieces[0].signal.shape[1] * sum(piece.width for piece in pieces)


def _dense_is_faster(pieces: list[Columns]) -> bool:
    """Whether a matrix product over all columns beats the sum over those that are not zero.

    On coarse grids most columns are not zero. Measured on one thread: to write a column out and to
    read it again takes 5 ns, a multiplication of the matrix product 0.015 ns, a pair of edges 4 ns
    and 0.4 ns for each pair of their functions, a pair of pieces 50 us.
    """
    edges = sum(len(piece.edges) for piece in pieces)
    support = max(piece.values.shape[2] for piece in pieces)
    dense = (0.015 * _row_size(pieces) + 5) * sum(piece.width for piece in pieces)
    calls = len(pieces) * (len(pieces) + 1) / 2
    sparse = 0.5 * edges**2 * (4 + 0.4 * support**2)
    return dense < sparse + 50_000 * calls / max(len(pieces[0].start), 1)


def mirror(H: Float[Tensor, "columns columns"]) -> Float[Tensor, "columns columns"]:
    """Copy the upper triangle below the diagonal."""
    return H.triu() + H.triu(1).T


def pull(columns: Columns) -> Float[Tensor, " columns"]:
    """Give the sum of the columns over the samples; their signal has one row."""
    if not is_native(columns.values):
        return columns.dense().sum((0, 1))
    g = columns.values.new_zeros((len(columns.edges), columns.size), dtype=torch.float64)
    _pull(*columns, g)
    return g.flatten().to(columns.values.dtype)


def _nothing(*_: object) -> None:
    """What an operator gives that writes into its last argument."""


_COLUMNS = "Tensor start{0}, Tensor values{0}, Tensor signal{0}, Tensor edges{0}, int size{0}"


@operator(
    f"gram({_COLUMNS.format(1)}, {_COLUMNS.format(2)}, bool same, Tensor(a!) H, int row,"
    " int column) -> ()",
    fake=_nothing,
)
def _gram(
    start1: Tensor,
    values1: Tensor,
    signal1: Tensor,
    edges1: Tensor,
    size1: int,
    start2: Tensor,
    values2: Tensor,
    signal2: Tensor,
    edges2: Tensor,
    size2: int,
    same: bool,
    H: Tensor,
    row: int,
    column: int,
) -> None:
    first = plain(start1, values1, signal1, edges1)
    second = plain(start2, values2, signal2, edges2)
    support = values1.shape[2] * values2.shape[2]
    team = threads(len(start1) * len(edges1) * len(edges2) * support)
    CORE.gram(  # type: ignore[union-attr]
        *first, size1, *second, size2, same, H.numpy(), row, column, team
    )


@operator(f"pull({_COLUMNS.format('')}, Tensor(a!) g) -> ()", fake=_nothing)
def _pull(
    start: Tensor, values: Tensor, signal: Tensor, edges: Tensor, size: int, g: Tensor
) -> None:
    team = threads(len(start) * len(edges) * values.shape[2])
    CORE.pull(  # type: ignore[union-attr]
        *plain(start, values, signal, edges), size, g.numpy(), team
    )


@operator(f"write({_COLUMNS.format('')}, Tensor(a!) J, int column) -> ()", fake=_nothing)
def _write(
    start: Tensor, values: Tensor, signal: Tensor, edges: Tensor, size: int, J: Tensor, column: int
) -> None:
    team = threads(len(J) * len(edges) * size)
    CORE.write(  # type: ignore[union-attr]
        *plain(start, values, signal, edges), size, J.numpy(), column, team
    )
