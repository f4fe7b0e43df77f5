"""Rows that are worked on together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor


class Chunk(NamedTuple):
    """Inputs (batch, inputs), targets (batch, ...), and what each row counts, (batch,).

    All rows count 1 where weights is None.
    """

    x: Tensor
    y: Tensor
    weights: Tensor | None = None

    @property
    def total(self) -> float:
        """The sum of the weights."""
        return float(len(self.x)) if self.weights is None else float(self.weights.sum())

    def sum(self, samples: Tensor) -> Tensor:
        """Sum numbers of the rows, each as often as its row counts."""
        return samples.sum() if self.weights is None else samples @ self.weights

    def take(self, rows: Tensor | slice) -> Chunk:
        """Take these rows: a mask, indices or a slice."""
        weights = None if self.weights is None else self.weights[rows]
        return Chunk(self.x[rows], self.y[rows], weights)

    def split(self, rows: int) -> Iterator[Chunk]:
        """Cut into chunks of so many rows at most."""
        for begin in range(0, len(self.x), rows):
            yield self.take(slice(begin, begin + rows))

    @staticmethod
    def join(chunks: Sequence[Chunk]) -> Chunk:
        """Put chunks one behind the other."""
        weights = [chunk.weights for chunk in chunks if chunk.weights is not None]
        return Chunk(
            torch.cat([chunk.x for chunk in chunks]),
            torch.cat([chunk.y for chunk in chunks]),
            torch.cat(weights) if weights else None,
        )
