"""The toy functions of the KAN paper (arXiv 2404.19756, section 3.1), by the default call."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from scipy.special import j0
from torch import Tensor

import edgewise as ew
from benchmarks import _page


@dataclass(frozen=True)
class Toy:
    """A function on [-1, 1]^n, the paper's shape for it, and the error to stay below."""

    name: str
    formula: str
    widths: list[int]
    function: Callable[[Tensor], Tensor]
    goal: float


def exp_sin(x: Tensor) -> Tensor:
    """The function of pykan's tutorials, too: (rows, 2) to (rows, 1)."""
    return torch.exp(torch.sin(torch.pi * x[:, :1]) + x[:, 1:] ** 2)


TOYS = [
    Toy("bessel", "J0(20x)", [1, 1], lambda x: torch.from_numpy(j0(20 * x[:, 0].numpy())), 1e-8),
    Toy(
        "exp-sin",
        "exp(sin(pi x) + y^2)",
        [2, 1, 1],
        lambda x: exp_sin(x)[:, 0],
        1e-8,
    ),
    Toy("product", "x y", [2, 2, 1], lambda x: x[:, 0] * x[:, 1], 1e-8),
    Toy(
        "hundred",
        "exp(mean of sin^2(pi x_i / 2)), 100 inputs",
        [100, 1, 1],
        lambda x: torch.exp(torch.sin(torch.pi * x / 2).square().mean(1)),
        1e-7,
    ),
    Toy(
        "four",
        "exp((sin(pi (x1^2 + x2^2)) + sin(pi (x3^2 + x4^2))) / 2)",
        [4, 4, 2, 1],
        lambda x: torch.exp(
            (
                torch.sin(torch.pi * (x[:, 0] ** 2 + x[:, 1] ** 2))
                + torch.sin(torch.pi * (x[:, 2] ** 2 + x[:, 3] ** 2))
            )
            / 2
        ),
        1e-7,
    ),
]


@dataclass(frozen=True)
class Run:
    """One fit: the error on new rows, the seconds, and where the network ended."""

    error: float
    seconds: float
    model: ew.KAN


def run(toy: Toy, seed: int, rows: int, budget: float) -> Run:
    generator = torch.Generator().manual_seed(seed)
    inputs = toy.widths[0]
    x = 2 * torch.rand(rows, inputs, dtype=torch.float64, generator=generator) - 1
    x_test = 2 * torch.rand(10_000, inputs, dtype=torch.float64, generator=generator) - 1
    torch.manual_seed(seed)
    begin = time.perf_counter()
    model = ew.fit(
        ew.KAN(toy.widths), x, toy.function(x), seed=seed, time=budget, progress=False
    ).model
    seconds = time.perf_counter() - begin
    with torch.no_grad():
        error = float((model(x_test)[:, 0] - toy.function(x_test)).square().mean().sqrt())
    return Run(error, seconds, model)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--budget", type=float, default=60.0, help="seconds for each fit")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--only", choices=[toy.name for toy in TOYS])
    settings = parser.parse_args()
    table = []
    for toy in TOYS:
        if settings.only not in (None, toy.name):
            continue
        runs = []
        for seed in range(settings.seeds):
            runs.append(run(toy, seed, settings.rows, settings.budget))
            print(toy.name, seed, f"{runs[-1].error:.1e} {runs[-1].seconds:.1f} s", flush=True)
            print("   ", runs[-1].model, runs[-1].model.degree, flush=True)
        errors = sorted(one.error for one in runs)
        seconds = sorted(one.seconds for one in runs)
        table.append(
            [
                toy.formula,
                str(toy.widths),
                f"{errors[len(errors) // 2]:.1e}",
                f"{errors[-1]:.1e}",
                f"{toy.goal:.0e}",
                "yes" if errors[-1] <= toy.goal else "no",
                f"{seconds[len(seconds) // 2]:.1f}",
            ]
        )
    if settings.only is None:
        _page.write(
            "toys",
            "Toy functions of the paper",
            f"`ew.fit(ew.KAN(widths), x, y)` on {settings.rows:,} rows of [-1, 1]^n, from "
            f"{settings.seeds} seeds with a budget of {settings.budget:.0f} s each: the root mean "
            "square error on 10,000 new rows.",
            ["function", "widths", "median", "worst", "goal", "reached", "median seconds"],
            table,
        )


if __name__ == "__main__":
    main()
