"""What every solver owes on every problem. A new solver is one line in `SOLVERS`."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import edgewise as ew
from edgewise._layer import Lock

ROWS, HELD = 160, 40

SOLVERS: dict[str, ew.Solver] = {
    "levenberg-marquardt": ew.LevenbergMarquardt(steps=20),
    "gauss-newton-cg": ew.GaussNewtonCG(steps=20),
    "lbfgs": ew.LBFGS(steps=8),
    "adam": ew.Adam(epochs=40, batch=24, learning_rate=0.05),
}


@dataclass(frozen=True)
class Case:
    """A network and data for it; the last `HELD` rows are held out."""

    model: ew.KAN
    x: Tensor
    y: Tensor
    loss: ew.Loss = field(default_factory=ew.Squared)

    @property
    def fitted(self) -> tuple[Tensor, Tensor]:
        return self.x[:-HELD], self.y[:-HELD]

    @property
    def held(self) -> tuple[Tensor, Tensor]:
        return self.x[-HELD:], self.y[-HELD:]

    def error(self, model: ew.KAN, rows: tuple[Tensor, Tensor]) -> float:
        """The error of a network, as `FitResult` reports it."""
        with torch.no_grad():
            prediction = model(rows[0].to(model.dtype)).double()
        return self.loss.error(
            float(self.loss.samples(prediction, rows[1]).mean()), model.out_features
        )

    def error_of_a_constant(self) -> float:
        """The error of the best that knows nothing of x."""
        x, y = self.held
        if y.dtype == torch.int64:
            share = torch.bincount(self.fitted[1]).double() / len(self.fitted[1])
            prediction = share.log()
        else:
            prediction = self.fitted[1].mean(0)
        samples = self.loss.samples(prediction.expand(len(x), -1), y)
        return self.loss.error(float(samples.mean()), self.model.out_features)


def uniform(inputs: int) -> Tensor:
    return 2 * torch.rand(ROWS, inputs, dtype=torch.float64) - 1


def line() -> Case:
    x = uniform(1)
    return Case(ew.KAN([1, 1]), x, 3 * x - 2)


def sum_of_two() -> Case:
    x = uniform(2)
    return Case(ew.KAN([2, 1]), x, torch.sin(3 * x[:, :1]) + x[:, 1:] ** 2)


def composed() -> Case:
    x = uniform(2)
    y = torch.exp(torch.sin(torch.pi * x[:, :1]) + x[:, 1:] ** 2)
    return Case(ew.KAN([2, 2, 1]), x, y)


def noisy() -> Case:
    x = uniform(2)
    return Case(ew.KAN([2, 2, 1]), x, x[:, :1] + x[:, 1:] ** 2 + 0.3 * torch.randn_like(x[:, :1]))


def outliers() -> Case:
    x = uniform(1)
    y = torch.sin(3 * x)
    y[::15] += 5
    return Case(ew.KAN([1, 1]), x, y, ew.Huber(delta=0.1))


def two_outputs() -> Case:
    x = uniform(2)
    y = torch.stack([x[:, 0] + x[:, 1] ** 2, 10 * x[:, 0] * x[:, 1]], -1)
    return Case(ew.KAN([2, 3, 2]), x, y)


def product() -> Case:
    x = uniform(2)
    return Case(ew.KAN([2, (0, 1), 1]), x, x[:, :1] * x[:, 1:])


def classes() -> Case:
    x = uniform(2)
    y = (x[:, 0] > torch.sin(3 * x[:, 1])).long() + (x.square().sum(-1) > 1).long()
    return Case(ew.KAN([2, 3, 3]), x, y, ew.CrossEntropy())


def locked() -> Case:
    x = uniform(2)
    model = ew.KAN([2, 1, 1])
    free = torch.tensor([True, True, False, False])
    sine = torch.tensor([2.8, 0.2, 1.0, 0.0], dtype=torch.float64)
    parabola = torch.tensor([1.0, 0.0, 0.7, 0.1], dtype=torch.float64)
    model.parts()[0][0].lock(0, 0, Lock(ew.PRIMITIVES["sin"], sine, free))
    model.parts()[0][0].lock(0, 1, Lock(ew.PRIMITIVES["x^2"], parabola))
    return Case(model, x, torch.exp(torch.sin(3 * x[:, :1]) + x[:, 1:] ** 2))


def single() -> Case:
    x = uniform(2)
    y = torch.sin(3 * x[:, :1]) + x[:, 1:] ** 2
    return Case(ew.KAN([2, 2, 1], dtype=torch.float32), x, y)


def masked() -> Case:
    x = uniform(3)
    model = ew.KAN([3, 3, 1])
    first, second = (layer for layer, _ in model.parts())
    for o, i in ((0, 1), (0, 2), (1, 0), (2, 0), (2, 1)):
        first.remove(o, i)
    second.remove(0, 2)
    return Case(model, x, torch.exp(x[:, :1]) + (x[:, 1:2] + x[:, 2:]) ** 2)


CASES: dict[str, Callable[[], Case]] = {
    "line": line,
    "sum-of-two": sum_of_two,
    "composed": composed,
    "noisy": noisy,
    "outliers": outliers,
    "two-outputs": two_outputs,
    "product": product,
    "classes": classes,
    "locked": locked,
    "float32": single,
    "masked": masked,
}


def make(name: str) -> Case:
    torch.manual_seed(3)
    return CASES[name]()


def run(case: Case, solver: ew.Solver, seed: int = 5) -> ew.FitResult:
    return ew.fit(
        case.model,
        *case.fitted,
        solver=solver,
        loss=case.loss,
        held_out=case.held,
        starts=2,
        refine=6,
        seed=seed,
        progress=False,
    )


@cache
def solved(solver: str, case: str) -> tuple[Case, ew.FitResult]:
    """Fit once for all tests that only look at the result."""
    made = make(case)
    return made, run(made, SOLVERS[solver])


@pytest.fixture(params=SOLVERS)
def solver(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(params=CASES)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


def test_the_loss_falls(solver: str, name: str) -> None:
    case, result = solved(solver, name)
    for rows in (case.fitted, case.held):
        assert case.error(result.model, rows) < case.error(case.model, rows)
    assert result.held_out < case.error_of_a_constant()


def test_the_reported_errors_are_those_of_the_model(solver: str, name: str) -> None:
    case, result = solved(solver, name)
    assert case.error(result.model, case.held) == pytest.approx(
        result.held_out, rel=1e-9, abs=1e-14
    )
    assert case.error(result.model, case.fitted) == pytest.approx(result.train, rel=1e-9, abs=1e-14)


def test_everything_is_finite(solver: str, name: str) -> None:
    case, result = solved(solver, name)
    assert all(bool(t.isfinite().all()) for t in result.model.state_dict().values())
    assert bool(result.model(case.x.to(case.model.dtype)).isfinite().all())
    for step in result.history:
        assert np.isfinite([step.train, step.held_out, step.seconds]).all()
    assert np.isfinite([result.train, result.held_out, result.seconds]).all()


def test_the_history_is_consistent(solver: str, name: str) -> None:
    case, result = solved(solver, name)
    steps = result.history
    assert len(steps) > 0
    indices = [step.index for step in steps]
    assert len(set(indices)) == len(indices)  # with gaps, where other starts took steps
    for earlier, later in pairwise(steps):
        assert earlier.index < later.index
        assert earlier.grid <= later.grid
        assert earlier.seconds <= later.seconds
    assert steps[-1].seconds <= result.seconds
    assert result.model.grid in {step.grid for step in steps}
    assert {step.grid for step in steps} <= {3, 6}
    # steps are measured in float64, the result as it is returned
    rounding = 1e-6 if case.model.dtype == torch.float32 else 1e-14
    best = min(step.held_out for step in steps)
    assert best == pytest.approx(result.held_out, rel=1e-9, abs=rounding)
    assert any(trial.held_out == best for trial in result.trials)


def test_a_second_run_is_the_same_and_leaves_everything_alone(
    solver: str, name: str, unchecked: None
) -> None:
    _, first = solved(solver, name)
    case = make(name)
    before = copy.deepcopy(case)
    modules = list(case.model.modules())
    generators = torch.get_rng_state(), np.random.get_state()[1], random.getstate()  # noqa: NPY002
    again = run(case, SOLVERS[solver])

    assert torch.equal(torch.get_rng_state(), generators[0])
    assert np.array_equal(np.random.get_state()[1], generators[1])  # noqa: NPY002
    assert random.getstate() == generators[2]

    assert list(case.model.modules()) == modules
    assert case.model.training
    assert all(p.grad is None and p.requires_grad for p in case.model.parameters())
    assert_equal(case.model, before.model)
    assert torch.equal(case.x, before.x)
    assert torch.equal(case.y, before.y)

    assert_equal(first.model, again.model)
    assert first.held_out == again.held_out
    assert [s.train for s in first.history] == [s.train for s in again.history]


def assert_equal(a: ew.KAN, b: ew.KAN) -> None:
    """Compare to the last bit."""
    first, second = a.state_dict(), b.state_dict()
    assert list(first) == list(second)
    assert all(torch.equal(first[key], second[key]) for key in first)


def test_the_result_has_the_form_of_what_was_given(solver: str, name: str) -> None:
    case, result = solved(solver, name)
    model = result.model
    assert model is not case.model
    assert model.widths == case.model.widths
    assert model.dtype == case.model.dtype
    kinds = {key: value.dtype for key, value in case.model.state_dict().items()}
    assert {key: value.dtype for key, value in model.state_dict().items()} == kinds
    assert all(p.requires_grad and p.grad is None for p in model.parameters())
    for (given, _), (fitted, _) in zip(case.model.parts(), model.parts(), strict=True):
        assert not bool((fitted.active & ~given.active).any())
        assert [place for place, _ in fitted.locked()] == [place for place, _ in given.locked()]
        for (_, old), (_, new) in zip(given.locked(), fitted.locked(), strict=True):
            assert new.primitive == old.primitive
            assert torch.equal(new.free, old.free)
            assert torch.equal(new.constants[~new.free], old.constants[~old.free])
            assert not torch.equal(new.constants, old.constants)


def test_going_on_from_the_result_gets_no_worse(solver: str, name: str) -> None:
    case, result = solved(solver, name)
    assert result.status.converged
    on = run(Case(result.model, case.x, case.y, case.loss), SOLVERS[solver])
    rounding = 1e-5 if case.model.dtype == torch.float32 else 1e-9
    assert on.held_out <= result.held_out * (1 + rounding)


# alone


def test_nothing_to_train_is_returned_as_it_is(solver: str) -> None:
    x = uniform(1)
    model = ew.KAN([1, 1])
    constants = torch.tensor([1.0, 0.0, 1.0, 0.0], dtype=torch.float64)
    fixed = torch.zeros(4, dtype=torch.bool)
    model.parts()[0][0].lock(0, 0, Lock(ew.PRIMITIVES["sin"], constants, fixed))
    result = run(Case(model, x, torch.sin(x) + 0.1 * x), SOLVERS[solver])
    assert torch.equal(result.model(x), torch.sin(x))


def test_settings_are_positive(solver: str) -> None:
    kind = type(SOLVERS[solver])
    settings = {
        "levenberg-marquardt": ("steps", "damping", "tolerance", "patience"),
        "gauss-newton-cg": ("steps", "damping", "tolerance", "patience", "iterations"),
        "lbfgs": ("steps", "history", "tolerance"),
        "adam": ("epochs", "batch", "learning_rate"),
    }[solver]
    for setting in settings:
        for bad in (0, -1):
            with pytest.raises(
                ew.ConfigError, match=rf"{kind.__name__}'s {setting} must be positive, got {bad}\."
            ):
                kind(**{setting: bad})


@pytest.mark.parametrize("weight", ["smoothness", "shrinkage"])
@pytest.mark.parametrize("kind", [ew.LevenbergMarquardt, ew.GaussNewtonCG])
def test_a_penalty_is_not_negative(weight: str, kind: Any) -> None:
    with pytest.raises(ew.ConfigError, match=r"cannot be negative.*got.*-1"):
        kind(**{weight: -1.0})
    kind(**{weight: 0.0})


def test_a_solver_is_known_by_its_name(solver: str) -> None:
    case = make("line")
    results = [
        ew.fit(case.model, case.x, case.y, solver=by, refine=False, seed=0, progress=False)
        for by in (solver, type(SOLVERS[solver])())
    ]
    assert {result.solver for result in results} == {SOLVERS[solver].name}
    assert results[0].held_out == results[1].held_out
