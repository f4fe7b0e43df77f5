"""Check what is to be fitted, and hold rows out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from edgewise._errors import ConfigError, DataError, ShapeError
from edgewise._fit._losses import CrossEntropy, Loss
from edgewise._network import KAN

MIN_ROWS = 10


@dataclass(frozen=True)
class Data:
    """Rows to fit and rows that are held out, in float64.

    Attributes:
        x: Inputs of the rows to fit, (batch, inputs).
        y: Their targets, (batch, outputs), or class numbers, (batch,).
        x_held: Inputs of the rows held out.
        y_held: Their targets.
    """

    x: Tensor
    y: Tensor
    x_held: Tensor
    y_held: Tensor


def check(model: KAN, x: Any, y: Any, loss: Loss) -> tuple[Tensor, Tensor]:
    """Bring x and y to the form that a fit works on, or say what is wrong with them.

    Returns:
        x as (batch, inputs) in float64, y as (batch, outputs) in float64 or as class numbers.

    Raises:
        ShapeError: If the shapes do not go with the model or with each other.
        DataError: If values are missing or infinite, a column is constant, or there are too few rows.
    """
    x, y = torch.as_tensor(x), torch.as_tensor(y)
    if x.ndim != 2 or x.shape[1] != model.in_features:
        raise ShapeError(
            f"x must have the shape (batch, {model.in_features}) for this network, "
            f"got {tuple(x.shape)}."
        )
    if len(y) != len(x):
        raise ShapeError(f"x has {len(x)} rows and y has {len(y)}: they must be the same rows.")
    for name, tensor in (("x", x), ("y", y)):
        if tensor.device != model.device:
            raise DataError(
                f"{name} is on {tensor.device} and the model on {model.device}: "
                f"move one of them with .to(...)."
            )
        if tensor.is_complex():
            raise DataError(f"{name} is complex: split it into real and imaginary parts.")
    if len(x) < MIN_ROWS:
        raise DataError(f"A fit needs at least {MIN_ROWS} rows, got {len(x)}.")
    x = x.detach().to(torch.float64)
    _check_finite("x", x)
    for column in range(x.shape[1]):
        if bool((x[:, column] == x[0, column]).all()):
            raise DataError(
                f"Column {column} of x is constant ({float(x[0, column]):g}): it carries nothing. "
                "Leave it out."
            )
    if isinstance(loss, CrossEntropy):
        return x, _class_numbers(y, model.out_features)
    y = y.detach().to(torch.float64)
    if y.ndim == 1:
        y = y.unsqueeze(-1)
    if y.shape != (len(x), model.out_features):
        raise ShapeError(
            f"y must have the shape ({len(x)}, {model.out_features}) for this network, "
            f"got {tuple(y.shape)}."
        )
    _check_finite("y", y)
    for column in range(y.shape[1]):
        if bool((y[:, column] == y[0, column]).all()):
            raise DataError(
                f"Column {column} of y is constant ({float(y[0, column]):g}): there is nothing to fit."
            )
    return x, y


def split(
    x: Tensor, y: Tensor, held_out: float | tuple[Any, Any], model: KAN, loss: Loss, seed: int
) -> Data:
    """Hold a share of the rows out at random, or take the rows that the caller holds out."""
    if isinstance(held_out, tuple):
        return Data(x, y, *check(model, *held_out, loss))
    if not 0 < held_out < 1:
        raise ConfigError(
            f"held_out is a share of the rows between 0 and 1, or a pair (x, y). Got {held_out}."
        )
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(x), generator=generator).to(x.device)
    count = min(max(2, round(held_out * len(x))), len(x) - 2)
    held, fitted = order[:count], order[count:]
    return Data(x[fitted], y[fitted], x[held], y[held])


def _check_finite(name: str, tensor: Tensor) -> None:
    bad = ~torch.isfinite(tensor)
    if bool(bad.any()):
        row, column = bad.nonzero()[0].tolist()
        raise DataError(
            f"{name} has {int(bad.sum())} missing or infinite values; the first is in row {row}, "
            f"column {column}. Remove or fill these rows."
        )


def _class_numbers(y: Tensor, classes: int) -> Tensor:
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.ndim != 1:
        raise ShapeError(
            f"For cross-entropy y holds class numbers, of shape (batch,). Got {tuple(y.shape)}."
        )
    if classes < 2:
        raise ShapeError(
            "Cross-entropy needs an output for each class: make a network of 2 outputs or more."
        )
    whole = y.detach().to(torch.int64)
    if bool((whole != y).any()) or int(whole.min()) < 0 or int(whole.max()) >= classes:
        raise DataError(
            f"For cross-entropy y holds class numbers from 0 to {classes - 1}, "
            f"got values from {y.min().item():g} to {y.max().item():g}."
        )
    if len(whole.unique()) < 2:
        raise DataError("y holds one class only: there is nothing to fit.")
    return whole
