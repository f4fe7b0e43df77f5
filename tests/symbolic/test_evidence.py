"""Evidence: standard errors against SciPy and NumPy, costs by hand, and an end before the end."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch
from scipy.optimize import curve_fit

import edgewise as ew
from builders import evidence_for, noise, put, sample
from edgewise._fit import OutOfTime
from edgewise._symbolic._evidence import Evidence, Place, locks, numeric_edges
from edgewise._symbolic._gauge import fix_gauge


@pytest.fixture
def wave() -> tuple[ew.KAN, Evidence]:
    """2 sin(3 x_1 + 1/2) + 0.7 x_2^2 with noise, fitted, with its gauge fixed."""
    x = sample(300)
    y = 2 * torch.sin(3 * x[:, :1] + 0.5) + 0.7 * x[:, 1:] ** 2 + 0.1 * noise(300, 1)
    model = ew.KAN([2, 1])
    put(model, (0, 0, 0), "sin", 3.1, 0.4, 1.9, 0.1)
    put(model, (0, 1, 0), "x^2", 1.1, 0.02, 0.6, 0)
    model = fix_gauge(model)
    evidence = evidence_for(model, x, y)
    return evidence.refit(model, 100, 1e-6)[0], evidence


# standard errors


def test_standard_errors_are_scipys(wave: tuple[ew.KAN, Evidence]) -> None:
    model, evidence = wave
    x, y = evidence.data.x.numpy(), evidence.data.y[:, 0].numpy()
    best, covariance = curve_fit(
        lambda x, a, b, c, d, m, k: c * np.sin(a * x[:, 0] + b) + d + k * (x[:, 1] + m) ** 2,
        x,
        y,
        p0=(3, 0.5, 2, 0, 0, 0.7),
        xtol=1e-12,
    )
    found = evidence.estimates(model)
    wave_edge, square = ew.Edge(0, 0, 0), ew.Edge(0, 1, 0)
    places = [*(Place(wave_edge, n) for n in range(4)), Place(square, 1), Place(square, 2)]
    assert [estimate.place for estimate in found] == places
    assert [e.value for e in found] == pytest.approx(list(best), abs=1e-6)
    assert [e.error for e in found] == pytest.approx(list(np.sqrt(np.diag(covariance))), rel=1e-4)


def test_a_constant_through_a_hidden_node_and_a_product() -> None:
    """Against the Jacobian by finite differences, with two outputs whose errors are pooled."""
    x = sample(200)
    model = ew.KAN([2, (1, 1), 2])
    put(model, (0, 0, 0), "sin", 2, 0.3, 1, 0)
    put(model, (0, 0, 1), "x", 1, 0, 1, 0.4)
    put(model, (0, 1, 2), "x", 1, 0, 1, 0)
    put(model, (1, 0, 0), "exp", 0.5, 0, 1, 0)
    put(model, (1, 1, 1), "x", 1, 0, 0.8, 0.1)
    free = {(0, 0, 0): "ab", (0, 0, 1): "d", (0, 1, 2): "", (1, 0, 0): "ac", (1, 1, 1): "cd"}
    for edge, lock in locks(model).items():
        lock.free.copy_(torch.tensor([letter in free[tuple(edge)] for letter in "abcd"]))
    for depth, (o, i) in ((0, (0, 1)), (0, (1, 1)), (0, (2, 0)), (1, (0, 1)), (1, (1, 0))):
        model.parts()[depth][0].remove(o, i)
    with torch.no_grad():
        y = model(x) + 0.05 * noise(200, 2)
    found = evidence_for(model, x, y).estimates(model)

    columns, step = [], 1e-6
    for estimate in found:
        ends = []
        for sign in (1, -1):
            other = copy.deepcopy(model)
            with torch.no_grad():
                locks(other)[estimate.place.edge].constants[estimate.place.which] += sign * step
                ends.append(other(x).flatten().numpy())
        columns.append((ends[0] - ends[1]) / (2 * step))
    J = np.stack(columns, 1)
    with torch.no_grad():
        r = (model(x) - y).flatten().numpy()
    covariance = (r @ r) / (r.size - J.shape[1]) * np.linalg.inv(J.T @ J)
    assert len(found) == 7
    assert [e.error for e in found] == pytest.approx(list(np.sqrt(np.diag(covariance))), rel=1e-5)


def test_a_spline_beside_it_widens_the_error_of_a_constant() -> None:
    """A linear model: against the normal equations of its whole design matrix."""
    x = sample(150)
    x[:, 1] += 0.8 * x[:, 0]  # they share what they explain
    model = ew.KAN([2, 1], grid=4, domain=(-2.0, 2.0))
    put(model, (0, 0, 0), "x", 1, 0, 2, 0)
    (lock,) = locks(model).values()
    lock.free.copy_(torch.tensor([False, False, True, False]))
    y = 2 * x[:, :1] + torch.cos(x[:, 1:]) + 0.1 * noise(150, 1)
    basis = model.parts()[0][0].basis(x)[:, 1].detach().numpy()
    J = np.concatenate([basis[:, basis.any(0)], x[:, :1].numpy()], 1)
    solution = np.linalg.lstsq(J, y.numpy(), rcond=None)[0][:, 0]
    with torch.no_grad():
        layer = model.parts()[0][0]
        layer.coef[0, 1] = 0
        layer.coef[0, 1, torch.from_numpy(basis.any(0))] = torch.from_numpy(solution[:-1])
        lock.constants[2] = solution[-1]
    r = y[:, 0].numpy() - J @ solution
    freedom = 150 - basis.shape[1] - 1
    expected = math.sqrt(r @ r / freedom * np.linalg.inv(J.T @ J)[-1, -1])
    (found,) = evidence_for(model, x, y).estimates(model)
    assert found.value == pytest.approx(solution[-1])
    assert found.error == pytest.approx(expected, rel=1e-6)


def test_what_the_data_do_not_determine_has_no_finite_error() -> None:
    x = sample(100, 1)
    y = 2.4 * torch.exp(x) + 0.5 + 0.1 * noise(100, 1)
    best, covariance = curve_fit(
        lambda t, a, c, d: c * np.exp(a * t) + d, x[:, 0].numpy(), y[:, 0].numpy(), p0=(1, 2, 0)
    )
    model = ew.KAN([1, 1])
    put(model, (0, 0, 0), "exp", best[0], 0.2, best[1] * math.exp(-0.2), best[2])
    a, b, c, d = (e.error for e in evidence_for(model, x, y).estimates(model))
    assert b == c == math.inf  # they do the same
    errors = np.sqrt(np.diag(covariance))
    assert [a, d] == pytest.approx([errors[0], errors[2]], rel=1e-4)


def test_a_constant_without_any_effect_is_not_determined() -> None:
    x = sample(100)
    model = ew.KAN([2, 1])
    put(model, (0, 0, 0), "x^2", 1, 0.3, 0, 0)  # c = 0: b may be anything
    put(model, (0, 1, 0), "x", 1, 0, 1, 0)
    for lock in locks(model).values():
        lock.free.copy_(torch.tensor([False, True, lock.primitive.name == "x^2", False]))
    found = {e.place: e.error for e in evidence_for(model, x, x[:, 1:] + 0.1).estimates(model)}
    assert found[Place(ew.Edge(0, 0, 0), 1)] == math.inf
    assert 0 < found[Place(ew.Edge(0, 0, 0), 2)] < 1


def test_a_root_at_zero_leaves_the_errors_of_the_others_finite() -> None:
    x = torch.linspace(0, 2, 101, dtype=torch.float64).unsqueeze(-1)
    model = ew.KAN([1, 1])
    put(model, (0, 0, 0), "sqrt", 1, 0, 1.3, 0.2)  # an infinite slope in the first row
    (lock,) = locks(model).values()
    lock.free.copy_(torch.tensor([False, False, True, True]))
    y = 1.3 * x.sqrt() + 0.2 + 0.1 * noise(101, 1)
    J = np.stack([np.sqrt(x[:, 0].numpy()), np.ones(101)], 1)
    r = (y - 1.3 * x.sqrt() - 0.2)[:, 0].numpy()
    expected = np.sqrt(np.diag(r @ r / 99 * np.linalg.inv(J.T @ J)))
    evidence = evidence_for(model, x, y)
    assert [e.error for e in evidence.estimates(model)] == pytest.approx(list(expected), rel=1e-9)
    lock.free[1] = True
    assert all(math.isfinite(e.error) for e in evidence.estimates(model))


def test_a_formula_without_free_constants_has_no_estimates(
    wave: tuple[ew.KAN, Evidence],
) -> None:
    model, evidence = wave
    for lock in locks(model).values():
        lock.free.fill_(False)
    assert evidence.estimates(model) == []


# costs


def test_costs_by_hand(wave: tuple[ew.KAN, Evidence]) -> None:
    model, evidence = wave
    words = (2 + 4) + (2 + 3)  # complexity and constants of sin and x^2
    n, loss = 300, evidence.loss
    assert evidence.cost(model, loss) == pytest.approx(3 * words)
    assert evidence.cost(model, 2 * loss) == pytest.approx(3 * words + n / 2 * math.log(2))
    assert evidence.cost(model, 0.5 * loss) == pytest.approx(3 * words)  # better than it is noise
    assert evidence.cost(model, math.nan) == evidence.cost(model, math.inf) == math.inf
    numeric = ew.KAN([2, 1], grid=5, degree=2)  # 7 coefficients on an edge
    assert evidence.cost(numeric, loss) == pytest.approx(3 * 2 * 7)
    numeric.parts()[0][0].remove(0, 1)
    assert evidence.cost(numeric, loss) == pytest.approx(3 * 7)


def test_losses_are_half_of_mean_squares(wave: tuple[ew.KAN, Evidence]) -> None:
    model, evidence = wave
    x, y = evidence.data.x, evidence.data.y
    difference = (model(x) - y).detach().numpy()
    assert evidence.loss_of(model) == pytest.approx(0.5 * np.mean(difference**2), rel=1e-12)
    assert evidence.spread == pytest.approx(np.var(y.numpy()), rel=1e-12)


def test_a_constant_less_may_cost_three_sigma(wave: tuple[ew.KAN, Evidence]) -> None:
    """The likelihood ratio test of one constant: chi^2 = 9 is three sigma."""
    _, evidence = wave
    loss = evidence.loss
    assert evidence.is_as_good(loss * math.exp(8.9 / 300), loss)
    assert not evidence.is_as_good(loss * math.exp(9.1 / 300), loss)
    assert not evidence.is_as_good(math.inf, loss)
    rounding = 1e-28 * evidence.spread
    assert evidence.is_as_good(50 * rounding, rounding)  # both are zero but for rounding


@pytest.mark.parametrize(("share", "enough"), [(0.45, False), (0.55, True)])
def test_a_network_has_to_explain_half_of_the_data(share: float, enough: bool) -> None:
    x = sample(100, 1)
    rest = noise(100, 1)
    rest = rest - rest.mean() - x * (x * rest).sum() / x.square().sum()
    rest = rest - rest.mean()
    y = x * math.sqrt(share) / x.std() + rest * math.sqrt(1 - share) / rest.std()
    model = ew.KAN([1, 1])
    put(model, (0, 0, 0), "x", 1, 0, math.sqrt(share) / float(x.std()), 0)
    if enough:
        assert evidence_for(model, x, y).loss < 0.25 * y.var()
    else:
        with pytest.raises(ew.DataError, match="The network does not explain these data"):
            evidence_for(model, x, y)


def test_the_error_is_infinite_where_there_is_no_value(wave: tuple[ew.KAN, Evidence]) -> None:
    _, evidence = wave
    prediction = evidence.data.y_held + 0.5
    assert evidence.rmse(prediction) == pytest.approx(0.5)
    prediction[3] = math.nan
    assert evidence.rmse(prediction) == math.inf


# refitting, and its end


def test_refitting_leaves_the_network_and_finds_the_least_squares() -> None:
    x = sample(80, 1)
    y = 1.5 * x**2 + 0.3 + 0.05 * noise(80, 1)
    model = ew.KAN([1, 1])
    put(model, (0, 0, 0), "x^2", 1, 0, 1, 0.4)
    (lock,) = locks(model).values()
    lock.free.copy_(torch.tensor([False, False, True, True]))
    refitted, loss = evidence_for(model, x, y).refit(model, 20, 1e-8)
    c, d = np.polyfit(x[:, 0].numpy() ** 2, y[:, 0].numpy(), 1)
    (fitted,) = locks(refitted).values()
    assert fitted.constants.tolist() == pytest.approx([1, 0, c, d], rel=1e-9, abs=1e-12)
    assert loss == pytest.approx(0.5 * np.mean((c * x.numpy() ** 2 + d - y.numpy()) ** 2))
    assert lock.constants.tolist() == [1, 0, 1, 0.4]


@pytest.mark.parametrize("error", [KeyboardInterrupt, OutOfTime])
def test_a_search_that_is_stopped_has_no_time_left(
    wave: tuple[ew.KAN, Evidence], error: type[BaseException]
) -> None:
    model, evidence = wave
    assert not evidence.stopped
    with evidence.until_stopped():
        raise error
    assert evidence.stopped
    with pytest.raises(OutOfTime):
        evidence.refit(model, 1)


def test_other_errors_pass_through(wave: tuple[ew.KAN, Evidence]) -> None:
    _, evidence = wave
    with pytest.raises(ZeroDivisionError), evidence.until_stopped():
        raise ZeroDivisionError
    assert not evidence.stopped


def test_locked_and_numeric_edges_are_told_apart() -> None:
    model = ew.KAN([2, 2, 1])
    put(model, (0, 1, 0), "sin", 1, 0, 1, 0)
    put(model, (1, 0, 0), "exp", 1, 0, 1, 0)
    model.parts()[0][0].remove(1, 0)
    assert {edge: lock.primitive.name for edge, lock in locks(model).items()} == {
        (0, 1, 0): "sin",
        (1, 0, 0): "exp",
    }
    assert numeric_edges(model) == ((0, 0, 0), (0, 1, 1), (1, 1, 0))
