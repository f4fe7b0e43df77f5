"""The perceptron, against pykan 0.2.8's own numbers."""

import math

import pytest
import torch

from edgewise import ConfigError
from edgewise.compat.pykan import MLP

X = torch.tensor([[0.1, 0.2], [0.5, -0.3], [-0.7, 0.9], [0.4, 0.8]])


@pytest.fixture
def model() -> MLP:
    model = MLP([2, 3, 1], seed=4)
    model(X)
    return model


def test_values_and_scores_are_those_of_pykan(model: MLP) -> None:
    """Printed by pykan 0.2.8 for MLP([2, 3, 1], seed=4)."""
    expected = torch.tensor([[0.70710731], [0.69960111], [0.65847105], [0.86307919]])
    torch.testing.assert_close(model(X).detach(), expected)
    model.attribute()
    nodes = [[0.97702491, 0.87797958], [0.12099859, 0.21784922, 0.24535142], [1.0]]
    for score, expected in zip(model.node_scores, nodes, strict=True):
        torch.testing.assert_close(score.detach(), torch.tensor(expected))
    edges = [[0.16069569, 0.16386570], [0.42117393, 0.30767807], [0.79985225, 0.77010673]]
    torch.testing.assert_close(model.edge_scores[0].detach(), torch.tensor(edges))
    assert float(model.connection_cost) == pytest.approx(1.0559808, rel=1e-6)


@pytest.mark.parametrize(
    ("metric", "expected"),
    [("w", 11.1464329), ("act", 6.1828008), ("a", 2.6363673), ("fa", 11.3957567)],
)
def test_penalties_are_those_of_pykan(model: MLP, metric: str, expected: float) -> None:
    assert float(model.reg(metric, 1.0, 2.0).detach()) == pytest.approx(expected, rel=1e-5)


def test_swapping_keeps_the_function(model: MLP) -> None:
    before = model(X).detach()
    model.swap(1, 0, 2)
    torch.testing.assert_close(model(X).detach(), before)
    cost = float(model.connection_cost)
    model.auto_swap()
    torch.testing.assert_close(model(X).detach(), before)
    assert float(model.connection_cost) <= cost
    with pytest.raises(ConfigError, match="hidden"):
        model.swap(0, 0, 1)
    with pytest.raises(ConfigError, match="hidden"):
        model.auto_swap_l(2)
    with pytest.raises(ConfigError, match="Positions"):
        model.swap(1, 0, 3)


def test_swapping_undoes_the_order_that_crosses_all_edges() -> None:
    model = MLP([4, 4, 4])
    with torch.no_grad():
        for weight in model.w:
            weight.copy_(torch.eye(4).flip(0))
    assert float(model.connection_cost) == pytest.approx(2 * (0.75 + 0.25 + 0.25 + 0.75))
    model.auto_swap()
    assert float(model.connection_cost) == 0
    assert all(torch.equal(weight, torch.eye(4)) for weight in model.w)


def test_a_copy_shares_nothing_and_has_not_seen_anything(model: MLP) -> None:
    model.attribute()
    twin = model.copy()
    assert twin.cache_data is None
    assert not twin.acts
    assert len(model.edge_scores) == 2
    with torch.no_grad():
        twin.w[0].zero_()
    assert float(model.w[0].detach().abs().sum()) > 0


@pytest.mark.parametrize(("opt", "lr", "steps"), [("LBFGS", 1.0, 15), ("Adam", 1e-2, 300)])
def test_fits(opt: str, lr: float, steps: int) -> None:
    x = torch.linspace(-1, 1, 100)[:, None]
    dataset = {"train_input": x, "train_label": x**2, "test_input": x, "test_label": x**2}
    model = MLP([1, 8, 1], seed=1)

    def weights() -> torch.Tensor:
        return torch.stack([w.abs().sum() for w in model.w]).sum()

    results = model.fit(dataset, opt=opt, lr=lr, steps=steps, metrics=[weights], log=50)
    assert sorted(results) == ["reg", "test_loss", "train_loss", "weights"]
    assert all(len(values) == steps for values in results.values())
    error = (model(x) - x**2).square().mean().sqrt().item()
    assert error < 0.05
    assert float(results["test_loss"][-1]) == pytest.approx(error, rel=1e-4)
    assert torch.equal(model.cache_data, x)


def test_penalty_makes_it_sparse() -> None:
    torch.manual_seed(0)
    x = torch.rand(200, 4)
    y = x[:, [0]] ** 2
    dataset = {"train_input": x, "train_label": y, "test_input": x, "test_label": y}
    sizes = []
    for lamb in (0.0, 1e-3):
        model = MLP([4, 5, 1], seed=1)
        results = model.fit(dataset, steps=10, lamb=lamb, lamb_entropy=0.0)
        assert (float(results["reg"][-1]) > 0) == (lamb > 0)
        sizes.append(float(model.w[0][:, 1:].detach().abs().sum()))
    assert sizes[1] < 0.2 * sizes[0]


def test_what_is_refused(model: MLP) -> None:
    dataset = {"train_input": X, "train_label": X, "test_input": X, "test_label": X}
    with pytest.raises(ConfigError, match="AdamW"):
        model.fit(dataset, opt="AdamW")
    with pytest.raises(ConfigError, match="display_metrics"):
        model.fit(dataset, display_metrics=["accuracy"])
    with pytest.raises(ConfigError, match="reg_metric"):
        model.reg("b", 1.0, 1.0)
    with pytest.raises(ConfigError, match="act is one of"):
        MLP([1, 1], act="sine")
    with pytest.raises(ConfigError, match="not seen"):
        MLP([1, 1]).attribute()


def test_draws(model: MLP) -> None:
    import matplotlib.pyplot as plt

    for metric in ("w", "act", "fa"):
        figure = model.plot(metric=metric)
        drawn = {str(line.get_gid()): line for line in figure.axes[0].lines}
        wires = [name for name in drawn if name.startswith("wire")]
        assert len(wires) == 2 * 3 + 3
        if metric == "w":
            for o, i in ((0, 1), (1, 0), (2, 1)):
                weight = float(model.w[0][o, i].detach())
                assert drawn[f"wire-0-{i}-{o}"].get_color() == ("blue" if weight > 0 else "red")
                opacity = math.tanh(3 * abs(weight))
                assert drawn[f"wire-0-{i}-{o}"].get_alpha() == pytest.approx(opacity)
        plt.close(figure)
    with pytest.raises(ConfigError, match="metric"):
        model.plot(metric="b")


def test_seeds_nothing() -> None:
    state = torch.get_rng_state()
    MLP([2, 3, 1], seed=7)
    assert torch.equal(state, torch.get_rng_state())
