"""Run pykan's tutorial "Example 7: Solving PDEs with accuracy" once, in pykan's environment."""

import argparse
import contextlib
import json
import sys
import time

import torch
from kan import KAN
from kan.LBFGS import LBFGS
from torch.autograd.functional import jacobian

GRIDS = (5, 10, 20)
SIDE, ALPHA = 51, 0.01


def by_points(function, x):
    """The derivative of each value in its own point."""
    return jacobian(lambda x: function(x).sum(0), x, create_graph=True).permute(1, 0, 2)


def solution(x):
    return torch.sin(torch.pi * x[:, [0]]) * torch.sin(torch.pi * x[:, [1]])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    line = torch.linspace(-1, 1, SIDE)
    inside = torch.cartesian_prod(line, line)
    edge = torch.cat([inside[inside[:, i] == end] for i in (0, 1) for end in (-1, 1)])
    fresh = 2 * torch.rand(5000, 2, generator=torch.Generator().manual_seed(7)) - 1
    source = -2 * torch.pi**2 * solution(inside)
    begin, cpu = time.perf_counter(), time.process_time()
    model, found = None, []
    with contextlib.redirect_stdout(sys.stderr):
        for grid in GRIDS:
            if model is None:
                model = KAN(width=[2, 2, 1], grid=grid, k=3, grid_eps=1.0, seed=options.seed)
            else:
                model.save_act = True
                model.get_act(inside)
                model = model.refine(grid)
            model = model.speed()
            settings = {"tolerance_grad": 1e-32, "tolerance_change": 1e-32}
            optimizer = LBFGS(
                model.parameters(),
                lr=1,
                history_size=10,
                line_search_fn="strong_wolfe",
                tolerance_ys=1e-32,
                **settings,
            )

            def closure(model=model, optimizer=optimizer):
                optimizer.zero_grad()
                slopes = lambda x: by_points(model, x)[:, 0, :]  # noqa: E731
                second = by_points(slopes, inside)
                laplacian = torch.diagonal(second, dim1=1, dim2=2).sum(1, keepdim=True)
                equation = (laplacian - source).square().mean()
                loss = ALPHA * equation + model(edge).square().mean()
                loss.backward()
                return loss

            for step in range(options.steps):
                if step % 5 == 0 and step < 50:
                    model.update_grid_from_samples(inside)
                optimizer.step(closure)
            with torch.no_grad():
                truth = solution(fresh)
                error = float((model(fresh) - truth).norm() / truth.norm())
            seconds, used = time.perf_counter() - begin, time.process_time() - cpu
            found.append({"grid": grid, "error": error, "seconds": seconds, "cpu": used})
            print(f"pykan seed {options.seed} {found[-1]}", file=sys.stderr, flush=True)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
