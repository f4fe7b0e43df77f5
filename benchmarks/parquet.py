"""Fits from Parquet tables of up to 10^7 rows: time and memory over the number of rows."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks import _page

ROWS = (1_000_000, 3_000_000, 10_000_000)
GROUP = 500_000


def write(path: Path, rows: int) -> None:
    """Write exp(sin(pi a) + b^2) with 1 % noise, a row group at a time."""
    schema = pa.schema([(name, pa.float64()) for name in "aby"])
    with pq.ParquetWriter(path, schema) as writer:
        for begin in range(0, rows, GROUP):
            random = np.random.default_rng(begin)
            a, b = random.uniform(-1, 1, (2, min(GROUP, rows - begin)))
            y = np.exp(np.sin(np.pi * a) + b**2)
            y += 0.01 * random.standard_normal(len(y))
            writer.write_table(pa.table({"a": a, "b": b, "y": y}, schema=schema))


def measure(path: Path, steps: int) -> dict[str, float]:
    """Fit in this process: seconds, seconds of a step, the error, and the peak of memory."""
    import torch

    import edgewise as ew

    torch.manual_seed(0)
    table = ew.Parquet(path, target="y")
    model = ew.KAN([2, 1, 1], grid=10)
    before = _peak()
    begin = time.perf_counter()
    result = ew.fit(
        model,
        table,
        solver=ew.LevenbergMarquardt(steps=steps),
        refine=False,
        starts=1,
        seed=0,
        progress=False,
    )
    seconds = time.perf_counter() - begin
    return {
        "seconds": seconds,
        "steps": len(result.history),
        "error": result.held_out,
        "memory": _peak() - before,
        "peak": _peak(),
    }


def _peak() -> float:
    """The largest resident set so far, in MB."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=list(ROWS))
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    settings = parser.parse_args()
    if settings.measure is not None:
        print(json.dumps(measure(settings.measure, settings.steps)))
        return
    table, found = [], {}
    with tempfile.TemporaryDirectory() as folder:
        for rows in settings.rows:
            path = Path(folder) / f"{rows}.parquet"
            write(path, rows)
            command = [sys.executable, "-m", "benchmarks.parquet", "--measure", str(path)]
            command += ["--steps", str(settings.steps)]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            found[rows] = json.loads(done.stdout)
            size = path.stat().st_size / 2**20
            path.unlink()
            run = found[rows]
            table.append(
                [
                    f"{rows:,}",
                    f"{size:,.0f}",
                    f"{run['seconds']:.1f}",
                    f"{run['steps']}",
                    f"{1e6 * run['seconds'] / rows / run['steps']:.2f}",
                    f"{run['memory']:.0f}",
                    f"{run['error']:.5f}",
                ]
            )
            print(" | ".join(table[-1]), flush=True)
    largest = max(found)
    minutes = found[largest]["seconds"] * 1e8 / largest / 60
    _page.write(
        "parquet",
        "Tables larger than memory",
        "`ew.fit(ew.KAN([2, 1, 1], grid=10), ew.Parquet(path, target='y'))` on one machine: "
        "exp(sin(pi a) + b^2) with noise of 0.01, which is the least error that a fit can have. "
        "Time grows with the rows and memory does not: 10^8 rows would take "
        f"{minutes:.0f} minutes for as many steps. Memory is the growth of the peak resident set.",
        ["rows", "file, MB", "seconds", "steps", "µs / row / step", "memory, MB", "held-out RMSE"],
        table,
    )


if __name__ == "__main__":
    main()
