r"""The bounds that an edge may have, as cones of coefficients.

The derivative of a spline is one of a degree less, with the slopes
:math:`(c_j - c_{j-1}) / (\xi_j - \xi_{j-1})` as coefficients, :math:`\xi` being the Greville points
(de Boor 1978, ch. X). B-splines are not negative, so a spline increases where its slopes are not
negative, and is convex where they do not fall; both hold for its linear continuation as well. The
coefficients are those on knots that do not reach beyond the grid: with knots outside, slopes belong
to places outside as well, where nothing is asked. A spline repeats where its knots do and the last
`degree` coefficients are the first.

In all cases :math:`c = T u`, where some u may take any value and the others none below zero.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NamedTuple, TypeAlias, get_args

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from edgewise._errors import ConfigError
from edgewise.bases import BSpline

Kind: TypeAlias = Literal["increasing", "decreasing", "convex", "concave", "periodic"]
KINDS: tuple[Kind, ...] = get_args(Kind)

_MIRROR: dict[Kind, Kind] = {
    "increasing": "decreasing",
    "decreasing": "increasing",
    "convex": "concave",
    "concave": "convex",
    "periodic": "periodic",
}
_CLASHES: tuple[tuple[set[Kind], str], ...] = (
    ({"increasing", "decreasing"}, "a constant"),
    ({"convex", "concave"}, "a line"),
    *(({"periodic", kind}, "a constant") for kind in KINDS if kind != "periodic"),
)
_ROUNDING = 1e-11
"""Coefficients that miss a bound by less than this share of the largest miss it by rounding."""


def check_kinds(kinds: Iterable[Kind]) -> frozenset[Kind]:
    """Check that kinds of bounds are known and leave more than a line."""
    kinds = frozenset(kinds)
    odd = sorted(kinds - set(KINDS))
    if odd or not kinds:
        names = ", ".join(repr(kind) for kind in KINDS)
        raise ConfigError(f"There is no bound {odd[0] if odd else ''!r}. Known are {names}.")
    for pair, left in _CLASHES:
        if pair <= kinds:
            first, second = sorted(pair)
            raise ConfigError(
                f"An edge that is {first} and {second} is {left}: leave one of the bounds away "
                "(`unbound` takes those off that it has)."
            )
    return kinds


def mirrored(kinds: frozenset[Kind]) -> frozenset[Kind]:
    """Give the bounds of an edge that was multiplied with a negative number."""
    return frozenset(_MIRROR[kind] for kind in kinds)


class Cone(NamedTuple):
    """The coefficients within bounds: c = T u, with u = A c, and u >= 0 where `bounded`."""

    T: Float[Tensor, "basis free"]
    A: Float[Tensor, "free basis"]
    bounded: Bool[Tensor, " free"]

    def tidy(self, coef: Float[Tensor, "*edges basis"]) -> Float[Tensor, "*edges basis"]:
        """Remove what rounding has left of a miss."""
        u = coef @ self.A.T
        if len(self.A) < len(self.T):
            return u @ self.T.T
        return coef - torch.where(self.bounded, u.clamp_max(0), 0.0) @ self.T.T

    def nearest(
        self, coef: Float[Tensor, " basis"], form: Float[Tensor, "basis basis"]
    ) -> Float[Tensor, " basis"]:
        """Give the coefficients in the cone whose difference d has the least d·form·d."""
        u = self.A @ coef
        miss = self.T @ u - coef
        tolerance = _ROUNDING * float(coef.abs().max())
        if float(miss.abs().max()) <= tolerance and bool((u >= -tolerance)[self.bounded].all()):
            return self.tidy(coef)
        floor = torch.where(self.bounded, -u, -torch.inf)
        step = minimize(self.T.T @ form @ self.T, self.T.T @ (form @ miss), floor)
        assert step is not None, "the functions of a basis are independent"
        return self.tidy(coef + miss + self.T @ step)


def cone(basis: BSpline, source: int, kinds: frozenset[Kind]) -> Cone:
    """Give the cone of an edge that leaves this input and has these bounds."""
    own = basis.select(torch.tensor([source], device=basis.knots.device)).to(torch.float64)
    eye = torch.eye(own.size, dtype=torch.float64, device=own.knots.device)
    bounded = torch.ones(own.size, dtype=torch.bool, device=own.knots.device)
    if "periodic" in kinds:
        few = eye[: own.grid]
        T = few[:, : own.grid].repeat(-(-own.size // own.grid), 1)[: own.size]
        return Cone(T, few, ~bounded[: own.grid])
    bounded[0] = False
    trend = ("increasing" in kinds) - ("decreasing" in kinds)
    bend = ("convex" in kinds) - ("concave" in kinds)
    (there,), (back,), (greville,) = own.clamped()
    one, later = eye.cumsum(0)[:, :1], eye.cumsum(0)[:, 1:]
    if not bend:
        A = torch.cat([eye[:1], trend * eye.diff(dim=0)])
        T = torch.cat([one, trend * later], 1)
        return Cone(back @ T, A @ there, bounded)
    # in units of the mean step, so that all u are of the size of the coefficients
    steps = greville.diff() / greville.diff().mean()
    slopes = eye.diff(dim=0) / steps.unsqueeze(-1)  # (slopes, basis)
    sums = torch.ones(own.size - 1, own.size - 1, dtype=eye.dtype, device=eye.device)
    if trend * bend >= 0:  # bend * slopes rise from the first, which a trend keeps from below
        first, sums = bend * slopes[:1], sums.tril()
    else:  # they rise to the last, which the trend keeps from above
        first, sums = -bend * slopes[-1:], -torch.cat([sums[:, :1], sums[:, 1:].triu()], 1)
    bounded[1] = trend != 0
    A = torch.cat([eye[:1], first, bend * slopes.diff(dim=0)])
    T = torch.cat([one, bend * (later * steps) @ sums], 1)
    return Cone(back @ T, A @ there, bounded)


def minimize(
    M: Float[Tensor, "size size"], g: Float[Tensor, " size"], floor: Float[Tensor, " size"]
) -> Float[Tensor, " size"] | None:
    """Find the least g·s + s·M·s / 2 with s >= floor, for a positive definite M.

    Block principal pivoting: all variables that break a condition of optimality change sides at
    once, or only the last of them where that has not helped for some time, which ends after a
    finite number of steps (Júdice and Pires 1994).

    Args:
        M: The matrix.
        g: The slope at zero.
        floor: The least values; -inf where there is none.

    Returns:
        The minimum, or None where M is not positive definite.
    """
    scale = M.diagonal().rsqrt()
    if not bool(scale.isfinite().all()):
        return None
    M, g, floor = M * scale * scale.unsqueeze(-1), g * scale, floor / scale
    held = (floor >= 0) & (g > 0)
    fewest, patience = len(g) + 1, 10
    s = torch.zeros_like(g)
    for _ in range(50 + 3 * int(floor.isfinite().sum())):
        free = (~held).nonzero().squeeze(-1)
        s = torch.where(held, floor, 0.0)
        L, failed = torch.linalg.cholesky_ex(M[free][:, free])
        if int(failed):
            return None
        pull = (g + M @ s)[free]
        s[free] = -torch.cholesky_solve(pull.unsqueeze(-1), L).squeeze(-1)
        low = s < floor - 1e-13 * s.abs().max()
        slack = 1e-14 * (g.abs() + M.abs() @ s.abs())
        wrong = torch.where(held, g + M @ s < -slack, low)
        count = int(wrong.sum())
        if count == 0:
            break
        if count < fewest:
            fewest, patience = count, 10
        elif patience > 0:
            patience -= 1
        else:
            wrong[: int(wrong.nonzero()[-1])] = False
        held = held ^ wrong
    return torch.maximum(s, floor) * scale
