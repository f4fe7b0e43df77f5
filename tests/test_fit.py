"""The fit: its sums against autograd, its ends, and a message for each unfit setting and table."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.func import functional_call, jacrev

import edgewise as ew
from edgewise._fit import Curvature, Data, Problem, _gauss_newton, _monitor, normal_equations
from edgewise._fit._gauss_newton import ParameterVector
from edgewise._fit._solvers import choose
from edgewise._layer import Lock

SOLVERS = [
    ew.LevenbergMarquardt(),
    ew.GaussNewtonCG(),
    ew.LBFGS(steps=12),
    ew.Adam(epochs=30, batch=40),
]
SOLVER_NAMES = [solver.name for solver in SOLVERS]

LOSSES = {"squared": ew.Squared(), "huber": ew.Huber(0.5), "cross-entropy": ew.CrossEntropy(0.1)}


def uniform(rows: int, inputs: int) -> Tensor:
    return 2 * torch.rand(rows, inputs, dtype=torch.float64) - 1


def law(x: Tensor) -> Tensor:
    return torch.exp(torch.sin(torch.pi * x[:, :1]) + x[:, 1:] ** 2)


def quick(model: ew.KAN, x: Any, y: Any, **settings: Any) -> ew.FitResult:
    return ew.fit(model, x, y, **{"seed": 0, "refine": False, "progress": False} | settings)


def states_equal(a: ew.KAN, b: ew.KAN) -> bool:
    pairs = zip(a.state_dict().items(), b.state_dict().items(), strict=True)
    return all(k == m and torch.equal(v, w) for (k, v), (m, w) in pairs)


# the Gauss–Newton sums


def locked_network(widths: list[Any], outputs: int) -> ew.KAN:
    """Numeric edges, locks with free and with fixed constants, and edges that are off."""
    model = ew.KAN([*widths, outputs], grid=4, degree=3)
    first, last = model.parts()[0][0], model.parts()[-1][0]
    some = torch.tensor([True, False, True, False])
    first.lock(0, 1, Lock(ew.PRIMITIVES["sin"], torch.randn(4).double(), some))
    first.lock(1, 0, Lock(ew.PRIMITIVES["x^2"], torch.randn(4).double()))
    first.remove(1, 1)
    last.lock(0, 0, Lock(ew.PRIMITIVES["exp"], 0.3 * torch.randn(4).double(), ~some))
    fixed = torch.zeros(4, dtype=torch.bool)
    last.lock(outputs - 1, 1, Lock(ew.PRIMITIVES["tanh"], torch.randn(4).double(), fixed))
    return model


NETWORKS = {
    "one-layer": lambda outputs: ew.KAN([2, outputs]),
    "two-layers": lambda outputs: ew.KAN([2, 3, outputs], grid=5, degree=2),
    "products": lambda outputs: ew.KAN([2, (1, 2), (0, 2), outputs]),
    "only-products": lambda outputs: ew.KAN([2, (0, 2), (0, outputs)], degree=1),
    "locks": lambda outputs: locked_network([2, 3], outputs),
    "locks-and-products": lambda outputs: locked_network([2, (1, 1)], outputs),
}


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize(("loss", "outputs"), [("squared", 1), ("squared", 3), ("huber", 2)])
def test_sums_equal_autograds(name: str, loss: str, outputs: int) -> None:
    model = NETWORKS[name](outputs)
    x, y = 1.2 * uniform(30, 2), torch.randn(30, outputs, dtype=torch.float64)
    check_sums(model, x, y, LOSSES[loss])
    check_products(model, x, y, LOSSES[loss])


@pytest.mark.parametrize("name", NETWORKS)
def test_sums_of_cross_entropy_equal_autograds(name: str) -> None:
    model, x, y = NETWORKS[name](3), uniform(30, 2), torch.randint(3, (30,))
    check_sums(model, x, y, LOSSES["cross-entropy"])
    check_products(model, x, y, LOSSES["cross-entropy"])


def check_sums(model: ew.KAN, x: Tensor, y: Tensor, loss: ew.Loss) -> None:
    equations = normal_equations(model, x, y, loss)
    value, g, H = by_autograd(model, x, y, loss)
    assert equations.value == pytest.approx(value, rel=1e-13)
    scale = float(H.abs().max())
    torch.testing.assert_close(equations.g, g, rtol=1e-11, atol=1e-13 * scale)
    torch.testing.assert_close(equations.H, H, rtol=1e-11, atol=1e-13 * scale)


def check_products(model: ew.KAN, x: Tensor, y: Tensor, loss: ew.Loss) -> None:
    """Products, gradient and blocks are those of the matrix, also after the model has changed."""
    value, g, H = by_autograd(model, x, y, loss)
    curvature = Curvature(model, Data(x, y, x, y), loss)
    vector = ParameterVector(model)
    before = vector.read()
    vector.write(before + 1)
    scale = float(H.abs().max())
    assert curvature.value == pytest.approx(value, rel=1e-13)
    torch.testing.assert_close(curvature.g, g, rtol=1e-11, atol=1e-13 * scale)
    direction = torch.randn_like(before)
    product = H @ direction
    largest = float(product.abs().max())
    torch.testing.assert_close(curvature @ direction, product, rtol=1e-10, atol=1e-12 * largest)
    start = 0
    for block in curvature.blocks:
        part = slice(start, start + len(block))
        torch.testing.assert_close(block, H[part, part], rtol=1e-11, atol=1e-13 * scale)
        start += len(block)
    assert start == len(g)
    vector.write(before)


def by_autograd(model: ew.KAN, x: Tensor, y: Tensor, loss: ew.Loss) -> tuple[float, Tensor, Tensor]:
    """The loss, its gradient and J^T A^T A J, in the order of `ParameterVector`."""
    parameters = dict(model.named_parameters())
    jacobian = jacrev(lambda p: functional_call(model, p, (x,)))(parameters)
    pieces = []
    for depth, (layer, _) in enumerate(model.parts()):
        pieces.append(jacobian[f"layers.{depth}.coef"][:, :, layer.mask].flatten(2))
        for (o, i), lock in layer.locked():
            columns = jacobian[f"layers.{depth}.locks.{o}_{i}.constants"]
            pieces.append(columns[:, :, lock.free])
    J = torch.cat(pieces, -1).detach()  # (batch, outputs, parameters)
    prediction = model(x).detach()
    AJ = loss.root(prediction, y) @ J
    g = torch.einsum("bo,bop->p", loss.gradient(prediction, y), J) / len(x)
    H = torch.einsum("brp,brq->pq", AJ, AJ) / len(x)
    return float(loss.value(prediction, y)), g, H


@pytest.mark.parametrize("entries", [1, 97, 1000])
def test_chunks_add_up(entries: int, monkeypatch: pytest.MonkeyPatch) -> None:
    model = locked_network([2, (1, 1)], 2)
    x, y = uniform(53, 2), torch.randn(53, 2, dtype=torch.float64)
    whole = normal_equations(model, x, y, ew.Squared())
    monkeypatch.setattr(_gauss_newton, "_CHUNK_ENTRIES", entries * len(whole.g))
    pieces = normal_equations(model, x, y, ew.Squared())
    assert pieces.value == pytest.approx(whole.value, rel=1e-14)
    scale = float(whole.H.abs().max())
    torch.testing.assert_close(pieces.g, whole.g, rtol=1e-12, atol=1e-14 * scale)
    torch.testing.assert_close(pieces.H, whole.H, rtol=1e-12, atol=1e-14 * scale)


def test_the_parameter_vector_goes_out_and_in() -> None:
    model = locked_network([2, (1, 1)], 2)
    x = uniform(20, 2)
    before = model(x).detach()
    vector = ParameterVector(model)
    numbers = vector.read()
    assert len(numbers) == vector.size
    vector.write(numbers + 1)
    assert not torch.equal(model(x), before)
    for layer, _ in model.parts():
        for _, lock in layer.locked():
            assert lock.constants.shape == (4,)
    assert torch.equal(vector.read(), numbers + 1)
    vector.write(numbers)
    assert torch.equal(model(x), before)


# ends


def collect(monkeypatch: pytest.MonkeyPatch, stop_after: float = math.inf) -> list[float]:
    """Note the held-out loss after every step of every start; press Ctrl-C after some of them."""
    seen: list[float] = []
    accept = Problem.accept

    def counting(problem: Problem, value: float) -> None:
        accept(problem, value)
        held = problem.loss.samples(problem.model(problem.data.x_held), problem.data.y_held)
        seen.append(float(held.detach().mean()))
        if len(seen) >= stop_after:
            raise KeyboardInterrupt

    monkeypatch.setattr(Problem, "accept", counting)
    return seen


@pytest.mark.parametrize("solver", SOLVERS, ids=SOLVER_NAMES)
@pytest.mark.parametrize("steps", [1, 4, 25])
def test_an_interrupt_gives_the_best_so_far(
    solver: ew.Solver, steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = uniform(200, 2)
    seen = collect(monkeypatch, stop_after=steps)
    result = quick(ew.KAN([2, 2, 1]), x, law(x), solver=solver, sparse=False, refine=True)
    assert result.status.outcome is ew.Outcome.INTERRUPTED
    assert result.status.message.startswith("Interrupted: this is the best so far.")
    assert not result.status.converged
    assert len(seen) == steps
    assert result.held_out <= ew.Squared().error(min(seen), 1) * (1 + 1e-9)
    assert bool(result.model(x).isfinite().all())


def test_an_interrupt_in_a_later_start_keeps_what_that_start_had_reached(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The first start comes to nothing here, and the second is interrupted on its way."""
    x = uniform(200, 2)
    solve = ew.LevenbergMarquardt.solve
    seen = collect(monkeypatch)
    starts = itertools.count()

    def one_good_start(self: ew.LevenbergMarquardt, problem: Problem, *, fresh: bool) -> None:
        if next(starts) == 0:
            return
        solve(self, problem, fresh=fresh)
        raise KeyboardInterrupt

    monkeypatch.setattr(ew.LevenbergMarquardt, "solve", one_good_start)
    result = quick(ew.KAN([2, 2, 1]), x, law(x), sparse=False)
    assert result.status.outcome is ew.Outcome.INTERRUPTED
    assert result.held_out <= ew.Squared().error(min(seen), 1) * (1 + 1e-9)


def test_an_interrupt_before_there_is_anything_goes_on_up(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Problem, "_note_best", interrupted)
    x = uniform(50, 2)
    with pytest.raises(KeyboardInterrupt):
        quick(ew.KAN([2, 1]), x, law(x))


def test_a_solver_of_ones_own_is_interrupted_too() -> None:
    class Impatient(ew.Solver):
        name = "impatient"
        cheap_starts = False

        def solve(self, problem: Problem, *, fresh: bool) -> None:
            ew.LevenbergMarquardt(steps=3).solve(problem, fresh=fresh)
            raise KeyboardInterrupt

    x = uniform(100, 2)
    model = ew.KAN([2, 2, 1])
    result = quick(model, x, law(x), solver=Impatient())
    assert result.status.outcome is ew.Outcome.INTERRUPTED
    assert result.solver == "impatient"
    assert len(result.history) > 0
    assert not states_equal(result.model, model)


@pytest.mark.parametrize("solver", SOLVERS, ids=SOLVER_NAMES)
@pytest.mark.parametrize("budget", [1.0, 12.0, 40.0])
def test_the_fit_ends_in_time(
    solver: ew.Solver, budget: float, monkeypatch: pytest.MonkeyPatch, unchecked: None
) -> None:
    """On a clock that strikes each time that it is looked at."""
    strokes = itertools.count()
    monkeypatch.setattr(_monitor.time, "perf_counter", lambda: float(next(strokes)))
    seen = collect(monkeypatch)
    x = uniform(200, 2)
    settings = {"sparse": False, "refine": True, "time": budget}
    result = quick(ew.KAN([2, 2, 1]), x, law(x), solver=solver, **settings)
    assert result.status.outcome is ew.Outcome.OUT_OF_TIME
    assert str(result.status) == (
        f"Stopped after {result.seconds:.0f} s as asked; more time may lower the error."
    )
    assert budget < result.seconds <= budget + 3
    assert result.held_out <= ew.Squared().error(min(seen, default=math.inf), 1) * (1 + 1e-9)


def test_a_real_clock_ends_a_large_fit() -> None:
    x = uniform(2000, 4)
    model = ew.KAN([4, 10, 5, 1])
    result = quick(model, x, law(x[:, :2]), time=0.3, refine=True)
    assert result.status.outcome is ew.Outcome.OUT_OF_TIME
    assert result.seconds >= 0.3
    assert bool(result.model(x).isfinite().all())


def test_a_perfect_fit_says_so() -> None:
    x = uniform(100, 1)
    result = quick(ew.KAN([1, 1]), x, 2 * x**3 - 1, refine=True)
    assert result.status.outcome is ew.Outcome.PERFECT
    assert result.held_out < 1e-10
    assert str(result.status) == "The held-out error has come down to rounding."
    assert result.status.converged


def test_a_fit_to_noise_is_poor() -> None:
    x = uniform(100, 2)
    result = quick(ew.KAN([2, 1]), x, torch.randn(100, 1, dtype=torch.float64), starts=1)
    assert result.status.outcome is ew.Outcome.POOR
    assert not result.status.converged
    assert "% of the held-out loss of a constant. Try more nodes or layers" in str(result.status)


def test_a_fit_at_its_end_has_converged() -> None:
    x = uniform(100, 2)
    result = quick(ew.KAN([2, 1]), x, law(x))
    assert result.status.outcome is ew.Outcome.CONVERGED
    assert result.status.converged
    assert str(result.status) == "Finer grids no longer lower the held-out error."


def test_a_result_is_printed_in_three_lines() -> None:
    x = uniform(100, 1)
    model, errors, status = str(quick(ew.KAN([1, 1]), x, x.exp(), solver="lbfgs")).split("\n")
    assert model.startswith("KAN([1, 1], grid=3")
    assert errors.startswith("RMSE: ")
    assert " held out, " in errors
    assert "(L-BFGS, " in errors
    assert status == "Finer grids no longer lower the held-out error."


# going on


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("solver", SOLVERS, ids=SOLVER_NAMES)
def test_a_trained_network_goes_on_and_gets_no_worse(solver: ew.Solver, seed: int) -> None:
    torch.manual_seed(seed)
    x = uniform(150, 2)
    y = law(x) + 0.02 * torch.randn(150, 1, dtype=torch.float64)
    held = (x[:50], y[:50])
    trained = quick(ew.KAN([2, 2, 1]), x[50:], y[50:], held_out=held, seed=seed, starts=1)
    assert trained.status.converged
    on = quick(trained.model, x[50:], y[50:], held_out=held, solver=solver, refine=12)
    assert on.held_out <= trained.held_out * (1 + 1e-12)
    assert len(on.trials) == 1


def test_a_trained_network_keeps_its_form() -> None:
    """No other start replaces it, and nothing that was switched off comes back."""
    x = uniform(200, 2)
    small = ew.prune(quick(ew.KAN([2, 3, 1]), x, law(x), starts=2).model, x)
    on = quick(small, x, law(x), refine=6)
    assert on.model.widths == small.widths
    assert on.model.edges() == small.edges()


# settings


def test_refine_false_keeps_the_grid() -> None:
    x = uniform(200, 2)
    result = quick(ew.KAN([2, 1, 1], grid=4), x, law(x), refine=False)
    assert result.model.grid == 4
    assert {step.grid for step in result.history} == {4}


@pytest.mark.parametrize(("largest", "grids"), [(3, {3}), (5, {3}), (6, {3, 6}), (13, {3, 6, 12})])
def test_refine_is_the_largest_grid(largest: int, grids: set[int]) -> None:
    x = uniform(200, 2)
    result = quick(ew.KAN([2, 1, 1]), x, law(x), refine=largest)
    assert {step.grid for step in result.history} <= grids
    assert result.model.grid == max(grids)


def test_refinement_goes_on_while_it_helps_and_stops_where_it_does_not() -> None:
    x = uniform(400, 2)
    smooth = quick(ew.KAN([2, 1, 1]), x, law(x), refine=True)
    noisy = quick(ew.KAN([2, 1, 1]), x, law(x) + torch.randn(400, 1).double(), refine=True)
    assert smooth.model.grid >= 48
    assert noisy.model.grid <= 12
    assert max(step.grid for step in noisy.history) <= 24


def test_parameters_of_a_refined_grid_never_outnumber_the_rows() -> None:
    x = uniform(40, 1)
    result = quick(ew.KAN([1, 1]), x, torch.sin(9 * x), refine=True)
    assert all(step.parameters <= 32 for step in result.history)


def test_held_out_as_a_pair_is_what_the_error_is_measured_on() -> None:
    x, other = uniform(200, 2), uniform(77, 2)
    result = quick(ew.KAN([2, 1]), x, law(x), held_out=(other, law(other)))
    with torch.no_grad():
        held = (result.model(other) - law(other)).square().mean().sqrt()
        train = (result.model(x) - law(x)).square().mean().sqrt()
    assert result.held_out == pytest.approx(float(held), rel=1e-12)
    assert result.train == pytest.approx(float(train), rel=1e-12)


def test_held_out_rows_may_be_few_and_of_one_value() -> None:
    x = uniform(100, 2)
    few = torch.zeros(3, 2, dtype=torch.float64)
    assert math.isfinite(quick(ew.KAN([2, 1]), x, law(x), held_out=(few, law(few))).held_out)


@pytest.mark.parametrize("share", [0.001, 0.3, 0.999])
def test_held_out_is_a_share_of_the_rows(share: float, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = []
    note = Problem._note_best

    def noting(problem: Problem) -> float:
        sizes.append((len(problem.data.x), len(problem.data.x_held)))
        return note(problem)

    monkeypatch.setattr(Problem, "_note_best", noting)
    x = uniform(50, 1)
    quick(ew.KAN([1, 1]), x, x.exp(), held_out=share, solver=ew.Adam(epochs=1))
    assert set(sizes) == {{0.001: (48, 2), 0.3: (35, 15), 0.999: (2, 48)}[share]}


def test_other_seeds_hold_other_rows_out() -> None:
    x = uniform(100, 2)
    y = law(x) + torch.randn(100, 1).double()
    errors = {quick(ew.KAN([2, 1]), x, y, seed=seed, starts=1).held_out for seed in range(3)}
    assert len(errors) == 3


def test_no_seed_is_another_one_each_time() -> None:
    x = uniform(100, 2)
    y = law(x) + torch.randn(100, 1).double()
    torch.manual_seed(0)
    first = quick(ew.KAN([2, 1]), x, y, seed=None)
    torch.manual_seed(0)
    assert quick(ew.KAN([2, 1]), x, y, seed=None).held_out != first.held_out


def test_starts_find_what_one_start_misses() -> None:
    x = uniform(300, 2)
    y = torch.exp((x[:, :1] + x[:, 1:]) ** 2)
    one, many = (
        quick(ew.KAN([2, 1, 1]), x, y, starts=starts, sparse=False, seed=4) for starts in (1, 6)
    )
    assert many.held_out <= one.held_out


def test_sparse_tries_small_networks_first() -> None:
    x = uniform(150, 2)
    model = ew.KAN([2, 5, 1])
    sparse = quick(model, x, law(x), starts=1)
    assert [trial.nodes for trial in sparse.trials] == [(2, 1, 1), (2, 2, 1), (2, 4, 1), (2, 5, 1)]
    dense = quick(model, x, law(x), starts=1, sparse=False)
    assert [trial.nodes for trial in dense.trials] == [(2, 5, 1)]


def test_of_networks_that_explain_the_same_the_smallest_is_taken() -> None:
    x = uniform(300, 2)
    y = law(x) + 0.05 * torch.randn(300, 1).double()
    result = quick(ew.KAN([2, 4, 1]), x, y, starts=2)
    assert ew.prune(result.model, x, node_threshold=0, edge_threshold=1e-12).widths == [2, 1, 1]


def test_auto_takes_the_most_exact_solver_that_is_affordable() -> None:
    x = uniform(100, 2)
    assert quick(ew.KAN([2, 1]), x, law(x), solver="auto").solver == "Levenberg-Marquardt"
    assert choose(2_000, 400, 1_000) == ew.LevenbergMarquardt()
    assert choose(5_000, 100, 1_000) == ew.LevenbergMarquardt()
    assert choose(2_001, 101, 20_000) == choose(5_000, 400, 1_000) == ew.GaussNewtonCG()
    assert choose(5_001, 10, 20_000) == choose(20_000, 400, 1_000) == ew.LBFGS()
    assert choose(2_001, 400, 20_001) == ew.Adam()
    assert choose(20_000, 400, 1_000_000) == ew.Adam()


# what data may look like


def test_y_may_have_one_dimension() -> None:
    x = uniform(100, 2)
    flat, column = (quick(ew.KAN([2, 1]), x, y).model for y in (law(x)[:, 0], law(x)))
    assert flat.state_dict().keys() == column.state_dict().keys()


def one_layer() -> ew.KAN:
    torch.manual_seed(7)
    return ew.KAN([2, 1])


FORMS = {
    "numpy": lambda t: t.numpy(),
    "list": lambda t: t.tolist(),
    "read-only": lambda t: frozen(t.numpy()),
    "reversed": lambda t: t.numpy()[::-1].copy()[::-1],
    "fortran": lambda t: np.asfortranarray(t.numpy()),
    "big-endian": lambda t: t.numpy().astype(">f8"),
    "objects": lambda t: t.numpy().astype(object),
    "with-gradient": lambda t: t.clone().requires_grad_(),
    "strided": lambda t: torch.stack([t, -t], -1)[..., 0],
}


def frozen(array: Any) -> Any:
    array = array.copy()
    array.flags.writeable = False
    return array


@pytest.mark.parametrize("form", FORMS)
def test_data_may_come_in_any_form(form: str) -> None:
    x = uniform(60, 2)
    y = law(x)
    plain = quick(one_layer(), x, y)
    formed = quick(one_layer(), FORMS[form](x), FORMS[form](y))
    assert states_equal(plain.model, formed.model)
    assert plain.held_out == formed.held_out
    pair = quick(one_layer(), x, y, held_out=(FORMS[form](x), FORMS[form](y)))
    assert states_equal(pair.model, quick(one_layer(), x, y, held_out=(x, y)).model)


def test_data_are_not_changed() -> None:
    x = uniform(60, 2).numpy()
    y = law(torch.tensor(x)).numpy()
    before = x.copy(), y.copy()
    quick(one_layer(), x, y)
    assert np.array_equal(x, before[0])
    assert np.array_equal(y, before[1])


@pytest.mark.parametrize("kind", [np.float32, np.float16, np.int64, np.int8, np.uint16, bool])
def test_numbers_may_be_of_any_kind(kind: Any) -> None:
    x = (
        (2 * torch.rand(100, 2)).floor().numpy()
        if kind is bool
        else 10 * torch.rand(100, 2).numpy()
    )
    x = x.astype(kind)
    result = quick(ew.KAN([2, 1]), x, x.sum(1, dtype=kind))
    assert result.status.converged


@pytest.mark.parametrize("solver", SOLVERS, ids=SOLVER_NAMES)
def test_units_of_x_do_not_matter(solver: ew.Solver) -> None:
    x = uniform(150, 2)
    errors = []
    for unit, shift in ((1, 2), (1e-9, 2), (1e6, 2), (1, 50), (1e50, -3)):
        torch.manual_seed(1)
        model = ew.KAN([2, 2, 1])
        inputs = unit * (x + shift)
        errors.append(quick(model, inputs, law(x), solver=solver, starts=1, sparse=False).held_out)
    # a line search turns rounding into another path, and so do steps that are not solved to the end
    rounding = {ew.LBFGS: 0.5, ew.GaussNewtonCG: 0.02}.get(type(solver), 1e-3)
    assert errors == pytest.approx([errors[0]] * 5, rel=rounding)


@pytest.mark.parametrize("unit", [1e-90, 1e-30, 1e-6, 1e6, 1e30, 1e90])
def test_units_of_y_do_not_matter(unit: float) -> None:
    x = uniform(150, 2)
    errors = []
    for scale in (1.0, unit):
        torch.manual_seed(1)
        result = quick(ew.KAN([2, 2, 1]), x, scale * law(x), starts=1, sparse=False)
        errors.append(result.held_out / scale)
    assert errors[1] == pytest.approx(errors[0], rel=1e-6)


def test_float32_data_and_network() -> None:
    x = uniform(200, 2).float()
    result = quick(ew.KAN([2, 1, 1], dtype=torch.float32), x, law(x), refine=48)
    assert result.model.dtype == torch.float32
    with torch.no_grad():
        rms = float((result.model(x) - law(x)).square().mean().sqrt())
    assert rms < 1e-3
    assert min(result.train, result.held_out) <= rms <= max(result.train, result.held_out)


def test_huber_is_not_pulled_by_outliers() -> None:
    x = uniform(300, 1)
    y = torch.sin(3 * x)
    bad = y.clone()
    bad[::10] += 20
    held = (x[:60], y[:60])
    huber = quick(ew.KAN([1, 1]), x, bad, loss=ew.Huber(0.05), held_out=held, refine=12)
    squared = quick(ew.KAN([1, 1]), x, bad, loss="squared", held_out=held, refine=12)
    with torch.no_grad():
        errors = [float((r.model(x) - y).square().mean().sqrt()) for r in (huber, squared)]
    assert errors[0] < 0.03
    assert errors[1] > 0.3


def test_classes_are_told_apart() -> None:
    x = uniform(400, 2)
    y = (x[:, 0] > torch.sin(3 * x[:, 1])).long() + 2 * (x[:, 1] > 0).long()
    result = quick(ew.KAN([2, 4]), x, y, loss="cross-entropy")
    assert result.measure == "cross-entropy"
    assert float((result.model(x).argmax(-1) == y).double().mean()) > 0.95


def test_a_class_that_never_comes_up_may_have_an_output() -> None:
    x = uniform(100, 2)
    y = 2 * (x[:, 0] > 0).long()
    result = quick(ew.KAN([2, 4]), x, y, loss="cross-entropy")
    assert set(result.model(x).argmax(-1).tolist()) == {0, 2}


@pytest.mark.parametrize("form", [lambda y: y.bool(), lambda y: y.double(), lambda y: y[:, None]])
def test_class_numbers_may_be_of_any_kind(form: Any) -> None:
    x = uniform(60, 2)
    y = (x[:, 0] > 0).long()
    torch.manual_seed(1)
    model = ew.KAN([2, 2])
    plain = quick(model, x, y, loss="cross-entropy")
    assert states_equal(plain.model, quick(model, x, form(y), loss="cross-entropy").model)


def test_splines_go_smoothly_over_a_gap_in_the_data() -> None:
    x = uniform(400, 1)
    x = x[(x < -0.25) | (x > 0.25)].unsqueeze(-1)
    result = quick(ew.KAN([1, 1]), x, torch.sin(3 * x), refine=48)
    assert result.model.grid >= 12  # cells lie wholly in the gap
    gap = torch.linspace(-0.25, 0.25, 101, dtype=torch.float64).unsqueeze(-1)
    with torch.no_grad():
        assert float((result.model(gap) - torch.sin(3 * gap)).abs().max()) < 0.05


def test_a_gap_in_noisy_data_gives_no_wild_values() -> None:
    x = uniform(600, 2)
    x = x[(x[:, 0].abs() > 0.3)]
    y = law(x) + 0.1 * torch.randn(len(x), 1).double()
    result = quick(ew.KAN([2, 2, 1]), x, y, refine=True)
    gap = 0.3 * uniform(1000, 2)
    gap[:, 1] /= 0.3
    with torch.no_grad():
        prediction = result.model(gap)
    span = float(y.max() - y.min())
    assert float(prediction.min()) > float(y.min()) - 0.5 * span
    assert float(prediction.max()) < float(y.max()) + 0.5 * span


@given(
    rows=st.integers(10, 30),
    inputs=st.integers(1, 3),
    hidden=st.sampled_from([1, 2, (1, 1), (0, 1)]),
    outputs=st.sampled_from([1, 2, (0, 1)]),
    scale=st.sampled_from([1e-8, 1.0, 1e8]),
    seed=st.integers(0, 2**16),
)
def test_any_network_and_any_numbers_give_finite_ones(
    rows: int, inputs: int, hidden: Any, outputs: Any, scale: float, seed: int
) -> None:
    torch.manual_seed(seed)
    model = ew.KAN([inputs, hidden, outputs])
    x = scale * torch.randn(rows, inputs).double()
    y = torch.randn(rows, model.out_features).double() ** 3
    result = quick(
        model, x, y, seed=seed, starts=1, refine=6, solver=ew.LevenbergMarquardt(steps=8)
    )
    assert math.isfinite(result.held_out)
    assert math.isfinite(result.train)
    assert bool(result.model(10 * x).isfinite().all())


# what a person sees


def test_progress_goes_to_standard_error_only(capfd: pytest.CaptureFixture[str]) -> None:
    x = uniform(100, 2)
    quick(ew.KAN([2, 1]), x, law(x), progress=True)
    out, err = capfd.readouterr()
    assert out == ""
    assert "fit" in err
    assert "held out" in err


def test_without_progress_nothing_is_written(capfd: pytest.CaptureFixture[str]) -> None:
    x = uniform(100, 2)
    quick(ew.KAN([2, 1]), x, law(x))
    assert capfd.readouterr() == ("", "")


# messages

X = torch.linspace(-1, 1, 40, dtype=torch.float64).reshape(20, 2)
Y = X.square().sum(1, keepdim=True)
LABELS = torch.arange(20) % 2


def put(tensor: Tensor, row: int, column: int, value: float) -> Tensor:
    tensor = tensor.clone()
    tensor[row, column] = value
    return tensor


MESSAGES: dict[str, tuple[type[Exception], dict[str, Any], str]] = {
    "x is flat": (
        ew.ShapeError,
        {"x": X[:, 0]},
        "x must have the shape (batch, 2) for this network, got (20,).",
    ),
    "x has another number of columns": (
        ew.ShapeError,
        {"x": torch.cat([X, X], 1)},
        "x must have the shape (batch, 2) for this network, got (20, 4).",
    ),
    "x is nothing": (
        ew.ShapeError,
        {"x": None},
        "x must have the shape (batch, 2) for this network, got ().",
    ),
    "x and y have other rows": (
        ew.ShapeError,
        {"y": Y[:-1]},
        "x has 20 rows and y has 19: they must be the same rows.",
    ),
    "y is a number": (
        ew.ShapeError,
        {"y": 1.0},
        "y must have a row for each of the 20 rows of x, got one number.",
    ),
    "y has another number of columns": (
        ew.ShapeError,
        {"y": torch.cat([Y, Y], 1)},
        "y must have the shape (20, 1) for this network, got (20, 2).",
    ),
    "y has three dimensions": (
        ew.ShapeError,
        {"y": Y[..., None]},
        "y must have the shape (20, 1) for this network, got (20, 1, 1).",
    ),
    "too few rows": (
        ew.DataError,
        {"x": X[:9], "y": Y[:9]},
        "A fit needs at least 10 rows, got 9.",
    ),
    "no rows": (ew.DataError, {"x": X[:0], "y": Y[:0]}, "A fit needs at least 10 rows, got 0."),
    "NaN in x": (
        ew.DataError,
        {"x": put(X, 3, 1, math.nan)},
        "x has 1 missing or infinite values; the first is in row 3, column 1. "
        "Remove or fill these rows.",
    ),
    "infinite y": (
        ew.DataError,
        {"y": put(put(Y, 7, 0, -math.inf), 9, 0, math.nan)},
        "y has 2 missing or infinite values; the first is in row 7, column 0. "
        "Remove or fill these rows.",
    ),
    "x is constant": (
        ew.DataError,
        {"x": X * torch.tensor([1, 0]) + torch.tensor([0, 2.5])},
        "Column 1 of x is constant (2.5): it carries nothing. Leave it out.",
    ),
    "y is constant": (
        ew.DataError,
        {"y": 0 * Y + 3},
        "Column 0 of y is constant (3): there is nothing to fit.",
    ),
    "x is huge": (
        ew.DataError,
        {"x": 1e200 * X},
        "x goes up to 1e+200, and squares of that overflow: give it in another unit.",
    ),
    "y is tiny": (
        ew.DataError,
        {"y": 1e-200 * X[:, :1]},
        "Column 0 of y varies by 1.9e-200 only, and squares of that underflow: "
        "give it in another unit.",
    ),
    "x is complex": (
        ew.DataError,
        {"x": X + 1j},
        "x is complex: split it into real and imaginary parts.",
    ),
    "x is text": (
        ew.DataError,
        {"x": np.full((20, 2), "1.5")},
        "x must hold numbers, got an array of <U3.",
    ),
    "y is text among numbers": (
        ew.DataError,
        {"y": np.array(["north", *range(19)], dtype=object)},
        "y is not an array of numbers: could not convert string to float: 'north'.",
    ),
    "x is ragged": (ew.DataError, {"x": [[1.0, 2.0], [3.0]]}, "x is not an array of numbers: "),
    "y is elsewhere": (
        ew.DataError,
        {"y": Y.to("meta")},
        "y is on meta and the model on cpu: move one of them with .to(...).",
    ),
    "the model is elsewhere": (
        ew.DataError,
        {"model": ew.KAN([2, 1], device="meta")},
        "x is on cpu and the model on meta: move one of them with .to(...).",
    ),
    "held-out share": (
        ew.ConfigError,
        {"held_out": 1.0},
        "held_out is a share of the rows between 0 and 1, or a pair (x, y). Got 1.0.",
    ),
    "held-out NaN": (
        ew.DataError,
        {"held_out": (X, math.nan * Y)},
        "y of held_out has 20 missing or infinite values; the first is in row 0, column 0.",
    ),
    "held-out shape": (
        ew.ShapeError,
        {"held_out": (X[:, :1], Y)},
        "x of held_out must have the shape (batch, 2) for this network, got (20, 1).",
    ),
    "held-out rows": (
        ew.ShapeError,
        {"held_out": (X, Y[:5])},
        "x of held_out has 20 rows and y of held_out has 5: they must be the same rows.",
    ),
    "one held-out row": (
        ew.DataError,
        {"held_out": (X[:1], Y[:1])},
        "held_out needs at least 2 rows, got 1.",
    ),
    "starts": (ew.ConfigError, {"starts": 0}, "A fit needs at least one start, got starts=0."),
    "time": (
        ew.ConfigError,
        {"time": -1.0},
        "time is a budget in seconds and must be positive, got -1.0.",
    ),
    "refine": (
        ew.ConfigError,
        {"refine": 2},
        "refine is the largest grid to go to: 2 is less than the model's 3.",
    ),
    "solver": (
        ew.ConfigError,
        {"solver": "bfgs"},
        "There is no solver 'bfgs'. "
        "Known are 'levenberg-marquardt', 'gauss-newton-cg', 'lbfgs', 'adam', or an object.",
    ),
    "the solver's class": (
        ew.ConfigError,
        {"solver": ew.Adam},
        "There is no solver <class 'edgewise._fit._solvers.Adam'>. Known are ",
    ),
    "no solver": (ew.ConfigError, {"solver": None}, "There is no solver None. Known are "),
    "loss": (
        ew.ConfigError,
        {"loss": "mse"},
        "There is no loss 'mse'. Known are 'squared', 'huber', 'cross-entropy', or an object.",
    ),
    "class numbers too large": (
        ew.DataError,
        {"y": 2 * LABELS, "loss": "cross-entropy", "model": ew.KAN([2, 2])},
        "For cross-entropy y holds class numbers from 0 to 1, got values from 0 to 2.",
    ),
    "negative class numbers": (
        ew.DataError,
        {"y": LABELS - 1, "loss": "cross-entropy", "model": ew.KAN([2, 2])},
        "For cross-entropy y holds class numbers from 0 to 1, got values from -1 to 0.",
    ),
    "half a class number": (
        ew.DataError,
        {"y": 0.5 * LABELS, "loss": "cross-entropy", "model": ew.KAN([2, 2])},
        "For cross-entropy y holds class numbers from 0 to 1, got values from 0 to 0.5.",
    ),
    "a class number is missing": (
        ew.DataError,
        {"y": LABELS * math.nan, "loss": "cross-entropy", "model": ew.KAN([2, 2])},
        "For cross-entropy y holds class numbers from 0 to 1, got values from nan to nan.",
    ),
    "one class": (
        ew.DataError,
        {"y": 0 * LABELS, "loss": "cross-entropy", "model": ew.KAN([2, 2])},
        "y holds one class only: there is nothing to fit.",
    ),
    "one-hot classes": (
        ew.ShapeError,
        {
            "y": torch.stack([LABELS, 1 - LABELS], 1),
            "loss": "cross-entropy",
            "model": ew.KAN([2, 2]),
        },
        "For cross-entropy y holds class numbers, of shape (batch,). Got (20, 2).",
    ),
    "one output for classes": (
        ew.ShapeError,
        {"y": LABELS, "loss": "cross-entropy"},
        "Cross-entropy needs an output for each class: make a network of 2 outputs or more.",
    ),
}


@pytest.mark.parametrize("case", MESSAGES)
def test_each_mistake_has_its_message(case: str, unchecked: None) -> None:
    error, arguments, message = MESSAGES[case]
    arguments = {"model": ew.KAN([2, 1]), "x": X, "y": Y, "progress": False} | arguments
    with pytest.raises(error) as caught:
        ew.fit(arguments.pop("model"), arguments.pop("x"), arguments.pop("y"), **arguments)
    assert str(caught.value).startswith(message)
    assert isinstance(caught.value, ew.EdgewiseError)
    assert isinstance(caught.value, ValueError)
