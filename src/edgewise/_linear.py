"""The layer for engineers: as easy as `nn.Linear`, and nearly as fast."""

from __future__ import annotations

import math
from numbers import Integral

import torch
from jaxtyping import Float
from torch import Tensor, nn

from edgewise._arrays import check_tensor
from edgewise._errors import ConfigError, DataError, ShapeError
from edgewise._kernels import spline_layer
from edgewise.bases import BSpline


class KANLinear(nn.Module):
    r"""A Kolmogorov–Arnold layer to take the place of `nn.Linear` and its activation.

    .. math:: y_o = \sum_i \Bigl( w_{oi}\,\mathrm{silu}(x_i) + \sum_k c_{oik} B_k(x_i) \Bigr)

    (arXiv 2404.19756, eq. 2.10, with both scales inside the coefficients). A sample touches
    degree + 1 of an edge's coefficients, so the time for a batch hardly depends on the grid.
    Outside its domain every spline goes on linearly.

    For formulas, pruning and fits to machine precision there is `KAN`.

    Args:
        in_features: The size of each input sample.
        out_features: The size of each output sample.
        grid: The number of spline intervals (efficient-kan's `grid_size`).
        degree: The degree of the splines, 1 to 9 (efficient-kan's `spline_order`).
        domain: The lower and upper end of the grid, for all inputs or as a tensor (inputs, 2).
        device: Where the parameters live.
        dtype: `torch.float32` or `torch.float64`; torch's default dtype if not given.

    Attributes:
        base_weight: The weights of the base function, (outputs, inputs).
        coef: The coefficients of the splines, (outputs, inputs, grid + degree). Both lie in memory
            with the outputs next to each other, which is what the compiled kernel reads: coef as
            (inputs, basis, outputs).

    Raises:
        ConfigError: If a size, the grid, the degree or the domain makes no layer.

    Example:
        >>> layer = ew.KANLinear(64, 10)
        >>> layer(torch.randn(32, 64)).shape
        torch.Size([32, 10])
        >>> network = torch.nn.Sequential(ew.KANLinear(784, 64), ew.KANLinear(64, 10))
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        grid: int = 5,
        degree: int = 3,
        *,
        domain: tuple[float, float] | Float[Tensor, "inputs 2"] = (-1.0, 1.0),
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        for name, size in (("in_features", in_features), ("out_features", out_features)):
            if not isinstance(size, Integral) or size < 1:
                raise ConfigError(f"{name} must be a whole number from 1 on, got {size}.")
        super().__init__()
        self.in_features, self.out_features = int(in_features), int(out_features)
        self.basis = BSpline(
            self.in_features, grid=grid, degree=degree, domain=domain, dtype=dtype, device=device
        )
        like = self.basis.knots
        coef = like.new_empty((self.in_features, self.basis.size, self.out_features))
        self.coef = nn.Parameter(coef.permute(2, 0, 1))
        base_weight = like.new_empty((self.in_features, self.out_features))
        self.base_weight = nn.Parameter(base_weight.T)
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Draw weights as `nn.Linear` does, and splines a tenth of their size."""
        nn.init.kaiming_uniform_(self.base_weight, a=math.sqrt(5))
        nn.init.normal_(self.coef, std=0.1 / math.sqrt(3 * self.in_features))

    def forward(self, x: Float[Tensor, "*batch inputs"]) -> Float[Tensor, "*batch outputs"]:
        """Evaluate the layer.

        Raises:
            ShapeError: If the last dimension of x is not `in_features`.
            DataError: If x is no tensor, or has another dtype than the parameters.
        """
        check_tensor(x, "This layer", self.coef)
        if x.ndim == 0 or x.shape[-1] != self.in_features:
            raise ShapeError(
                f"This layer takes inputs of shape (..., {self.in_features}), got {tuple(x.shape)}."
            )
        if x.dtype != self.coef.dtype and _autocasts(x.device.type):
            x = x.to(self.coef.dtype)
        if x.dtype != self.coef.dtype:
            raise DataError(
                f"This layer computes in {self.coef.dtype}, got inputs in {x.dtype}. "
                "Convert one of them: x.to(layer.coef.dtype), or layer.to(x.dtype)."
            )
        flat = x.reshape(-1, self.in_features)
        y = spline_layer(
            flat, self.coef, self.basis.knots, self.basis.degree, base=self.base_weight
        )
        return y.reshape(*x.shape[:-1], self.out_features)

    def extra_repr(self) -> str:
        """Show the sizes."""
        return (
            f"{self.in_features}, {self.out_features}, "
            f"grid={self.basis.grid}, degree={self.basis.degree}"
        )


def _autocasts(device: str) -> bool:
    return torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device)
