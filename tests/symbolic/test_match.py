"""Matching edges with primitives: the right word from its own curve, and locks that go on."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest
import sympy
import torch
from scipy.optimize import curve_fit
from torch import Tensor

import edgewise as ew
from edgewise._layer import Lock
from edgewise._symbolic._match import match_all


def fitted_edge(function: Any, low: float = -1.0, high: float = 1.0) -> tuple[ew.KAN, Tensor]:
    """A network of one edge that is an interpolating spline of a function, and its inputs."""
    x = torch.linspace(low, high, 400, dtype=torch.float64).unsqueeze(-1)
    model = ew.KAN([1, 1], grid=60, degree=5, domain=(low, high))
    layer = model.parts()[0][0]
    with torch.no_grad():
        values = layer.basis(x)[:, 0]
        layer.coef[0, 0] = torch.linalg.lstsq(values, function(x)).solution[:, 0]
    return model, x


LAWS = {
    "x": lambda u: 2 * u + 1,
    "x^2": lambda u: 3 * (u - 0.2) ** 2,
    "x^3": lambda u: (u + 0.3) ** 3 - 2,
    "x^4": lambda u: (u - 0.1) ** 4,
    "x^5": lambda u: 0.5 * (u + 0.2) ** 5,
    "1/x": lambda u: 1 / (u + 1.7),
    "1/x^2": lambda u: 2 / (u - 1.6) ** 2,
    "1/x^3": lambda u: 1 / (u + 1.8) ** 3,
    "1/x^4": lambda u: 1 / (u + 1.9) ** 4,
    "sqrt": lambda u: 2 * (u + 1.3) ** 0.5,
    "1/sqrt": lambda u: (u + 1.6) ** -0.5,
    "x^1.5": lambda u: (u + 1.4) ** 1.5,
    "cbrt": lambda u: (u + 1.5) ** (1 / 3),
    "exp": lambda u: 0.3 * torch.exp(1.7 * u) + 1,
    "log": lambda u: torch.log(u + 1.5),
    "sin": lambda u: torch.sin(9 * u + 1),
    "tan": lambda u: torch.tan(1.2 * u + 0.1),
    "tanh": lambda u: torch.tanh(3 * u + 0.5),
    "sinh": lambda u: torch.sinh(2.5 * u - 1),
    "cosh": lambda u: torch.cosh(2 * u + 0.7),
    "arctan": lambda u: torch.atan(4 * u - 1),
    "arcsin": lambda u: torch.asin(0.95 * u),
    "arctanh": lambda u: torch.atanh(0.9 * u),
    "sigmoid": lambda u: torch.sigmoid(5 * u + 2),
    "gaussian": lambda u: torch.exp(-((2 * u + 0.4) ** 2)),
    "erf": lambda u: torch.erf(2 * u - 0.5),
}


@pytest.mark.parametrize("name", LAWS)
def test_each_word_is_recognized_from_its_curve(name: str) -> None:
    u = torch.linspace(-1, 1, 300, dtype=torch.float64)
    found = {m.name: m for m in match_all(u, LAWS[name](u), ew.PRIMITIVES)}
    best = min(found.values(), key=lambda match: 1 - match.r2)
    assert 1 - found[name].r2 < 1e-12
    if best.name != name:  # a cosine is a sine, a hyperbolic tangent a sigmoid
        assert {best.name, name} in ({"sin", "cos"}, {"tanh", "sigmoid"})


@pytest.mark.parametrize("name", ["abs", "sign"])
def test_kinks_and_steps_are_recognized(name: str) -> None:
    u = torch.linspace(-1, 1, 301, dtype=torch.float64)
    v = 2 * ew.PRIMITIVES[name].torch(u - 0.2) + 1
    (match,) = match_all(u, v, ew.PRIMITIVES.only(name))
    assert match.r2 > 0.999


def test_constants_equal_those_of_scipy() -> None:
    u = torch.linspace(0, 4, 200, dtype=torch.float64)
    noise = torch.randn(200, dtype=torch.float64)
    v = 1.5 * torch.exp(-0.8 * u) + 0.3 + 0.05 * noise
    (match,) = match_all(u, v, ew.PRIMITIVES.only("exp"))
    a, b, c, d = match.constants
    (rate, size, shift), _ = curve_fit(
        lambda t, rate, size, shift: size * torch.exp(rate * torch.as_tensor(t)).numpy() + shift,
        u.numpy(),
        v.numpy(),
        p0=(-1, 1, 0),
    )
    assert a == pytest.approx(rate, rel=1e-5)
    assert c * torch.exp(torch.tensor(b)) == pytest.approx(size, rel=1e-5)
    assert d == pytest.approx(shift, abs=1e-5)


def test_suggestions_are_ranked_and_can_be_read() -> None:
    model, x = fitted_edge(lambda u: torch.sin(3 * u))
    table = ew.suggest(model, (0, 0, 0), x, top=5)
    assert len(table) == 5
    assert table[0].name in ("sin", "cos")
    assert table[0].complexity == ew.PRIMITIVES["sin"].complexity
    assert [match.name for match in table] == [table[i].name for i in range(5)]
    words = str(table)
    assert "edge 0:0->0" in words
    assert "1 - R^2" in words
    assert all(match.name in words for match in table)


def test_of_equals_the_plainer_comes_first() -> None:
    model, x = fitted_edge(lambda u: 2 * u + 1)  # a line is many things over a short range
    assert ew.suggest(model, (0, 0, 0), x)[0].name == "x"


def test_a_word_of_ones_own_is_enough_to_lock() -> None:
    sinc = ew.Primitive("sinc", torch.sinc, lambda u: sympy.sinc(sympy.pi * u))
    model, x = fitted_edge(lambda u: 2 * torch.sinc(3 * u) - 1)
    library = ew.PRIMITIVES.plus(sinc)
    assert ew.suggest(model, (0, 0, 0), x, library=library)[0].name == "sinc"
    locked = ew.lock(model, (0, 0, 0), sinc, x)
    torch.testing.assert_close(locked(x), 2 * torch.sinc(3 * x) - 1, rtol=0, atol=1e-6)


def test_any_power_is_known_by_its_name() -> None:
    model, x = fitted_edge(lambda u: 2 * (u + 1.5) ** 7)
    locked = ew.lock(model, (0, 0, 0), "x^7", x)
    torch.testing.assert_close(locked(x), model(x), rtol=1e-5, atol=1e-5)


def test_locking_copies_and_keeps_the_function() -> None:
    model, x = fitted_edge(lambda u: torch.exp(u))
    before = copy.deepcopy(model.state_dict())
    locked = ew.lock(model, ew.Edge(0, 0, 0), "exp", x)
    torch.testing.assert_close(locked(x), torch.exp(x), rtol=0, atol=1e-7)
    assert len(model.parts()[0][0].locks) == 0
    assert all(torch.equal(model.state_dict()[key], before[key]) for key in before)
    assert locked.edges() == model.edges()


def test_a_lock_goes_on_being_fitted() -> None:
    x = 2 * torch.rand(200, 2, dtype=torch.float64) - 1
    y = torch.sin(2 * x[:, :1]) + x[:, 1:] ** 2
    rough = ew.fit(ew.KAN([2, 1]), x, y, seed=0, refine=False, progress=False).model
    locked = ew.lock(rough, (0, 0, 0), "sin", x)
    result = ew.fit(locked, x, y, seed=0, progress=False)
    ((_, lock),) = result.model.parts()[0][0].locked()
    assert lock.primitive.name == "sin"
    assert abs(lock.constants[0].item()) == pytest.approx(2, abs=1e-6)
    assert result.held_out < 1e-6


def test_float32_networks_can_be_matched() -> None:
    model = ew.KAN([1, 1], dtype=torch.float32)
    x = torch.linspace(-1, 1, 100).unsqueeze(-1)
    locked = ew.lock(model, (0, 0, 0), "x", x)
    assert locked.dtype == torch.float32
    assert locked(x).dtype == torch.float32


# messages


def test_an_edge_must_be_there() -> None:
    model, x = fitted_edge(torch.sin)
    for edge in ((0, 0, 1), (1, 0, 0), (0, 3, 0)):
        with pytest.raises(ew.ConfigError, match=r"There is no edge .* or it is switched off"):
            ew.suggest(model, edge, x)
    model.parts()[0][0].remove(0, 0)
    with pytest.raises(ew.ConfigError, match="or it is switched off"):
        ew.lock(model, (0, 0, 0), "sin", x)


@pytest.mark.parametrize(
    ("x", "kind", "message"),
    [
        (torch.zeros(1, 1), ew.DataError, "Matching needs at least 2 rows of inputs, got 1"),
        (torch.full((5, 1), torch.nan), ew.DataError, "x has 5 missing or infinite values"),
        (torch.zeros(5, 3), ew.ShapeError, r"takes inputs of shape \(batch, 1\), got \(5, 3\)"),
    ],
)
def test_what_does_not_represent_the_data(x: Tensor, kind: type[Exception], message: str) -> None:
    model, _ = fitted_edge(torch.sin)
    with pytest.raises(kind, match=message):
        ew.suggest(model, (0, 0, 0), x.double())
    with pytest.raises(kind, match=message):
        ew.lock(model, (0, 0, 0), "sin", x.double())


def test_a_constant_curve_is_a_line_without_slope() -> None:
    u = torch.linspace(-1, 1, 50, dtype=torch.float64)
    for match in match_all(u, torch.full_like(u, 3.0), ew.PRIMITIVES.only("x", "sin", "exp")):
        a, b, c, d = match.constants
        values = c * match.primitive.torch(a * u + b) + d
        torch.testing.assert_close(values, torch.full_like(u, 3.0))
        assert match.r2 == 1


def test_over_one_point_there_is_a_constant() -> None:
    u = torch.full((50,), 2.0, dtype=torch.float64)
    (match,) = match_all(u, 3 * u, ew.PRIMITIVES.only("sin"))
    a, b, c, d = match.constants
    assert c * math.sin(2 * a + b) + d == pytest.approx(6)


def test_a_constant_edge_matches_nothing() -> None:
    model, x = fitted_edge(torch.ones_like)
    with torch.no_grad():
        model.parts()[0][0].coef.fill_(1.0)
    with pytest.raises(ew.DataError, match="edge 0:0->0 is constant over these data"):
        ew.suggest(model, (0, 0, 0), x)


def test_an_unknown_word_is_refused() -> None:
    model, x = fitted_edge(torch.sin)
    with pytest.raises(ew.ConfigError, match="no primitive 'sine'"):
        ew.lock(model, (0, 0, 0), "sine", x)


def test_a_word_without_values_is_refused() -> None:
    nowhere = ew.Primitive("nowhere", lambda u: u * torch.nan, lambda u: u)
    model, x = fitted_edge(torch.sin)
    with pytest.raises(ew.ConfigError, match="nowhere has no finite values over the range"):
        ew.lock(model, (0, 0, 0), nowhere, x)


def test_a_locked_edge_can_be_matched_again() -> None:
    model, x = fitted_edge(lambda u: torch.sin(2 * u))
    numbers = torch.tensor([2.0, 0, 1, 0], dtype=torch.float64)
    model.parts()[0][0].lock(0, 0, Lock(ew.PRIMITIVES["sin"], numbers))
    assert ew.suggest(model, (0, 0, 0), x)[0].name == "sin"
