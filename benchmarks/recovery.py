"""From a table to the formula: `exp(sin(pi x1) + x2^2)`, from ten seeds, exact and with noise."""

from __future__ import annotations

import time

import sympy
import torch

import edgewise as ew
from benchmarks import _page
from benchmarks.toys import exp_sin

SEEDS = range(10)
NOISES = (0.0, 0.01)


def recover(seed: int, noise: float) -> tuple[ew.Formula, float]:
    """Fit KAN([2, 5, 1]) to 1,000 rows, prune, symbolize; the formula and the seconds."""
    generator = torch.Generator().manual_seed(100 + seed)
    x = 2 * torch.rand(1000, 2, dtype=torch.float64, generator=generator) - 1
    y = exp_sin(x)
    y = y + noise * y.std() * torch.randn(y.shape, dtype=y.dtype, generator=generator)
    torch.manual_seed(seed)
    begin = time.perf_counter()
    model = ew.fit(ew.KAN([2, 5, 1]), x, y, seed=seed, progress=False).model
    formula = ew.symbolize(ew.prune(model, x), x, y, progress=False)
    return formula, time.perf_counter() - begin


def main() -> None:
    x_1, x_2 = sympy.symbols("x_1 x_2", real=True)
    law = sympy.exp(sympy.sin(sympy.pi * x_1) + x_2**2)
    rows = []
    for noise in NOISES:
        for seed in SEEDS:
            formula, seconds = recover(seed, noise)
            equal = sympy.simplify(formula.expr - law) == 0
            open_constants = [c for c in formula.constants if c.exact is None]
            shown = str(formula).split("   rmse")[0]
            rows.append(
                [
                    f"{100 * noise:g} %",
                    str(seed),
                    f"`{shown}`",
                    "yes" if equal else "no",
                    f"{formula.rmse:.1e}",
                    ", ".join(f"{c.value:.5f} ± {c.error:.5f}" for c in open_constants) or "none",
                    f"{seconds:.1f}",
                ]
            )
            print(" | ".join(rows[-1]), flush=True)
    _page.write(
        "recovery",
        "From a table to the formula",
        "`exp(sin(pi x1) + x2^2)` on [-1, 1]², 1,000 rows: `fit(KAN([2, 5, 1]))`, `prune`, "
        "`symbolize` with their defaults. Noise is given as a share of the spread of y; the error "
        "is measured on held-out rows, which carry the noise.",
        ["noise", "seed", "formula", "exact", "RMSE", "constants left open", "seconds"],
        rows,
    )


if __name__ == "__main__":
    main()
