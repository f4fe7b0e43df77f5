"""Draw the README's picture: a network as it comes out of a fit, before it is pruned."""

from pathlib import Path

import torch

import edgewise as ew

torch.manual_seed(0)
x = 2 * torch.rand(1000, 2, dtype=torch.float64) - 1
y = torch.exp(torch.sin(torch.pi * x[:, :1]) + x[:, 1:] ** 2)
model = ew.fit(ew.KAN([2, 5, 1]), x, y, seed=0, sparse=False, refine=6, progress=False).model
ew.plot.network(model, x).savefig(Path(__file__).with_name("hello.png"), dpi=110)
