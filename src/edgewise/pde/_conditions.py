"""What a solution has to meet besides the equation: on the boundary, at the start, at data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch import Tensor

from edgewise._arrays import tensor_of
from edgewise._errors import ConfigError, DataError, ShapeError

Given: TypeAlias = float | Callable[[Tensor], Any]
"""A number, or a function of points (points, inputs) that gives a value for each."""


@dataclass(frozen=True)
class Condition:
    """The parent of all conditions."""


@dataclass(frozen=True)
class Dirichlet(Condition):
    """The solution has these values on the boundary.

    Where the domain knows a function that vanishes on these sides only (on all sides of any domain,
    on any sides of a box), the condition holds exactly: the solution is the given function, which
    must then be smooth in the whole domain, plus a network times that function. Several conditions
    on parts of the boundary are blended by the distances from their sides; where sides meet with
    different values the solution jumps, as it has to.

    Args:
        value: A number, or a function of points (points, inputs) that gives a value for each.
        on: The names of the sides; all by default.
        of: The number of the field in a system; all by default.
        exact: Whether it is to hold exactly; else it becomes weighted rows.
    """

    value: Given = 0.0
    on: str | tuple[str, ...] | None = None
    of: int | None = None
    exact: bool = True


@dataclass(frozen=True)
class Neumann(Condition):
    """The derivative along the outward normal has these values on the boundary, by weighted rows.

    Args:
        value: A number, or a function of points.
        on: The names of the sides; all by default.
        of: The number of the field in a system; all by default.
    """

    value: Given = 0.0
    on: str | tuple[str, ...] | None = None
    of: int | None = None


@dataclass(frozen=True)
class Robin(Condition):
    """`a u + b du/dn` has these values on the boundary, by weighted rows.

    Args:
        a: The factor of the value.
        b: The factor of the derivative along the outward normal.
        value: A number, or a function of points.
        on: The names of the sides; all by default.
        of: The number of the field in a system; all by default.
    """

    a: float
    b: float
    value: Given = 0.0
    on: str | tuple[str, ...] | None = None
    of: int | None = None


@dataclass(frozen=True)
class Periodic(Condition):
    """The solution goes on periodically in one coordinate of a box.

    It holds exactly: the splines that take this coordinate are periodic with all their derivatives.

    Args:
        axis: The number of the coordinate.
    """

    axis: int = 0


@dataclass(frozen=True)
class Initial(Condition):
    """The solution has these values when time begins. It holds exactly.

    On a periodic interval the values are projected onto the periodic splines of the network.

    Args:
        value: A number, or a function of points in space (points, space).
        rate: The same for the derivative in time, where the equation is of second order in it.
        of: The number of the field in a system; all by default.
    """

    value: Given
    rate: Given | None = None
    of: int | None = None


@dataclass(frozen=True, eq=False)
class Observed(Condition):
    """Measured values of the solution, by weighted rows: what unknown parameters are found from.

    Args:
        x: Where, (rows, inputs), time last: a tensor or a NumPy array.
        u: The values, (rows,).
        of: The number of the field in a system.
        weight: The weight of these rows beside the equation's; automatic by default.

    Raises:
        ShapeError: If x and u have different numbers of rows.
        DataError: If a value is missing or infinite, or no number.
    """

    x: Any
    u: Any
    of: int = 0
    weight: float | None = None

    def __post_init__(self) -> None:
        for name in ("x", "u"):
            object.__setattr__(self, name, tensor_of(name, getattr(self, name)))
        if self.x.ndim != 2 or self.u.shape != self.x.shape[:1]:
            raise ShapeError(
                "Observed takes points (rows, inputs) and values (rows,), got "
                f"{tuple(self.x.shape)} and {tuple(self.u.shape)}."
            )
        if not bool(self.x.isfinite().all() and self.u.isfinite().all()):
            raise DataError("Observed has missing or infinite values. Remove these rows.")


def evaluate(given: Given, x: Tensor, what: str) -> Tensor:
    """Evaluate a given number or function at points, (points,), and check what it gives."""
    if not callable(given):
        return torch.full_like(x[:, 0], float(given))
    values = given(x)
    if not isinstance(values, Tensor) or values.shape not in (x.shape[:1], (len(x), 1)):
        found = tuple(values.shape) if isinstance(values, Tensor) else type(values).__name__
        raise ShapeError(
            f"The function of {what} must give a tensor with a value for each point, "
            f"({len(x)},) for {len(x)} points. It gave {found}."
        )
    values = values.reshape(-1).to(x.dtype)
    if not bool(values.isfinite().all()):
        where = x[~values.isfinite()][0].tolist()
        raise DataError(f"The function of {what} gives NaN or infinity, the first at x = {where}.")
    return values


def names(on: str | tuple[str, ...] | None, sides: tuple[str, ...], what: str) -> tuple[str, ...]:
    """Give the sides that a condition is on."""
    chosen = sides if on is None else (on,) if isinstance(on, str) else tuple(on)
    for name in chosen:
        if name not in sides:
            raise ConfigError(
                f"{what} is on the side {name!r}, which is outside of the domain. "
                f"Its sides are {', '.join(sides)}."
            )
    return chosen
