"""How the error falls with the grid, on three toy functions of the KAN paper, in their shapes."""

from __future__ import annotations

import argparse
import time

import numpy as np
import torch
from matplotlib.figure import Figure

import edgewise as ew
from benchmarks import _page
from benchmarks.toys import TOYS, Toy

GRIDS = (5, 10, 20, 50, 100, 200)
DEGREES = (3, 5, 7)
SHAPES = {"bessel": [1, 1], "exp-sin": [2, 1, 1], "four": [4, 2, 1, 1]}
"""The smallest network for each function: `benchmarks.toys` leaves it to the search to find it."""
ROUNDING = 1e-12
"""Errors below are not counted in a slope."""


def errors(toy: Toy, degree: int, rows: int, seed: int) -> tuple[list[float], float]:
    """Test errors on the grids, each fit going on from the one before, and the seconds of all."""
    widths = SHAPES[toy.name]
    generator = torch.Generator().manual_seed(seed)
    x = 2 * torch.rand(rows, widths[0], dtype=torch.float64, generator=generator) - 1
    x_test = 2 * torch.rand(10_000, widths[0], dtype=torch.float64, generator=generator) - 1
    torch.manual_seed(seed)
    model, found = ew.KAN(widths, grid=GRIDS[0], degree=degree), []
    begin = time.perf_counter()
    for grid in GRIDS:
        model = ew.refine(model, grid)
        fitted = ew.fit(model, x, toy.function(x), refine=False, seed=seed, progress=False)
        model = fitted.model
        with torch.no_grad():
            missed = model(x_test)[:, 0] - toy.function(x_test)
        found.append(float(missed.square().mean().sqrt()))
    return found, time.perf_counter() - begin


def slope(found: list[float]) -> float:
    """The slope of log error over log grid, where the error is not yet rounding."""
    falling = [(g, e) for g, e in zip(GRIDS, found, strict=True) if e > ROUNDING]
    grids, values = zip(*falling, strict=True)
    return float(np.polyfit(np.log(grids), np.log(values), 1)[0])


def draw(results: dict[tuple[str, int], list[float]]) -> Figure:
    """Error over grid, both on logarithmic scales, with the theoretical slopes."""
    figure = Figure(figsize=(11, 4), layout="constrained")
    toys = [toy for toy in TOYS if toy.name in SHAPES]
    for axes, toy in zip(figure.subplots(1, len(toys), sharey=True), toys, strict=True):
        for number, degree in enumerate(DEGREES):
            found = results[toy.name, degree]
            axes.loglog(GRIDS, found, "o-", color=f"C{number}", label=f"degree {degree}")
            first = next((n for n, e in enumerate(found) if e < 1e-2), 0)
            line = found[first] * (np.array(GRIDS) / GRIDS[first]) ** -(degree + 1.0)
            shown = (line > 1e-16) & (line < 10)
            axes.loglog(np.array(GRIDS)[shown], line[shown], ":", color=f"C{number}", alpha=0.7)
        axes.set_xticks(GRIDS, [str(grid) for grid in GRIDS])
        axes.minorticks_off()
        axes.set(xlabel="grid (intervals)")
        axes.set_title(f"{toy.formula.split(',')[0]}\nKAN({SHAPES[toy.name]})", fontsize=8)
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.3)
    figure.axes[0].set_ylabel("RMSE on 10,000 new rows")
    figure.axes[0].legend(frameon=False)
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    settings = parser.parse_args()
    results, table = {}, []
    for toy in TOYS:
        for degree in DEGREES if toy.name in SHAPES else ():
            found, seconds = errors(toy, degree, settings.rows, settings.seed)
            results[toy.name, degree] = found
            numbers = [f"{e:.1e}" for e in found]
            row = [toy.formula, str(degree), *numbers, f"{slope(found):.2f}", f"{seconds:.1f}"]
            print(" ".join(row), flush=True)
            table.append(row)
    _page.write(
        "scaling",
        "Error and grid",
        f"Toy functions of the paper on [-1, 1]^n, {settings.rows:,} rows: the root mean square "
        "error on 10,000 new rows at each grid, each fit going on from the one before. Splines of "
        "degree d can reach the slope -(d + 1), dotted in the picture; the fitted slope counts "
        f"errors above {ROUNDING:.0e}.\n\n![error over grid](scaling.png)",
        ["function", "degree", *(f"grid {grid}" for grid in GRIDS), "slope", "seconds"],
        table,
    )
    draw(results).savefig(_page.FOLDER / "scaling.png", dpi=130)


if __name__ == "__main__":
    main()
