"""pykan's network: scripts in its interface against closed forms and NumPy."""

from __future__ import annotations

import copy
import itertools
import random
from pathlib import Path

import numpy as np
import pytest
import sympy
import torch
from scipy.interpolate import BSpline
from torch import Tensor

from edgewise import ConfigError, ShapeError
from edgewise.compat.pykan import KAN, KANLayer, MultKAN, Symbolic_KANLayer, create_dataset
from edgewise.compat.pykan._objective import Squares


@pytest.fixture(autouse=True)
def _double() -> object:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def hello(x: Tensor) -> Tensor:
    return torch.exp(torch.sin(torch.pi * x[:, [0]]) + x[:, [1]] ** 2)


def rows(n: int = 50, inputs: int = 2) -> Tensor:
    return torch.rand(n, inputs, generator=torch.Generator().manual_seed(1)) * 2 - 1


def exact() -> MultKAN:
    """exp(sin(pi x1) + x2^2) in two layers."""
    model = KAN(width=[2, 1, 1])
    for place, name, a in (
        ((0, 0, 0), "sin", torch.pi),
        ((0, 1, 0), "x^2", 1.0),
        ((1, 0, 0), "exp", 1.0),
    ):
        model.fix_symbolic(*place, name, fit_params_bool=False)
        model.symbolic_fun[place[0]].affine.data[place[2], place[1], 0] = a
    return model


def test_constructing_changes_nothing_outside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unchecked: None
) -> None:  # the checks themselves draw from Python's generator
    monkeypatch.chdir(tmp_path)
    width = [2, [1, 1], 1]
    torch.manual_seed(3), np.random.seed(3), random.seed(3)  # noqa: NPY002
    expected = torch.rand(1), np.random.rand(), random.random()  # noqa: NPY002
    torch.manual_seed(3), np.random.seed(3), random.seed(3)  # noqa: NPY002
    KAN(width=width, seed=0)
    assert (torch.rand(1), np.random.rand(), random.random()) == expected  # noqa: NPY002
    assert width == [2, [1, 1], 1]
    assert list(tmp_path.iterdir()) == []


def test_a_layer_is_base_plus_spline_by_scipy() -> None:
    layer = KANLayer(2, 3, num=4, k=3, generator=torch.Generator().manual_seed(0))
    layer.mask.data[0, 1] = 0.5
    x = rows(30)
    y, preacts, postacts, postspline = layer(x)
    for i in range(2):
        for j in range(3):
            spline = BSpline(layer.grid[i].numpy(), layer.coef[i, j].detach().numpy(), 3)(x[:, i])
            u = x[:, i].numpy()
            base = u / (1 + np.exp(-u))
            edge = layer.scale_base[i, j].item() * base + layer.scale_sp[i, j].item() * spline
            np.testing.assert_allclose(postspline[:, j, i].detach(), spline, atol=1e-12)
            mask = layer.mask[i, j].item()
            np.testing.assert_allclose(postacts[:, j, i].detach(), mask * edge, atol=1e-12)
    torch.testing.assert_close(postacts.sum(2), y)
    torch.testing.assert_close(layer.sums(x), y)
    assert torch.equal(preacts[:, 2], x)


def test_products_of_any_arity_are_products() -> None:
    model = KAN(width=[2, [1, 2], 1], mult_arity=[[], [2, 3], []], seed=0)
    x = rows()
    model(x)
    s = model.acts_premult[0]
    expected = torch.stack([s[:, 0], s[:, 1] * s[:, 2], s[:, 3] * s[:, 4] * s[:, 5]], 1)
    torch.testing.assert_close(model.acts[1], expected)
    assert (model.width_in, model.width_out) == ([2, 3, 1], [2, 6, 1])


def test_functions_on_edges_compute_the_formula() -> None:
    model, x = exact(), rows()
    torch.testing.assert_close(model(x), hello(x), rtol=1e-12, atol=1e-12)
    (formula,), (x1, x2) = model.symbolic_formula()
    value = sympy.lambdify([x1, x2], formula, "numpy")(*x.T.numpy())
    np.testing.assert_allclose(value, hello(x)[:, 0], rtol=1e-12)


def test_formula_with_normalizers_and_a_product() -> None:
    model = KAN(width=[2, [0, 1], 1], base_fun="zero")
    for place in ((0, 0, 0), (0, 1, 1), (1, 0, 0)):
        model.fix_symbolic(*place, "x", fit_params_bool=False)
    for place in ((0, 0, 1), (0, 1, 0)):
        model.remove_edge(*place)
    formula, names = model.symbolic_formula(["a", "b"], ([1, 2], [3, 4]), ([5], [6]))
    a, b = names
    assert (
        sympy.simplify(formula[0] - ((a - 1) / 3 * (b - 2) / 4 * 6 + 5)).subs({a: 1.7, b: 0.3})
        < 1e-12
    )


def test_a_spline_has_no_formula() -> None:
    with pytest.raises(ConfigError, match=r"\(0,0,0\)"):
        KAN(width=[1, 1]).symbolic_formula()


def test_the_tutorial_ends_at_the_exact_formula() -> None:
    dataset = create_dataset(hello, n_var=2, train_num=400, test_num=200)
    model = KAN(width=[2, 5, 1], grid=3, k=3, seed=42)
    results = model.fit(dataset, opt="LBFGS", steps=30, lamb=0.001)
    assert len(results["train_loss"]) == len(results["reg"]) == 30
    model = model.prune()
    assert model.width[1][0] < 5
    model.fit(dataset, steps=30)
    model = model.refine(10)
    model.fit(dataset, steps=30)
    model.auto_symbolic(lib=["x", "x^2", "x^3", "exp", "log", "sqrt", "tanh", "sin"], verbose=0)
    results = model.fit(dataset, steps=50)
    assert results["test_loss"][-1] < 1e-10
    (formula,), names = model.symbolic_formula()
    value = sympy.lambdify(names, formula, "numpy")(*dataset["test_input"].T.numpy())
    np.testing.assert_allclose(value, dataset["test_label"][:, 0], rtol=1e-9)


@pytest.mark.parametrize("seed", [1, 2, 42])
def test_no_seed_gets_stuck(seed: int) -> None:
    dataset = create_dataset(hello, n_var=2, train_num=300, test_num=100)
    results = KAN(width=[2, 1, 1], grid=5, seed=seed).fit(dataset, steps=30)
    assert results["test_loss"][-1] < 2e-2


def test_a_seed_gives_the_same_fit() -> None:
    dataset = create_dataset(hello, n_var=2, train_num=100, test_num=50)
    first, second = (KAN(width=[2, 2, 1], seed=4).fit(dataset, steps=10) for _ in range(2))
    assert first["train_loss"] == second["train_loss"]


def test_a_penalty_leaves_the_nodes_that_the_law_needs() -> None:
    dataset = create_dataset(hello, n_var=2)
    left = []
    for seed in range(6):
        model = KAN(width=[2, 5, 1], grid=3, k=3, seed=seed).double()
        model.fit(dataset, steps=50, lamb=1e-3)
        left.append(model.prune().width_in[1])
    assert left.count(1) >= 4, left


@pytest.mark.parametrize("width", [[2, 2, 1], [2, 60, 1]])
def test_an_interrupted_fit_keeps_what_it_reached(
    width: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = create_dataset(hello, n_var=2, train_num=100, test_num=50)
    model = KAN(width=width, seed=0).double()
    x, y = dataset["train_input"], dataset["train_label"]
    untrained = float((model(x).detach() - y).square().mean())
    loss, calls = Squares.loss, itertools.count()

    def interrupted(self: Squares, prediction: Tensor, y: Tensor) -> Tensor:
        if next(calls) == 14:
            raise KeyboardInterrupt
        return loss(self, prediction, y)

    monkeypatch.setattr(Squares, "loss", interrupted)
    with pytest.raises(KeyboardInterrupt):
        model.fit(dataset, steps=8)
    reached = float((model(x).detach() - y).square().mean())
    assert reached < 0.5 * untrained


def test_wide_networks_learn_under_a_penalty() -> None:
    def pairs(x: Tensor) -> Tensor:
        return x.reshape(len(x), 5, 2).sum(2)

    dataset = create_dataset(pairs, n_var=10, train_num=400, test_num=200)
    model = KAN(width=[10, 10, 5], grid=5, k=3, seed=1)
    results = model.fit(dataset, steps=12, lamb=1e-2)
    assert results["test_loss"][-1] < 0.15  # 0.82 is the labels' deviation
    objective = np.square(results["train_loss"]) + 1e-2 * np.array(results["reg"])
    assert objective[-1] == objective.min() < objective[0]


@pytest.mark.parametrize(("metric", "opt"), [("edge_backward", "LBFGS"), ("node_backward", "Adam")])
def test_every_penalty_and_optimizer_lowers_the_loss(metric: str, opt: str) -> None:
    dataset = create_dataset(hello, n_var=2, train_num=100, test_num=50)
    model = KAN(width=[2, 2, 1], seed=0)
    lr = 0.01 if opt == "Adam" else 1.0
    results = model.fit(dataset, opt=opt, steps=12, lamb=1e-3, reg_metric=metric, lr=lr, batch=80)
    assert results["train_loss"][-1] < results["train_loss"][0]


def test_cross_entropy_and_another_loss() -> None:
    x = rows(200)
    labels = (x[:, 0] * x[:, 1] > 0).long()
    dataset = {"train_input": x, "train_label": labels, "test_input": x, "test_label": labels}
    model = KAN(width=[2, 3, 2], seed=0)

    def accuracy() -> Tensor:
        return (model(x).argmax(1) == labels).double().mean()

    results = model.fit(dataset, steps=15, loss_fn=torch.nn.CrossEntropyLoss(), metrics=[accuracy])
    assert results["accuracy"][-1] > 0.95
    rough = {**dataset, "train_label": hello(x), "test_label": hello(x)}
    results = KAN(width=[2, 1], seed=0).fit(rough, steps=3, loss_fn=torch.nn.L1Loss())
    assert results["test_loss"][-1] < results["test_loss"][0]


@pytest.mark.parametrize(
    "wrong",
    [
        {"opt": "AdamW"},
        {"reg_metric": "none"},
        {"steps": 0},
        {"lamb": -1.0},
        {"batch": 0},
        {"display_metrics": ["unknown"]},
    ],
)
def test_what_cannot_be_honored_is_refused(wrong: dict[str, object]) -> None:
    dataset = create_dataset(hello, n_var=2, train_num=20, test_num=10)
    with pytest.raises(ConfigError):
        KAN(width=[2, 1]).fit(dataset, **wrong)


def test_labels_of_another_shape_are_refused() -> None:
    dataset = create_dataset(hello, n_var=2, train_num=20, test_num=10)
    dataset["train_label"] = dataset["train_label"].expand(-1, 2)
    with pytest.raises(ShapeError):
        KAN(width=[2, 1]).fit(dataset)


def test_refining_keeps_the_function() -> None:
    model, x = KAN(width=[2, 3, 1], grid=3, seed=0), rows()
    model.act_fun[0].coef.data += 0.3 * torch.randn_like(model.act_fun[0].coef)
    finer = model.refine(6)
    torch.testing.assert_close(finer(x), model(x), rtol=1e-6, atol=1e-6)
    assert finer.act_fun[0].coef.shape == (2, 3, 9)


def test_moving_grids_nearly_keeps_a_smooth_function() -> None:
    model, x = KAN(width=[2, 2, 1], grid=20, seed=0, noise_scale=0.0), rows(500)
    before = model(x).detach()
    model.update_grid(x)
    torch.testing.assert_close(model(x), before, atol=1e-4, rtol=0)
    torch.testing.assert_close(model.act_fun[0].grid[:, 3], x.amin(0))


def test_scores_are_shares_of_deviation() -> None:
    model, x = KAN(width=[2, 1], base_fun="zero", seed=0), rows(2000)
    for i, slope in enumerate((3.0, 0.1)):
        model.fix_symbolic(0, i, 0, "x", fit_params_bool=False)
        model.symbolic_fun[0].affine.data[0, i, 2] = slope
    model(x)
    whole = (3 * x[:, 0] + 0.1 * x[:, 1]).std()
    expected = torch.stack([3 * x[:, 0].std() / whole, 0.1 * x[:, 1].std() / whole])
    torch.testing.assert_close(model.feature_score, expected)
    small = model.prune_input(threshold=0.1)
    assert small.input_id.tolist() == [0]
    left = 3 * x[:, :1] + 0.1 * x[:, 1].mean()
    torch.testing.assert_close(small(x), left)
    model.prune_edge(0.1)
    torch.testing.assert_close(model(x), left)
    assert model.n_edge == 1


def test_pruning_keeps_the_constants_of_what_it_takes() -> None:
    torch.manual_seed(0)
    model, x = KAN(width=[3, [2, 1], 2], grid=4, seed=0, noise_scale=0.5).double(), rows(300, 3)
    for act, i in zip(model.act_fun, (1, 1), strict=True):  # edges that hardly vary, far from 0
        act.scale_base.data[i] = 0.0
        act.coef.data[i] = 5 + 1e-4 * torch.randn_like(act.coef[i])
    before = model(x).detach()
    smaller = model.prune(edge_th=1e-3)
    assert smaller.width == [[3, 0], [1, 1], [2, 0]]
    assert smaller.act_fun[0].mask[1].tolist() == [0.0] * smaller.act_fun[0].out_dim
    torch.testing.assert_close(smaller(x), before, rtol=0, atol=1e-2)


def test_pruned_nodes_are_those_that_carry_nothing() -> None:
    model, x = KAN(width=[2, [2, 2], 1], seed=0), rows()
    model.remove_node(1, 1, mode="up")
    model.remove_node(1, 2, mode="up")
    before = model(x)
    small = model.prune_node()
    assert small.width == [[2, 0], [1, 1], [1, 0]]
    torch.testing.assert_close(small(x), before)
    assert model.width[1] == [2, 2]


def test_order_does_not_change_the_function() -> None:
    model, x = KAN(width=[2, [3, 2], 1], mult_arity=[[], [2, 3], []], seed=0), rows()
    model.fix_symbolic(0, 0, 1, "sin", fit_params_bool=False)
    before = model(x)
    model.swap(1, 0, 1)
    model.swap(1, 3, 4)
    assert model.mult_arity == [[], [3, 2], []]
    torch.testing.assert_close(model(x), before)
    cost = model.connection_cost.item()
    model.auto_swap()
    torch.testing.assert_close(model(x), before)
    assert model.connection_cost.item() <= cost + 1e-12
    with pytest.raises(ConfigError):
        model.swap(1, 0, 4)


def test_growing_does_not_change_the_function() -> None:
    model, x = exact(), rows()
    model.expand_width(1, 2)
    model.expand_width(1, 1, sum_bool=False, mult_arity=3)
    model.expand_depth()
    torch.testing.assert_close(model(x), hello(x))
    model.perturb()
    torch.testing.assert_close(model(x), hello(x))
    assert model.n_edge > 4
    model.expand_width(0, 1)
    torch.testing.assert_close(model(torch.cat([rows(50, 1), x], 1)), hello(x))


def test_splines_that_are_added_do_not_intrude() -> None:
    model, x = KAN(width=[2, [2, 2], [1, 1], 1], seed=0), rows()
    model.fix_symbolic(0, 0, 0, "sin", fit_params_bool=False)
    for edge in ((0, 0, 2), (0, 1, 2), (0, 0, 1), (0, 1, 1), (1, 1, 0), (1, 3, 2)):
        model.remove_edge(*edge)  # a factor and a node that nothing enters, but that lead somewhere
    before, count = model(x), model.n_edge
    model.perturb()
    torch.testing.assert_close(model(x), before)
    model.perturb(mode="all")
    assert model.n_edge > count


def test_a_module_has_no_edges_to_others() -> None:
    model = KAN(width=[4, 2, 1], seed=0)
    model.module(0, "[0,1]->[0]")
    assert model.act_fun[0].mask.tolist() == [[1, 0], [1, 0], [0, 1], [0, 1]]


def test_suggesting_changes_nothing_and_finds_the_function() -> None:
    model, x = exact(), rows(200)
    model(x)
    before = copy.deepcopy(model.state_dict())
    name, _, r2, c = model.suggest_symbolic(0, 0, 0, verbose=False)
    assert (name, c) in (("sin", 2), ("cos", 2))
    assert r2 > 1 - 1e-9
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert float(model.fix_symbolic(0, 1, 0, "x^2", verbose=False)) > 1 - 1e-9
    model.unfix_symbolic(0, 1, 0)
    assert model.act_fun[0].mask[1, 0] == 1


def test_modes_add_up() -> None:
    model, x = KAN(width=[1, 1], seed=0), rows(20, 1)
    numeric = model(x)
    model.fix_symbolic(0, 0, 0, "x", fit_params_bool=False)
    model.set_mode(0, 0, 0, "sn", mask_n=0.5)
    torch.testing.assert_close(model(x), 0.5 * numeric + x)


def test_own_loops_train() -> None:
    model, x = KAN(width=[2, 2, 1], seed=0), rows(100)
    optimizer = torch.optim.LBFGS(model.get_params(), max_iter=30, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = (model(x) - hello(x)).square().mean()
        loss = loss + 1e-5 * model.get_reg("edge_forward_spline_n", 1.0, 2.0, 0.0, 0.0)
        loss.backward()
        return loss

    first = float(closure().detach())
    optimizer.step(closure)
    assert float(closure().detach()) < 0.2 * first


def test_float64_inputs_suit_a_float32_network() -> None:
    torch.set_default_dtype(torch.float32)
    model = KAN(width=[2, 1])
    assert model(rows().double()).dtype == torch.float32
    assert isinstance(model.symbolic_fun[0], Symbolic_KANLayer)
