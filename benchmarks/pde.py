"""Differential equations: errors and times of edgewise from three seeds, and of its peers."""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

import edgewise as ew
from benchmarks import _page
from benchmarks._pde_problems import DATA, STUDIES, Study, reference
from edgewise import pde

DEEPXDE = Path(__file__).parent.parent / ".bench" / "deepxde"
# Without what they depend on where edgewise's own environment has it already.
PINS = (
    "deepxde==1.15.0",
    "scikit-optimize==0.10.2",
    "pyaml",
    "pyyaml",
    "joblib",
    "threadpoolctl",
    "scikit-learn",
    "packaging",
)
HEADER = ["problem", "measure", "allowed", "error (worst of the seeds)", "seconds", "CPU seconds"]


def run(study: Study, seeds: list[int]) -> tuple[list[str], bool, list[pde.Solution]]:
    """Solve a problem from each seed: its row, whether its figure is met, and the solutions."""
    errors, seconds, used, found = [], [], [], []
    for seed in seeds:
        begin, cpu = time.perf_counter(), time.process_time()
        solution = study.solve(seed)
        seconds.append(time.perf_counter() - begin)
        used.append(time.process_time() - cpu)
        errors.append(study.measure(solution))
        found.append(solution)
        print(
            f"{study.name} seed {seed}: {errors[-1]:.2e} in {seconds[-1]:.1f} s "
            f"({used[-1]:.1f} CPU s)",
            flush=True,
        )
    allowed = "–" if math.isinf(study.goal) else f"{study.goal:.0e}"
    row = [
        study.title,
        study.what,
        allowed,
        f"{max(errors):.1e}",
        f"{max(seconds):.1f}",
        f"{max(used):.1f}",
    ]
    return row, max(errors) <= study.goal and max(used) <= study.seconds, found


def symbolized(solution: pde.Solution) -> tuple[str, bool]:
    """The closed form of the first problem, and whether it is exact."""
    formula = pde.symbolize(solution, ew.KAN([2, (0, 1), 1], degree=5), seed=0, progress=False)
    x = solution.problem.points(1000, 5)
    error = float((formula(x)[:, 0] - torch.sin(torch.pi * x).prod(-1)).abs().max())
    return f"{formula.expr} (largest error {error:.0e})", error < 1e-10


def peer(command: list[str], **environment: str) -> list[dict]:
    """Run a peer in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            command,
            cwd=folder,
            env={**os.environ, **environment},
            stdout=subprocess.PIPE,
            check=True,
        )
    lines = done.stdout.decode().strip().splitlines()
    result = json.loads(lines[-1])
    return result if isinstance(result, list) else [result]


def pykan(threads: int, steps: int) -> list[str]:
    """Pykan's tutorial on the first problem: its best grid."""
    from benchmarks.pykan import set_up

    script = Path(__file__).with_name("_pykan_pde_run.py").resolve()
    command = [str(set_up()), "-P", str(script), "--seed", "1", "--steps", str(steps)]
    found = peer([*command, "--threads", str(threads)])
    best = min(found, key=lambda point: point["error"])
    title = f"pykan 0.2.8, its tutorial, {steps} steps for each grid: Poisson, sin(πx) sin(πy)"
    return [
        title,
        "relative L2",
        "–",
        f"{best['error']:.1e}",
        f"{best['seconds']:.0f}",
        f"{best['cpu']:.0f}",
    ]


def deepxde(example: str, threads: int, share: float) -> list[str]:
    """An example of DeepXDE with its own settings."""
    packages = DEEPXDE / "packages"
    if not packages.exists():
        install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
        subprocess.run([*install, "--target", str(packages), *PINS], check=True)
    script = Path(__file__).with_name("_deepxde_run.py").resolve()
    command = [sys.executable, "-P", str(script), example, "--seed", "0", "--share", str(share)]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "reference.npz"
        if example == "burgers":
            x, u = reference("burgers_shock")
            np.savez(file, x=x.numpy(), u=u.numpy()[:, None])
        command += ["--threads", str(threads), "--reference", str(file)]
        (found,) = peer(command, PYTHONPATH=str(packages.resolve()))
    part = "" if share == 1 else f", {share:.0%} of its steps"
    title = {"poisson": "Poisson in 1D, sin(πx)", "burgers": "Burgers"}[example]
    return [
        f"DeepXDE, its example{part}: {title}",
        "relative L2",
        "–",
        f"{found['error']:.1e}",
        f"{found['seconds']:.0f}",
        f"{found['cpu']:.0f}",
    ]


def draw(name: str, solution: pde.Solution) -> None:
    """Put a picture beside the page."""
    figure = pde.plot.field(solution)
    figure.savefig(_page.FOLDER / f"pde-{name}.png", dpi=100)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    names = [study.name for study in STUDIES]
    parser.add_argument("--only", choices=names, nargs="+", help="these problems, without a page")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--no-peers", action="store_true", help="leave pykan and DeepXDE out")
    parser.add_argument("--share", type=float, default=1.0, help="of the steps of the peers")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    rows, missed, pictures, formula = [], [], {}, ""
    for study in STUDIES:
        if options.only and study.name not in options.only:
            continue
        if study.needs is not None and not (DATA / study.needs).exists():
            print(f"{study.name} is left out: {DATA / study.needs} is not there (EDGEWISE_DATA).")
            continue
        row, met, solutions = run(study, options.seeds)
        rows.append(row)
        pictures[study.name] = solutions[0]
        if not met:
            missed.append(study.name)
        if study.name == "poisson":
            formula, exact = symbolized(solutions[0])
            print(f"symbolized: {formula}")
            if not exact:
                missed.append("the formula of poisson")
    if not options.only and not options.no_peers:
        rows.append(pykan(options.threads, max(1, round(50 * options.share))))
        rows += [deepxde(name, options.threads, options.share) for name in ("poisson", "burgers")]
    for row in [HEADER, *rows]:
        print(" | ".join(row))
    if not options.only:
        for name in ("burgers", "cavity"):
            if name in pictures:
                draw(name, pictures[name])
        _page.write("pde", "Differential equations", TEXT.format(formula=formula), HEADER, rows)
    if missed:
        sys.exit(f"Missed: {', '.join(missed)}.")


TEXT = """\
Each problem of `benchmarks/_pde_problems.py` from three seeds; the slowest and the worst count.
Poisson, Helmholtz and the nonlinear equation are solved with a sum of products whose grid is
refined, the others with all products of splines in two inputs (`pde.tensor`), evolutions in windows
of time. Burgers, Allen–Cahn and KdV are measured against the reference solutions of Raissi et al.;
published errors: a PINN 6.7e-4 on Burgers (2019), PirateNets 2.2e-5 on Allen–Cahn and 4.3e-4 on KdV
(2024, hours on a GPU). The flow is measured against tables I and II of Ghia, Ghia and Shin (1982).

The first solution, read by `pde.symbolize`: {formula}

![Burgers](pde-burgers.png)

![The flow](pde-cavity.png)
"""


if __name__ == "__main__":
    main()
