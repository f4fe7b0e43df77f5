"""Rows that come in chunks and are never in memory all at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor

from edgewise._errors import DataError
from edgewise._fit._chunk import Chunk
from edgewise._fit._data import MIN_ROWS, Data, check_spread, check_weights, read
from edgewise._fit._losses import CrossEntropy, Loss
from edgewise._fit._parquet import Parquet
from edgewise._fit._team import Team
from edgewise._network import KAN

_MOST_HELD = 100_000
"""So many rows at most are held out, and so many are a sample: both stay in memory."""
_MOST_PIECES = 8
"""So many pieces of them at most before they are joined."""


class Stream:
    """Chunks of rows, less those that are held out.

    A number between 0 and 1 is drawn for each row, from the seed and the number of its chunk: it
    tells in every pass, and in every process, whether the row is held out.

    Args:
        source: What gives (x, y) or (x, y, weights) each time it is gone through.
        model: The network that is to be fitted; it tells what the shapes should be.
        loss: What is made small.
        seed: What the rows held out depend on.
        team: The processes that fit together.
    """

    def __init__(
        self, source: Iterable[Any], model: KAN, loss: Loss, seed: int, team: Team
    ) -> None:
        if iter(source) is source:
            raise DataError(
                "A fit goes through the chunks many times, and a generator is used up by the "
                "first: give a list, a DataLoader, an ew.Parquet, or an object whose __iter__ "
                "begins anew."
            )
        self.source, self.model, self.loss = source, model, loss
        self.seed, self.team = seed, team
        self.held = 0.0

    def chunks(self) -> Iterator[Chunk]:
        """Go through the rows to fit."""
        for number, chunk in self._read():
            yield chunk.take(self._draw(number, len(chunk.x)) >= self.held)

    def survey(self, share: float) -> Data:
        """Go through all rows once: check them, hold this share out, keep a sample of the rest."""
        held, sample = _Thinned(), _Thinned()
        extremes: list[Chunk] = []
        count, lows, highs = 0, [], []
        for number, chunk in self._read(checked=True):
            if len(chunk.x) == 0:
                continue
            draw = self._draw(number, len(chunk.x))
            held.add(draw, chunk, draw < share)
            sample.add(1 - draw, chunk, draw >= share)
            extremes = [_extremes(Chunk.join([*extremes, _extremes(chunk)]))]
            classes = isinstance(self.loss, CrossEntropy)
            both = chunk.x if classes else torch.cat([chunk.x, chunk.y], -1)
            lows = [torch.stack([*lows, both.amin(0)]).amin(0)]
            highs = [torch.stack([*highs, both.amax(0)]).amax(0)]
            count += len(chunk.x)
        self._check(count, lows, highs)
        # rows that were held out and given back belong to the rows to fit
        self.held = min(self.team.gather(min(share, held.below)))
        kept = held.chunk(self.held)
        held_count = int(self.team.total(len(kept.x)))
        if share and held_count < 2:
            raise DataError("Too few rows would be held out: give more rows, or a larger held_out.")
        if sample.below == 1:  # all rows, the extreme ones among them
            extremes.clear()
        own = Chunk.join([sample.chunk(sample.below), *extremes])
        shown = Chunk.join(self.team.gather(own))
        return Data(
            shown.x,
            shown.y,
            kept.x,
            kept.y,
            shown.weights,
            kept.weights,
            stream=self,
            count=int(self.team.total(count)) - held_count,
            team=self.team,
        )

    def _read(self, checked: bool = False) -> Iterator[tuple[int, Chunk]]:
        """Go through all chunks of this process, in float64 on the model's device."""
        source, rank = self.source, self.team.rank
        numbered = (
            source.numbered(rank, self.team.size)
            if isinstance(source, Parquet)
            else ((rank * 2**32 + place, chunk) for place, chunk in enumerate(source))
        )
        for number, parts in numbered:
            if not isinstance(parts, tuple | list) or len(parts) not in (2, 3):
                raise DataError(
                    f"A chunk is (x, y) or (x, y, weights), got {type(parts).__name__}."
                )
            x, y, *rest = (torch.as_tensor(part, device=self.model.device) for part in parts)
            name = f" of chunk {number % 2**32}"
            x, y = read(self.model, x, y, self.loss, of=name, checked=checked)
            chunk = Chunk(x, y, check_weights(rest[0], len(x)) if rest else None)
            # rows of weight 0 are not there
            yield number, chunk if chunk.weights is None else chunk.take(chunk.weights > 0)

    def _draw(self, number: int, rows: int) -> Tensor:
        """A number for each row of a chunk."""
        generator = torch.Generator().manual_seed((self.seed * 1_000_003 + number) % 2**63)
        draw = torch.rand(rows, dtype=torch.float64, generator=generator)
        return draw.to(self.model.device)

    def _check(self, count: int, lows: list[Tensor], highs: list[Tensor]) -> None:
        total = int(self.team.total(count))
        if total < MIN_ROWS:
            raise DataError(f"A fit needs at least {MIN_ROWS} rows, got {total} in all chunks.")
        low = torch.stack([part for some in self.team.gather(lows) for part in some]).amin(0)
        high = torch.stack([part for some in self.team.gather(highs) for part in some]).amax(0)
        ends, inputs = torch.stack([low, high]), self.model.in_features
        check_spread("x", ends[:, :inputs], "it carries nothing. Leave it out")
        check_spread("y", ends[:, inputs:], "there is nothing to fit")


def _extremes(chunk: Chunk) -> Chunk:
    """The rows with the least and the largest value of each input."""
    return chunk.take(torch.cat([chunk.x.argmin(0), chunk.x.argmax(0)]).unique())


class _Thinned:
    """The rows with the smallest numbers: as many as may stay in memory."""

    def __init__(self) -> None:
        self.below = 1.0
        self.pieces: list[tuple[Tensor, Chunk]] = []

    def add(self, draw: Tensor, chunk: Chunk, rows: Tensor) -> None:
        """Take those of these rows whose number is small enough."""
        rows = rows & (draw < self.below)
        self.pieces.append((draw[rows], chunk.take(rows)))
        if sum(len(draw) for draw, _ in self.pieces) > 2 * _MOST_HELD:
            draws = torch.cat([draw for draw, _ in self.pieces])
            self.below = float(draws.kthvalue(_MOST_HELD + 1).values)
            self._join()
        # small pieces that stay between large ones that go keep the allocator from giving back
        elif len(self.pieces) > _MOST_PIECES:
            self._join()

    def _join(self) -> None:
        draw = torch.cat([draw for draw, _ in self.pieces])
        chunk = self.chunk(self.below)
        self.pieces = [(draw[draw < self.below], chunk)]

    def chunk(self, below: float) -> Chunk:
        """Give the rows whose number is below this."""
        return Chunk.join([chunk.take(draw < below) for draw, chunk in self.pieces])
