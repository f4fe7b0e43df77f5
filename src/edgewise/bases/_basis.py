"""What every family of basis functions owes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any, Self

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from edgewise._errors import ConfigError


class Basis(nn.Module, ABC):
    r"""One-variable functions :math:`B_b`, a set of the same size for each input of a layer.

    An edge is :math:`\phi(x_i) = \sum_b c_b B_b(x_i)`: linear in its coefficients, whatever the
    family. What is not linear (knots, centers) belongs to the basis and is shared by the edges that
    leave one input. Everything else in the library (the Jacobian, transfer between grids,
    penalties, attribution) is written once, against this class.
    """

    degree: int
    """The degree of the pieces; 0 for a family that has none."""
    periodic: tuple[int, ...] = ()
    """The inputs whose functions repeat outside their domain."""

    @property
    @abstractmethod
    def in_features(self) -> int:
        """The number of inputs."""

    @property
    @abstractmethod
    def size(self) -> int:
        """The number of functions for each input."""

    @property
    @abstractmethod
    def grid(self) -> int:
        """The resolution: for splines the number of intervals (pykan's `grid` or `G`)."""

    @property
    @abstractmethod
    def domain(self) -> Float[Tensor, "inputs 2"]:
        """The lower and upper end of each input's grid."""

    @abstractmethod
    def values(
        self, x: Float[Tensor, "batch inputs"], order: int = 0
    ) -> list[Float[Tensor, "batch inputs basis"]]:
        """Evaluate all functions and their derivatives with respect to x.

        Args:
            x: Points, one column for each input.
            order: The highest derivative, 0 to 5.

        Returns:
            A list of `order + 1` tensors: values, first derivatives, second derivatives, and so on.
        """

    @abstractmethod
    def line(self) -> tuple[Float[Tensor, "inputs basis"], Float[Tensor, "inputs basis"]]:
        """Give the coefficients of the functions 1 and x."""

    @abstractmethod
    def roughness(self) -> Float[Tensor, "inputs combinations basis"]:
        """Give combinations of coefficients that are zero for the smoothest functions only.

        Where they are the same for every input, a view that repeats them is as good and faster.
        """

    @abstractmethod
    def variation(self) -> Float[Tensor, "inputs combinations basis"]:
        """Give combinations of coefficients that are zero for constants only."""

    @abstractmethod
    def with_grid(self, grid: int) -> Self:
        """Make a basis of the same domain with another number of intervals."""

    def with_degree(self, degree: int) -> Self:
        """Make a basis of the same grid with pieces of another degree, where a family has any."""
        raise ConfigError(f"{type(self).__name__} has no degree that could be {degree}.")

    def with_knots(self, knots: Float[Tensor, "inputs inner"]) -> Self:
        """Make a basis on other knots, where a family has knots that may lie anywhere."""
        raise ConfigError(f"{type(self).__name__} has no knots that could be moved.")

    def with_periodic(self, inputs: Iterable[int]) -> Self:
        """Make a basis whose domain repeats for these inputs, where a family can."""
        raise ConfigError(f"{type(self).__name__} has no functions that repeat.")

    @abstractmethod
    def with_domain(self, domain: Float[Tensor, "inputs 2"]) -> Self:
        """Make a basis of the same size on another domain."""

    @abstractmethod
    def select(self, inputs: Int[Tensor, " kept"]) -> Self:
        """Make a basis with these inputs only, in this order."""

    @abstractmethod
    def config(self) -> dict[str, Any]:
        """Give what the constructor needs to make a basis of this size, as JSON values."""

    def forward(self, x: Float[Tensor, "batch inputs"]) -> Float[Tensor, "batch inputs basis"]:
        """Evaluate all functions."""
        return self.values(x)[0]

    def local(
        self, x: Float[Tensor, "batch inputs"]
    ) -> tuple[Int[Tensor, "batch inputs"], Float[Tensor, "batch inputs support"]]:
        """Evaluate the functions that may be other than zero at each x.

        Returns:
            The index of the first of them, and their values.
        """
        start, values = self.local_derivatives(x)
        return start, values[0]

    def local_derivatives(
        self, x: Float[Tensor, "batch inputs"], order: int = 0
    ) -> tuple[Int[Tensor, "batch inputs"], Float[Tensor, "derivatives batch inputs support"]]:
        """Evaluate the functions that may be other than zero at each x, and their derivatives.

        Returns:
            The index of the first of them; values, first derivatives, and so on up to `order`. All
            functions, unless a family says better.
        """
        return torch.zeros_like(x, dtype=torch.int64), torch.stack(self.values(x, order))

    def sums(
        self, x: Float[Tensor, "batch inputs"], coef: Float[Tensor, "outputs inputs basis"]
    ) -> Float[Tensor, "batch outputs"]:
        """Evaluate edges with these coefficients, and sum those that enter the same output."""
        return torch.einsum("bik,oik->bo", self(x), coef)

    def edges(
        self,
        x: Float[Tensor, "batch inputs"],
        coef: Float[Tensor, "outputs inputs basis"],
        order: int = 0,
    ) -> Float[Tensor, "derivatives batch outputs inputs"]:
        """Evaluate edges with these coefficients, and their derivatives up to `order`."""
        bases = self.values(x, order)
        return torch.stack([torch.einsum("bik,oik->boi", basis, coef) for basis in bases])

    def transfer_from(self, old: Basis) -> Float[Tensor, "inputs new old"]:
        """Give the matrix that carries coefficients of an old basis to this one.

        Each function is projected by least squares on points spread over this basis' domain; a
        family overrides this where an exact way exists.
        """
        points = self._points()  # (points, inputs)
        new = self.values(points)[0].transpose(0, 1)  # (inputs, points, new)
        target = old.values(points)[0].transpose(0, 1)  # (inputs, points, old)
        # torch's default driver on a CPU, gelsy, gives other last bits in each call
        return torch.linalg.lstsq(new, target, driver="gels").solution

    def _points(self) -> Float[Tensor, "points inputs"]:
        """Several points for each function, evenly spread."""
        low, high = self.domain.unbind(-1)
        share = torch.linspace(0, 1, 4 * self.size + 1, dtype=low.dtype, device=low.device)
        return low + share.unsqueeze(-1) * (high - low)
