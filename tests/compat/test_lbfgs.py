"""L-BFGS for loops of one's own."""

import pytest
import scipy.optimize
import torch

from edgewise.compat.pykan import LBFGS

PYKAN = {"history_size": 10, "line_search_fn": "strong_wolfe", "tolerance_ys": 1e-32}
TIGHT = {"tolerance_grad": 1e-32, "tolerance_change": 1e-32}


def rosenbrock(u: torch.Tensor) -> torch.Tensor:
    return (100 * (u[1:] - u[:-1] ** 2) ** 2 + (1 - u[:-1]) ** 2).sum()


def minimize(u: torch.Tensor, steps: int, **options: object) -> torch.Tensor:
    optimizer = LBFGS([u], **options)

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = rosenbrock(u)
        loss.backward()
        return loss

    for _ in range(steps):
        loss = optimizer.step(closure)
    assert loss.ndim == 0
    return rosenbrock(u.detach())


def test_reaches_the_minimum() -> None:
    u = torch.full((6,), -0.5, dtype=torch.float64, requires_grad=True)
    loss = minimize(u, 10, lr=1, **PYKAN, **TIGHT)
    found = scipy.optimize.minimize(scipy.optimize.rosen, [-0.5] * 6, tol=1e-12)
    assert float(loss) < 1e-24
    torch.testing.assert_close(u.detach(), torch.from_numpy(found.x), atol=1e-4, rtol=0)


def test_goes_below_where_torch_stops() -> None:
    """With torch's fixed bound on y.s no pair is kept when the numbers are small."""
    losses = {}
    for name, optimizer in (("ours", LBFGS), ("torch", torch.optim.LBFGS)):
        u = torch.tensor([1e-5, -1e-5, 2e-5], dtype=torch.float64, requires_grad=True)
        weights = torch.tensor([1.0, 30.0, 900.0], dtype=torch.float64)
        options = {"history_size": 10, "line_search_fn": "strong_wolfe", **TIGHT}
        found = optimizer([u], max_iter=30, **options)

        def closure(u=u, weights=weights, found=found) -> torch.Tensor:
            found.zero_grad()
            loss = (weights * u**2).sum()
            loss.backward()
            return loss

        found.step(closure)
        losses[name] = float((weights * u.detach() ** 2).sum())
    assert losses["ours"] < 1e-25
    assert losses["ours"] < 1e-3 * losses["torch"]


def test_seeds_nothing() -> None:
    """pykan's own sets torch's seed to 0 in every step, so random points never change."""
    u = torch.zeros(2, requires_grad=True)
    optimizer, drawn = LBFGS([u], max_iter=1), []

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        drawn.append(float(torch.rand(1)))
        loss = rosenbrock(u)
        loss.backward()
        return loss

    for _ in range(3):
        optimizer.step(closure)
    assert len(set(drawn)) == len(drawn) >= 3


def test_without_a_line_search() -> None:
    u = torch.tensor([0.9, 0.8], dtype=torch.float64, requires_grad=True)
    start = float(rosenbrock(u.detach()))
    assert float(minimize(u, 40, lr=0.1, **TIGHT)) < 1e-2 * start


@pytest.mark.parametrize("tolerance", [1e-3, 1e-9])
def test_stops_at_a_small_gradient(tolerance: float) -> None:
    u = torch.tensor([0.9, 0.8], dtype=torch.float64, requires_grad=True)
    minimize(u, 50, line_search_fn="strong_wolfe", tolerance_grad=tolerance, tolerance_change=1e-32)
    (slope,) = torch.autograd.grad(rosenbrock(u), u)
    assert float(slope.abs().max()) <= tolerance
