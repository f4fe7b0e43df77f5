"""Data as users have them: tensors, NumPy's arrays, and lists of numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from edgewise._errors import DataError


def tensor_of(name: str, values: Any) -> Tensor:
    """Take a tensor, or copy what NumPy reads as numbers."""
    if not isinstance(values, Tensor):
        values = _copied(name, values)
    if values.is_complex():
        raise DataError(f"{name} is complex: split it into real and imaginary parts.")
    return values


def _copied(name: str, values: Any) -> Tensor:
    try:
        array = np.array(values)  # a copy: torch takes no read-only, reversed or big-endian arrays
        if array.dtype.kind == "O" or (array.dtype.kind == "f" and array.dtype.itemsize > 8):
            array = array.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"{name} is not an array of numbers: {error}.") from error
    if array.dtype.kind not in "biufc":
        raise DataError(f"{name} must hold numbers, got an array of {array.dtype}.")
    return torch.from_numpy(array.astype(array.dtype.newbyteorder("="), copy=False))


def like_tensor(name: str, values: Any, like: Tensor) -> Tensor:
    """Leave a tensor as it is; bring any other array to the precision and device of `like`."""
    if isinstance(values, Tensor):
        return values
    return tensor_of(name, values).to(dtype=like.dtype, device=like.device)


def check_tensor(x: Any, what: str, like: Tensor) -> None:
    """Check that a module is called with a tensor, as torch's modules are."""
    if not isinstance(x, Tensor):
        raise DataError(
            f"{what} takes a tensor, as all modules of torch do, got {type(x).__name__}. Convert "
            f"it: torch.as_tensor(x, dtype={like.dtype})."
        )
