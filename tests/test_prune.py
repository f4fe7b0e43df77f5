"""Scores against a computation by hand, and pruning that keeps what the outputs show."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import Tensor

import edgewise as ew
from builders import put
from edgewise._layer import Lock


def uniform(rows: int, inputs: int) -> Tensor:
    return 2 * torch.rand(rows, inputs, dtype=torch.float64) - 1


def line(model: ew.KAN, edge: tuple[int, int, int], slope: float, shift: float = 0.0) -> None:
    put(model, edge, "x", 1.0, 0.0, slope, shift)


@torch.no_grad()
def hold(model: ew.KAN, edge: tuple[int, int, int], value: float) -> None:
    """Make a numeric edge constant."""
    depth, i, o = edge
    model.parts()[depth][0].coef[o, i] = value


# attribution

CROSS = torch.tensor([[1, 0], [-1, 0], [0, 1], [0, -1]], dtype=torch.float64)
"""Two inputs without correlation, of variance 2/3 each."""


def by_hand() -> ew.KAN:
    """n0 = x1 + 2 x2, n1 = 30 x1, and only n0 goes on: y = 5 n0."""
    model = ew.KAN([2, 2, 1])
    line(model, (0, 0, 0), 1)
    line(model, (0, 1, 0), 2)
    line(model, (0, 0, 1), 30)
    line(model, (0, 1, 1), 0, 7)
    line(model, (1, 0, 0), 5)
    line(model, (1, 1, 0), 0, -1)
    return model


def test_scores_equal_those_by_hand() -> None:
    scores = ew.attribute(by_hand(), CROSS)
    # variances: x1 2/3, 2 x2 8/3, their sum 10/3
    first, second = (2 / 10) ** 0.5, (8 / 10) ** 0.5
    expected = torch.tensor([[first, second], [0, 0]], dtype=torch.float64)
    torch.testing.assert_close(scores.edges[0], expected, rtol=1e-14, atol=0)
    torch.testing.assert_close(scores.edges[1], torch.tensor([[1.0, 0]]).double())
    torch.testing.assert_close(scores.nodes[0], expected[0], rtol=1e-14, atol=0)
    torch.testing.assert_close(scores.nodes[1], torch.tensor([1.0, 0]).double())
    torch.testing.assert_close(scores.nodes[2], torch.ones(1).double())
    torch.testing.assert_close(scores.sums[0], torch.tensor([1.0, 0]).double())


def test_a_node_that_leads_nowhere_has_no_score_however_much_it_varies() -> None:
    model = by_hand()
    by_norm = ew.trace(model, CROSS).sums[0].std(0)
    assert by_norm[1] > 10 * by_norm[0]
    scores = ew.attribute(model, CROSS)
    assert float(scores.nodes[1][1]) == 0
    assert not bool(scores.edges[0][1].any())
    model.parts()[1][0].remove(0, 1)
    assert float(ew.attribute(model, CROSS).nodes[1][1]) == 0


def test_factors_have_the_score_of_their_product() -> None:
    model = ew.KAN([2, (1, 1), 1])
    for j, (first, second) in enumerate(((1, 0), (1, 0), (0, 1))):
        line(model, (0, 0, j), first)
        line(model, (0, 1, j), second, 2.0)
    line(model, (1, 0, 0), 3)
    line(model, (1, 1, 0), 1)
    x = uniform(50, 2)
    scores = ew.attribute(model, x)
    n0, n1 = x[:, 0] + 2, (x[:, 0] + 2) * (x[:, 1] + 2)
    expected = torch.stack([(3 * n0).std(), n1.std()]) / (3 * n0 + n1).std()
    torch.testing.assert_close(scores.nodes[1], expected)
    torch.testing.assert_close(scores.sums[0], expected[[0, 1, 1]])
    torch.testing.assert_close(
        scores.edges[0], expected[[0, 1, 1]].unsqueeze(1) * torch.tensor([[1, 0], [1, 0], [0, 1]])
    )


@pytest.mark.parametrize(
    "widths", [[2, 3, 1], [3, (2, 2), (0, 2), 2], [1, 4, (1, 1)], [2, (1, [3, 2]), 2, (0, [4, 2])]]
)
def test_scores_equal_a_plain_loop(widths: list[Any]) -> None:
    model = ew.KAN(widths)
    put(model, (0, 0, 0), "sin", 2, 1, 1, 0)
    model.parts()[1][0].remove(0, 1)
    x = uniform(80, model.in_features)
    scores = ew.attribute(model, x)
    record = ew.trace(model, x)
    node_scores = [1.0] * model.out_features
    for depth in reversed(range(len(model.parts()))):
        layer, nodes = model.parts()[depth]
        edges, sums = record.edges[depth].numpy(), record.sums[depth].numpy()
        below = [0.0] * layer.in_features
        for j in range(layer.out_features):
            owners = [n for n, arity in enumerate(nodes.arities) for _ in range(arity)]
            node = j if j < nodes.sums else nodes.sums + owners[j - nodes.sums]
            assert float(scores.sums[depth][j]) == pytest.approx(node_scores[node], rel=1e-12)
            for i in range(layer.in_features):
                share = np.std(edges[:, j, i], ddof=1) / np.std(sums[:, j], ddof=1)
                expected = node_scores[node] * share
                assert float(scores.edges[depth][j, i]) == pytest.approx(expected, rel=1e-12)
                below[i] += expected
        node_scores = below
        assert scores.nodes[depth].tolist() == pytest.approx(below, rel=1e-12)


def test_a_constant_output_gives_scores_of_zero_and_no_nan() -> None:
    model = ew.KAN([2, 2, 1])
    hold(model, (1, 0, 0), 3.0)
    hold(model, (1, 1, 0), 1e8)
    scores = ew.attribute(model, uniform(50, 2))
    for tensor in (*scores.edges, *scores.nodes[:-1]):
        assert not bool(tensor.any())


def test_units_of_inputs_and_outputs_do_not_change_scores() -> None:
    model, x = by_hand(), CROSS
    other = by_hand()
    line(other, (1, 0, 0), 5e9, 1e9)
    assert torch.allclose(ew.attribute(other, x).nodes[0], ew.attribute(model, x).nodes[0])


# pruning

TINY = 1e-11
"""Above the scores that rounding leaves of a constant, below those of any edge that matters."""


@pytest.mark.parametrize("widths", [[2, 5, 1], [3, (2, 2), (0, 2), 2], [1, 1], [2, (1, 1)]])
def test_a_threshold_of_zero_keeps_the_function_exactly(widths: list[Any]) -> None:
    model = ew.KAN(widths)
    put(model, (0, 0, 0), "sin", 2, 1, 1, 0)
    x = uniform(60, model.in_features)
    small = ew.prune(model, x, node_threshold=0, edge_threshold=0)
    assert small.widths == model.widths
    assert small.edges() == model.edges()
    assert torch.equal(small(x), model(x))


@st.composite
def shapes(draw: st.DrawFn) -> list[Any]:
    hidden = st.sampled_from([1, 2, 3, (1, 1), (0, 1), (0, 2), (2, 1), (1, [3, 2]), (0, [4])])
    output = st.sampled_from([1, 2, (0, 1), (1, 1), (0, 2), (0, [3, 2])])
    return [draw(st.integers(1, 3)), *draw(st.lists(hidden, max_size=3)), draw(output)]


def network(widths: list[Any], seed: int) -> ew.KAN:
    """A network of which some edges are off, constant or locked, and some locks constant."""
    torch.manual_seed(seed)
    model = ew.KAN(widths)
    for edge in model.edges():
        match int(torch.randint(10, ())):
            case 0 | 1:
                model.parts()[edge.layer][0].remove(edge.target, edge.source)
            case 2:
                hold(model, edge, 0.0)
            case 3:
                hold(model, edge, 1.3)
            case 4:
                put(model, edge, "sin", 1.7, 0.3, -0.8, 0.5)
            case 5:
                put(model, edge, "tanh", 0.0, 0.4, 2.0, 0.1)
            case _:
                pass
    return model


@given(widths=shapes(), seed=st.integers(0, 2**16))
def test_what_carries_nothing_goes_and_the_outputs_stay(widths: list[Any], seed: int) -> None:
    model = network(widths, seed)
    x, other = uniform(40, model.in_features), uniform(40, model.in_features)
    before = copy.deepcopy(model)
    small = ew.prune(model, x, node_threshold=TINY, edge_threshold=TINY)

    scale = float(model(other).detach().abs().max()) + 1
    torch.testing.assert_close(small(other), model(other), rtol=0, atol=1e-12 * scale)
    assert small.in_features == model.in_features
    assert small.out_features == model.out_features
    assert len(small.edges()) <= len(model.edges())
    for a, b in zip(before.state_dict().values(), model.state_dict().values(), strict=True):
        assert torch.equal(a, b)

    scores = ew.attribute(small, x)
    for output, varies in enumerate((small(x).std(0) > 1e-9 * scale).tolist()):
        assume(varies)  # an output that is constant keeps an edge that carries nothing
        assert float(scores.nodes[-1][output]) == 1
    for tensor in scores.edges[:-1]:
        active = tensor > 0
        assert bool((tensor[active] >= TINY).all())

    again = ew.prune(small, x, node_threshold=TINY, edge_threshold=TINY)
    assert again.widths == small.widths
    assert again.edges() == small.edges()


def test_constant_edges_and_nodes_are_gone() -> None:
    model = ew.KAN([2, 4, 1])
    hold(model, (0, 0, 1), 0.4)  # node 1 loses an edge
    hold(model, (0, 0, 2), -2.0)  # node 2 becomes a number
    hold(model, (0, 1, 2), 0.7)
    hold(model, (1, 3, 0), 5.0)  # nothing depends on node 3
    x = uniform(40, 2)
    small = ew.prune(model, x, node_threshold=TINY, edge_threshold=TINY)
    assert small.widths == [2, 2, 1]
    assert [tuple(e) for e in small.edges()] == [
        (0, 0, 0),
        (0, 1, 0),
        (0, 1, 1),
        (1, 0, 0),
        (1, 1, 0),
    ]
    torch.testing.assert_close(small(x), model(x), rtol=1e-13, atol=1e-13)


def test_a_product_with_a_constant_factor_becomes_a_sum() -> None:
    model = ew.KAN([2, (1, 2), 1])
    line(model, (0, 0, 0), 1)
    for j in (1, 2, 3, 4):  # factors of two products
        line(model, (0, 0, j), j, 0.5)
        line(model, (0, 1, j), 1)
    hold(model, (0, 0, 2), 3.0)  # the second factor of the first product is 3 - 1 = 2 ...
    model.parts()[0][0].locks.pop("2_0")
    model.parts()[0][0].mask[2, 0] = True
    line(model, (0, 1, 2), 0, -1.0)
    x = uniform(50, 2)
    small = ew.prune(model, x, node_threshold=TINY, edge_threshold=TINY)
    assert small.widths == [2, (2, 1), 1]
    torch.testing.assert_close(small(x), model(x), rtol=1e-13, atol=1e-13)
    # ... and multiplies what is left of it
    factor = ew.trace(small, x).sums[0][:, 1]
    torch.testing.assert_close(factor, 2 * (x[:, 0] + 0.5 + x[:, 1]), rtol=1e-13, atol=1e-13)


def test_a_product_that_loses_a_factor_keeps_the_others() -> None:
    model = ew.KAN([2, (0, [3, 4]), 1])
    for j in range(7):
        line(model, (0, 0, j), 1 + j, 0.5)
        line(model, (0, 1, j), 1)
    for j, value in ((1, -3.0), (4, 0.5), (5, 2.0)):  # a factor of one product, two of the other
        line(model, (0, 0, j), 0, value)
        line(model, (0, 1, j), 0)
    x = uniform(50, 2)
    small = ew.prune(model, x, node_threshold=TINY, edge_threshold=TINY)
    assert small.widths == [2, (0, 2), 1]
    torch.testing.assert_close(small(x), model(x), rtol=1e-13, atol=1e-13)
    factors = ew.trace(small, x).sums[0]
    expected = -3 * (x[:, 0] + 0.5 + x[:, 1])
    torch.testing.assert_close(factors[:, 0], expected, rtol=1e-13, atol=1e-13)


def test_outputs_keep_their_places_when_one_of_them_is_a_dead_product() -> None:
    model = ew.KAN([2, (0, 2)])
    layer = model.parts()[0][0]
    layer.remove(3, 0)
    layer.remove(3, 1)
    x = uniform(30, 2)
    assert not bool(model(x)[:, 1].any())
    small = ew.prune(model, x)
    torch.testing.assert_close(small(x), model(x), rtol=1e-13, atol=1e-13)


def test_a_constant_output_keeps_its_value() -> None:
    model = ew.KAN([1, 2, 1])
    model.parts()[0][0].remove(0, 0)  # node 0 is fed by nothing
    hold(model, (0, 0, 1), 0.3)
    x = uniform(30, 1)
    assert float(model(x).detach().abs().min()) > 0
    small = ew.prune(model, x)
    torch.testing.assert_close(small(x), model(x), rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("widths", [[2, 3, 2], [2, (1, 2), (1, 1)], [2, 2], [3, 4, 4, 1]])
def test_an_output_keeps_an_edge_whatever_the_threshold(widths: list[Any]) -> None:
    model = ew.KAN(widths)
    x = uniform(40, model.in_features)
    small = ew.prune(model, x, node_threshold=1e6, edge_threshold=1e6)
    assert small.in_features == model.in_features
    assert small.out_features == model.out_features
    layer, _ = small.parts()[-1]
    assert bool(layer.active.any(1).all())
    assert (small(x).std(0) > 0).all()


def test_what_is_dropped_leaves_its_mean() -> None:
    model = ew.KAN([2, 1])
    line(model, (0, 0, 0), 1)
    put(model, (0, 1, 0), "x^2", 1, 0, 0.01, 0)
    x = uniform(40, 2)
    small = ew.prune(model, x, edge_threshold=0.1)
    assert [tuple(e) for e in small.edges()] == [(0, 0, 0)]
    expected = x[:, :1] + 0.01 * x[:, 1:].square().mean()
    torch.testing.assert_close(small(x), expected, rtol=1e-14, atol=1e-14)


def test_thresholds_for_nodes_and_edges_are_apart() -> None:
    model, x = by_hand(), CROSS
    put(model, (1, 1, 0), "x", 1, 0, 0.01, 0)
    scores = ew.attribute(model, x)
    assert 0.01 < float(scores.nodes[1][1]) < 0.1
    nodes = ew.prune(model, x, node_threshold=0.1, edge_threshold=0)
    assert nodes.widths == [2, 1, 1]
    assert len(nodes.edges()) == 3
    edges = ew.prune(model, x, node_threshold=0, edge_threshold=0.5)
    assert [tuple(e) for e in edges.edges()] == [(0, 1, 0), (1, 0, 0)]


def test_locks_stay_locks_with_what_is_free_in_them() -> None:
    model = ew.KAN([2, 2, 1])
    free = torch.tensor([True, False, False, True])
    constants = torch.tensor([1.5, 0.2, 1.0, 0.0], dtype=torch.float64)
    model.parts()[0][0].lock(1, 0, Lock(ew.PRIMITIVES["sin"], constants, free))
    hold(model, (1, 0, 0), 0.0)
    small = ew.prune(model, uniform(30, 2), node_threshold=TINY, edge_threshold=TINY)
    ((place, lock),) = small.parts()[0][0].locked()
    assert place == (0, 0)
    assert lock.primitive.name == "sin"
    assert torch.equal(lock.free, free)
    assert torch.equal(lock.constants, constants)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_dtype_stays(dtype: torch.dtype) -> None:
    model = ew.KAN([2, (2, 1), 1], dtype=dtype)
    put(model, (0, 0, 0), "sin", 2, 1, 1, 0)
    small = ew.prune(model, uniform(40, 2).to(dtype), node_threshold=0.1, edge_threshold=0.1)
    kinds = {t.dtype for t in small.state_dict().values()}
    assert kinds <= {dtype, torch.bool}
    assert small(torch.zeros(1, 2, dtype=dtype)).dtype == dtype


def test_a_pruned_network_can_be_fitted() -> None:
    x = uniform(100, 2)
    y = torch.sin(3 * x[:, :1]) * (x[:, 1:] + 2)
    model = ew.KAN([2, (1, 1), 1])
    hold(model, (1, 0, 0), 0.0)
    small = ew.prune(model, x, node_threshold=TINY, edge_threshold=TINY)
    assert small.widths == [2, (0, 1), 1]
    result = ew.fit(small, x, y, seed=0, progress=False, refine=6)
    assert result.held_out < 0.01


def test_pruning_draws_no_random_numbers_and_leaves_the_network_alone() -> None:
    model = ew.KAN([2, (2, 1), 1])
    put(model, (0, 0, 0), "sin", 2, 1, 1, 0)
    before = copy.deepcopy(model.state_dict())
    x = uniform(40, 2)
    state = torch.get_rng_state()
    small = ew.prune(model, x, node_threshold=0.1, edge_threshold=0.1)
    ew.attribute(model, x)
    assert torch.equal(torch.get_rng_state(), state)
    with torch.no_grad():
        for parameter in small.parameters():
            parameter.fill_(torch.nan)
    after = model.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[key], before[key]) for key in before)


# messages


@pytest.mark.parametrize(
    ("thresholds", "said"),
    [
        ({"node_threshold": -0.1}, "-0.1 for nodes and 0.01 for edges"),
        ({"edge_threshold": -1}, "0.01 for nodes and -1 for edges"),
    ],
)
def test_thresholds_are_not_negative(thresholds: dict[str, float], said: str) -> None:
    with pytest.raises(ew.ConfigError, match=f"Thresholds cannot be negative, got {said}"):
        ew.prune(ew.KAN([2, 1]), uniform(10, 2), **thresholds)


@pytest.mark.parametrize("rows", [0, 1])
def test_samples_are_compared_and_so_there_must_be_two(rows: int) -> None:
    model, x = ew.KAN([2, 1]), uniform(rows, 2)
    with pytest.raises(ew.DataError, match=f"needs at least 2 rows of inputs, got {rows}"):
        ew.attribute(model, x)
    with pytest.raises(ew.DataError, match=f"needs at least 2 rows of inputs, got {rows}"):
        ew.prune(model, x)


def test_inputs_have_the_shape_of_the_network(unchecked: None) -> None:
    for verb in (ew.attribute, ew.prune):
        with pytest.raises(ew.ShapeError, match=r"shape \(batch, 2\), got \(10, 3\)"):
            verb(ew.KAN([2, 1]), uniform(10, 3))
        with pytest.raises(ew.ShapeError, match=r"shape \(batch, 2\), got \(10,\)"):
            verb(ew.KAN([2, 1]), uniform(10, 1)[:, 0])


def test_a_missing_value_is_named() -> None:
    x = uniform(10, 2)
    x[3, 1] = torch.nan
    for verb in (ew.attribute, ew.prune):
        with pytest.raises(ew.DataError, match="missing or infinite"):
            verb(ew.KAN([2, 3, 1]), x)
