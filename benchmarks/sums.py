"""The Gauss-Newton sums of KAN([4, 4, 2, 1]): what a sample costs, and how grids and rows scale."""

from __future__ import annotations

import argparse
import statistics
import time

import torch
from torch import Tensor

import edgewise as ew
from benchmarks import _page
from edgewise._fit import Squared, normal_equations
from edgewise._fit._chunk import Chunk
from edgewise._fit._gauss_newton import ParameterVector, linearize

GRIDS = (3, 5, 10, 20, 50, 100, 200)


def native(model: ew.KAN, x: Tensor, y: Tensor) -> float:
    """Seconds for each sample of the compiled sums, without what is done once for any number.

    The matrix is filled and mirrored once for any rows: two numbers of rows tell that apart.
    """
    seconds = []
    for rows in (len(x) // 4, len(x)):
        begin = time.perf_counter()
        normal_equations(model, x[:rows], y[:rows], Squared())
        seconds.append(time.perf_counter() - begin)
    return (seconds[1] - seconds[0]) / (len(x) - len(x) // 4)


def dense(model: ew.KAN, x: Tensor, y: Tensor) -> float:
    """Seconds for each sample of the product of the Jacobian, written out, with itself."""
    rows = max(64, min(len(x), 8_000_000 // ParameterVector(model).size))
    columns, _, _ = linearize(model, Chunk(x[:rows], y[:rows]), Squared())
    begin = time.perf_counter()
    J = torch.cat([piece.dense().flatten(0, 1) for piece in columns], -1)
    H = J.new_zeros(J.shape[1], J.shape[1])
    filled = time.perf_counter()
    H.addmm_(J.T, J)
    return (time.perf_counter() - filled + (filled - begin)) / rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    settings = parser.parse_args()
    torch.set_num_threads(settings.threads)
    generator = torch.Generator().manual_seed(0)
    x = 2 * torch.rand(settings.rows, 4, dtype=torch.float64, generator=generator) - 1
    y = torch.sin(x.sum(1, keepdim=True))
    table = []
    costs: dict[int, float] = {}
    for grid in GRIDS:
        torch.manual_seed(0)
        model = ew.adapt(ew.KAN([4, 4, 2, 1], grid=grid), x)
        ours, theirs = [], []
        for _ in range(settings.repeats):
            ours.append(native(model, x, y))
            theirs.append(dense(model, x, y))
        costs[grid] = statistics.median(ours)
        product = statistics.median(theirs)
        table.append(
            [
                str(grid),
                str(ParameterVector(model).size),
                f"{1e6 * costs[grid]:.2f}",
                f"{1e6 * product:.1f}",
                f"{product / costs[grid]:.1f}",
            ]
        )
        print(" | ".join(table[-1]), flush=True)
    _page.write(
        "sums",
        "Normal equations",
        f"Loss, gradient and Gauss-Newton matrix of `KAN([4, 4, 2, 1])`, degree 3, over "
        f"{settings.rows:,} rows: microseconds for each sample, medians of {settings.repeats} "
        "runs, beside the dense product of the Jacobian with itself in torch. From grid 10 to 200 "
        f"the cost of a sample grows {costs[200] / costs[10]:.2f} times, where the matrix grows "
        f"{((200 + 3) / (10 + 3)) ** 2:.0f} times. On the coarsest grids edgewise takes the dense "
        "product itself.",
        ["grid", "parameters", "edgewise, µs", "dense, µs", "ratio"],
        table,
    )


if __name__ == "__main__":
    main()
