r"""How the objective of a wide network bends, edge by edge: what L-BFGS starts from.

With d the derivative of an output in the sum that an edge enters, the Gauss–Newton matrix of the
edge's coefficients is :math:`\mathrm{E}[d^2 f f^T]`, here taken apart into
:math:`\mathrm{E}[d^2]\,\mathrm{E}[f f^T]` (Martens and Grosse 2015, section 3.1). The penalty adds
its own, as in `_frame`. Of several outputs one random sum with signs is taken: its square has the
right mean.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from edgewise.compat.pykan._moments import Step, walk
from edgewise.compat.pykan._objective import Curved, Task, has_functions

if TYPE_CHECKING:
    from edgewise.compat.pykan._network import MultKAN

_DAMPING = 0.3
"""What is added to a block, in shares of its mean diagonal (decision 21)."""
_ROWS = 1000
"""So many rows tell enough."""


_ENTRIES = 20_000_000
"""Of the blocks of a layer; 160 MB."""


def has_curvature(model: MultKAN, task: Task) -> bool:
    """Whether `Curvature` serves: there is a penalty, whose part is known, and blocks are small."""
    blocks = (act.in_dim * act.out_dim * (act.coef.shape[-1] + 1) ** 2 for act, _ in model.parts())
    known = isinstance(task.rule, Curved) and not has_functions(model)
    return known and task.lamb > 0 and max(blocks) <= _ENTRIES


class Curvature:
    """The inverse blocks of a network's second derivatives at the present parameters."""

    @torch.no_grad()
    def __init__(self, model: MultKAN, task: Task, trained: Sequence[nn.Parameter]) -> None:
        rule = task.rule
        assert isinstance(rule, Curved)
        self.trained = trained
        self.blocks: list[tuple[nn.Parameter, nn.Parameter, Tensor]] = []
        self.single: dict[nn.Parameter, Tensor] = {}
        task = task.part(torch.arange(0, len(task.x), max(1, len(task.x) // _ROWS)))
        steps = walk(model, task.x, [], slopes=True)
        output = steps[-1].nodes
        root = rule.root(output, task.y) / math.sqrt(len(output))
        draw = torch.Generator().manual_seed(0)
        signs = torch.randint(2, root.shape[:2], generator=draw).to(root) * 2 - 1
        d = torch.einsum("br,bro->bo", signs, root)
        stiffness = task.stiffness(model, steps)
        for n in reversed(range(len(steps))):
            d = self._add_nodes(model, n, steps[n], d)
            self._add_edges(model, n, steps[n], d, stiffness[n])
            d = steps[n].through(d) if n else d

    def _add_nodes(self, model: MultKAN, n: int, s: Step, d: Tensor) -> Tensor:
        """Add the scales and biases of nodes; give the derivatives in the sums."""
        nodes = model.nodes(n + 1)
        scale, subscale = model.node_scale[n], model.subnode_scale[n]
        by_subnode = nodes.backward((d * scale).unsqueeze(1), s.subnodes).squeeze(1)
        if model.affine_trainable:
            for p, by in (
                (scale, d * s.products),
                (model.node_bias[n], d),
                (subscale, by_subnode * s.sums),
                (model.subnode_bias[n], by_subnode),
            ):
                self.single[p] = _inverse(by.square().sum(0))
        return by_subnode * subscale

    def _add_edges(self, model: MultKAN, n: int, s: Step, d: Tensor, stiffness: Tensor) -> None:
        act, _ = model.parts()[n]
        f = s.functions.values
        second = torch.einsum("bik,bil->ikl", f, f) / len(f)
        slope = d.square().sum(0)[:, None, None]
        M = slope * second.unsqueeze(1)  # (inputs, outputs, n, n)
        M += stiffness.T[..., None, None] * s.functions.covariance.unsqueeze(1)
        M *= act.mask.square()[..., None, None]
        bend = torch.einsum("iok,iokl,iol->io", act.coef, M[..., :-1, :-1], act.coef)
        M[..., :-1, :] *= act.scale_sp[..., None, None]
        M[..., :, :-1] *= act.scale_sp[..., None, None]
        mean = M.diagonal(dim1=-2, dim2=-1).mean(-1)
        least = (1e-6 * mean.max()).clamp_min(1e-300)
        damping = _DAMPING * mean.clamp_min(least)
        M.diagonal(dim1=-2, dim2=-1).add_(damping.unsqueeze(-1))
        # an edge's scale does what its coefficients do as well, so it moves little
        self.single[act.scale_sp] = 1 / (bend + damping)
        self.blocks.append(
            (act.coef, act.scale_base, torch.cholesky_inverse(torch.linalg.cholesky(M)))
        )

    def solve(self, g: Tensor) -> Tensor:
        """Multiply a gradient by the inverse."""
        parts = dict(zip(self.trained, g.split([p.numel() for p in self.trained]), strict=True))
        for coef, base, inverse in self.blocks:
            by_coef, by_base = (
                parts[p].view_as(p) if p in parts else torch.zeros_like(p) for p in (coef, base)
            )
            together = torch.cat([by_coef, by_base.unsqueeze(-1)], -1).unsqueeze(-1)
            found = (inverse @ together).squeeze(-1)
            parts[coef], parts[base] = found[..., :-1].flatten(), found[..., -1].flatten()
        for p, inverse in self.single.items():
            if p in parts:
                parts[p] = (inverse * parts[p].view_as(p)).flatten()
        return torch.cat([parts[p] for p in self.trained])


def _inverse(bend: Tensor) -> Tensor:
    """Invert a diagonal, with damping."""
    least = (1e-6 * bend.max()).clamp_min(1e-300)
    return 1 / ((1 + _DAMPING) * bend.clamp_min(least))
