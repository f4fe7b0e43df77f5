"""Products with the Gauss–Newton matrix, which is never written out."""

from __future__ import annotations

import copy
import math
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from itertools import accumulate
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from edgewise._fit._chunk import Chunk
from edgewise._fit._data import Data
from edgewise._fit._gauss_newton import ParameterVector, Penalty, chunk_rows, linearize
from edgewise._fit._losses import Loss
from edgewise._kernels import Columns, gram, mirror
from edgewise._layer import KANLayer
from edgewise._network import KAN

_KEPT_ENTRIES = 100_000_000
"""How many numbers are kept for all rows: 800 MB in float64."""
_SAMPLE = 2_000
"""So many rows are enough for a preconditioner."""
_BLOCK = 256
"""The largest block, unless one edge has more coefficients."""


class Curvature:
    r"""A loss near the present parameters, with products instead of a matrix.

    A product is one way forward and one way back through the network (Schraudolph 2002):
    :math:`H v = \frac{1}{n} \sum J^T A^T A J v`, summed over the chunks of all processes. What both
    ways need is kept where it fits into memory, and made anew in each product where it does not.

    Args:
        model: The network; it may change afterwards.
        data: The rows to fit.
        loss: What is made small.

    Attributes:
        value: The mean loss.
        g: Its gradient.
        blocks: The blocks on the diagonal of H, in the order of the parameters, summed over a
            sample of the rows: each of some edges into the same sum, or of a lock's constants.
    """

    @torch.no_grad()
    def __init__(self, model: KAN, data: Data, loss: Loss) -> None:
        self._model = copy.deepcopy(model).requires_grad_()
        self._data, self._loss = data, loss
        self._vector = ParameterVector(self._model)
        self._kept: list[_Rows] | None = []
        g = torch.zeros(self._vector.size, dtype=torch.float64, device=model.device)
        value, total, entries = 0.0, 0.0, 0
        for chunk in self._chunks(data.chunks()):
            rows = _Rows(self._model, self._vector, chunk, loss)
            g += rows.gradient()
            value += rows.value()
            total += chunk.total
            entries += rows.entries
            if self._kept is not None:
                self._kept = [*self._kept, rows] if entries <= _KEPT_ENTRIES else None
        team = data.team
        self._total = team.total(total)
        self.value = team.total(value) / self._total
        self.g = team.sum(g) / self._total
        self.blocks = self._blocks()

    @property
    def diagonal(self) -> Float[Tensor, " parameters"]:
        """The diagonal of the blocks."""
        return torch.cat([block.diagonal() for block in self.blocks])

    @torch.no_grad()
    def __matmul__(self, direction: Float[Tensor, " parameters"]) -> Tensor:
        """Multiply H with a vector."""
        product = torch.zeros_like(direction)
        for rows in self._rows():
            product += rows.multiply(direction)
        return self._data.team.sum(product) / self._total

    def add_to_blocks(self, penalty: Penalty) -> None:
        """Add the matrix of a penalty to the blocks, in place."""
        firsts = list(accumulate((len(block) for block in self.blocks), initial=0))
        for start, form in penalty.forms():
            number = bisect_right(firsts, start) - 1
            part = slice(start - firsts[number], start - firsts[number] + len(form))
            self.blocks[number][part, part] += form

    def _blocks(self) -> list[Tensor]:
        """Sum blocks over a sample of the rows; what it does not touch counts as one row of it."""
        data, groups = self._data, _groups(self._model)
        blocks = [self.g.new_zeros(group.width, group.width) for group in groups]
        step = math.ceil(data.team.total(len(data.x)) / _SAMPLE)
        sample = Chunk(data.x, data.y, data.weights).take(slice(None, None, step))
        for chunk in self._chunks([sample]):
            columns, _, _ = linearize(self._model, chunk, self._loss)
            for group, block in zip(groups, blocks, strict=True):
                gram([group.of(columns)], block)
        total = data.team.total(sample.total)
        blocks = [data.team.sum(mirror(block)) / total for block in blocks]
        if step > 1:
            for block in blocks:
                block.diagonal().add_(block.diagonal().mean() / _SAMPLE)
        return blocks

    def _chunks(self, source: Iterable[Chunk]) -> Iterator[Chunk]:
        rows = chunk_rows(self._model)
        for whole in source:
            yield from whole.split(rows)

    def _rows(self) -> Iterator[_Rows]:
        if self._kept is not None:
            yield from self._kept
        else:
            for chunk in self._chunks(self._data.chunks()):
                yield _Rows(self._model, self._vector, chunk, self._loss)


class _Rows:
    """A network near its parameters, for some rows.

    Back through it goes autograd, which has the fused way back through a layer; forward go the
    slopes of the edges.
    """

    def __init__(self, model: KAN, vector: ParameterVector, chunk: Chunk, loss: Loss) -> None:
        self._model, self._vector = model, vector
        self._layers = []
        x = chunk.x
        with torch.enable_grad():
            for layer, nodes in model.parts():
                sums = layer(x)
                first = not self._layers  # nothing stands before it that could change its inputs
                self._layers.append(_Linear(layer, x.detach(), sums.detach(), first=first))
                x = nodes(sums)
        self._output, self._chunk, self._loss = x, chunk, loss
        root = loss.root(x.detach(), chunk.y)  # (batch, rows, outputs)
        self._curvature = root.mT @ root  # (batch, outputs, outputs)
        if chunk.weights is not None:
            self._curvature *= chunk.weights.reshape(-1, 1, 1)

    @property
    def entries(self) -> int:
        """How many numbers are held."""
        return self._curvature.numel() + sum(layer.entries for layer in self._layers)

    def value(self) -> float:
        """Sum the loss."""
        chunk = self._chunk
        return float(chunk.sum(self._loss.objective(self._output.detach(), chunk.y)))

    def gradient(self) -> Float[Tensor, " parameters"]:
        """Sum the loss's gradient."""
        chunk = self._chunk
        signal = self._loss.gradient(self._output.detach(), chunk.y)
        if chunk.weights is not None:
            signal = signal * chunk.weights.unsqueeze(-1)
        return self._pull(signal)

    def multiply(self, direction: Float[Tensor, " parameters"]) -> Float[Tensor, " parameters"]:
        """Multiply the sum of J^T A^T A J over the rows with a vector."""
        signal = (self._curvature @ self._push(direction).unsqueeze(-1)).squeeze(-1)
        return self._pull(signal)

    def _pull(self, signal: Float[Tensor, "batch outputs"]) -> Float[Tensor, " parameters"]:
        """Give J^T times a signal in the output."""
        tensors = [tensor for tensor, _ in self._vector.places()]
        return self._vector.gather(
            torch.autograd.grad(self._output, tensors, signal, retain_graph=True)
        )

    def _push(self, direction: Tensor) -> Float[Tensor, "batch outputs"]:
        """Give J times a direction: how the output changes."""
        change, pieces = None, self._vector.split(direction)
        for (_, nodes), layer in zip(self._model.parts(), self._layers, strict=True):
            change = nodes.push(layer.push(change, pieces), layer.sums)
        assert change is not None
        return change


class _Linear:
    """A layer near its parameters, for some rows."""

    def __init__(self, layer: KANLayer, x: Tensor, sums: Tensor, *, first: bool) -> None:
        self.layer, self.x, self.sums = layer, x, sums
        self.slopes = None  # (batch, sums, inputs)
        if not first:
            coef = layer.coef.detach() * layer.mask.unsqueeze(-1)
            self.slopes = layer.basis.edges(x, coef, 1)[1]
        self.by_constant = []  # for each lock (batch, 4)
        for (o, i), lock in layer.locked():
            _, slope, columns = lock.columns(x[:, i])
            self.by_constant.append(columns)
            if self.slopes is not None:
                self.slopes[:, o, i] = slope

    @property
    def entries(self) -> int:
        """How many numbers are held."""
        held = [self.x, self.sums, *self.by_constant]
        return sum(t.numel() for t in held) + (0 if self.slopes is None else self.slopes.numel())

    def push(self, change: Tensor | None, pieces: Iterator[Tensor]) -> Float[Tensor, "batch sums"]:
        """Give the change in the sums: of the inputs, and of the parameters, which are taken."""
        sums = self.layer.basis.sums(self.x, next(pieces))
        for ((o, _), _), columns in zip(self.layer.locked(), self.by_constant, strict=True):
            sums[:, o] += columns @ next(pieces)
        if change is not None and self.slopes is not None:
            sums += torch.einsum("boi,bi->bo", self.slopes, change)
        return sums


class _Group(NamedTuple):
    """Columns next to each other that make a block: of one piece, some edges into the same sum."""

    piece: int
    edges: slice
    width: int

    def of(self, columns: list[Columns]) -> Columns:
        """Take these columns out of all."""
        piece = columns[self.piece]
        sums, nodes = piece.edges[self.edges].unbind(-1)
        own = torch.arange(len(nodes), device=nodes.device)
        return piece._replace(
            start=piece.start[:, nodes],
            values=piece.values[:, nodes],
            signal=piece.signal[:, :, sums[:1]],
            edges=torch.stack([torch.zeros_like(own), own], -1),
        )


def _groups(model: KAN) -> list[_Group]:
    """Divide the columns of a network, in their order."""
    groups, piece = [], 0
    for layer, _ in model.parts():
        size, first = layer.basis.size, 0
        most = max(1, _BLOCK // size)
        for count in layer.mask.sum(1).tolist():
            for begin in range(first, first + count, most):
                end = min(begin + most, first + count)
                groups.append(_Group(piece, slice(begin, end), (end - begin) * size))
            first += count
        for number, (_, lock) in enumerate(layer.locked(), piece + 1):
            if free := int(lock.free.sum()):
                groups.append(_Group(number, slice(0, 1), free))
        piece += 1 + len(layer.locked())
    return groups
