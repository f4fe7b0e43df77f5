"""Laws from tables beside Operon, gplearn and pykan: the same rows and time, one by one.

python -m benchmarks.symbolic_peers --every 6

Runs are kept in .bench/symbolic_peers.jsonl; what is there is not run again.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import sympy

import edgewise as ew
from benchmarks import _page
from benchmarks._symbolic_peers import RUNNERS
from benchmarks.symbolic import (
    CACHE,
    DATA,
    ROWS,
    SECONDS,
    equations,
    is_equal,
    law,
    sample,
    values,
)

OURS = "edgewise"
NEAR = 1e-6
"""Some peers compute their constants in float32."""


def edgewise(x: Any, y: Any, names: Sequence[str], seconds: float, seed: int) -> Any:
    """Run `discover`."""
    front = ew.discover(x, y, names=names, time=seconds, seed=seed, progress=False)
    return front.best.expr


def run(row: dict[str, str], method: str, seconds: float) -> dict[str, Any]:
    """Search for one equation with one program, and judge what it gives."""
    x, y = sample(row, ROWS, 0)
    _, symbols = law(row)
    names = [str(symbol) for symbol in symbols]
    begin = time.monotonic()
    found = (edgewise if method == OURS else RUNNERS[method])(x, y, names, seconds, 0)
    spent = time.monotonic() - begin
    rest = 1.0
    if found is not None:
        found = found.xreplace({s: sympy.Symbol(str(s), real=True) for s in found.free_symbols})
        fresh, truth = sample(row, 1000, 99)
        r = values(found, symbols, fresh) - truth
        finite = bool(np.isfinite(r).all())
        rest = min(float(np.mean(r**2) / np.var(truth)), 1.0) if finite else 1.0
    return {
        "id": row["id"],
        "method": method,
        "formula": str(found),
        "limit": seconds,
        "equal": found is not None and is_equal(found, row),
        "near": found is not None and is_equal(found, row, NEAR),
        "rest": rest,
        "seconds": spent,
    }


def study(folder: Path, every: int, seconds: float) -> list[dict[str, Any]]:
    """Run all programs on every n-th Feynman equation, or take from the cache what has run."""
    CACHE.mkdir(exist_ok=True)
    path = CACHE / "symbolic_peers.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    runs = [r for r in map(json.loads, lines) if r["limit"] == seconds]
    done = {(r["id"], r["method"]): r for r in runs}
    rows = equations(folder, "feynman")[::every]
    with path.open("a") as log:
        for row in rows:
            for method in (OURS, *RUNNERS):
                if (row["id"], method) in done:
                    continue
                result = run(row, method, seconds)
                done[row["id"], method] = result
                log.write(json.dumps(result) + "\n")
                log.flush()
                print(row["id"], method, result["equal"], f"{result['rest']:.1e}", flush=True)
    return [done[row["id"], method] for row in rows for method in (OURS, *RUNNERS)]


def table(results: list[dict[str, Any]]) -> list[list[str]]:
    """A line for each program."""
    rows = []
    for method in (OURS, *RUNNERS):
        mine = [r for r in results if r["method"] == method]
        found = [r["id"] for r in mine if r["equal"]]
        rows.append(
            [
                method,
                f"{len(found)} of {len(mine)}",
                f"{sum(r['near'] for r in mine)} of {len(mine)}",
                f"{np.median([r['rest'] for r in mine]):.0e}",
                f"{np.median([r['seconds'] for r in mine]):.1f}",
                ", ".join(found) or "none",
            ]
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=DATA)
    parser.add_argument("--every", type=int, default=6)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    options = parser.parse_args()
    results = study(options.folder, options.every, options.seconds)
    text = f"""Every {options.every}th Feynman equation, {ROWS} rows without noise, no units, one
process at a time with {options.seconds:g} s for each program. An equation counts as found where the
formula equals it by SymPy, or to 1e-9 inside the ranges and in a box wider by a quarter; *to 1e-6*
is the same with less asked, since some compute constants in float32. 1 - R² is the median on 1,000
new rows. Operon runs with the settings of its authors for SRBench, gplearn with those of its
documentation and an exponential besides; pykan 0.2.8 follows its tutorial (fit, prune, refine,
`auto_symbolic`), seed after seed until the time is over. `discover` stops when a law is exact."""
    _page.write(
        "symbolic_peers",
        "Laws from tables, beside peers",
        text,
        ["program", "found", "found to 1e-6", "1 - R²", "median s", "which"],
        table(results),
    )


if __name__ == "__main__":
    main()
