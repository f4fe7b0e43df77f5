"""B-splines: piecewise polynomials with local support."""

from __future__ import annotations

from collections.abc import Iterable
from numbers import Integral
from typing import Any, Self

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from edgewise._errors import ConfigError, ShapeError
from edgewise._kernels import dense_splines, local_splines, spline_edges, spline_layer
from edgewise._kernels._splines import local_splines_twin
from edgewise.bases._basis import Basis


class BSpline(Basis):
    r"""B-splines of one degree on a grid for each input (de Boor 1978).

    `degree` knots stand on each side of the grid at the distance of its cells. Outside the grid
    every function goes on linearly, so a spline neither explodes nor drops to zero there. The
    constructor makes even grids; for knots of your own there is `BSpline.on`. An input that is
    `periodic` (see `bound`) is taken back into its domain by whole periods instead, and its knots
    repeat.

    Args:
        in_features: The number of inputs.
        grid: The number of intervals.
        degree: The degree of the pieces, 1 to 9 (pykan's `k`, efficient-kan's `spline_order`).
        domain: The lower and upper end of the grid, for all inputs or as a tensor (inputs, 2).
        dtype: `torch.float32` or `torch.float64`; torch's default dtype if not given.
        device: Where the knots live.

    Raises:
        ConfigError: If the degree or the grid is out of range, or a domain is empty.
        ShapeError: If `domain` has another number of rows than there are inputs.

    Example:
        >>> basis = ew.bases.BSpline(2, grid=5, degree=3)
        >>> values = basis(torch.tensor([[0.1, -0.7]]))
        >>> values.shape
        torch.Size([1, 2, 8])
        >>> torch.allclose(values.sum(-1), torch.ones(1, 2))
        True
    """

    knots: Tensor

    def __init__(
        self,
        in_features: int,
        *,
        grid: int = 3,
        degree: int = 3,
        domain: tuple[float, float] | Float[Tensor, "inputs 2"] = (-1.0, 1.0),
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
    ) -> None:
        super().__init__()
        if not isinstance(degree, Integral) or not 1 <= degree <= 9:
            raise ConfigError(f"degree must be a whole number from 1 to 9, got {degree}.")
        if not isinstance(grid, Integral) or grid < 1:
            raise ConfigError(
                f"grid, the number of intervals, must be a whole number from 1 on, got {grid}."
            )
        dtype = torch.get_default_dtype() if dtype is None else dtype
        domain = torch.as_tensor(domain, dtype=dtype, device=device)
        if domain.ndim == 1:
            domain = domain.expand(in_features, 2)
        if domain.shape != (in_features, 2):
            raise ShapeError(
                f"domain must be a pair or have the shape ({in_features}, 2): a row for each "
                f"input. Got {tuple(domain.shape)}."
            )
        width = domain[:, 1] - domain[:, 0]
        if not domain.is_meta and not bool(((width > 0) & width.isfinite()).all()):
            raise ConfigError(
                f"Each domain must be finite and have low < high, got {domain.tolist()}."
            )
        self.degree = int(degree)
        self.register_buffer("knots", _uniform_knots(domain, int(grid), self.degree))

    @classmethod
    def on(
        cls,
        knots: Float[Tensor, "inputs inner"],
        *,
        degree: int = 3,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
    ) -> Self:
        """Make B-splines on knots of your own, evenly spaced or not.

        Args:
            knots: The grid of each input from its lower to its upper end; `degree` more knots are
                added on each side at the distance of the end cells.
            degree: The degree of the pieces, 1 to 9.
            dtype: `torch.float32` or `torch.float64`; that of the knots if not given.
            device: Where the knots live; where they are if not given.

        Raises:
            ConfigError: If knots are not finite, do not increase, or the degree is out of range.
            ShapeError: If `knots` is not of shape (inputs, grid + 1).

        Example:
            >>> dense_at_zero = torch.tensor([[-1.0, -0.2, -0.05, 0.0, 0.05, 0.2, 1.0]])
            >>> basis = ew.bases.BSpline.on(dense_at_zero, degree=2)
            >>> basis.grid, basis.size
            (6, 8)
            >>> torch.equal(basis.inner, dense_at_zero)
            True
        """
        knots = knots.to(dtype=dtype, device=device)
        if knots.ndim != 2 or knots.shape[1] < 2:
            raise ShapeError(
                "knots must have the shape (inputs, grid + 1): a row for each input, of two knots "
                f"or more. Got {tuple(knots.shape)}."
            )
        if not knots.is_meta:
            fit = knots.isfinite().all(1) & (knots.diff(dim=1) > 0).all(1)
            if not bool(fit.all()):
                odd = int((~fit).nonzero()[0])
                raise ConfigError(
                    "The knots of each input must be finite, each greater than the one before. "
                    f"Those of input {odd} are {knots[odd].tolist()}."
                )
        basis = cls(
            len(knots),
            grid=knots.shape[1] - 1,
            degree=degree,
            domain=knots[:, [0, -1]],
            dtype=knots.dtype,
            device=knots.device,
        )
        basis.knots = _extend(knots, basis.degree)
        return basis

    @property
    def in_features(self) -> int:
        """The number of inputs."""
        return self.knots.shape[0]

    @property
    def grid(self) -> int:
        """The number of intervals."""
        return self.knots.shape[1] - 2 * self.degree - 1

    @property
    def size(self) -> int:
        """The number of functions for each input: grid + degree."""
        return self.knots.shape[1] - self.degree - 1

    @property
    def domain(self) -> Float[Tensor, "inputs 2"]:
        """The lower and upper end of each input's grid."""
        return self.knots[:, [self.degree, -self.degree - 1]]

    @property
    def inner(self) -> Float[Tensor, "inputs inner"]:
        """The knots of the grid itself, without those on either side of it."""
        return self.knots[:, self.degree : -self.degree]

    def values(
        self, x: Float[Tensor, "batch inputs"], order: int = 0
    ) -> list[Float[Tensor, "batch inputs basis"]]:
        """Evaluate all functions and their derivatives up to `order`."""
        return dense_splines(self._wrap(x), self.knots, self.degree, order)

    def local_derivatives(
        self, x: Float[Tensor, "batch inputs"], order: int = 0
    ) -> tuple[Int[Tensor, "batch inputs"], Float[Tensor, "derivatives batch inputs support"]]:
        """Evaluate the degree + 1 functions that are not zero at each x, and their derivatives."""
        return local_splines(self._wrap(x), self.knots, self.degree, order)

    def sums(
        self, x: Float[Tensor, "batch inputs"], coef: Float[Tensor, "outputs inputs basis"]
    ) -> Float[Tensor, "batch outputs"]:
        """Evaluate edges with these coefficients, and sum those that enter the same output."""
        return spline_layer(self._wrap(x), coef, self.knots, self.degree)

    def edges(
        self,
        x: Float[Tensor, "batch inputs"],
        coef: Float[Tensor, "outputs inputs basis"],
        order: int = 0,
    ) -> Float[Tensor, "derivatives batch outputs inputs"]:
        """Evaluate edges with these coefficients, and their derivatives up to `order`."""
        return spline_edges(self._wrap(x), coef, self.knots, self.degree, order)

    def line(self) -> tuple[Float[Tensor, "inputs basis"], Float[Tensor, "inputs basis"]]:
        """Give the coefficients of 1 and of x: ones, and the Greville points (knot averages)."""
        k = self.degree
        greville = self.knots[:, 1:-1].unfold(1, k, 1).mean(-1)
        return torch.ones_like(greville), greville

    def clamped(
        self,
    ) -> tuple[
        Float[Tensor, "inputs basis basis"],
        Float[Tensor, "inputs basis basis"],
        Float[Tensor, "inputs basis"],
    ]:
        """Give the way to coefficients on knots that stand at the ends of the grid and not beyond.

        With degree + 1 knots at each end the splines on the grid are the same, and their
        coefficients are nearer to them: the first and the last are values, and the slopes between
        the outer pairs are those of the spline (de Boor 1978, ch. IX and XI).

        Returns:
            The matrix that carries coefficients to those, its inverse, and their Greville points.
        """
        k, inner = self.degree, self.inner
        ends = [inner[:, :1].expand(-1, k), inner, inner[:, -1:].expand(-1, k)]
        knots = torch.cat(ends, 1)
        greville = knots[:, 1:-1].unfold(1, k, 1).mean(-1)
        there, back = _insert_knots(knots, self.knots, k), _insert_knots(self.knots, knots, k)
        return there, back, greville

    def roughness(self) -> Float[Tensor, "inputs combinations basis"]:
        """Give the jumps of the highest derivative at the knots: zero for a single polynomial.

        On even knots these are the differences of order degree + 1 (P-splines, Eilers and Marx
        1996); elsewhere each jump is scaled to the length that it has there. A jump itself is
        larger the finer the cells are, so that the finest would outweigh all others.
        """
        differences = self._differences(min(self.degree + 1, self.size - 1))
        even = self._is_even()
        if bool(even.all()):
            return differences
        jumps = self.jumps()
        scale = differences.norm(dim=-1) / jumps.norm(dim=-1)
        return torch.where(even[:, None, None], differences, scale.unsqueeze(-1) * jumps)

    def jumps(self) -> Float[Tensor, "inputs combinations basis"]:
        """Give combinations of coefficients that are the jumps of the highest derivative.

        There is one for each knot inside the grid. The derivatives are divided differences of
        the coefficients (de Boor 1978, ch. X, eq. 16).
        """
        k, t, size = self.degree, self.knots, self.size
        rows = torch.eye(size, dtype=t.dtype, device=t.device).expand(len(t), -1, -1)
        for d in range(k, 0, -1):  # from degree d to d - 1
            support = t[:, k + 1 : size + d] - t[:, k - d + 1 : size]
            rows = d * rows.diff(dim=1) / support.unsqueeze(-1)
        return rows.diff(dim=1)

    def bends(self) -> Float[Tensor, "inputs combinations basis"]:
        r"""Give combinations that estimate the derivative of order degree + 1 at the inner knots.

        They are means, weighted with a B-spline N of degree :math:`2d + 1` on the same knots, d
        being the degree. A spline that cannot follow a function rings beside the place, with jumps
        of alternating sign, and these means do not: the residual of least squares is orthogonal to
        :math:`N^{(d+1)}`, so the function has the same means, but for the ends of the grid.
        """
        k, inner = self.degree, self.inner
        knots = _extend(inner, 2 * k + 1)
        at = inner[:, 1:-1].T  # (knots, inputs)
        start, values = local_splines_twin(at, knots, 2 * k + 1)
        index = start.unsqueeze(-1) + torch.arange(2 * k + 2, device=at.device)
        weights = at.new_zeros((*at.shape, self.grid + 2 * k + 1)).scatter(-1, index, values[0])
        weights = weights[..., k + 1 : -k - 1].permute(1, 2, 0)  # (inputs, functions, knots)
        reach = (inner[:, 2:] - inner[:, :-2]) / 2  # a jump is the derivative times this
        return weights @ self.jumps() / (weights @ reach.unsqueeze(-1))

    def variation(self) -> Float[Tensor, "inputs combinations basis"]:
        """Give the differences of neighboring coefficients: zero for a constant."""
        return self._differences(1)

    def with_grid(self, grid: int) -> Self:
        """Make a basis of the same domain with another number of intervals.

        Even knots stay even. Others are laid along the old ones: where `grid` is a multiple of
        the old number, every cell is split evenly.
        """
        basis = self._even(self.domain, grid)
        return self._where_uneven(basis, _along(self.inner, basis.grid))

    def with_degree(self, degree: int) -> Self:
        """Make a basis of the same grid with pieces of another degree."""
        return self._where_uneven(self._even(self.domain, self.grid, degree), self.inner)

    def with_domain(self, domain: Float[Tensor, "inputs 2"]) -> Self:
        """Make a basis of the same size on another domain; cells keep their share of it."""
        low, high = self.inner[:, :1], self.inner[:, -1:]
        share = (self.inner - low) / (high - low)
        moved = domain[:, :1] * (1 - share) + domain[:, 1:] * share
        return self._where_uneven(self._even(domain, self.grid), moved)

    def with_knots(self, knots: Float[Tensor, "inputs inner"]) -> Self:
        """Make a basis of the same degree on other knots."""
        like = self.knots
        basis = self.on(knots, degree=self.degree, dtype=like.dtype, device=like.device)
        return basis.with_periodic(self.periodic) if self.periodic else basis

    def with_periodic(self, inputs: Iterable[int]) -> Self:
        """Make a basis whose domain repeats for these inputs, and for no others."""
        basis = self._even(self.domain, self.grid)
        basis.periodic = tuple(sorted(inputs))
        return self._where_uneven(basis, self.inner)

    def select(self, inputs: Int[Tensor, " kept"]) -> Self:
        """Make a basis with these inputs only, in this order."""
        basis = self._even(self.domain[inputs], self.grid)
        basis.periodic = tuple(n for n, i in enumerate(inputs.tolist()) if i in self.periodic)
        basis.knots = self.knots[inputs]
        return basis

    def config(self) -> dict[str, Any]:
        """Give the constructor's arguments but the domain, which is a tensor's business."""
        config = {"in_features": self.in_features, "grid": self.grid, "degree": self.degree}
        return {**config, "periodic": list(self.periodic)} if self.periodic else config

    def transfer_from(self, old: Basis) -> Float[Tensor, "inputs new old"]:
        """Give the matrix that carries coefficients of an old basis to this one.

        This is knot insertion, and exact, where the grid contains all knots of the old one;
        elsewhere a least-squares projection.
        """
        if isinstance(old, BSpline) and old.degree == self.degree and self._contains(old):
            return _insert_knots(self.knots, old.knots, self.degree)
        return super().transfer_from(old)

    def _differences(self, order: int) -> Float[Tensor, "inputs combinations basis"]:
        eye = torch.eye(self.size, dtype=self.knots.dtype, device=self.knots.device)
        return eye.diff(n=order, dim=0).expand(self.in_features, -1, -1)

    def _points(self) -> Float[Tensor, "points inputs"]:
        """Several points for each function: as many in a small cell as in a large one."""
        even, along = super()._points(), _along(self.inner, 4 * self.size).T
        return torch.where(self._is_even(), even, along)

    def _is_even(self) -> Bool[Tensor, " inputs"]:
        """Which inputs have evenly spaced knots, up to rounding."""
        knots = self.knots
        off = (knots - _uniform_knots(self.domain, self.grid, self.degree)).abs().amax(1)
        # a network that was cast from float32 has knots that are as even as that could hold
        single = (knots.float().to(knots.dtype) == knots).all(1)
        eps = torch.where(single, torch.finfo(torch.float32).eps, torch.finfo(knots.dtype).eps)
        return off <= 4 * eps * knots.abs().amax(1)

    def _contains(self, old: BSpline) -> bool:
        """Whether the domains agree and every old knot is a new one."""
        if self.grid < old.grid or not torch.equal(self.domain, old.domain):
            return False
        mine, theirs = self.inner.contiguous(), old.inner.contiguous()
        above = torch.searchsorted(mine, theirs).clamp(1, self.grid)
        nearest = [(mine.gather(1, at) - theirs).abs() for at in (above - 1, above)]
        cell = mine.diff(dim=1).amin(1, keepdim=True)
        # a network that was cast to float32 has knots that are rounded once more than new ones
        rounding = 4 * torch.finfo(mine.dtype).eps * theirs.abs().amax(1, keepdim=True)
        return bool((torch.minimum(*nearest) <= 1e-6 * cell + rounding).all())

    def _wrap(self, x: Tensor) -> Tensor:
        """Take periodic inputs back into their domain by whole periods."""
        if not self.periodic:
            return x
        low, high = self.domain.unbind(-1)
        width = torch.zeros_like(low)
        width[list(self.periodic)] = (high - low)[list(self.periodic)]
        periods = ((x - low) / (high - low)).detach().floor()
        return torch.where(width > 0, x - periods * width, x)

    def _even(self, domain: Tensor, grid: int, degree: int | None = None) -> Self:
        basis = type(self)(
            domain.shape[0],
            grid=grid,
            degree=self.degree if degree is None else degree,
            domain=domain,
            dtype=self.knots.dtype,
            device=self.knots.device,
        )
        basis.periodic = self.periodic
        return basis

    def _where_uneven(self, basis: Self, inner: Tensor) -> Self:
        """Give `basis` these knots for each input that has uneven ones here."""
        even = self._is_even().unsqueeze(-1)
        knots = _extend(inner, basis.degree)
        for i in basis.periodic:
            knots[i] = _repeat(inner[i], basis.degree)
        basis.knots = torch.where(even, basis.knots, knots)
        return basis


def _uniform_knots(domain: Tensor, grid: int, degree: int) -> Float[Tensor, "inputs knots"]:
    """Evenly spaced knots; the domain's ends are among them to the last bit."""
    low, high = domain[:, :1], domain[:, 1:]
    steps = torch.arange(-degree, grid + degree + 1, dtype=domain.dtype, device=domain.device)
    share = steps / grid
    return low * (1 - share) + high * share


def _extend(inner: Tensor, degree: int) -> Float[Tensor, "inputs knots"]:
    """Add knots on each side of a grid, at the distance of its end cells."""
    steps = torch.arange(1, degree + 1, dtype=inner.dtype, device=inner.device)
    below = inner[:, :1] - steps.flip(0) * (inner[:, 1:2] - inner[:, :1])
    above = inner[:, -1:] + steps * (inner[:, -1:] - inner[:, -2:-1])
    return torch.cat([below, inner, above], 1)


def _repeat(inner: Tensor, degree: int) -> Float[Tensor, " knots"]:
    """Add knots on each side of a grid, each a whole period from one inside."""
    grid = len(inner) - 1
    steps = torch.arange(-degree, grid + degree + 1, device=inner.device)
    periods = steps.div(grid, rounding_mode="floor")
    knots = inner[steps - periods * grid] + periods * (inner[-1] - inner[0])
    knots[degree : degree + grid + 1] = inner  # to the last bit
    return knots


def _along(inner: Tensor, grid: int) -> Float[Tensor, "inputs points"]:
    """Lay grid + 1 points along knots, as many in each cell; whole steps hit knots exactly."""
    steps = torch.arange(grid + 1, device=inner.device) * (inner.shape[1] - 1)
    cell = (steps // grid).clamp(max=inner.shape[1] - 2)
    share = (steps - cell * grid).to(inner.dtype) / grid
    return inner[:, cell] * (1 - share) + inner[:, cell + 1] * share


def _insert_knots(new: Tensor, old: Tensor, k: int) -> Float[Tensor, "inputs new old"]:
    """Write each new coefficient as a combination of old ones, by blossoming.

    The new coefficient j is the blossom of the polynomial between two neighboring knots in the
    support of the new function j, at the knots j+1 to j+k (de Boor 1978, ch. XI; Ramshaw 1989).
    """
    size = new.shape[1] - k - 1
    j = torch.arange(size, device=new.device)
    cell = (j + k // 2).clamp(k, size - 1)  # an interval of the grid in the support of function j
    middle = (new[:, cell] + new[:, cell + 1]) / 2  # (inputs, new)
    r = torch.searchsorted(old, middle.contiguous(), right=True) - 1
    u = new[:, j.unsqueeze(-1) + torch.arange(1, k + 1, device=new.device)]  # (inputs, new, k)

    # rows: the local coefficients r-k ... r, as combinations of themselves to begin with
    eye = torch.eye(k + 1, dtype=new.dtype, device=new.device)
    c = eye.expand(*r.shape, k + 1, k + 1)
    for s in range(1, k + 1):
        i = r.unsqueeze(-1) + torch.arange(s - k, 1, device=new.device)  # (inputs, new, k+1-s)
        t_low = old.unsqueeze(1).expand(-1, size, -1).gather(-1, i)
        t_high = old.unsqueeze(1).expand(-1, size, -1).gather(-1, i + k + 1 - s)
        share = ((u[..., s - 1 : s] - t_low) / (t_high - t_low)).unsqueeze(-1)
        c = (1 - share) * c[..., :-1, :] + share * c[..., 1:, :]
    index = (r - k).unsqueeze(-1) + torch.arange(k + 1, device=new.device)  # (inputs, new, k+1)
    matrix = new.new_zeros(*r.shape, old.shape[1] - k - 1)
    return matrix.scatter(-1, index, c.squeeze(-2))
