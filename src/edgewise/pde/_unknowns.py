"""The unknown numbers as one vector: coefficients that are free, constants of the equation."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from edgewise._fit._gauss_newton import ParameterVector
from edgewise._kernels import Columns
from edgewise._network import KAN
from edgewise.bases import BSpline


def periodic_space(basis: BSpline) -> list[Float[Tensor, "basis free"]]:
    """Give, for each input, a base of the splines whose derivatives agree at both ends."""
    low, high = basis.domain.unbind(-1)
    order = basis.degree - 1
    ends = []
    for at in (low, high):
        values = basis.values(at.unsqueeze(0), order)
        ends.append(torch.stack([v[0] for v in values]))  # (derivatives, inputs, basis)
    spaces = []
    for i in range(basis.in_features):
        rows = ends[1][:, i] - ends[0][:, i]
        rows = rows / rows.norm(dim=-1, keepdim=True)
        _, _, right = torch.linalg.svd(rows)
        spaces.append(right[len(rows) :].T.contiguous())
    return spaces


class Unknowns:
    """What a solver changes: a network's parameters within their constraints, and constants.

    Edges from a periodic input have as many parameters less as their splines have derivatives that
    agree at the ends. Where the functions of the last input are held, only edges from the others
    are free, and a network of products is linear in them.

    Args:
        model: The network; `write` changes it.
        periodic: The inputs whose splines are periodic.
        constants: Constants of the equation that are to be found.
        held: Whether the edges from the last input, and those after the first layer, stay.
    """

    def __init__(
        self,
        model: KAN,
        periodic: tuple[int, ...] = (),
        constants: Mapping[str, float] | None = None,
        *,
        held: bool = False,
    ) -> None:
        self.model = model
        self.constants = dict(constants or {})
        self.vector = ParameterVector(model)
        layer = model.parts()[0][0]
        inputs, size = layer.mask.nonzero()[:, 1], layer.basis.size
        self.kept = inputs != model.in_features - 1 if held else None
        if self.kept is None:
            self.full = self.vector.size
        else:
            inputs = inputs[self.kept]
            self.full = len(inputs) * size
        self.blocks: list[tuple[slice, Tensor | None]] = []
        at = 0
        if periodic:
            assert isinstance(layer.basis, BSpline)
            spaces = periodic_space(layer.basis)
            for i in inputs.tolist():
                self.blocks.append((slice(at, at + size), spaces[i] if i in periodic else None))
                at += size
        self.blocks.append((slice(at, self.full + len(self.constants)), None))

    def read(self) -> Float[Tensor, " unknowns"]:
        """Give the unknowns; what is not periodic is projected."""
        values = torch.tensor(list(self.constants.values()), dtype=torch.float64)
        full = torch.cat([self._coefficients(), values])
        return torch.cat([full[at] if Z is None else Z.T @ full[at] for at, Z in self.blocks])

    @torch.no_grad()
    def write(self, vector: Float[Tensor, " unknowns"]) -> None:
        """Set the unknowns."""
        pieces, start = [], 0
        for at, Z in self.blocks:
            count = at.stop - at.start if Z is None else Z.shape[1]
            piece = vector[start : start + count]
            pieces.append(piece if Z is None else Z @ piece)
            start += count
        full = torch.cat(pieces)
        if self.kept is None:
            self.vector.write(full[: self.full])
        else:
            layer = self.model.parts()[0][0]
            o, i = layer.mask.nonzero()[self.kept].unbind(-1)
            layer.coef[o, i] = full[: self.full].reshape(-1, layer.basis.size)
        for name, value in zip(self.constants, full[self.full :].tolist(), strict=True):
            self.constants[name] = value

    def columns(self, pieces: list[Columns]) -> list[Columns]:
        """Take those columns of a network's Jacobian that belong to what is free."""
        if self.kept is None:
            return pieces
        return [pieces[0]._replace(edges=pieces[0].edges[self.kept])]

    def reduce(self, H: Tensor, g: Tensor) -> tuple[Tensor, Tensor]:
        """Carry normal equations over from all parameters to the unknowns."""
        if len(self.blocks) == 1:
            return H, g
        columns = [H[:, at] if Z is None else H[:, at] @ Z for at, Z in self.blocks]
        H = torch.cat(columns, 1)
        H = torch.cat([H[at] if Z is None else Z.T @ H[at] for at, Z in self.blocks])
        return H, self.reduce_vector(g)

    def reduce_vector(self, g: Tensor) -> Tensor:
        """Carry a gradient over from all parameters to the unknowns."""
        return torch.cat([g[at] if Z is None else Z.T @ g[at] for at, Z in self.blocks])

    def _coefficients(self) -> Tensor:
        if self.kept is None:
            return self.vector.read()
        layer = self.model.parts()[0][0]
        return layer.coef.detach()[layer.mask][self.kept].flatten()
