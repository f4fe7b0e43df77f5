"""The 120 equations against SymPy, and against the list of AI Feynman where it is at hand."""

import math

import pytest
import sympy
import torch

from edgewise import ConfigError
from edgewise.compat.pykan import create_dataset, get_feynman_dataset
from edgewise.compat.pykan._feynman import EQUATIONS


def rows(ranges: list, inputs: int) -> torch.Tensor:
    pairs = ranges if isinstance(ranges[0], list) else [ranges] * inputs
    low, high = torch.tensor(pairs, dtype=torch.float64).T
    return low + (0.05 + 0.9 * torch.rand(20, inputs, dtype=torch.float64)) * (high - low)


@pytest.mark.parametrize("number", range(1, 121))
def test_function_is_the_expression(number: int) -> None:
    symbols, expr, f, ranges = get_feynman_dataset(number)
    x = rows(ranges, len(symbols))
    y = f(x)
    assert y.shape == (20, 1)
    assert bool(y.isfinite().all())
    for row, value in zip(x[:3].tolist(), y[:3, 0].tolist(), strict=True):
        exact = expr.subs(dict(zip(symbols, row, strict=True))).evalf(20)
        assert value == pytest.approx(float(exact), rel=1e-12, abs=1e-14)
    assert expr.free_symbols == set(symbols)
    assert not expr.atoms(sympy.Float)


def test_where_pykan_is_wrong() -> None:
    """Equations written out here by hand; pykan 0.2.8 gives other labels for them, or none."""
    u, v, c = 0.3, -0.5, 1.5
    one = lambda values: torch.tensor([values], dtype=torch.float64)  # noqa: E731
    f = get_feynman_dataset("I.16.6")[2]
    assert float(f(one([u, v, c]))) == pytest.approx((u + v) / (1 + u * v / c**2), rel=1e-14)
    m, p, w, x, a, y = 0.7, 0.2, 0.9, 0.4, 0.6, 1.3
    f = get_feynman_dataset("Goldstein 12.80")[2]
    energy = (p**2 + m**2 * w**2 * x**2 * (1 + a * x / y)) / (2 * m)
    assert float(f(one([m, p, w, x, a, y]))) == pytest.approx(energy, rel=1e-14)
    q, e, y, V, d = 0.4, 0.8, 1.7, 0.9, 0.5
    f = get_feynman_dataset(114)[2]
    force = 4 * math.pi * e * V * d - q * d * y**3 / (y**2 - d**2) ** 2
    force *= q / (4 * math.pi * e * y**2)
    assert float(f(one([q, e, y, V, d]))) == pytest.approx(force, rel=1e-14)
    q, a, e, c = 0.4, 0.8, 1.7, 0.9
    f = get_feynman_dataset("I.32.5")[2]
    power = q**2 * a**2 / (6 * math.pi * e * c**3)
    assert float(f(one([q, a, e, c]))) == pytest.approx(power, rel=1e-14)


def test_names() -> None:
    numbers = [int(line.split("|")[0]) for line in EQUATIONS.replace("|\\\n", "|").splitlines()]
    assert numbers == list(range(1, 121))
    for old, number in (("I.8.4", 4), ("Rutherforld scattering", 101), ("I.18.12", 22)):
        assert get_feynman_dataset(old)[1] == get_feynman_dataset(number)[1]
    assert get_feynman_dataset("I.18.4")[1] == get_feynman_dataset(21)[1]
    with pytest.raises(ConfigError, match="121"):
        get_feynman_dataset(121)


def test_dataset_follows() -> None:
    symbols, _, f, ranges = get_feynman_dataset(7)
    dataset = create_dataset(f, n_var=len(symbols), ranges=ranges, train_num=50)
    x = dataset["train_input"]
    assert x.shape == (50, 6)
    dot = x[:, 0] * x[:, 1] + x[:, 2] * x[:, 3] + x[:, 4] * x[:, 5]
    torch.testing.assert_close(dataset["train_label"][:, 0], dot)
    ranges[0] = 99  # the caller's list is the caller's
    assert get_feynman_dataset(7)[3] == [-1.0, 1.0]
