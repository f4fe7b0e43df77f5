"""The 15 special functions of the KAN paper (arXiv 2404.19756, table 1), on ranges of our own."""

from __future__ import annotations

import argparse
import csv
import os
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy.special
import torch
from torch import Tensor

import edgewise as ew
from benchmarks import _page

DATA = Path(os.environ.get("EDGEWISE_DATA", "../shared/data")) / "special.csv"


@dataclass(frozen=True)
class Special:
    """A function of two variables with its range and the paper's errors."""

    name: str
    call: str
    low: list[float]
    high: list[float]
    paper_kan: float
    paper_mlp: float

    def __call__(self, x: Tensor) -> Tensor:
        """Evaluate by SciPy."""
        first, second = x.numpy().T
        names = {"x": first, "y": second, **vars(scipy.special)}
        return torch.from_numpy(np.asarray(eval(self.call, names), dtype=np.float64))

    def sample(self, rows: int, generator: torch.Generator) -> Tensor:
        """Draw points of the range."""
        low, high = (torch.tensor(end, dtype=torch.float64) for end in (self.low, self.high))
        return low + (high - low) * torch.rand(rows, 2, dtype=torch.float64, generator=generator)


def read() -> list[Special]:
    def numbers(text: str) -> list[float]:
        return [float(part) for part in text.split(";")]

    with DATA.open() as file:
        return [
            Special(
                row["id"],
                row["scipy"],
                numbers(row["low"]),
                numbers(row["high"]),
                float(row["paper_best_kan_rmse"]),
                float(row["paper_mlp_rmse"]),
            )
            for row in csv.DictReader(file)
        ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--budget", type=float, default=60.0, help="seconds for each fit")
    parser.add_argument("--widths", type=int, nargs="+", default=[2, 8, 1])
    parser.add_argument("--only")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    settings = parser.parse_args()
    if not DATA.exists():
        print(f"{DATA} is not there: the special functions are skipped (set EDGEWISE_DATA).")
        return
    torch.set_num_threads(settings.threads)
    table, gains = [], []
    for function in read():
        if settings.only not in (None, function.name):
            continue
        generator = torch.Generator().manual_seed(0)
        x, x_test = (function.sample(rows, generator) for rows in (settings.rows, 10_000))
        torch.manual_seed(0)
        begin = time.perf_counter()
        model = ew.fit(
            ew.KAN(settings.widths),
            x,
            function(x),
            seed=0,
            time=settings.budget,
            progress=False,
        ).model
        seconds = time.perf_counter() - begin
        with torch.no_grad():
            error = float((model(x_test)[:, 0] - function(x_test)).square().mean().sqrt())
        gains.append(function.paper_kan / error)
        table.append(
            [
                f"`{function.call}`",
                f"{function.paper_mlp:.1e}",
                f"{function.paper_kan:.1e}",
                f"{error:.1e}",
                f"{gains[-1]:,.0f}",
                f"{model.grid}, {model.degree}",
                f"{seconds:.0f}",
            ]
        )
        print(" | ".join(table[-1]), flush=True)
    if settings.only is None:
        _page.write(
            "special",
            "Special functions",
            f"`ew.fit(ew.KAN({settings.widths}), x, y)` on {settings.rows:,} rows with a budget of "
            f"{settings.budget:.0f} s; the error is on 10,000 new rows. The paper's authors have "
            "not published their ranges: ours are in `special.csv` of the data. The median error "
            f"is {np.median(gains):,.0f} times smaller than the paper's best KAN's, the least gain "
            f"is {min(gains):,.1f}.",
            ["function", "paper, MLP", "paper, KAN", "edgewise", "times", "grid, degree", "s"],
            table,
        )


if __name__ == "__main__":
    main()
