"""Example 7: Poisson's equation on a square, in a loop of one's own over kan.LBFGS."""

from kan import *
from kan.LBFGS import LBFGS
from kan.utils import batch_hessian

torch.set_default_dtype(torch.float64)  # in float32 pykan fails: lstsq does not converge
ALPHA, SIDE = 0.01, 51


def solution(x):
    return torch.sin(torch.pi * x[:, [0]]) * torch.sin(torch.pi * x[:, [1]])


line = torch.linspace(-1, 1, SIDE)
inside = torch.cartesian_prod(line, line)
edge = torch.cat([inside[inside[:, i] == end] for i in (0, 1) for end in (-1, 1)])
source = -2 * torch.pi**2 * solution(inside)

model = None
for grid in [5, 10, 20]:
    if model is None:
        model = KAN(width=[2, 2, 1], grid=grid, k=3, grid_eps=1.0, seed=0)
    else:
        model.save_act = True
        model.get_act(inside)
        model = model.refine(grid)
    model = model.speed()
    optimizer = LBFGS(
        model.parameters(),
        lr=1,
        history_size=10,
        line_search_fn="strong_wolfe",
        tolerance_grad=1e-32,
        tolerance_change=1e-32,
        tolerance_ys=1e-32,
    )

    def closure():
        optimizer.zero_grad()
        second = batch_hessian(model, inside, create_graph=True)
        laplacian = torch.diagonal(second, dim1=1, dim2=2).sum(1, keepdim=True)
        equation = (laplacian - source).square().mean()
        loss = ALPHA * equation + (model(edge) - solution(edge)).square().mean()
        loss.backward()
        return loss

    for step in range(50):
        if step % 5 == 0 and step < 50:
            model.update_grid_from_samples(inside)
        optimizer.step(closure)
final = float((model(inside) - solution(inside)).square().mean())  # as pykan prints: a square
