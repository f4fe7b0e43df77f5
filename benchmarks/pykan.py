"""edgewise and pykan 0.2.8 on pykan's tutorial "Example 1: Function Fitting", seed by seed."""

from __future__ import annotations

import argparse
import gc
import json
import math
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import torch
from matplotlib.figure import Figure

import edgewise as ew
from benchmarks import _page
from benchmarks.toys import exp_sin

HOME = Path(__file__).parent.parent / ".bench" / "pykan"
# The pin takes the CPU build, 5 GB less than the one with CUDA; pykan declares no dependencies.
REQUIREMENTS = (
    ("torch==2.13.0",),
    ("pykan==0.2.8", "matplotlib", "numpy", "pandas", "pyyaml", "scikit-learn", "sympy", "tqdm"),
)
PRECISIONS = ("float32", "float64")
STUCK = 1e-3
"""A run of pykan whose error is above this on every grid: those that converge have 5e-4 at 10."""
FASTER, SMALLER = 100, 1000
"""The targets: how much sooner pykan's error is to be reached, how much smaller ours is to be."""


@dataclass(frozen=True)
class Point:
    """The error on the test rows that a run has reached after so many seconds, with this grid."""

    grid: int
    rmse: float
    seconds: float


@dataclass(frozen=True)
class Pair:
    """A run of pykan and the runs of edgewise on the same rows right after it."""

    pykan: list[Point]  # one for each grid
    edgewise: list[Point]  # one for each budget of time; the last is the default call

    @property
    def best(self) -> Point:
        """Pykan's final result: its best grid."""
        return min(self.pykan, key=lambda point: point.rmse)

    @property
    def stuck(self) -> bool:
        """Whether pykan does not come near the function on any grid."""
        return self.best.rmse > STUCK

    @property
    def seconds(self) -> float:
        """The seconds of the shortest call of `fit` that comes to pykan's final error."""
        reached = (point.seconds for point in self.edgewise if point.rmse <= self.best.rmse)
        return min(reached, default=math.inf)

    @property
    def faster(self) -> float:
        """How many times sooner pykan's final error is reached."""
        return self.best.seconds / self.seconds

    @property
    def smaller(self) -> float:
        """How many times smaller the final error is."""
        return self.best.rmse / self.edgewise[-1].rmse


def set_up() -> Path:
    """Make pykan's own environment where it is missing; give its Python."""
    python, complete = HOME / "bin" / "python", HOME / "complete"
    if not complete.exists():
        print(f"setting up {HOME} (once)", flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", HOME], check=True)
        (HOME.parent / ".gitignore").write_text("*\n")
        for packages in (("--upgrade", "pip"), *REQUIREMENTS):
            subprocess.run([python, "-m", "pip", "install", "-qq", *packages], check=True)
        complete.touch()
    return python


def run_pykan(python: Path, seed: int, dtype: str, steps: int, threads: int) -> dict:
    """Run the tutorial in pykan's environment; its points and the inputs of its rows."""
    command = [python, "-P", Path(__file__).with_name("_pykan_run.py").resolve()]
    command += ["--seed", str(seed), "--dtype", dtype]
    command += ["--steps", str(steps), "--threads", str(threads)]
    with tempfile.TemporaryDirectory() as folder:  # pykan saves a checkpoint after each call
        run = subprocess.run(
            command,
            cwd=folder,
            env={**os.environ, "TQDM_DISABLE": "1"},
            stdout=subprocess.PIPE,  # what it says as it goes is on standard error
            check=True,
        )
    found = json.loads(run.stdout)
    return {**found, "points": [Point(**point) for point in found["points"]]}


def fit(
    train: list, test: list, seed: int, threads: int, budget: float | None
) -> tuple[Point, list[float]]:
    """Fit with edgewise; what it comes to, and the seconds at which it left each grid."""
    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    x, x_test = (torch.tensor(rows, dtype=torch.float64) for rows in (train, test))
    y, model = exp_sin(x), ew.KAN([2, 1, 1])
    gc.collect()  # what the imports left behind is not collected while the clock runs
    begin = time.perf_counter()
    result = ew.fit(model, x, y, seed=seed, time=budget, progress=False)
    seconds = time.perf_counter() - begin
    with torch.no_grad():
        rmse = float((result.model(x_test) - exp_sin(x_test)).square().mean().sqrt())
    left = {step.grid: step.seconds for step in result.history}
    return Point(result.model.grid, rmse, seconds), list(left.values())


def run_edgewise(train: list, test: list, seed: int, threads: int) -> list[Point]:
    """Fit with budgets of time and without one, each in a new process, as pykan runs in."""

    def fresh(budget: float | None) -> tuple[Point, list[float]]:
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
            return pool.submit(fit, train, test, seed, threads, budget).result()

    default, left = fresh(None)
    return [*(fresh(seconds)[0] for seconds in left[:-1]), default]


def median_run(runs: dict[int, list[Point]]) -> tuple[int, list[Point]]:
    """The run with the median of the final errors, and its seed."""
    final = {seed: min(point.rmse for point in points) for seed, points in runs.items()}
    middle = statistics.median_low(final.values())
    return next((seed, runs[seed]) for seed, rmse in final.items() if rmse == middle)


def converged(pairs: dict[tuple[int, str], Pair], dtype: str) -> dict[int, Pair]:
    """The pairs of one precision in which pykan is not stuck, by seed."""
    return {seed: pair for (seed, d), pair in pairs.items() if d == dtype and not pair.stuck}


def draw(pairs: dict[tuple[int, str], Pair]) -> Figure:
    """Test error over seconds: for each library the run of the median seed."""
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    lines = {
        f"pykan {dtype}": {seed: pair.pykan for seed, pair in converged(pairs, dtype).items()}
        for dtype in PRECISIONS
    }
    lines["edgewise"] = {seed: pair.edgewise for (seed, _), pair in pairs.items()}
    for number, (name, runs) in enumerate(lines.items()):
        if not runs:
            continue
        seed, points = median_run(runs)
        label, color = f"{name} (seed {seed})", f"C{number}"
        axes.loglog(
            [p.seconds for p in points], [p.rmse for p in points], "o-", color=color, label=label
        )
        for point in points:
            axes.annotate(
                str(point.grid),
                (point.seconds, point.rmse),
                xytext=(5, 3),
                textcoords="offset points",
                fontsize=7,
                color=color,
            )
    axes.set(xlabel="seconds of fitting", ylabel="RMSE on the 1,000 test rows")
    axes.set_title("exp(sin(πx₁) + x₂²), KAN([2, 1, 1]), 1,000 rows; numbers: grid", fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    return figure


def table(pairs: dict[tuple[int, str], Pair]) -> list[list[str]]:
    """One row for each seed, and the medians where pykan converges."""
    rows = []
    for seed in dict.fromkeys(seed for seed, _ in pairs):
        of_seed = [pairs[seed, dtype] for dtype in PRECISIONS]
        total = statistics.median(pair.edgewise[-1].seconds for pair in of_seed)
        row = [str(seed)]
        for pair in of_seed:
            best = pair.best
            stuck = " (stuck)" if pair.stuck else ""
            row += [f"{best.rmse:.1e}{stuck}", f"{best.seconds:.1f}", str(best.grid)]
        row += ["–" if pair.stuck else f"{pair.seconds:.2f}" for pair in of_seed]
        rows.append([*row, f"{of_seed[-1].edgewise[-1].rmse:.1e}", f"{total:.2f}"])
    good = [list(converged(pairs, dtype).values()) for dtype in PRECISIONS]
    last = ["median"]
    for group in good:
        last += [
            _median([pair.best.rmse for pair in group], ".1e"),
            _median([pair.best.seconds for pair in group], ".1f"),
            "",
        ]
    last += [_median([pair.seconds for pair in group], ".2f") for group in good]
    defaults = [pair.edgewise[-1] for pair in pairs.values()]
    last += [_median([point.rmse for point in defaults], ".1e")]
    last += [_median([point.seconds for point in defaults], ".2f")]
    return [*rows, last]


def _median(values: list[float], form: str) -> str:
    return format(statistics.median(values), form) if values else "–"


def verdict(pairs: dict[tuple[int, str], Pair], dtype: str) -> str:
    """Say what the two ratios are and whether they meet the targets."""
    good = converged(pairs, dtype).values()
    seeds = sum(d == dtype for _, d in pairs)
    if not good:
        return f"- {dtype}: pykan converges on none of the {seeds} seeds."
    faster = statistics.median(pair.faster for pair in good)
    smaller = statistics.median(pair.smaller for pair in good)
    return (
        f"- {dtype}: pykan converges on {len(good)} of the {seeds} seeds. There edgewise reaches "
        f"pykan's final error **{_digits(faster)} times** sooner (target: {FASTER}, "
        f"{'met' if faster >= FASTER else 'missed'}), and its own final error is "
        f"**{_digits(smaller)} times** smaller (target: {SMALLER:,}, "
        f"{'met' if smaller >= SMALLER else 'missed'})."
    )


def _digits(ratio: float) -> str:
    return f"{ratio:,.0f}" if ratio >= 10 else f"{ratio:.1f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--steps", type=int, default=200, help="of pykan's L-BFGS on each grid")
    parser.add_argument("--threads", type=int, default=1)
    settings = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = str(settings.threads)  # for the processes of both
    torch.set_num_threads(settings.threads)  # for the page
    python = set_up()
    pairs: dict[tuple[int, str], Pair] = {}
    for seed in settings.seeds:
        for dtype in PRECISIONS:
            found = run_pykan(python, seed, dtype, settings.steps, settings.threads)
            points = run_edgewise(found["train"], found["test"], seed, settings.threads)
            for point in points:
                print(
                    f"seed {seed} edgewise, grid {point.grid}: RMSE {point.rmse:.2e} after "
                    f"{point.seconds:.2f} s",
                    flush=True,
                )
            pairs[seed, dtype] = Pair(found["points"], points)
    verdicts = "\n".join(verdict(pairs, dtype) for dtype in PRECISIONS)
    print(verdicts, flush=True)
    _page.write(
        "pykan",
        "Beside pykan",
        "pykan 0.2.8 on its own tutorial, *Example 1: Function Fitting*: `exp(sin(pi x1) + x2^2)` "
        "on [-1, 1]², 1,000 rows to fit and 1,000 to test, `KAN([2, 1, 1])` of degree 3, grids 3, "
        f"10, 20, 50 and 100 with {settings.steps} steps of L-BFGS each. edgewise gets the same "
        "rows and is called with its defaults: `fit(KAN([2, 1, 1]), x, y, seed=seed)`.\n\n"
        f"{verdicts}\n\n"
        "![test error over seconds](pykan.png)\n\n"
        "How it is measured:\n\n"
        "- pykan runs in its default float32 and in float64, which suits it better. The rows are "
        "drawn as in the tutorial; in float64 they are the same, with labels in float64.\n"
        "- pykan's result is the least error on the test rows over all steps of its best grid, and "
        "its seconds are those until that step: as if it knew when to stop. The final error of "
        "edgewise is that of the default call, which never sees the test rows.\n"
        f"- A seed on which pykan's error stays above {STUCK:g} on every grid counts as stuck. It "
        "is listed, and left out of pykan's medians and of the ratios, which are medians over "
        "the other seeds.\n"
        "- edgewise's time to pykan's error is that of the shortest call of `fit(..., time=budget)`"
        " whose network is at or below this error on the test rows; the budgets are the times at "
        "which the call without one left each grid. What is timed has been returned and checked, "
        "not read off a curve.\n"
        f"- Both run on {settings.threads} thread(s), in turn, each fit of edgewise and each run "
        "of pykan in a new process. The clock runs in calls of `fit` and `refine` only, without "
        "imports.",
        [
            "seed",
            *(f"pykan {dtype}: {what}" for dtype in PRECISIONS for what in ("RMSE", "s", "grid")),
            *(f"edgewise: s to {dtype}'s RMSE" for dtype in PRECISIONS),
            "edgewise: RMSE",
            "edgewise: s in all",
        ],
        table(pairs),
    )
    draw(pairs).savefig(_page.FOLDER / "pykan.png", dpi=130)


if __name__ == "__main__":
    main()
