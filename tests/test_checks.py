"""The net under all tests: shapes are checked at run time."""

from __future__ import annotations

import pytest
import torch
from jaxtyping import TypeCheckError

import edgewise as ew


def test_a_wrong_shape_is_caught_by_its_annotation() -> None:
    basis = ew.bases.BSpline(2)
    with pytest.raises(TypeCheckError):
        basis.values(torch.zeros(3))


def test_an_unchecked_call_reaches_our_own_message(unchecked: None) -> None:
    layer = ew.KANLayer(ew.bases.BSpline(2), 1)
    with pytest.raises(ew.ShapeError, match=r"inputs of shape \(batch, 2\), got \(3,\)"):
        layer(torch.zeros(3))
