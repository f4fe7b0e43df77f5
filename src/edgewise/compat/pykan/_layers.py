"""pykan's two kinds of layers: splines with a base function, and functions with four constants."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from edgewise._errors import ConfigError, DataError, ShapeError
from edgewise._kernels import spline_edges, spline_layer
from edgewise._kernels._splines import dense_splines, local_splines
from edgewise.compat.pykan._spline import extend_grid
from edgewise.compat.pykan._utils import fit_params, sparse_mask
from edgewise.compat.pykan._words import SYMBOLIC_LIB

_STAY = 1e-3
"""The distance, in cells, below which a grid does not move."""


def zero(x: Tensor) -> Tensor:
    """Give 0 for each element: pykan's base function "zero"."""
    return x * 0.0


BASES: dict[str, Callable[[Tensor], Tensor]] = {
    "silu": nn.functional.silu,
    "identity": nn.Identity(),
    "zero": zero,
}
"""pykan's base functions by name."""


def base_of(base_fun: Any) -> Callable[[Tensor], Tensor]:
    """Look a base function up, or take the caller's."""
    known: dict[Any, Any] = dict(BASES)
    if not callable(base_fun) and base_fun not in known:
        raise ConfigError(
            f"base_fun is one of {', '.join(map(repr, BASES))} or an elementwise torch function, "
            f"got {base_fun!r}."
        )
    return known.get(base_fun, base_fun)


class KANLayer(nn.Module):
    r"""A layer of edges :math:`m\,(w_b\,b(x) + w_s\,\mathrm{spline}(x))`, with pykan's names.

    Splines go on linearly outside their grid; pykan's fall to zero there.

    Args:
        in_dim: The number of inputs.
        out_dim: The number of outputs.
        num: The number of intervals of the grid.
        k: The degree of the splines, 1 to 9.
        noise_scale: The size of the first splines: values at the knots are drawn uniformly from an
            interval of the length `noise_scale / num` around 0.
        scale_base_mu: The middle of the base function's first weights, times `sqrt(in_dim)`.
        scale_base_sigma: Half the width of the interval they are drawn from, times `sqrt(in_dim)`.
        scale_sp: The splines' first weight, times `sqrt(in_dim)`.
        base_fun: The base function: an elementwise torch function or pykan's name of one.
        grid_eps: 0 lays knots at the quantiles of samples, 1 evenly; between them it interpolates.
        grid_range: Where the grid lies to begin with.
        sp_trainable: Whether the splines' weights are trained.
        sb_trainable: Whether the base function's weights are trained.
        save_plot_data: Has no effect, as in pykan.
        device: Where the parameters live.
        sparse_init: Connect only the nearest nodes, see `sparse_mask`.
        generator: What random numbers are drawn from; torch's global generator if not given.

    Attributes:
        grid: Knots (inputs, num + 2 k + 1).
        coef: Coefficients (inputs, outputs, num + k).
        mask: The factor m (inputs, outputs).
        scale_base: The weights of the base function (inputs, outputs).
        scale_sp: The weights of the splines (inputs, outputs).
        smooth: Whether second derivatives fade over half a cell outside the grid instead of ending
            with it; `batch_hessian` asks for that.

    Raises:
        ConfigError: If a size, the grid or the degree makes no layer.

    Example:
        >>> from edgewise.compat.pykan import KANLayer
        >>> y, preacts, postacts, postspline = KANLayer(3, 5)(torch.randn(100, 3))
        >>> y.shape, postacts.shape
        (torch.Size([100, 5]), torch.Size([100, 5, 3]))
    """

    def __init__(
        self,
        in_dim: int = 3,
        out_dim: int = 2,
        num: int = 5,
        k: int = 3,
        noise_scale: float = 0.5,
        scale_base_mu: float = 0.0,
        scale_base_sigma: float = 1.0,
        scale_sp: float = 1.0,
        base_fun: Any = "silu",
        grid_eps: float = 0.02,
        grid_range: Sequence[float] = (-1, 1),
        sp_trainable: bool = True,
        sb_trainable: bool = True,
        save_plot_data: bool = True,
        device: torch.device | str = "cpu",
        sparse_init: bool = False,
        *,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        if in_dim < 1 or out_dim < 1 or num < 1:
            raise ConfigError(
                "A layer has at least one input, output and interval, got "
                f"in_dim={in_dim}, out_dim={out_dim}, num={num}."
            )
        if not 1 <= k <= 9:
            raise ConfigError(f"k, the degree of the splines, is from 1 to 9, got {k}.")
        low, high = (float(end) for end in grid_range)
        if not low < high:
            raise ConfigError(f"grid_range is [low, high] with low < high, got {grid_range}.")
        self.in_dim, self.out_dim, self.num, self.k = in_dim, out_dim, num, k
        self.base_fun = base_of(base_fun)
        self.grid_eps, self.smooth = grid_eps, False
        even = torch.linspace(low, high, num + 1).expand(in_dim, num + 1)
        self.grid = nn.Parameter(extend_grid(even, k).contiguous(), requires_grad=False)
        draw = torch.rand(num + 1, in_dim, out_dim, generator=generator)
        noise = (draw - 0.5) * noise_scale / num
        at = self.grid[:, k : k + num + 1].T  # (knots, inputs)
        self.coef = nn.Parameter(project(at, noise, self.grid.data, k))
        mask = sparse_mask(in_dim, out_dim) if sparse_init else torch.ones(in_dim, out_dim)
        self.mask = nn.Parameter(mask.to(self.coef.dtype), requires_grad=False)
        share = 1 / math.sqrt(in_dim)
        draw = torch.rand(in_dim, out_dim, generator=generator) * 2 - 1
        base = (scale_base_mu + scale_base_sigma * draw) * share
        self.scale_base = nn.Parameter(base, requires_grad=sb_trainable)
        spline = torch.full((in_dim, out_dim), scale_sp * share) * self.mask.data
        self.scale_sp = nn.Parameter(spline, requires_grad=sp_trainable)
        self.to(device)

    def to(self, *args: Any, **kwargs: Any) -> KANLayer:
        """Move the layer, or convert it."""
        return super().to(*args, **kwargs)

    @property
    def device(self) -> torch.device:
        """Where the parameters live."""
        return self.coef.device

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Evaluate the layer at x (batch, inputs).

        Returns:
            The sums (batch, outputs), and for each edge (batch, outputs, inputs) what comes in,
            what goes out, and the spline alone.
        """
        self._check(x)
        basis = self.dense(x)[0]
        postspline = torch.einsum("bik,iok->boi", basis, self.coef)
        base = self.base_fun(x).unsqueeze(1)  # (batch, 1, inputs)
        postacts = self.mask.T * (self.scale_base.T * base + self.scale_sp.T * postspline)
        preacts = x.unsqueeze(1).expand(-1, self.out_dim, -1)
        return postacts.sum(-1), preacts, postacts, postspline

    def sums(self, x: Tensor) -> Tensor:
        """Evaluate the sums alone (batch, outputs), by the fused kernel."""
        self._check(x)
        coef = ((self.mask * self.scale_sp).unsqueeze(-1) * self.coef).transpose(0, 1)
        weights = (self.mask * self.scale_base).T
        if self.base_fun is nn.functional.silu:
            return spline_layer(x, coef, self.grid, self.k, weights, smooth=self.smooth)
        y = spline_layer(x, coef, self.grid, self.k, smooth=self.smooth)
        return y if self.base_fun is zero else y + nn.functional.linear(self.base_fun(x), weights)

    def dense(self, x: Tensor, order: int = 0) -> list[Tensor]:
        """Evaluate all splines at x, and their derivatives up to `order` (batch, inputs, basis)."""
        return dense_splines(x, self.grid, self.k, order, smooth=self.smooth)

    def local(self, x: Tensor, order: int = 0) -> tuple[Tensor, Tensor]:
        """Evaluate those that are not zero, as `local_splines` does."""
        return local_splines(x, self.grid, self.k, order, smooth=self.smooth)

    def edges(self, x: Tensor, coef: Tensor, order: int) -> Tensor:
        """Evaluate splines with these coefficients (inputs, outputs, basis), and derivatives.

        Returns:
            (derivatives, batch, outputs, inputs).
        """
        return spline_edges(x, coef.transpose(0, 1), self.grid, self.k, order, smooth=self.smooth)

    @torch.no_grad()
    def update_grid_from_samples(self, x: Tensor, mode: str = "sample") -> None:
        """Lay the grid over samples x (batch, inputs); the splines are fitted to the old ones.

        The fit is on the samples, and with less weight between the knots, so that no cell is
        without values. With `mode="grid"` it is between the knots alone. A grid that is off by less
        than a thousandth of a cell stays: to move it would bring rounding and nothing else.
        """
        self._check(x)
        if mode not in ("sample", "grid"):
            raise ConfigError(f"mode is 'sample' or 'grid', got {mode!r}.")
        wanted = self.knots_for(x)
        if self.distance(wanted) > _STAY:
            self._relay(extend_grid(wanted, self.k), x if mode == "sample" else None)

    def distance(self, wanted: Tensor) -> float:
        """How far the grid is from another one (inputs, num + 1), in cells of mean width."""
        reach = wanted[:, -1] - wanted[:, 0]
        off = (self.grid[:, self.k : -self.k] - wanted).abs().amax(1)
        return float((off / reach).amax()) * self.num

    def knots_for(self, x: Tensor, num: int | None = None) -> Tensor:
        """Give the grid (inputs, num + 1) that samples x call for, between quantiles and even."""
        num = self.num if num is None else num
        if not bool(x.isfinite().all()):
            raise DataError("A grid is laid over finite values, got NaN or infinite ones.")
        low, high = x.amin(0), x.amax(0)
        size = torch.maximum(low.abs(), high.abs()).clamp_min(1e-6)
        narrow = high - low < 1e-6 * size  # one value: a cell around it
        low, high = torch.where(narrow, low - size, low), torch.where(narrow, high + size, high)
        share = torch.linspace(0, 1, num + 1, dtype=x.dtype, device=x.device)
        even = low.unsqueeze(1) + share * (high - low).unsqueeze(1)
        if self.grid_eps >= 1:
            return even
        ordered = x.sort(dim=0).values
        index = (share * (len(x) - 1)).round().long()
        quantiles = torch.where(narrow.unsqueeze(1), even, ordered[index].T)
        # cells that ties would close stay open
        eps = max(float(self.grid_eps), 1e-3)
        grid = eps * even + (1 - eps) * quantiles
        grid[:, 0], grid[:, -1] = low, high
        return grid

    @torch.no_grad()
    def initialize_grid_from_parent(
        self, parent: KANLayer, x: Tensor, mode: str = "sample"
    ) -> None:
        """Take the parent's grid, with this layer's number of intervals, and its functions."""
        self._check(x)
        self._relay(
            extend_grid(along(parent.grid[:, parent.k : -parent.k], self.num), self.k),
            x if mode == "sample" else None,
            parent,
        )

    def _relay(self, grid: Tensor, x: Tensor | None, old: KANLayer | None = None) -> None:
        """Bring the old splines onto new knots."""
        old = self if old is None else old
        inner = grid[:, self.k : -self.k]
        share = torch.linspace(0, 1, self.k + 3, dtype=grid.dtype, device=grid.device)[1:-1]
        cells = inner[:, :-1, None] + share * inner.diff(dim=1)[..., None]
        ends = inner[:, [0, -1]]
        at = torch.cat([cells.flatten(1), ends], 1).T  # (points, inputs)
        weight = torch.ones_like(at)
        if x is not None:
            weight *= 1e-2
            at, weight = torch.cat([x, at]), torch.cat([torch.ones_like(x), weight])
        y = torch.einsum("bik,iok->bio", old.dense(at)[0], old.coef)
        self.coef.data = project(at, y, grid, self.k, weight)
        self.grid.data = grid.contiguous()

    def get_subset(self, in_id: Sequence[int] | Tensor, out_id: Sequence[int] | Tensor) -> KANLayer:
        """Make a layer of some inputs and outputs; everything else stays as it is."""
        import copy

        i, o = indices(in_id, self.in_dim), indices(out_id, self.out_dim)
        part = copy.deepcopy(self)
        part.in_dim, part.out_dim = len(i), len(o)
        part.grid.data = self.grid.data[i].clone()
        for name in ("coef", "scale_base", "scale_sp", "mask"):
            getattr(part, name).data = getattr(self, name).data[i][:, o].clone()
        return part

    @torch.no_grad()
    def swap(self, i1: int, i2: int, mode: str = "in") -> None:
        """Exchange two inputs, or with `mode="out"` two outputs, in place."""
        check_mode(mode)
        order = exchanged(self.in_dim if mode == "in" else self.out_dim, i1, i2)
        if mode == "in":
            self.grid.data = self.grid.data[order]
        for name in ("coef", "scale_base", "scale_sp", "mask"):
            data = getattr(self, name).data
            getattr(self, name).data = data[order] if mode == "in" else data[:, order]

    def _check(self, x: Tensor) -> None:
        if x.ndim != 2 or x.shape[1] != self.in_dim:
            raise ShapeError(
                f"This layer takes inputs of shape (batch, {self.in_dim}), got {tuple(x.shape)}."
            )


class Symbolic_KANLayer(nn.Module):  # noqa: N801 (pykan's name)
    r"""A layer of edges :math:`m\,(c f(a x + b) + d)`, with pykan's names.

    Args:
        in_dim: The number of inputs.
        out_dim: The number of outputs.
        device: Where the parameters live.

    Attributes:
        mask: The factor m (outputs, inputs); 0 to begin with.
        affine: a, b, c, d of each edge (outputs, inputs, 4).
        funs: The torch functions, by output and input.
        funs_avoid_singularity: Twins of (x, y_th) that stay finite; the value is their last item.
        funs_name: Their names, "0" for none.
        funs_sympy: Their SymPy forms.

    Example:
        >>> from edgewise.compat.pykan import Symbolic_KANLayer
        >>> layer = Symbolic_KANLayer(in_dim=2, out_dim=1)
        >>> layer.fix_symbolic(1, 0, "sin")
        >>> layer.mask[0, 1] = 1.0
        >>> y, postacts = layer(torch.ones(3, 2))
        >>> torch.allclose(y, torch.sin(torch.ones(3, 1)))
        True
    """

    def __init__(
        self, in_dim: int = 3, out_dim: int = 2, device: torch.device | str = "cpu"
    ) -> None:
        super().__init__()
        self.in_dim, self.out_dim = in_dim, out_dim
        self.mask = nn.Parameter(torch.zeros(out_dim, in_dim), requires_grad=False)
        self.affine = nn.Parameter(torch.zeros(out_dim, in_dim, 4))
        nothing = SYMBOLIC_LIB["0"]
        self.funs: list[list[Any]] = self._table(nothing[0])
        self.funs_avoid_singularity: list[list[Any]] = self._table(nothing[3])
        self.funs_name: list[list[str]] = self._table("0")
        self.funs_sympy: list[list[Any]] = self._table(nothing[1])
        self.to(device)

    def to(self, *args: Any, **kwargs: Any) -> Symbolic_KANLayer:
        """Move the layer, or convert it."""
        return super().to(*args, **kwargs)

    @property
    def device(self) -> torch.device:
        """Where the parameters live."""
        return self.affine.device

    def active(self) -> list[tuple[int, int]]:
        """List the edges (output, input) whose mask is not 0."""
        return [(int(j), int(i)) for j, i in (self.mask != 0).nonzero().tolist()]

    def function(
        self, j: int, i: int, singularity_avoiding: bool = False, y_th: float = 10.0
    ) -> Callable[[Tensor], Tensor]:
        """Give the torch function of an edge, or its twin that stays finite."""
        if not singularity_avoiding:
            return self.funs[j][i]
        guarded = self.funs_avoid_singularity[j][i]
        return lambda u: guarded(u, torch.as_tensor(y_th, dtype=u.dtype, device=u.device))[1]

    def forward(
        self, x: Tensor, singularity_avoiding: bool = False, y_th: float = 10.0
    ) -> tuple[Tensor, Tensor]:
        """Evaluate the layer at x (batch, inputs).

        Returns:
            The sums (batch, outputs) and each edge's values (batch, outputs, inputs).
        """
        places = self.active()
        if not places:  # zeros that take no memory
            nothing = x.new_zeros(())
            return (
                nothing.expand(len(x), self.out_dim),
                nothing.expand(len(x), self.out_dim, self.in_dim),
            )
        columns = []
        for j, i in places:
            a, b, c, d = self.affine[j, i].unbind()
            f = self.function(j, i, singularity_avoiding, y_th)
            columns.append(self.mask[j, i] * (c * f(a * x[:, i] + b) + d))
        rows, cols = (torch.tensor(part, device=x.device) for part in zip(*places, strict=True))
        every = torch.arange(len(x), device=x.device).unsqueeze(1)
        postacts = x.new_zeros(len(x), self.out_dim, self.in_dim)
        postacts = postacts.index_put((every, rows, cols), torch.stack(columns, 1))
        return postacts.sum(-1), postacts

    def set_function(self, i: int, j: int, fun: Any) -> None:
        """Let an edge have a function, by its name or the caller's own; constants stay."""
        if isinstance(fun, str):
            if fun not in SYMBOLIC_LIB:
                raise ConfigError(
                    f"There is no function {fun!r} in the library. Known are: "
                    f"{', '.join(SYMBOLIC_LIB)}. Add your own with add_symbolic(name, function)."
                )
            name, (torch_fun, sympy_fun, _, guarded) = fun, SYMBOLIC_LIB[fun]
        else:
            if not callable(fun):
                raise ConfigError(f"A function is a name or a callable, got {fun!r}.")
            name, torch_fun, sympy_fun = "anonymous", fun, as_sympy(fun)
            guarded = Finite(fun)
        self.funs[j][i], self.funs_sympy[j][i] = torch_fun, sympy_fun
        self.funs_avoid_singularity[j][i], self.funs_name[j][i] = guarded, name

    @torch.no_grad()
    def fix_symbolic(
        self,
        i: int,
        j: int,
        fun_name: Any,
        x: Tensor | None = None,
        y: Tensor | None = None,
        random: bool = False,
        a_range: tuple[float, float] = (-10, 10),
        b_range: tuple[float, float] = (-10, 10),
        verbose: bool = True,
    ) -> Tensor | None:
        """Let the edge from input i to output j be a function with four constants.

        With x and y (points,), the constants are fitted to them; otherwise they are 1, 0, 1, 0, or
        with `random` drawn from [-1, 1]. (pykan fits no function of the caller's own; here it is
        fitted as any other.)

        Returns:
            The coefficient of determination of the fit; None if nothing was fitted.
        """
        self.set_function(i, j, fun_name)
        if x is None or y is None:
            constants = self.affine.new_tensor([1.0, 0.0, 1.0, 0.0])
            self.affine.data[j, i] = torch.rand_like(constants) * 2 - 1 if random else constants
            return None
        if self.funs_name[j][i] == "0":
            constants, r2 = (
                self.affine.new_tensor([0.0, 0.0, 0.0, float(y.mean())]),
                y.new_zeros(()),
            )
        else:
            constants, r2 = fit_params(
                x, y, self.funs[j][i], a_range=a_range, b_range=b_range, verbose=verbose
            )
        self.affine.data[j, i] = constants.to(self.affine)
        return r2

    def get_subset(
        self, in_id: Sequence[int] | Tensor, out_id: Sequence[int] | Tensor
    ) -> Symbolic_KANLayer:
        """Make a layer of some inputs and outputs."""
        i, o = indices(in_id, self.in_dim), indices(out_id, self.out_dim)
        part = Symbolic_KANLayer(len(i), len(o))
        part.mask.data = self.mask.data[o][:, i].clone()
        part.affine.data = self.affine.data[o][:, i].clone()
        for name in ("funs", "funs_avoid_singularity", "funs_name", "funs_sympy"):
            table = getattr(self, name)
            setattr(part, name, [[table[b][a] for a in i.tolist()] for b in o.tolist()])
        return part

    @torch.no_grad()
    def swap(self, i1: int, i2: int, mode: str = "in") -> None:
        """Exchange two inputs, or with `mode="out"` two outputs, in place."""
        check_mode(mode)
        order = exchanged(self.in_dim if mode == "in" else self.out_dim, i1, i2)
        for name in ("mask", "affine"):
            data = getattr(self, name).data
            getattr(self, name).data = data[:, order] if mode == "in" else data[order]
        for name in ("funs", "funs_avoid_singularity", "funs_name", "funs_sympy"):
            table = getattr(self, name)
            if mode == "in":
                table = [[row[i] for i in order.tolist()] for row in table]
            else:
                table = [table[o] for o in order.tolist()]
            setattr(self, name, table)

    def _table(self, item: Any) -> list[list[Any]]:
        return [[item for _ in range(self.in_dim)] for _ in range(self.out_dim)]


class Finite:
    """pykan's form (x, y_th) -> (..., value) of a function that needs no protection."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function

    def __call__(self, x: Tensor, y_th: Any) -> tuple[tuple[()], Tensor]:
        """Evaluate the function; y_th has no effect."""
        return (), self.function(x)


def as_sympy(fun: Any) -> Any:
    """Give the SymPy form of a torch function: one of the library's, or a named unknown."""
    import sympy

    for torch_fun, sympy_fun, *_ in SYMBOLIC_LIB.values():
        if torch_fun is fun:
            return sympy_fun
    name = getattr(fun, "__name__", "")
    known = getattr(sympy, {"special_bessel_j0": "j0"}.get(name, name), None)
    if name.isidentifier() and isinstance(known, type) and issubclass(known, sympy.Function):
        return known
    try:  # a lambda of plain arithmetic takes symbols as well
        symbol = sympy.Symbol("u")
        if isinstance(fun(symbol), sympy.Expr):
            return fun
    except Exception:
        pass
    return sympy.Function(name if name.isidentifier() else "f")


def project(at: Tensor, y: Tensor, grid: Tensor, k: int, weight: Tensor | None = None) -> Tensor:
    """Fit splines to values y (points, inputs, outputs) at points (points, inputs).

    One matrix for each input serves all outputs. Where points leave splines open, they are as small
    as they can be.

    Returns:
        Coefficients (inputs, outputs, basis).
    """
    kind = y.dtype
    at, y, grid = at.double(), y.double(), grid.double()
    matrix = dense_splines(at, grid, k)[0].transpose(0, 1)  # (inputs, points, basis)
    target = y.transpose(0, 1)  # (inputs, points, outputs)
    if weight is not None:
        root = weight.double().T.unsqueeze(-1)
        matrix, target = root * matrix, root * target
    n = matrix.shape[-1]
    if matrix.shape[1] < n:  # fewer points than functions
        coef = torch.linalg.pinv(matrix, rtol=1e-12) @ target
    else:
        ridge = 1e-10 * matrix.square().sum(1).mean(-1).sqrt()  # (inputs,)
        eye = torch.eye(n, dtype=at.dtype, device=at.device) * ridge[:, None, None]
        zeros = target.new_zeros(len(target), n, target.shape[2])
        coef = torch.linalg.lstsq(
            torch.cat([matrix, eye], 1), torch.cat([target, zeros], 1), driver="gels"
        ).solution
    return coef.transpose(1, 2).contiguous().to(kind)


def along(inner: Tensor, num: int) -> Tensor:
    """Lay `num` intervals along a grid (inputs, knots): each old cell is split evenly."""
    at = torch.linspace(0, inner.shape[1] - 1, num + 1, dtype=inner.dtype, device=inner.device)
    left = at.floor().long().clamp(max=inner.shape[1] - 2)
    share = at - left
    return inner[:, left] * (1 - share) + inner[:, left + 1] * share


def symbolic_mask(layer: Symbolic_KANLayer) -> Tensor:
    """Which edges (outputs, inputs) have a function other than zero."""
    there = layer.mask != 0
    for j, i in layer.active():
        if layer.funs_name[j][i] == "0":
            there[j, i] = False
    return there


def indices(chosen: Any, count: int) -> Tensor:
    """Read a list or tensor of positions."""
    index = torch.as_tensor(chosen, dtype=torch.long).reshape(-1)
    if bool(((index < 0) | (index >= count)).any()):
        raise ConfigError(f"Positions are from 0 to {count - 1}, got {index.tolist()}.")
    return index


def exchanged(count: int, i1: int, i2: int) -> Tensor:
    """Give the order of things in which two have changed places."""
    if not (0 <= i1 < count and 0 <= i2 < count):
        raise ConfigError(f"Positions are from 0 to {count - 1}, got {i1} and {i2}.")
    order = torch.arange(count)
    order[i1], order[i2] = int(i2), int(i1)
    return order


def check_mode(mode: str) -> None:
    """Refuse all but the two sides of a layer."""
    if mode not in ("in", "out"):
        raise ConfigError(f"mode is 'in' or 'out', got {mode!r}.")
