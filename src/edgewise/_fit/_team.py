"""The processes that fit one network together, each on its own rows (torch.distributed)."""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import Tensor
from torch import distributed as dist

T = TypeVar("T")


class Team:
    """All processes of the default process group; one alone where none was set up.

    Every decision of a fit is made from sums over the team, so that all processes make the same.
    """

    def __init__(self) -> None:
        together = dist.is_available() and dist.is_initialized()
        self.size = dist.get_world_size() if together else 1
        self.rank = dist.get_rank() if together else 0

    def sum(self, tensor: Tensor) -> Tensor:
        """Add up what every process has."""
        if self.size > 1:
            tensor = tensor.contiguous()
            dist.all_reduce(tensor)
        return tensor

    def total(self, number: float) -> float:
        """Add up a number of every process."""
        return float(self.sum(torch.tensor(number, dtype=torch.float64)))

    def any(self, flag: bool) -> bool:
        """Whether it is so in any process."""
        return self.total(float(flag)) > 0 if self.size > 1 else flag

    def first(self, value: T) -> T:
        """Take what the first process has."""
        if self.size == 1:
            return value
        box = [value]
        dist.broadcast_object_list(box)
        return box[0]

    def gather(self, value: T) -> list[T]:
        """List what every process has."""
        if self.size == 1:
            return [value]
        boxes: list[T | None] = [None] * self.size
        dist.all_gather_object(boxes, value)
        return boxes  # type: ignore[return-value]
