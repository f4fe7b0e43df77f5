"""Gauges: fixing them leaves the function as it is, and gives equal laws equal constants."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

import edgewise as ew
from builders import put
from edgewise._layer import Lock
from edgewise._symbolic._gauge import fix_gauge, fix_primitive

EVERYWHERE = ["x", "x^2", "x^3", "exp", "sin", "cos", "tanh", "sinh", "gaussian", "arctan", "abs"]


def constants(model: ew.KAN) -> list[list[float]]:
    return [lock.constants.tolist() for layer, _ in model.parts() for _, lock in layer.locked()]


def network(widths: list[Any], seed: int) -> ew.KAN:
    """Most edges locked to random words with random constants, some numeric, some off."""
    torch.manual_seed(seed)
    model = ew.KAN(widths)
    for edge in model.edges():
        match int(torch.randint(8, ())):
            case 0:
                model.parts()[edge.layer][0].remove(edge.target, edge.source)
            case 1:
                pass
            case _:
                name = EVERYWHERE[int(torch.randint(len(EVERYWHERE), ()))]
                a, b, c, d = (0.2 + torch.rand(4)) * torch.randint(2, (4,)).mul(2).sub(1)
                put(model, edge, name, *map(float, (a, b, c, d)))
    return model


@given(
    hidden=st.lists(st.sampled_from([1, 2, (1, 1), (0, 1), (0, 2), (1, [3, 2])]), max_size=2),
    output=st.sampled_from([1, 2, (0, 1), (1, 1), (0, [3])]),
    seed=st.integers(0, 2**16),
)
def test_the_function_stays(hidden: list[Any], output: Any, seed: int) -> None:
    model = network([2, *hidden, output], seed)
    x = 2 * torch.rand(30, 2, dtype=torch.float64) - 1
    before, keep = model(x), copy.deepcopy(model.state_dict())
    fixed = fix_gauge(model)
    scale = before.detach().abs().amax() + 1
    torch.testing.assert_close(fixed(x), before, rtol=0, atol=float(1e-9 * scale))
    torch.testing.assert_close(fix_gauge(fixed)(x), before, rtol=0, atol=float(1e-9 * scale))
    assert all(torch.equal(model.state_dict()[key], keep[key]) for key in keep)


@given(name=st.sampled_from([p.name for p in ew.PRIMITIVES]), seed=st.integers(0, 2**16))
def test_a_single_word_keeps_its_values(name: str, seed: int) -> None:
    torch.manual_seed(seed)
    numbers = torch.randn(4, dtype=torch.float64) * torch.tensor([2.0, 2, 1, 1])
    lock = Lock(ew.PRIMITIVES[name], numbers)
    x = torch.linspace(-1, 1, 50, dtype=torch.float64)
    before = lock(x).detach()
    with torch.no_grad():
        fix_primitive(lock)
    finite = before.isfinite()
    torch.testing.assert_close(lock(x).detach()[finite], before[finite], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ("name", "given_as", "fixed", "free"),
    [
        ("x", (2, 3, 4, 5), (1, 0, 8, 17), "cd"),
        ("x^2", (-3, 6, 2, 1), (1, -2, 18, 1), "bcd"),
        ("1/x", (4, 2, 2, 0), (1, 0.5, 0.5, 0), "bcd"),
        ("sqrt", (4, 8, 1, 0), (1, 2, 2, 0), "bcd"),
        ("sqrt", (-4, 8, 1, 0), (-1, 2, 2, 0), "bcd"),
        ("exp", (2, math.log(3), 5, 1), (2, 0, 15, 1), "acd"),
        ("exp", (1, -2000, 5, 1), (1, math.log(5) - 2000, 1, 1), "abd"),  # e^-2000 is no number
        ("exp", (-1, 2000, -5, 1), (-1, math.log(5) + 2000, -1, 1), "abd"),
        ("log", (math.e, 0, 2, 1), (1, 0, 2, 3), "bcd"),
        ("sin", (-2, 1, 3, 0), (2, -1, -3, 0), "abcd"),
        ("sin", (2, math.pi + 0.5, 3, 0), (2, 0.5, -3, 0), "abcd"),
        ("cos", (-2, 1, 3, 0), (2, -1, 3, 0), "abcd"),
        ("gaussian", (-2, 1, 3, 0), (2, -1, 3, 0), "abcd"),
        ("tanh", (-2, 1, 3, 0), (2, -1, -3, 0), "abcd"),
        ("arcsin", (-0.5, 0.25, 3, 0), (0.5, -0.25, -3, 0), "abcd"),
        ("abs", (-2, 1, 3, 0), (1, -0.5, 6, 0), "bcd"),
        ("1/x^3", (-2, 1, 8, 0), (1, -0.5, -1, 0), "bcd"),
        ("sigmoid", (-2, 1, 3, 0), (-2, 1, 3, 0), "abcd"),
    ],
)
def test_redundant_constants_go_to_one_place(
    name: str, given_as: tuple[float, ...], fixed: tuple[float, ...], free: str
) -> None:
    lock = Lock(ew.PRIMITIVES[name], torch.tensor(given_as, dtype=torch.float64))
    with torch.no_grad():
        fix_primitive(lock)
    assert lock.constants.tolist() == pytest.approx(list(fixed), rel=1e-12, abs=1e-12)
    assert (
        "".join(letter for letter, is_free in zip("abcd", lock.free, strict=True) if is_free)
        == free
    )


def test_a_word_that_is_zero_near_zero_is_not_even() -> None:
    ramp = ew.Primitive("ramp", lambda u: torch.relu(u - 1), lambda u: u)
    lock = Lock(ramp, torch.tensor([-4.0, 0, 2, 0], dtype=torch.float64))
    with torch.no_grad():
        fix_primitive(lock)
    assert lock.constants.tolist() == [-4, 0, 2, 0]


def test_a_steep_exponential_takes_its_shift_from_a_hidden_node() -> None:
    """exp((x + 2000) - 2001): what is moved may be large, the law is not."""
    model = ew.KAN([1, 1, 1])
    put(model, (0, 0, 0), "x", 1, 0, 1, 2000)
    put(model, (1, 0, 0), "exp", 1, -2001, 3, 0)
    fixed = fix_gauge(model)
    x = torch.linspace(-1, 1, 20, dtype=torch.float64).unsqueeze(-1)
    torch.testing.assert_close(fixed(x), 3 * torch.exp(x - 1), rtol=1e-11, atol=0)
    ((_, outer),) = fixed.parts()[1][0].locked()
    assert outer.constants.tolist() == pytest.approx([1, 0, 3 / math.e, 0])
    assert outer.free.tolist() == [False, False, True, True]


def moved(model: ew.KAN, shift: float, scale: float) -> ew.KAN:
    """The same function with a shift and a scale moved across the hidden node by hand."""
    model = copy.deepcopy(model)
    first, second = (layer for layer, _ in model.parts())
    with torch.no_grad():
        for (_, _), lock in first.locked():
            lock.constants[2:] *= scale
        next(iter(first.locked()))[1].constants[3] += shift
        for _, lock in second.locked():
            a, b, c, d = lock.constants
            lock.constants.copy_(torch.stack([a / scale, b - a * shift / scale, c, d]))
    return model


@pytest.mark.parametrize("outer", ["exp", "x^2", "sin", "sqrt", "tanh"])
def test_equal_laws_get_equal_constants(outer: str) -> None:
    model = ew.KAN([2, 1, 1])
    put(model, (0, 0, 0), "sin", 3, 0.4, 0.3, 0.1)
    put(model, (0, 1, 0), "x^2", 1, 0.2, 0.5, 0.9)
    put(model, (1, 0, 0), outer, 0.7, 1.1, 2, -1)
    x = 2 * torch.rand(20, 2, dtype=torch.float64) - 1
    other = moved(model, shift=0.37, scale=2.5)
    torch.testing.assert_close(other(x), model(x), rtol=1e-12, atol=1e-12)
    ours, theirs = constants(fix_gauge(model)), constants(fix_gauge(other))
    for a, b in zip(ours, theirs, strict=True):
        assert a == pytest.approx(b, rel=1e-9, abs=1e-9)


def test_no_constant_is_free_twice() -> None:
    """Of exp(sin(3 x1 + b) + c x2^2) and so on, the free constants are the law's own."""
    model = ew.KAN([2, 1, 1])
    put(model, (0, 0, 0), "sin", 3, 0.4, 0.3, 0.1)
    put(model, (0, 1, 0), "x^2", 1.3, 0.2, 0.5, 0.9)
    put(model, (1, 0, 0), "exp", 0.7, 1.1, 2, -1)
    fixed = fix_gauge(model)
    x = 2 * torch.rand(200, 2, dtype=torch.float64) - 1
    free = [lock for layer, _ in fixed.parts() for _, lock in layer.locked()]

    def evaluate(*numbers: Tensor) -> Tensor:
        named = {
            f"layers.{depth}.locks.{key}.constants": torch.where(lock.free, number, lock.constants)
            for number, (depth, key, lock) in zip(
                numbers,
                [
                    (depth, key, lock)
                    for depth, layer in enumerate(fixed.layers)
                    for key, lock in layer.locks.items()
                ],
                strict=True,
            )
        }
        return torch.func.functional_call(fixed, named, (x,))[:, 0]

    columns = torch.autograd.functional.jacobian(
        evaluate, tuple(lock.constants.detach() for lock in free)
    )
    J = torch.cat([c[:, lock.free] for c, lock in zip(columns, free, strict=True)], 1)
    J = J / J.norm(dim=0)
    assert J.shape[1] == 7  # frequency, phase, two sizes, a middle, a factor, a shift
    assert int(torch.linalg.matrix_rank(J, rtol=1e-10)) == J.shape[1]
