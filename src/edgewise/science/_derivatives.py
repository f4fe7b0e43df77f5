"""Value, gradient and Hessian of any function of rows, in float64: what all tests here look at."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor, nn

from edgewise._arrays import tensor_of
from edgewise._errors import ConfigError, DataError, ShapeError
from edgewise._jets import jet
from edgewise._network import KAN, check_finite

Target: TypeAlias = Callable[[Any], Any]
"""A KAN, a module or a function: (batch, inputs) to (batch, 1) or (batch,)."""


@dataclass(frozen=True)
class Derivatives:
    """What a function does at each row, to second order.

    Attributes:
        value: Its values, (batch,).
        gradient: Its first derivatives, (batch, inputs).
        hessian: Its second derivatives, (batch, inputs, inputs).
    """

    value: Float[Tensor, "batch"]
    gradient: Float[Tensor, "batch inputs"]
    hessian: Float[Tensor, "batch inputs inputs"]

    def scaled(self, spread: Float[Tensor, "inputs"]) -> Derivatives:
        """The derivatives in inputs that are measured in units of `spread`."""
        return Derivatives(
            self.value, self.gradient * spread, self.hessian * spread * spread[:, None]
        )


Function: TypeAlias = Callable[[Tensor], Derivatives]
"""What can be differentiated twice: a target, or a part of one, (batch, inputs) in float64."""


@dataclass(frozen=True)
class Slice:
    """A function of some inputs, while the others stay where they are.

    Attributes:
        whole: The function of all inputs.
        columns: The inputs that move.
        anchor: Where the others stay, (inputs,).
    """

    whole: Function
    columns: Sequence[int]
    anchor: Float[Tensor, "inputs"]

    def __call__(self, x: Tensor) -> Derivatives:
        """Evaluate at values of the columns, (batch, columns)."""
        columns = list(self.columns)
        rows = self.anchor.repeat(len(x), 1)
        rows[:, columns] = x
        found = self.whole(rows)
        hessian = found.hessian[:, columns][:, :, columns]
        return Derivatives(found.value, found.gradient[:, columns], hessian)


def derivatives(f: Target, x: Any) -> Derivatives:
    """Evaluate a function with its gradient and Hessian, in float64.

    A `KAN` gives them in closed form (see `jet`); any other function is differentiated by torch,
    one backward pass for each input. A module is copied, set to evaluation and to float64.

    Args:
        f: A KAN, a module or a function of tensors, (batch, inputs) to (batch, 1) or (batch,). Each
            value must depend on its own row only.
        x: Points, (batch, inputs), at least two rows: a tensor or a NumPy array.

    Returns:
        The derivatives, detached.

    Raises:
        ShapeError: If x is not of shape (batch, inputs), or f gives more than one output.
        DataError: If x or what f gives is not finite, torch cannot differentiate f, or f is
            constant or linear in pieces.
        ConfigError: If f is no function.

    Example:
        >>> found = ew.science.derivatives(lambda x: x[:, 0] * x[:, 1] ** 2, x)
        >>> torch.allclose(found.gradient[:, 0], x[:, 1] ** 2)
        True
        >>> torch.allclose(found.hessian[:, 0, 1], 2 * x[:, 1])
        True
    """
    return differentiable(f)(points(x))


def points(x: Any) -> Tensor:
    """Check points, and take them as float64."""
    x = tensor_of("x", x).detach()
    if x.ndim != 2 or x.shape[1] < 1:
        raise ShapeError(f"The points are of shape (batch, inputs), got {tuple(x.shape)}.")
    if len(x) < 2:
        raise DataError(f"Structure is judged over at least 2 rows, got {len(x)}.")
    x = x.to(torch.float64)
    check_finite("x", x)
    return x


def spread_of(x: Tensor) -> Tensor:
    """The standard deviation of each input; one that does not vary cannot be judged."""
    spread = x.std(0)
    still = spread <= 1e-12 * x.abs().amax(0)
    if bool(still.any()):
        column = int(still.nonzero()[0])
        raise DataError(
            f"Column {column} of x is constant: how f depends on it cannot be seen. Give points "
            "that vary in every input."
        )
    return spread


def ratio(part: Tensor, whole: Tensor) -> Tensor:
    """A relative size; nothing over nothing is nothing."""
    return torch.where(whole > 0, part / whole, torch.zeros_like(part))


def differentiable(f: Target) -> Function:
    """Turn what the user gave into something with derivatives."""
    if isinstance(f, KAN):
        model = f if f.dtype == torch.float64 else copy.deepcopy(f).to(torch.float64)
        return lambda x: _checked(x, *_of_network(model, x))
    if not callable(f):
        raise ConfigError(
            f"f is a KAN, a module or a function of tensors, got a {type(f).__name__}."
        )
    if isinstance(f, nn.Module):
        f = copy.deepcopy(f).to(torch.float64).eval()
    return lambda x: _checked(x, *_of_function(f, x))


def _of_network(model: KAN, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    if model.out_features != 1:
        raise _one_output(f"(batch, {model.out_features})")
    with torch.no_grad():
        found = jet(model, x.to(model.device), 2, mixed=True)
    return found.value[:, 0], found.gradient[:, 0], found.hessian[:, 0]


def _of_function(f: Target, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    with torch.enable_grad():
        x = x.detach().clone().requires_grad_()
        given = _called(f, x)
        if not isinstance(given, Tensor):
            raise DataError(
                f"f gives a tensor that torch can differentiate, got a {type(given).__name__}."
            )
        if given.shape not in ((len(x),), (len(x), 1)):
            raise _one_output(str(tuple(given.shape)))
        value = given.reshape(-1)
        if not value.requires_grad and bool((value != value[0]).any()):
            raise DataError(
                "torch cannot differentiate f: its values do not depend on x as a tensor. Do not "
                "detach, and use functions of torch rather than NumPy."
            )
        gradient = _slope(value, x)
        rows = [_slope(gradient[:, i], x) for i in range(x.shape[1])]
    return value.detach(), gradient.detach(), torch.stack(rows, 1).detach()


def _called(f: Target, x: Tensor) -> Any:
    """What a function gives; one of NumPy cannot take tensors that are differentiated."""
    try:
        return f(x)
    except RuntimeError as error:
        if "Can't call numpy() on Tensor" not in str(error):
            raise
        raise DataError(
            "torch cannot differentiate f, which asks for NumPy arrays. Use functions of torch, or "
            "fit a KAN to values of f and ask that: fit(KAN(widths), x, f(x)).model."
        ) from error


def _slope(value: Tensor, x: Tensor) -> Tensor:
    """The derivative of a column of values; zero where nothing depends on x."""
    if not value.requires_grad:
        return torch.zeros_like(x)
    (slope,) = torch.autograd.grad(value.sum(), x, create_graph=True, allow_unused=True)
    return torch.zeros_like(x) if slope is None else slope


def _checked(x: Tensor, value: Tensor, gradient: Tensor, hessian: Tensor) -> Derivatives:
    """Check that there is something to judge."""
    finite = value.isfinite() & gradient.isfinite().all(1) & hessian.isfinite().flatten(1).all(1)
    if not bool(finite.all()):
        bad = ~finite
        row = int(bad.nonzero()[0])
        raise DataError(
            f"f or its derivatives are missing or infinite in {int(bad.sum())} of {len(x)} rows; "
            f"the first is row {row}. Give points where f is smooth."
        )
    flat = not bool(gradient.any())
    if flat and float(value.max() - value.min()) > 1e-12 * float(value.abs().max()):
        raise DataError(
            "f is constant in pieces: its values vary, its derivatives are zero in every row. "
            "Structure is read from derivatives; take what stands inside the step."
        )
    varies = gradient.amax(0) - gradient.amin(0) > 1e-9 * gradient.abs().amax(0)
    bent = hessian.abs().amax(0).amax(0) > 0
    if bool((varies & ~bent).any()):
        column = int((varies & ~bent).nonzero()[0])
        raise DataError(
            f"f is linear in pieces in input {column}: its slope varies between rows, but all "
            "second derivatives are zero, as with abs or ReLU. Structure is read from these; give "
            "a smooth f, as by softplus or tanh in place of ReLU, or splines of degree 2 or more."
        )
    value, gradient, hessian = (t.to(torch.float64) for t in (value, gradient, hessian))
    return Derivatives(value, gradient, (hessian + hessian.mT) / 2)


def _one_output(shape: str) -> ShapeError:
    return ShapeError(
        f"f gives one number for each row, (batch, 1) or (batch,), got {shape}. Take one output: "
        "lambda x: f(x)[:, :1]."
    )
