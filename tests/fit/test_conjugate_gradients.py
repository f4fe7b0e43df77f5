"""Gauss–Newton steps without the matrix, against the matrix."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

import edgewise as ew
from builders import noise, put, sample
from edgewise._fit import Curvature, Data, Monitor, OutOfTime, Problem, _curvature, _gauss_newton
from edgewise._fit import _conjugate_gradients as cg
from edgewise._fit._chunk import Chunk
from edgewise._fit._damped import DampedGaussNewton, Quadratic
from edgewise._fit._gauss_newton import ParameterVector, normal_equations
from edgewise._fit._stream import Stream
from edgewise._fit._team import Team

ROWS = 60
LOSSES = {"squared": ew.Squared(), "huber": ew.Huber(0.5), "cross-entropy": ew.CrossEntropy()}


def network() -> ew.KAN:
    """Sums and products, splines on knots of their own for each input, and a lock."""
    torch.manual_seed(4)
    model = ew.adapt(ew.KAN([3, (2, [3, 2]), 3], grid=4), sample(200, 3) ** 3, quantile=0.7)
    put(model, (0, 1, 0), "sin", 1.5, 0.2, 0.8, 0.1)
    model.parts()[0][0].remove(2, 2)
    return model


def data(loss: ew.Loss, **more: object) -> Data:
    x = sample(ROWS, 3)
    classes = isinstance(loss, ew.CrossEntropy)
    y = (torch.arange(ROWS) * 7) % 3 if classes else noise(ROWS, 3)
    return Data(x, y, x[:5], y[:5], **more)  # type: ignore[arg-type]


def problem(loss: ew.Loss, rows: Data) -> Problem:
    return Problem(network(), rows, loss, Monitor(None, False))


def near(a: Tensor, b: Tensor, to: float = 1e-11) -> None:
    torch.testing.assert_close(a, b, rtol=to, atol=to * float(b.abs().max()))


# products


@pytest.mark.parametrize("loss", LOSSES)
def test_rows_count_by_their_weights(loss: str) -> None:
    weights = torch.rand(ROWS, dtype=torch.float64) + 0.1
    rows = data(LOSSES[loss], weights=weights)
    ours = Curvature(network(), rows, LOSSES[loss])
    H = normal_equations(network(), rows.x, rows.y, LOSSES[loss], weights)
    direction = noise(len(H.g))
    assert ours.value == pytest.approx(H.value, rel=1e-13)
    near(ours.g, H.g)
    near(ours.diagonal, H.H.diagonal())
    near(ours @ direction, H.H @ direction)


@pytest.mark.parametrize("kept", [0, 3000, 10**6])
def test_chunks_add_up_whether_they_are_kept_or_not(
    kept: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, loss = data(ew.Squared()), ew.Squared()
    whole = Curvature(network(), rows, loss)
    monkeypatch.setattr(_gauss_newton, "_CHUNK_ENTRIES", 2000)
    monkeypatch.setattr(_curvature, "_KEPT_ENTRIES", kept)
    pieces = Curvature(network(), rows, loss)
    same(pieces, whole)


def test_rows_of_a_stream_add_up() -> None:
    loss, rows = ew.Squared(), data(ew.Squared())
    pairs = list(zip(rows.x.split(7), rows.y.split(7), strict=True))
    surveyed = Stream(pairs, network(), loss, seed=0, team=Team()).survey(0.2)
    joined = Chunk.join(list(surveyed.chunks()))
    assert len(joined.x) < ROWS
    whole = Data(joined.x, joined.y, rows.x, rows.y)
    same(Curvature(network(), surveyed, loss), Curvature(network(), whole, loss))


class Twins(Team):
    """Two processes with the same rows: every sum is twice that of one."""

    def sum(self, tensor: Tensor) -> Tensor:
        return 2 * tensor


def test_a_team_adds_up_all_that_is_summed() -> None:
    loss = ew.Squared()
    alone, both = (Curvature(network(), data(loss, team=team), loss) for team in (Team(), Twins()))
    same(both, alone)


def same(ours: Curvature, theirs: Curvature) -> None:
    direction = noise(len(theirs.g))
    assert ours.value == pytest.approx(theirs.value, rel=1e-13)
    near(ours.g, theirs.g)
    near(ours.diagonal, theirs.diagonal)
    near(ours @ direction, theirs @ direction)
    for own, other in zip(ours.blocks, theirs.blocks, strict=True):
        near(own, other)


# the preconditioner


@pytest.mark.parametrize("most", [1, 20, 256])
def test_blocks_are_those_of_the_matrix_with_its_penalty(
    most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_curvature, "_BLOCK", most)
    loss, rows = ew.CrossEntropy(), data(ew.CrossEntropy())
    vector, H = ParameterVector(network()), normal_equations(network(), rows.x, rows.y, loss).H
    penalty = vector.penalty(1 + noise(vector.size).square(), 0.3, 0.2)
    penalty.add_to(H)
    curvature = Curvature(network(), rows, loss)
    curvature.add_to_blocks(penalty)
    near(curvature.diagonal, H.diagonal())
    start = 0
    for block in curvature.blocks:
        part = slice(start, start + len(block))
        near(block, H[part, part])
        start += len(block)
    assert start == vector.size
    widest = max(len(block) for block in curvature.blocks)
    assert widest <= max(most, 7)  # an edge has 7 coefficients


def test_a_block_holds_the_edges_of_one_sum() -> None:
    curvature = Curvature(ew.KAN([3, 4, 2]), data_of_two(), ew.Squared())
    assert [len(block) for block in curvature.blocks] == [3 * 6] * 4 + [4 * 6] * 2


def data_of_two() -> Data:
    x, y = sample(ROWS, 3), noise(ROWS, 2)
    return Data(x, y, x, y)


def test_blocks_of_a_sample_are_positive_where_it_has_no_rows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_curvature, "_SAMPLE", 5)
    rows = data(ew.Squared())
    curvature = Curvature(network(), rows, ew.Squared())
    fifth = Data(rows.x[::12], rows.y[::12], rows.x, rows.y)
    for block, own in zip(
        curvature.blocks, Curvature(network(), fifth, ew.Squared()).blocks, strict=True
    ):
        near(block, own + torch.eye(len(own)).double() * own.diagonal().mean() / 5)
        assert int(torch.linalg.cholesky_ex(block)[1]) == 0
    direction = noise(len(curvature.g))  # the products are those of all rows
    H = normal_equations(network(), rows.x, rows.y, ew.Squared()).H
    near(curvature @ direction, H @ direction)


# steps


@dataclass(frozen=True)
class Solved:
    """What a solver makes of one damped system."""

    near: Quadratic
    step: Tensor
    bent: Tensor


def solved(solver: DampedGaussNewton, loss: ew.Loss, damping: float) -> Solved:
    weights = torch.linspace(0.5, 2, ROWS, dtype=torch.float64)
    case = problem(loss, data(loss, weights=weights))
    vector = ParameterVector(case.model)
    seen = solver.look(case)
    penalty = vector.penalty(seen.diagonal, 1e-3, 1e-2)
    seen.add(penalty)
    g = seen.g + penalty.gradient(vector.read())
    solution = seen.step(g, damping * vector.lift(seen.diagonal))
    assert solution is not None
    return Solved(seen, *solution)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("damping", [1e-1, 1e-4])
def test_a_step_run_to_its_end_is_that_of_levenberg_and_marquardt(
    loss: str, damping: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cg, "_COARSE", 1e-12)
    exact = solved(ew.LevenbergMarquardt(), LOSSES[loss], damping)
    ours = solved(ew.GaussNewtonCG(iterations=1000), LOSSES[loss], damping)
    near(ours.near.diagonal, exact.near.diagonal)
    near(ours.step, exact.step, 1e-7)
    near(ours.bent, exact.bent, 1e-7)


@pytest.mark.parametrize("iterations", [1, 3, 10])
def test_a_step_that_is_cut_short_goes_down(
    iterations: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each iteration lowers the damped quadratic, and H times the step is told truly."""
    monkeypatch.setattr(cg, "_COARSE", 1e-12)
    loss, damping = ew.Squared(), 1e-3
    exact = solved(ew.LevenbergMarquardt(), loss, damping)
    short = solved(ew.GaussNewtonCG(iterations=iterations), loss, damping)
    longer = solved(ew.GaussNewtonCG(iterations=iterations + 1), loss, damping)
    g = exact.bent + damping * exact.near.diagonal * exact.step  # = -g

    def drop(found: Solved) -> float:
        bent = found.bent + damping * found.near.diagonal * found.step
        return float(g @ found.step - 0.5 * found.step @ bent)

    assert 0 < drop(short) < drop(longer) <= drop(exact) * (1 + 1e-9)


@pytest.mark.parametrize("bend", [-1.0, float("nan")])
def test_curvature_that_rounding_has_used_up_ends_a_step(
    bend: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    product, count = Curvature.__matmul__, iter(range(100))

    def spoiled(curvature: Curvature, direction: Tensor) -> Tensor:
        right = product(curvature, direction)
        return right if next(count) < 2 else bend * 1e9 * direction

    whole = solved(ew.GaussNewtonCG(iterations=2), ew.Squared(), 1e-6)
    monkeypatch.setattr(Curvature, "__matmul__", spoiled)
    spoilt = solved(ew.GaussNewtonCG(), ew.Squared(), 1e-6)
    assert bool(spoilt.step.isfinite().all())
    assert 0 < float(spoilt.step.norm()) < 10 * float(whole.step.norm())


def test_conjugate_gradients_get_where_factors_get() -> None:
    """One layer: its loss has one minimum, and noise keeps it from zero."""
    x = sample(300, 20)
    y = torch.sin(3 * x) @ noise(20, 4) + 0.1 * noise(300, 4, seed=8)
    rows = Data(x[:250], y[:250], x[250:], y[250:])
    reached = []
    for solver, steps in ((ew.LevenbergMarquardt, 3), (ew.GaussNewtonCG, 100)):
        torch.manual_seed(0)
        case = Problem(ew.KAN([20, 4]), rows, ew.Squared(), Monitor(None, False))
        solver(shrinkage=0.0, tolerance=1e-9, patience=100).descend(case, steps, 1e-7)
        reached.append(case.value())
    assert reached[1] == pytest.approx(reached[0], rel=1e-6)


def test_the_time_ends_a_step_between_two_products(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Tensor] = []
    product = Curvature.__matmul__
    monitor = Monitor(1000, False)

    def counted(curvature: Curvature, direction: Tensor) -> Tensor:
        seen.append(direction)
        if len(seen) == 3:
            monitor.stop()
        return product(curvature, direction)

    monkeypatch.setattr(Curvature, "__matmul__", counted)
    case = Problem(network(), data(ew.Squared()), ew.Squared(), monitor)
    with pytest.raises(OutOfTime):
        ew.GaussNewtonCG(iterations=100).descend(case, 50, 1e-6)
    assert len(seen) == 3
