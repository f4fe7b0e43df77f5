r"""Where an equation holds: boxes, discs, polygons, their unions and differences.

A domain is known by a smooth level: positive inside, zero on the boundary, negative outside.
Levels of unions and differences are R-functions of those of their parts (Rvachev 1982; Shapiro,
*Semi-analytic geometry with R-functions*, Acta Numerica 16, 2007), so that a network times the
level vanishes on the whole boundary.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from edgewise._errors import ConfigError

_AXES = (("left", "right"), ("bottom", "top"), ("back", "front"))


class Edge(NamedTuple):
    """Points on a boundary with their outward normals."""

    x: Tensor  # (points, space)
    normal: Tensor  # (points, space)


class Domain(ABC):
    """A bounded part of space.

    Attributes:
        bounds: The box around it, (space, 2).
        sides: The names of the parts of its boundary.
    """

    bounds: Tensor
    sides: tuple[str, ...]

    @property
    def space(self) -> int:
        """The number of coordinates."""
        return len(self.bounds)

    @abstractmethod
    def level(self, x: Float[Tensor, "points space"]) -> Float[Tensor, " points"]:
        """Give a smooth function: positive inside, zero on the boundary, negative outside."""

    @abstractmethod
    def boundary(self, side: str, count: int) -> Edge:
        """Lay about `count` points on a side, evenly, but for its ends."""

    def factor(self, x: Float[Tensor, "points space"], sides: Sequence[str]) -> Tensor | None:
        """Give a function that vanishes on these sides and only there, if one is known."""
        return self.level(x) if set(sides) == set(self.sides) else None

    def contains(self, x: Float[Tensor, "points space"]) -> Bool[Tensor, " points"]:
        """Tell which points are inside or on the boundary."""
        return self.level(x) >= -1e-12

    def sobol(self, count: int, seed: int = 0) -> Float[Tensor, "points space"]:
        """Draw points inside, evenly (a scrambled Sobol sequence in the box around)."""
        low, high = self.bounds.unbind(-1)
        engine = torch.quasirandom.SobolEngine(self.space, scramble=True, seed=seed)
        found: list[Tensor] = []
        while sum(map(len, found)) < count:
            x = low + engine.draw(max(count, 64), dtype=torch.float64) * (high - low)
            found.append(x[self.level(x) > 1e-9])
        return torch.cat(found)[:count]

    def __or__(self, other: Domain) -> Domain:
        return Union(self, other)

    def __sub__(self, other: Domain) -> Domain:
        return Difference(self, other)


class Box(Domain):
    """An interval, a rectangle, a box: one pair of ends for each coordinate.

    Its sides are left, right; bottom, top; back, front.

    Args:
        ends: The lower and upper end of each coordinate.

    Raises:
        ConfigError: If there are no ends, more than three pairs, or one that is empty.

    Example:
        >>> square = ew.pde.Box([-1, 1], [-1, 1])
        >>> square.sides
        ('left', 'right', 'bottom', 'top')
    """

    def __init__(self, *ends: Sequence[float]) -> None:
        if not 1 <= len(ends) <= 3 or any(len(pair) != 2 for pair in ends):
            raise ConfigError(
                f"A box takes one to three pairs (low, high), got {ends}: Box([-1, 1], [0, 2])."
            )
        self.bounds = torch.tensor([list(map(float, pair)) for pair in ends], dtype=torch.float64)
        if not bool(self.bounds.isfinite().all() & (self.bounds[:, 0] < self.bounds[:, 1]).all()):
            raise ConfigError(f"Each pair must be finite with low < high, got {ends}.")
        self.sides = tuple(name for pair in _AXES[: len(ends)] for name in pair)

    def level(self, x: Float[Tensor, "points space"]) -> Float[Tensor, " points"]:
        """Join the levels of the coordinates."""
        low, high = self.bounds.unbind(-1)
        share = 4 * (x - low) * (high - x) / (high - low) ** 2
        level = share[:, 0]
        for column in share.unbind(-1)[1:]:
            level = _both(level, column)
        return level

    def factor(self, x: Float[Tensor, "points space"], sides: Sequence[str]) -> Tensor | None:
        """Give the product of the distances from these sides: a polynomial."""
        low, high = self.bounds.unbind(-1)
        result = torch.ones_like(x[:, 0])
        for name in sides:
            axis, end = divmod(self.sides.index(name), 2)
            away = high[axis] - x[:, axis] if end else x[:, axis] - low[axis]
            result = result * (2 * away / (high[axis] - low[axis]))
        return result

    def boundary(self, side: str, count: int) -> Edge:
        """Lay Gauss points on a side."""
        axis, end = divmod(self.sides.index(side), 2)
        others = [i for i in range(self.space) if i != axis]
        each = math.ceil(count ** (1 / max(len(others), 1)))
        lines = [_gauss(each, *self.bounds[i].tolist()) for i in others]
        mesh = torch.cartesian_prod(*lines).reshape(-1, len(others)) if others else None
        x = self.bounds.new_empty(1 if mesh is None else len(mesh), self.space)
        x[:, axis] = self.bounds[axis, end]
        if mesh is not None:
            x[:, others] = mesh
        normal = torch.zeros_like(x)
        normal[:, axis] = 2 * end - 1
        return Edge(x, normal)


def Interval(low: float, high: float) -> Box:  # noqa: N802
    """Make a box of one coordinate.

    Example:
        >>> ew.pde.Interval(-1, 1).sides
        ('left', 'right')
    """
    return Box((low, high))


class Disc(Domain):
    """A disc in the plane; its one side is called rim.

    Args:
        center: Its middle.
        radius: Its radius.

    Raises:
        ConfigError: If the radius is not positive, or the center not in the plane.
    """

    def __init__(self, center: Sequence[float] = (0.0, 0.0), radius: float = 1.0) -> None:
        if len(center) != 2 or not 0 < radius < math.inf:
            raise ConfigError(
                f"A disc has a center in the plane and a positive radius, got {center}, {radius}."
            )
        self.center = torch.tensor([float(c) for c in center], dtype=torch.float64)
        self.radius = float(radius)
        self.bounds = torch.stack([self.center - radius, self.center + radius], -1)
        self.sides = ("rim",)

    def level(self, x: Float[Tensor, "points space"]) -> Float[Tensor, " points"]:
        """Give 1 - (r / radius)^2."""
        return 1 - ((x - self.center) / self.radius).square().sum(-1)

    def boundary(self, side: str, count: int) -> Edge:
        """Lay points around."""
        angle = 2 * math.pi * torch.arange(count, dtype=torch.float64) / count
        normal = torch.stack([angle.cos(), angle.sin()], -1)
        return Edge(self.center + self.radius * normal, normal)


class Polygon(Domain):
    """A polygon in the plane, convex or not; its sides are called 0, 1, ... from the first corner.

    Args:
        corners: Its corners in order, either way round.

    Raises:
        ConfigError: If there are fewer than three corners, or two neighbors are the same.
    """

    def __init__(self, corners: Sequence[Sequence[float]]) -> None:
        points = torch.tensor([list(map(float, corner)) for corner in corners], dtype=torch.float64)
        if points.ndim != 2 or points.shape[1] != 2 or len(points) < 3:
            raise ConfigError(f"A polygon takes three corners (x, y) or more, got {corners}.")
        after = points.roll(-1, 0)
        area = (points[:, 0] * after[:, 1] - points[:, 1] * after[:, 0]).sum() / 2
        if bool((points == after).all(1).any()) or float(area) == 0:
            raise ConfigError(f"The corners enclose no area or coincide, got {corners}.")
        self.corners = points if float(area) > 0 else points.flip(0)
        self.bounds = torch.stack([points.amin(0), points.amax(0)], -1)
        self.sides = tuple(map(str, range(len(points))))

    def level(self, x: Float[Tensor, "points space"]) -> Float[Tensor, " points"]:
        """Join the distances from the sides (Sukumar and Srivastava 2022, eq. 20), with a sign."""
        a, b = self.corners, self.corners.roll(-1, 0)
        along = b - a  # (sides, 2)
        length = along.norm(dim=-1)
        to = x.unsqueeze(1) - (a + b) / 2  # (points, sides, 2)
        f = (to[..., 0] * along[:, 1] - to[..., 1] * along[:, 0]) / length
        t = (length**2 / 4 - to.square().sum(-1)) / length
        distance = (f**2 + (((t**2 + f**4).sqrt() - t) / 2) ** 2).sqrt()
        joined = 1 / (1 / distance.clamp_min(1e-300)).sum(-1)
        return torch.where(self._inside(x), joined, -joined)

    def boundary(self, side: str, count: int) -> Edge:
        """Lay Gauss points on a side."""
        a, b = self.corners[int(side)], self.corners.roll(-1, 0)[int(side)]
        along = (b - a) / (b - a).norm()
        share = _gauss(count, 0.0, 1.0).unsqueeze(-1)
        normal = torch.stack([along[1], -along[0]]).expand(count, 2)
        return Edge(a + share * (b - a), normal)

    def _inside(self, x: Tensor) -> Tensor:
        """Count crossings of the ray to the right."""
        a, b = self.corners, self.corners.roll(-1, 0)
        px, py = x.detach()[:, :1], x.detach()[:, 1:]
        crosses = (a[:, 1] > py) != (b[:, 1] > py)
        rise = torch.where(b[:, 1] == a[:, 1], 1.0, b[:, 1] - a[:, 1])
        left_of = px < a[:, 0] + (py - a[:, 1]) * (b[:, 0] - a[:, 0]) / rise
        return (crosses & left_of).sum(-1) % 2 == 1


@dataclass(frozen=True, eq=False)
class _Pair(Domain):
    first: Domain
    second: Domain

    def __post_init__(self) -> None:
        if self.first.space != self.second.space:
            raise ConfigError(
                f"A domain of {self.first.space} coordinates cannot be joined with one of "
                f"{self.second.space}."
            )

    @property
    def sides(self) -> tuple[str, ...]:  # type: ignore[override]
        """The sides of the first, then those of the second with `second ` before the name."""
        return (*self.first.sides, *(f"second {name}" for name in self.second.sides))

    def _edge(self, side: str, count: int) -> tuple[Edge, Tensor]:
        """Points of a side of either, and the level of the other."""
        if side.startswith("second "):
            edge = self.second.boundary(side.removeprefix("second "), count)
            return edge, self.first.level(edge.x)
        edge = self.first.boundary(side, count)
        return edge, self.second.level(edge.x)


class Union(_Pair):
    """What is in one or the other: `first | second`."""

    @property
    def bounds(self) -> Tensor:  # type: ignore[override]
        """The box around both."""
        a, b = self.first.bounds, self.second.bounds
        low, high = torch.minimum(a[:, 0], b[:, 0]), torch.maximum(a[:, 1], b[:, 1])
        return torch.stack([low, high], -1)

    def level(self, x: Float[Tensor, "points space"]) -> Float[Tensor, " points"]:
        """Join both levels."""
        return -_both(-self.first.level(x), -self.second.level(x))

    def boundary(self, side: str, count: int) -> Edge:
        """Lay points on a side, and keep those that are not in the other."""
        edge, other = self._edge(side, count)
        keep = other <= 0
        return Edge(edge.x[keep], edge.normal[keep])


class Difference(_Pair):
    """What is in the first and not in the second: `first - second`."""

    @property
    def bounds(self) -> Tensor:  # type: ignore[override]
        """The box around the first."""
        return self.first.bounds

    def level(self, x: Float[Tensor, "points space"]) -> Float[Tensor, " points"]:
        """Join the first level and the second with the other sign."""
        return _both(self.first.level(x), -self.second.level(x))

    def boundary(self, side: str, count: int) -> Edge:
        """Lay points on a side, and keep those that bound the difference."""
        edge, other = self._edge(side, count)
        second = side.startswith("second ")
        keep = other > 1e-12 if second else other < -1e-12
        return Edge(edge.x[keep], edge.normal[keep] * (-1 if second else 1))


def _both(a: Tensor, b: Tensor) -> Tensor:
    """The R-function of 'and': positive where both are."""
    return a + b - (a**2 + b**2 + 1e-60).sqrt()


def _gauss(count: int, low: float, high: float) -> Tensor:
    """The nodes of Gauss and Legendre in an interval."""
    import numpy as np

    nodes = torch.from_numpy(np.polynomial.legendre.leggauss(count)[0])
    return low + (nodes + 1) / 2 * (high - low)
