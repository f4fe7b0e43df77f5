r"""Damped steps that keep the bounds of edges.

With :math:`c = T u` for each edge, bounds say that some u are not negative. A step is the exact
minimum of the damped quadratic model under them, so that steps end where no admissible direction
lowers the loss (for Levenberg–Marquardt under constraints Kanzow, Yamashita and Fukushima 2004).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from edgewise._cones import Cone, Kind, cone, minimize
from edgewise._network import KAN
from edgewise.bases import BSpline


class _Group(NamedTuple):
    """Edges that share a cone."""

    at: Tensor  # (edges, basis): where the coefficients stand among the parameters
    to: Tensor  # (edges, free): where u stands among all u
    cone: Cone


class Bounds:
    """The bounds of a model, over its parameters in the order of `ParameterVector`.

    Args:
        model: The network.
    """

    def __init__(self, model: KAN) -> None:
        places: dict[tuple[int, int, frozenset[Kind]], list[int]] = {}
        start = 0
        for depth, (layer, _) in enumerate(model.parts()):
            for o, i in layer.mask.nonzero().tolist():
                if (o, i) in layer.bounds:
                    places.setdefault((depth, i, layer.bounds[o, i]), []).append(start)
                start += layer.basis.size
            start += sum(int(lock.free.sum()) for _, lock in layer.locked())
        self.size = start
        self._groups: list[_Group] = []
        alone, count = torch.ones(start, dtype=torch.bool, device=model.device), 0
        for (depth, i, kinds), starts in places.items():
            basis = model.parts()[depth][0].basis
            assert isinstance(basis, BSpline), "bound takes no others"
            shape = cone(basis, i, kinds)
            free, size = shape.A.shape
            first = torch.tensor(starts, device=model.device).unsqueeze(-1)
            at = first + torch.arange(size, device=model.device)
            to = count + torch.arange(len(starts) * free, device=model.device).reshape(-1, free)
            self._groups.append(_Group(at, to, shape))
            alone[at] = False
            count += to.numel()
        self._alone = alone.nonzero().squeeze(-1)
        self._rest = slice(count, count + len(self._alone))

    def __len__(self) -> int:
        """The number of edges that have bounds."""
        return sum(len(group.at) for group in self._groups)

    def step(
        self,
        M: Float[Tensor, "parameters parameters"],
        g: Float[Tensor, " parameters"],
        start: Float[Tensor, " parameters"],
    ) -> Float[Tensor, " parameters"] | None:
        """Give the least g·s + s·M·s / 2 from which `start + s` keeps the bounds.

        None where M is not positive definite.
        """
        floor = torch.full((self._rest.stop,), -torch.inf, dtype=start.dtype, device=start.device)
        for at, to, shape in self._groups:
            u = (start[at] @ shape.A.T).clamp_min(0)
            floor[to] = torch.where(shape.bounded, -u, -torch.inf)
        reduced = self._in_u(self._in_u(M).T)
        step = minimize(reduced, self._in_u(g.unsqueeze(0)).squeeze(0), floor)
        if step is None:
            return None
        moved = torch.zeros_like(start)
        moved[self._alone] = step[self._rest]
        for at, to, shape in self._groups:
            moved[at] = step[to] @ shape.T.T
        return self.tidy(start + moved) - start

    def tidy(self, vector: Float[Tensor, " parameters"]) -> Float[Tensor, " parameters"]:
        """Remove what rounding has left of a miss."""
        vector = vector.clone()
        for at, _, shape in self._groups:
            vector[at] = shape.tidy(vector[at])
        return vector

    def directions(
        self, start: Float[Tensor, " parameters"]
    ) -> Float[Tensor, "parameters directions"]:
        """Give the directions in which `start` may move both ways."""
        keep = torch.ones(self._rest.stop, dtype=torch.bool, device=start.device)
        for at, to, shape in self._groups:
            u = start[at] @ shape.A.T
            keep[to] = ~shape.bounded | (u > 1e-12 * start[at].abs().amax(-1, keepdim=True))
        return self._in_u(torch.eye(self.size, dtype=start.dtype, device=start.device))[:, keep]

    def _in_u(self, rows: Float[Tensor, "rows parameters"]) -> Float[Tensor, "rows free"]:
        """Multiply with the matrix that makes the parameters out of u."""
        product = rows.new_empty(len(rows), self._rest.stop)
        product[:, self._rest] = rows[:, self._alone]
        for at, to, shape in self._groups:
            product[:, to] = rows[:, at] @ shape.T
        return product
