r"""The unknown functions of an equation, and operators that read like it.

A field is a function's jet at many points: its value and the partial derivatives that the equation
asks for. An equation written with fields is an ordinary torch expression, so that autograd gives
its derivative in each component of the jet, once for each point.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

from edgewise._errors import ConfigError
from edgewise._jets import Partial, jet
from edgewise._network import KAN

Fields: TypeAlias = "Field | tuple[Field, ...]"


@dataclass(frozen=True, eq=False)
class Field:
    """One unknown function at many points, with its derivatives.

    In a formula it stands for its values: `u * pde.dx(u)`, `torch.exp(u)`.

    Attributes:
        components: Its jet, (points, components).
        partials: Which derivative each component is: () is the value, (0, 0) the second in input 0.
        space: The number of space coordinates; where there are more inputs the last one is time.
        inputs: The number of inputs.
        asked: The derivatives that were read.
    """

    components: Float[Tensor, "points components"]
    partials: tuple[Partial, ...]
    space: int
    inputs: int
    asked: set[Partial] = field(default_factory=set, repr=False)

    @property
    def value(self) -> Float[Tensor, " points"]:
        """The values."""
        return self.d()

    def d(self, *inputs: int) -> Float[Tensor, " points"]:
        """Give a partial derivative: `u.d(0, 0)` is the second in input 0, `u.d()` the value.

        Raises:
            ConfigError: If jets do not have it.
        """
        partial = tuple(sorted(inputs))
        if any(not 0 <= i < self.inputs for i in partial):
            raise ConfigError(
                f"The equation takes a derivative in {inputs}, the inputs are 0 to "
                f"{self.inputs - 1}."
            )
        if partial not in self.partials:
            raise ConfigError(
                f"The derivative in {inputs} is not there: pure derivatives go to the fourth "
                "order, mixed ones to the second. Write the equation as a system of lower order."
            )
        self.asked.add(partial)
        return self.components[:, self.partials.index(partial)]

    @classmethod
    def __torch_function__(
        cls, function: Callable, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        """Let torch functions take a field for its values."""

        def plain(item: Any) -> Any:
            if isinstance(item, Field):
                return item.value
            return type(item)(map(plain, item)) if isinstance(item, list | tuple) else item

        kwargs = {name: plain(item) for name, item in (kwargs or {}).items()}
        return function(*plain(tuple(args)), **kwargs)

    def __add__(self, other: Any) -> Any:
        return self.value + _plain(other)

    def __radd__(self, other: Any) -> Any:
        return _plain(other) + self.value

    def __sub__(self, other: Any) -> Any:
        return self.value - _plain(other)

    def __rsub__(self, other: Any) -> Any:
        return _plain(other) - self.value

    def __mul__(self, other: Any) -> Any:
        return self.value * _plain(other)

    def __rmul__(self, other: Any) -> Any:
        return _plain(other) * self.value

    def __truediv__(self, other: Any) -> Any:
        return self.value / _plain(other)

    def __rtruediv__(self, other: Any) -> Any:
        return _plain(other) / self.value

    def __pow__(self, other: Any) -> Any:
        return self.value ** _plain(other)

    def __neg__(self) -> Any:
        return -self.value


def _plain(item: Any) -> Any:
    return item.value if isinstance(item, Field) else item


def fields_of(
    components: Float[Tensor, "points outputs components"],
    partials: Any,
    space: int,
    asked: set | None = None,
) -> Any:
    """Make a field, or a tuple of them, from jets."""
    found: set = set() if asked is None else asked
    inputs = 1 + max((i for partial in partials for i in partial), default=0)
    every = tuple(
        Field(components[:, o], partials, space, inputs, found) for o in range(components.shape[1])
    )
    return every[0] if len(every) == 1 else every


def fields(model: KAN, x: Any, order: int = 2, *, mixed: bool = True) -> Any:
    """Give a network as the field that operators take, or as a tuple of fields.

    Args:
        model: The network; all its inputs count as space.
        x: Points, (points, inputs): a tensor or a NumPy array.
        order: The highest derivative in each input, 1 to 4.
        mixed: Whether second derivatives in two inputs are wanted.

    Raises:
        ConfigError: If `order` is not from 1 to 4, or is 1 with `mixed`.
        ShapeError: If x is not of shape (points, inputs).

    Example:
        >>> u = ew.pde.fields(model, x)
        >>> ew.pde.grad(u).shape
        torch.Size([100, 2])
    """
    found = jet(model, x, order, mixed=mixed)
    return fields_of(found.components, found.partials, model.in_features)


def d(u: Field, *inputs: int) -> Float[Tensor, " points"]:
    """Give a partial derivative by the numbers of the inputs: `d(u, 0, 1)` is mixed.

    Example:
        >>> pde = ew.pde
        >>> u = pde.fields(model, x)
        >>> torch.equal(pde.d(u, 0, 0) + pde.d(u, 1, 1), pde.laplacian(u))
        True
    """
    return u.d(*inputs)


def dx(u: Field, order: int = 1) -> Float[Tensor, " points"]:
    """Give the derivative in the first coordinate, of an order from 1 to 4."""
    return u.d(*(0,) * order)


def dy(u: Field, order: int = 1) -> Float[Tensor, " points"]:
    """Give the derivative in the second coordinate, of an order from 1 to 4."""
    return u.d(*(_coordinate(u, 1),) * order)


def dz(u: Field, order: int = 1) -> Float[Tensor, " points"]:
    """Give the derivative in the third coordinate, of an order from 1 to 4."""
    return u.d(*(_coordinate(u, 2),) * order)


def dt(u: Field, order: int = 1) -> Float[Tensor, " points"]:
    """Give the derivative in time, of an order from 1 to 4.

    Raises:
        ConfigError: If the problem has no time.
    """
    if u.inputs == u.space:
        raise ConfigError(
            "dt is a derivative in time, and this problem has none. Give it one: "
            "Problem(..., time=(0, 1))."
        )
    return u.d(*(u.space,) * order)


def grad(u: Field) -> Float[Tensor, "points space"]:
    """Give the derivatives in the space coordinates."""
    return torch.stack([u.d(i) for i in range(u.space)], -1)


def laplacian(u: Field) -> Float[Tensor, " points"]:
    """Give the sum of the second derivatives in the space coordinates."""
    return torch.stack([u.d(i, i) for i in range(u.space)]).sum(0)


def div(flow: Sequence[Field]) -> Float[Tensor, " points"]:
    """Give the divergence of a vector of fields, one for each space coordinate.

    Raises:
        ConfigError: If there are more or fewer fields than space coordinates.
    """
    if not flow or len(flow) != flow[0].space:
        raise ConfigError(
            f"div takes a field for each space coordinate, got {len(flow)}: "
            "div((u, v)) in the plane."
        )
    return torch.stack([u.d(i) for i, u in enumerate(flow)]).sum(0)


def _coordinate(u: Field, number: int) -> int:
    if number >= u.space:
        raise ConfigError(
            f"The equation takes a derivative in space coordinate {number + 1}, the domain has "
            f"{u.space}."
        )
    return number
