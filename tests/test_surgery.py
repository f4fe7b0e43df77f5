"""Surgery by hand: the function stays, or loses exactly what was asked for."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import scipy.special
import torch

import edgewise as ew
from builders import put, sample

WIDTHS = [3, (3, [2, 3, 2]), (2, [3]), 2]


def mixed(seed: int = 0) -> ew.KAN:
    """Sums, products of two and three factors, locks, bounds, an edge that is off."""
    torch.manual_seed(seed)
    model = ew.KAN(WIDTHS, grid=4)  # type: ignore[arg-type]
    put(model, (0, 0, 1), "sin", 2.0, 0.1, 1.0, 0.3)
    put(model, (1, 2, 3), "tanh", 0.5, 0.2, 1.3, 0.2)
    put(model, (1, 4, 0), "exp", 0.3, 0.0, 1.0, 0.2)
    model.parts()[0][0].remove(3, 1)
    model.parts()[1][0].remove(1, 0)
    return ew.bound(model, [(0, 2, 0), (1, 1, 2)], "increasing")


X = sample(60, 3)


def same(a: ew.KAN, b: ew.KAN) -> None:
    """Compare two networks on the data and beyond."""
    for x in (X, 2 * X):
        torch.testing.assert_close(a(x), b(x), rtol=1e-12, atol=1e-12)


@pytest.fixture
def model() -> Any:
    """A network that no verb may change."""
    model = mixed()
    before = copy.deepcopy(model)
    yield model
    for old, new in zip(before.parameters(), model.parameters(), strict=True):
        assert torch.equal(old, new)
    assert before.widths == model.widths
    assert before.edges() == model.edges()
    assert [a.bounds for a, _ in before.parts()] == [a.bounds for a, _ in model.parts()]


def kept(model: ew.KAN) -> tuple[int, int, int]:
    """How many edges, locks and bounds there are."""
    layers = [layer for layer, _ in model.parts()]
    return (
        len(model.edges()),
        sum(len(layer.locked()) for layer in layers),
        sum(len(layer.bounds) for layer in layers),
    )


# order


@pytest.mark.parametrize("where", [(1, 0, 2), (1, 3, 4), (1, 5, 3), (2, 0, 1)])
def test_swapped_nodes_leave_the_function_alone(model: ew.KAN, where: Any) -> None:
    other = ew.swap(model, *where)
    same(other, model)
    assert kept(other) == kept(model)
    layer, first, second = where
    a, b = (ew.trace(m, X).inputs[layer] for m in (model, other))
    torch.testing.assert_close(a[:, first], b[:, second], rtol=1e-12, atol=1e-12)
    same(ew.swap(other, *where), model)


def test_arities_go_with_their_nodes(model: ew.KAN) -> None:
    assert ew.swap(model, 1, 3, 4).widths == [3, (3, [3, 2, 2]), (2, [3]), 2]


def crossed(order: list[int]) -> ew.KAN:
    """Chains from input k to output k, the hidden nodes in another order."""
    n = len(order)
    model = ew.KAN([n, n, n])
    for layer, _ in model.parts():
        layer.mask.zero_()
    for k, place in enumerate(order):
        put(model, (0, k, place), "sin", 1.0 + k, 0, 1, 0)
        put(model, (1, place, k), "exp", 1.0, 0, 1, 0)
    return model


@pytest.mark.parametrize("order", [[2, 0, 1], [4, 3, 2, 1, 0], [1, 3, 0, 2]])
def test_chains_are_laid_straight(order: list[int]) -> None:
    model, x = crossed(order), sample(30, len(order))
    moved = sum(abs(k - p) for k, p in enumerate(order))
    assert ew.wire_length(model) == pytest.approx(2 * moved / len(order))
    straight = ew.untangle(model)
    assert ew.wire_length(straight) == pytest.approx(0, abs=1e-12)
    torch.testing.assert_close(straight(x), model(x), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_no_swap_of_two_nodes_is_better(seed: int, weighted: bool) -> None:
    model = ew.prune(mixed(seed), X, node_threshold=0, edge_threshold=0.1)
    x = X if weighted else None
    best = ew.untangle(model, x=x)
    same(best, model)
    length = ew.wire_length(best, x=x)
    assert length <= ew.wire_length(model, x=x) + 1e-9
    for layer, (_, nodes) in enumerate(best.parts()[:-1], 1):
        for i in range(len(nodes)):
            for j in range(i):
                if (i < nodes.sums) == (j < nodes.sums):
                    other = ew.swap(best, layer, i, j)
                    assert ew.wire_length(other, x=x) > length - 1e-9


# splitting and merging


@pytest.mark.parametrize(
    ("where", "widths"),
    [
        ((1, 1, [2]), [3, (4, [2, 3, 2]), (2, [3]), 2]),
        ((1, 4, [0, 3]), [3, (3, [2, 3, 2, 3]), (2, [3]), 2]),
        ((2, 2, [1]), [3, (3, [2, 3, 2]), (2, [3, 3]), 2]),
    ],
)
def test_a_node_in_two(model: ew.KAN, where: Any, widths: list[Any]) -> None:
    larger = ew.split(model, *where)
    same(larger, model)
    assert larger.widths == widths
    layer, node, moved = where
    new = larger.parts()[layer - 1][1]
    number = new.sums - 1 if node < model.parts()[layer - 1][1].sums else len(new) - 1
    leaving = larger.parts()[layer][0].active
    assert leaving[:, number].nonzero().flatten().tolist() == moved
    assert not bool((leaving[:, number] & leaving[:, node]).any())


def test_what_was_split_is_merged_again(model: ew.KAN) -> None:
    merged = ew.merge(ew.split(model, 1, 1, [2]), X)
    assert merged.pairs == ((1, 1, 3),)
    assert merged.error < 1e-12
    same(merged.model, model)
    assert kept(merged.model) == kept(model)


@pytest.mark.parametrize(("s", "t"), [(2.5, 0.0), (-0.7, 0.4), (1.0, -3.0)])
def test_nodes_that_are_alike_up_to_scale_and_shift(s: float, t: float) -> None:
    """Node 1 is s times node 0 plus t, and its grid is that of node 0 moved alike."""
    torch.manual_seed(0)
    model = ew.KAN([2, 3, 2], grid=4)
    first, second = (layer for layer, _ in model.parts())
    one, _ = first.basis.line()
    with torch.no_grad():
        first.coef[1] = s * first.coef[0]
        first.coef[1, 0] += t * one[0]
    domain = second.basis.domain.clone()
    domain[1] = (s * domain[0] + t).sort().values
    second.basis = second.basis.with_domain(domain)
    put(model, (1, 1, 1), "sin", 2.0, 0.3, 1.0, 0.1)
    second.remove(1, 0)
    x = sample(50, 2)
    merged = ew.merge(model, x)
    assert merged.pairs == ((1, 0, 1),)
    assert merged.model.widths == [2, 2, 2]
    for points in (x, 3 * x):
        torch.testing.assert_close(merged.model(points), model(points), rtol=1e-12, atol=1e-12)
    ((place, lock),) = merged.model.parts()[1][0].locked()
    assert place == (1, 0)
    torch.testing.assert_close(
        lock.constants.detach(), torch.tensor([2 * s, 2 * t + 0.3, 1, 0.1]).double()
    )


def test_bounds_turn_over_with_the_sign() -> None:
    model = ew.KAN([1, 2, 1], grid=4)
    put(model, (0, 0, 0), "sin", 1, 0, 1, 0)
    put(model, (0, 0, 1), "sin", 1, 0, -1, 0)
    model.parts()[1][0].remove(0, 0)
    model = ew.bound(model, (1, 1, 0), "increasing", "convex")
    x = sample(50, 1)
    merged = ew.merge(model, x).model
    assert merged.parts()[1][0].bounds == {(0, 0): frozenset({"decreasing", "convex"})}
    torch.testing.assert_close(merged(x), model(x), rtol=1e-12, atol=1e-12)


def test_a_merge_that_is_not_exact_tells_its_error(model: ew.KAN) -> None:
    merged = ew.merge(model, X, (1, 0, 2))
    assert merged.model.widths == [3, (2, [2, 3, 2]), (2, [3]), 2]
    expected = (merged.model(X) - model(X)).detach().square().mean().sqrt()
    assert merged.error == pytest.approx(float(expected))
    assert merged.error > 0


def test_locks_that_meet_become_the_nearest_spline() -> None:
    model = ew.KAN([1, 2, 1], grid=30, degree=5)
    put(model, (0, 0, 0), "x", 1, 0, 1, 0)
    put(model, (0, 0, 1), "x", 1, 0, 0.5, 0.2)
    put(model, (1, 0, 0), "sin", 2, 0, 1, 0)
    put(model, (1, 1, 0), "exp", 1, 0, 1, 0)
    x = sample(500, 1)
    merged = ew.merge(model, x)
    assert merged.error < 1e-8
    expected = torch.sin(2 * x) + torch.exp(0.5 * x + 0.2)
    torch.testing.assert_close(merged.model(x), expected, rtol=0, atol=1e-7)


PAIRS: dict[str, tuple[Any, Any]] = {
    "the same": (("tanh", 2, 0.3, 1, 0.1), ("tanh", 2, 0.3, -0.4, 0.7)),
    "an odd function": (("tanh", 2, 0.3, 1, 0.1), ("tanh", -2, -0.3, 0.4, 0.7)),
    "an even function": (("gaussian", 2, 0.3, 1, 0.1), ("gaussian", -2, -0.3, 0.4, 0.7)),
    "lines": (("x", 2, 0.3, 1, 0.1), ("x", -1, 0.5, 3, 0)),
    "squares": (("x^2", 2, 0.3, 1, 0.1), ("x^2", -1, 0.5, 3, 0)),
    "a square and a line": (("x", 2, 0.3, 1, 0.1), ("x^2", -1, 0.5, 3, 0)),
    "squares that are a line": (("x^2", 1, 0.5, 1, 0.1), ("x^2", 1, -0.5, -1, 0)),
    "sines": (("sin", 3, 0.3, 1, 0.1), ("sin", 3, 1.5, 2, 0)),
    "sines that run back": (("sin", 3, 0.3, 1, 0.1), ("sin", -3, 1.5, 2, 0)),
    "a sine and a cosine": (("sin", 3, 0.3, 1, 0.1), ("cos", 3, 1.5, 2, 0)),
    "a cosine and a sine": (("cos", 3, 0.3, 1, 0.1), ("sin", -3, 1.5, 2, 0)),
    "waves that are nothing": (("sin", 3, 0.3, 1, 0.1), ("sin", 3, 0.3, -1, 0)),
    "exponentials": (("exp", 1.5, 0.3, 1, 0.1), ("exp", 1.5, -2, -0.2, 0)),
    "logarithms": (("log", 0.5, 1.5, 1, 0.1), ("log", 1, 3, 2, 0.2)),
    "roots": (("sqrt", 0.5, 1.5, 1, 0.1), ("sqrt", 1, 3, 2, 0.2)),
    "poles": (("1/x", 0.5, 1.5, 1, 0.1), ("1/x", -1, -3, 2, 0.2)),
    "kinks": (("abs", 0.5, 0.1, 1, 0.1), ("abs", -1, -0.2, 2, 0.2)),
    "a constant": (("tanh", 2, 0.3, 1, 0.1), ("erf", 0, 0.5, 2, 0.2)),
}
FUNCTIONS = {
    "x": lambda u: u,
    "x^2": np.square,
    "1/x": np.reciprocal,
    "gaussian": lambda u: np.exp(-(u**2)),
    "erf": scipy.special.erf,
}


def by_numpy(lock: Any, u: Any) -> Any:
    name, a, b, c, d = lock
    return c * FUNCTIONS.get(name, getattr(np, name, None))(a * u + b) + d


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize(("s", "t"), [(1.0, 0.0), (-0.6, 0.3)])
def test_locks_whose_sum_is_a_lock_are_merged_exactly(name: str, s: float, t: float) -> None:
    """Node 1 is s times node 0 plus t; what leaves them is a pair of locks in node 0."""
    first, (kind, a, b, c, d) = PAIRS[name]
    model = ew.KAN([1, 2, 1])
    put(model, (0, 0, 0), "tanh", 1, 0, 1, 0)
    put(model, (0, 0, 1), "tanh", 1, 0, s, t)
    put(model, (1, 0, 0), *first)
    put(model, (1, 1, 0), kind, a / s, b - a * t / s, c, d)
    x = sample(80, 1)
    merged = ew.merge(model, x)
    assert merged.pairs == ((1, 0, 1),)
    ((_, lock),) = merged.model.parts()[1][0].locked()
    assert len(merged.model.edges()) == 2
    for points in (x, 3 * x):
        u = np.tanh(points.numpy())
        expected = by_numpy(first, u) + by_numpy((kind, a, b, c, d), u)
        np.testing.assert_allclose(merged.model(points).detach(), expected, rtol=0, atol=1e-12)
    assert merged.error < 1e-13
    assert bool(lock.free.all())


@pytest.mark.parametrize("locked", [0, 1])
def test_a_line_and_a_spline_are_merged_exactly(locked: int) -> None:
    model = ew.KAN([1, 2, 1], grid=4)
    put(model, (0, 0, 0), "sin", 1, 0, 1, 0)
    put(model, (0, 0, 1), "sin", 1, 0, 1, 0)
    put(model, (1, locked, 0), "x", 2, 0.3, -0.7, 0.1)
    layer = model.parts()[1][0]
    x = sample(40, 1)
    spline = ew.trace(model, 9 * x).edges[1][:, 0, [1 - locked]]  # where the grid ends
    merged = ew.merge(model, x).model
    assert bool(merged.parts()[1][0].mask.all())
    expected = spline - 0.7 * (2 * torch.sin(9 * x) + 0.3) + 0.1
    torch.testing.assert_close(merged(9 * x), expected, rtol=0, atol=1e-12)
    assert layer.active.sum() == 2


def test_locks_that_stay_constant_in_the_fit_stay_so() -> None:
    model = ew.KAN([1, 2, 1])
    for node in (0, 1):
        put(model, (0, 0, node), "sin", 1, 0, 1, 0)
        put(model, (1, node, 0), "exp", 1, 0, 1, 0)
    for _, lock in model.parts()[1][0].locked():
        lock.free[:2] = False
    ((_, lock),) = ew.merge(model, sample(30, 1)).model.parts()[1][0].locked()
    assert lock.free.tolist() == [False, False, True, True]
    assert lock.constants.tolist() == [1, 0, 2, 0]


def test_a_sum_is_split_by_the_edges_that_enter_it(model: ew.KAN) -> None:
    deeper = ew.insert(model, 1)
    larger = ew.split(deeper, 1, 2, sources=[0, 2])
    same(larger, model)
    assert larger.widths == [3, (4, [2, 3, 2]), 6, *WIDTHS[2:]]
    assert set(larger.edges()) >= {ew.Edge(0, 1, 2), ew.Edge(0, 0, 3), ew.Edge(0, 2, 3)}
    values = ew.trace(deeper, X).edges[0][:, 2]
    inputs = ew.trace(larger, X).inputs[1]
    torch.testing.assert_close(inputs[:, 3], values[:, 0] + values[:, 2])
    torch.testing.assert_close(inputs[:, 2], values[:, 1])


def test_a_sum_before_splines_that_are_lines_is_split() -> None:
    """Sums come before products, and a line with an offset is not counted twice."""
    model = ew.KAN([3, (2, 1), 2])
    layer = model.parts()[1][0]
    one, x = layer.basis.line()
    with torch.no_grad():
        layer.coef[0, 1] = 0.4 * one[1] - 1.3 * x[1]
    put(model, (1, 1, 1), "x", 2.0, 0.5, -0.7, 0.2)
    larger = ew.split(model, 1, 1, sources=[1])
    same(larger, model)
    assert larger.widths == [3, (3, 1), 2]
    entering, leaving = (layer.active for layer, _ in larger.parts())
    assert entering[1].tolist() == [True, False, True]
    assert entering[2].tolist() == [False, True, False]
    assert bool(leaving[:, [1, 2]].all())


def test_nodes_that_differ_stay(model: ew.KAN) -> None:
    merged = ew.merge(model, X)
    assert merged.pairs == ()
    assert merged.error == 0


# depth


@pytest.mark.parametrize("layer", [0, 1, 2, 3])
def test_a_layer_in_between(model: ew.KAN, layer: int) -> None:
    deeper = ew.insert(model, layer)
    counts = [3, 6, 3, 2]
    assert deeper.widths == [*WIDTHS[: layer + 1], counts[layer], *WIDTHS[layer + 1 :]]
    same(deeper, model)
    same(ew.widen(deeper, deeper.widths, x=X, seed=0), model)


# edges, nodes and inputs by hand


def test_an_edge_that_goes_takes_its_values_along(model: ew.KAN) -> None:
    edge = ew.Edge(2, 1, 1)
    fewer = ew.remove(model, edge)
    assert set(model.edges()) - set(fewer.edges()) == {edge}
    lost = ew.trace(model, X).edges[2][:, 1, 1]
    expected = model(X).detach()
    expected[:, 1] -= lost
    torch.testing.assert_close(fewer(X), expected, rtol=1e-12, atol=1e-12)
    expected[:, 1] += lost.mean()
    torch.testing.assert_close(ew.remove(model, edge, x=X)(X), expected, rtol=1e-12, atol=1e-12)


def test_a_locked_edge_can_go_and_a_node_with_all_its_edges(model: ew.KAN) -> None:
    fewer = ew.remove(model, [(0, 0, 1), ew.Edge(1, 4, 0)], nodes=[(1, 3)])
    gone = set(model.edges()) - set(fewer.edges())
    around = {e for e in model.edges() if e[:2] == (1, 3) or (e.layer == 0 and e.target in (3, 4))}
    assert gone == {ew.Edge(0, 0, 1), ew.Edge(1, 4, 0)} | around
    assert fewer.widths == model.widths
    assert ew.prune(fewer, X, node_threshold=0, edge_threshold=0).widths[1] == (3, [3, 2])


def test_a_sum_without_edges_keeps_the_means() -> None:
    model = ew.KAN([2, 1])
    lonely = ew.remove(model, [(0, 0, 0), (0, 1, 0)], x=X[:, :2])
    mean = model(X[:, :2]).detach().mean().expand(5, 1)
    torch.testing.assert_close(lonely(sample(5, 2)), mean, rtol=1e-12, atol=1e-12)


def test_fewer_inputs(model: ew.KAN) -> None:
    small = ew.select_inputs(model, [2, 0], x=X)
    assert small.widths == [2, *WIDTHS[1:]]
    means = ew.trace(model, X).edges[0][:, :, 1].mean(0)
    (layer, nodes), *rest = model.parts()
    value = nodes(layer.edges(X)[:, :, [0, 2]].sum(-1) + means)
    for layer, nodes in rest:
        value = nodes(layer(value))
    torch.testing.assert_close(small(X[:, [2, 0]]), value, rtol=1e-12, atol=1e-12)


def test_inputs_without_a_say_go_exactly() -> None:
    model = ew.remove(mixed(), nodes=[(0, 1)])
    inputs = (ew.attribute(model, X).inputs > 0).nonzero()[:, 0].tolist()
    assert inputs == [0, 2]
    small = ew.select_inputs(model, inputs)
    torch.testing.assert_close(small(X[:, inputs]), model(X), rtol=1e-12, atol=1e-12)


# attribution


def test_attribution_of_one_output_is_that_of_its_own_network() -> None:
    model = ew.KAN([3, (2, [3, 2]), 2])
    layer, nodes = model.parts()[1]
    for output in range(2):
        alone = ew.KANLayer.of(layer.basis, layer.coef[[output]], layer.mask[[output]])
        own = ew.KAN.of([model.parts()[0][0], alone], [model.parts()[0][1], type(nodes)(1)])
        scores, expected = ew.attribute(model, X, output=output), ew.attribute(own, X)
        torch.testing.assert_close(scores.inputs, expected.inputs)
        torch.testing.assert_close(scores.edges[0], expected.edges[0])
    both = ew.attribute(model, X, output=[0, 1])
    torch.testing.assert_close(both.inputs, ew.attribute(model, X).inputs)


def test_interactions_equal_nested_derivatives(model: ew.KAN) -> None:
    scores = ew.interactions(model, X)
    of_output = [
        torch.stack([torch.func.hessian(lambda v: model(v[None])[0, o])(row) for row in X])  # noqa: B023
        for o in range(2)
    ]
    spread = model(X).std(0)
    for output, hessian in enumerate(of_output):
        own = hessian.square().mean(0).sqrt() * X.std(0).outer(X.std(0)) / spread[output]
        own.fill_diagonal_(0)
        torch.testing.assert_close(ew.interactions(model, X, output=output), own.detach())
    largest = torch.stack([ew.interactions(model, X, output=o) for o in range(2)]).amax(0)
    torch.testing.assert_close(scores, largest)


def test_what_acts_together() -> None:
    law = ew.compile_formula("x*y + sin(z) + exp(x)", ["x", "y", "z"])
    x = sample(4000, 3)
    scores = ew.interactions(law, x)
    spread = law(x).detach().std()
    assert float(scores[0, 1]) == pytest.approx(float(x[:, 0].std() * x[:, 1].std() / spread))
    assert not bool(scores[2].any())
    assert torch.equal(scores, scores.T)


# messages


@pytest.mark.parametrize(
    ("verb", "message"),
    [
        (lambda m: ew.swap(m, 0, 0, 1), "no hidden node 0 in layer 0"),
        (lambda m: ew.swap(m, 3, 0, 1), "no hidden node 0 in layer 3"),
        (lambda m: ew.swap(m, 1, 2, 3), "Sum nodes come before product nodes"),
        (lambda m: ew.split(m, 1, 9, [0]), "no hidden node 9 in layer 1"),
        (lambda m: ew.split(m, 1, 0, [1]), r"targets are some of the sums \[0, 2, 3, 4\]"),
        (lambda m: ew.split(m, 1, 0, []), "got \\[\\]"),
        (lambda m: ew.split(m, 1, 0, [0], sources=[0]), "targets or sources, not both"),
        (lambda m: ew.split(m, 1, 0, sources=[5]), r"some of the nodes \[0, 1, 2\].* got \[5\]"),
        (lambda m: ew.split(m, 1, 0, sources=[1]), r"sums \[0, 2, 3, 4\] are no lines.*insert\(m"),
        (lambda m: ew.split(m, 1, 4, sources=[1]), "Node 4 of layer 1 is a product"),
        (lambda m: ew.insert(m, 4), "no node 0 in layer 4"),
        (lambda m: ew.merge(m, X, (1, 1, 1)), "Give two nodes"),
        (lambda m: ew.merge(m, X, tolerance=-1.0), "tolerance cannot be negative"),
        (lambda m: ew.remove(m, (0, 1, 3)), "no edge 0:1->3 .* or it is off"),
        (lambda m: ew.remove(m, nodes=[(1, 6)]), "no node 6 in layer 1"),
        (lambda m: ew.select_inputs(m, [0, 0]), "different numbers from 0 to 2"),
        (lambda m: ew.select_inputs(m, [0]), r"Edges leave the inputs \[1, 2\]"),
        (lambda m: ew.attribute(m, X, output=2), "output is a number from 0 to 1"),
        (lambda m: ew.interactions(m, X, output=[]), "output is a number from 0 to 1"),
    ],
)
def test_what_cannot_be_done_is_said(verb: Any, message: str) -> None:
    with pytest.raises(ew.ConfigError, match=message):
        verb(mixed())
