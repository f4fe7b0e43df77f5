"""The stages of a search: drop noise, lock edges, try plainer words, make constants exact."""

from __future__ import annotations

import copy
import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from scipy.optimize import curve_fit
from torch import Tensor

import edgewise as ew
from builders import evidence_for, noise, put, sample
from edgewise._layer import Lock
from edgewise._symbolic._beam import search
from edgewise._symbolic._eliminate import eliminate
from edgewise._symbolic._evidence import Evidence, Place, locks, numeric_edges
from edgewise._symbolic._exact import make_exact
from edgewise._symbolic._gauge import fix_gauge
from edgewise._symbolic._plainer import make_plainer


def fitted(widths: list[Any], x: Tensor, y: Tensor) -> ew.KAN:
    return ew.fit(ew.KAN(widths), x, y, seed=0, progress=False).model


def words(model: ew.KAN) -> dict[tuple[int, ...], str]:
    return {tuple(edge): lock.primitive.name for edge, lock in locks(model).items()}


# eliminate


def test_edges_of_noise_go_and_edges_of_the_law_stay() -> None:
    x = sample(300, 3)
    y = torch.sin(3 * x[:, :1]) + 0.2 * x[:, 1:2] ** 2 + 0.05 * noise(300, 1)
    model = fitted([3, 1], x, y)
    before = copy.deepcopy(model.state_dict())
    smaller = eliminate(model, evidence_for(model, x, y))
    assert smaller.edges() == [(0, 0, 0), (0, 1, 0)]
    assert smaller.in_features == 3
    assert all(torch.equal(model.state_dict()[key], before[key]) for key in before)
    assert len(model.edges()) == 3


def test_a_small_edge_stays_where_there_is_no_noise() -> None:
    x = sample(200, 2)
    y = x[:, :1] + 1e-4 * torch.sin(2 * x[:, 1:])
    model = fitted([2, 1], x, y)
    assert len(eliminate(model, evidence_for(model, x, y)).edges()) == 2


def test_what_only_a_dropped_edge_has_fed_goes_too() -> None:
    x = sample(200, 2)
    model = ew.KAN([2, 2, 1])
    for o, i in ((0, 1), (1, 0)):
        model.parts()[0][0].remove(o, i)
    put(model, (0, 0, 0), "x", 1, 0, 1, 0)
    put(model, (0, 1, 1), "sin", 5, 0, 1, 0)
    put(model, (1, 0, 0), "exp", 1, 0, 1, 0)
    put(model, (1, 1, 0), "x", 1, 0, 1e-3, 0.7)  # leaves 0.7 behind
    y = torch.exp(x[:, :1]) + 0.7 + 0.1 * noise(200, 1)
    smaller = eliminate(model, evidence_for(model, x, y))
    assert smaller.widths == [2, 1, 1]
    torch.testing.assert_close(smaller(x), torch.exp(x[:, :1]) + 0.7, rtol=0, atol=0.1)


def test_every_output_keeps_an_edge() -> None:
    x = sample(200, 2)
    y = torch.cat([x[:, :1], 0.01 * noise(200, 1)], 1)
    model = ew.KAN([2, 2])
    put(model, (0, 0, 0), "x", 1, 0, 1, 0)
    with torch.no_grad():
        model.parts()[0][0].coef[1] = 0.5  # a constant that fits badly
        y[:, 1] += 1
    smaller = eliminate(model, evidence_for(model, x, y))
    assert {edge.target for edge in smaller.edges()} == {0, 1}


# search


def test_each_edge_gets_its_word() -> None:
    x = sample(300, 3)
    y = torch.sin(4 * x[:, :1]) + x[:, 1:2] ** 2 + torch.exp(2 * x[:, 2:])
    model = fitted([3, 1], x, y)
    read = search(model, evidence_for(model, x, y), ew.PRIMITIVES)
    assert words(read) == {(0, 0, 0): "sin", (0, 1, 0): "x^2", (0, 2, 0): "exp"}
    assert words(model) == {}


def test_an_edge_like_no_word_stays_numeric() -> None:
    x = sample(400, 2)
    y = torch.sin(4 * x[:, :1]) + torch.sin(6 * x[:, 1:]) * torch.exp(x[:, 1:])
    model = fitted([2, 1], x, y)
    read = search(model, evidence_for(model, x, y), ew.PRIMITIVES)
    assert words(read) == {(0, 0, 0): "sin"}
    assert numeric_edges(read) == ((0, 1, 0),)


def test_an_edge_that_is_constant_does_no_harm() -> None:
    x = sample(100, 1)
    model = fitted([1, 1], x, x**2)
    wide = ew.KAN([1, 2], grid=model.grid)
    with torch.no_grad():
        wide.parts()[0][0].basis = model.parts()[0][0].basis
        wide.parts()[0][0].coef[0] = model.parts()[0][0].coef[0]
        wide.parts()[0][0].coef[1] = 0
    y = torch.cat([x**2, 1e-3 * noise(100, 1)], 1)
    read = search(wide, evidence_for(wide, x, y), ew.PRIMITIVES)
    assert words(read)[0, 0, 0] == "x^2"


def test_without_words_nothing_is_locked() -> None:
    x = sample(100, 1)
    model = fitted([1, 1], x, x**2)
    assert words(search(model, evidence_for(model, x, x**2), ew.Library([]))) == {}


# make_plainer


def test_a_line_that_was_taken_for_a_bend_becomes_a_line() -> None:
    x = sample(200, 2)
    y = 2 * x[:, :1] + torch.exp(2 * x[:, 1:]) + 0.1 * noise(200, 1)
    model = ew.KAN([2, 1])
    put(model, (0, 0, 0), "exp", 0.01, 0, 200, -200)
    put(model, (0, 1, 0), "exp", 2, 0, 1, 0)
    plain = make_plainer(model, evidence_for(model, x, y), ew.PRIMITIVES)
    assert words(plain) == {(0, 0, 0): "x", (0, 1, 0): "exp"}
    a, _, c, _ = locks(plain)[ew.Edge(0, 0, 0)].constants.tolist()
    assert a * c == pytest.approx(2, abs=0.05)
    assert words(model)[0, 0, 0] == "exp"


# make_exact


@pytest.fixture
def decay() -> tuple[ew.KAN, Evidence]:
    """1.37 exp(-x/2) + 3 with noise: two constants are exact, one is not."""
    x = 3 * sample(400, 1).abs()
    y = 1.3718 * torch.exp(-0.5 * x) + 3 + 0.003 * noise(400, 1)
    model = ew.KAN([1, 1])
    put(model, (0, 0, 0), "exp", -0.45, 0, 1.4, 2.9)
    model = fix_gauge(model)
    return model, evidence_for(model, x, y)


def test_exact_constants_are_found_and_the_others_fitted_anew(
    decay: tuple[ew.KAN, Evidence],
) -> None:
    model, evidence = decay
    found, exact = make_exact(model, evidence)
    edge = ew.Edge(0, 0, 0)
    assert {place: number.factor for place, number in exact.items()} == {
        Place(edge, 0): Fraction(-1, 2),
        Place(edge, 3): Fraction(3),
    }
    x, y = evidence.data.x[:, 0].numpy(), evidence.data.y[:, 0].numpy()
    (c,), _ = curve_fit(lambda t, c: c * np.exp(-t / 2) + 3, x, y, p0=(1,))
    (lock,) = locks(found).values()
    assert lock.constants.tolist() == pytest.approx([-0.5, 0, c, 3], rel=1e-8)
    assert lock.free.tolist() == [False, False, True, False]
    (before,) = locks(model).values()
    assert before.constants.tolist() == pytest.approx([-0.45, 0, 1.4, 2.9])


def test_of_constants_that_do_the_same_one_becomes_plain() -> None:
    """2.0711 x + 1.2345 (x + 0.37)^2: the middle of the square is redundant beside a line."""
    x = sample(200, 1)
    y = 2.0711 * x + 1.2345 * (x + 0.37) ** 2 + 1e-3 * noise(200, 1)
    model = ew.KAN([1, 2, 1])
    put(model, (0, 0, 0), "x^2", 1, 0.3, 1.2, 0)
    put(model, (0, 0, 1), "x", 1, 0, 2, 0)
    for i in range(2):
        put(model, (1, i, 0), "x", 1, 0, 1, 0)
    model = fix_gauge(model)
    evidence = evidence_for(model, x, y)
    found, exact = make_exact(model, evidence)
    assert exact[Place(ew.Edge(0, 0, 0), 1)].value == 0
    estimates = {e.place: e for e in evidence.estimates(found)}
    expected, covariance = np.polyfit(x[:, 0].numpy(), y[:, 0].numpy(), 2, cov=True)
    for place, value, error in zip(
        (Place(ew.Edge(1, 0, 0), 2), Place(ew.Edge(1, 1, 0), 2), Place(ew.Edge(1, 0, 0), 3)),
        expected,
        np.sqrt(np.diag(covariance)),
        strict=True,
    ):
        assert estimates[place].value == pytest.approx(value, abs=1e-7)
        assert estimates[place].error == pytest.approx(error, rel=1e-3)


def test_a_scale_that_is_redundant_becomes_one() -> None:
    """Nothing is known of a user's ramp, and c ramp(a x) has one scale for two."""
    x = sample(200, 1)
    ramp = ew.Primitive("ramp", torch.relu, lambda u: u)
    model = ew.KAN([1, 1])
    model.parts()[0][0].lock(
        0, 0, Lock(ramp, torch.tensor([1.7, 0.1, 1.1, 0], dtype=torch.float64))
    )
    with torch.no_grad():
        y = model(x) + 1e-3 * noise(200, 1)
    found, exact = make_exact(model, evidence_for(model, x, y))
    assert exact[Place(ew.Edge(0, 0, 0), 0)].value == 1
    (lock,) = locks(found).values()
    assert lock.constants[2].item() == pytest.approx(1.7 * 1.1, rel=2e-3)


# each of them ends when it is stopped


@pytest.mark.parametrize("after", [0, 1, 2, 3])
def test_a_stage_that_is_stopped_returns_the_best_so_far(
    decay: tuple[ew.KAN, Evidence], after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, evidence = decay
    original, calls = Evidence.refit, [0]

    def refit(self: Evidence, *arguments: Any) -> Any:
        calls[0] += 1
        if calls[0] > after:
            raise KeyboardInterrupt
        return original(self, *arguments)

    monkeypatch.setattr(Evidence, "refit", refit)
    found, exact = make_exact(model, evidence)
    assert evidence.stopped == (after < 3)
    assert len(exact) == max(0, min(after - 1, 2))
    assert math.isfinite(evidence.loss_of(found))
    assert evidence.loss_of(found) <= evidence.loss_of(model)
    for place, number in exact.items():
        assert locks(found)[place.edge].constants[place.which].item() == number.value

    calls[0] = after
    evidence.stopped = False
    assert words(eliminate(model, evidence)) == words(model)
    assert words(make_plainer(model, evidence, ew.PRIMITIVES)) == words(model)
    assert evidence.stopped
