"""What several tests build their networks and data with."""

from __future__ import annotations

import torch
from torch import Tensor

import edgewise as ew
from edgewise._fit import Data, Monitor
from edgewise._layer import Lock
from edgewise._symbolic._evidence import Evidence


def put(model: ew.KAN, edge: tuple[int, int, int], name: str, *constants: float) -> None:
    """Lock an edge (layer, source, target) to a primitive."""
    depth, i, o = edge
    numbers = torch.tensor(constants, dtype=model.dtype)
    model.parts()[depth][0].lock(o, i, Lock(ew.PRIMITIVES[name], numbers))


def sample(rows: int, inputs: int = 2, seed: int = 5) -> Tensor:
    """Rows from -1 to 1."""
    generator = torch.Generator().manual_seed(seed)
    return 2 * torch.rand(rows, inputs, dtype=torch.float64, generator=generator) - 1


def noise(*shape: int, seed: int = 6) -> Tensor:
    """Numbers from a standard normal distribution."""
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def evidence_for(model: ew.KAN, x: Tensor, y: Tensor) -> Evidence:
    """Rows to hold formulas against; the first 20 stand for those held out."""
    return Evidence(model, Data(x, y, x[:20], y[:20]), Monitor(None, False))
