"""Rows, derivatives and small tools, against pykan 0.2.8's own numbers and closed forms."""

import numpy as np
import pytest
import sympy
import torch
from torch import nn

from edgewise import ConfigError, DataError, ShapeError
from edgewise.compat import pykan


def product(x: torch.Tensor) -> torch.Tensor:
    return x[:, [0]] * x[:, [1]]


def test_rows_are_those_of_pykan() -> None:
    """Printed by pykan 0.2.8 for this call."""
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    dataset = pykan.create_dataset(
        product, n_var=2, ranges=[[0, 2], [-1, 3]], train_num=5, test_num=4, seed=3
    )
    train = [0.0085270, 0.2111387, 0.5716850, 0.0539097, 0.9432287]
    torch.testing.assert_close(dataset["train_input"][:, 0], torch.tensor(train))
    test = [-0.7832923, 0.8376210, -0.2975791, 2.7967315]
    torch.testing.assert_close(dataset["test_input"][:, 1], torch.tensor(test))
    label = torch.tensor([[0.0217561], [0.1697820], [1.2565421], [-0.0215982], [0.5714790]])
    torch.testing.assert_close(dataset["train_label"], label, rtol=1e-5, atol=1e-7)
    assert torch.equal(before[0], torch.get_rng_state())
    assert np.array_equal(before[1], np.random.get_state()[1])  # noqa: NPY002


def test_modes_of_the_function() -> None:
    column = pykan.create_dataset(product, train_num=10)
    for f in (lambda x: x[0] * x[1], lambda x: (x[0] * x[1])[None, :]):
        row = pykan.create_dataset(f, f_mode="row", train_num=10)
        for name, values in column.items():
            torch.testing.assert_close(row[name], values)
    flat = pykan.create_dataset(lambda x: x[:, 0] * x[:, 1], train_num=10)
    assert flat["train_label"].shape == (10, 1)
    two = pykan.create_dataset(lambda x: torch.stack([x[0], x[1], x[0]]), f_mode="row", train_num=8)
    assert two["train_label"].shape == (8, 3)
    with pytest.raises(ConfigError, match="f_mode"):
        pykan.create_dataset(product, f_mode="rows")
    with pytest.raises(ConfigError, match="ranges"):
        pykan.create_dataset(product, ranges=[[0, 1]] * 3)
    with pytest.raises(ShapeError, match="one row"):
        pykan.create_dataset(lambda x: x[0] * x[1])


def test_normalized_rows() -> None:
    raw = pykan.create_dataset(product)
    scaled = pykan.create_dataset(product, normalize_input=True, normalize_label=True)
    for kind in ("input", "label"):
        rows = raw[f"train_{kind}"].numpy()
        mean, std = rows.mean(0), rows.std(0, ddof=1)
        for part in ("train", "test"):
            expected = (raw[f"{part}_{kind}"].numpy() - mean) / std
            np.testing.assert_allclose(scaled[f"{part}_{kind}"].numpy(), expected, atol=1e-5)


def test_split_is_that_of_pykan() -> None:
    """Printed by pykan 0.2.8 after numpy.random.seed(5)."""
    np.random.seed(5)  # noqa: NPY002
    rows = torch.arange(10.0)[:, None]
    dataset = pykan.create_dataset_from_data(rows, rows[:, 0])
    assert dataset["train_input"][:, 0].tolist() == [9, 5, 2, 4, 7, 1, 0, 8]
    assert dataset["test_label"].tolist() == [[3], [6]]
    with pytest.raises(DataError, match="9 of labels"):
        pykan.create_dataset_from_data(rows, rows[:9])
    with pytest.raises(ConfigError, match="train_ratio"):
        pykan.create_dataset_from_data(rows, rows, train_ratio=80)


def test_auxiliary_inputs() -> None:
    a, b = sympy.symbols("a b")
    x = torch.rand(6, 2, dtype=torch.float64) + 0.5
    more = pykan.augment_input([a, b], [sympy.sqrt(a) * sympy.sin(b), sympy.Integer(2)], x)
    p, q = x.numpy().T
    expected = np.stack([np.sqrt(p) * np.sin(q), np.full(6, 2.0), p, q], axis=1)
    np.testing.assert_allclose(more.numpy(), expected, rtol=1e-15)
    dataset = pykan.create_dataset(product, train_num=5)
    same = pykan.augment_input([a, b], [a + b], dataset)
    assert same is dataset
    assert dataset["train_input"].shape == (5, 3)
    with pytest.raises(ShapeError, match="2 symbols for 3"):
        pykan.augment_input([a, b], [a], torch.rand(4, 3))


def test_derivatives_in_the_inputs() -> None:
    x = torch.rand(9, 2, dtype=torch.float64, requires_grad=True)
    p, q = x.detach().T

    def f(x: torch.Tensor) -> torch.Tensor:
        return torch.stack([x[:, 0] ** 2 * x[:, 1].sin(), x[:, 1].exp()], 1)

    jacobian = pykan.batch_jacobian(f, x, mode="vector")
    assert not jacobian.requires_grad
    first = torch.stack([2 * p * q.sin(), p**2 * q.cos()], 1)
    torch.testing.assert_close(jacobian[:, 0], first)
    torch.testing.assert_close(jacobian[:, 1], torch.stack([torch.zeros_like(q), q.exp()], 1))
    torch.testing.assert_close(pykan.batch_jacobian(f, x.detach()), first)
    cross = 2 * p * q.cos()
    second = torch.stack(
        [torch.stack([2 * q.sin(), cross], 1), torch.stack([cross, -(p**2) * q.sin()], 1)], 1
    )
    torch.testing.assert_close(pykan.batch_hessian(f, x), second)
    hessian = pykan.batch_hessian(f, x, create_graph=True)
    (third,) = torch.autograd.grad(hessian[:, 0, 0].sum(), x)  # of 2 sin q
    torch.testing.assert_close(third, torch.stack([torch.zeros_like(q), 2 * q.cos()], 1))
    line = pykan.batch_hessian(lambda x: x[:, [0]] + 3, x)
    assert not line.any()
    with pytest.raises(ConfigError, match="mode"):
        pykan.batch_jacobian(f, x, mode="both")


def test_ends_of_grids_are_smooth_where_second_derivatives_are_asked_for(tmp_path) -> None:
    model = pykan.KAN([1, 1], grid=4, k=3, noise_scale=2.0, seed=1, base_fun="zero").double()
    ends = torch.tensor([[1 - 1e-9], [1 + 1e-9]], dtype=torch.float64)

    def jump() -> float:
        second = pykan.batch_hessian(lambda x: model(x), ends)[:, 0, 0]
        return float((second[1] - second[0]).abs() / second[0].abs())

    assert jump() == 1  # a line outside
    pykan.batch_hessian(model, ends)
    assert jump() < 1e-6
    model.saveckpt(str(tmp_path / "model"))
    model = pykan.KAN.loadckpt(str(tmp_path / "model"))
    assert jump() < 1e-6
    model = model.refine(8)
    assert jump() < 1e-6


def test_a_grid_that_fits_its_samples_stays() -> None:
    model = pykan.KAN([1, 1], grid=4, k=3, seed=1).double()
    x = torch.linspace(-2, 3, 50, dtype=torch.float64)[:, None]
    model.update_grid_from_samples(x)
    before = [p.clone() for p in model.parameters()]
    model.update_grid_from_samples(x + 1e-5)
    assert all(torch.equal(p, q) for p, q in zip(before, model.parameters(), strict=True))
    model.update_grid_from_samples(x + 1e-1)
    assert float(model.act_fun[0].grid[0, 3]) == pytest.approx(-1.9)


@pytest.mark.parametrize(
    ("width", "options"),
    [
        ([2, 3, 1], {"base_fun": torch.tanh}),
        ([2, [2, 1], [1, 1], 1], {"mult_arity": 3, "affine_trainable": True}),
        ([2, 2], {"k": 2, "base_fun": "identity"}),
    ],
)
def test_second_derivatives_of_a_network_are_those_of_autograd(width, options) -> None:
    model = pykan.KAN(width, **{"grid": 4, "k": 3, "noise_scale": 2.0, "seed": 1} | options)
    model = model.double()
    x = torch.rand(40, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 3 - 1.5
    ours = pykan.batch_hessian(model, x, create_graph=True)
    plain = pykan.batch_hessian(lambda x: model(x), x, create_graph=True)
    torch.testing.assert_close(ours, plain)
    trained = [p for p in model.parameters() if p.requires_grad]
    first, second = (
        torch.autograd.grad(
            h.square().sum(), trained, create_graph=True, allow_unused=True, materialize_grads=True
        )
        for h in (ours, plain)
    )
    torch.testing.assert_close(first, second, rtol=1e-8, atol=1e-8)
    coef = model.act_fun[0].coef
    place = next(n for n, p in enumerate(trained) if p is coef)
    again = [torch.autograd.grad(g[place].square().sum(), coef)[0] for g in (first, second)]
    torch.testing.assert_close(
        again[0], again[1], rtol=1e-7, atol=1e-7 * float(again[1].abs().max())
    )
    assert not pykan.batch_hessian(model, x).requires_grad
    assert model.acts is not None  # as after any call of the network
    assert len(model.acts[0]) == len(x)


def test_derivatives_in_the_parameters() -> None:
    """Linear least squares: the Hessian is 2 X'X / n, the gradient 2 X'r / n."""
    x, y = torch.rand(20, 2, dtype=torch.float64), torch.rand(20, 1, dtype=torch.float64)
    model = nn.Linear(2, 1, dtype=torch.float64)
    X = torch.cat([x, torch.ones(20, 1, dtype=torch.float64)], 1)
    w = pykan.model2param(model)
    torch.testing.assert_close(w, torch.cat([model.weight[0], model.bias]))
    r = X @ w.detach() - y[:, 0]
    gradient = pykan.get_derivative(model, x, y, derivative="jacobian")
    torch.testing.assert_close(gradient, (2 * X.T @ r / 20)[None])
    hessian = pykan.get_derivative(model, x, y)
    torch.testing.assert_close(hessian, (2 * X.T @ X / 20)[None])
    with pytest.raises(ConfigError, match="get_reg"):
        pykan.get_derivative(model, x, y, loss_mode="reg")
    with pytest.raises(ConfigError, match="derivative"):
        pykan.get_derivative(model, x, y, derivative="third")


@pytest.mark.parametrize("mode", ["pred", "reg", "all"])
def test_derivatives_of_a_perceptron(mode: str) -> None:
    model = pykan.MLP([2, 3, 1], seed=0).double()
    x, y = torch.rand(8, 2, dtype=torch.float64), torch.rand(8, 1, dtype=torch.float64)
    options = {"loss_mode": mode, "reg_metric": "act", "lamb": 0.1, "lamb_entropy": 2.0}
    gradient = pykan.get_derivative(model, x, y, derivative="jacobian", **options)[0]

    def loss(w: torch.Tensor) -> float:
        twin = model.copy()
        nn.utils.vector_to_parameters(w, twin.parameters())
        fit = (twin(x) - y).square().mean()
        penalty = twin.get_reg("act", 1.0, 2.0)
        return {"pred": fit, "reg": penalty, "all": fit + 0.1 * penalty}[mode].item()

    w = pykan.model2param(model).detach()
    for i in range(len(w)):
        step = torch.zeros_like(w)
        step[i] = 1e-6
        slope = (loss(w + step) - loss(w - step)) / 2e-6
        assert float(gradient[i]) == pytest.approx(slope, rel=1e-5, abs=1e-7)
    hessian = pykan.get_derivative(model, x, y, **options)[0]
    torch.testing.assert_close(hessian, hessian.T)


def test_rounding() -> None:
    a, b = sympy.symbols("a b")
    expr = 3.14534242 * sympy.exp(sympy.sin(sympy.pi * a) + b**2) - 2.32345402
    assert str(pykan.ex_round(expr, 2)) == "3.15*exp(b**2 + sin(pi*a)) - 2.32"
    # pykan replaces one float after the other: 1.004 becomes 1.0, and every 1.0 is gone over again
    assert str(pykan.ex_round(1.26 * a + 1.3 * b + 1, 1)) == "1.3*a + 1.3*b + 1"


def test_sparse_mask_is_that_of_pykan() -> None:
    """Printed by pykan 0.2.8."""
    expected = [[1, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 1]]
    assert pykan.sparse_mask(5, 3).tolist() == expected
