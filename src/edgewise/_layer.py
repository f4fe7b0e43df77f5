"""A layer of edges: every input meets every output through a function of its own."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from edgewise._arrays import check_tensor
from edgewise._cones import Cone, Kind, cone
from edgewise._errors import ConfigError, DataError, ShapeError
from edgewise._primitives import Primitive
from edgewise.bases import Basis, BSpline


class Lock(nn.Module):
    """The function of an edge that is locked to a primitive: `c * f(a * x + b) + d`.

    Args:
        primitive: The function f.
        constants: a, b, c, d.
        free: Which of the four are trained; all by default.
    """

    constants: Tensor
    free: Tensor

    def __init__(
        self,
        primitive: Primitive,
        constants: Float[Tensor, "4"],
        free: Bool[Tensor, "4"] | None = None,
    ) -> None:
        super().__init__()
        self.primitive = primitive
        self.constants = nn.Parameter(constants.detach().clone())
        if free is None:
            free = torch.ones(4, dtype=torch.bool, device=constants.device)
        self.register_buffer("free", free.clone())

    def forward(self, x: Tensor) -> Tensor:
        """Evaluate the function at each element of x."""
        a, b, c, d = self._constants()
        return c * self.primitive.torch(a * x + b) + d

    def derivatives(self, x: Tensor, order: int) -> Float[Tensor, "derivatives ..."]:
        """Evaluate the function and its derivatives up to `order` at each element of x."""
        a, b, c, d = self._constants()
        value, *rows = self.primitive.derivatives(a * x + b, order)
        return torch.stack([c * value + d, *(c * a**m * row for m, row in enumerate(rows, 1))])

    def columns(self, x: Float[Tensor, " batch"]) -> tuple[Tensor, Tensor, Tensor]:
        """Give the value, its derivative in x, and those in a, b, c, d: (batch, 4)."""
        a, b, c, d = self.constants.detach().unbind()
        value, slope = self.primitive.slope(a * x + b)
        by_constant = torch.stack([c * slope * x, c * slope, value, torch.ones_like(x)], -1)
        return c * value + d, c * slope * a, by_constant

    def derivative_columns(
        self, x: Float[Tensor, " batch"], order: int
    ) -> Float[Tensor, "derivatives batch 4"]:
        """Give the derivatives of `derivatives` in a, b, c, d."""
        a, b, c, _ = self.constants.detach().unbind()
        f = self.primitive.derivatives(a * x + b, order + 1).detach()
        rows = []
        for m in range(order + 1):
            by_b = c * a**m * f[m + 1]
            by_a = by_b * x + (m * c * a ** (m - 1) * f[m] if m else 0)
            by_d = torch.zeros_like(x) if m else torch.ones_like(x)
            rows.append(torch.stack([by_a, by_b, a**m * f[m], by_d], -1))
        return torch.stack(rows)

    def _constants(self) -> tuple[Tensor, ...]:
        """a, b, c, d, of which those that are not free have no gradient."""
        return torch.where(self.free, self.constants, self.constants.detach()).unbind()

    def extra_repr(self) -> str:
        """Show the primitive's name."""
        return repr(self.primitive.name)


class KANLayer(nn.Module):
    r"""A Kolmogorov–Arnold layer: :math:`y_o = \sum_i \phi_{oi}(x_i)` (arXiv 2404.19756, eq. 2.5).

    Each edge is in one of three states: numeric (`mask` is true: coefficients times basis), locked
    to a primitive, or off. A numeric edge may have bounds, see `bound`: `bounds` holds their kinds
    by (output, input).

    Args:
        basis: The functions that the edges are made of; it tells the number of inputs.
        out_features: The number of outputs.
        curvature: The share of each edge's initial variance that is random bending; the rest is a
            random line.

    Raises:
        ConfigError: If `out_features` is less than 1.

    Example:
        >>> layer = ew.KANLayer(ew.bases.BSpline(3, grid=5), 2)
        >>> layer(torch.zeros(10, 3)).shape
        torch.Size([10, 2])
    """

    mask: Tensor
    bounds: dict[tuple[int, int], frozenset[Kind]]

    def __init__(self, basis: Basis, out_features: int, *, curvature: float = 0.1) -> None:
        super().__init__()
        if out_features < 1:
            raise ConfigError(f"A layer needs at least one output, got {out_features}.")
        self.basis = basis
        like = basis.domain
        shape = (out_features, basis.in_features)
        self.coef = nn.Parameter(like.new_empty((*shape, basis.size)))
        self.register_buffer("mask", torch.ones(shape, dtype=torch.bool, device=like.device))
        self.locks = nn.ModuleDict()
        self.bounds = {}
        self.reset_parameters(curvature)

    @classmethod
    def of(
        cls,
        basis: Basis,
        coef: Float[Tensor, "outputs inputs basis"],
        mask: Bool[Tensor, "outputs inputs"],
    ) -> KANLayer:
        """Put a layer together from what it holds; nothing is drawn at random."""
        layer = cls.__new__(cls)
        nn.Module.__init__(layer)
        layer.basis = basis
        layer.coef = nn.Parameter(coef.detach().clone())
        layer.register_buffer("mask", mask.clone())
        layer.locks = nn.ModuleDict()
        layer.bounds = {}
        return layer

    @property
    def in_features(self) -> int:
        """The number of inputs."""
        return self.coef.shape[1]

    @property
    def out_features(self) -> int:
        """The number of outputs."""
        return self.coef.shape[0]

    @property
    def active(self) -> Bool[Tensor, "outputs inputs"]:
        """Which edges are numeric or locked, not off."""
        active = self.mask.clone()
        for (o, i), _ in self.locked():
            active[o, i] = True
        return active

    def locked(self) -> list[tuple[tuple[int, int], Lock]]:
        """List the locked edges: ((output, input), lock)."""
        pairs = []
        for key, lock in self.locks.items():
            o, _, i = key.partition("_")
            assert isinstance(lock, Lock)
            pairs.append(((int(o), int(i)), lock))
        return pairs

    def lock(self, o: int, i: int, lock: Lock) -> None:
        """Let the edge from input i to output o be this lock from now on; it loses its bounds."""
        self.mask[o, i] = False
        self.bounds.pop((o, i), None)
        self.locks[f"{o}_{i}"] = lock

    def remove(self, o: int, i: int) -> None:
        """Switch the edge from input i to output o off."""
        self.mask[o, i] = False
        self.bounds.pop((o, i), None)
        if f"{o}_{i}" in self.locks:
            del self.locks[f"{o}_{i}"]

    @torch.no_grad()
    def enforce(self) -> None:
        """Bring each numeric edge that has bounds to the nearest that keeps them, in place.

        Nearest in the mean square over the grid. Edges that keep their bounds stay as they are.
        """
        if not self.bounds or self.coef.is_meta or not isinstance(self.basis, BSpline):
            return
        at = self.basis._points()
        values = self.basis.values(at)[0].to(torch.float64)  # (points, inputs, basis)
        cones: dict[tuple[int, frozenset[Kind]], Cone] = {}
        for (o, i), kinds in self.bounds.items():
            if self.mask[o, i]:
                if (i, kinds) not in cones:
                    cones[i, kinds] = cone(self.basis, i, kinds)
                form = values[:, i].T @ values[:, i] / len(values)
                old = self.coef[o, i].to(torch.float64)
                self.coef[o, i] = cones[i, kinds].nearest(old, form)

    @torch.no_grad()
    def reset_parameters(
        self, curvature: float = 0.1, *, generator: torch.Generator | None = None
    ) -> None:
        r"""Draw new edges that keep the variance of what passes through, and their bounds.

        With u the input on a scale where its grid is [-1, 1] and :math:`\mathrm{Var}\,u = 1/3`,
        each output has :math:`\mathrm{Var}\,y = 1/3`: an edge is a random line in u plus random
        bending, with coefficients that have neither mean nor trend. Edges on a fine grid are as
        smooth as on a coarse one.

        Args:
            curvature: The share of the variance that is random bending, 0 to 1. (A spline whose
                coefficients have no trend still has some itself: at degree 3, a third of this share
                is off any line.)
            generator: Where the random numbers come from; torch's global one by default.
        """
        if self.coef.is_meta:
            return
        # bending on fine cells would be steep, and grow from layer to layer outside the grids
        coarse = self.basis if self.basis.grid <= 3 else self.basis.with_grid(3)
        one, x = coarse.line()
        low, high = coarse.domain.unbind(-1)
        u = (2 * x - (low + high).unsqueeze(-1) * one) / (high - low).unsqueeze(-1)
        noise = _randn(self.coef[..., : coarse.size], generator)
        for direction in (one, u - u.mean(-1, keepdim=True)):  # no mean, no trend
            share = (noise * direction).sum(-1) / direction.square().sum(-1)  # (outputs, inputs)
            noise = noise - share.unsqueeze(-1) * direction
        # orthogonal slopes: a deep stack of lines neither grows nor shrinks (Saxe et al. 2014)
        slopes = nn.init.orthogonal_(torch.empty_like(self.coef[..., 0]), generator=generator)
        slopes = slopes / slopes.norm(dim=1, keepdim=True)
        if coarse.size == 2:  # a line and nothing else
            coef = slopes.unsqueeze(-1) * u
        else:
            bend = torch.einsum("pik,oik->poi", coarse(coarse._points()), noise)
            power = bend.square().mean(0).mean(-1, keepdim=True)  # (outputs, 1)
            scale = torch.sqrt(curvature / 3 / (self.in_features * power)).unsqueeze(-1)
            coef = scale * noise + (1 - curvature) ** 0.5 * slopes.unsqueeze(-1) * u
        if coarse is not self.basis:
            coef = torch.einsum("oik,ink->oin", coef, self.basis.transfer_from(coarse))
        for (o, i), kinds in self.bounds.items():  # the nearest to a wrong trend is a constant
            trend = ("increasing" in kinds) - ("decreasing" in kinds)
            if trend * (coef[o, i, -1] - coef[o, i, 0]) < 0:
                coef[o, i] *= -1
        self.coef.copy_(coef)
        self.enforce()

    def forward(self, x: Float[Tensor, "batch inputs"]) -> Float[Tensor, "batch outputs"]:
        """Sum the edges that enter each output.

        Raises:
            ShapeError: If x has another number of columns than the layer has inputs.
            DataError: If x is no tensor, or has another dtype than the coefficients.
        """
        self._check(x)
        coef = self.coef * self.mask.unsqueeze(-1)
        y = self.basis.sums(x, coef)
        if len(self.locks) == 0:
            return y
        columns = list(y.unbind(-1))
        for (o, i), lock in self.locked():
            columns[o] = columns[o] + lock(x[:, i])
        return torch.stack(columns, -1)

    def edges(self, x: Float[Tensor, "batch inputs"]) -> Float[Tensor, "batch outputs inputs"]:
        """Evaluate every edge for itself; edges that are off give zero."""
        return self.derivatives(x, 0)[0]

    def derivatives(
        self, x: Float[Tensor, "batch inputs"], order: int
    ) -> Float[Tensor, "derivatives batch outputs inputs"]:
        """Evaluate every edge for itself, and its derivatives up to `order`."""
        self._check(x)
        y = self.basis.edges(x, self.coef * self.mask.unsqueeze(-1), order)
        for (o, i), lock in self.locked():
            y[:, :, o, i] = lock.derivatives(x[:, i], order)
        return y

    def extra_repr(self) -> str:
        """Show the sizes."""
        return f"{self.in_features} -> {self.out_features}"

    def _check(self, x: Tensor) -> None:
        check_tensor(x, "This layer", self.coef)
        if x.ndim != 2 or x.shape[1] != self.in_features:
            raise ShapeError(
                f"This layer takes inputs of shape (batch, {self.in_features}), "
                f"got {tuple(x.shape)}."
            )
        if x.dtype != self.coef.dtype:
            raise DataError(
                f"This layer computes in {self.coef.dtype}, got inputs in {x.dtype}. "
                "Convert one of them: x.to(model.dtype), or model.to(x.dtype)."
            )


def _randn(like: Tensor, generator: torch.Generator | None) -> Tensor:
    return torch.randn(like.shape, dtype=like.dtype, device=like.device, generator=generator)
