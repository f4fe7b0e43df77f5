"""Rows of a Parquet table that need not fit into memory."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from edgewise._errors import ConfigError, DataError, require


class Parquet:
    """A Parquet file, or a folder of them, as chunks of inputs and targets for `fit`.

    Where several processes fit together (`torchrun`), each reads its share of the row groups.

    Args:
        path: The file or folder.
        target: The column, or columns, that the network is to give.
        inputs: The columns that it takes; by default all others, in their order.
        weights: A column with the weight of each row.
        rows: The largest number of rows that are held at a time.

    Raises:
        MissingExtraError: If pyarrow is not installed.
        DataError: If there is no such table, or a column is missing or holds no numbers.
        ConfigError: If `rows` is less than 1.

    Example:
        >>> import pyarrow, pyarrow.parquet
        >>> columns = {"a": x[:, 0].numpy(), "b": x[:, 1].numpy(), "c": x.sum(1).numpy()}
        >>> pyarrow.parquet.write_table(pyarrow.table(columns), tmp_path / "sums.parquet")
        >>> table = ew.Parquet(tmp_path / "sums.parquet", target="c")
        >>> table.inputs
        ['a', 'b']
        >>> result = ew.fit(ew.KAN([2, 1]), table, seed=0, progress=False)
        >>> result.held_out < 1e-12
        True
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        target: str | Sequence[str],
        inputs: Sequence[str] | None = None,
        weights: str | None = None,
        rows: int = 65_536,
    ) -> None:
        if rows < 1:
            raise ConfigError(f"rows must be at least 1, got {rows}.")
        if not Path(path).exists():
            raise DataError(f"There is no table {os.fspath(path)}.")
        self.path, self.rows, self.weights = Path(path), rows, weights
        self.targets = [target] if isinstance(target, str) else list(target)
        self._dataset = require("pyarrow.dataset", "parquet").dataset(
            os.fspath(path), format="parquet"
        )
        others = [*self.targets, *([] if weights is None else [weights])]
        columns = self._dataset.schema.names
        given = inputs is not None
        self.inputs = list(inputs) if given else [name for name in columns if name not in others]
        self._check_columns(others)

    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:
        """Go through all rows: x (rows, inputs), y (rows, targets) and, where given, weights."""
        for _, chunk in self.numbered(0, 1):
            yield chunk

    def numbered(self, rank: int, size: int) -> Iterator[tuple[int, tuple[Tensor, ...]]]:
        """Go through one of `size` shares of the row groups; each chunk has its own number."""
        names = [*self.inputs, *self.targets, *([] if self.weights is None else [self.weights])]
        groups = (
            group
            for fragment in self._dataset.get_fragments()
            for group in fragment.split_by_row_group()
        )
        for place, group in enumerate(groups):
            if place % size != rank:
                continue
            batches = group.to_batches(
                columns=names, batch_size=self.rows, batch_readahead=1, fragment_readahead=1
            )
            for number, batch in enumerate(batches):
                yield place * 2**20 + number, self._tensors(batch)

    def _tensors(self, batch: Any) -> tuple[Tensor, ...]:
        columns = [
            torch.from_numpy(np.array(batch.column(n).to_numpy(zero_copy_only=False), np.float64))
            for n in range(batch.num_columns)
        ]
        count = len(self.inputs)
        x = torch.stack(columns[:count], -1)
        y = torch.stack(columns[count : count + len(self.targets)], -1)
        return (x, y) if self.weights is None else (x, y, columns[-1])

    def _check_columns(self, others: list[str]) -> None:
        schema = self._dataset.schema
        for name in (*self.inputs, *others):
            if name not in schema.names:
                raise DataError(
                    f"{self.path} has no column {name!r}. It has: {', '.join(schema.names)}."
                )
        for name in (*self.inputs, *others):
            kind = schema.field(name).type
            types = require("pyarrow", "parquet").types
            if not (
                types.is_integer(kind)
                or types.is_floating(kind)
                or types.is_boolean(kind)
                or types.is_decimal(kind)
            ):
                raise DataError(
                    f"Column {name!r} of {self.path} holds {kind}, not numbers: leave it out with "
                    "inputs=[...]."
                )
        if not self.inputs:
            raise DataError(f"{self.path} has no column besides {', '.join(others)}.")
