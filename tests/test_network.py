"""The network: its widths, its nodes, what passes through it, and how it starts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import edgewise as ew
from edgewise._layer import Lock
from edgewise._network import Nodes

FLOAT = torch.float64


@pytest.fixture
def x() -> Tensor:
    return 2 * torch.rand(20, 4, dtype=FLOAT) - 1


# widths


@pytest.mark.parametrize(
    "widths",
    [
        [1, 1],
        [2, 5, 1],
        [4, (3, 2), 1],
        [4, (0, 2), (0, 1)],
        [2] + [3] * 15 + [2],
        [3, (1, [2, 3, 4]), (0, [3])],
    ],
    ids=str,
)
def test_widths_are_read_and_told(widths: list[Any]) -> None:
    model = ew.KAN(widths)
    assert model.widths == widths
    assert model.in_features == widths[0]
    assert len(model.parts()) == len(widths) - 1
    sums, products = (widths[-1], 0) if isinstance(widths[-1], int) else widths[-1]
    outputs = sums + (len(products) if isinstance(products, list) else products)
    assert model.out_features == outputs
    assert model(torch.zeros(3, widths[0], dtype=FLOAT)).shape == (3, outputs)


def test_other_ways_to_write_widths(unchecked: None) -> None:
    expected = [4, (3, 2), 1]
    assert ew.KAN((4, [3, 2], 1)).widths == expected  # type: ignore[list-item]
    assert ew.KAN([np.int64(4), (np.int32(3), 2), (1, 0)]).widths == expected  # type: ignore[list-item]
    assert all(type(n) is int for n in ew.KAN([np.int64(2), np.int64(1)]).widths)  # type: ignore[list-item]
    assert ew.KAN([4, (3, (2, np.int64(2))), (1, [])]).widths == expected  # type: ignore[list-item]


@pytest.mark.parametrize(
    ("widths", "message"),
    [
        ([2, 0, 1], r"Got 0 in \[2, 0, 1\]"),
        ([2, -3, 1], r"Got -3 in"),
        ([2, 5.0, 1], r"Got 5\.0 in"),
        ([2, None], r"Got None in"),
        ([2, "5", 1], r"Got '5' in"),
        ([2, (0, 0), 1], r"Got \(0, 0\) in"),
        ([2, (3, -1), 1], r"Got \(3, -1\) in"),
        ([2, (3, 1, 1), 1], r"Got \(3, 1, 1\) in"),
        ([2, (3, 1.5), 1], r"Got \(3, 1\.5\) in"),
        ([2, (3, [2, 1]), 1], r"Got \(3, \[2, 1\]\) in"),
        ([2, (3, [2.0]), 1], r"Got \(3, \[2\.0\]\) in"),
        ([2, (0, []), 1], r"Got \(0, \[\]\) in"),
        ([2, (0, "23"), 1], r"Got \(0, '23'\) in"),
        ([], r"at least inputs and outputs, got \[\]"),
        ([3], r"at least inputs and outputs, got \[3\]"),
        ([(2, 1), 1], r"inputs cannot be product nodes, got \[\(2, 1\), 1\]"),
    ],
    ids=str,
)
def test_widths_that_make_no_network(unchecked: None, widths: list[Any], message: str) -> None:
    with pytest.raises(ew.ConfigError, match=message):
        ew.KAN(widths)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"grid": 0}, "grid, the number of intervals, .* got 0"),
        ({"degree": 10}, "degree must be .* from 1 to 9, got 10"),
        ({"domain": (1.0, -1.0)}, r"low < high, got \[\[1.0, -1.0\]"),
        ({"domain": torch.zeros(3, 2)}, r"have the shape \(2, 2\)"),
    ],
    ids=["grid", "degree", "domain", "rows"],
)
def test_settings_that_make_no_network(
    unchecked: None, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(ew.EdgewiseError, match=message):
        ew.KAN([2, 1], **settings)


@pytest.mark.parametrize("shape", [(4,), (5, 3), (5, 5), (2, 5, 4)])
def test_a_wrong_shape_is_told(unchecked: None, shape: tuple[int, ...]) -> None:
    text = str(shape).replace("(", r"\(").replace(")", r"\)")
    with pytest.raises(ew.ShapeError, match=rf"network takes .* \(batch, 4\), got {text}"):
        ew.KAN([4, 1])(torch.zeros(shape, dtype=FLOAT))


def test_the_domain_is_the_inputs() -> None:
    domain = torch.tensor([[0.0, 5.0], [-3.0, -2.0]], dtype=FLOAT)
    model = ew.KAN([2, 3, 1], domain=domain)
    first, second = (layer.basis.domain for layer, _ in model.parts())
    assert torch.equal(first, domain)
    assert torch.equal(second, torch.tensor([[-1.0, 1.0]] * 3, dtype=FLOAT))


def test_what_a_network_says_of_itself() -> None:
    assert repr(ew.KAN([4, (3, 2), 1])) == "KAN([4, (3, 2), 1], grid=3, 198 parameters)"
    model = ew.KAN([2, 2, 1], grid=7, device="meta", dtype=torch.float32)
    assert (model.grid, model.dtype, model.device) == (7, torch.float32, torch.device("meta"))


def test_construction_draws_nothing_else() -> None:
    torch.manual_seed(11)
    first = ew.KAN([2, 3, 1])
    torch.manual_seed(11)
    second = ew.KAN([2, 3, 1])
    for a, b in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(a, b)


# nodes


def test_product_nodes_by_hand(x: Tensor) -> None:
    model = ew.KAN([4, (1, 2), 1])
    (first, _), (last, _) = model.parts()
    s = first.edges(x).sum(-1)
    assert s.shape == (20, 5)
    nodes = torch.stack([s[:, 0], s[:, 1] * s[:, 2], s[:, 3] * s[:, 4]], -1)
    torch.testing.assert_close(model(x), last(nodes), rtol=0, atol=1e-13)


def test_product_nodes_of_any_arity_by_hand(x: Tensor) -> None:
    model = ew.KAN([4, (1, [3, 2, 4]), 1])
    (first, _), (last, _) = model.parts()
    s = first.edges(x).sum(-1)
    assert s.shape == (20, 10)
    products = [s[:, 1:4].prod(-1), s[:, 4:6].prod(-1), s[:, 6:].prod(-1)]
    nodes = torch.stack([s[:, 0], *products], -1)
    torch.testing.assert_close(model(x), last(nodes), rtol=0, atol=1e-13)
    assert model.parts()[0][1].sums_of(3) == range(6, 10)


@pytest.mark.parametrize("arity", [2, 3, 4])
def test_a_product_starts_with_the_variance_of_a_sum(arity: int) -> None:
    torch.manual_seed(0)
    x = 2 * torch.rand(2000, 20, dtype=FLOAT) - 1
    s = ew.trace(ew.KAN([20, (0, [arity] * 200), 1]), x).inputs[1]
    assert 0.2 < float(s.square().mean()) < 0.5  # of a sum: 1/3


def test_a_product_of_two_lines_is_exact() -> None:
    model = ew.KAN([2, (0, 1)])
    ((layer, _),) = model.parts()
    one, line = layer.basis.line()
    with torch.no_grad():
        layer.coef.zero_()
        layer.coef[0, 0] = line[0]  # first factor: x_1
        layer.coef[1, 1] = 3 * line[1] + one[1]  # second factor: 3 x_2 + 1
    x = 6 * torch.rand(50, 2, dtype=FLOAT) - 3
    expected = x[:, :1] * (3 * x[:, 1:] + 1)
    torch.testing.assert_close(model(x), expected, rtol=0, atol=1e-13)


@pytest.mark.parametrize(
    "widths", [(3, 0), (2, 1), (0, 3), (1, 2), (1, [3]), (0, [4, 4]), (2, [2, 5, 3])]
)
@pytest.mark.parametrize("zeros", [False, True])
def test_derivatives_go_back_through_nodes(widths: tuple[int, Any], zeros: bool) -> None:
    nodes = Nodes(*widths)
    arities = [2] * widths[1] if isinstance(widths[1], int) else widths[1]
    assert len(nodes) == widths[0] + len(arities)
    assert nodes.in_features == widths[0] + sum(arities)
    s = torch.randn(6, nodes.in_features, dtype=FLOAT)
    if zeros:  # of a product with two zeros no derivative is left, of one with one zero one
        s[torch.rand(s.shape) < 0.4] = 0
    d = torch.randn(6, 4, len(nodes), dtype=FLOAT)
    jacobian = torch.stack([torch.func.jacrev(lambda r: nodes(r[None])[0])(row) for row in s])
    expected = torch.einsum("brn,bns->brs", d, jacobian)
    torch.testing.assert_close(nodes.backward(d, s), expected, rtol=0, atol=1e-13)
    t = torch.randn(6, nodes.in_features, dtype=FLOAT)
    pushed = torch.einsum("bns,bs->bn", jacobian, t)
    torch.testing.assert_close(nodes.push(t, s), pushed, rtol=0, atol=1e-13)


def test_every_sum_knows_its_node() -> None:
    assert [Nodes(2, 2).of_sum(t) for t in range(6)] == [0, 1, 2, 2, 3, 3]
    assert [Nodes(1, [3, 2]).of_sum(t) for t in range(6)] == [0, 1, 1, 1, 2, 2]
    assert Nodes(1, [3, 2]).width == (1, [3, 2])
    assert Nodes(3).width == 3
    assert Nodes(3, 1).width == (3, 1)


# edges and what passes through them


def test_edges_are_all_but_those_that_are_off() -> None:
    model = ew.KAN([2, (1, 1), 1])
    first, last = (layer for layer, _ in model.parts())
    first.remove(2, 0)
    last.lock(0, 1, Lock(ew.PRIMITIVES["x"], torch.tensor([1.0, 0, 1, 0], dtype=FLOAT)))
    assert model.edges() == [
        ew.Edge(0, 0, 0),
        ew.Edge(0, 1, 0),
        ew.Edge(0, 0, 1),
        ew.Edge(0, 1, 1),
        ew.Edge(0, 1, 2),
        ew.Edge(1, 0, 0),
        ew.Edge(1, 1, 0),
    ]
    assert str(ew.Edge(0, 1, 2)) == "edge 0:1->2"


def test_trace_is_forward_step_by_step(x: Tensor) -> None:
    model = ew.KAN([4, (2, 1), (1, 1), 2])
    model.parts()[0][0].remove(1, 1)
    lock = Lock(ew.PRIMITIVES["cos"], torch.randn(4, dtype=FLOAT))
    model.parts()[1][0].lock(2, 0, lock)
    record = ew.trace(model, x)
    torch.testing.assert_close(record.output, model(x).detach(), rtol=0, atol=1e-13)
    assert torch.equal(record.inputs[0], x)
    for depth, (layer, nodes) in enumerate(model.parts()):
        into = record.inputs[depth]
        torch.testing.assert_close(record.edges[depth], layer.edges(into).detach())
        torch.testing.assert_close(record.sums[depth], layer(into).detach())
        following = [*record.inputs[1:], record.output][depth]
        torch.testing.assert_close(following, nodes(record.sums[depth]))
    assert not record.output.requires_grad
    assert record.edges[0][:, 1, 1].abs().max() == 0


def test_trace_leaves_the_model_as_it_was(x: Tensor) -> None:
    model = ew.KAN([4, 2, 1])
    before = {name: set(vars(module)) for name, module in model.named_modules()}
    ew.trace(model, x)
    assert {name: set(vars(module)) for name, module in model.named_modules()} == before


def test_a_network_from_parts(x: Tensor) -> None:
    model = ew.KAN([4, (1, 1), 2])
    layers, nodes = zip(*model.parts(), strict=True)
    twin = ew.KAN.of(layers, nodes)
    assert twin.widths == model.widths
    assert torch.equal(twin(x), model(x))
    assert list(twin.state_dict()) == list(model.state_dict())


# initialization


def variance(widths: list[Any], seed: int, **settings: Any) -> float:
    """The variance of the outputs over that of the inputs."""
    torch.manual_seed(seed)
    model = ew.KAN(widths, **settings)
    x = 2 * torch.rand(300, widths[0], dtype=FLOAT) - 1
    return 3 * model(x).detach().var(0).mean().item()


@pytest.mark.parametrize("depth", [1, 2, 4, 8, 16])
@pytest.mark.parametrize("settings", [{}, {"grid": 50}, {"grid": 1}, {"degree": 1}, {"degree": 7}])
def test_variance_is_kept_at_any_depth(depth: int, settings: dict[str, Any]) -> None:
    gains = torch.tensor([variance([5] * (depth + 1), seed, **settings) for seed in range(6)])
    # the worst family may lose or gain a twelfth with each layer, and no seed may be lost
    assert (11 / 12) ** depth * 0.85 < gains.mean() < (13 / 12) ** depth * 1.15
    assert gains.min() > 0.1
    assert gains.max() < 10


@pytest.mark.parametrize("width", [2, 10, 40])
def test_variance_is_kept_at_any_width(width: int) -> None:
    gains = torch.tensor([variance([width] * 9, seed) for seed in range(6)])
    assert 0.5 < gains.mean() < 1.2


def test_variance_is_kept_where_widths_change() -> None:
    gains = torch.tensor([variance([2, 10, 3, 10, 1], seed) for seed in range(20)])
    assert 0.5 < gains.mean() < 1.3


@pytest.mark.parametrize("depth", [1, 2])
def test_variance_is_kept_by_product_nodes(depth: int) -> None:
    gains = torch.tensor([variance([8] + [(4, 4)] * depth, seed) for seed in range(20)])
    assert 0.7 < gains.mean() < 1.4


def test_a_generator_makes_the_start_repeatable_and_leaves_torchs_own_alone() -> None:
    model = ew.KAN([2, (2, 1), 1])
    before = torch.get_rng_state()
    states = []
    for seed in (3, 3, 4):
        model.reset_parameters(generator=torch.Generator().manual_seed(seed))
        states.append(torch.cat([p.detach().flatten() for p in model.parameters()]).clone())
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(states[0], states[1])
    assert not torch.equal(states[0], states[2])


def test_the_constructor_draws_as_reset_does() -> None:
    torch.manual_seed(3)
    model = ew.KAN([2, (2, 1), 1])
    scale = [layer.coef.detach().std() for layer, _ in model.parts()]
    model.reset_parameters()
    again = [layer.coef.detach().std() for layer, _ in model.parts()]
    assert torch.allclose(torch.stack(scale), torch.stack(again), rtol=0.5)
