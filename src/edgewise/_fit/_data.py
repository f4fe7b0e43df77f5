"""Check what is to be fitted, and hold rows out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from numbers import Real
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from edgewise._arrays import tensor_of
from edgewise._errors import ConfigError, DataError, ShapeError
from edgewise._fit._chunk import Chunk
from edgewise._fit._losses import CrossEntropy, Loss
from edgewise._fit._team import Team
from edgewise._network import KAN, check_finite

if TYPE_CHECKING:
    from edgewise._fit._stream import Stream

MIN_ROWS = 10
_LARGEST = 1e100
"""The largest value whose powers and sums still have room in float64."""


@dataclass(frozen=True)
class Data:
    """Rows to fit and rows that are held out, in float64.

    Attributes:
        x: Inputs of the rows to fit, (batch, inputs); a sample of them where they come in chunks.
        y: Their targets, (batch, outputs), or class numbers, (batch,).
        x_held: Inputs of the rows held out.
        y_held: Their targets.
        weights: What each row to fit counts, (batch,); all the same if None.
        weights_held: What each row held out counts.
        stream: Where the rows to fit come from if they are not all in x and y.
        count: How many rows to fit all processes have; as many as x if None.
        team: The processes that fit together, each with its own rows.
    """

    x: Tensor
    y: Tensor
    x_held: Tensor
    y_held: Tensor
    weights: Tensor | None = None
    weights_held: Tensor | None = None
    stream: Stream | None = None
    count: int | None = None
    team: Team = field(default_factory=Team)

    @property
    def equations(self) -> int:
        """The number of residuals: rows to fit times outputs."""
        rows = len(self.y) if self.count is None else self.count
        return rows * (1 if self.y.ndim == 1 else self.y.shape[1])

    def chunks(self) -> Iterator[Chunk]:
        """Go through the rows to fit of this process."""
        if self.stream is None:
            yield Chunk(self.x, self.y, self.weights)
        else:
            yield from self.stream.chunks()

    @property
    def held(self) -> Chunk:
        """The rows held out of this process."""
        return Chunk(self.x_held, self.y_held, self.weights_held)


def check(model: KAN, x: Any, y: Any, loss: Loss) -> tuple[Tensor, Tensor]:
    """Bring x and y to the form that a fit works on, or say what is wrong with them.

    Returns:
        x as (batch, inputs) in float64, y as (batch, outputs) in float64 or as class numbers.

    Raises:
        ShapeError: If the shapes do not go with the model or with each other.
        DataError: If values are missing or infinite, a column is constant, or there are too few
            rows.
    """
    x, y = read(model, x, y, loss)
    if len(x) < MIN_ROWS:
        raise DataError(f"A fit needs at least {MIN_ROWS} rows, got {len(x)}.")
    check_spread("x", x, "it carries nothing. Leave it out")
    if not isinstance(loss, CrossEntropy):
        check_spread("y", y, "there is nothing to fit")
    elif len(y.unique()) < 2:
        raise DataError("y holds one class only: there is nothing to fit.")
    return x, y


def split(
    x: Tensor,
    y: Tensor,
    held_out: float | tuple[Any, ...],
    model: KAN,
    loss: Loss,
    seed: int,
    weights: Any = None,
) -> Data:
    """Hold a share of the rows out at random, or take the rows that the caller holds out."""
    if weights is not None:  # rows of weight 0 are not there
        weights = check_weights(weights, len(x)).to(x.device)
        x, y, weights = x[weights > 0], y[weights > 0], weights[weights > 0]
    if isinstance(held_out, tuple) and len(held_out) in (2, 3):
        x_held, y_held = read(model, held_out[0], held_out[1], loss, of=" of held_out")
        if len(x_held) < 2:
            raise DataError(f"held_out needs at least 2 rows, got {len(x_held)}.")
        held_weights = check_weights(held_out[2], len(x_held)) if len(held_out) == 3 else None
        return Data(x, y, x_held, y_held, weights=weights, weights_held=held_weights)
    share = check_share(held_out)
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(x), generator=generator).to(x.device)
    count = min(max(2, round(share * len(x))), len(x) - 2)
    held, fitted = order[:count], order[count:]
    fit, kept = (Chunk(x, y, weights).take(rows) for rows in (fitted, held))
    return Data(fit.x, fit.y, kept.x, kept.y, weights=fit.weights, weights_held=kept.weights)


def check_share(held_out: Any) -> float:
    """Check the share of the rows to hold out."""
    if not isinstance(held_out, Real) or not 0 < float(held_out) < 1:
        raise ConfigError(
            f"held_out is a share of the rows between 0 and 1, or a pair (x, y). Got {held_out!r}."
        )
    return float(held_out)


def check_weights(weights: Any, rows: int) -> Tensor:
    """Bring the weights of rows to float64, or say what is wrong with them."""
    weights = tensor_of("weights", weights).detach().to(torch.float64)
    if weights.shape != (rows,):
        raise ShapeError(
            f"weights must have the shape ({rows},), one for each row of x, "
            f"got {tuple(weights.shape)}."
        )
    check_finite("weights", weights.unsqueeze(-1))
    if bool((weights < 0).any()) or (rows and not bool((weights > 0).any())):
        raise DataError(
            f"weights must be 0 or more and not all 0, got {float(weights.min()):g} to "
            f"{float(weights.max()):g}."
        )
    return weights


def read(
    model: KAN, x: Any, y: Any, loss: Loss, of: str = "", checked: bool = True
) -> tuple[Tensor, Tensor]:
    """Bring x and y to float64 and the right shape, and check that they are numbers."""
    x, y = tensor_of("x" + of, x), tensor_of("y" + of, y)
    if x.ndim != 2 or x.shape[1] != model.in_features:
        raise ShapeError(
            f"x{of} must have the shape (batch, {model.in_features}) for this network, "
            f"got {tuple(x.shape)}."
        )
    if y.ndim == 0:
        raise ShapeError(
            f"y{of} must have a row for each of the {len(x)} rows of x, got one number."
        )
    if len(y) != len(x):
        raise ShapeError(
            f"x{of} has {len(x)} rows and y{of} has {len(y)}: they must be the same rows."
        )
    for name, tensor in (("x", x), ("y", y)):
        if tensor.device != model.device:
            raise DataError(
                f"{name}{of} is on {tensor.device} and the model on {model.device}: "
                f"move one of them with .to(...)."
            )
    x = x.detach().to(torch.float64)
    if checked:
        _check_values("x" + of, x)
    if isinstance(loss, CrossEntropy):
        return x, _class_numbers(y, model.out_features, of)
    y = y.detach().to(torch.float64)
    if y.ndim == 1:
        y = y.unsqueeze(-1)
    if y.shape != (len(x), model.out_features):
        raise ShapeError(
            f"y{of} must have the shape ({len(x)}, {model.out_features}) for this network, "
            f"got {tuple(y.shape)}."
        )
    if checked:
        _check_values("y" + of, y)
    return x, y


def _check_values(name: str, tensor: Tensor) -> None:
    check_finite(name, tensor)
    if tensor.numel() and float(tensor.abs().max()) > _LARGEST:
        raise DataError(
            f"{name} goes up to {float(tensor.abs().max()):.2g}, and squares of that overflow: "
            "give it in another unit."
        )


def check_spread(name: str, tensor: Tensor, consequence: str) -> None:
    for column, (low, high) in enumerate(zip(tensor.amin(0), tensor.amax(0), strict=True)):
        if bool(low == high):
            raise DataError(
                f"Column {column} of {name} is constant ({float(low):g}): {consequence}."
            )
        if float(high - low) < 1 / _LARGEST:
            raise DataError(
                f"Column {column} of {name} varies by {float(high - low):.2g} only, and squares "
                "of that underflow: give it in another unit."
            )


def _class_numbers(y: Tensor, classes: int, of: str) -> Tensor:
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.ndim != 1:
        raise ShapeError(
            f"For cross-entropy y{of} holds class numbers, of shape (batch,). Got {tuple(y.shape)}."
        )
    if classes < 2:
        raise ShapeError(
            "Cross-entropy needs an output for each class: make a network of 2 outputs or more."
        )
    whole = y.detach().to(torch.int64)
    if bool(((whole != y) | (whole < 0) | (whole >= classes)).any()):
        raise DataError(
            f"For cross-entropy y{of} holds class numbers from 0 to {classes - 1}, "
            f"got values from {y.min().item():g} to {y.max().item():g}."
        )
    return whole
