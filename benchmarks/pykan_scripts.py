"""Scripts in pykan's API on pykan 0.2.8 and on our layer, side by side: `benchmarks/scripts`."""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks import _page, pykan

SCRIPTS = Path(__file__).with_name("scripts")
CACHE = Path(__file__).parent.parent / ".bench" / "scripts"
RUNNER = Path(__file__).with_name("_pykan_scripts_run.py").resolve()
GOAL = 20
"""How many times less CPU time the scripts are to take, in the geometric mean."""
PATIENCE = 3000.0
"""Seconds after which a run is given up."""


def run(name: str, library: str) -> dict[str, Any]:
    """Run one script, ours three times; what it came to, with the median time, from the cache."""
    kept = CACHE / f"{name}-{library}.json"
    if kept.exists() and kept.stat().st_size:
        return json.loads(kept.read_text())
    results = [run_once(name, library) for _ in range(3 if library == "edgewise" else 1)]
    result = results[-1]
    if all("cpu" in one for one in results):
        result["cpu"] = statistics.median(one["cpu"] for one in results)
    CACHE.mkdir(parents=True, exist_ok=True)
    kept.write_text(json.dumps(result))
    return result


def run_once(name: str, library: str) -> dict[str, Any]:
    """Run one script in a fresh process and an empty folder."""
    python = pykan.set_up() if library == "pykan" else Path(sys.executable)
    # -P keeps a folder named kan out of the way; ours needs the working copy
    command = [python, "-P", RUNNER, (SCRIPTS / f"{name}.py").resolve(), "--on", library]
    quiet = {"TQDM_DISABLE": "1", "MPLBACKEND": "agg", "OMP_NUM_THREADS": "1"}
    with tempfile.TemporaryDirectory() as folder:
        try:
            done = subprocess.run(
                command,
                cwd=folder,
                env={**os.environ, **quiet},
                capture_output=True,
                text=True,
                timeout=PATIENCE,
            )
        except subprocess.TimeoutExpired:
            done = None
    if done is None or done.returncode:
        reason = "out of time" if done is None else done.stderr.strip().splitlines()[-1]
        return {"final": None, "failed": reason[:200]}
    return json.loads(done.stdout.strip().splitlines()[-1])


def story(name: str) -> str:
    """The first line of a script says what it is."""
    text = (SCRIPTS / f"{name}.py").read_text()
    return text.split('"""')[1].strip().rstrip(".").replace("|", "/")


def failed(result: dict[str, Any]) -> bool:
    """Whether a run ended without a finite error."""
    return result["final"] is None or not math.isfinite(result["final"])


def row(name: str, theirs: dict[str, Any], ours: dict[str, Any]) -> list[str]:
    """One line of the table."""
    cells = [f"`{name}`", story(name)]
    for result in (theirs, ours):
        if result["final"] is None:
            cells += [f"fails: {result['failed'].split(':')[0]}", "–"]
        else:
            final = "NaN" if failed(result) else f"{result['final']:.2e}"
            cells += [final, f"{result['cpu']:.2f}"]
    if "cpu" not in theirs or "cpu" not in ours:
        return [*cells, "–"]
    return [*cells, f"{theirs['cpu'] / ours['cpu']:.1f}"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--scripts", nargs="+", default=sorted(p.stem for p in SCRIPTS.glob("*.py"))
    )
    parser.add_argument("--only-cached", action="store_true", help="write the page, run nothing")
    parser.add_argument("--again", choices=["pykan", "edgewise"], help="drop its results first")
    settings = parser.parse_args()
    if settings.again:
        for name in settings.scripts:
            (CACHE / f"{name}-{settings.again}.json").unlink(missing_ok=True)
    results = {}
    for name in settings.scripts:
        kept = [CACHE / f"{name}-{library}.json" for library in ("pykan", "edgewise")]
        if settings.only_cached and not all(k.exists() and k.stat().st_size for k in kept):
            continue
        results[name] = run(name, "pykan"), run(name, "edgewise")
        print(*row(name, *results[name]), sep=" | ", flush=True)
    both = {n: r for n, r in results.items() if "cpu" in r[0] and "cpu" in r[1]}
    ratio = statistics.geometric_mean(p["cpu"] / e["cpu"] for p, e in both.values())
    at_least = [
        not failed(e) and (failed(p) or e["final"] <= p["final"] * 1.001)
        for p, e in results.values()
    ]
    text = (
        "Where pykan's tutorials print a final error, a script of ours in pykan's API runs on "
        "pykan 0.2.8 and on `edgewise.compat.pykan`: the same file, with `import kan` as it is. "
        "The files are in `benchmarks/scripts`.\n\n"
        f"Of {len(results)} scripts, {sum(at_least)} end at an error at least as small (to 0.1 %). "
        f"In the geometric mean they take **{ratio:.1f} times** less CPU time (goal: {GOAL}, "
        f"{'met' if ratio >= GOAL else 'missed'}).\n\n"
        "How it is measured:\n\n"
        "- Each run is a new process in an empty folder, on one thread. The clock is that of CPU "
        "time and runs over the whole script, without the imports of the libraries; nothing is "
        "drawn. edgewise's seconds are the median of three runs, pykan's are those of one.\n"
        "- The error is what the tutorial prints: the root of the mean square over the test rows "
        "(over the rows of the last peak for `continual`, over the training rows for `majority`, "
        "a mean square for `poisson`).\n"
        "- The dtype is the script's: float32 unless it says otherwise, on both sides.\n"
        "- In a step of L-BFGS pykan takes up to 20 iterations. Here it is one of "
        "Levenberg–Marquardt, or for more than 1,000 parameters of L-BFGS, 6 or 20 iterations, as "
        "[](../guide/pykan.md) says.\n"
        "- `poisson` is a loop of its own over `kan.LBFGS`, so all that is ours in it is the "
        "network and its second derivatives.\n"
        "- What `continual` and `poisson` miss by is looked into in "
        "[decision 21](../decisions/0021-pykan-network.md)."
    )
    header = ["script", "tutorial", "pykan: error", "s", "edgewise: error", "s", "times less"]
    _page.write(
        "pykan_scripts", "Scripts of pykan", text, header, [row(n, *r) for n, r in results.items()]
    )


if __name__ == "__main__":
    main()
