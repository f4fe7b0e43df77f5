"""Units as texts, against what the SI brochure says of them."""

from __future__ import annotations

from fractions import Fraction

import pytest
import torch

import edgewise as ew
from edgewise._symbolic._discover._units import exponents


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1", {}),
        ("m/s", {"length": 1, "time": -1}),
        ("kg m/s^2", {"mass": 1, "length": 1, "time": -2}),
        ("N", {"mass": 1, "length": 1, "time": -2}),
        ("N*m", {"mass": 1, "length": 2, "time": -2}),
        ("kPa", {"mass": 1, "length": -1, "time": -2}),
        ("V/A", {"mass": 1, "length": 2, "current": -2, "time": -3}),
        ("m**(1/2)", {"length": Fraction(1, 2)}),
        ("m^-1 m", {}),
        ("rad", {}),
        ("apple/s", {"apple": 1, "time": -1}),
    ],
)
def test_a_unit_is_read(text: str, expected: dict[str, int]) -> None:
    assert exponents(text) == expected


@pytest.mark.parametrize("text", ["m//s", "m^", "3 m", "m/s)", "*m"])
def test_what_is_no_unit_is_refused(text: str) -> None:
    with pytest.raises(ew.ConfigError, match="product of powers"):
        exponents(text)


def test_a_pendulum_is_found_by_its_units() -> None:
    rows = torch.Generator().manual_seed(0)
    x = 1 + 4 * torch.rand(100, 3, dtype=torch.float64, generator=rows)
    y = 2 * torch.pi * (x[:, 0] / x[:, 1]).sqrt()
    units = {"l": "m", "g": "m/s^2", "m": "kg", "T": "s"}
    front = ew.discover(x, y, names=["l", "g", "m"], units=units, progress=False)
    assert front.exact
    torch.testing.assert_close(front.best(x)[:, 0], y)


def test_the_front_is_shown_as_it_grows(monkeypatch: pytest.MonkeyPatch) -> None:
    from edgewise._symbolic._discover import _discover

    monkeypatch.setattr(_discover, "_EVERY", 0.0)
    rows = torch.Generator().manual_seed(0)
    x = 1 + torch.rand(100, 2, dtype=torch.float64, generator=rows)
    shown: list[ew.Front] = []
    ew.discover(x, (x[:, 0] * x[:, 1]).sin() + x[:, 0], progress=shown.append, time=5)
    assert shown
    assert all(len(front) and not front.found for front in shown)
