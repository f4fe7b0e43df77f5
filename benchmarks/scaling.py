"""How the error falls with the grid: `exp(sin(pi x1) + x2^2)`, KAN([2, 1, 1])."""

from __future__ import annotations

import argparse
import time

import numpy as np
import torch
from matplotlib.figure import Figure

import edgewise as ew
from benchmarks import _page

GRIDS = (5, 10, 20, 50, 100, 200)
DEGREES = (3, 5, 7)


def target(x: torch.Tensor) -> torch.Tensor:
    return torch.exp(torch.sin(torch.pi * x[:, :1]) + x[:, 1:] ** 2)


def errors(degree: int, rows: int, seed: int) -> tuple[list[float], float]:
    """Test errors on the grids, each fit going on from the one before, and the seconds of all."""
    generator = torch.Generator().manual_seed(seed)
    x = 2 * torch.rand(rows, 2, dtype=torch.float64, generator=generator) - 1
    x_test = 2 * torch.rand(10_000, 2, dtype=torch.float64, generator=generator) - 1
    torch.manual_seed(seed)
    model, found = ew.KAN([2, 1, 1], grid=GRIDS[0], degree=degree), []
    begin = time.perf_counter()
    for grid in GRIDS:
        model = ew.refine(model, grid)
        model = ew.fit(model, x, target(x), refine=False, seed=seed, progress=False).model
        with torch.no_grad():
            found.append(float((model(x_test) - target(x_test)).square().mean().sqrt()))
    return found, time.perf_counter() - begin


def slope(found: list[float]) -> float:
    """The slope of log error over log grid, where the error is not yet rounding."""
    falling = [(g, e) for g, e in zip(GRIDS, found, strict=True) if e > 1e-12]
    grids, values = zip(*falling, strict=True)
    return float(np.polyfit(np.log(grids), np.log(values), 1)[0])


def draw(results: dict[int, list[float]]) -> Figure:
    """Error over grid, both on logarithmic scales, with the theoretical slopes."""
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    for number, (degree, found) in enumerate(results.items()):
        axes.loglog(GRIDS, found, "o-", color=f"C{number}", label=f"degree {degree}")
        line = found[1] * (np.array(GRIDS) / GRIDS[1]) ** -(degree + 1.0)
        shown = line > 1e-16
        axes.loglog(np.array(GRIDS)[shown], line[shown], ":", color=f"C{number}", alpha=0.7)
    axes.set_xticks(GRIDS, [str(grid) for grid in GRIDS])
    axes.minorticks_off()
    axes.set(xlabel="grid (intervals)", ylabel="RMSE on 10,000 new rows")
    axes.set_title("exp(sin(πx₁) + x₂²), KAN([2, 1, 1]); dotted: slope −(degree + 1)", fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    settings = parser.parse_args()
    results, rows = {}, []
    for degree in DEGREES:
        found, seconds = errors(degree, settings.rows, settings.seed)
        results[degree] = found
        rows.append(
            [str(degree), *(f"{e:.1e}" for e in found), f"{slope(found):.2f}", f"{seconds:.1f}"]
        )
        print(" ".join(rows[-1]), flush=True)
    _page.write(
        "scaling",
        "Error and grid",
        f"`exp(sin(pi x1) + x2^2)` on [-1, 1]², {settings.rows:,} rows, `KAN([2, 1, 1])`: the root "
        "mean square error on 10,000 new rows at each grid. Splines of degree d can reach the "
        "slope -(d + 1). The slope is fitted where the error is above 1e-12.\n\n"
        "![error over grid](scaling.png)",
        ["degree", *(f"grid {grid}" for grid in GRIDS), "slope", "seconds for all"],
        rows,
    )
    draw(results).savefig(_page.FOLDER / "scaling.png", dpi=130)


if __name__ == "__main__":
    main()
