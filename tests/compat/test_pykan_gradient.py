"""The closed form of pykan's objective, against autograd."""

import itertools
from dataclasses import replace

import pytest
import torch
from torch.func import functional_call

from edgewise.compat.pykan import KAN
from edgewise.compat.pykan._curvature import Curvature
from edgewise.compat.pykan._frame import Frame
from edgewise.compat.pykan._gauss_newton import merge
from edgewise.compat.pykan._network import METRICS
from edgewise.compat.pykan._objective import Classes, Other, Squares, Task


def network(kind):
    """Make one with what a network can have."""
    torch.manual_seed(0)
    if kind == "deep":
        return KAN([3, 4, 3, 2], grid=4, k=3, seed=1, noise_scale=1.0).double()
    if kind == "products":
        model = KAN(
            [3, [2, 2], [1, 1]],
            grid=3,
            mult_arity=[[], [3, 2], [2]],
            seed=2,
            affine_trainable=True,
            base_fun=torch.sin,
        )
        for part in (model.node_scale, model.node_bias, model.subnode_scale, model.subnode_bias):
            for p in part:
                p.data = 1 + 0.3 * torch.randn_like(p)
        return model.double()
    model = KAN([3, 3, 2], grid=4, seed=3, sb_trainable=False, base_fun="identity")
    model.fix_symbolic(0, 0, 1, "sin", fit_params_bool=False)
    model.fix_symbolic(1, 2, 0, "exp", fit_params_bool=False)
    model.set_mode(0, 1, 2, "sn", 0.5)
    model.symbolic_fun[0].set_function(1, 2, "x^2")
    model.symbolic_fun[0].affine.data[2, 1] = torch.tensor([0.7, 0.2, 0.4, 0.1])
    model.remove_edge(0, 2, 0)
    return model.double()


def task_for(kind, metric, lamb):
    draw = torch.Generator().manual_seed(5)
    x = torch.rand(60, 3, generator=draw, dtype=torch.float64) * 2 - 1
    if kind == "deep":
        y, rule = (x[:, 0] > x[:, 1]).long(), Classes()
    else:
        y, rule = torch.stack([x[:, 0] * x[:, 1], x[:, 2]], 1), Squares()
    return Task(x, y, rule, lamb, (1.0, 2.0, 0.3, 0.2), metric, False, 10.0)


@pytest.mark.parametrize(
    ("kind", "metric", "lamb"),
    [
        *((kind, METRICS[0], 0.0) for kind in ("deep", "products", "functions")),
        *itertools.product(("deep", "products", "functions"), METRICS, (1e-2,)),
    ],
)
def test_gradient_is_that_of_autograd(kind, metric, lamb):
    model, task = network(kind), task_for(kind, metric, lamb)
    merge(model)
    passes = model.walk(task.x)
    expected = task.loss(passes[-1].nodes) + lamb * task.penalize(model, passes)
    expected.backward()
    frame = Frame(model, task)
    with torch.no_grad():
        point = frame.evaluate()
        system = frame.linearize(point)
    assert point.value == pytest.approx(expected.item(), rel=1e-12)
    slopes = torch.cat([(p.grad.flatten()[index] / f) for p, index, f in frame.places.items])
    torch.testing.assert_close(system.g, slopes, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("kind", ["deep", "products"])
@pytest.mark.parametrize("loss", ["closed", "any"])
def test_moments_give_what_edges_give(kind, metric, loss):
    model, task = network(kind), task_for(kind, metric, 1e-2)
    if loss == "any":
        plain = torch.nn.functional.huber_loss if kind == "products" else task.rule.loss
        task = replace(task, rule=Other(plain))
    trained = [p for p in model.parameters() if p.requires_grad]
    expected = task.value(model)
    slopes = torch.autograd.grad(expected, trained, allow_unused=True, materialize_grads=True)
    charged, penalty = task.parts(model)
    known = []
    for _ in range(2):
        value, found = task.differentiate(model, trained, known)
        assert value == pytest.approx(expected.item(), rel=1e-12)
        torch.testing.assert_close(found, list(slopes), rtol=1e-8, atol=1e-12)
    assert value == pytest.approx((charged + task.lamb * penalty).item(), rel=1e-12)


def test_curvature_is_the_inverse_of_each_edges_block():
    model = KAN([3, 2], grid=4, seed=4, noise_scale=1.0).double()
    task = task_for("products", METRICS[0], 0.0)
    act = model.act_fun[0]
    trained = [act.coef, act.scale_base, act.scale_sp]
    curvature = Curvature(model, task, trained)
    i, o = 1, 0

    def loss(own, base):
        coef, scale = act.coef.detach().clone(), act.scale_base.detach().clone()
        coef[i, o], scale[i, o] = own, base
        return task.loss(
            functional_call(model, {"act_fun.0.coef": coef, "act_fun.0.scale_base": scale}, task.x)
        )

    given = act.coef.detach()[i, o], act.scale_base.detach()[i, o]
    rows = torch.autograd.functional.hessian(loss, given)
    H = torch.cat([torch.cat([a, b.reshape(len(a), 1)], 1) for a, b in [rows[0]]], 0)
    H = torch.cat([H, torch.cat([rows[1][0].reshape(-1), rows[1][1].reshape(1)])[None]])
    H = H + 0.3 * H.diagonal().mean() * torch.eye(len(H))
    g = torch.linspace(-1, 1, len(H), dtype=torch.float64)
    pushed = [torch.zeros_like(p) for p in trained]
    pushed[0][i, o], pushed[1][i, o] = g[:-1], g[-1]
    found = curvature.solve(torch.cat([p.flatten() for p in pushed]))
    own = found[: act.coef.numel()].view_as(act.coef)[i, o]
    base = found[act.coef.numel() :][: act.scale_base.numel()].view_as(act.scale_base)[i, o]
    torch.testing.assert_close(torch.cat([own, base[None]]), torch.linalg.solve(H, g))


@pytest.mark.parametrize("kind", ["products", "functions"])
def test_matrix_is_that_of_autograd(kind):
    model, task = network(kind), task_for(kind, METRICS[0], 0.0)
    frame = Frame(model, task)
    with torch.no_grad():
        system = frame.linearize(frame.evaluate())
    names = dict(model.named_parameters())

    def outputs(parameters):
        return functional_call(
            _Walk(model), {f"model.{n}": p for n, p in parameters.items()}, task.x
        )

    jacobian = torch.func.jacrev(outputs)({n: p.detach() for n, p in names.items()})
    of = {id(p): jacobian[n] for n, p in names.items()}
    columns = [of[id(p)].flatten(2)[..., index] / f for p, index, f in frame.places.items]
    J = torch.cat(columns, 2).flatten(0, 1)
    torch.testing.assert_close(system.H, J.T @ J * (2 / len(J)), rtol=1e-8, atol=1e-12)


class _Walk(torch.nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, x):
        return self.model.walk(x)[-1].nodes
