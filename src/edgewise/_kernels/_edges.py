"""Every edge of a layer for itself, with derivatives."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from edgewise._kernels._backend import CORE, is_native, operator, plain, threads
from edgewise._kernels._splines import HIGHEST, dense_splines


def spline_edges(
    x: Float[Tensor, "batch inputs"],
    coef: Float[Tensor, "outputs inputs basis"],
    knots: Float[Tensor, "inputs knots"],
    degree: int,
    order: int = 0,
    smooth: bool = False,
) -> Float[Tensor, "derivatives batch outputs inputs"]:
    r"""Evaluate each edge :math:`\phi_{oi}(x_i)` and its derivatives up to `order`.

    How splines leave their grid is said in `local_splines`. The core serves where no gradient is
    asked for, up to the order 4.
    """
    if not torch.is_grad_enabled() and order <= HIGHEST and is_native(x):
        return _spline_edges(x, coef, knots, degree, order, smooth)
    return spline_edges_twin(x, coef, knots, degree, order, smooth)


def spline_edges_twin(
    x: Tensor, coef: Tensor, knots: Tensor, degree: int, order: int = 0, smooth: bool = False
) -> Tensor:
    """Do what `spline_edges` does in plain torch, on any device."""
    bases = dense_splines(x, knots, degree, order, smooth)
    return torch.stack([torch.einsum("bik,oik->boi", basis, coef) for basis in bases])


def _fake(
    x: Tensor, coef: Tensor, knots: Tensor, degree: int, order: int, smooth: bool = False
) -> Tensor:
    return x.new_empty((order + 1, x.shape[0], *coef.shape[:2]))


@operator(
    "spline_edges(Tensor x, Tensor coef, Tensor knots, int degree, int order,"
    " bool smooth=False) -> Tensor",
    fake=_fake,
)
def _spline_edges(
    x: Tensor, coef: Tensor, knots: Tensor, degree: int, order: int, smooth: bool = False
) -> Tensor:
    result = _fake(x, coef, knots, degree, order)
    team = threads(result.numel() * (degree + 1))
    CORE.edges(  # type: ignore[union-attr]
        *plain(x, coef, knots), degree, order, smooth, result.numpy(), team
    )
    return result
